"""What came of trying a metric before it ranks anything: ``metric/N/trial.json``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from reward_agent.types import FileRecord, FilmName, Finding, Finite, OneLine, Record, Seconds

TRIAL_FILE = "trial.json"

# Idle: the start pose held, no forces. Made: of numbers alone, by no robot; "beyond" with numbers
# that the fields cannot have, "instant" for a part of the time that the sentence asks for.
RowKind = Literal[
    "idle", "random", "falling", "extreme", "policy",
    "made", "beyond", "instant", "right way", "wrong way", "adversary",
]  # fmt: skip
_Text = Annotated[OneLine, Field(max_length=300)]


class TrialRow(Record):
    """What a metric says of one behaviour: means over its episodes."""

    behaviour: _Text
    kind: RowKind
    task_score: Finite | None
    success_rate: float = Field(ge=0, le=1)
    parts: dict[str, Finite] = Field(default_factory=dict, max_length=100)
    n_episodes: int = Field(1, ge=0)
    length_s: Seconds = 0.0
    is_flat: bool = Field(False, description="of a training: whether its score no longer rose")


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
    strip_file: FilmName | None = Field(None, description="a picture of the behaviours")
    wall_s: Seconds = 0.0

    @property
    def has_passed(self) -> bool:
        """Whether nothing speaks against the metric."""
        return not any(finding.severity == "error" for finding in self.findings)
