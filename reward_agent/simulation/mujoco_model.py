"""A card's MJCF, compiled with what the card adds to it: sensors, a floor, servos, ranges."""

from __future__ import annotations

import importlib.util
import re
import warnings
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

from reward_agent.definitions.card import ADDED_FLOOR, EnvCard, Servo, find_env_dir
from reward_agent.definitions.sources import (
    Array,
    Attribute,
    Call,
    Indexed,
    Measure,
    Source,
    find_measures,
    parse_source,
)
from reward_agent.errors import DataError, hint_closest
from reward_agent.simulation.interventions import BALL, FREE, HINGE, SLIDE, list_names
from reward_agent.simulation.mjcf import check_model
from reward_agent.simulation.simulation import blame_field
from reward_agent.simulation.state import FloatArray

# The half length of a geom along its own z, by its size, where it has one.
_LONG = {int(mujoco.mjtGeom.mjGEOM_CAPSULE), int(mujoco.mjtGeom.mjGEOM_CYLINDER)}
# An XBODY is a body with all that hangs on it.
_OBJECTS = {
    "body": mujoco.mjtObj.mjOBJ_BODY,
    "geom": mujoco.mjtObj.mjOBJ_GEOM,
    "subtree": mujoco.mjtObj.mjOBJ_XBODY,
}
# Contact sensors: what they report as bits, how they reduce contacts, how many slots they have.
# The number that were found, of all of them; the sum of their forces (mjCONDATA_FORCE, netforce).
# Measures of a body with all that hangs on it, and MuJoCo's sensors of them.
OF_TREES = {
    "com_velocity": mujoco.mjtSensor.mjSENS_SUBTREELINVEL,
    "angular_momentum": mujoco.mjtSensor.mjSENS_SUBTREEANGMOM,
}
CONTACTS = {"contact": [1, 0, 1], "contact_force": [2, 3, 1]}
_MOST_SENSORS, _MOST_SHOWN = 5000, 50


def make_model(
    card: EnvCard, fields: Collection[str] | None = None, *, is_drawn: bool = False
) -> mujoco.MjModel:
    """Compile the card's MJCF with a sensor for each contact and velocity that is measured.

    What has no name is named by its number, where the card says such numbers.

    Sensors only observe: where the card adds nothing else, the simulated motion is that of the
    MJCF, to the last bit. Only ``fields`` will be read; None for all. One that is drawn has a sky.

    Raises:
        DataError: the MJCF is missing or wrong, or the card names something it does not have.
    """
    path = find_model_path(card)
    names = [field.name for field in card.fields] if fields is None else fields
    try:
        spec = mujoco.MjSpec.from_file(str(path))
        if _says_numbers(card):
            _name_by_number(spec)
        complete_spec(spec, card)
        _add_sensors(spec, card, names)
        if is_drawn:
            _add_sky(spec)
        # A simulation that diverges must come back with finite numbers, not stay at NaN; and what
        # sensors measure must not be 0 because the file turns them off.
        spec.option.disableflags &= ~int(
            mujoco.mjtDisableBit.mjDSBL_AUTORESET | mujoco.mjtDisableBit.mjDSBL_SENSOR
        )
        with warnings.catch_warnings():
            # Gymnasium's half_cheetah.xml has an attribute that MuJoCo will drop.
            warnings.filterwarnings("ignore", ".*deprecated", UserWarning)
            model = spec.compile()
    except (ValueError, mujoco.FatalError) as error:
        raise DataError(f"{path}: {error}", "correct the MJCF, or the card's names") from error
    _free_drawn(model, card)
    return model


def _free_drawn(model: mujoco.MjModel, card: EnvCard) -> None:
    """Let MuJoCo read where a drawn geom or site is: it skips that for one in its body's frame."""
    for draw in card.draws.values():
        kind, _, name = (draw.what or "").partition(":")
        if kind in ("geom", "site") and name in (names := list_names(model, kind)):
            getattr(model, f"{kind}_sameframe")[names.index(name)] = 0


def find_model_path(card: EnvCard) -> Path:
    """Return the path of the card's MJCF.

    Raises:
        DataError: the file is not there, or the card names none.
    """
    model = card.model
    if model.gymnasium is not None:
        package = importlib.util.find_spec("gymnasium")
        assert package is not None
        path = Path(package.origin or "").parent / "envs/mujoco/assets" / model.gymnasium
        remedy = "correct model.gymnasium, or install another gymnasium"
    elif model.file is not None:
        path = find_env_dir(card) / model.file
        remedy = "put the file beside env.toml, or correct model.file"
        if path.is_file():
            check_model(find_env_dir(card), model.file)
    else:
        raise DataError(
            f"environment {card.name!r} gives model.id = {model.id!r}, MuJoCo simulates an MJCF",
            "give model.file, or the model.backend that knows this id",
        )
    if not path.is_file():
        raise DataError(f"environment {card.name!r}: {path} does not exist", remedy)
    return path


def complete_spec(spec: mujoco.MjSpec, card: EnvCard) -> None:
    """Add the floor, the servos and the ranges of controls that the card gives to a model.

    Raises:
        DataError: the model has them already, or lacks what they are about.
    """
    if card.model.add_floor is not None:
        _add_floor(spec, card.model.add_floor)
    for joint, servo in card.model.add_servos.items():
        _add_servo(spec, joint, servo)
    for name, limits in card.model.control_ranges.items():
        actuator = _find_actuator(spec, card, name)
        actuator.ctrlrange, actuator.ctrllimited = limits, True
    placed = {draw.what for draw in card.draws.values()}
    if any(f"geom:{geom.name}" in placed and _collides(geom) for geom in spec.geoms):
        # By what MuJoCo prepares of a body to find its contacts, geoms stay where they were in it.
        spec.option.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_MIDPHASE)


def _collides(geom: Any) -> bool:
    return bool(geom.contype or geom.conaffinity)


def _add_floor(spec: mujoco.MjSpec, height: float) -> None:
    """Add an endless plane that everything touches which touches anything."""
    if any(geom.name == ADDED_FLOOR for geom in spec.geoms):
        raise DataError(
            f"the model has a geom {ADDED_FLOOR!r}, and model.add_floor would add another",
            f"take model.add_floor out, and set model.floor = {ADDED_FLOOR!r}",
        )
    bits = 1
    for geom in spec.geoms:
        bits |= int(geom.contype) | int(geom.conaffinity)
    look = "reward_agent.floor"
    spec.add_texture(
        name=look,
        type=mujoco.mjtTexture.mjTEXTURE_2D,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_CHECKER,
        rgb1=[0.35, 0.38, 0.42],
        rgb2=[0.45, 0.48, 0.52],
        width=64,
        height=64,
    )
    roles = [""] * int(mujoco.mjtTextureRole.mjNTEXROLE)
    roles[mujoco.mjtTextureRole.mjTEXROLE_RGB] = look
    spec.add_material(name=look, textures=roles, texrepeat=[1, 1], texuniform=True)
    # On a body of its own, behind all others: so it shifts no number of theirs.
    spec.worldbody.add_body().add_geom(
        name=ADDED_FLOOR,
        type=mujoco.mjtGeom.mjGEOM_PLANE,
        size=[0, 0, 0.05],
        pos=[0, 0, height],
        quat=[1, 0, 0, 0],
        contype=bits,
        conaffinity=bits,
        material=look,
        group=0,
    )
    if not spec.lights:
        spec.worldbody.add_light(
            pos=[0, 0, height + 4], dir=[0, 0, -1], type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL
        )


def _add_sky(spec: mujoco.MjSpec) -> None:
    """Add what stands behind everything, where the model has none: that would be black."""
    if all(texture.type != mujoco.mjtTexture.mjTEXTURE_SKYBOX for texture in spec.textures):
        spec.add_texture(
            name="reward_agent.sky",
            type=mujoco.mjtTexture.mjTEXTURE_SKYBOX,
            builtin=mujoco.mjtBuiltin.mjBUILTIN_GRADIENT,
            rgb1=[0.62, 0.70, 0.79],
            rgb2=[0.30, 0.37, 0.45],
            width=128,
            height=128 * 6,
        )


def _add_servo(spec: mujoco.MjSpec, name: str, servo: Servo) -> None:
    joints = {joint.name: joint for joint in spec.joints}
    joint = joints[check_object(list(joints), "joint", name)]
    if joint.type not in (HINGE, SLIDE):
        raise DataError(
            f"model.add_servos: joint {name!r} is neither a hinge nor a slide",
            "servos move joints of one number",
        )
    if any(actuator.name == name for actuator in spec.actuators):
        raise DataError(
            f"model.add_servos: the model has an actuator {name!r} already",
            "take it out of model.add_servos",
        )
    actuator = spec.add_actuator(name=name, target=name, trntype=mujoco.mjtTrn.mjTRN_JOINT)
    is_limited = joint.limited != mujoco.mjtLimited.mjLIMITED_FALSE and np.ptp(joint.range) > 0
    inherits = servo.range is None and bool(is_limited)
    joint.armature += servo.armature
    actuator.set_to_position(kp=servo.kp, kv=servo.kv, inheritrange=inherits)
    if servo.range is not None:
        actuator.ctrlrange, actuator.ctrllimited = servo.range, True
    if servo.force is not None:
        actuator.forcerange, actuator.forcelimited = (-servo.force, servo.force), True


def _find_actuator(spec: mujoco.MjSpec, card: EnvCard, name: str) -> Any:
    """Return an actuator by its name, or by that of its action if the model gives none."""
    actuators = {
        action: actuator
        for action, actuator in zip(card.actions, spec.actuators, strict=False)
        if actuator.name in ("", f"#{actuator.id}")
    }
    actuators |= {actuator.name: actuator for actuator in spec.actuators if actuator.name}
    return actuators[check_object(list(actuators), "actuator", name)]


def _add_sensors(spec: mujoco.MjSpec, card: EnvCard, names: Collection[str]) -> None:
    added: set[Measure] = set()
    known = {"body": [item.name for item in spec.bodies], "geom": [g.name for g in spec.geoms]}
    for floor in card.model.floors:
        check_object(known["geom"], "geom", floor, " (model.floor)")
    for name in names:
        measures = find_measures(parse_source(card.field(name).source)) - added
        try:
            for measure in sorted(measures, key=name_sensor):
                _add_sensor(spec, measure, card.model.floors, known)
        except DataError as error:
            raise blame_field(card, name, error) from error
        added |= measures


def _add_sensor(
    spec: mujoco.MjSpec, measure: Measure, floors: Sequence[str], known: dict[str, list[str]]
) -> None:
    is_contact = measure.measure in CONTACTS
    if not is_contact and measure.measure not in OF_TREES:
        return
    what = list[dict[str, Any]]([{}])
    if not is_contact:
        kind = OF_TREES[measure.measure]
    else:
        kind, intprm = mujoco.mjtSensor.mjSENS_CONTACT, CONTACTS[measure.measure]
        others = measure.list_others(floors)
        what = [{**_find_side(*other, known, "ref"), "intprm": intprm} for other in others]
    ours = _find_side(measure.kind, measure.name, known, "obj")
    for i, more in enumerate(what):
        spec.add_sensor(name=name_sensor(measure, i), type=kind, **ours, **more)
    if len(spec.sensors) > _MOST_SENSORS:
        raise DataError(
            f"contacts need more than {_MOST_SENSORS} sensors, one for each geom of the floor",
            "measure fewer contacts, or name fewer geoms in model.floor",
        )


def _find_side(kind: str, name: str, known: dict[str, list[str]], prefix: str) -> dict[str, Any]:
    """Return what says to a sensor that it is on an object: its ``objtype`` and ``objname``."""
    names = known["geom" if kind == "geom" else "body"]
    return {f"{prefix}type": _OBJECTS[kind], f"{prefix}name": check_object(names, kind, name)}


def name_sensor(measure: Measure, number: int = 0) -> str:
    """Return the name of a measure's sensor, or of one of its sensors."""
    return f"reward_agent.{measure}.{number}"


def _says_numbers(card: EnvCard) -> bool:
    """Return whether something that has no name may be meant, by its number: ``geom:#12``."""
    return re.search(r'[":]#[0-9]', card.model_dump_json()) is not None


def _name_by_number(spec: mujoco.MjSpec) -> None:
    """Name what has no name by the number that it has in the model as it is written."""
    spec.compile()
    for items in (spec.bodies, spec.geoms, spec.joints, spec.sites, spec.tendons, spec.actuators):
        names = {item.name for item in items}
        for item in items:
            number = f"#{item.id}"
            if not item.name and number not in names:
                item.name = number


def check_object(known: Sequence[str], kind: str, name: str, place: str = "") -> str:
    """Return the name, or raise a DataError with the closest one that the model has."""
    if name in known:
        return name
    kind = "body" if kind == "subtree" else kind
    named = sorted(other for other in known if other and not other.startswith("#"))
    message = f"the model has no {kind} named {name!r}{hint_closest(name, named)}"
    number = int(name[1:]) if re.fullmatch(r"#[0-9]{1,9}", name) else len(known)
    if number < len(known):
        message = f"{kind} {name} has a name: {known[number]!r}"
    shown = ", ".join(named[:_MOST_SHOWN]) or "none"
    more = f" and {len(named) - _MOST_SHOWN} more" if len(named) > _MOST_SHOWN else ""
    unnamed = [other or f"#{i}" for i, other in enumerate(known) if other[:1] in ("", "#")]
    also = f"; without a name, by number: {len(unnamed)}, such as {unnamed[0]}" if unnamed else ""
    raise DataError(message + place, f"its {kind} names: {shown}{more}{also}")


# How many numbers of each array the joints have that have more than one.
_WIDTHS = {FREE: {"qpos": 7, "qvel": 6}, BALL: {"qpos": 4, "qvel": 3}}


def find_joint_limits(model: mujoco.MjModel, source: Source) -> tuple[float, float] | None:
    """Return the limits of the joints whose positions a source is; None where they have none."""
    places = _list_places(model, source)
    joints = [i for i in range(model.njnt) if model.jnt_limited[i]]
    limits = [model.jnt_range[i] for i in joints if int(model.jnt_qposadr[i]) in places]
    if not limits:
        return None
    return float(min(low for low, _ in limits)), float(max(high for _, high in limits))


def find_state_part(model: mujoco.MjModel, source: Source) -> tuple[str, list[int]]:
    """Return the array, qpos or qvel, and the entries of it that a source is.

    Raises:
        DataError: it is anything else.
    """
    for array in ("qpos", "qvel"):
        places = _list_places(model, source, array)
        if places:
            return array, places
    raise DataError("no state can be set by it", "name a position or a velocity of a joint")


def _list_places(model: mujoco.MjModel, source: Source, array: str = "qpos") -> list[int]:
    """Return which entries of qpos, or qvel, a source is; none where it is anything else."""
    if isinstance(source, Array) and source.name == array:
        return list(range(model.nq if array == "qpos" else model.nv))
    if isinstance(source, Attribute) and (source.kind, source.attribute) == ("joint", array):
        joint = model.joint(source.name)
        width = _WIDTHS.get(int(joint.type[0]), {"qpos": 1, "qvel": 1})[array]
        first = int((joint.qposadr if array == "qpos" else joint.dofadr)[0])
        return list(range(first, first + width))
    if isinstance(source, Call) and source.function == "concat":
        return [place for part in source.sources for place in _list_places(model, part, array)]
    if isinstance(source, Indexed):
        places = np.array(_list_places(model, source.source, array), dtype=int)
        return np.atleast_1d(places[source.index]).tolist() if len(places) else []
    return []


def measure_links(model: mujoco.MjModel) -> dict[str, float]:
    """Return the length of each body on a hinge, m, at the model's reference pose.

    It is the distance from its joint to that of what hangs on it, the farthest of several; of the
    last body of a chain, that to the farthest end of its geoms.
    """
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    bodies = [b for b in range(1, model.nbody) if HINGE in _list_kinds(model, b)]
    lengths = {}
    for body in bodies:
        ends = [
            _find_anchor(model, data, b) for b in bodies if _find_carrier(model, b, bodies) == body
        ]
        ends = ends or list(_list_ends(model, data, body))
        start = _find_anchor(model, data, body)
        reach = max((float(np.linalg.norm(end - start)) for end in ends), default=0.0)
        if reach > 0 and (name := _name_link(model, body)):
            lengths[name] = reach
    return lengths


def _name_link(model: mujoco.MjModel, body: int) -> str:
    """Return the name of a body, or of the first of its geoms that has one."""
    geoms = (model.geom(int(g)).name for g in np.flatnonzero(model.geom_bodyid == body))
    return next(filter(None, (model.body(body).name, *geoms)), "")


def _list_kinds(model: mujoco.MjModel, body: int) -> list[int]:
    first = int(model.body_jntadr[body])
    return [int(k) for k in model.jnt_type[first : first + int(model.body_jntnum[body])]]


def _find_anchor(model: mujoco.MjModel, data: mujoco.MjData, body: int) -> FloatArray:
    return np.array(data.xanchor[int(model.body_jntadr[body])])


def _find_carrier(model: mujoco.MjModel, body: int, bodies: list[int]) -> int:
    """Return the nearest body above one that is on a hinge itself, or the world."""
    above = int(model.body_parentid[body])
    while above and above not in bodies:
        above = int(model.body_parentid[above])
    return above


def _list_ends(model: mujoco.MjModel, data: mujoco.MjData, body: int) -> list[FloatArray]:
    """Return both ends of each long geom of a body, and the middle of each other."""
    ends = []
    for geom in np.flatnonzero(model.geom_bodyid == body):
        long = model.geom_size[geom, 1] if int(model.geom_type[geom]) in _LONG else 0.0
        along = data.geom_xmat[geom].reshape(3, 3)[:, 2] * long
        ends += [data.geom_xpos[geom] + along, data.geom_xpos[geom] - along]
    return ends
