"""From an environment of Gymnasium's to a card that ``design`` takes, and its tasks."""

from __future__ import annotations

import itertools
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from reward_agent.definitions.card import EnvCard, ModelSource, make_identifier
from reward_agent.definitions.tables import OF_PROSE, make_plain
from reward_agent.drafts.columns import ColumnFact, find_facts
from reward_agent.drafts.docstring import Docstring, DocTable, mine_docstring
from reward_agent.drafts.entries import EnvEntry, Found, Leaf, judge_entries, list_leaves
from reward_agent.drafts.env_fields import EnvFields, find_ranges, make_fields
from reward_agent.drafts.env_tasks import list_env_tasks
from reward_agent.drafts.field import DraftField
from reward_agent.drafts.measure import measure, set_range
from reward_agent.drafts.survey import Survey
from reward_agent.drafts.tasks import write_task
from reward_agent.drafts.toml import write_key, write_line, write_table
from reward_agent.records.draft import DRAFTED, Draft, DraftOptions

# Steps of an episode where nothing says how many.
_MOST_EPISODE_STEPS = 1000
# Simulations and steps that ranges are measured in, by control steps/s of one environment.
_MEASURED = ((1500.0, 16, 400), (400.0, 8, 200), (40.0, 4, 100), (0.0, 2, 50))
_MOST_PROSE, _MOST_FINDINGS = 1500, 60
# Entries that must agree on how long a step is, and by how much they may differ.
_LEAST_RATES, _RATE_SPREAD = 3, 0.1
# A training of preset quick that takes longer is told of.
_MOST_QUICK_HOURS = 0.25
# Keys of an observation that no policy is to see: it could not measure them.
_PRIVILEGED = re.compile(r"privileged|critic", re.IGNORECASE)


@dataclass(frozen=True)
class EnvPlan:
    """All that a card of an environment says, before ranges are measured.

    Args:
        model: what the card names.
        survey: what was found.
        doc: what the docstring claims.
        leaves: the arrays of the observation.
        entries: its numbers.
        made: its fields.
        said: what a person should know.
    """

    model: ModelSource
    survey: Survey
    doc: Docstring
    leaves: tuple[Leaf, ...]
    entries: tuple[EnvEntry, ...]
    made: EnvFields
    said: tuple[str, ...]

    @property
    def max_episode_steps(self) -> int:
        """Steps of an episode."""
        return self.survey.limit or _MOST_EPISODE_STEPS


def plan_env(model: ModelSource, survey: Survey) -> EnvPlan:
    """Hold a docstring against what was found, and make fields of that."""
    leaves = list_leaves(survey.names, survey.n)
    doc = mine_docstring(survey.doc, [leaf.key for leaf in leaves])
    watched = survey.watched
    facts = find_facts(watched.episodes, survey.scattered, survey.sampled)
    if not survey.dt_source:
        survey = _guess_dt(survey, facts)
    dt = survey.dt if survey.dt_source else 0.0
    found = Found(facts, watched.episodes, dt, survey.objects)
    entries, words = judge_entries(leaves, doc, found)
    made = make_fields(survey, entries, leaves, doc)
    reports = [entry.report for entry in entries if entry.report]
    said = [
        *_tell_survey(survey, entries),
        *(f"docstring: {text}" for text in [*words, *reports][:_MOST_FINDINGS]),
        *made.said,
    ]
    if len(reports) > _MOST_FINDINGS:
        said.append(f"docstring: and {len(reports) - _MOST_FINDINGS} more rows that do not hold")
    return EnvPlan(model, survey, doc, tuple(leaves), tuple(entries), made, tuple(said))


def _guess_dt(survey: Survey, facts: Sequence[ColumnFact]) -> Survey:
    """Return a survey whose step is what makes rates of rates, where several agree on it."""
    steps = [fact.rate_dt for fact in facts if fact.rate_of is not None]
    if len(steps) < _LEAST_RATES or np.std(steps) > _RATE_SPREAD * np.median(steps):
        return survey
    dt = float(f"{np.median(steps):.2g}")
    return replace(survey, dt=dt, dt_source=f"{len(steps)} entries, if they are rates in 1/s")


def _tell_survey(survey: Survey, entries: Sequence[EnvEntry]) -> Iterator[str]:
    """Say how the environment was looked at, and how many entries are what."""
    watched = survey.watched
    how = "watched alone: its state cannot be set from outside"
    if survey.scattered is not None:
        how = f"put in {len(survey.scattered.values)} other states and moved part by part"
    elif survey.sampled is not None:
        how = "watched beside what MuJoCo says of each state"
    if survey.twin and survey.sampled is not None:
        how += "; that of Gymnasium's own, which observes the same numbers"
    yield f"{len(watched.episodes)} episodes, {watched.n_steps} steps of random actions; {how}"
    n = {status: sum(e.status == status for e in entries) for status in
         ("checked", "unchecked", "wrong", "unknown")}  # fmt: skip
    n_told = sum(entry.status == "unknown" and entry.signal is not None for entry in entries)
    yield (
        f"of {len(entries)} entries of the observation the docstring is right about "
        f"{n['checked']} and wrong about {n['wrong']}; {n['unchecked']} that it names could not be "
        f"tried; of {n['unknown']} it says nothing that was taken"
        + (f", but MuJoCo tells what {n_told} of them are" if n_told else "")
    )
    if not survey.dt_source:
        yield "nothing says how long a step is: it is called 1 s"
    elif survey.dt_source != "MuJoCo's clock":
        yield f"a step is {survey.dt:.4g} s, says {survey.dt_source}"
    if survey.limit is None:
        yield f"nothing says how long an episode lasts: {_MOST_EPISODE_STEPS} steps are taken"


# --- the table -----------------------------------------------------------------------------------


def make_env_table(
    plan: EnvPlan, options: DraftOptions, fields: Sequence[DraftField]
) -> dict[str, Any]:
    """Return the card's table; ranges of fields that have none yet are wide."""
    survey = plan.survey
    seen = [leaf for leaf in plan.leaves if not _PRIVILEGED.search(leaf.key)] or list(plan.leaves)
    is_all = len(seen) == len(plan.leaves)
    table = {
        "title": make_plain(f"{plan.model.id}: {_count(survey)}", 200),
        "description": _describe(plan),
        "notes": [make_plain(text, 900) for text in plan.said],
        "control_dt": float(f"{survey.dt:.10g}"),
        "max_episode_steps": plan.max_episode_steps,
        **_make_actions(plan),
        "observation": ["observation"] if is_all else [leaf.written for leaf in seen],
        "observation_size": sum(leaf.size for leaf in seen),
        "observation_range": list(find_ranges(survey)),
        "model": _make_model(plan.model),
        "learner": _choose_learner(survey),
        "budget": _choose_budget(survey),
        "state": [field.to_row() for field in fields],
    }
    return {key: value for key, value in table.items() if value not in ({}, [], None, "")}


def _count(survey: Survey) -> str:
    actions = survey.actions
    kind = " x ".join(map(str, actions.n_choices)) + " choices"
    return f"{survey.n} numbers observed, " + (
        kind if actions.n_choices else f"{actions.n_actions} actions"
    )


def _describe(plan: EnvPlan) -> str:
    """Return what the environment's own docstring says of its goal, and of what is unnamed."""
    parts = [f"An environment of Gymnasium's, {plan.model.id}."]
    if plan.doc.goal:
        parts.append(f"Its docstring says: {plan.doc.goal}")
    is_named = sum(bool(entry.text) for entry in plan.entries) * 2 > len(plan.entries)
    if not is_named and plan.doc.prose:
        parts.append(f"Of the observation it says, and nothing tried that: {plan.doc.prose}")
    return make_plain(" ".join(parts), _MOST_PROSE, OF_PROSE)


def _make_model(model: ModelSource) -> dict[str, Any]:
    made: dict[str, Any] = {"backend": model.backend, "id": model.id}
    made |= {"twin": model.twin} if model.twin else {}
    return made | ({"options": dict(model.options)} if model.options else {})


def _make_actions(plan: EnvPlan) -> dict[str, Any]:
    actions, model = plan.survey.actions, plan.survey.model
    if actions.n_choices:
        named = _name_choices(plan.doc, actions.n_choices)
        n = len(actions.n_choices)
        return {
            "actions": ["action"] if n == 1 else [f"action_{i}" for i in range(n)],
            "choices": named or list(actions.n_choices),
            "action_doc": "The docstring names the choices; what each does was not tried."
            if named
            else "",
        }
    names = [f"action_{i}" for i in range(actions.n_actions)]
    if model is not None and len(model.actuators) == actions.n_actions:
        own = list(model.actuators)
        names = own if all(own) and len(set(own)) == len(own) else names
    ends = (float(actions.low.min()), float(actions.high.max()))
    is_finite = bool(np.isfinite(ends).all())
    is_even = bool(np.ptp(actions.low) == 0 and np.ptp(actions.high) == 0)
    made: dict[str, Any] = {"actions": names}
    if not is_finite:
        return made | {"action_range": [-1.0, 1.0], "action_doc": "The environment bounds none."}
    if is_even:
        return made | {"action_range": list(ends)}
    return made | {"action_range": [-1.0, 1.0], "action_mapping": "rescaled"}


def _name_choices(doc: Docstring, sizes: Sequence[int]) -> list[list[str]]:
    """Return what a docstring calls the choices, if it has just a row for each."""
    if len(sizes) != 1:
        return []
    for table in doc.tables:
        if table.is_of_actions and _counts(table, sizes[0]):
            names = [make_identifier(row.text, "choice", 40) for row in table.rows]
            return [names] if len(set(names)) == len(names) else []
    return []


def _counts(table: DocTable, n: int) -> bool:
    return [row.first for row in table.rows] == list(range(n))


def _choose_learner(survey: Survey) -> dict[str, Any]:
    """Return settings that suit a few environments, which are stepped one after the other.

    As many steps from update to update as Stable-Baselines3's PPO takes, 2048.
    """
    settings: dict[str, Any] = {"n_envs": 8, "n_steps": 256, "batch_size": 256, "n_epochs": 10}
    if survey.actions.n_choices:
        # What pays, or ends an episode, may be hundreds of steps away: as RL Zoo's LunarLander-v3.
        looks_far = {"gamma": 0.999, "gae_lambda": 0.98}
        return settings | {"learning_rate": 1e-3, "ent_coef": 0.01} | looks_far
    return settings | {"learning_rate": 3e-4, "gae_lambda": 0.95, "log_std_init": -0.5}


def _choose_budget(survey: Survey) -> dict[str, int]:
    """Return env steps by preset, by how fast one environment is, roughly."""
    speed = survey.watched.steps_per_s
    quick = 100_000 if speed > 1500 else 50_000 if speed > 400 else 20_000
    return {"quick": quick, "standard": 5 * quick, "thorough": 20 * quick}


# --- the files -----------------------------------------------------------------------------------


def write_env_draft(plan: EnvPlan, options: DraftOptions, folder: Path) -> Draft:
    """Draft a card and its tasks for an environment, with ranges measured on the card itself.

    Raises:
        DataError: the card does not fit the environment: a fault of ours.
    """
    fields = plan.made.fields
    table = make_env_table(plan, options, fields)
    card = EnvCard.model_validate({"name": options.name, "folder": str(folder), **table})
    speed = plan.survey.watched.steps_per_s
    _, n_sims, most_steps = next(row for row in _MEASURED if speed >= row[0])
    measured = measure(card, n_sims, most_steps)
    kept = [f for f in fields if f.is_needed or f.bounds or f.name not in measured.constant]
    kept = [_narrow(set_range(field, measured)) for field in kept]
    plan = replace(plan, made=replace(plan.made, fields=tuple(kept)))
    table = make_env_table(plan, options, kept)
    tasks = list_env_tasks(plan.made, plan.doc.goal, plan.survey, plan.max_episode_steps)
    files = {"env.toml": _render(plan, table, options)}
    for task in tasks:
        files |= write_task(task, plan.max_episode_steps)
    guesses = [f"{field.name}: {field.guess}" for field in kept if field.guess]
    return Draft(files=files, guesses=tuple(guesses), warnings=tuple(_warn(plan)))


def _narrow(field: DraftField) -> DraftField:
    """Return the field with a range that does not begin below what a length can be."""
    if field.bounds is None or not field.source.startswith("norm(") or field.bounds[1] <= 0:
        return field
    return replace(field, bounds=(0.0, field.bounds[1]))


def _warn(plan: EnvPlan) -> Iterator[str]:
    watched = plan.survey.watched
    named = [entry for entry in plan.entries if entry.text or entry.signal]
    if len(named) * 2 < len(plan.entries):
        yield (
            "most entries of the observation have no meaning that anybody tells: name them in the "
            "card, or observe info by fields of your own"
        )
    seen = np.concatenate(watched.episodes)
    odd = [entry.title for entry in plan.entries if not np.isfinite(seen[:, entry.place]).all()]
    if odd:
        n_odd = int((~np.isfinite(seen)).any(axis=1).sum())
        yield (
            f"{', '.join(odd[:5])} is no finite number in {n_odd} of {len(seen)} observations: "
            "nothing can be learned there; have the environment return a number"
        )
    if not np.isfinite(watched.rewards).all():
        yield "its own reward is no finite number in some steps: own_return cannot be scored there"
    hours = _choose_budget(plan.survey)["quick"] / watched.steps_per_s / 3600
    if hours > _MOST_QUICK_HOURS:
        yield (
            f"the environment is slow: {watched.n_steps} steps could be watched, at "
            f"{watched.steps_per_s:.2g} steps/s, and what those do not show is not known; a "
            f"training of preset quick takes about {hours:.1f} h"
        )


def _render(plan: EnvPlan, table: dict[str, Any], options: DraftOptions) -> str:
    """Write a card as TOML; what was guessed is marked at its line."""
    guesses = {field.name: field.guess for field in plan.made.fields}
    lines = [
        f"{DRAFTED}{options.source}.",
        "# Names and units are the docstring's where they were tried, else what was found.",
    ]
    nested = ("model", "learner", "budget")
    for key, value in table.items():
        if key not in (*nested, "state"):
            lines.append(write_line(key, value))
    for key in nested:
        if key in table:
            lines += ["", *write_table(key, table[key], {})]
    for group, members in itertools.groupby(table["state"], key=lambda made: str(made["group"])):
        lines += ["", f"[state.{write_key(group)}]"]
        for made in members:
            rest = {k: v for k, v in made.items() if k not in ("name", "group")}
            lines.append(write_line(made["name"], rest, guesses.get(made["name"], "")))
    text = "\n".join(lines) + "\n"
    tomllib.loads(text)
    return text
