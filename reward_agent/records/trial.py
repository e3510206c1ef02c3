"""What came of trying a metric before it ranks anything: ``metric/N/trial.json``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from reward_agent.files import list_names
from reward_agent.records.disk import read_optional
from reward_agent.types import FileRecord, FilmPath, Finding, Finite, OneLine, Record, Seconds

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
_N_EXTREMES = 3
_Text = Annotated[OneLine, Field(max_length=300)]


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
    findings: tuple[Finding, ...] = ()
    dropped: tuple[_Text, ...] = Field((), description="quantities that the criterion lacks")
    opinion: OneLine = Field("", description="a second model's words; empty where none was asked")
    agrees: bool | None = Field(None, description="whether it finds sentence and criterion alike")
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


def list_trials(store: RunStore) -> list[MetricTrial]:
    """Return the trials of the metrics that a run's Designer proposed, oldest first."""
    names = [name for name in list_names(store.dir / "metric") if re.fullmatch("[0-9]{1,4}", name)]
    paths = [store.dir / "metric" / name / TRIAL_FILE for name in sorted(names, key=int)]
    trials = (read_optional(path, MetricTrial) for path in paths)
    return [trial for trial in trials if trial is not None]


def read_trial(store: RunStore) -> MetricTrial | None:
    """Return the trial of the metric that was proposed last; None without one."""
    return next(reversed(list_trials(store)), None)
