"""A model as compact text: what there is, by name, size and place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import mujoco

from reward_agent.simulation.interventions import find_driven, pose
from reward_agent.simulation.state import FloatArray
from reward_agent.text import clean_text, show_hidden

MOST_CHARS = 16_000
_MOST_NAME_CHARS, _MOST_LISTED = 60, 12
_SHARES = (0.8, 1.0)  # of the characters: the tree, then what follows it


def render_outline(model: mujoco.MjModel, qpos: FloatArray | None = None) -> str:
    """Return a model's bodies with what is on them, then its actuators, sensors and keyframes.

    Positions are in the world at the start, m; joints say their axis in the world. What does not
    fit is counted.
    """
    data = pose(model, model.qpos0 if qpos is None else qpos)
    driven = find_driven(model)
    children: dict[int, list[int]] = {}
    for body in range(1, model.nbody):
        children.setdefault(int(model.body_parentid[body]), []).append(body)
    tree = list(_list_body(model, data, driven, children, 0, 0))
    rest = [*_list_tendons(model), *_list_actuators(model), *_list_sensors(model),
            *_list_keyframes(model)]  # fmt: skip
    text = _fit(tree, round(_SHARES[0] * MOST_CHARS))
    return text + "\n" + _fit(rest, MOST_CHARS - len(text) - 1)


def _fit(lines: Sequence[str], n_chars: int) -> str:
    kept, size = [], 40
    for line in lines:
        size += len(line) + 1
        if size > n_chars:
            break
        kept.append(line)
    n_more = len(lines) - len(kept)
    return "\n".join([*kept, f"({n_more} more lines are left out)"] if n_more else kept)


def _list_body(
    model: mujoco.MjModel,
    data: Any,
    driven: frozenset[int],
    children: dict[int, list[int]],
    body: int,
    depth: int,
) -> Iterator[str]:
    indent = "  " * min(depth, 12)
    mocap = " mocap" if model.body_mocapid[body] >= 0 else ""
    mass = f" {model.body_mass[body]:.3g} kg" if body else ""
    axes = ""
    if body and model.body_parentid[body] == 0:
        frame = data.xmat[body].reshape(3, 3).T
        axes = ", its own +x +y +z point " + " ".join(_show(axis, 1) for axis in frame)
    name = _name(model.body(body).name)
    yield f"{indent}body {name} at {_show(data.xpos[body])}{mass}{mocap}{axes}"
    for joint in range(model.njnt):
        if model.jnt_bodyid[joint] == body:
            yield f"{indent}  {_describe_joint(model, data, joint, joint in driven)}"
    geoms = [i for i in range(model.ngeom) if model.geom_bodyid[i] == body]
    shown = [i for i in geoms if model.geom(i).name or _touches(model, i)] or geoms
    if shown:
        yield f"{indent}  geoms: {_join([_describe_geom(model, data, i) for i in shown])}"
    sites = [i for i in range(model.nsite) if model.site_bodyid[i] == body]
    if sites:
        names = [f"{_name(model.site(i).name)} {_show(data.site_xpos[i])}" for i in sites]
        yield f"{indent}  sites: {_join(names)}"
    cameras = [_name(model.cam(i).name) for i in range(model.ncam) if model.cam_bodyid[i] == body]
    if cameras and body:
        yield f"{indent}  cameras: {_join(cameras)}"
    for child in children.get(body, []):
        yield from _list_body(model, data, driven, children, child, depth + 1)


def _describe_joint(model: mujoco.MjModel, data: Any, joint: int, is_driven: bool) -> str:
    kind = mujoco.mjtJoint(int(model.jnt_type[joint])).name.removeprefix("mjJNT_").lower()
    words = [kind, "joint", _name(model.joint(joint).name)]
    if kind in ("slide", "hinge"):
        words.append(f"axis {_show(data.xaxis[joint], 1)}")
        if model.jnt_limited[joint]:
            low, high = model.jnt_range[joint]
            words.append(f"range {low:.2f} to {high:.2f}")
        words.append(f"start {data.qpos[model.jnt_qposadr[joint]]:.2f}")
    return " ".join([*words, "" if is_driven else "(no actuator)"]).strip()


def _describe_geom(model: mujoco.MjModel, data: Any, geom: int) -> str:
    kind = mujoco.mjtGeom(int(model.geom_type[geom])).name.removeprefix("mjGEOM_").lower()
    size = "x".join(f"{s:.2g}" for s in model.geom_size[geom] if s) if kind != "mesh" else ""
    remark = "" if _touches(model, geom) else "(touches nothing)"
    words = [_name(model.geom(geom).name), kind, size, remark]
    return " ".join([*filter(None, words), _show(data.geom_xpos[geom])])


def _touches(model: mujoco.MjModel, geom: int) -> bool:
    return bool(model.geom_contype[geom] or model.geom_conaffinity[geom])


def _list_tendons(model: mujoco.MjModel) -> Iterator[str]:
    for i in range(model.ntendon):
        parts = []
        for wrap in range(model.tendon_adr[i], model.tendon_adr[i] + model.tendon_num[i]):
            if model.wrap_type[wrap] == mujoco.mjtWrap.mjWRAP_JOINT:
                name = _name(model.joint(int(model.wrap_objid[wrap])).name)
                parts.append(f"{model.wrap_prm[wrap]:+.2g} {name}")
        what = f"of joints {_join(parts)}" if parts else "along sites"
        yield f"tendon {_name(model.tendon(i).name)}: {what}"


def _list_actuators(model: mujoco.MjModel) -> Iterator[str]:
    kinds = {0: "joint", 1: "joint", 2: "slider-crank", 3: "tendon", 4: "site", 5: "body"}
    for i in range(model.nu):
        kind = kinds.get(int(model.actuator_trntype[i]), "")
        target = int(model.actuator_trnid[i, 0])
        name = getattr(model, kind)(target).name if kind in ("joint", "tendon", "site") else ""
        words = f"actuator {i} {_name(model.actuator(i).name)} on {kind} {_name(name)}"
        if model.actuator_ctrllimited[i]:
            low, high = model.actuator_ctrlrange[i]
            words += f", control {low:.3g} to {high:.3g}"
        is_servo = model.actuator_biasprm[i, 1] < 0
        yield f"{words}, {'position servo' if is_servo else 'motor'}"


def _list_sensors(model: mujoco.MjModel) -> Iterator[str]:
    for i in range(model.nsensor):
        kind = mujoco.mjtSensor(int(model.sensor_type[i])).name.removeprefix("mjSENS_").lower()
        yield f"sensor {_name(model.sensor(i).name)}: {kind}, {int(model.sensor_dim[i])} numbers"


def _list_keyframes(model: mujoco.MjModel) -> Iterator[str]:
    for i in range(min(model.nkey, _MOST_LISTED)):
        yield f"keyframe {i} {_name(model.key(i).name)}"


def _name(name: str) -> str:
    """Return a stranger's name on one line; a dash for none."""
    return show_hidden(clean_text(name, _MOST_NAME_CHARS)) or "-"


def _join(parts: Sequence[str]) -> str:
    more = [f"and {len(parts) - _MOST_LISTED} more"] if len(parts) > _MOST_LISTED else []
    return "; ".join([*parts[:_MOST_LISTED], *more])


def _show(values: Any, digits: int = 2) -> str:
    return "(" + " ".join(f"{value + 0.0:.{digits}f}" for value in values) + ")"
