"""What a person's words are in numbers, and the question where they say what is not measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reward_agent.definitions.card import EnvCard
from reward_agent.evaluation.wish import WishMeasure, WishPoint, choose_usual, is_contradicted
from reward_agent.feedback.records import AnyEntry, Meant, MeasuredRemark, Remarked


@dataclass(frozen=True)
class Question:
    """Which part a person means whose words, by the letter, are not what is measured.

    Args:
        measured: what is measured of their remark.
        index: the point that is asked about, of its wish.
    """

    measured: MeasuredRemark
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


def find_measured(entries: Sequence[AnyEntry], remark: int) -> MeasuredRemark | None:
    """Return what is measured of a remark; None before that was asked."""
    found = (e for e in entries if isinstance(e, MeasuredRemark) and e.remark == remark)
    return next(found, None)


def list_questions(entries: Sequence[AnyEntry], waiting: Sequence[AnyEntry]) -> list[Question]:
    """Return what is to be answered before the remarks that wait are."""
    numbers = {entry.number for entry in waiting}
    answered = {(e.remark, e.point) for e in entries if isinstance(e, Meant)}
    return [
        Question(entry, index)
        for entry in entries
        if isinstance(entry, MeasuredRemark) and entry.remark in numbers
        for index, point in enumerate(entry.wish.points)
        if is_contradicted(point, entry.values) and (entry.remark, index) not in answered
    ]


def choose_points(entries: Sequence[AnyEntry], measured: MeasuredRemark) -> Iterator[WishPoint]:
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


def find_wish(entries: Sequence[AnyEntry], until: int) -> MeasuredRemark | None:
    """Return what was measured last of a remark up to an entry, and has a measure."""
    remarks = {e.number for e in entries if isinstance(e, Remarked) and e.number <= until}
    found = [
        e for e in entries if isinstance(e, MeasuredRemark) and e.remark in remarks and e.source
    ]
    return found[-1] if found else None


def describe_measured(entries: Sequence[AnyEntry], measured: MeasuredRemark) -> list[str]:
    """Return what is measured of a remark, and what is not, a line each, for the person.

    A point that they are asked about has none before it is answered.
    """
    answered = {e.point for e in entries if isinstance(e, Meant) and e.remark == measured.remark}
    open_words = {
        point.words
        for index, point in enumerate(measured.wish.points)
        if is_contradicted(point, measured.values) and index not in answered
    }
    lines = []
    for point in choose_points(entries, measured):
        measure = point.measures[0]
        value = measured.values.get(measure.name)
        if point.words not in open_words:
            lines.append(
                f'"{point.words}" is measured by: {measure.says}; {measure.show(value)} now, '
                f"wished: {measure.asked}"
            )
    if not measured.wish.points:
        why = measured.reason or "nothing that the robot's fields measure is among them"
        lines.append(f"your words are not measured, only answered: {why}")
    elif measured.wish.not_measured:
        left_out = ", ".join(f'"{words}"' for words in measured.wish.not_measured)
        lines.append(f"not measured: {left_out}")
    return lines


def describe_entry(entries: Sequence[AnyEntry], entry: AnyEntry) -> list[str]:
    """Return what an entry says of measures, in words for the person; nothing of others."""
    if isinstance(entry, MeasuredRemark):
        return describe_measured(entries, entry)
    measured = find_measured(entries, entry.remark) if isinstance(entry, Meant) else None
    if measured is None or not isinstance(entry, Meant):
        return []
    points = measured.wish.points[entry.point : entry.point + 1]
    said = (m.says for point in points for m in point.measures if m.name == entry.measure)
    return [next(said, "none of these")]


# What people say of robots that have such a field, and what they want instead.
_EXAMPLES = (
    ("object_target_distance", "It pushes the object past the target.", "Bring it there slowly."),
    ("fixture_position", "It lets go too early.", "Hold it until it is open."),
    ("foot_height", "It slaps its feet down hard.", "Land softly, and keep going."),
    ("foot_contact", "It leans to one side.", "Keep the torso upright."),
    ("target_distance", "It shakes at the target.", "Come to rest there."),
    ("height", "It drops too low.", "Stay up, and move calmly."),
)


def suggest_words(card: EnvCard) -> tuple[str, str]:
    """Return an example of what may be said of this robot's policies, and of a wish."""
    for role, seen, wished in _EXAMPLES:
        if card.list_roles(role):
            return seen, wished
    return "It shakes all the time.", "Move smoothly, with less effort."
