"""What surrounds an exported reward: its text is copied into the exported file, as it is here.

What it takes from this project is copied with it, as are the helpers of the reward language. It
needs NumPy alone until an environment is wrapped. ``compose.py`` puts imports and the generated
parts in front of it and behind it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np

from reward_agent.simulation.gymnasium_host import ActionForm, Readout
from reward_agent.simulation.measures import (
    HeightMeasure,
    list_subtree,
    locate_point,
    make_lowest_measure,
    measure_velocity,
)
from reward_agent.simulation.state import State

try:
    import gymnasium
except ImportError:  # a batch of one's own simulations needs NumPy alone
    gymnasium = None

# Kind, and name or number, of what touches.
_Side: TypeAlias = tuple[str, str | int]
_Wrapper: Any = gymnasium.Wrapper if gymnasium is not None else object


def make_state(fields: Mapping[str, Any]) -> State:
    """Return N simulations at one instant: numbers ``(N,)`` or ``(N, k)`` by field."""
    return State({name: np.array(values, np.float64) for name, values in fields.items()})


class RewardFunction:
    """A reward over N simulations at a time, with its memory and its potential-based shaping.

    Call ``begin`` with the first state, ``step`` after each step, and ``restart`` for the
    simulations that were reset.
    """

    def __init__(
        self,
        compute_reward: Callable[..., Any],
        init_memory: Callable[..., Any] | None = None,
        potential: Callable[..., Any] | None = None,
        gamma: float = 0.99,
    ) -> None:
        self._compute_reward, self._init_memory = compute_reward, init_memory
        self._potential, self._gamma = potential, gamma
        self._memory: dict[str, Any] = {}

    def begin(self, state: State) -> None:
        """Start episodes in all simulations."""
        self._memory = self._make_memory(state)

    def restart(self, ids: Any, state: State) -> None:
        """Start new episodes in some simulations; only the rows ``ids`` of the state are used."""
        for name, values in self._make_memory(state).items():
            self._memory[name][ids] = values[ids]

    def step(
        self, state: State, action: Any, next_state: State, terminated: Any
    ) -> tuple[Any, dict[str, Any]]:
        """Return the reward ``(N,)`` and its terms, each ``(N,)``; shaping is in both.

        Args:
            state: before the step.
            action: ``(N, n_actions)``.
            next_state: after the step and before any reset.
            terminated: ``(N,)`` bool, true terminals; not truncations.
        """
        action = np.asarray(action, np.float64)
        ended = np.asarray(terminated, np.float64)
        state = State({"terminated": np.zeros_like(ended), **state.fields})
        next_state = State({"terminated": ended, **next_state.fields})
        with np.errstate(all="ignore"):
            if self._init_memory:
                lent = {name: values.copy() for name, values in self._memory.items()}
                reward, given, kept = self._compute_reward(state, action, next_state, lent)
                self._memory = {name: values.copy() for name, values in kept.items()}
            else:
                reward, given = self._compute_reward(state, action, next_state)
            reward = np.array(reward, np.float64)
            terms = {
                re.sub(r"\W", "_", name, flags=re.ASCII): np.zeros(len(action)) + value
                for name, value in given.items()
            }
            if self._potential:
                # Ng, Harada, Russell 1999: 0 at true terminals, not at truncation.
                after = np.where(terminated, 0.0, self._potential(next_state))
                terms["potential_shaping"] = self._gamma * after - self._potential(state)
                reward = reward + terms["potential_shaping"]
        return reward, terms

    def _make_memory(self, state: State) -> dict[str, Any]:
        if not self._init_memory:
            return {}
        with np.errstate(all="ignore"):
            return {name: values.copy() for name, values in self._init_memory(state).items()}


class Physics:
    """What a reward reads of one MuJoCo simulation, at the instants that the run read it.

    Args:
        model: ``env.unwrapped.model``.
        data: ``env.unwrapped.data``.
        is_current: whether positions of bodies, contacts and their like are those of the very
            state that ``qpos`` and ``qvel`` say; otherwise they are as MuJoCo's step leaves them.
        frame_skip: physics steps of a step, where forces of contacts are read, or contacts or
            velocities of centres of mass that are not current: they are those at the start of the
            last physics step, which only repeating the others tells. Else 0.
    """

    def __init__(self, model: Any, data: Any, is_current: bool, frame_skip: int = 0) -> None:
        import mujoco

        self._mujoco, self.model, self.data = mujoco, model, data
        self._frame_skip = frame_skip
        self.now = mujoco.MjData(model) if is_current else data
        self.last = mujoco.MjData(model) if frame_skip else self.now
        self.sensed = self.now if is_current else self.last
        self._lowest: dict[tuple[str, str | int], HeightMeasure] = {}

    def hold(self) -> None:
        """Keep the state before a step, from which ``update`` will repeat it."""
        if self._frame_skip:
            self._mujoco.mj_copyData(self.last, self.model, self.data)

    def update(self, has_stepped: bool) -> None:
        """Compute what is derived from the state; the simulation itself is not touched."""
        mujoco, model = self._mujoco, self.model
        if self.now is not self.data:
            for name in ("qpos", "qvel", "act", "mocap_pos", "mocap_quat"):
                getattr(self.now, name)[:] = getattr(self.data, name)
            mujoco.mj_fwdPosition(model, self.now)
            mujoco.mj_fwdVelocity(model, self.now)
        if self._frame_skip:
            self.last.ctrl[:] = self.data.ctrl
            for _ in range(self._frame_skip - 1 if has_stepped else 0):
                mujoco.mj_step(model, self.last)
            mujoco.mj_forward(model, self.last)
        mujoco.mj_subtreeVel(model, self.sensed)

    def point(self, kind: str, name: str | int, offset: Any) -> Any:
        """Return a point ``(3,)``, m, that is given in the frame of a body, geom or site."""
        view = getattr(self.now, kind)(name)
        return locate_point(view.xpos, view.xmat, offset)

    def com_velocity(self, body: str | int) -> Any:
        """Return the velocity ``(3,)``, m/s, of the centre of mass of a body with all on it."""
        return self.sensed.subtree_linvel[self.model.body(body).id]

    def angular_momentum(self, body: str | int) -> Any:
        """Return the angular momentum ``(3,)``, kg m2/s, of the same about that centre."""
        return self.sensed.subtree_angmom[self.model.body(body).id]

    def velocity(self, kind: str, name: str | int) -> Any:
        """Return the velocity ``(3,)``, m/s, of the origin of a body, geom or site."""
        body = self._find_body(kind, name)
        centre = self.now.subtree_com[self.model.body_rootid[body]]
        return measure_velocity(self.now.cvel[body], centre, getattr(self.now, kind)(name).xpos)

    def angular_velocity(self, kind: str, name: str | int) -> Any:
        """Return the angular velocity ``(3,)``, rad/s, of a body, geom or site, in the world."""
        return self.now.cvel[self._find_body(kind, name)][:3]

    def touches(self, side: _Side, others: list[_Side]) -> float:
        """Return 1.0 while something touches one of others, else 0.0."""
        return float(any(True for _ in self._find_contacts(self.sensed, side, others)))

    def force(self, side: _Side, others: list[_Side]) -> float:
        """Return the norm of the net force, N, between something and others."""
        net, force = np.zeros(3), np.zeros(6)
        for number, sign in self._find_contacts(self.last, side, others):
            self._mujoco.mj_contactForce(self.model, self.last, number, force)
            net += sign * force[:3] @ self.last.contact.frame[number].reshape(3, 3)
        return float(np.sqrt(net @ net))

    def lowest(self, kind: str, name: str | int, floors: list[str | int]) -> float:
        """Return the height, m, of the lowest point of a geom, or of a body with all on it."""
        key = kind, name
        if key not in self._lowest:
            self._lowest[key] = make_lowest_measure(self.model, kind, name, floors)
        return float(self._lowest[key](self.now.geom_xpos[None], self.now.geom_xmat[None])[0])

    def _find_contacts(
        self, data: Any, side: _Side, others: list[_Side]
    ) -> Iterator[tuple[int, float]]:
        """Yield number and sense of each contact of something with one of others."""
        ours = self._find_geoms(*side)
        theirs = set().union(*(self._find_geoms(*other) for other in others))
        for number, (first, second) in enumerate(data.contact.geom.tolist()):
            if first in ours and second in theirs:
                yield number, 1.0
            elif second in ours and first in theirs:
                yield number, -1.0

    def _find_geoms(self, kind: str, name: str | int) -> set[int]:
        """Return the numbers of the geoms of a geom, a body, or a body with all on it."""
        if kind == "geom":
            return {self.model.geom(name).id}
        body = self.model.body(name).id
        bodies = list_subtree(self.model, body) if kind == "subtree" else [body]
        return set(np.flatnonzero(np.isin(self.model.geom_bodyid, bodies)).tolist())

    def _find_body(self, kind: str, name: str | int) -> int:
        item = getattr(self.model, kind)(name)
        return int(item.id if kind == "body" else item.bodyid[0])


class FieldRewardWrapper(_Wrapper):  # type: ignore[misc]
    """A MuJoCo environment of Gymnasium under another reward.

    ``info`` tells ``reward_terms``, by name, and ``own_reward``, what the environment itself pays;
    ``state`` is the newest state that the reward has seen.

    Args:
        env: the environment.
        reward: the reward, for one simulation.
        fields: shape and reader of each field that the reward needs.
        is_current: see ``Physics``, as for ``frame_skip``.
        frame_skip: of the environment where it matters, else 0.
        healthy: ``(field, min, max)`` outside of which an episode terminates; None leaves that to
            the environment.
        action_range: of the actions that are stretched to the actuators' ranges; None passes
            actions on as they are.
    """

    def __init__(
        self,
        env: Any,
        reward: RewardFunction,
        fields: Mapping[str, tuple[tuple[int, ...], Callable[[Physics], Any]]],
        is_current: bool,
        frame_skip: int = 0,
        healthy: list[tuple[str, float | None, float | None]] | None = None,
        action_range: tuple[float, float] | None = None,
    ) -> None:
        super().__init__(env)
        self._reward, self._fields, self._healthy = reward, fields, healthy
        inner = env.unwrapped
        self._physics = Physics(inner.model, inner.data, is_current, frame_skip)
        self._scale: tuple[Any, Any] | None = None
        self.state: State
        if action_range is not None:
            low, high = action_range
            lowest, highest = inner.model.actuator_ctrlrange.T
            factor = (highest - lowest) / (high - low)
            self._scale = factor, lowest - factor * low
            self.action_space = gymnasium.spaces.Box(low, high, lowest.shape, np.float32)

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        """Start an episode."""
        observation, info = self.env.reset(**kwargs)
        self._physics.hold()
        self.state = self._read(has_stepped=False)
        self._reward.begin(self.state)
        return observation, info

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Take a step; the reward is ours."""
        given = np.asarray(action, np.float64)
        applied = action if self._scale is None else given * self._scale[0] + self._scale[1]
        self._physics.hold()
        observation, own_reward, terminated, truncated, info = self.env.step(applied)
        next_state = self._read()
        if self._healthy is not None:
            terminated = any(_is_outside(next_state, *bounds) for bounds in self._healthy)
        ended = np.array([terminated])
        reward, terms = self._reward.step(self.state, given[None], next_state, ended)
        self.state = next_state
        paid = {name: float(values[0]) for name, values in terms.items()}
        info = {**info, "reward_terms": paid, "own_reward": own_reward}
        return observation, float(reward[0]), bool(terminated), truncated, info

    def _read(self, has_stepped: bool = True) -> State:
        """Return the fields of the simulation as it is now, each with a first axis of 1."""
        self._physics.update(has_stepped)
        return make_state(
            {
                name: np.reshape(read(self._physics), (1, *shape))
                for name, (shape, read) in self._fields.items()
            }
        )


class PlainRewardWrapper(_Wrapper):  # type: ignore[misc]
    """A Gymnasium environment of any kind under another reward; its spaces stay its own.

    ``info`` tells ``reward_terms``, by name, and ``own_reward``, what the environment itself pays;
    ``state`` is the newest state that the reward has seen, and ``state.observation`` what the
    policy of the run takes. ``decode`` makes an action of the environment of one of that policy.

    Args:
        env: the environment.
        reward: the reward, for one simulation.
        fields: shape and reader of each field that the reward needs.
        infos: paths into the info that they read, each with its size.
        healthy: ``(field, min, max)`` outside of which an episode terminates, too.
        action_range: of the actions that are stretched to the environment's; None passes
            actions on as they are.
    """

    def __init__(
        self,
        env: Any,
        reward: RewardFunction,
        fields: Mapping[str, tuple[tuple[int, ...], Callable[[Mapping[str, Any]], Any]]],
        infos: dict[str, int],
        healthy: list[tuple[str, float | None, float | None]],
        action_range: tuple[float, float] | None,
    ) -> None:
        super().__init__(env)
        self._reward, self._fields, self._healthy = reward, fields, healthy
        self._readout = Readout(str(env), env, infos, {})
        self._actions = ActionForm(str(env), env.action_space)
        self._offset, self._factor = np.zeros(()), np.ones(())
        if action_range is not None:
            low, high = action_range
            self._factor = (self._actions.high - self._actions.low) / (high - low)
            self._offset = self._actions.low - self._factor * low
        self.state: State

    def decode(self, action: Any) -> Any:
        """Return the environment's action for the numbers ``(n_actions,)`` of a policy."""
        row = np.asarray(action, float) * self._factor + self._offset
        return self._actions.decode(row[None])[0]

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        """Start an episode."""
        observation, info = self.env.reset(**kwargs)
        self.state = self._read(observation, 0.0, info)
        self._reward.begin(self.state)
        return observation, info

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Take a step; the reward is ours."""
        observation, own_reward, terminated, truncated, info = self.env.step(action)
        next_state = self._read(observation, own_reward, info)
        is_outside = any(_is_outside(next_state, *bounds) for bounds in self._healthy)
        terminated = bool(terminated) or is_outside
        given = (self._actions.encode(action) - self._offset) / self._factor
        reward, terms = self._reward.step(
            self.state, given[None], next_state, np.array([terminated])
        )
        self.state = next_state
        paid = {name: float(values[0]) for name, values in terms.items()}
        info = {**info, "reward_terms": paid, "own_reward": own_reward}
        return observation, float(reward[0]), terminated, truncated, info

    def _read(self, observation: Any, reward: Any, info: Any) -> State:
        """Return the fields of what came back, each with a first axis of 1."""
        row = np.zeros(self._readout.columns.width)
        self._readout.write(row, observation, reward, info)
        seen = {name: self._readout.read(row, name) for name in self._readout.columns.names}
        return make_state(
            {
                name: np.reshape(read(seen), (1, *shape))
                for name, (shape, read) in self._fields.items()
            }
        )


def _is_outside(state: State, field: str, low: float | None, high: float | None) -> bool:
    """Return whether a field of the only simulation has left its healthy range."""
    values = state.fields[field]
    is_above = values > (-np.inf if low is None else low)
    return not np.all(is_above & (values < (np.inf if high is None else high)))


def concat(*parts: Any) -> Any:
    """Return the parts end to end."""
    return np.concatenate([np.ravel(part) for part in parts])
