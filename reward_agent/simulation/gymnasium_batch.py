"""Plain Gymnasium environments side by side, in this process: the back end ``gymnasium``.

What can be measured is what they return, by the names that ``gymnasium_host`` gives it. A module
that makes them is looked for in the card's folder, then among the installed packages; it is
imported when the first simulation is made, which is in a sealed process.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reward_agent.definitions.card import EnvCard, find_env_dir
from reward_agent.definitions.sources import Array, Source
from reward_agent.errors import DataError, EnvironmentFailure, hint_closest
from reward_agent.records.drafting_jobs import CheckEnvResult
from reward_agent.simulation.backends import Footage, Frame, find_infos, find_python
from reward_agent.simulation.gymnasium_host import ActionForm, EnvError, EnvGroup
from reward_agent.simulation.gymnasium_process import ProcessGroup, start_host
from reward_agent.simulation.simulation import (
    Reader,
    Simulation,
    list_ids,
    make_constant,
    make_finding,
    show_range,
)
from reward_agent.simulation.state import FloatArray
from reward_agent.types import Finding

ENDED = "ended by the environment"
_SLACK = 1e-6


class GymnasiumSimulation(Simulation):
    """Environments that are stepped one after the other; an ended one waits for its reset.

    Raises:
        UnknownNameError: ``fields`` names one that the card has not.
        DataError: there is no such environment, or the card does not fit it.
    """

    end_reason = ENDED
    ends_by_itself = True

    def __init__(
        self,
        card: EnvCard,
        n_sims: int,
        seed: int,
        fields: Collection[str] | None = None,
        is_drawn: bool = False,
    ) -> None:
        self.card = card
        self.infos = find_infos(card.fields)
        model = card.model
        try:
            start_host(card)
            make: type[EnvGroup | ProcessGroup] = ProcessGroup if find_python(card) else EnvGroup
            self.group = make(
                name=str(model.id),
                options=dict(model.options),
                folder=str(find_env_dir(card)),
                n_envs=n_sims,
                seed=seed,
                infos=self.infos,
                is_drawn=is_drawn,
            )
        except EnvError as error:
            raise DataError(self._tell(error), error.remedy) from error
        self._check_sizes()
        self._low, self._factor = find_stretch(card, self.group)
        super().__init__(card, n_sims, fields)

    def begin(self, ids: NDArray[np.int32]) -> None:
        """Start new episodes."""
        try:
            self.group.reset(ids.tolist())
        except EnvError as error:
            self._blame(error)

    def advance(self, action: FloatArray, ids: ArrayLike | None) -> None:
        """Advance by one control step, with actions clipped to the card's ``action_range``."""
        low, high = self.card.action_range
        given = np.minimum(np.maximum(action, low), high)
        if self.card.action_mapping == "rescaled":
            given = self._low + (given - low) * self._factor
        try:
            self.group.step(given, list_ids(ids, self.n_sims).tolist())
        except EnvError as error:
            self._blame(error)

    @property
    def physics(self) -> dict[str, FloatArray]:
        """Positions and velocities where they are MuJoCo's, in this process."""
        return self.group.read_physics()

    def put_fields(self, ids: NDArray[np.int32], values: Mapping[str, FloatArray]) -> None:
        """Put environments of MuJoCo's into states by all positions and velocities at once."""
        if set(values) != {"qpos", "qvel"} or not self.physics:
            raise self._refuse_state()
        try:
            self.group.put(ids.tolist(), values["qpos"], values["qvel"])
        except EnvError as error:
            self._blame(error)
        self._expressions.values.clear()

    def draw(self) -> Frame:
        """Return a picture ``(height, width, 3)`` of simulation 0."""
        try:
            return np.asarray(self.group.draw())
        except EnvError as error:
            self._blame(error)

    def find_stuck(self) -> NDArray[np.bool_]:
        """Return ``(N,)``: whose episode the environment has ended."""
        return np.asarray(self.group.terminated)

    def find_truncated(self) -> NDArray[np.bool_]:
        """Return ``(N,)``: whose episode the environment has cut off, as its time was over."""
        return np.asarray(self.group.truncated)

    def compile_leaf(self, source: Source) -> Reader:
        """Read what the environments return by its name."""
        name = source.name if isinstance(source, Array) else str(source)
        names = self.group.names
        if name not in names:
            raise DataError(
                f"{self.card.model.id} returns no {name!r}{hint_closest(name, names)}",
                f"it returns {', '.join(sorted({*names, *self.group.known}))}",
            )
        start, size = names[name]
        values = self.group.values
        return make_constant(values[:, start : start + size] if size else values[:, start])

    def _check_sizes(self) -> None:
        """Refuse a card whose actions are others."""
        found, card, name = self.group, self.card, self.card.model.id
        if tuple(found.n_choices) != card.n_choices:
            shown = f"choices = {found.n_choices}" if found.n_choices else "no choices"
            raise DataError(
                f"environment {card.name!r}: choices makes {list(card.n_choices) or 'numbers'} of "
                f"its actions, those of {name} are {found.n_choices or 'numbers'}",
                f"give {shown}",
            )
        if found.n_actions != card.n_actions:
            raise DataError(
                f"environment {card.name!r}: it names {card.n_actions} actions, {name} has "
                f"{found.n_actions}",
                "correct actions",
            )

    def _blame(self, error: EnvError) -> NoReturn:
        """Raise what an environment of a card could not do.

        Raises:
            EnvironmentFailure: always.
        """
        raise EnvironmentFailure(self._tell(error), error.remedy) from error

    def _tell(self, error: EnvError) -> str:
        return f"environment {self.card.name!r}: {error.message}"


def find_stretch(
    card: EnvCard, actions: EnvGroup | ProcessGroup | ActionForm
) -> tuple[FloatArray, FloatArray]:
    """Return what takes an action from the card's range to the environment's: offset and factor.

    Raises:
        DataError: the environment's has no end.
    """
    if card.action_mapping == "direct":
        return np.zeros(card.n_actions), np.ones(card.n_actions)
    if not (np.isfinite(actions.low).all() and np.isfinite(actions.high).all()):
        raise DataError(
            f"environment {card.name!r}: the actions of {card.model.id} have no bounds to which "
            "action_range could be stretched",
            "leave action_mapping out, and say in action_range how large an action may be",
        )
    low, high = card.action_range
    return actions.low, (actions.high - actions.low) / (high - low)


def compare_with_environment(simulation: GymnasiumSimulation) -> CheckEnvResult:
    """Compare a card's actions, times and info with the environment, after it was stepped."""
    group = simulation.group
    facts = {
        "environment": str(simulation.card.model.id),
        "returns": ", ".join(sorted({*group.names, *group.known})),
    }
    return CheckEnvResult(
        findings=(*_check_infos(simulation), *_check_actions(simulation)), facts=facts
    )


def _check_infos(simulation: GymnasiumSimulation) -> Iterator[Finding]:
    known = {**simulation.group.known, **simulation.group.seen}
    for path in simulation.infos:
        if path not in known:
            yield make_finding(
                "info",
                f"{path!r} never came with the steps of random episodes{hint_closest(path, known)}",
                "correct it, or see when the environment gives it; where it is not there, it is 0",
            )


def _check_actions(simulation: GymnasiumSimulation) -> Iterator[Finding]:
    card, found = simulation.card, simulation.group
    low, high = card.action_range
    is_own = np.allclose(found.low, low, atol=_SLACK) and np.allclose(found.high, high, atol=_SLACK)
    has_ends = np.isfinite(found.low).all() and np.isfinite(found.high).all()
    if card.choices or card.action_mapping != "direct" or is_own or not has_ends:
        return
    ends = (float(found.low.min()), float(found.high.max()))
    yield make_finding(
        "actions",
        f"action_range is {show_range(card.action_range)}, the environment's {show_range(ends)}",
        "correct it, or set action_mapping = 'rescaled'",
    )


class GymnasiumArtist:
    """Draws as ``backends.Artist`` says: the environment plays the episode once more.

    It renders itself, in its own size.
    """

    most_frames_per_s = 30

    def __init__(self, card: EnvCard, width: int, height: int) -> None:
        # Of pygame, which would look for a screen.
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
        self._card, self._size = card, (width, height)
        # A first picture loads what draws, which a sealed process could not; a person's own
        # function, perhaps a stranger's, runs in a sealed one alone.
        if card.model.function is None:
            self._begin(0).draw()

    def draw(self, footage: Footage, steps: Sequence[float]) -> Iterator[Frame]:
        """Yield a picture ``(height, width, 3)`` of the state before each of the steps."""
        if footage.action is None:
            raise ValueError("an episode is drawn from its seed and its actions")
        simulation, at = self._begin(footage.seed), 0
        frame = self._draw(simulation)
        for step in map(int, steps):
            for action in footage.action[at:step]:
                simulation.step(action[None])
            if step > at:
                frame = self._draw(simulation)
            at = step
            yield frame
        simulation.group.close()

    def close(self) -> None:
        """Each episode's environment is closed at its end."""

    def _begin(self, seed: int) -> GymnasiumSimulation:
        simulation = GymnasiumSimulation(self._card, 1, seed, fields=(), is_drawn=True)
        simulation.reset()
        return simulation

    def _draw(self, simulation: GymnasiumSimulation) -> Frame:
        return fit_picture(simulation.draw(), *self._size)


def fit_picture(picture: Frame, width: int, height: int) -> Frame:
    """Return a picture scaled to lie in the middle of a black one of that size."""
    h, w = picture.shape[:2]
    scale = min(width / w, height / h)
    new_w, new_h = max(1, round(w * scale)), max(1, round(h * scale))
    rows = np.minimum((np.arange(new_h) / scale).astype(int), h - 1)
    columns = np.minimum((np.arange(new_w) / scale).astype(int), w - 1)
    frame = np.zeros((height, width, 3), dtype=np.uint8)
    top, left = (height - new_h) // 2, (width - new_w) // 2
    frame[top : top + new_h, left : left + new_w] = picture[rows][:, columns]
    return frame
