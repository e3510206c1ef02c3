"""A card tried on its MuJoCo model in well under a second: do motors move it, do fields mean that?

What a field claims is held to what happens where the robot is lifted, moved, turned, or set in
motion. Findings are about the card and its model; no program is involved.
"""

from __future__ import annotations

from collections.abc import Iterator

import mujoco
import numpy as np

from reward_agent.definitions.card import EnvCard, StateField
from reward_agent.definitions.roles import ENTRIES
from reward_agent.definitions.sources import (
    Call,
    Indexed,
    Measure,
    Source,
    find_measures,
    parse_source,
)
from reward_agent.errors import hint_closest
from reward_agent.simulation.interventions import (
    BALL,
    FREE,
    HINGE,
    SLIDE,
    UPWARD,
    Root,
    find_robot,
    list_names,
)
from reward_agent.simulation.measures import list_subtree
from reward_agent.simulation.mujoco_batch import BatchSimulation
from reward_agent.simulation.mujoco_start import find_servos
from reward_agent.simulation.simulation import make_finding, show_range
from reward_agent.simulation.state import FloatArray, State
from reward_agent.types import Finding

HOLD_S = 1.0
# At action 0 a joint may sag by so much in that time; a robot may tilt so far from its rest.
_MOST_SAG = {HINGE: 0.3, SLIDE: 0.1}  # rad, m
_MOST_TILT = 0.3
# Values that are compared with what they must be: of heights, of a cosine, of velocities.
_CLOSE, _CLOSE_UP, _CLOSE_SHARE = 1e-3, 0.05, 0.05
_EPSILON_S = 1e-4
_MOVED = 1e-8  # m/s or rad/s: less is what the solver leaves
_LATERAL = (1.0, 0.0, 0.0)
_HEIGHTS = ("height", "com_height", "lowest_point", "foot_height", "hand_height")
# A role and the one that is its rate, where both are in the world.
_RATES = {
    "position": "velocity",
    "forward_position": "forward_velocity",
    "height": "vertical_velocity",
    "com_position": "com_velocity",
    "pitch": "pitch_rate",
    "joint_angles": "joint_velocities",
}
_RATE_UNITS = {"m": "m/s", "rad": "rad/s"}
_ENDS = ("angle", "position")
_TURNED = frozenset({"local", "level"})


def try_card(card: EnvCard) -> tuple[Finding, ...]:
    """Return what is wrong with a card, by trying it where it starts.

    Raises:
        DataError: the card does not fit its model.
    """
    simulation = BatchSimulation(_make_quiet(card), 2 * card.n_actions + 1, seed=0)
    simulation.reset()
    start = simulation.qpos[0]
    findings = [*_check_roles(card, simulation.model), *_check_start(simulation)]
    findings += _check_rest(simulation, simulation.read_state())
    findings += _check_motors(simulation)
    root = find_robot(simulation.model, card)
    if root is not None:
        findings += _check_heights(simulation, root, start)
        findings += _check_up(simulation, root, start)
    findings += [*_check_rates(simulation, start), *_check_contacts(card, simulation.model)]
    return tuple(findings)


def _make_quiet(card: EnvCard) -> EnvCard:
    """Return the card without noise at the start, its physics as they are written."""
    silence = {"qpos_uniform": 0.0, "qvel_uniform": 0.0, "qvel_normal": 0.0, "joints": {}}
    reset = card.reset.model_copy(update=silence)
    return card.model_copy(update={"reset": reset, "randomise": None})


def _check_roles(card: EnvCard, model: mujoco.MjModel) -> Iterator[Finding]:
    """Look for each part that the card names a role of."""
    for role, value in card.roles or ():
        places = (value,) if isinstance(value, str) else value or ()
        for place in places:
            kind, _, name = place.partition(":")
            known = [other for other in list_names(model, kind) if other] if name else [name]
            if name not in known:
                yield make_finding(
                    "roles",
                    f"roles.{role}: the model has no {kind} named {name!r}"
                    f"{hint_closest(name, known)}",
                    f"its {kind} names: {', '.join(sorted(known))[:300] or 'none'}",
                )


# --- at the start, and at action 0 -------------------------------------------------------------


def _check_start(simulation: BatchSimulation) -> Iterator[Finding]:
    """Look at the first state, and at what becomes of it in a second of action 0."""
    if simulation.find_terminated()[0]:
        yield explain_end(simulation, 0)
        return
    card, model = simulation.card, simulation.model
    start, only = simulation.qpos[0], np.array([0])
    up = card.find_role("up")
    rest = None if up is None else float(simulation.read_state().fields[up.name][0])
    action = np.zeros((simulation.n_sims, card.n_actions))
    furthest, fell_s = np.zeros(model.njnt), None
    for step in range(1, round(HOLD_S / card.control_dt) + 1):
        simulation.step(action, only)
        seconds = step * card.control_dt
        if simulation.find_stuck()[0]:
            yield make_finding(
                "diverges",
                f"the physics diverges after {seconds:.2g} s of action 0",
                "see that no parts overlap at the start ([home], [reset]), that gains suit the "
                "masses, and that the model's timestep is short enough",
                "error",
            )
            return
        furthest = np.maximum(furthest, _measure_moves(model, start, simulation.qpos[0]))
        tilt = 0.0 if up is None or rest is None else rest - _read(simulation, up.name)
        if fell_s is None and (simulation.find_terminated()[0] or tilt > _MOST_TILT):
            fell_s = seconds
    if card.action_mapping == "around_home" and fell_s is not None:
        yield make_finding(
            "falls",
            f"at action 0, which holds the home pose, the robot falls within {fell_s:.2g} s",
            "give [home] a pose that stands, or servos with higher gains",
        )
    yield from _check_sag(card, model, furthest)


def explain_end(simulation: BatchSimulation, sim: int) -> Finding:
    """Say which range a first state is out of."""
    name = simulation.termination_reason(sim)
    bounds = next((item for item in simulation.card.termination if item.field == name), None)
    if bounds is None:
        return make_finding("ends", f"an episode ends at its start: {name}", "", "error")
    value = np.asarray(simulation.read_state().fields[bounds.field][sim])
    low = -np.inf if bounds.min is None else bounds.min
    high = np.inf if bounds.max is None else bounds.max
    worst = value.flat[int(np.argmax(np.maximum(low - value, value - high)))]
    return make_finding(
        "ends",
        f"termination: field {name!r} is {worst:.4g} at the start, its range is "
        f"{show_range((low, high))}: an episode is over before it begins",
        "widen the range in termination, or start elsewhere",
        "error",
    )


def _measure_moves(model: mujoco.MjModel, start: FloatArray, qpos: FloatArray) -> FloatArray:
    """Return how far each hinge and slide is from the start, ``(njnt,)``; 0 of others."""
    places = np.where(np.isin(model.jnt_type, (FREE, BALL)), -1, model.jnt_qposadr)
    return np.where(places < 0, 0.0, np.abs(qpos[places] - start[places]))


def _check_sag(card: EnvCard, model: mujoco.MjModel, moves: FloatArray) -> Iterator[Finding]:
    """Look at joints that a servo holds, or should."""
    held = _find_held(model)
    sagging = [joint for joint in held if moves[joint] > _MOST_SAG[int(model.jnt_type[joint])]]
    if not sagging:
        return
    worst = max(sagging, key=lambda joint: float(moves[joint]))
    unit = "rad" if model.jnt_type[worst] == HINGE else "m"
    is_home = card.action_mapping == "around_home"
    yield make_finding(
        "moves",
        f"at action 0 joint {model.joint(worst).name or worst!r} moves by "
        f"{moves[worst]:.2g} {unit} within {HOLD_S:g} s"
        + (f", {len(sagging) - 1} more likewise" if len(sagging) > 1 else ""),
        "give its servo a higher gain, or correct [home]"
        if is_home
        else 'set action_mapping = "around_home", so that action 0 holds the start pose',
    )


def _find_held(model: mujoco.MjModel) -> list[int]:
    """Return the hinges and slides that a position actuator holds."""
    joints = []
    for servo in find_servos(model):
        joint = int(model.actuator_trnid[servo, 0])
        is_on_joint = int(model.actuator_trntype[servo]) in (
            int(mujoco.mjtTrn.mjTRN_JOINT),
            int(mujoco.mjtTrn.mjTRN_JOINTINPARENT),
        )
        if is_on_joint and int(model.jnt_type[joint]) in _MOST_SAG:
            joints.append(joint)
    return joints


# --- motors ------------------------------------------------------------------------------------


def _check_motors(simulation: BatchSimulation) -> Iterator[Finding]:
    """Try each action alone, up and down, beside a robot that is given none."""
    card, model = simulation.card, simulation.model
    n_motors = min(card.n_actions, model.nu)
    action = np.zeros((simulation.n_sims, card.n_actions))
    for i in range(n_motors):
        action[1 + 2 * i, i], action[2 + 2 * i, i] = card.action_range
    simulation.reset()
    simulation.put(simulation.qpos[0])
    for _ in range(max(1, 3 - card.model.frame_skip)):  # an activation acts one step later
        simulation.step(action)
    moved = np.abs(simulation.qvel - simulation.qvel[0]).max(axis=1) > _MOVED
    dead = [i for i in range(n_motors) if not moved[1 + 2 * i] and not moved[2 + 2 * i]]
    for i in dead:
        why, remedy = _explain_dead(model, i)
        yield make_finding(
            "dead-motor",
            f"action {card.actions[i]!r} changes no velocity{why}",
            remedy,
            "error" if len(dead) == n_motors else "warning",
        )


def _explain_dead(model: mujoco.MjModel, control: int) -> tuple[str, str]:
    """Return why a control does nothing, where that can be told, and a remedy."""
    actuator = int(np.searchsorted(model.actuator_ctrladr, control, side="right")) - 1
    low, high = model.actuator_ctrlrange[control]
    if not model.actuator_gear[actuator].any():
        return ": the gear of its actuator is 0", "correct gear in the MJCF"
    if not model.actuator_gainprm[actuator].any():
        return ": the gain of its actuator is 0", "correct it in the MJCF"
    if model.actuator_ctrllimited[control] and not low < high:
        return ": its control range is empty", "correct ctrlrange, or give model.control_ranges"
    return "", "see what its actuator acts on, that nothing holds that, and action_scale"


# --- what fields mean --------------------------------------------------------------------------


def _check_rest(simulation: BatchSimulation, settled: State) -> Iterator[Finding]:
    """Compare what the card says of the start, or of what it settles to, with what is there."""
    simulation.reset()
    start = simulation.read_state()
    for field in simulation.card.state:
        if field.rest is None:
            continue
        value, later = (float(np.mean(state.fields[field.name][0])) for state in (start, settled))
        most = _CLOSE_UP * (field.range[1] - field.range[0])
        if min(abs(value - field.rest), abs(later - field.rest)) > most:
            yield make_finding(
                "rest",
                f"field {field.name!r} is {value:.4g} at the start, its card says rest = "
                f"{field.rest:g} ({field.unit})",
                "correct rest, or the source",
            )


def _check_heights(simulation: BatchSimulation, root: Root, start: FloatArray) -> Iterator[Finding]:
    before = _look(simulation, start)
    for what, by, expected in (("lifted", UPWARD, 1.0), ("moved along x", _LATERAL, 0.0)):
        qpos = root.shift(start, by)
        if qpos is None:
            continue
        after = _look(simulation, qpos)
        for name, index, role in _list_heights(simulation.card):
            change = _take(after, name, index) - _take(before, name, index)
            if abs(change - expected) > _CLOSE:
                yield make_finding(
                    "height",
                    f"field {_show(name, index)} plays {role}, but changes by {change:.3g} m where "
                    f"the robot is {what} by 1 m, expected {expected:g}",
                    'correct its source, or say role = "" where it is no height of the robot',
                )


def _list_heights(card: EnvCard) -> Iterator[tuple[str, int | None, str]]:
    """Yield field, index in a vector, and role of every height of the robot."""
    for role in _HEIGHTS:
        for field in card.list_roles(role):
            yield field.name, None, role
        if role in ENTRIES:
            vector, index = ENTRIES[role]
            for field in card.list_roles(vector):
                yield field.name, index, vector


def _check_up(simulation: BatchSimulation, root: Root, start: FloatArray) -> Iterator[Finding]:
    fields = simulation.card.list_roles("up")
    at_rest = _look(simulation, start)
    turns = [("turned a quarter to the left", UPWARD, np.pi / 2, 1.0)]
    turns += [("upside down", axis, np.pi, -1.0) for axis in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))]
    for field in fields:
        rest = _take(at_rest, field.name)
        if field.rest is None and abs(rest - 1.0) > _CLOSE_UP:
            yield make_finding(
                "up",
                f"field {field.name!r} plays up, but is {rest:.3g} at the start, expected 1",
                "take the axis of the torso that points up there (roles.up), or say with rest "
                "what it is",
            )
            continue
        for what, axis, angle, sign in turns:
            qpos = root.turn(start, axis, angle)
            value = sign * rest if qpos is None else _take(_look(simulation, qpos), field.name)
            if abs(value - sign * rest) > _CLOSE_UP:
                yield make_finding(
                    "up",
                    f"field {field.name!r} plays up, but is {value:.3g} where the robot is {what}, "
                    f"expected {sign * rest:.3g}",
                    "take the world's z component of an axis of the torso: body:TORSO.xmat[8]",
                )
                break


def _check_rates(simulation: BatchSimulation, start: FloatArray) -> Iterator[Finding]:
    """Set everything in motion, and compare velocities with what their positions do then."""
    model = simulation.model
    qvel = np.random.default_rng(0).uniform(0.05, 0.2, model.nv)
    poses = np.tile(start, (simulation.n_sims, 1))
    for row, seconds in ((0, -_EPSILON_S), (1, _EPSILON_S)):
        moved = np.array(start)
        mujoco.mj_integratePos(model, moved, qvel, seconds)
        poses[row] = moved
    fields = _look(simulation, poses, qvel).fields
    for position, velocity in _pair_rates(simulation.card):
        values = fields[position.name]
        changes = np.atleast_1d((values[1] - values[0]) / (2 * _EPSILON_S))
        given = np.atleast_1d(fields[velocity.name][2])
        off = np.abs(given - changes) - _CLOSE_SHARE * np.maximum(np.abs(given), np.abs(changes))
        worst = int(np.argmax(off))
        if off[worst] > _CLOSE:
            entry = worst if velocity.size else None
            yield make_finding(
                "rate",
                f"field {_show(velocity.name, entry)} is {given[worst]:.3g} {velocity.unit} where "
                f"{_show(position.name, entry)} changes by {changes[worst]:.3g} {velocity.unit}",
                "correct a source; one of them is of something else, of another frame or sign",
            )


def _pair_rates(card: EnvCard) -> Iterator[tuple[StateField, StateField]]:
    """Yield every position and what should be its velocity, both in the world."""
    seen = set[tuple[str, str]]()
    by_name = {field.name: field for field in card.state}
    for field in card.state:
        role, limb = field.plays
        stem, _, end = field.name.rpartition("_")
        others = [by_name.get(f"{stem}_velocity") if end in _ENDS else None]
        if role in _RATES:
            others += [f for f in card.list_roles(_RATES[role]) if f.plays[1] == limb]
        for other in others:
            is_pair = (
                other is not None
                and other.unit == _RATE_UNITS.get(field.unit)
                and other.size == field.size
                and not any(_is_turned(parse_source(item.source)) for item in (field, other))
            )
            if other is not None and is_pair and (field.name, other.name) not in seen:
                seen.add((field.name, other.name))
                yield field, other


def _is_turned(source: Source) -> bool:
    """Whether a source is seen from a frame of its own."""
    if isinstance(source, Indexed):
        return _is_turned(source.source)
    if not isinstance(source, Call):
        return False
    return source.function in _TURNED or any(_is_turned(part) for part in source.sources)


# --- contacts ----------------------------------------------------------------------------------


def _check_contacts(card: EnvCard, model: mujoco.MjModel) -> Iterator[Finding]:
    for field in card.state:
        for measure in sorted(find_measures(parse_source(field.source)), key=str):
            if not measure.measure.startswith("contact"):
                continue
            ours = _find_side(model, measure.kind, measure.name)
            theirs = [
                geom
                for other in measure.list_others(card.model.floors)
                for geom in _find_side(model, *other)
            ]
            if not any(can_touch(model, one, two) for one in ours for two in theirs):
                yield make_finding(
                    "contact",
                    f"field {field.name!r}: {_describe_sides(measure)} can never touch",
                    "see contype, conaffinity and <exclude> in the MJCF, or name others",
                )


def _describe_sides(measure: Measure) -> str:
    other = f"{measure.other_kind}:{measure.other_name}" if measure.other_kind else "the floor"
    return f"{measure.kind}:{measure.name} and {other}"


def _find_side(model: mujoco.MjModel, kind: str, name: str) -> list[int]:
    if kind == "geom":
        return [int(model.geom(name).id)]
    body = int(model.body(name).id)
    bodies = list_subtree(model, body) if kind == "subtree" else [body]
    return [geom for geom in range(model.ngeom) if int(model.geom_bodyid[geom]) in bodies]


def can_touch(model: mujoco.MjModel, one: int, two: int) -> bool:
    """Return whether MuJoCo looks for a contact of two geoms.

    Source: MuJoCo's documentation, Computation: collision detection, selection.
    """
    pairs = zip(model.pair_geom1, model.pair_geom2, strict=True)
    if any({int(a), int(b)} == {one, two} for a, b in pairs):
        return True
    bodies = [int(model.body_weldid[model.geom_bodyid[geom]]) for geom in (one, two)]
    if bodies[0] == bodies[1]:
        return False
    parents = [int(model.body_weldid[model.body_parentid[body]]) for body in bodies]
    keeps_parents = not int(model.opt.disableflags) & int(mujoco.mjtDisableBit.mjDSBL_FILTERPARENT)
    if keeps_parents and all(bodies) and (bodies[0] == parents[1] or bodies[1] == parents[0]):
        return False
    own = sorted(int(model.geom_bodyid[geom]) for geom in (one, two))
    if (own[0] << 16) + own[1] in {int(signature) for signature in model.exclude_signature}:
        return False
    first = int(model.geom_contype[one]) & int(model.geom_conaffinity[two])
    return bool(first or int(model.geom_contype[two]) & int(model.geom_conaffinity[one]))


# --- shared ------------------------------------------------------------------------------------


def _look(simulation: BatchSimulation, qpos: FloatArray, qvel: FloatArray | float = 0.0) -> State:
    simulation.put(qpos, qvel)
    return simulation.read_state()


def _read(simulation: BatchSimulation, name: str) -> float:
    return _take(simulation.read_state(), name)


def _take(state: State, name: str, index: int | None = None) -> float:
    value = state.fields[name][0]
    return float(value if index is None else value[index])


def _show(name: str, index: int | None) -> str:
    return repr(name if index is None else f"{name}[{index}]")
