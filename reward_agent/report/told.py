"""The report as data: its verdict, what stands beside it, and the program that it ends with."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from reward_agent.designers.history import read_history
from reward_agent.records.job import STRIP_FILE
from reward_agent.records.store import RunStore
from reward_agent.report.page import REPORT_FILE
from reward_agent.report.verdict import (
    METRIC_WORDS,
    MODEL_WORDS,
    describe_choice,
    describe_ends,
    describe_robustness,
    find_verdict,
    list_beside,
)
from reward_agent.report.view import RunView, find_shown, load_run_view, place_shown
from reward_agent.types import FileRecord, Finite, Record


class ToldMeasure(Record):
    """A score that stands in the report, and whose it is."""

    words: str
    score: Finite | None
    note: str = ""


class ToldReport(FileRecord):
    """What ``reward-agent report --json`` prints."""

    id: str
    page: str = Field(description="path of report.html")
    task: str
    criterion: str = ""
    unit: str = ""
    verdict: str = Field(description="it works, it mostly works, part of it, not yet, …")
    sentence: str
    judged_by: str = Field(description="whose metric it is")
    designer: str
    designed_by: str = Field(description="whether a language model wrote the programs")
    candidate: str | None = Field(None, description="whose program it ends with")
    program: str = ""
    scores: tuple[ToldMeasure, ...] = Field((), description="the policy's, and what is beside it")
    notes: tuple[str, ...] = ()
    strip: str | None = Field(None, description="path of a picture: key moments of an episode")


def tell_report(run_dir: Path) -> ToldReport:
    """Return a run's report as data.

    Raises:
        DataError: the folder is not a run, or a record in it is not valid.
    """
    view = load_run_view(run_dir)
    run, best, verdict = view.run, view.best, find_verdict(view)
    return ToldReport(
        id=run.id,
        page=str(run_dir / REPORT_FILE),
        task=run.task.description,
        criterion=run.task.criterion,
        unit=run.task.unit,
        verdict=verdict.word,
        sentence=verdict.sentence,
        judged_by=METRIC_WORDS[run.metric_origin],
        designer=run.designer,
        designed_by=view.stand_in.stands_in if view.stand_in else MODEL_WORDS,
        candidate=best.id if best else None,
        program=best.entry.program.source if best and best.entry.program else "",
        scores=tuple(
            ToldMeasure(words=item.words, score=item.task_score, note=item.note)
            for item in list_beside(view)
        ),
        notes=_list_notes(view),
        strip=_find_strip(run_dir) if view.strip else None,
    )


def _list_notes(view: RunView) -> tuple[str, ...]:
    evaluation = view.shown_evaluation
    ends = describe_ends(evaluation) if evaluation and evaluation.episodes else ""
    said = (ends, describe_choice(view), describe_robustness(view), view.run.note)
    return tuple(note for note in said if note)


def _find_strip(run_dir: Path) -> str | None:
    store = RunStore(run_dir)
    run = store.read_run()
    place = place_shown(store, run, find_shown(run, read_history(store)))
    return str(place.with_name(STRIP_FILE)) if place else None
