"""A round in answer to a person: their words go to the Designer, their program to the training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import median

from reward_agent.designers.brief import (
    DesignBrief,
    DesignIdea,
    Feedback,
    HistoryEntry,
    Remark,
    WishBrief,
    select_history,
)
from reward_agent.designers.given import GivenDesigner
from reward_agent.designers.history import read_history
from reward_agent.designers.ideas import choose_answers
from reward_agent.designers.roles import WishProposal
from reward_agent.errors import Interrupted, RewardAgentError
from reward_agent.evaluation.wish import WishBaseline
from reward_agent.executors.slots import count_slots
from reward_agent.feedback.records import (
    AnyEntry,
    Decided,
    Edited,
    Noted,
    Preferred,
    Remarked,
    RoundEnded,
    RoundStarted,
)
from reward_agent.feedback.state import place_watched
from reward_agent.feedback.wishes import choose_points, find_wish
from reward_agent.records.job import BEHAVIOURS_DIR
from reward_agent.records.settings import RunSettings
from reward_agent.records.store import Candidate, RunStore
from reward_agent.run.active import ActiveRun
from reward_agent.run.behaviours import describe_robot
from reward_agent.run.loop import commit_iteration, design_iteration
from reward_agent.run.starts import record_states
from reward_agent.run.wish import MeasuredWish, measure_before, measure_wish
from reward_agent.text import count
from reward_agent.types import RewardProgram

WISHES_DIR = "feedback/wishes"
EDIT_IDEA = DesignIdea("edited-by-hand", "The person's own change of the program.")
_PREFERRED = {
    "a": "prefers {a} to {b}",
    "b": "prefers {b} to {a}",
    "same": "sees no difference between {a} and {b}",
    "both bad": "finds both {a} and {b} bad",
}


def run_round(
    run: ActiveRun,
    started: RoundStarted,
    cause: Remarked | Edited,
    feedback: Feedback,
    best: HistoryEntry | None,
    baseline: WishBaseline,
) -> None:
    """Run the round that answers a remark or trains an edited program.

    It is a round of the run like any other: checked, probed, trained, evaluated and explained.
    Nobody is stopped on the way, since the metric may not see what the person sees.
    """
    # What a person asks for is not what the metric's target says.
    changes = {"racing": "none", "early_stop": False}
    run = replace(run, settings=run.settings.model_copy(update=changes))
    if isinstance(cause, Edited):
        designer = GivenDesigner(RewardProgram(cause.program), "edited by hand")
        run = replace(run, team=replace(run.team, designer=designer, critic=None))
        ideas: tuple[DesignIdea, ...] = (replace(EDIT_IDEA, parent=cause.parent),)
    else:
        ideas = choose_answers(started.n_candidates, cause.candidate)
    entries = read_history(run.store)
    history = select_history(entries)
    said = run.steering.begin_round(started.iteration)
    feedback = replace(feedback, words=said.words, earlier_words=said.earlier_words)
    # The candidate that the person watched may be older than what the Designer is told.
    watched = [e for e in entries if e.candidate.id == ideas[0].parent and e not in history]
    briefs = [
        DesignBrief(
            card=run.shown_card,
            task=run.task,
            idea=idea,
            iteration=started.iteration,
            index=number,
            best=best,
            history=(*watched[-1:], *history),
            seed=run.settings.seed,
            feedback=feedback,
            steps=run.settings.steps,
            standing=describe_robot(run, run.store.dir / BEHAVIOURS_DIR),
            baseline=baseline,
            choices=run.describe_choices(),
            events=record_states(run, started.iteration),
        )
        for number, idea in enumerate(ideas)
    ]
    iteration = design_iteration(run, started.iteration, briefs)
    run.background.finish()  # the person is to see the films
    commit_iteration(run, iteration)


def measure_remark(run: ActiveRun, watched: HistoryEntry, remark: Remarked) -> MeasuredWish:
    """Say in numbers what a remark wishes, on the policy that the person watched."""
    assert watched.candidate.evaluation is not None
    said = Remark(remark.candidate, remark.description, remark.wish)
    brief = WishBrief(run.shown_card, run.task, said, watched.summary_text)
    recorded = place_watched(run.store, run.store.read_run(), watched.candidate)
    folder = run.store.dir / WISHES_DIR / str(remark.number)
    try:
        return measure_wish(run, folder, brief, recorded, watched.candidate.evaluation)
    except Interrupted:
        raise
    except RewardAgentError as error:  # the round answers the words all the same
        return MeasuredWish(WishProposal(None), {}, error.message)


def measure_watched(
    run: ActiveRun, watched: Candidate, entries: Sequence[AnyEntry], cause: Remarked | Edited
) -> WishBaseline:
    """Measure the program that the person watched as those that answer will be.

    A program of their own is judged by what they wished last.
    """
    measured = find_wish(entries, cause.number)
    if measured is None or (isinstance(cause, Remarked) and measured.remark != cause.number):
        return measure_before(run, watched, (), "")
    points = list(choose_points(entries, measured))
    return measure_before(run, watched, points, measured.source or "")


def describe_round(entries: Sequence[HistoryEntry], settings: RunSettings, n_programs: int) -> str:
    """Say what a round does, and about how long that takes by the trainings so far."""
    rates = [e.training.steps_per_s for e in entries if e.training and e.training.steps_per_s > 0]
    told = f"{count(n_programs, 'program')}, each trained for {settings.steps:,} env steps"
    if not rates:
        return told
    turns = math.ceil(n_programs / count_slots(settings.slots))
    minutes = turns * settings.steps / median(rates) / 60
    return f"{told}: about {count(max(1, round(minutes)), 'minute')}"


def choose_round_index(store: RunStore) -> int:
    """Return the number of the next round: neither a folder nor a session's round has it."""
    return max([-1, *store.list_rounds(), *store.list_session_rounds()]) + 1


def make_feedback(
    entries: Sequence[AnyEntry],
    until: int,
    standings: Sequence[str] = (),
    measured: Sequence[str] = (),
) -> Feedback:
    """Return the session as the Designer is told it, up to an entry.

    Args:
        entries: of the session.
        until: number of the entry that is answered.
        standings: ratings, in sentences.
        measured: how the last remark is measured, with the numbers, in sentences.
    """
    rounds = {e.iteration: e.cause for e in entries if isinstance(e, RoundStarted)}
    answers: dict[int, list[str]] = {}
    for entry in entries:
        if isinstance(entry, RoundEnded):
            described = [shown.describe() for shown in entry.after]
            answers.setdefault(rounds[entry.iteration], []).extend(described)
    remarks = [
        Remark(e.candidate, e.description, e.wish, tuple(answers.get(e.number, ())))
        for e in entries
        if isinstance(e, Remarked) and e.number <= until
    ]
    remarks[-1:] = [replace(remark, measured=tuple(measured)) for remark in remarks[-1:]]
    verdicts = [_describe_verdict(e, answers) for e in entries if e.number <= until]
    return Feedback(tuple(remarks), (*filter(None, verdicts), *standings))


def _describe_verdict(entry: AnyEntry, answers: dict[int, list[str]]) -> str:
    if isinstance(entry, Preferred):
        return "The person " + _PREFERRED[entry.choice].format(a=entry.a, b=entry.b) + "."
    if isinstance(entry, Decided) and entry.verdict != "chosen":
        return f"The person {entry.verdict} {entry.candidate}."
    if isinstance(entry, Noted):
        return f"The person notes: {' '.join(entry.text.split())}"
    if isinstance(entry, Edited):
        became = "; ".join(answers.get(entry.number, ())) or "not trained"
        return f"The person changed the program of {entry.parent} by hand, which became {became}."
    return ""
