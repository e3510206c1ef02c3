"""Many simulations of one card on ``mujoco-warp``, stepped together on a GPU.

The model is the one that ``simulation.mujoco_batch`` steps, in float32. Nothing here waits for the
device but ``is_overflown``, ``grow`` and ``save``: a control step takes no decision of the host.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, TypeAlias

import mujoco
import mujoco_warp as mjw
import numpy as np
import torch
import warp as wp

from reward_agent.definitions.card import EnvCard
from reward_agent.definitions.start import HomePose
from reward_agent.device.fitness import find_obstacle
from reward_agent.errors import DataError, EnvironmentFailure
from reward_agent.simulation.mujoco_batch import choose_stage
from reward_agent.simulation.mujoco_model import make_model
from reward_agent.simulation.mujoco_start import ResetDraws, find_action_map, find_home
from reward_agent.simulation.simulation import list_needed

Tensor: TypeAlias = torch.Tensor

# As MuJoCo's mjMAXVAL: beyond it, its own simulations count as diverged.
_LARGEST = 1e10
_N_STARTS = 8192
_MOST_GROWTHS = 4
# What a world goes on from.
_STATE = ("qpos", "qvel", "act", "ctrl", "qacc_warmstart", "time")
_FULL = (
    mjw.OverflowType.NEFC
    | mjw.OverflowType.NJMAX_NNZ
    | mjw.OverflowType.BROADPHASE
    | mjw.OverflowType.NARROWPHASE
    | mjw.OverflowType.CCD
    | mjw.OverflowType.CONTACT_MATCH
)
# A worker's output is its protocol: no word of each kernel that is loaded.
wp.config.log_level = wp.LOG_WARNING


@dataclass(frozen=True)
class Room:
    """How much room there is for what touches.

    Args:
        contacts: of a world on average: candidates for contacts lie in one buffer for all worlds.
        rows: of a world's constraints, at most.
    """

    contacts: int = 48
    rows: int = 96

    def double(self) -> Room:
        """Return twice the room."""
        return Room(2 * self.contacts, 2 * self.rows)


@dataclass(frozen=True)
class Saved:
    """What worlds go on from, to repeat a rollout: arrays by name, and the generator's state."""

    arrays: dict[str, Tensor]
    generator: Tensor


class Worlds:
    """N worlds of a card on one device, at the start of their episodes.

    Each episode starts in one of many states that the card's reset has drawn beforehand.

    Args:
        card: the environment.
        n_worlds: number of worlds N.
        seed: of the starts.
        device: torch's name of it; ``cpu`` is slow, and for tests.
        fields: names of the card's fields that will be read; None for all.
        room: for contacts and constraints.
        is_captured: whether a step is launched as one graph.

    Attributes:
        model: as MuJoCo compiled it.
        notes: where the physics differs from what scores are measured on.
        has_diverged: ``(N,)`` bool: whose physics the last step broke; they need a reset.

    Raises:
        DataError: the card cannot be simulated here.
    """

    def __init__(
        self,
        card: EnvCard,
        n_worlds: int,
        seed: int,
        device: str = "cuda",
        fields: Collection[str] | None = None,
        room: Room | None = None,
        is_captured: bool = True,
    ) -> None:
        obstacle = find_obstacle(card)
        if obstacle:
            raise DataError(f"{card.name} on a GPU: {obstacle}", "train it with --device cpu")
        needed = list_needed(card, fields)
        self.card, self.n_worlds, self.device = card, n_worlds, torch.device(device)
        self.model = make_model(card, needed)
        self.notes = _make_simulable(self.model)
        self._is_current = bool(choose_stage(card, needed))
        _check_sensors(self.model, self._is_current)
        self._room, self._n_growths, self._is_captured = room or Room(), 0, is_captured
        _leave_default_stream(self.device)
        self._make_starts(seed)
        self._generator = torch.Generator(self.device).manual_seed(seed)
        with self._on_device():
            try:
                self._warp_model = mjw.put_model(self.model)
            except NotImplementedError as error:
                raise DataError(
                    f"{card.name} on a GPU: {error}", "train it with --device cpu"
                ) from error
        # Else the device prints each overflow.
        self._warp_model.opt.warn_overflow = 0
        self._allocate()
        self.reset(torch.ones(n_worlds, dtype=torch.bool, device=self.device))

    def _make_starts(self, seed: int) -> None:
        """Draw what episodes begin with, and what actions become."""
        home = find_home(self.card, self.model)
        draws = ResetDraws(self.card, self.model, home, [np.random.default_rng(seed)])
        starts = [draws.draw(0) for _ in range(_N_STARTS)]
        self._starts = {
            "qpos": self._put(np.stack([start.qpos for start in starts])),
            "qvel": self._put(np.stack([start.qvel for start in starts])),
        }
        scale, offset = find_action_map(self.card, self.model, home)
        self._scale, self._offset = self._put(scale), self._put(offset)
        act = np.zeros(self.model.na)
        act[list(home.act)] = list(home.act.values())
        is_held = self.card.action_mapping == "around_home" or self.card.home != HomePose()
        held = {"ctrl": home.ctrl, "act": act}
        self._held = {name: self._put(values * is_held) for name, values in held.items()}

    def _put(self, values: np.ndarray[Any, Any]) -> Tensor:
        return torch.tensor(np.array(values), dtype=torch.float32, device=self.device)

    def _on_device(self) -> Any:
        """Launch what follows where torch does: on its device, in its stream."""
        if self.device.type == "cpu":
            return wp.ScopedDevice("cpu")
        return wp.ScopedStream(wp.stream_from_torch(torch.cuda.current_stream(self.device)))

    def _allocate(self) -> None:
        """Make the worlds with the room that they have now, and the graphs that move them."""
        with self._on_device():
            data = mjw.make_data(
                self.model, self.n_worlds, nconmax=self._room.contacts, njmax=self._room.rows
            )
        self._data = data
        self._views: dict[str, Tensor] = {}
        self.has_diverged = torch.zeros(self.n_worlds, dtype=torch.bool, device=self.device)
        self._is_new = torch.zeros_like(self.has_diverged)
        self._bits = torch.zeros(self.n_worlds, dtype=torch.int32, device=self.device)
        mask = wp.from_torch(self._is_new, dtype=wp.bool)
        self._run_step = self._record(self._launch_step)
        self._run_clear = self._record(lambda: mjw.reset_data(self._warp_model, data, mask))
        self._run_settle = self._record(lambda: mjw.step1(self._warp_model, data))

    def _launch_step(self) -> None:
        for _ in range(self.card.model.frame_skip):
            mjw.step(self._warp_model, self._data)
        if self._is_current:
            mjw.step1(self._warp_model, self._data)

    def _record(self, launch: Callable[[], None]) -> Callable[[], None]:
        """Return what launches kernels again, as one graph if it is captured.

        They are launched once before: modules are loaded then, which no capture allows.
        """
        with self._on_device():
            launch()
            if self._is_captured:
                with wp.ScopedCapture() as capture:
                    launch()

        def run() -> None:
            with self._on_device():
                if self._is_captured:
                    wp.capture_launch(capture.graph)
                else:
                    launch()

        return run

    def read(self, name: str) -> Tensor:
        """Return one of MuJoCo's arrays of data, live, shaped as ``mujoco.batch`` has it.

        Do not keep it over ``grow``.

        Raises:
            DataError: there is none of that name here.
        """
        if name not in self._views:
            array = getattr(self._data, name, None)
            if not isinstance(array, wp.array) or array.shape[:1] != (self.n_worlds,):
                raise DataError(f"mujoco-warp's data has no array {name!r}", "read another field")
            view = wp.to_torch(array)
            self._views[name] = view.flatten(2) if view.ndim > 3 else view
        return self._views[name]

    def advance(self, action: Tensor) -> None:
        """Advance all worlds by one control step; ``action`` is ``(N, n_actions)``."""
        self.read("ctrl").copy_(action * self._scale + self._offset)
        self._run_step()
        self._bits |= self.read("overflow")
        self.has_diverged.fill_(False)
        for name in ("qpos", "qvel", "qacc"):
            values = self.read(name)
            # A NaN is not within either.
            self.has_diverged |= ~(values.abs() <= _LARGEST).all(dim=1)

    def reset(self, mask: Tensor) -> None:
        """Start new episodes where ``mask`` ``(N,)`` says so.

        Fields of the others that are derived are afterwards those of their state now, also where
        the card says that they lag.
        """
        self._is_new.copy_(mask)
        self._run_clear()
        rows = torch.randint(
            _N_STARTS, (self.n_worlds,), generator=self._generator, device=self.device
        )
        chosen = self._is_new[:, None]
        for name, starts in self._starts.items():
            values = self.read(name)
            values.copy_(torch.where(chosen, starts[rows], values))
        for name, held in self._held.items():
            values = self.read(name)
            values.copy_(torch.where(chosen, held, values))
        self._run_settle()

    def is_overflown(self) -> bool:
        """Whether a buffer was too small since the last ``forgive``; waits for the device.

        Contacts are then missing, perhaps those of other worlds than of the one that lies down:
        what was simulated since is void.
        """
        return bool((self._bits & int(_FULL)).any())

    def forgive(self) -> None:
        """Count overflows from now on."""
        self._bits.zero_()

    def grow(self) -> None:
        """Make the buffers twice as large; the worlds are lost, see ``restore``.

        Raises:
            EnvironmentFailure: they have been made larger often enough.
        """
        if self._n_growths == _MOST_GROWTHS:
            raise EnvironmentFailure(
                f"{self.card.name} on a GPU: {self._room.contacts} contacts and {self._room.rows} "
                "rows of constraints a world are too few",
                "train it with --device cpu",
            )
        self._n_growths += 1
        self._room = self._room.double()
        self._allocate()

    def save(self) -> Saved:
        """Return what the worlds go on from."""
        arrays = {name: self.read(name).clone() for name in _STATE}
        return Saved(arrays, self._generator.get_state())

    def restore(self, saved: Saved) -> None:
        """Put the worlds where they were; fields that are derived follow with the next step."""
        for name, values in saved.arrays.items():
            self.read(name).copy_(values)
        self._generator.set_state(saved.generator)
        self.forgive()

    def put(self, qpos: Tensor, qvel: Tensor) -> None:
        """Put all worlds into states, ``(N, nq)`` and ``(N, nv)``, to read their fields."""
        self.read("qpos").copy_(qpos)
        self.read("qvel").copy_(qvel)
        self.read("qacc_warmstart").zero_()
        self._run_settle()


def _leave_default_stream(device: torch.device) -> None:
    """Go on in a stream of this thread's own on a GPU: in the default one nothing is captured."""
    if device.type != "cuda":
        return
    if torch.cuda.current_stream(device) == torch.cuda.default_stream(device):
        # What was launched in the other stream has to be there.
        torch.cuda.synchronize(device)
        torch.cuda.set_stream(torch.cuda.Stream(device))


def _make_simulable(model: mujoco.MjModel) -> tuple[str, ...]:
    """Replace what ``mujoco-warp`` lacks by what does the same; return what was replaced."""
    if model.opt.solver != mujoco.mjtSolver.mjSOL_PGS:
        return ()
    model.opt.solver = mujoco.mjtSolver.mjSOL_NEWTON
    return ("the GPU solves contacts by Newton's method, the model says PGS",)


def _check_sensors(model: mujoco.MjModel, is_current: bool) -> None:
    """Refuse sensors of forces beside fields of the new state: they would read 0."""
    needs_forces = model.sensor_needstage == int(mujoco.mjtStage.mjSTAGE_ACC)
    if is_current and needs_forces.any():
        raise DataError(
            "a GPU measures no forces in states that are not stepped on",
            "set derived_fields = 'lagged', or train it with --device cpu",
        )
