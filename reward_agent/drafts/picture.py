"""A picture of a model in its home pose with the names of its parts on it, for a person's eye.

Import this only after ``MUJOCO_GL`` is set: MuJoCo chooses its renderer when it is imported.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import mujoco
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from reward_agent.definitions.card import EnvCard
from reward_agent.definitions.roles import Axis, RobotRoles
from reward_agent.simulation.mujoco_model import make_model
from reward_agent.simulation.mujoco_start import find_home

Array = NDArray[np.float64]
_WIDTH, _HEIGHT, _BAND, _LINE = 800, 600, 230, 20
_FONT_SIZE, _DOT, _HEAD = 13, 3, 9
_MOST_CHARS = 30
_PAPER, _INK, _FAINT = (20, 24, 32), (255, 255, 255), (120, 160, 210)
_ARROWS = {"forward": (255, 120, 90), "up": (110, 220, 130)}
# Of the picture's half, what points may take; and the way back that the camera is moved to it.
_WITHIN, _BACK, _N_BACK = 0.92, 1.1, 40
# Degrees: seen from the front and the left if all is in view from there, from above. m: no nearer.
_FROM, _DOWN, _NEAREST = (220.0, 140.0, 320.0, 40.0), -18.0, 0.05
# A ray that comes so far meets the part itself.
_AWAY, _ALL_THE_WAY = 1.6, 0.85
# m of an arrow, as a share of the camera's distance.
_ARROW = 0.12


@dataclass(frozen=True)
class Label:
    """A part's name, and where it is in the world ``(3,)``, m."""

    text: str
    point: Array


def draw_model(card: EnvCard, path: Path) -> None:
    """Write a PNG of a card's model: parts that have a role are named, the torso's axes drawn."""
    model = make_model(card, fields=())
    data = mujoco.MjData(model)
    data.qpos[:] = find_home(card, model).qpos
    mujoco.mj_forward(model, data)
    roles = card.roles or RobotRoles()
    labels = list(_list_labels(model, data, roles))
    parts = [label.point for label in labels]
    view = _View(model, data, parts, _find_heading(model, data, roles))
    picture = Image.new("RGB", (_WIDTH + 2 * _BAND, _HEIGHT), _PAPER)
    picture.paste(Image.fromarray(view.pixels), (_BAND, 0))
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(size=_FONT_SIZE)
    _draw_axes(pen, font, view, model, data, roles)
    _draw_labels(pen, font, [(label.text, view.project(label.point)) for label in labels])
    picture.save(path, format="PNG", optimize=True)


def _list_labels(model: mujoco.MjModel, data: mujoco.MjData, roles: RobotRoles) -> Iterator[Label]:
    named = [("torso", roles.torso), *(("foot", place) for place in roles.feet)]
    named += [("hand", place) for place in roles.hands]
    named += [(role, getattr(roles, role)) for role in ("tool", "object", "target", "fixture")]
    together: dict[str, list[str]] = {}
    for role, place in named:
        if place:
            together.setdefault(place, []).append(role)
    for place, words in together.items():
        name = place.partition(":")[2]
        text = f"{', '.join(words)}: {name}"
        short = text if len(text) <= _MOST_CHARS else f"{text[: _MOST_CHARS - 1]}…"
        yield Label(short, _locate(model, data, place))


def _locate(model: mujoco.MjModel, data: mujoco.MjData, place: str) -> Array:
    """Return where a part is; of a body, the middle of its geoms."""
    kind, _, name = place.partition(":")
    if kind == "body":
        body = model.body(name)
        first, n = int(body.geomadr[0]), int(body.geomnum[0])
        return np.array(data.geom_xpos[first : first + n].mean(axis=0) if n else data.xpos[body.id])
    points = {
        "geom": data.geom_xpos, "site": data.site_xpos, "joint": data.xanchor,
    }  # fmt: skip
    return np.array(points[kind][getattr(model, kind)(name).id])


def _list_corners(model: mujoco.MjModel, data: mujoco.MjData) -> list[Array]:
    """Return points around what moves; around all where nothing does."""
    sized = model.geom_rbound > 0
    moving = sized & (model.body_weldid[model.geom_bodyid] != 0)
    geoms = np.flatnonzero(moving if moving.any() else sized)
    if not len(geoms):
        return [np.zeros(3), np.ones(3)]
    # The radius of a long shape's bounding sphere is half its length: less frames better.
    reach = 0.7 * model.geom_rbound[geoms, None]
    low = (data.geom_xpos[geoms] - reach).min(axis=0)
    high = (data.geom_xpos[geoms] + reach).max(axis=0)
    return [np.where(mask, high, low) for mask in np.ndindex(2, 2, 2)]


def _count_seen(
    model: mujoco.MjModel,
    data: mujoco.MjData,
    camera: mujoco.MjvCamera,
    azimuth: float,
    parts: list[Array],
) -> int:
    """Return how many points nothing stands before, seen from a direction."""
    turn, rise = np.radians([azimuth, camera.elevation])
    gaze = np.array([np.cos(turn) * np.cos(rise), np.sin(turn) * np.cos(rise), np.sin(rise)])
    eye = np.array(camera.lookat) - _AWAY * camera.distance * gaze
    shown = np.array([1, 1, 1, 0, 0, 0], dtype=np.uint8)  # what MuJoCo draws unless it is asked
    hit = np.full(1, -1, dtype=np.int32)
    n_seen = 0
    for point in parts:
        length = mujoco.mj_ray(model, data, eye, point - eye, shown, 1, -1, hit)
        n_seen += length < 0 or length > _ALL_THE_WAY
    return n_seen


def _find_heading(model: mujoco.MjModel, data: mujoco.MjData, roles: RobotRoles) -> float:
    """Return which way the robot faces, degrees; 0 is along +x."""
    frame = _find_frame(model, data, roles)
    if frame is None:
        return 0.0
    front = frame @ _read_axis(roles.forward)
    return float(np.degrees(np.arctan2(front[1], front[0])))


def _find_frame(model: mujoco.MjModel, data: mujoco.MjData, roles: RobotRoles) -> Array | None:
    """Return the torso's rotation ``(3, 3)``; None where there is no torso."""
    kind, _, name = (roles.torso or "").partition(":")
    frames = {"body": data.xmat, "geom": data.geom_xmat, "site": data.site_xmat}
    if kind not in frames:
        return None
    return np.array(frames[kind][getattr(model, kind)(name).id]).reshape(3, 3)


class _View:
    """A picture, and where the points of the world are in it."""

    def __init__(
        self, model: mujoco.MjModel, data: mujoco.MjData, parts: list[Array], heading: float
    ) -> None:
        model.vis.global_.offwidth = max(_WIDTH, model.vis.global_.offwidth)
        model.vis.global_.offheight = max(_HEIGHT, model.vis.global_.offheight)
        points = [*parts, *_list_corners(model, data)]
        camera = mujoco.MjvCamera()
        camera.type = mujoco.mjtCamera.mjCAMERA_FREE
        camera.lookat[:] = (np.min(points, axis=0) + np.max(points, axis=0)) / 2
        camera.distance = max(float(np.linalg.norm(np.ptp(points, axis=0))) / 2, _NEAREST)
        camera.elevation = _DOWN
        camera.azimuth = max(
            (heading + turn for turn in _FROM),
            key=lambda azimuth: _count_seen(model, data, camera, azimuth, parts),
        )
        renderer = mujoco.Renderer(model, _HEIGHT, _WIDTH)
        try:
            for _ in range(_N_BACK):
                renderer.update_scene(data, camera)
                self._take(renderer.scene)
                if all(self._is_within(point) for point in points):
                    break
                camera.distance *= _BACK
            self.distance = float(camera.distance)
            self.pixels = renderer.render()
        finally:
            renderer.close()

    def _take(self, scene: mujoco.MjvScene) -> None:
        eyes = scene.camera[0], scene.camera[1]
        self._eye = np.mean([np.array(eye.pos, dtype=float) for eye in eyes], axis=0)
        self._forward = np.array(eyes[0].forward, dtype=float)
        self._up = np.array(eyes[0].up, dtype=float)
        self._right = np.cross(self._forward, self._up)
        self._slope = float(eyes[0].frustum_top / eyes[0].frustum_near)

    def _see(self, point: Array) -> tuple[float, float]:
        """Return how far right and up a point is, 1 at the edge of the picture."""
        away = point - self._eye
        depth = max(float(away @ self._forward), 1e-6) * self._slope
        return float(away @ self._right) / depth * _HEIGHT / _WIDTH, float(away @ self._up) / depth

    def _is_within(self, point: Array) -> bool:
        return max(map(abs, self._see(point))) < _WITHIN

    def project(self, point: Array) -> tuple[float, float]:
        """Return the pixel of a point, in the picture with its bands."""
        right, up = (min(max(x, -1.0), 1.0) for x in self._see(point))
        return _BAND + (1 + right) * _WIDTH / 2, (1 - up) * _HEIGHT / 2


def _draw_axes(
    pen: ImageDraw.ImageDraw,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    view: _View,
    model: mujoco.MjModel,
    data: mujoco.MjData,
    roles: RobotRoles,
) -> None:
    """Draw which way the torso's front and top are taken to be."""
    frame = _find_frame(model, data, roles)
    if frame is None or roles.torso is None:
        return
    start = _locate(model, data, roles.torso)
    for word, axis in (("up", roles.up), ("forward", roles.forward)):
        tip = start + _ARROW * view.distance * (frame @ _read_axis(axis))
        _draw_arrow(pen, view.project(start), view.project(tip), _ARROWS[word])
        x, y = view.project(tip)
        pen.text((x + 6, y - 8), word, _ARROWS[word], font, stroke_width=2, stroke_fill=_PAPER)


def _read_axis(axis: Axis) -> Array:
    vector = np.zeros(3)
    vector["xyz".index(axis[1])] = -1.0 if axis[0] == "-" else 1.0
    return vector


def _draw_arrow(
    pen: ImageDraw.ImageDraw,
    start: tuple[float, float],
    tip: tuple[float, float],
    colour: tuple[int, int, int],
) -> None:
    pen.line((*start, *tip), colour, 3)
    way = np.subtract(tip, start)
    length = float(np.hypot(*way))
    if length > _HEAD:  # an arrow at the eye has no head
        way = way / length * _HEAD
        side = np.array([-way[1], way[0]]) / 2
        back = np.array(tip) - way
        pen.polygon([tip, tuple(back + side), tuple(back - side)], colour)


def _draw_labels(
    pen: ImageDraw.ImageDraw,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    labels: list[tuple[str, tuple[float, float]]],
) -> None:
    """Write names in the bands beside the picture, one under another, with lines to their parts."""
    by_x = sorted(labels, key=lambda label: label[1][0])
    middle = _BAND + _WIDTH / 2
    n_left = sum(label[1][0] < middle for label in by_x)
    for part, is_left in ((by_x[:n_left], True), (by_x[n_left:], False)):
        rows = sorted(part, key=lambda label: label[1][1])
        for (text, (x, y)), top in zip(rows, spread([r[1][1] for r in rows]), strict=True):
            width = pen.textlength(text, font)
            left = _BAND - 14 - width if is_left else _BAND + _WIDTH + 14
            edge = _BAND - 10 if is_left else _BAND + _WIDTH + 10
            pen.line((edge, top, x, y), _FAINT, 1)
            pen.ellipse((x - _DOT, y - _DOT, x + _DOT, y + _DOT), _FAINT)
            pen.text((max(left, 2), top - _FONT_SIZE / 2 - 2), text, _INK, font)


def spread(heights: list[float]) -> list[float]:
    """Return heights, in rising order, moved so far that lines of text do not touch."""
    line = min(_LINE, (_HEIGHT - _LINE) / max(len(heights), 1))
    places: list[float] = []
    for height in heights:
        least = places[-1] + line if places else line / 2
        places.append(max(height, least))
    most = _HEIGHT - line / 2
    for row in reversed(range(len(places))):
        places[row] = min(places[row], most)
        most = places[row] - line
    return places
