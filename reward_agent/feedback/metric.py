"""The metric of a run, before a person's eyes: in words, as code, on what was recorded.

A metric that the Designer proposed is accepted, edited, replaced or rejected here, also after the
trainings: their policies are kept, so every candidate is scored again by the new one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from reward_agent.definitions.task import METRIC_FILE
from reward_agent.designers.brief import HistoryEntry
from reward_agent.designers.reply import parse_record
from reward_agent.designers.roles import NO_WORDS, MetricWords
from reward_agent.errors import DataError
from reward_agent.files import read_text
from reward_agent.records.disk import read_record
from reward_agent.records.store import MetricOrigin, RunRecord, RunStore
from reward_agent.records.trial import list_proposals
from reward_agent.rewards.checks import check_metric
from reward_agent.run.active import ActiveRun, Metric
from reward_agent.run.evaluate import evaluate_recorded
from reward_agent.run.metric import WORDS_FILE, read_words
from reward_agent.types import CheckReport, Evaluation

PROPOSED: frozenset[MetricOrigin] = frozenset(
    {"proposed: accepted", "proposed: accepted unseen", "proposed: edited"}
)


@dataclass(frozen=True)
class MetricView:
    """A run's metric as a person reads it.

    Args:
        origin: where it came from; ``none`` with a source is a proposal that nobody accepted.
        source: its code; empty where there is none at all.
        meaning: what it measures, in the Designer's words; empty if a person wrote it.
        criterion: what counts, with its numbers.
        unit: unit of the task score.
        words: all that is said beside the code, where it was proposed.
    """

    origin: MetricOrigin
    source: str
    meaning: str
    criterion: str
    unit: str
    words: MetricWords | None = None

    @property
    def is_proposed(self) -> bool:
        """Whether the Designer wrote it, or a person changed what it wrote."""
        return bool(self.source) and (self.origin in PROPOSED or self.origin == "none")


@dataclass(frozen=True)
class ScoresOfMetric:
    """What a metric says of the recorded episodes, before it is adopted.

    Args:
        check: findings of the static rules; with an error nothing was scored.
        scores: candidate id to its evaluation by this metric; None where the metric failed.
    """

    check: CheckReport
    scores: dict[str, Evaluation | None]

    @property
    def refusal(self) -> str:
        """Why it cannot be used; empty if it can score every episode that was recorded."""
        if self.check.errors:
            return self.check.errors[0].message
        return "it cannot score what was recorded" if None in self.scores.values() else ""


def load_metric_view(store: RunStore, run: RunRecord) -> MetricView:
    """Read the metric of a run, or the one that was proposed and not taken."""
    proposals = [path for path in list_proposals(store) if (path / METRIC_FILE).is_file()]
    folder = proposals[-1] if proposals else None
    words = _read_words(folder)
    if run.metric_origin != "none":
        task, source = run.task, read_text(store.dir / METRIC_FILE, "")
        if run.metric_origin not in PROPOSED:
            return MetricView(run.metric_origin, source, "", task.criterion, task.unit)
        words = read_words(task, words.meaning)
        return MetricView(
            run.metric_origin, source, words.meaning, words.criterion, words.unit, words
        )
    source = read_text(folder / METRIC_FILE) if folder is not None else ""
    return MetricView("none", source, words.meaning, words.criterion, words.unit, words)


def _read_words(folder: Path | None) -> MetricWords:
    try:
        if folder is None:
            return NO_WORDS
        if (folder / WORDS_FILE).is_file():
            return read_record(folder / WORDS_FILE, MetricWords)
        # A run of an earlier version has them in the reply alone.
        return parse_record(read_text(folder / "reply.md"), MetricWords)
    except (DataError, OSError):
        return NO_WORDS


def try_metric(run: ActiveRun, source: str, trained: Iterable[HistoryEntry]) -> ScoresOfMetric:
    """Score the recorded episodes of the candidates by a metric, in the sandbox."""
    check = check_metric(source, run.card)
    scores: dict[str, Evaluation | None] = {}
    if check.is_accepted:
        changed = replace(run, metric=Metric(source, "proposed: edited"))
        for entry in trained:
            candidate = entry.candidate
            assert candidate.evaluation is not None
            recorded = run.store.evaluation_dir(
                candidate.iteration, candidate.id, run.settings.seed
            )
            blank = candidate.evaluation.model_copy(update={"task_score": None})
            scored = evaluate_recorded(changed, recorded, blank)
            scores[candidate.id] = scored if scored.task_score is not None else None
    return ScoresOfMetric(check, scores)
