"""From a compiled model to an environment's files: a card that ``design`` takes, and its tasks."""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import mujoco

from reward_agent.definitions.card import EnvCard
from reward_agent.drafts.adopt import mark_start
from reward_agent.drafts.card_table import make_table
from reward_agent.drafts.field import DraftField
from reward_agent.drafts.measure import Measured, measure, set_range
from reward_agent.drafts.plan import DraftPlan, estimate_speed, make_plan
from reward_agent.drafts.roles import Facts
from reward_agent.drafts.tasks import write_tasks
from reward_agent.drafts.toml import TESTED, write_key, write_line, write_table
from reward_agent.drafts.words import FOOT, has_word
from reward_agent.errors import DataError, UsageError
from reward_agent.records.draft import DRAFTED, Draft, DraftOptions
from reward_agent.simulation.backends import make_simulation

# What each episode starts with anew.
_DRAWN = ("target_distance", "object_distance", "object_target_distance")


def write_draft(model: mujoco.MjModel, file: str, options: DraftOptions, folder: Path) -> Draft:
    """Draft a card and its tasks for a model.

    Args:
        model: compiled, with the servos and the floor that the options say were added.
        file: the model's, as the card is to name it.
        options: what is known beforehand.
        folder: where that file lies: ranges are measured on the card itself.

    Raises:
        DataError: nothing in the model can be driven.
    """
    plan = make_plan(model, options)
    if not plan.actions.names or not plan.fields:
        raise DataError(
            "the model has no actuator that moves anything, and no joint for a servo",
            "give it joints and actuators, or name the scene that has them",
        )
    warnings = list(_warn(plan))
    table = make_table(plan, file, options)
    fields, lost = _keep_possible(plan, table, options, folder)
    warnings += lost
    plan = replace(plan, fields=fields)
    table = make_table(plan, file, options)
    measured = measure(_load(table, options, folder))
    kept = [f for f in fields if f.is_needed or f.name not in measured.constant]
    plan = replace(plan, fields=tuple(set_range(f, measured) for f in kept))
    table = make_table(plan, file, options)
    text = render(plan, table, measured, options)
    return Draft(
        files={"env.toml": text, **write_tasks(plan)},
        guesses=tuple(_list_guesses(plan)),
        warnings=tuple(warnings),
    )


# --- what is said of it --------------------------------------------------------------------------


def _warn(plan: DraftPlan) -> Iterator[str]:
    held, facts = plan.facts.pose.held, plan.facts
    if held is not None and not held.is_finite:
        yield "the physics diverge within a second of holding the best start pose that was found"
    if held is not None and held.depth > 0.02:
        yield f"at the start, {_describe_overlap(facts)}"
    if not facts.tree.driven:
        yield "no actuator moves anything"
    falls = facts.tree.base != "fixed" and facts.model.opt.gravity[2] < 0
    if falls and not facts.tree.floors and not facts.tree.is_fluid:
        yield "the robot has no floor to stand on"
    named = [b for b in facts.tree.bodies if has_word(facts.name("body", b), FOOT)]
    if facts.tree.base == "fixed" and len(named) > 1:
        yield "it has feet, but nothing lets its root move: give that a free joint if it is to walk"
    if plan.handling.objects and not plan.reaches_object and plan.workspace:
        yield (
            f"the tool stays {plan.workspace.object_gap:.2g} m from "
            f"{plan.handling.objects[0].place}: place that, or the robot, by [home] joints"
        )
    if not plan.fields:
        yield "no field could be drafted"


def _describe_overlap(facts: Facts) -> str:
    deepest = min(facts.data.contact, key=lambda contact: float(contact.dist))
    owners = [int(facts.model.geom_bodyid[geom]) for geom in deepest.geom]
    names = [
        facts.name("geom", int(geom)) or facts.find_place(owner)
        for geom, owner in zip(deepest.geom, owners, strict=True)
    ]
    return f"{names[1]} stands {-float(deepest.dist):.3g} m deep in {names[0]}"


def _list_guesses(plan: DraftPlan) -> Iterator[str]:
    for place in (plan.robot.guesses, plan.handling.guesses, plan.actions.guesses):
        yield from (guess for guess in place.values() if not guess.startswith(TESTED))
    is_chosen = plan.facts.pose.keyframe is not None or plan.facts.pose.notes
    if is_chosen and not plan.meant.list_held("start"):
        yield f"the start pose is the {plan.facts.pose.title}"
    if plan.workspace is not None and plan.has("target_distance"):
        yield "targets are drawn where moving the joints brings the tool"


# --- measuring -----------------------------------------------------------------------------------


def _load(table: dict[str, Any], options: DraftOptions, folder: Path) -> EnvCard:
    return EnvCard.model_validate({"name": options.name, "folder": str(folder), **table})


def _keep_possible(
    plan: DraftPlan, table: dict[str, Any], options: DraftOptions, folder: Path
) -> tuple[tuple[DraftField, ...], list[str]]:
    """Leave out fields that cannot be read on this model, such as the lowest point of a volume."""
    card = _load(table, options, folder)
    try:
        make_simulation(card, 1, seed=0)
        return plan.fields, []
    except (DataError, UsageError):
        pass
    kept, lost = [], []
    make_simulation(card, 1, seed=0, fields=[])  # what is not a field's fault is raised
    for field in plan.fields:
        try:
            make_simulation(card, 1, seed=0, fields=[field.name])
            kept.append(field)
        except (DataError, UsageError) as error:
            lost.append(f"no field {field.name!r}: {error.message}")
    return tuple(kept), lost


# --- the text ------------------------------------------------------------------------------------


def render(
    plan: DraftPlan, table: dict[str, Any], measured: Measured, options: DraftOptions
) -> str:
    """Write a card as TOML; what was guessed is marked at its line."""
    seen = measured.ranges["observation"]
    width = max(1.0, float(f"{1.5 * max(abs(seen[0]), abs(seen[1])):.1g}"))
    table = table | {"observation_range": [-width, width]}
    guesses = _mark(plan)
    lines = [
        f"{DRAFTED}{options.source}.",
        "# What the model does not say is marked '# guessed', or '# tested' where it was tried.",
    ]
    nested = ("model", "roles", "home", "reset", "draws", "learner", "budget", "state")
    for key, value in table.items():
        if key not in (*nested, "mocap_actions"):
            lines.append(write_line(key, value, guesses.get(key, "")))
    speed = float(f"{estimate_speed(plan):.1g}")
    heads = {
        "budget": f"# By its size, one core takes about {speed:g} control steps/s of "
        f"{plan.frame_skip} physics steps: quick is half a minute of them.",
        "learner": "# As the shipped cards of this kind.",
    }
    for key in nested[:-1]:
        if key in table:
            lines += ["", *filter(None, [heads.get(key)]), *write_table(key, table[key], guesses)]
    for led in table.get("mocap_actions", []):
        lines += ["", "[[mocap_actions]]", *(write_line(k, v) for k, v in led.items())]
    lines += _write_fields(plan, table["state"], measured)
    text = "\n".join(lines) + "\n"
    tomllib.loads(text)
    return text


def _write_fields(
    plan: DraftPlan, fields: list[dict[str, Any]], measured: Measured
) -> Iterator[str]:
    """Yield the lines of the fields by group, each with its value at the start."""
    guesses = {field.name: field.guess for field in plan.fields}
    for group, members in itertools.groupby(fields, key=lambda made: str(made["group"])):
        yield from ("", f"[state.{write_key(group)}]")
        for made in members:
            rest = {k: v for k, v in made.items() if k not in ("name", "group")}
            is_drawn = made.get("role") in _DRAWN
            if made["name"] in measured.rest and made["unit"] != "0/1" and not is_drawn:
                doc, value = rest.pop("doc"), measured.rest[made["name"]]
                rest |= {"rest": float(f"{value:.4g}") + 0.0, "doc": doc}
            yield write_line(made["name"], rest, guesses[made["name"]])


def _mark(plan: DraftPlan) -> dict[str, str]:
    """Return what was guessed, by the key of the card that says it."""
    marks = {**plan.robot.guesses, **plan.handling.guesses, **plan.actions.guesses}
    pose = plan.facts.pose
    if pose.keyframe is not None or pose.notes:
        marks["home"] = mark_start(plan.meant, f"the start pose is the {pose.title}")
    if plan.workspace is not None:
        marks["draws.target"] = "where moving the joints brings the tool"
    return marks
