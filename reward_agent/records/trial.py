"""What came of trying a metric before it ranks anything: ``metric/N/trial.json``.

That of a person's own is ``metric/own/trial.json``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field

from reward_agent.definitions.task import METRIC_FILE
from reward_agent.files import list_names, read_text
from reward_agent.records.disk import read_optional
from reward_agent.text import clean_text
from reward_agent.types import (
    Evaluation,
    FileRecord,
    FilmPath,
    Finding,
    Finite,
    OneLine,
    Record,
    RewardProgram,
    Seconds,
    Sha256,
)

if TYPE_CHECKING:
    from reward_agent.records.store import RunStore

TRIAL_FILE = "trial.json"

# Idle: the start pose held, no forces. Made: of numbers alone, by no robot; "beyond" with numbers
# that the fields cannot have, "instant" for a part of the time that the sentence asks for.
RowKind = Literal[
    "idle", "random", "falling", "extreme", "policy",
    "made", "beyond", "instant", "right way", "wrong way", "adversary",
]  # fmt: skip
_KIND_WORDS: dict[RowKind, str] = {
    "made": "made by numbers alone: ",
    "beyond": "made, beyond the fields' ranges: ",
    "instant": "made: ",
    "right way": "made, as the sentence says: ",
    "wrong way": "made, the opposite: ",
    "adversary": "trained on the metric itself: ",
}
_N_EXTREMES, _MAX_DOUBT = 3, 4000
_Text = Annotated[OneLine, Field(max_length=300)]
_Said = Annotated[str, AfterValidator(lambda text: clean_text(text, 1000))]


class TrialRow(Record):
    """What a metric says of one behaviour: means over its episodes."""

    behaviour: _Text
    kind: RowKind
    task_score: Finite | None
    least: Finite | None = Field(None, description="score of the worst episode")
    most: Finite | None = Field(None, description="of the best")
    success_rate: float = Field(ge=0, le=1)
    parts: dict[str, Finite] = Field(default_factory=dict, max_length=100)
    n_episodes: int = Field(1, ge=0)
    length_s: Seconds = 0.0
    is_flat: bool = Field(False, description="of a training: whether its score no longer rose")
    film: FilmPath | None = Field(None, description="of it, in the run")
    strip: FilmPath | None = Field(None, description="pictures of it, in the run")
    judged: _Said = Field("", description="what a model that watched its film says")
    conflict: _Said = Field("", description="how that contradicts the metric")

    @classmethod
    def of_policy(cls, best: Evaluation, control_dt: float, **facts: Any) -> Self:
        """Return the row of a policy that was evaluated, with what else is known of it."""
        scores = [item.task_score for item in best.episodes if item.task_score is not None]
        return cls(
            task_score=best.task_score,
            least=min(scores, default=None),
            most=max(scores, default=None),
            success_rate=best.success_rate or 0.0,
            parts=best.parts,
            n_episodes=best.n_episodes,
            length_s=best.episode_length * control_dt,
            **facts,
        )

    @property
    def title(self) -> str:
        """The behaviour, with what kind it is where that does not say."""
        return f"{_KIND_WORDS.get(self.kind, '')}{self.behaviour}"


class MetricTrial(FileRecord):
    """How a metric did on behaviours that nobody trained, and what speaks against it.

    A metric with an error is not taken unless a person says so; a warning is sent back where there
    is a try left, and told where there is none.
    """

    rows: tuple[TrialRow, ...] = Field(max_length=500)
    scale: Finite = Field(description="task score of the behaviour done, as far as it is known")
    target_score: Finite | None = Field(
        None, description="what counts as done: as stated, or as a success that was made scores"
    )
    findings: tuple[Finding, ...] = ()
    dropped: tuple[_Text, ...] = Field((), description="quantities that the criterion lacks")
    opinion: OneLine = Field("", description="a second model's words; empty where none was asked")
    agrees: bool | None = Field(None, description="whether it finds sentence and criterion alike")
    strip: FilmPath | None = Field(None, description="pictures of what the robot does untrained")
    total_timesteps: int = Field(0, ge=0, description="env steps trained on the metric itself")
    wall_s: Seconds = 0.0

    @property
    def has_passed(self) -> bool:
        """Whether nothing speaks against the metric."""
        return not any(finding.severity == "error" for finding in self.findings)

    @property
    def chosen_rows(self) -> tuple[TrialRow, ...]:
        """The rows that fit a screen: of the actuators' ends those that score best."""
        ends = [row for row in self.rows if row.kind == "extreme"]
        best = sorted(ends, key=lambda row: -(row.task_score or 0.0))[:_N_EXTREMES]
        return tuple(row for row in self.rows if row.kind != "extreme" or row in best)


class Retrial(MetricTrial):
    """The trial made again with a round's policies, none of which succeeded or still improves."""

    iteration: int = Field(ge=0)
    metric_sha256: Sha256 | None
    is_kept: bool = Field(False, description="whether a person said to go on with the metric")
    plateau: _Said = Field(description="how the score of the round stopped rising")

    @property
    def doubt(self) -> str:
        """What speaks against the metric; '' where nothing does."""
        told = [item.message for item in self.findings if item.severity != "hint"]
        # What it was accepted without is no news.
        is_news = any(
            item.severity != "hint" and item.rule != "metric/dropped" for item in self.findings
        )
        return clean_text("; ".join([self.plateau, *told]), _MAX_DOUBT) if is_news else ""


def list_proposals(store: RunStore) -> list[Path]:
    """Return the folders of the metrics that a run's Designer proposed, oldest first."""
    after = [place_retrial(store, index).parent for index in store.list_iterations()]
    return [path for folder in (store.dir / "metric", *after) for path in _list_numbered(folder)]


def _list_numbered(folder: Path) -> list[Path]:
    names = [name for name in list_names(folder) if re.fullmatch("[0-9]{1,4}", name)]
    return [folder / name for name in sorted(names, key=int)]


def list_trials(store: RunStore) -> list[MetricTrial]:
    """Return the trials of the metrics that a run's Designer proposed, oldest first."""
    trials = (read_optional(path / TRIAL_FILE, MetricTrial) for path in list_proposals(store))
    return [trial for trial in trials if trial is not None]


def list_pictures(store: RunStore, trial: MetricTrial) -> list[tuple[str, Path]]:
    """Return what is drawn of a trial's behaviours, with the words for it."""
    told = [("without training", trial.strip), *((row.title, row.strip) for row in trial.rows)]
    return [(title, store.dir / strip) for title, strip in told if strip]


def find_trial(store: RunStore, source: str) -> MetricTrial | None:
    """Return the trial of a metric by its text; None where it was not tried."""
    tried = [place_own_trial(store).parent, *list_proposals(store)]
    same = [path for path in tried if read_text(path / METRIC_FILE, "") == source]
    return read_optional(same[-1] / TRIAL_FILE, MetricTrial) if same else None


def place_own_trial(store: RunStore) -> Path:
    """Return where the trial of a person's metric is kept, beside its text."""
    return store.dir / "metric" / "own" / TRIAL_FILE


def place_retrial(store: RunStore, iteration: int) -> Path:
    """Return where the trial that was made again after a round is kept."""
    return store.dir / "metric" / f"round_{iteration}" / TRIAL_FILE


def list_retrials(store: RunStore) -> list[Retrial]:
    """Return what came of examining a run's metric again, by the rounds after which it was."""
    own = RewardProgram(read_text(store.dir / METRIC_FILE, "")).sha256
    return [item for item in _list_all_retrials(store) if item.metric_sha256 == own]


def list_doubted(store: RunStore) -> set[Sha256]:
    """Return the digests of the metrics that a run was scored by and examined again."""
    return {item.metric_sha256 for item in _list_all_retrials(store) if item.metric_sha256}


def _list_all_retrials(store: RunStore) -> list[Retrial]:
    found = [read_optional(place_retrial(store, i), Retrial) for i in store.list_iterations()]
    return [item for item in found if item is not None]


def read_trial(store: RunStore) -> MetricTrial | None:
    """Return the trial of the run's metric; where it has none yet, of what was proposed last."""
    source = read_text(store.dir / METRIC_FILE, "")
    return find_trial(store, source) if source else next(reversed(list_trials(store)), None)
