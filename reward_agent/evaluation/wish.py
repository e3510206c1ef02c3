"""A person's wish in numbers: what of it is measured over an episode, and whether it is met.

A wish has *points*, each with the person's own words and one or more *measures* that these may
mean, the most literal first. The measures are parts of the ``Score`` of one ``score(episode)``, in
the language of metrics. Two policies are compared by them over episodes from the same starts, and
every verdict follows from the numbers of its row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Annotated, Literal

from pydantic import Field

from reward_agent.text import count
from reward_agent.types import Evaluation, FileName, FileRecord, Finite, OneLine, Record

WISH_FILE, MEASURES_FILE = "wish.json", "measures.py"
MOST_POINTS, MOST_MEASURES = 3, 4
# Of what it was before: by so much less, or more, a wish without a number of its own is met.
ENOUGH_SHARE = 0.25

# One number for each episode; None where there was nothing to measure in it.
Values = tuple[Finite | None, ...]


class WishMeasure(Record):
    """A number of an episode by which a point of a wish is judged."""

    name: str = Field(pattern=r"^[a-z]\w{0,39}$", description="of the part of the score")
    says: Annotated[OneLine, Field(max_length=200)] = Field(
        description="what it is, in words for who reads no code"
    )
    unit: Annotated[OneLine, Field(max_length=20)] = ""
    wanted: Literal["less", "more"]
    enough: Finite | None = Field(
        None, description="where it is as wished; None: a quarter less, or more, than before"
    )

    def settle(self, before: float | None) -> WishMeasure:
        """Return it with a number for what is enough."""
        if self.enough is not None or before is None:
            return self
        sign = -1.0 if self.wanted == "less" else 1.0
        enough = float(f"{before + sign * ENOUGH_SHARE * abs(before):.3g}")
        return self.model_copy(update={"enough": enough})

    def is_met(self, value: float | None) -> bool:
        """Whether a number is as wished."""
        if value is None or self.enough is None:
            return False
        return value <= self.enough if self.wanted == "less" else value >= self.enough

    def show(self, value: float | None) -> str:
        """Return a number with its unit."""
        return "nothing to measure" if value is None else f"{value:.3g} {self.unit}".strip()

    @property
    def asked(self) -> str:
        """What is wished, with its number."""
        if self.enough is None:
            return f"a quarter {self.wanted}"
        return f"at {'most' if self.wanted == 'less' else 'least'} {self.show(self.enough)}"


class WishPoint(Record):
    """One thing that a person says, and what it may mean in numbers."""

    words: Annotated[OneLine, Field(max_length=300)] = Field(description="the person's own")
    measures: tuple[WishMeasure, ...] = Field(
        min_length=1, max_length=MOST_MEASURES, description="the most literal first"
    )


class Wish(Record):
    """What of a person's words is measured, and which words nothing measures."""

    points: tuple[WishPoint, ...] = Field((), max_length=MOST_POINTS)
    not_measured: tuple[Annotated[OneLine, Field(max_length=300)], ...] = Field((), max_length=20)

    @property
    def names(self) -> list[str]:
        """The parts that a score has to have."""
        return [measure.name for point in self.points for measure in point.measures]


NO_WISH = Wish()


class WishRow(Record):
    """A measure of two policies over episodes from the same starts."""

    measure: WishMeasure
    before: Finite | None = Field(description="mean over the episodes")
    after: Finite | None
    change: tuple[Finite, Finite] | None = Field(
        description="95 % interval of after - before; None: too few pairs of episodes"
    )

    @property
    def is_met(self) -> bool:
        """Whether it is as wished now."""
        return self.measure.is_met(self.after)

    @property
    def is_better(self) -> bool:
        """Whether it changed as wished, by more than episodes differ."""
        return self._towards[0] > 0

    @property
    def is_worse(self) -> bool:
        """Whether it changed the other way, by more than episodes differ."""
        return self._towards[1] < 0

    @property
    def _towards(self) -> tuple[float, float]:
        """The interval of how much nearer it is to the wish."""
        low, high = self.change or (0.0, 0.0)
        return (-high, -low) if self.measure.wanted == "less" else (low, high)

    @property
    def verdict(self) -> str:
        """What came of it: better, worse or no clear change, and whether it is met."""
        if self.after is None:
            return "nothing to measure"
        change = "better" if self.is_better else "worse" if self.is_worse else "no clear change"
        if self.measure.enough is None:
            return change
        return f"{'met' if self.is_met else 'not met'}, {change}"

    def render(self) -> str:
        """Return the row as a line."""
        measure = self.measure
        span = "" if self.change is None else f" ({self.change[0]:+.2g} … {self.change[1]:+.2g})"
        asked = "" if measure.enough is None else f"; wished {measure.asked}"
        values = f"{measure.show(self.before)} before, {measure.show(self.after)} after{span}"
        return f"{measure.says}: {values}{asked}: {self.verdict}"


class WishRecord(FileRecord):
    """``wish.json``: what became of a person's wish in a candidate that answers them."""

    candidate: FileName
    before: FileName = Field(description="the candidate that they watched")
    total_timesteps: int = Field(ge=0, description="env steps of each of the two trainings")
    seed: int = Field(description="from which the starts of the episodes are drawn")
    n_episodes: int = Field(ge=0, description="of each policy, from the same starts")
    rows: tuple[WishRow, ...] = Field((), max_length=MOST_POINTS)
    task: WishRow | None = Field(None, description="the task score; None where there is no metric")

    @property
    def verdict(self) -> Literal["better", "mixed", "not better"]:
        """Better: something is, and nothing is worse, the task score included."""
        rows = [*self.rows, *([self.task] if self.task else [])]
        wished = self.rows or rows
        if not any(row.is_better for row in wished):
            return "not better"
        return "mixed" if any(row.is_worse for row in rows) else "better"

    @property
    def rank(self) -> tuple[float, ...]:
        """What to rank answers by, the best first."""
        order = ("better", "mixed", "not better").index(self.verdict)
        task = self.task.after if self.task and self.task.after is not None else 0.0
        return order, -sum(row.is_met for row in self.rows), -task

    @property
    def sentence(self) -> str:
        """The verdict in a sentence."""
        said = {"better": "better than", "mixed": "better in part than"}
        head = f"{said.get(self.verdict, 'no better than')} {self.before}"
        n_met, asked = sum(row.is_met for row in self.rows), count(len(self.rows), "wish", "wishes")
        met = f"{n_met} of {asked} met"
        task = f"task score {self.task.verdict}" if self.task else ""
        told = "; ".join(filter(None, [met if self.rows else "", task]))
        return f"{head}: {told}" if told else head

    def render(self) -> str:
        """Return every row as a line."""
        rows = (*self.rows, *([self.task] if self.task else ()))
        return "\n".join(row.render() for row in rows)


def compare(measure: WishMeasure, before: Values, after: Values) -> WishRow:
    """Compare two policies by a measure; episodes at the same place had the same start."""
    # Here, not above: it needs NumPy, which the commands that only list do not.
    from reward_agent.evaluation.statistics import bootstrap_interval

    pairs = [
        after_one - before_one
        for before_one, after_one in zip(before, after, strict=False)
        if before_one is not None and after_one is not None
    ]
    mean = average(before)
    return WishRow(
        measure=measure.settle(mean),
        before=mean,
        after=average(after),
        change=bootstrap_interval(pairs) if len(pairs) > 1 else None,
    )


def average(values: Iterable[float | None]) -> float | None:
    """Return the mean of what was measured; None where nothing was."""
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def read_values(evaluation: Evaluation, name: str) -> Values:
    """Return a part of the score by episode."""
    return tuple(episode.parts.get(name) for episode in evaluation.episodes)


@dataclass(frozen=True)
class WishBaseline:
    """What answers to a person are compared by, and with what.

    Args:
        points: the person's words with the one measure that is meant by each.
        source: the ``score(episode)`` that the measures are parts of; '' where there are none.
        before: what the program that they watched does, by measure.
        task_scores: of its policy, by episode.
        candidate: id of that program.
        total_timesteps: env steps of its training.
    """

    points: tuple[WishPoint, ...]
    source: str
    before: Mapping[str, Values]
    task_scores: Values
    candidate: str
    total_timesteps: int

    @property
    def measures(self) -> tuple[WishMeasure, ...]:
        """The measure of each point, with a number for what is enough."""
        return tuple(
            point.measures[0].settle(average(self.before.get(point.measures[0].name, ())))
            for point in self.points
        )

    def describe(self) -> tuple[str, ...]:
        """Return each point with its number, in words."""
        return tuple(
            f'"{point.words}": {measure.says}, '
            f"{measure.show(average(self.before.get(measure.name, ())))} now; "
            f"wished {measure.asked}"
            for point, measure in zip(self.points, self.measures, strict=True)
        )

    def judge(
        self, candidate: str, scored: Evaluation | None, evaluation: Evaluation, unit: str
    ) -> WishRecord:
        """Compare a policy that answers with that of the program that was watched.

        Args:
            candidate: whose policy it is.
            scored: its episodes with their measures; None where these failed on them.
            evaluation: the same episodes by the task's metric.
            unit: of the task score.
        """
        task_scores = tuple(episode.task_score for episode in evaluation.episodes)
        score = WishMeasure(name="task_score", says="task score", unit=unit, wanted="more")
        task = compare(score, self.task_scores, task_scores)
        rows = [
            compare(
                measure,
                self.before.get(measure.name, ()),
                read_values(scored, measure.name) if scored else (),
            )
            for measure in self.measures
        ]
        return WishRecord(
            candidate=candidate,
            before=self.candidate,
            total_timesteps=self.total_timesteps,
            seed=evaluation.seed,
            n_episodes=evaluation.n_episodes,
            rows=tuple(rows),
            task=None
            if task.after is None
            else task.model_copy(update={"measure": score}),  # more of it is no wish
        )


def is_contradicted(point: WishPoint, values: Mapping[str, float | None]) -> bool:
    """Whether what a person says, taken by the letter, is not what is measured."""
    literal = point.measures[0]
    return literal.is_met(values.get(literal.name))


def choose_usual(point: WishPoint, values: Mapping[str, float | None]) -> WishMeasure:
    """Return what a point means where nobody says: the most literal that is not met already."""
    open_ones = [item for item in point.measures if not item.is_met(values.get(item.name))]
    return (open_ones or list(point.measures))[0]


def list_missing(names: Sequence[str], evaluation: Evaluation) -> list[str]:
    """Return the measures that no episode has."""
    return [
        name
        for name in names
        if not any(value is not None for value in read_values(evaluation, name))
    ]
