"""MuJoCo's pictures of an episode, drawn from its positions.

The camera looks from the side at what moves in a plane, aslant at the rest; it follows a robot that
leaves its place and stands still before one that does not. Lines on the floor show how far a robot
has gone.

Import this only after ``MUJOCO_GL`` is set: MuJoCo chooses its renderer when it is imported.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from reward_agent.definitions.card import EnvCard
from reward_agent.simulation.backends import Footage, Frame
from reward_agent.simulation.mujoco_draws import PoseLayout
from reward_agent.simulation.mujoco_model import make_model
from reward_agent.simulation.state import FloatArray

_SQUARE_M, _MEAN_TEXEL, _CONTRAST = 0.5, 110, 0.2
# Corners of what is round, in a small picture and in one of so many lines.
_SLICES, _FINE_SLICES, _FINE_HEIGHT = 14, 28, 400
_MARGIN = 1.25
# Seconds over which the camera's motion is averaged; a hop should not shake the picture.
_SMOOTHING_S = 0.6
# A robot all of which goes this many times its own size is followed.
_FOLLOW_FACTOR = 1.2
_FLAT_M = 1e-6
# A camera that moved less stands; a robot no part of which stays within that much has gone.
_STANDING_M, _GONE_M = 0.05, 0.2
# Marks on the floor: how far apart they may be, and how many of them a picture shows at most.
_APART_M, _MOST_MARKS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0), 7
_MARK_RGBA = np.array([0.93, 0.9, 0.78, 1.0], np.float32)
# Its thickness and its length, as shares of the camera's distance.
_MARK_THICK, _MARK_LONG = 0.0035, 0.28


class MujocoArtist:
    """Draws as ``backends.Artist`` says: by a camera of the card's choice, or by one of ours."""

    most_frames_per_s = 1000

    def __init__(self, card: EnvCard, width: int, height: int) -> None:
        self._control_dt, self._fixed = card.control_dt, card.model.camera
        self._model = make_model(card, fields=(), is_drawn=True)
        self._layout = PoseLayout(card, self._model)
        _make_cheap(self._model, width, height)
        self._data = mujoco.MjData(self._model)
        scale = mujoco.mjtFontScale
        font = scale.mjFONTSCALE_200 if height >= _FINE_HEIGHT else scale.mjFONTSCALE_50
        self._renderer = mujoco.Renderer(self._model, height, width, font_scale=font)
        for flag in (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION):
            self._renderer.scene.flags[flag] = 0
        self._aspect = width / height

    def draw(self, footage: Footage, steps: Sequence[float]) -> Iterator[Frame]:
        """Yield a picture ``(height, width, 3)`` of each of the steps, which may lie between two.

        Where one is far from the step before it, the camera goes there at once.
        """
        rows = self._find_poses(footage.pose, steps)
        apart = np.diff(steps)
        usual = float(np.median(apart)) if len(apart) else 1.0
        path = plan_camera(
            self._model,
            rows[:, : self._model.nq],
            self._control_dt * usual,
            self._aspect,
            cuts=[int(at) + 1 for at in np.flatnonzero(apart > 2 * usual + 1)],
        )
        marks = self._plan_marks(footage.pose[:1], path)
        for index, row in enumerate(rows):
            self._layout.apply(row, self._model, self._data)
            mujoco.mj_kinematics(self._model, self._data)
            mujoco.mj_comPos(self._model, self._data)
            mujoco.mj_camlight(self._model, self._data)
            camera = path.make_camera(index) if self._fixed < 0 else self._fixed
            self._renderer.update_scene(self._data, camera)
            if marks is not None:
                marks.add_to(self._renderer.scene, path.lookat[index])
            yield self._renderer.render()

    def _find_poses(self, pose: FloatArray, steps: Sequence[float]) -> FloatArray:
        """Return the poses ``(F, n)`` at the steps: on the way from one to the next, turns too."""
        before = np.clip(np.floor(steps).astype(int), 0, len(pose) - 1)
        after = np.minimum(before + 1, len(pose) - 1)
        share = np.asarray(steps) - before
        rows: FloatArray = pose[before] + share[:, None] * (pose[after] - pose[before])
        nq, velocity = self._model.nq, np.empty(self._model.nv)
        for index in np.flatnonzero(share):
            start = np.ascontiguousarray(pose[before[index], :nq])
            end = np.ascontiguousarray(pose[after[index], :nq])
            mujoco.mj_differentiatePos(self._model, velocity, 1.0, start, end)
            mujoco.mj_integratePos(self._model, start, velocity, share[index])
            rows[index, :nq] = start
        return rows

    def _plan_marks(self, first: FloatArray, path: CameraPath) -> Marks | None:
        """Return marks along the way of a robot that goes over a floor, else None."""
        floor = find_floor(self._model)
        if self._fixed >= 0 or floor is None or path.way.max() < _GONE_M:
            return None
        centres, _ = _trace_geoms(self._model, first[:, : self._model.nq])
        height = 2 * path.distance * math.tan(math.radians(self._model.vis.global_.fovy) / 2)
        return Marks(
            axis=int(path.way.argmax()),
            origin=(centres.min(axis=(0, 1)) + centres.max(axis=(0, 1))) / 2,
            floor=floor,
            seen=height * self._aspect,
            distance=path.distance,
        )

    def locate(self, footage: Footage, steps: Sequence[int]) -> list[str]:
        """Return the camera's place along x, and along y where it goes there, in each step."""
        rows = footage.pose[list(steps), : self._model.nq]
        frame_s = self._control_dt * (steps[-1] - steps[0]) / max(1, len(steps) - 1)
        path = plan_camera(self._model, rows, max(frame_s, self._control_dt), self._aspect)
        moved = path.lookat - path.lookat[0]
        axes = [axis for axis in (0, 1) if np.ptp(moved[:, axis]) > _STANDING_M]
        if self._fixed >= 0 or not axes:
            return []
        return [" ".join(f"{'xy'[a]} {place[a]:+.1f} m" for a in axes) for place in moved]

    def close(self) -> None:
        """Free the renderer."""
        self._renderer.close()


def _make_cheap(model: mujoco.MjModel, width: int, height: int) -> None:
    """Turn off what costs time, and let the floor reach to the horizon."""
    model.vis.global_.offwidth = max(width, model.vis.global_.offwidth)
    model.vis.global_.offheight = max(height, model.vis.global_.offheight)
    model.vis.quality.offsamples = 0
    model.vis.quality.shadowsize = 0
    # A software renderer pays for each corner; few still look round in a small picture.
    slices = _FINE_SLICES if height >= _FINE_HEIGHT else _SLICES
    model.vis.quality.numslices, model.vis.quality.numstacks = slices, slices // 2
    model.vis.quality.numquads = 1
    for geom in np.flatnonzero(model.geom_type == mujoco.mjtGeom.mjGEOM_PLANE):
        if model.body_weldid[model.geom_bodyid[geom]] == 0:
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


def find_floor(model: mujoco.MjModel) -> float | None:
    """Return the height of the plane on which a robot goes, m; None without one that is level."""
    heights = [
        float(model.geom_pos[geom, 2])
        for geom in np.flatnonzero(model.geom_type == mujoco.mjtGeom.mjGEOM_PLANE)
        if model.geom_bodyid[geom] == 0 and abs(model.geom_quat[geom, 0]) > 1 - _FLAT_M
    ]
    return max(heights, default=None)


@dataclass(frozen=True)
class Marks:
    """Lines across the way of a robot, each with its distance from where the robot began.

    Args:
        axis: 0 or 1, along which the robot travels.
        origin: ``(3,)``, m, where it began.
        floor: its height, m.
        seen: width of what the picture shows, m.
        distance: of the camera, m.
    """

    axis: int
    origin: FloatArray
    floor: float
    seen: float
    distance: float

    @property
    def apart(self) -> float:
        """From one line to the next, m."""
        return next((a for a in _APART_M if self.seen / a <= _MOST_MARKS), _APART_M[-1])

    def add_to(self, scene: mujoco.MjvScene, lookat: FloatArray) -> None:
        """Draw those that a camera sees which looks at a point."""
        centre = (lookat[self.axis] - self.origin[self.axis]) / self.apart
        reach = self.seen / self.apart
        for number in range(math.floor(centre - reach), math.ceil(centre + reach) + 1):
            self._add(scene, lookat, number * self.apart)

    def _add(self, scene: mujoco.MjvScene, lookat: FloatArray, gone: float) -> None:
        across = 1 - self.axis
        place = np.array([0.0, 0.0, self.floor])
        place[self.axis], place[across] = self.origin[self.axis] + gone, lookat[across]
        size = np.full(3, 0.001)
        size[self.axis], size[across] = _MARK_THICK * self.distance, _MARK_LONG * self.distance
        _add_geom(scene, mujoco.mjtGeom.mjGEOM_BOX, size, place)
        # At the end that is near the camera, which stands at -y and, aslant, at +x.
        place[across] += size[across] * (-1 if across == 1 else 1)
        _add_geom(scene, mujoco.mjtGeom.mjGEOM_LABEL, np.full(3, 0.01), place, f"{gone:g} m")


def _add_geom(
    scene: mujoco.MjvScene,
    kind: mujoco.mjtGeom,
    size: FloatArray,
    place: FloatArray,
    label: str = "",
) -> None:
    if scene.ngeom >= scene.maxgeom:
        return
    geom = scene.geoms[scene.ngeom]
    mujoco.mjv_initGeom(geom, kind, size, place, np.eye(3).ravel(), _MARK_RGBA)
    geom.category, geom.label = mujoco.mjtCatBit.mjCAT_DECOR, label
    scene.ngeom += 1


@dataclass(frozen=True)
class CameraPath:
    """A camera in each frame.

    Args:
        lookat: ``(F, 3)`` point in the middle of the picture, m.
        distance: from that point, m.
        azimuth: degrees; 90 looks along +y.
        elevation: degrees; -90 looks down.
        way: ``(2,)``, m, how far every moving part goes at least, along x and y.
    """

    lookat: FloatArray
    distance: float
    azimuth: float
    elevation: float
    way: FloatArray

    def make_camera(self, frame: int) -> mujoco.MjvCamera:
        """Return MuJoCo's camera for one frame."""
        camera = mujoco.MjvCamera()
        camera.type = mujoco.mjtCamera.mjCAMERA_FREE
        camera.lookat[:] = self.lookat[frame]
        camera.distance, camera.azimuth = self.distance, self.azimuth
        camera.elevation = self.elevation
        return camera


def plan_camera(
    model: mujoco.MjModel, qpos: FloatArray, frame_s: float, aspect: float, cuts: Sequence[int] = ()
) -> CameraPath:
    """Return the camera for frames ``qpos`` (F, nq) of an episode, ``frame_s`` seconds apart.

    ``cuts`` are frames that do not follow on the one before.
    """
    centres, radii = _trace_geoms(model, qpos)
    low, high = (centres - radii[:, None]).min(axis=1), (centres + radii[:, None]).max(axis=1)
    azimuth, elevation = _choose_angles(centres)
    robot = np.median(high - low, axis=0)
    whole = high.max(axis=0) - low.min(axis=0)
    middle = (high + low) / 2
    gone = np.ptp(centres, axis=0)[:, :2]
    # An arm on a base sweeps far, but its first link stays.
    if gone.max(axis=1).min() > _FOLLOW_FACTOR * robot.max():
        window = max(1, round(_SMOOTHING_S / frame_s))
        lookat = np.concatenate([_smooth(part, window) for part in np.split(middle, cuts)])
        # The height of the view stays, so that one sees how high the robot jumps.
        lookat[:, 2] = (low[:, 2].min() + high[:, 2].max()) / 2
        size = np.array([robot[0] * 1.6, robot[1] * 1.6, max(whole[2], robot[2])])
    else:
        lookat = np.repeat(((high.max(axis=0) + low.min(axis=0)) / 2)[None], len(qpos), axis=0)
        size = whole
    distance = _find_distance(size, elevation, model.vis.global_.fovy, aspect)
    return CameraPath(lookat, distance, azimuth, elevation, gone.min(axis=0))


def _trace_geoms(model: mujoco.MjModel, qpos: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the centres ``(F, G, 3)`` of the geoms that can move, and their radii ``(G,)``."""
    data = mujoco.MjData(model)
    moving = np.flatnonzero(model.body_weldid[model.geom_bodyid] != 0)
    centres = np.empty((len(qpos), len(moving), 3))
    for frame, row in enumerate(qpos):
        data.qpos[:] = row
        mujoco.mj_kinematics(model, data)
        centres[frame] = data.geom_xpos[moving]
    # The radius of a capsule's bounding sphere is half its length; half of that frames better.
    return centres, model.geom_rbound[moving] * 0.7


def _choose_angles(centres: FloatArray) -> tuple[float, float]:
    travel: NDArray[np.float64] = np.ptp(centres, axis=0).max(axis=0)
    if travel[1] < _FLAT_M:
        return 90.0, -8.0
    if travel[2] < _FLAT_M:
        return 90.0, -80.0
    return 120.0, -18.0


def _find_distance(size: FloatArray, elevation: float, fovy: float, aspect: float) -> float:
    """Return the distance from which a box of that size fills the picture."""
    angle = math.radians(-elevation)
    width = float(max(size[0], size[1]))
    height = float(size[2] * math.cos(angle) + width * math.sin(angle))
    distance = _MARGIN * max(height, width / aspect) / (2 * math.tan(math.radians(fovy) / 2))
    # What lies in a plane has no depth; of the rest, the near half looks larger.
    is_deep = min(size[0], size[1]) > _FLAT_M + 0.5 * width
    return distance + (0.5 * width * math.cos(angle) if is_deep else 0.0)


def _smooth(path: FloatArray, window: int) -> FloatArray:
    """Return a centred moving average; the ends are held."""
    window = min(window, len(path)) | 1
    padded = np.pad(path, ((window // 2, window // 2), (0, 0)), mode="edge")
    kernel = np.ones(window) / window
    columns = [np.convolve(column, kernel, mode="valid") for column in padded.T]
    return np.stack(columns, axis=1)
