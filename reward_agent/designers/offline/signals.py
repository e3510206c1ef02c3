"""Signals: what a goal can be measured by, for each kind of goal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from reward_agent.definitions.roles import COMMANDS, describe_role
from reward_agent.designers.offline.body import (
    Body,
    Limb,
    Quantity,
    make_distance_machine,
    make_pose_machine,
    make_turn_machine,
    make_way_machine,
    normalise,
)
from reward_agent.designers.offline.forms import (
    LINEAR,
    STEP_SHARE,
    Role,
    Signal,
    aim,
    ask,
    clean_floor,
    grow,
    hold,
    progress,
    raise_up,
    slow,
    straight,
    upright,
)
from reward_agent.designers.offline.words import COUNTS, Goal, Kind, Scene

# Froude numbers of gaits that are asked for without a number, and their speeds (m/s) where the
# robot's height is not known; nothing is asked to run faster than the last.
_CREEP, _WALK, _RUN = 0.02, 0.25, 6.0
_SLOW_M_PER_S, _WALK_M_PER_S, _TOP_M_PER_S = 0.5, 1.0, 5.0
_LIFTED_M = 0.15  # m above the floor that a raised foot has for sure
_SWING_RAD_PER_S = 3.0
SPIN_RAD_PER_S = 4.0
_POSE_RAD = 0.5
_JUMP_M, _LIFT_M = 0.4, 0.1
_HANDLED_M = 0.4  # m, about what an object and the hand on its way to it are moved over a table
# Of what something is to be moved by: paid a little beyond, so that it is there for sure.
_BEYOND = 1.1


_OF_THINGS = ("held", "thing_distance", "thing_faced")
_CELLS_A_STEP = 9.0  # that come into view


def read_scene(body: Body) -> Scene:
    """Return what the card measures of things beside the robot."""
    roles = ("object_target_distance", "fixture_position", "object_height", "forward_velocity")
    limbs = [field.plays[1] for role in _OF_THINGS for field in body.card.list_roles(role)]
    things = frozenset(word for limb in limbs for word in limb.split("_"))
    return Scene(*(body.find(role) is not None for role in roles), things=things)


def list_signals(body: Body, goals: tuple[Goal, ...]) -> tuple[Signal, ...]:
    """Return the signals for the goals that the card can measure, the main goal's first.

    Signals of later goals are conditions: they keep their expression and become postures.
    """
    signals: dict[str, Signal] = {}
    for goal in goals:
        for signal in _RECIPES[goal.kind][0](body, goal):
            has_goal = any(known.role == "goal" for known in signals.values())
            is_condition = signal.role == "goal" and has_goal and goal is not goals[0]
            role: Role = "posture" if is_condition else signal.role
            signals.setdefault(signal.name, replace(signal, role=role))
    if not any(signal.role == "goal" for signal in signals.values()):
        return ()
    for signal in _list_common(body, goals[0].kind):
        signals.setdefault(signal.name, signal)
    return tuple(signals.values())


def list_conditions(body: Body, goals: tuple[Goal, ...]) -> tuple[Signal, ...]:
    """Return what a person who watches the policy may ask for beside the goals themselves."""
    goal = goals[0]
    if goal.kind in ("flip", "lie"):  # upright is what these are not
        return ()
    airborne = _clear(body, _JUMP_M)
    found = [*_stand(body, Goal("stand")), *straight(body, goal), *slow(body), *airborne]
    return (*(replace(signal, role="posture") for signal in found), *_paced(body, goal))


def _list_common(body: Body, kind: Kind) -> list[Signal]:
    """Return what fits any goal: staying alive where episodes end early, and effort."""
    common = []
    if not body.card.choices:  # the number of a choice is no effort
        limit = max(map(abs, body.card.action_range))
        share = "action" if limit == 1 else f"action / {limit:g}"
        effort = f"np.mean(np.square({share}), axis=-1)"
        common.append(Signal("effort", effort, 1.0, -0.01, "cost", "mean squared action"))
    if body.card.termination and kind not in ("flip", "lie"):
        code = "np.ones(len(action))"
        common.append(Signal("alive", code, 1.0, 0.4, "bonus", "the episode goes on"))
    return common


# --- what each kind of goal is measured by --------------------------------------------------------


def _travel(body: Body, goal: Goal) -> list[Signal]:
    role = f"{goal.axis}_velocity"
    measure, speed = body.find(role), choose_speed(body, goal)
    if measure is None:
        return []
    is_plain = speed is None and not goal.runs and goal.direction > 0
    if is_plain and body.find_command(role):
        return _follow(body, goal)
    scale = _find_ceiling(body, goal.runs) if speed is None else speed
    main = grow("travel", measure, scale, f"speed, 1 at {scale:g} m/s", goal.sign)
    if speed is not None:
        main = [ask(main[0], f"{goal.sign}{measure.code}", speed, f"{speed:g} m/s asked for")]
    if goal.axis == "forward":
        doc = "speed of the centre of mass"
        main += _new_ground(body, goal)
        main += grow("momentum", body.com_forward_velocity, scale, doc, goal.sign)
    return [*main, *upright(body), *straight(body, goal, scale), *clean_floor(body)]


def choose_speed(body: Body, goal: Goal) -> float | None:
    """Return the speed that is asked for, m/s; None for as much as can be."""
    if not goal.speed and goal.pace == "slow":
        return body.measure_speed_at(_CREEP, _SLOW_M_PER_S)
    return goal.speed or None


def _find_ceiling(body: Body, runs: bool = True) -> float:
    """Return the speed beyond which more is worth no more, m/s: of a run, or of a walk."""
    gait = (_RUN, _TOP_M_PER_S) if runs else (_WALK, _WALK_M_PER_S)
    return min(body.measure_speed_at(*gait), _TOP_M_PER_S)


# What a sentence calls the commands that it is about; all where it names none.
_COMMAND_WORDS = {
    "forward_velocity": {"forward", "velocity", "speed"},
    "sideways_velocity": {"sideways"},
    "yaw_rate": {"turn", "turning", "yaw", "rate"},
    "heading": {"heading", "face"},
    "height": {"height"},
}


def _follow(body: Body, goal: Goal) -> list[Signal]:
    """Return pay for each measure that is as an episode asks."""
    named = [role for role, words in _COMMAND_WORDS.items() if words & goal.words]
    signals = []
    for role in COMMANDS:
        measure, command = body.find(role), body.find_command(role)
        if measure is None or command is None or (named and role not in named):
            continue
        scale = max(map(abs, command.range))
        error = f"{measure.code} - {command.code}"
        if role == "heading":
            error, scale = f"wrap_angle({error})", 2.0
        elif role == "height":
            scale = 0.5 * body.standing_height
        bounds = f"({-0.1 * scale:.3g}, {0.1 * scale:.3g})"
        code = f"tolerance({error}, bounds={bounds}, margin={{scale}}{LINEAR})"
        doc = f"1 with the {role.replace('_', ' ')} asked for"
        signals.append(Signal(f"follow_{role}", code, scale, 1.0, "goal", doc))
    return [*signals, *upright(body), *clean_floor(body)] if signals else []


def _new_ground(body: Body, goal: Goal) -> list[Signal]:
    """Return pay for new ground only, each bit once."""
    machine = make_distance_machine(body, goal.sign)
    if machine is None:
        return []
    # Faster than what is asked for is not more.
    top = choose_speed(body, goal) or _find_ceiling(body)
    doc = f"new ground, paid once; 1 at {top:g} m/s"
    code = "np.clip(gained / {scale}, 0.0, 1.0)"
    return [Signal("new_ground", code, top, 1.0, "goal", doc, machine)]


def _paced(body: Body, goal: Goal) -> list[Signal]:
    """Return a speed that is not to be passed, in place of the speed as such."""
    measure = body.find(f"{goal.axis}_velocity")
    if goal.kind != "travel" or measure is None or choose_speed(body, goal) is not None:
        return []
    ratio = f"{goal.sign}{measure.code} / {{scale}}"
    code = f"np.clip({ratio}, -1.0, 1.0) - np.clip({ratio} - 1.0, 0.0, 1.0)"
    top, doc = _find_ceiling(body, goal.runs), "speed, 1 at the one asked for"
    return [Signal("paced", code, top, 1.0, "goal", doc, field=measure.name)]


def _stand(body: Body, goal: Goal) -> list[Signal]:
    """Return upright, and tall where the card says how high standing is."""
    support = _balance(body, goal)
    if support:
        return [*support, *upright(body), *slow(body), *clean_floor(body)]
    postures = raise_up(body) + _tall(body, goal.amount)
    if postures:
        postures[0] = replace(postures[0], role="goal")
    return [*postures, *slow(body), *clean_floor(body)]


def _tall(body: Body, asked: float | None = None) -> list[Signal]:
    stand = body.standing_height
    bounds, doc = f"{0.95 * stand:.3g}, np.inf", "1 at full height"
    if asked:
        bounds, doc = f"{0.95 * asked:.3g}, {1.05 * asked:.3g}", f"1 at {asked:g} m"
    return hold("tall", body.find("height"), bounds, 0.5 * (asked or stand), 0.5, doc)


def _balance(body: Body, goal: Goal) -> list[Signal]:
    """Return pay for standing on the feet that are named and no others; none where all are."""
    feet = [limb for limb in body.limbs if limb.kind == "foot" and limb.contact]
    words = normalise(goal.limb[:-1])
    number = next((COUNTS[word] for word in words if word in COUNTS), 0)
    down = [foot for foot in feet if words and words <= foot.words]
    if 0 < number < len(feet):
        total = " + ".join(foot.contact.code for foot in feet if foot.contact)
        code = f"tolerance({total}, bounds=({number}, {number}), margin={{scale}}{LINEAR})"
        return [Signal("planted", code, 1.0, 1.0, "goal", f"1 on {number} feet")]
    if not 0 < len(down) < len(feet):
        return []
    up = [foot for foot in feet if foot not in down]
    code = f"{_write_mean(down)} * (1.0 - {_write_mean(up)})"
    names = ", ".join(foot.name for foot in down)
    signals = [Signal("planted", code, 1.0, 1.0, "goal", f"1 on {names} alone")]
    heights = [f"np.clip({foot.height.code} / {{scale}}, 0.0, 1.0)" for foot in up if foot.height]
    if heights:
        mean = f"({' + '.join(heights)}) / {len(heights)}"
        signals.append(Signal("others_up", mean, 0.1, 0.3, "guide", "how high the others are"))
    return signals


def _write_mean(limbs: Sequence[Limb]) -> str:
    codes = [limb.contact.code for limb in limbs if limb.contact]
    return f"({' + '.join(codes)}) / {len(codes)}"


def _pose(body: Body, goal: Goal) -> list[Signal]:
    machine = make_pose_machine(body)
    if machine is None:
        return []
    code = "tolerance(strayed, bounds=(0.0, 0.05), margin={scale})"
    doc = "1 in the start pose"
    main = Signal("pose", code, _POSE_RAD, 1.0, "goal", doc, machine)
    return [main, *upright(body), *_tall(body), *slow(body), *clean_floor(body)]


def _still(body: Body, goal: Goal) -> list[Signal]:
    return aim(slow(body))


def _lie(body: Body, goal: Goal) -> list[Signal]:
    stand = body.standing_height
    bounds, doc = f"-1.0, {0.72 * stand:.3g}", "1 near the floor"
    low = aim(hold("low", body.find("height"), bounds, 0.4 * stand, 1.0, doc))
    if not low:
        return []
    bounds = "0.95, 1.0" if goal.direction > 0 else "-1.0, -0.95"
    level = hold("level", body.find("up"), bounds, 0.5, 0.3, "1 level, the right side up")
    return [*low, *level, *slow(body)]


def _crouch(body: Body, goal: Goal) -> list[Signal]:
    stand, doc = body.standing_height, "1 at half to three quarters of standing"
    bounds = f"{0.6 * stand:.3g}, {0.75 * stand:.3g}"
    if goal.amount:
        bounds, doc = f"{0.95 * goal.amount:.3g}, {1.05 * goal.amount:.3g}", "1 at the height asked"
    main = aim(hold("crouched", body.find("height"), bounds, 0.3 * stand, 1.0, doc))
    return [*main, *upright(body), *slow(body), *clean_floor(body)] if main else []


def _jump(body: Body, goal: Goal) -> list[Signal]:
    airborne = _clear(body, goal.amount or _JUMP_M)
    push = grow("push", body.find("vertical_velocity"), 3.0, "upward speed, 1 at 3 m/s", low=0.0)
    if airborne:
        push = [replace(signal, weight=0.5) for signal in push]
    signals = airborne + push
    return [*signals, *upright(body), *clean_floor(body)] if signals else []


def _land(body: Body, goal: Goal) -> list[Signal]:
    """Return pay for all feet on the floor, at rest; on the way, for being low, slow and near."""
    height = body.find("lowest_point") or body.find("height")
    falling, feet = body.find("vertical_velocity"), body.foot_contacts
    if height is None or falling is None or not feet:
        return []
    share = f"({' + '.join(foot.code for foot in feet)}) / {len(feet)}"
    softly = f"tolerance({falling.code}, bounds=(-0.1, 0.1), margin={{scale}})"
    low = f"tolerance({height.code}, bounds=(-np.inf, 0.0), margin={{scale}}{LINEAR})"
    over, doc = body.find("forward_position"), "1 over where it starts"
    return [
        Signal("landed", f"{share} * {softly}", 1.0, 1.0, "goal", "1 on all feet, at rest"),
        progress(body.find("target_distance") or height),
        Signal("low", low, height.top, 0.3, "guide", "1 on the floor, 0 as high as can be"),
        *hold("soft", falling, "-0.3, 0.3", 1.0, 0.2, "1 sinking slowly"),
        *hold("centred", over, "-0.2, 0.2", 1.0, 0.2, doc),
        *upright(body),
        *slow(body),
    ]


def _clear(body: Body, height: float) -> list[Signal]:
    """Return pay for being clear of the floor, else for the torso above where it stands."""
    lowest, torso = body.find("lowest_point"), body.find("height")
    if lowest is None and torso is not None:
        lowest = replace(torso, code=f"({torso.code} - {body.standing_height:.3g})")
    return grow("airborne", lowest, height, f"clear of the floor, 1 at {height:g} m", low=0.0)


def _spin(body: Body, goal: Goal) -> list[Signal]:
    if not goal.speed and body.find_command("yaw_rate"):
        return _follow(body, goal)
    rate, doc = body.find("yaw_rate"), f"turning, 1 at {SPIN_RAD_PER_S:g} rad/s"
    main = grow("turning", rate, SPIN_RAD_PER_S, doc, goal.sign)
    if rate and goal.speed:
        doc = f"{goal.speed:g} rad/s asked for"
        main = [ask(main[0], f"{goal.sign}{rate.code}", goal.speed, doc)]
    return [*main, *upright(body), *clean_floor(body)] if main else []


def _flip(body: Body, goal: Goal) -> list[Signal]:
    machine = make_turn_machine(body, goal.sign)
    if machine is None:
        return []
    turn = "np.clip(turned / {scale}, 0.0, 1.0)"
    climb = "np.clip((peak - memory['peak']) / {scale}, 0.0, 1.0)"
    come_round = "clean * (best > 1.2 * np.pi) * tolerance(turn, margin={scale}, "
    come_round += "bounds=(2 * np.pi - 0.3, 2 * np.pi + 0.3))"
    whole = "clean, and about one whole turn further"
    signals = [
        Signal("new_turn", turn, 0.1, 1.0, "goal", "new turn in the air, paid once"),
        Signal("landed", "done * standing", 1.0, 0.5, "goal", "stands after one whole turn"),
        Signal("come_round", come_round, 1.5, 0.5, "goal", whole),
        Signal("climb", climb, 0.02, 0.5, "posture", "new height in the air, paid once"),
    ]
    pitch_rate = body.find("pitch_rate")
    if pitch_rate:
        rate = f"{goal.sign}{pitch_rate.code}"
        code = f"(1.0 - done) * airborne * np.clip({rate} / {{scale}}, 0.0, 1.0)"
        doc = "turning the right way in the air"
        signals.append(Signal("rotate", code, 8.0, 0.1, "posture", doc))
    return [*(replace(signal, machine=machine) for signal in signals), *clean_floor(body)]


def choose_limb(body: Body, goal: Goal) -> Limb | None:
    """Return the limb that shares most words with the one named; the first of equals."""
    limbs = [limb for limb in body.limbs if limb.height is not None]
    named = {"foot" if word == "leg" else "hand" if word == "arm" else word for word in goal.limb}
    return max(limbs, key=lambda limb: len(normalise(named) & limb.words), default=None)


def _raise(body: Body, goal: Goal) -> list[Signal]:
    limb = choose_limb(body, goal)
    if limb is None:
        return []
    # A hand hangs above the floor already: it is to go above the torso.
    stand = body.standing_height
    lifted = min(_LIFTED_M, 0.3 * stand) if stand > 0 else _LIFTED_M
    floor = max(stand, _LIFTED_M) if limb.kind == "hand" else lifted
    if goal.amount and limb.height is not None:
        floor = (limb.height.rest or 0.0) + _BEYOND * goal.amount
    bounds, doc = f"{floor:.3g}, np.inf", f"1 with the {limb.name} up"
    signals = aim(hold("lifted", limb.height, bounds, floor, 1.0, doc))
    others = [other for other in body.limbs if other.name != limb.name and other.contact]
    if others:
        mean = _write_mean(others)
        signals.append(Signal("planted", mean, 1.0, 0.3, "posture", "share of other feet down"))
    return [*signals, *upright(body), *clean_floor(body)]


def _wave(body: Body, goal: Goal) -> list[Signal]:
    limb = choose_limb(body, goal)
    lifted = _raise(body, goal)
    if limb is None or not (limb.angles or limb.place):
        return lifted
    rates = [f"np.abs({a.read('next_state')} - {a.read('state')})" for a in limb.angles]
    scale = _SWING_RAD_PER_S
    if not rates:
        rates, scale = [f"np.sum(np.abs(next_state.{limb.place} - state.{limb.place}), -1)"], 1.0
    per_s = f"({' + '.join(rates)}) / {body.card.control_dt:g}"
    code = f"lifted * np.clip({per_s} / {{scale}}, 0.0, 1.0)"
    doc = f"the lifted {limb.name} moves"
    return [lifted[0], Signal("swing", code, scale, 1.0, "goal", doc), *lifted[1:]]


def _reach(body: Body, goal: Goal) -> list[Signal]:
    distance = body.find_nearest("target_distance", goal.limb)
    distance = distance or body.find_nearest("object_distance", goal.limb)
    if distance is None:
        return []
    top = distance.top
    close = f"tolerance({distance.code}, bounds=(0.0, 0.01), margin={{scale}}"
    return [
        Signal("near", f"{close}{LINEAR})", top, 1.0, "goal", "1 at the target, 0 far from it"),
        Signal("precise", f"{close})", 0.1 * top, 0.5, "goal", "1 at the target, 0 beyond a tenth"),
        progress(distance),
        *[replace(signal, weight=0.1) for signal in slow(body)[-1:]],
    ]


def _handle(body: Body, goal: Goal) -> list[Signal]:
    distance = body.find("object_target_distance")
    if distance is None:
        return []
    there = f"tolerance({distance.code}, bounds=(0.0, 0.02), margin={{scale}}"
    far, span = f"{there}{LINEAR})", _find_span(distance)
    return [
        Signal("placed", far, span, 1.0, "goal", "1 with the object at the goal"),
        Signal("exact", f"{there})", 0.2 * span, 0.5, "goal", "1 at the goal, 0 far from it"),
        progress(distance),
        *_approach(body, "object_distance", goal),
    ]


def _find_span(distance: Quantity) -> float:
    """Return about how far something is moved, m: as at the start, else as over a table."""
    return distance.top if distance.rest else _HANDLED_M


def _approach(body: Body, role: str, goal: Goal) -> list[Signal]:
    """Return what guides a hand to the thing that it is to move."""
    distance = body.find_nearest(role, goal.limb)
    if distance is None:
        return []
    near = f"tolerance({distance.code}, bounds=(0.0, 0.02), margin={{scale}}{LINEAR})"
    span = _find_span(distance)
    return [Signal("near", near, span, 0.3, "guide", "1 with the hand at the object")]


def _lift(body: Body, goal: Goal) -> list[Signal]:
    height = body.find("object_height")
    if height is None:
        return []
    moved = _move(height, goal.amount or _LIFT_M, "")
    return [*moved, *_approach(body, "object_distance", goal)]


def _move_fixture(body: Body, goal: Goal) -> list[Signal]:
    positions = body.list_named("fixture_position", {*goal.limb, *goal.words})
    if not positions:
        return []
    # The end of its range that is further from the start, about 0, is where it can be moved.
    low, high = positions[0].range
    amount = goal.amount or 0.5 * max(high, -low)
    moved = _move(positions[0], amount, "" if high >= -low else "-")
    return [*moved, *_approach(body, "fixture_distance", goal)]


def _move(measure: Quantity, amount: float, sign: str) -> list[Signal]:
    """Return pay for how far something is from where it was, and for each bit of the way."""
    machine, doc = make_way_machine(measure, sign), f"1 for {_BEYOND * amount:.3g} from the start"
    moved = "np.clip(way / {scale}, 0.0, 1.0)"
    change = f"{sign}({measure.read()} - {measure.read('state')})"
    step, code = STEP_SHARE * amount, f"np.clip({change} / {{scale}}, -1.0, 1.0)"
    return [
        Signal("moved", moved, _BEYOND * amount, 1.0, "goal", doc, machine),
        Signal("progress", code, step, 1.0, "goal", f"further by {step:g} in a step"),
    ]


def _gather(body: Body, goal: Goal) -> list[Signal]:
    """Return pay for what is got or found, for the way there, and for ground not seen before."""
    held, distance, faced = (_pick_thing(body, role, goal.limb) for role in _OF_THINGS)
    ground, health = body.find("ground_seen"), body.find("health")
    signals = []
    if held:
        code = f"np.clip({held.read()} - {held.read('state')}, 0.0, {{scale}})"
        signals.append(Signal("gained", code, 1.0, 1.0, "goal", f"more {held.name} than before"))
    if faced and held:
        code = f"{faced.read()} - {faced.read('state')}"
        signals.append(Signal("turned_to", code, 1.0, 0.1, "bonus", "turned to it, or from it"))
    elif faced:
        signals.append(Signal("found", faced.read(), 1.0, 1.0, "goal", "1 in front of it"))
    if distance:
        before, now, far = distance.read("state"), distance.read(), distance.range[1]
        code = f"np.clip({before} - {now}, -{{scale}}, {{scale}})"
        code += f" * (np.maximum({before}, {now}) < {far:g})"
        signals.append(Signal("nearer", code, 1.0, 0.1, "bonus", "a step nearer, in view"))
    if ground:
        code = f"np.clip(({ground.read()} - {ground.read('state')}) / {{scale}}, 0.0, 1.0)"
        doc, is_all = "ground not seen before", not signals
        role: Role = "goal" if is_all else "bonus"
        weight = 1.0 if is_all else 0.05
        signals.append(Signal("explored", code, _CELLS_A_STEP, weight, role, doc))
    if health:
        code = f"np.clip(({health.read('state')} - {health.read()}) / {{scale}}, 0.0, 1.0)"
        signals.append(Signal("hurt", code, health.top, -1.0, "cost", "health lost, 1 by death"))
    return signals


def _shun(body: Body, goal: Goal) -> list[Signal]:
    faced = _pick_thing(body, "thing_faced", goal.limb)
    doc = "one step from what is to be avoided"
    return [Signal("at_the_brink", faced.read(), 1.0, -0.05, "cost", doc)] if faced else []


def _pick_thing(body: Body, role: str, words: Sequence[str]) -> Quantity | None:
    """Return what measures a role of the first thing that is named."""
    limbs = [field.plays[1] for field in body.card.list_roles(role)]
    named = (limb for word in words for limb in limbs if word in limb.split("_"))
    limb = next(named, None)
    return body.find(role, limb) if limb else None


# Each kind with what writes its signals, and the roles of which it needs one of each group.
_HEIGHTS, _LIMBS = ("height", "com_height"), ("foot_height", "hand_height")
_RECIPES: dict[Kind, tuple[Callable[[Body, Goal], list[Signal]], tuple[tuple[str, ...], ...]]] = {
    "follow": (_follow, (tuple(COMMANDS.values()),)),
    "pose": (_pose, (("joint_angles",),)),
    "flip": (_flip, (("pitch",), _HEIGHTS, ("foot_contact",))),
    "spin": (_spin, (("yaw_rate",),)),
    "wave": (_wave, (_LIMBS,)),
    "raise": (_raise, (_LIMBS,)),
    "lie": (_lie, (_HEIGHTS,)),
    "crouch": (_crouch, (_HEIGHTS,)),
    "reach": (_reach, (("target_distance", "object_distance"),)),
    "travel": (_travel, (("forward_velocity",),)),
    "jump": (_jump, (("lowest_point", "vertical_velocity", *_HEIGHTS),)),
    "land": (_land, (("lowest_point", *_HEIGHTS), ("vertical_velocity",), ("foot_contact",))),
    "stand": (_stand, (("up", *_HEIGHTS),)),
    "still": (_still, (("velocity", "forward_velocity", "joint_velocities"),)),
    "handle": (_handle, (("object_target_distance",),)),
    "lift": (_lift, (("object_height",),)),
    "fixture": (_move_fixture, (("fixture_position",),)),
    "gather": (_gather, (_OF_THINGS,)),
    "shun": (_shun, (("thing_faced",),)),
}


def list_missing_roles(body: Body, goal: Goal) -> list[str]:
    """Return the roles that no field plays and the goal needs, with their units and meaning."""
    _, needs = _RECIPES[goal.kind]
    if goal.axis == "sideways":
        needs = (("sideways_velocity",),)
    return [
        " or ".join(map(describe_role, group))
        for group in needs
        if not any(body.card.find_role(role) or body.find(role) for role in group)
    ]
