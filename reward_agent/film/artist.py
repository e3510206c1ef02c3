"""Who draws an episode: MuJoCo from its positions, or EnvPool, which plays it once more.

Import this only after ``MUJOCO_GL`` is set: MuJoCo chooses its renderer when it is imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import mujoco
import numpy as np
from numpy.typing import NDArray

from reward_agent.definitions.card import EnvCard
from reward_agent.film.camera import plan_camera
from reward_agent.film.footage import Footage
from reward_agent.simulation.model import make_model
from reward_agent.simulation.pool import PoolSimulation

Frame = NDArray[np.uint8]

_SQUARE_M, _MEAN_TEXEL, _CONTRAST = 0.5, 110, 0.2
_SLICES, _STACKS = 14, 7


class Artist(Protocol):
    """Draws an environment in one size."""

    most_frames_per_s: int

    def draw(self, footage: Footage, steps: Sequence[int]) -> list[Frame]:
        """Return a picture ``(height, width, 3)`` of each of the steps, which rise."""

    def close(self) -> None:
        """Free what it draws with."""


def make_artist(card: EnvCard, width: int, height: int) -> Artist:
    """Return who draws a card's episodes, in pixels.

    Raises:
        DataError: the card's model is missing or wrong.
    """
    maker = _EnvPoolArtist if card.model.envpool else _MujocoArtist
    return maker(card, width, height)


class _MujocoArtist:
    most_frames_per_s = 1000

    def __init__(self, card: EnvCard, width: int, height: int) -> None:
        self._control_dt = card.control_dt
        self._model = make_model(card, fields=())
        _make_cheap(self._model, width, height)
        self._data = mujoco.MjData(self._model)
        self._renderer = mujoco.Renderer(self._model, height, width)
        for flag in (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION):
            self._renderer.scene.flags[flag] = 0
        self._aspect = width / height

    def draw(self, footage: Footage, steps: Sequence[int]) -> list[Frame]:
        shown = footage.qpos[list(steps)]
        frame_s = self._control_dt * (steps[-1] - steps[0]) / max(1, len(steps) - 1)
        path = plan_camera(self._model, shown, max(frame_s, self._control_dt), self._aspect)
        frames = []
        for index, row in enumerate(shown):
            self._data.qpos[:] = row
            mujoco.mj_kinematics(self._model, self._data)
            mujoco.mj_comPos(self._model, self._data)
            mujoco.mj_camlight(self._model, self._data)
            self._renderer.update_scene(self._data, path.make_camera(index))
            frames.append(self._renderer.render())
        return frames

    def close(self) -> None:
        self._renderer.close()


class _EnvPoolArtist:
    # A picture takes a seventh of a second, for shadows that cannot be turned off.
    most_frames_per_s = 12

    def __init__(self, card: EnvCard, width: int, height: int) -> None:
        self._card, self._size = card, (width, height)
        # A first picture loads the driver, which a sealed process could not.
        self._begin(0).draw()

    def draw(self, footage: Footage, steps: Sequence[int]) -> list[Frame]:
        if footage.action is None:
            raise ValueError("EnvPool draws an episode from its seed and its actions")
        simulation, frames, at = self._begin(footage.seed), [], 0
        for step in steps:
            for action in footage.action[at:step]:
                simulation.step(action[None])
            frames.append(simulation.draw())
            at = step
        return frames

    def close(self) -> None:
        """Each pool frees its own."""

    def _begin(self, seed: int) -> PoolSimulation:
        simulation = PoolSimulation(self._card, 1, seed, fields=(), picture=self._size)
        simulation.reset()
        return simulation


def _make_cheap(model: mujoco.MjModel, width: int, height: int) -> None:
    """Turn off what costs time, and let the floor reach to the horizon."""
    model.vis.global_.offwidth = max(width, model.vis.global_.offwidth)
    model.vis.global_.offheight = max(height, model.vis.global_.offheight)
    model.vis.quality.offsamples = 0
    model.vis.quality.shadowsize = 0
    # A software renderer pays for each corner; so few still look round in a small picture.
    model.vis.quality.numslices, model.vis.quality.numstacks = _SLICES, _STACKS
    model.vis.quality.numquads = 1
    for geom in np.flatnonzero(model.geom_type == mujoco.mjtGeom.mjGEOM_PLANE):
        if model.geom_bodyid[geom] == 0:
            model.geom_size[geom, :2] = 0.0
            _calm_checks(model, int(model.geom_matid[geom]))


def _calm_checks(model: mujoco.MjModel, material: int) -> None:
    """Make the squares of a floor large and pale: fine bright ones flicker and compress badly."""
    if material < 0:
        return
    model.mat_texuniform[material] = 1
    model.mat_texrepeat[material] = 1 / (2 * _SQUARE_M)
    texture = int(model.mat_texid[material][mujoco.mjtTextureRole.mjTEXROLE_RGB])
    if texture >= 0:
        size = model.tex_width[texture] * model.tex_height[texture] * model.tex_nchannel[texture]
        start = model.tex_adr[texture]
        texels = model.tex_data[start : start + size]
        texels[:] = _MEAN_TEXEL + _CONTRAST * (texels - texels.mean())
