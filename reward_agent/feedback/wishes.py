"""What a person's words are in numbers, and the question where they say what is not measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reward_agent.evaluation.wish import (
    WishMeasure,
    WishPoint,
    choose_usual,
    is_contradicted,
)
from reward_agent.feedback.records import AnyEntry, Meant, Measured, Remarked


@dataclass(frozen=True)
class Question:
    """Which part a person means whose words, by the letter, are not what is measured.

    Args:
        measured: what is measured of their remark.
        index: the point that is asked about, of its wish.
    """

    measured: Measured
    index: int

    @property
    def remark(self) -> int:
        """Number of the remark."""
        return self.measured.remark

    @property
    def point(self) -> WishPoint:
        """The point."""
        return self.measured.wish.points[self.index]

    @property
    def text(self) -> str:
        """The question in words, with the number that contradicts."""
        literal = self.point.measures[0]
        value = literal.show(self.measured.values.get(literal.name))
        return (
            f'You say "{self.point.words}". Measured: {literal.says} {value}; {literal.asked} is '
            "as you wish already. Which part do you mean?"
        )

    @property
    def options(self) -> list[WishMeasure]:
        """What may be meant, the usual one first."""
        usual = choose_usual(self.point, self.measured.values)
        return [usual, *(item for item in self.point.measures if item != usual)]

    def show_option(self, measure: WishMeasure) -> str:
        """Return a measure with its number now."""
        value = self.measured.values.get(measure.name)
        met = ", as you wish already" if measure.is_met(value) else ""
        return f"{measure.says}: {measure.show(value)} now{met}"


def find_measured(entries: Sequence[AnyEntry], remark: int) -> Measured | None:
    """Return what is measured of a remark; None before that was asked."""
    found = (e for e in entries if isinstance(e, Measured) and e.remark == remark)
    return next(found, None)


def list_questions(entries: Sequence[AnyEntry], waiting: Sequence[AnyEntry]) -> list[Question]:
    """Return what is to be answered before the remarks that wait are."""
    numbers = {entry.number for entry in waiting}
    answered = {(e.remark, e.point) for e in entries if isinstance(e, Meant)}
    return [
        Question(entry, index)
        for entry in entries
        if isinstance(entry, Measured) and entry.remark in numbers
        for index, point in enumerate(entry.wish.points)
        if is_contradicted(point, entry.values) and (entry.remark, index) not in answered
    ]


def choose_points(entries: Sequence[AnyEntry], measured: Measured) -> Iterator[WishPoint]:
    """Yield each point of a remark with the one measure that is meant by it."""
    said = {
        e.point: e.measure for e in entries if isinstance(e, Meant) and e.remark == measured.remark
    }
    for index, point in enumerate(measured.wish.points):
        usual = choose_usual(point, measured.values)
        name = said.get(index, usual.name)
        chosen = next((item for item in point.measures if item.name == name), None)
        if chosen is not None:
            yield point.model_copy(update={"measures": (chosen,)})


def find_wish(entries: Sequence[AnyEntry], until: int) -> Measured | None:
    """Return what was measured last of a remark up to an entry, and has a measure."""
    remarks = {e.number for e in entries if isinstance(e, Remarked) and e.number <= until}
    found = [e for e in entries if isinstance(e, Measured) and e.remark in remarks and e.source]
    return found[-1] if found else None


def describe_measured(measured: Measured, points: Sequence[WishPoint]) -> list[str]:
    """Return what is measured of a remark, and what is not, a line each, for the person."""
    lines = []
    for point in points:
        measure = point.measures[0]
        value = measured.values.get(measure.name)
        lines.append(
            f'"{point.words}" is measured by: {measure.says}; {measure.show(value)} now, wished: '
            f"{measure.settle(value).asked}"
        )
    lines += [f'"{words}" is not measured' for words in measured.wish.not_measured]
    if not measured.wish.points:
        why = measured.reason or "no word of it is known that a field of the robot measures"
        lines.insert(0, f"your words are not measured: {why}")
    return lines
