"""What a drafted card says, as a table: model, actions, observation, roles, start, draws, words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from reward_agent.definitions.card import ADDED_FLOOR
from reward_agent.drafts.adopt import describe_meant, list_meant_notes
from reward_agent.drafts.field import quote, read_joints, read_place, refer
from reward_agent.drafts.fields import find_base
from reward_agent.drafts.handled_fields import read_target
from reward_agent.drafts.plan import DraftPlan, choose_budget
from reward_agent.drafts.roles import Facts, Part
from reward_agent.drafts.tree import call, list_joints
from reward_agent.records.draft import DraftOptions
from reward_agent.simulation.interventions import FREE, HINGE, SLIDE

# rad, and share of a slide's range: noise of the start.
_HINGE_NOISE, _SLIDE_NOISE, _ROOT_NOISE, _POLE_NOISE = 0.02, 0.01, 0.005, 0.05


def make_table(plan: DraftPlan, file: str, options: DraftOptions) -> dict[str, Any]:
    """Return the card's table; ranges of fields that have none yet are wide."""
    sources = list_observed(plan)
    table = {
        "title": _make_title(plan, options),
        "description": _describe(plan),
        "notes": list(_list_notes(plan)),
        "control_dt": plan.control_dt,
        "max_episode_steps": plan.max_episode_steps,
        **_make_actions(plan),
        "model": _make_model(plan, file, options),
        **_make_scales(plan),
        "observation": [source for source, _ in sources],
        "observation_size": sum(size for _, size in sources),
        "observation_range": [-1e6, 1e6],
        "roles": _make_roles(plan),
        "home": _make_home(plan),
        "reset": _make_reset(plan),
        "draws": _make_draws(plan),
        "learner": _choose_learner(plan),
        "budget": choose_budget(plan),
        "state": [field.to_row() for field in plan.fields],
    }
    return {key: value for key, value in table.items() if value not in ({}, [], None)}


def _make_model(plan: DraftPlan, file: str, options: DraftOptions) -> dict[str, Any]:
    model: dict[str, Any] = {"file": file, "frame_skip": plan.frame_skip}
    floors = [call(plan.facts.model, "geom", geom) for geom in plan.facts.tree.floors]
    if options.add_floor is not None:
        model["add_floor"] = options.add_floor
        floors = [name for name in floors if name != ADDED_FLOOR]
    if floors:
        model["floor"] = floors[0] if len(floors) == 1 else floors
    if options.add_servos:
        model["add_servos"] = {
            name: servo.model_dump(exclude_none=True) for name, servo in options.add_servos.items()
        }
    if plan.actions.control_ranges:
        model["control_ranges"] = {k: list(v) for k, v in plan.actions.control_ranges.items()}
    return model


def _make_actions(plan: DraftPlan) -> dict[str, Any]:
    actions = plan.actions
    return {
        "actions": list(actions.names),
        "action_mapping": actions.mapping,
        "action_doc": actions.doc,
    }


def _make_scales(plan: DraftPlan) -> dict[str, Any]:
    actions, made = plan.actions, dict[str, Any]()
    if actions.mapping == "around_home":
        same = len(set(actions.scale)) == 1
        made["action_scale"] = actions.scale[0] if same else list(actions.scale)
    if actions.mocap:
        made["mocap_actions"] = [{"body": b, "axes": "xyz", "step": s} for b, s in actions.mocap]
    return made


def list_observed(plan: DraftPlan) -> list[tuple[str, int]]:
    """Return what the policy sees: sources and how many numbers each has."""
    facts = plan.facts
    seen = list(_observe_root(plan))
    for array in ("qpos", "qvel"):
        if facts.tree.joints:
            joints = facts.tree.joints
            seen.append((read_joints(facts, joints, array), len(joints)))
    if not seen and not facts.tree.joints:  # it turns on balls
        seen += [("qpos", int(facts.model.nq)), ("qvel", int(facts.model.nv))]
    if facts.model.na:
        seen.append(("act", int(facts.model.na)))
    feet = [f.source for f in plan.fields if f.role == "foot_contact"]
    if feet:
        seen.append((f"concat({', '.join(feet)})" if len(feet) > 1 else feet[0], len(feet)))
    return [*seen, *_observe_handling(plan)]


def _observe_root(plan: DraftPlan) -> Iterator[tuple[str, int]]:
    facts = plan.facts
    if facts.tree.base == "fixed":
        return
    root, axes = refer(facts, "body", facts.tree.root), f"{plan.robot.forward}, {plan.robot.up}"
    height = next((f.source for f in plan.fields if f.name == "torso_height"), "")
    if height:
        yield height, 1
    yield f"{root}.xmat[6:9]", 3
    if find_base(facts) == "upright":  # in a vertical plane these few say as much
        yield read_joints(facts, facts.tree.root_joints, "qvel"), len(facts.tree.root_joints)
        return
    yield f"level({root}, {axes}, velocity:{root})", 3
    yield f"local({root}, {axes}, angular_velocity:{root})", 3


def _observe_handling(plan: DraftPlan) -> Iterator[tuple[str, int]]:
    facts, handling = plan.facts, plan.handling
    if handling.tool is None:
        return
    tool, target = read_place(handling.tool), read_target(handling)
    target = target if any(f.name == "target_distance" for f in plan.fields) else ""
    root = refer(facts, "body", facts.tree.root)
    axes = f"{plan.robot.forward}, {plan.robot.up}"

    def see(source: str) -> tuple[str, int]:
        return (source if facts.tree.base == "fixed" else f"level({root}, {axes}, {source})"), 3

    if facts.tree.base == "fixed":
        yield tool, 3
    for part in handling.objects[:1]:
        where = refer(facts, "body", part.body)
        yield see(f"subtract({where}.xpos, {tool})")
        yield f"{where}.xquat", 4
        yield see(f"velocity:{where}")
        if target:
            yield see(f"subtract({target}, {where}.xpos)")
    if target:
        yield see(f"subtract({target}, {tool})")
    for part in handling.fixtures[:1]:
        yield f"{quote(part.place)}.qpos", 1
        if handling.handle is not None:
            yield see(f"subtract({read_place(handling.handle)}, {tool})")


def _make_roles(plan: DraftPlan) -> dict[str, Any]:
    robot, handling = plan.robot, plan.handling
    roles: dict[str, Any] = {}
    if robot.torso is not None:
        roles["torso"] = robot.torso.place
    if robot.feet:
        roles["feet"] = [foot.place for foot in robot.feet]
    if robot.hands:
        roles["hands"] = [hand.place for hand in robot.hands]
    places: dict[str, Part | None] = {
        "tool": handling.tool,
        "object": handling.objects[0] if handling.objects and handling.tool else None,
        "target": handling.target,
        "fixture": handling.fixtures[0] if handling.fixtures else None,
    }
    roles |= {role: part.place for role, part in places.items() if part is not None}
    if robot.torso is not None:
        roles |= {"up": robot.up, "forward": robot.forward}
    return roles


def _make_home(plan: DraftPlan) -> dict[str, Any]:
    pose = plan.facts.pose
    home: dict[str, Any] = {}
    if pose.keyframe is not None:
        home["keyframe"] = pose.keyframe
    if pose.controls != "pose":
        home["controls"] = pose.controls
    if pose.joints:
        home["joints"] = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in pose.joints.items()
        }
    return home


def _make_reset(plan: DraftPlan) -> dict[str, Any]:
    """Return noise of single joints: of a free root's pose there is none."""
    facts, model = plan.facts, plan.facts.model
    noise = dict[str, float]()
    for joint in (*facts.tree.root_joints, *facts.tree.joints):
        name, kind = call(model, "joint", joint), int(model.jnt_type[joint])
        if kind not in (HINGE, SLIDE):
            continue
        is_loose = joint not in facts.tree.driven and facts.tree.base == "fixed"
        width = _POLE_NOISE if is_loose else _HINGE_NOISE
        if kind == SLIDE:
            span = float(np.ptp(model.jnt_range[joint])) if model.jnt_limited[joint] else 0.5
            width = _round(_SLIDE_NOISE * span)
        if joint in facts.tree.root_joints:
            width = _ROOT_NOISE
        noise[name] = width
    for part in plan.handling.objects[:1]:
        for joint in list_joints(model, part.body):
            if model.jnt_type[joint] == SLIDE:
                noise[call(model, "joint", joint)] = _round(0.1 * facts.size)
    reset: dict[str, Any] = {"joints": noise} if noise else {"qvel_uniform": 0.01}
    if len(plan.handling.target_joints) == 2 and plan.handling.target is not None:
        names = [call(model, "joint", joint) for joint in plan.handling.target_joints]
        reach = plan.workspace.reach if plan.workspace else facts.size / 4
        reset["goal"] = {"joints": names, "radius": _round(max(0.7 * reach, 0.02))}
    return reset


def _make_draws(plan: DraftPlan) -> dict[str, Any]:
    facts, handling, space = plan.facts, plan.handling, plan.workspace
    draws: dict[str, Any] = {}
    for part in handling.objects[:1]:
        joints = list_joints(facts.model, part.body)
        row = int(facts.model.jnt_qposadr[joints[0]])
        held = facts.pose.held
        is_free = facts.model.jnt_type[joints[0]] == FREE and handling.tool is not None
        if is_free and held is not None and held.is_finite:
            here = facts.pose.qpos[row : row + 3]
            if np.linalg.norm(held.qpos[row : row + 3] - here) < 0.05:
                reach = space.reach if space and space.reach else facts.size
                width = _round(min(0.1 * facts.size, 0.3 * reach))
                center = [_round(float(value), 5) for value in here]
                draws["object"] = {
                    "what": part.place,
                    "center": center,
                    "size": [width, width, 0.0],
                }
    if space is None or handling.tool is None or len(handling.target_joints) == 2:
        return draws
    target: dict[str, Any] = {}
    if handling.target is not None:
        if not handling.can_draw:
            return draws
        target["what"] = handling.target.place
    target |= {"shape": space.shape, "center": list(space.center)}
    target["size"] = list(space.size) if isinstance(space.size, tuple) else space.size
    if space.inner:
        target["inner"] = space.inner
    return draws | {"target": target}


def _choose_learner(plan: DraftPlan) -> dict[str, Any]:
    """Return what the shipped cards of the same kind learn with."""
    settings: dict[str, Any] = {
        "n_envs": 16,
        "n_steps": 64,
        "batch_size": 256,
        "n_epochs": 10,
        "learning_rate": 3e-4,
        "gae_lambda": 0.95,
        "log_std_init": -1.0,
    }
    if plan.facts.tree.base == "fixed" and plan.handling.tool is not None:
        settings |= {"learning_rate": 6e-4, "gamma": 0.95}
    if len(plan.actions.names) > 20 or plan.handling.objects or plan.handling.fixtures:
        settings["net_arch"] = [128, 128]
    return settings


# --- words ---------------------------------------------------------------------------------------


def _make_title(plan: DraftPlan, options: DraftOptions) -> str:
    kind = {"free": "moves freely", "planar": "moves in a plane", "fixed": "is fixed"}
    name = options.title or options.name.replace("_", " ")
    tree = plan.facts.tree
    return f"{name[:1].upper()}{name[1:]}: {len(tree.joints)} joints, {kind[tree.base]}"


def _describe(plan: DraftPlan) -> str:
    facts, robot, handling = plan.facts, plan.robot, plan.handling
    n_joints, n_actions = len(facts.tree.joints), len(plan.actions.names)
    parts = list(filter(None, [describe_meant(plan.meant)]))
    parts += [f"A robot of {_weigh(facts):.3g} kg with {n_joints} joints, {n_actions} actions."]
    if robot.feet:
        word = "wheels" if robot.has_wheels else "feet"
        names = ", ".join(foot.name.replace("_", " ") for foot in robot.feet)
        parts.append(f"It stands on {len(robot.feet)} {word}: {names}.")
    if facts.tree.is_fluid:
        parts.append("It swims in a fluid.")
    if robot.torso is not None:
        parts.append(
            f"Its torso is {robot.torso.own_name!r}; forward, left and up of it turn with it. In "
            "the world z is up."
        )
    if handling.tool is not None and handling.tool.name != "torso":
        parts.append(f"What reaches is {handling.tool.own_name!r}.")
    if handling.objects and handling.tool is not None:
        parts.append(f"The object is {handling.objects[0].own_name!r}.")
    if handling.fixtures:
        parts.append(f"Around it moves {', '.join(repr(p.own_name) for p in handling.fixtures)}.")
    if plan.has("target_distance"):
        parts.append(
            "The target is drawn anew for each episode."
            if _make_draws(plan).get("target") or handling.target_joints
            else "The target stands still."
        )
    return " ".join(parts)


def _weigh(facts: Facts) -> float:
    bodies = sorted(facts.tree.bodies)
    return float(np.sum(facts.model.body_mass[bodies])) if bodies else 0.0


def _list_notes(plan: DraftPlan) -> Iterator[str]:
    yield from list_meant_notes(plan.meant)
    held = plan.facts.pose.held
    if held is not None:
        yield (
            f"Starts from the {plan.facts.pose.title}; held for a second it moves no joint by more "
            f"than {held.drift:.2g}"
            + (f", its root by {held.sank:.2g} m." if plan.facts.tree.base != "fixed" else ".")
        )


def _round(value: float, digits: int = 2) -> float:
    return float(f"{value:.{digits}g}")
