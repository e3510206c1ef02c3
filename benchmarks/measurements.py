"""What a benchmark measures: one training that learned, one rate, one size; and the row of each."""

from __future__ import annotations

from pydantic import Field

from reward_agent.types import FileRecord, Finite, Record, TimeUse


class Rate(Record):
    """How fast one training of a side stepped its environments."""

    side: str
    env: str
    n_envs: int
    steps: int
    wall_s: Finite
    n_side_by_side: int = Field(1, description="trainings that ran at the same time")
    timing: TimeUse | None = Field(None, description="where the time went; only we know of us")
    peak_mib: Finite | None = Field(None, description="resident memory of the training's process")

    @property
    def steps_per_s(self) -> float:
        """Env steps a second."""
        return self.steps / self.wall_s


class CurvePoint(Record):
    """A policy on the way: after how much training, and what it was worth on fresh episodes."""

    total_timesteps: int
    wall_s: Finite
    task_score: Finite | None


class Learned(Record):
    """One training of one side, judged by the task's metric.

    ``wall_s`` counts training only; policies are judged while the clock stands.
    """

    side: str
    env: str
    seed: int
    wall_s: Finite
    curve: tuple[CurvePoint, ...]
    limit_s: Finite | None = Field(None, description="the training was ended after this long")

    def find_time_to(self, score: float) -> float | None:
        """Return the wall time of the first policy that reaches a task score, in s."""
        return next(
            (
                point.wall_s
                for point in self.curve
                if point.task_score is not None and point.task_score >= score
            ),
            None,
        )

    def find_score_at(self, steps: int) -> float | None:
        """Return the task score of the first policy with at least so many steps of training."""
        return next(
            (point.task_score for point in self.curve if point.total_timesteps >= steps), None
        )


class RewardCost(Record):
    """What one reward program costs at each step, as a share of the step, 0..1."""

    env: str
    program: str
    n_envs: int
    call_us: Finite
    share: Finite


class Course(Record):
    """One candidate of a race trained to the end: its trusted scores along the way.

    ``scores`` has mean, low and high of each tenth or so of the training, at ``steps``.
    """

    env: str
    candidate: str
    seed: int
    steps: tuple[int, ...]
    scores: tuple[tuple[Finite, Finite, Finite], ...]


class Verdict(Record):
    """Seconds from a program's text to its verdict, static rules and probe."""

    is_warm: bool = Field(description="the child is forked of a process with everything imported")
    program: str
    wall_s: Finite


class WholeRun(Record):
    """What a design run took beside its purpose."""

    run_dir: str
    wall_s: Finite
    waste: Finite = Field(description="share of slot time outside its purpose, 0..1")
    slot_seconds: dict[str, Finite]
    parent_peak_mib: Finite | None = Field(None, description="None: of a run that was found")
    candidate_bytes: tuple[int, ...] = Field(description="on disk, of each trained candidate")


class Row(Record):
    """One line of the table: a number, what it must be, and what it was computed from."""

    name: str
    value: Finite | None = Field(None, description="None: it could not be measured; note says why")
    unit: str = Field("x", description="'x' is a ratio of ours to theirs")
    bar: str = Field("", description="what the value must be, such as '>= 3.5'; empty: no bar")
    ours: tuple[Finite, ...] = ()
    theirs: tuple[Finite, ...] = ()
    note: str = ""

    @property
    def is_reached(self) -> bool | None:
        """Whether the value keeps its bar; None where there is no bar or no value."""
        if not self.bar or self.value is None:
            return None
        sign, limit = self.bar.split()
        return self.value >= float(limit) if sign == ">=" else self.value <= float(limit)


Measurement = Learned | Rate | RewardCost | Course | Verdict | WholeRun


class Machine(Record):
    """Where and how the numbers were taken."""

    processor: str
    n_cores: int
    n_slots: int = Field(description="trainings side by side")
    load: Finite = Field(description="load average of the last minute when the benchmark began")
    versions: dict[str, str]
    isolation: str = Field(description="what our trainings ran in")
    created: str


class SpeedReport(FileRecord):
    """All rows of one run of the benchmark."""

    machine: Machine
    rows: tuple[Row, ...]
    measurements: tuple[Measurement, ...] = ()
