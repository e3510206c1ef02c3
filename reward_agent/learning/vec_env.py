"""Many simulations under one generated reward: what a learner acts in.

There is no work per environment in a step: only episodes that end cost Python of their own.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from reward_agent.definitions.card import EnvCard
from reward_agent.learning.episode_log import EpisodeLog
from reward_agent.learning.stages import Practice
from reward_agent.learning.starts import TrainingStarts
from reward_agent.learning.term_log import Stretch, TermLog
from reward_agent.rewards.program import CompiledReward, StepReward
from reward_agent.simulation.simulation import Simulation
from reward_agent.simulation.state import FloatArray, State, Step, Transition, join_arrays

# A call costs little more for two thousand rows than for some dozens. Not more of them: arrays of
# this size stay in the caches, and a program that makes N x N numbers stays within its memory.
_ROWS_PER_CALL = 2048


@dataclass(frozen=True)
class Ended:
    """The episodes that a step ended, E of them.

    Args:
        ids: (E,) the environments.
        is_time_out: (E,) whether the time limit ended them, not the card's termination.
        observation: (E, observation_size), the last one.
    """

    ids: NDArray[np.intp]
    is_time_out: NDArray[np.bool_]
    observation: NDArray[np.float32]

    def join(self, earlier: Ended | None) -> Ended:
        """Return these episodes after those that a step before ended."""
        if earlier is None:
            return self
        pairs = zip(vars(earlier).values(), vars(self).values(), strict=True)
        return Ended(*map(np.concatenate, pairs))


class Reward(Protocol):
    """What pays steps: a program, or anything that is asked as it is (``CompiledReward``)."""

    @property
    def has_memory(self) -> bool:
        """Whether a step's pay depends on those before it."""

    def begin(self, state: State) -> None:
        """Start episodes in all simulations."""

    def restart(self, ids: NDArray[np.intp], state: State) -> None:
        """Start new episodes in some of them."""

    def step(
        self,
        state: State,
        action: FloatArray,
        next_state: State,
        terminated: NDArray[np.bool_],
    ) -> StepReward:
        """Return what a step pays."""


class RewardVecEnv:
    """N simulations of a card under one reward; episodes restart by themselves.

    Args:
        card: the environment.
        simulation: of it, N times.
        reward: what pays.
        stage_steps: most control steps of an episode while the reward's first, second, … stage is
            practised.
        starts: where some episodes begin, unless all begin as the card says.
        log: records some of the episodes that begin as the card says.

    Attributes:
        n_envs: number of simulations N.
        terms: what each reward term paid since it was last read.
        n_steps: env steps so far.
        practice: of the reward's stages, if it has any.
        seconds: wall time by activity.
    """

    def __init__(
        self,
        card: EnvCard,
        simulation: Simulation,
        reward: Reward,
        stage_steps: Sequence[int] = (),
        starts: TrainingStarts | None = None,
        log: EpisodeLog | None = None,
    ) -> None:
        self.card, self.n_envs, self.starts, self.log = card, simulation.n_sims, starts, log
        simulation.starter = starts
        self.terms, self.n_steps = TermLog(simulation.n_sims), 0
        self.practice: Practice | None = None
        if isinstance(reward, CompiledReward) and reward.stages:
            self.practice = Practice(reward, stage_steps, card.max_episode_steps)
        self.seconds = {"physics": 0.0, "reward": 0.0, "state": 0.0}
        self._simulation = simulation
        self._ends_by_itself = simulation.ends_by_itself
        self._payment = Payment(reward, simulation.n_sims)
        self._lengths = np.zeros(simulation.n_sims, dtype=np.int64)
        # Of each step: whose episode ended, and who waited.
        self._flags: list[tuple[NDArray[np.bool_], NDArray[np.bool_] | None]] = []
        self._origins: list[NDArray[np.int_]] = []
        self._state: State

    @property
    def stages(self) -> tuple[str, ...]:
        """Names of the reward's stages."""
        return self.practice.stages if self.practice else ()

    def tell_progress(self, share: float) -> None:
        """Say how far the training is, 0 to 1: by that some begin their episodes elsewhere."""
        if self.starts is not None:
            self.starts.progress = share

    def reset(self) -> NDArray[np.float32]:
        """Start all episodes anew and return the observation (N, observation_size)."""
        self._simulation.reset()
        self._lengths[:] = 0
        if self.log is not None:
            self.log.forget()
        self._state = self._read_first(np.arange(self.n_envs))
        self._payment.begin(self._state)
        if self.practice:
            self.practice.begin()
        self._flags, self._origins = [], []
        self.terms.drop_episodes()
        return self._simulation.observation.astype(np.float32)

    def advance(
        self, actions: NDArray[np.float32], repeat: int = 1
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_], Ended | None]:
        """Step all simulations; those whose episode ended are at the start of the next, and wait.

        What the steps pay is asked for afterwards, for many steps at once, with ``pay``.

        Args:
            actions: (N, n_actions).
            repeat: control steps of each.

        Returns:
            Observation (N, observation_size), ends of episodes (N,), and what ended, if any.

        Raises:
            ContractError: the program failed or broke its contract.
        """
        action = actions.astype(np.float64)
        observation, done, ended = self._step(action, None)
        for _ in range(repeat - 1):
            observation, more, also = self._step(action, done if ended else None)
            done, ended = done | more, also.join(ended) if also else ended
        return observation, done, ended

    def _step(
        self, action: FloatArray, waits: NDArray[np.bool_] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_], Ended | None]:
        """Step the simulations; those (N,) that wait stay where they are."""
        started = time.perf_counter()
        if waits is None:
            self._simulation.step(action)
        else:
            self._simulation.step(action, ~waits)
        stepped = time.perf_counter()
        next_state = self._simulation.read_state()
        if self.log is not None:
            next_state = self.log.add(next_state, action)
        observation = self._simulation.observation.astype(np.float32)
        terminated = self._simulation.find_terminated()
        is_over = terminated
        if self._ends_by_itself:
            is_over = terminated | self._simulation.find_truncated()
        measured = time.perf_counter()
        # No Transition: to make one costs as much as all else that is done to pay a step.
        self._payment.add((self._state, action, next_state, terminated))
        if self.practice:
            self.practice.step()
        taken = time.perf_counter()
        self._state = next_state
        self._lengths += 1
        self.n_steps += self.n_envs
        if waits is not None:
            ids = np.flatnonzero(waits)
            self._begin_again(ids)
            if self.log is not None:
                self.log.wait(ids)
            self._lengths[ids] = 0
            self.n_steps -= len(ids)
        most = self.practice.most_steps if self.practice else self.card.max_episode_steps
        done = is_over | (self._lengths >= most)
        if waits is not None:
            done &= ~waits
        self._flags.append((done, waits))
        if self.starts is not None:
            self._origins.append(self.starts.origins.copy())
        ended = self._end_episodes(done, terminated, observation) if done.any() else None
        self.seconds["physics"] += stepped - started
        self.seconds["reward"] += taken - measured
        self.seconds["state"] += measured - stepped + time.perf_counter() - taken
        return observation, done, ended

    def pay(self) -> FloatArray:
        """Return the rewards (n_steps, N) of the steps since it was last called; 0 of who waits.

        Raises:
            ContractError: the program failed or broke its contract.
        """
        started = time.perf_counter()
        rewards, terms = self._payment.collect()
        flags, self._flags = self._flags, []
        ends, waiting = zip(*flags, strict=True)
        done, masks = join_arrays(ends).reshape(rewards.shape), None
        if any(waits is not None for waits in waiting):
            nobody = np.zeros(self.n_envs, dtype=bool)
            masks = np.array([nobody if waits is None else waits for waits in waiting])
        returns = self.terms.add(terms, rewards, done, masks)
        if masks is not None:
            rewards = np.where(masks, 0.0, rewards)
        if self.starts is not None:
            origins, self._origins = np.array(self._origins), []
            self.starts.judge(origins.T[done.T], returns)
        if self.practice:
            self.practice.pay(rewards)
        self.seconds["reward"] += time.perf_counter() - started
        return rewards

    def pop_stretch(self) -> Stretch:
        """Return what was paid since the last call, and in which stages."""
        stretch = self.terms.pop()
        return replace(stretch, stages=self.practice.pop()) if self.practice else stretch

    def _read_first(self, ids: NDArray[np.intp]) -> State:
        """Return the states as the reward is given them, where some episodes have just begun."""
        state = self._simulation.read_state()
        if self.log is None:
            return state
        own = ids if self.starts is None else ids[self.starts.origins[ids] < 0]
        return self.log.begin(own, state)

    def _begin_again(self, ids: NDArray[np.intp]) -> None:
        """Let the reward begin with the first state that some simulations are in."""
        self._payment.restart(ids, self._state)
        if self.practice:
            self.practice.restart(ids)

    def _end_episodes(
        self,
        done: NDArray[np.bool_],
        terminated: NDArray[np.bool_],
        observation: NDArray[np.float32],
    ) -> Ended:
        """Begin the next episodes in the simulations whose episode ended."""
        ids = np.flatnonzero(done)
        ended = Ended(ids, ~terminated[ids], observation[ids])
        if self.log is not None:
            self.log.end(ids, terminated)
        self._simulation.reset(ids)
        self._lengths[ids] = 0
        if self.practice:
            self.practice.end(ids)
        self._state = self._read_first(ids)
        self._begin_again(ids)
        observation[ids] = self._simulation.observation[ids]
        return ended


class Payment:
    """Has steps paid many in one call, or each at once if the reward remembers.

    A reward without memory pays each row for itself alone (the probe refuses others), so the steps
    of a rollout are as good as so many simulations.
    """

    def __init__(self, reward: Reward, n_sims: int) -> None:
        self._reward, self._n_sims = reward, n_sims
        self._steps_per_call = 1 if reward.has_memory else max(_ROWS_PER_CALL // n_sims, 1)
        self._open: list[Step] = []
        self._paid: list[StepReward] = []

    def begin(self, state: State) -> None:
        """Start episodes in all simulations; steps that were not collected are forgotten."""
        self._open, self._paid = [], []
        self._reward.begin(state)

    def restart(self, ids: NDArray[np.intp], state: State) -> None:
        """Start new episodes in some simulations, whose first state is in ``state``."""
        self._reward.restart(ids, state)

    def add(self, step: Step) -> None:
        """Take a step to be paid; the program may fail with a ``ContractError``."""
        self._open.append(step)
        if len(self._open) == self._steps_per_call:
            self._pay()

    def collect(self) -> tuple[FloatArray, dict[str, FloatArray]]:
        """Return reward and terms, each (n_steps, N), of the steps since it was last called."""
        if self._open:
            self._pay()
        paid, self._paid = self._paid, []
        terms = {name: self._stack([p.terms[name] for p in paid]) for name in paid[0].terms}
        return self._stack([part.reward for part in paid]), terms

    def _pay(self) -> None:
        step, self._open = Transition.join(self._open), []
        self._paid.append(self._reward.step(*step))

    def _stack(self, parts: Sequence[FloatArray]) -> FloatArray:
        rows = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return rows.reshape(-1, self._n_sims)
