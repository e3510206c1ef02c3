"""Ideas: what makes the K programs of one round differ, since models have no temperature.

A fresh idea names a way to build a reward. A departing idea names an earlier candidate and what to
do with it. The first round is all fresh; later rounds mostly depart, from the best candidate first.
An answering idea says how to turn a person's words into a change of the candidate they watched.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from functools import cache
from typing import Literal

from pydantic import Field

from reward_agent.definitions.paths import find_prompts_dir
from reward_agent.definitions.task import TaskSpec
from reward_agent.designers.brief import DesignIdea, HistoryEntry
from reward_agent.errors import DataError
from reward_agent.records.store import Candidate
from reward_agent.types import Record, rank_value

# One fresh start in this many candidates of a later round: the average program fails, so most of
# the budget goes to what already works, and some to leaving a dead end.
_FRESH_EVERY = 3
# The departure that changes how a policy learns, and not what it is paid.
LEARNING = "learn-otherwise"


class _IdeaTable(Record):
    """``prompts/designer/ideas.toml``: name -> text, in the order of use."""

    fresh: dict[str, str]
    depart: dict[str, str]
    answer: dict[str, str]
    twist: dict[str, str]
    supposes: dict[str, tuple[Literal["fails", "done", "several-terms", "choices"], ...]] = Field(
        default_factory=dict
    )


@cache
def load_ideas() -> _IdeaTable:
    """Read the table of ideas.

    Raises:
        DataError: the table does not have its form.
    """
    path = find_prompts_dir() / "designer" / "ideas.toml"
    try:
        return _IdeaTable.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} is not a table of ideas: {error}", "restore the file, or reinstall"
        ) from error


def choose_ideas(
    iteration: int,
    n_candidates: int,
    *,
    best: HistoryEntry | None = None,
    history: Sequence[HistoryEntry] = (),
    seed: int = 0,
    is_greedy: bool = False,
    task: TaskSpec | None = None,
    lineage: Collection[str] = (),
    has_choices: bool = False,
) -> tuple[DesignIdea, ...]:
    """Choose a different idea for each candidate of a round.

    Args:
        iteration: the round, from 0.
        n_candidates: how many ideas.
        best: the best candidate so far; without one, every idea is fresh.
        history: earlier candidates; those with a task score may be departed from.
        seed: shifts the order of the fresh ideas between runs.
        is_greedy: whether all depart as soon as there is a program to depart from.
        task: what the candidates are tried on; a parent that does it is not mended.
        lineage: a person's programs and what came of them: the best of these is departed from in
            each round, also where others score more.
        has_choices: whether a program may choose how its policy learns.

    Returns:
        One idea each. When there are more candidates than ideas, the later ones have a twist.
    """
    parents = _rank_parents(best, history)
    table = load_ideas()
    fresh = _order_fresh(table.fresh, history, seed)
    ideas: list[DesignIdea] = []
    for index in range(n_candidates):
        n_departed = sum(idea.parent is not None for idea in ideas)
        is_turn_of_fresh = not is_greedy and index % _FRESH_EVERY == _FRESH_EVERY - 1
        if not parents or is_turn_of_fresh:
            ideas.append(_pick(fresh, index - n_departed))
            continue
        parent = _choose_parent(parents, lineage, n_departed)
        apt = _keep_apt(table.depart, parent, task, has_choices)
        if n_departed == 1 and LEARNING in apt and _asks_to_learn(parent):
            ideas.append(DesignIdea(LEARNING, apt[LEARNING], parent.candidate.id))
            continue
        ideas.append(_pick_departure(apt, iteration, n_departed, parent.candidate.id))
    return _twist_repeats(ideas)


def choose_answers(n_candidates: int, parent: str) -> tuple[DesignIdea, ...]:
    """Choose an idea for each candidate that answers a person's words on the parent."""
    table = load_ideas().answer
    return _twist_repeats([_pick(table, index, parent) for index in range(n_candidates)])


def _order_fresh(
    table: dict[str, str], history: Sequence[HistoryEntry], seed: int
) -> dict[str, str]:
    """Return the fresh ideas, those first that were tried least in the rounds in sight."""
    names = list(table)
    shift = seed % len(names)
    n_tried = Counter(entry.candidate.idea for entry in history)
    ordered = sorted(names[shift:] + names[:shift], key=lambda name: n_tried[name])
    return {name: table[name] for name in ordered}


def _twist_repeats(ideas: Sequence[DesignIdea]) -> tuple[DesignIdea, ...]:
    """Ask for something else beside an idea that the round has already."""
    twists = list(load_ideas().twist.values())
    seen: Counter[tuple[str, str | None]] = Counter()
    twisted = []
    for idea in ideas:
        n_before = seen[idea.name, idea.parent]
        seen[idea.name, idea.parent] += 1
        if n_before:
            twist = twists[(n_before - 1) % len(twists)]
            idea = replace(idea, text=f"{idea.text.strip()}\n{twist.strip()}")
        twisted.append(idea)
    return tuple(twisted)


def _pick(table: dict[str, str], turn: int, parent: str | None = None) -> DesignIdea:
    name = list(table)[turn % len(table)]
    return DesignIdea(name, table[name], parent)


def _keep_apt(
    table: dict[str, str], parent: HistoryEntry, task: TaskSpec | None, has_choices: bool
) -> dict[str, str]:
    """Return the departures that suppose nothing of the parent that is not so."""
    is_done = task is not None and task.is_done(parent.candidate.evaluation)
    is_done = is_done or (parent.analysis is not None and parent.analysis.asks_for_nothing)
    holds = {
        "fails": not is_done,
        "done": is_done,
        "choices": has_choices and not (parent.summary and parent.summary.lack == "not kept"),
        "several-terms": parent.summary is None or len(parent.summary.terms) > 1,
    }
    supposes = load_ideas().supposes
    apt = {
        name: text for name, text in table.items() if all(holds[w] for w in supposes.get(name, ()))
    }
    # What is asked for where the task is done comes first there, as the named failure does else.
    return dict(sorted(apt.items(), key=lambda item: "done" not in supposes.get(item[0], ())))


def _asks_to_learn(parent: HistoryEntry) -> bool:
    """Return whether what its training met says that no pay is what is missing."""
    return parent.summary is not None and parent.summary.lack in ("never seen", "unsteady")


def _pick_departure(
    table: dict[str, str], iteration: int, n_departed: int, parent: str
) -> DesignIdea:
    """Ask for the first idea of the table in every round, and for the others in turn."""
    if n_departed == 0:
        return _pick(table, 0, parent)
    others = dict(list(table.items())[1:])
    return _pick(others, iteration + n_departed - 2, parent)


def _choose_parent(
    parents: Sequence[HistoryEntry], lineage: Collection[str], n_departed: int
) -> HistoryEntry:
    """Return the best, twice as often as the runner-up; between them what a person began with."""
    own = next((entry for entry in parents if entry.candidate.id in lineage), parents[0])
    turns = (parents[0], own, parents[min(1, len(parents) - 1)])
    return turns[n_departed % len(turns)]


def find_lineage(candidates: Iterable[Candidate]) -> frozenset[str]:
    """Return the candidates that are a person's own program, or came of one; oldest given first."""
    found: set[str] = set()
    for candidate in candidates:
        if candidate.origin or candidate.parent in found:
            found.add(candidate.id)
    return frozenset(found)


def _rank_parents(best: HistoryEntry | None, history: Sequence[HistoryEntry]) -> list[HistoryEntry]:
    """Return distinct scored candidates, best score over their seeds first."""
    scored = {
        entry.candidate.id: entry
        for entry in (*history, *([best] if best else []))
        if entry.program is not None and entry.candidate.task_score is not None
    }
    return sorted(scored.values(), key=lambda entry: -rank_value(entry.candidate.mean_score))
