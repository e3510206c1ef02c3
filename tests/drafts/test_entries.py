"""Claims of an observation's entries, held against how they move."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from reward_agent.drafts.columns import Array, ColumnSignal, Scattered, find_facts, find_turns
from reward_agent.drafts.docstring import Docstring, DocTable, Row
from reward_agent.drafts.entries import EnvEntry, Found, Leaf, judge_entries

DT = 0.02
# Of a cart on a slide and a pole on a hinge: positions, then rates.
ROWS = (
    Row(0, 0, "position of the cart", "slider", "slide", "m"),
    Row(1, 1, "angle of the pole", "hinge", "hinge", "rad"),
    Row(2, 2, "velocity of the cart", "slider", "slide", "m/s"),
    Row(3, 3, "angular velocity of the pole", "hinge", "hinge", "rad/s"),
)
SIGNALS = (
    ColumnSignal("position of joint 'slider'", ("slider", "cart"), "m", "position", "x"),
    ColumnSignal("angle of joint 'hinge'", ("hinge", "pole"), "rad", "position"),
    ColumnSignal("velocity of joint 'slider'", ("slider", "cart"), "m/s", "rate", "x"),
    ColumnSignal("angular velocity of joint 'hinge'", ("hinge", "pole"), "rad/s", "rate"),
)
OBJECTS = frozenset(["slider", "cart", "hinge", "pole"])


def move(n: int = 200) -> list[Array]:
    """Episodes of two coordinates that are pushed at random, and their rates."""
    rng, episodes = np.random.default_rng(0), []
    for _ in range(2):
        rates = np.cumsum(rng.normal(0, [1.0, 3.0], (n, 2)) * 0.1, axis=0)
        places = np.cumsum(rates, axis=0) * DT
        episodes.append(np.hstack([places, rates]))
    return episodes


def scatter() -> Scattered:
    """States in which every entry is just what MuJoCo says of it."""
    values = np.random.default_rng(1).normal(size=(20, 4))
    parts = (("position", "slider", "cart"), ("position", "hinge", "pole"),
             ("rate", "slider", "cart"), ("rate", "hinge", "pole"))  # fmt: skip
    return Scattered(values, values, SIGNALS, np.eye(4, dtype=bool), parts)


def judge(
    rows: Sequence[Row], *, scattered: bool = True, more: Sequence[DocTable] = ()
) -> tuple[list[EnvEntry], list[str]]:
    episodes = move()
    facts = find_facts(episodes, scatter() if scattered else None)
    doc = Docstring((DocTable(tuple(rows)), *more))
    found = Found(facts, episodes, DT, OBJECTS if scattered else ())
    return judge_entries([Leaf("observation", 0, 4)], doc, found)


def swap(rows: Sequence[Row], i: int, k: int) -> list[Row]:
    """Rows of which two have each other's number."""
    changed = [Row(**vars(row)) for row in rows]
    first, second = vars(rows[i]), vars(rows[k])
    changed[i] = Row(**{**second, "first": i, "last": i})
    changed[k] = Row(**{**first, "first": k, "last": k})
    return changed


@pytest.mark.parametrize("scattered", [True, False])
def test_what_is_true_is_checked(scattered: bool) -> None:
    entries, said = judge(ROWS, scattered=scattered)
    assert [entry.status for entry in entries] == ["checked"] * 4
    assert [entry.unit for entry in entries] == ["m", "rad", "m/s", "rad/s"]
    assert said == (["'hinge' in a column of the table is taken for a kind of joint; a joint has "
                     "that name"] if scattered else [])  # fmt: skip


def test_a_wrong_unit_is_said_and_the_true_one_taken() -> None:
    wrong = Row(1, 1, "angle of the pole", "hinge", "hinge", "rad/s")
    entries, _ = judge([ROWS[0], wrong, *ROWS[2:]])
    assert entries[1].unit == "rad"
    assert "says rad/s, but it is the angle of joint 'hinge'" in entries[1].report


@pytest.mark.parametrize("scattered", [True, False])
def test_a_planted_row_is_refused(scattered: bool) -> None:
    entries, _ = judge(swap(ROWS, 1, 2), scattered=scattered)
    wrong = [entry for entry in entries if entry.status == "wrong"]
    assert {entry.index for entry in wrong} >= {2}
    assert all(entry.report and not entry.text for entry in wrong)


def test_a_row_of_another_joint_is_refused() -> None:
    entries, _ = judge(swap(ROWS, 0, 1))
    assert [entry.status for entry in entries[:2]] == ["wrong", "wrong"]
    assert "said to be of 'hinge', but is the position of joint 'slider'" in entries[0].report
    assert [entry.unit for entry in entries[:2]] == ["m", "rad"]


def test_a_table_that_is_off_by_one_is_not_taken() -> None:
    off = [Row(**{**vars(row), "first": row.first - 1, "last": row.last - 1}) for row in ROWS[1:]]
    entries, said = judge(off)
    assert any("off by one" in text for text in said)
    assert all(entry.row is None for entry in entries)


def test_a_table_that_counts_from_one_is_tried_from_nought() -> None:
    rows = [Row(**{**vars(row), "first": row.first + 1, "last": row.last + 1}) for row in ROWS]
    entries, said = judge(rows)
    assert any("counts from 1" in text for text in said)
    assert [entry.status for entry in entries] == ["checked"] * 4


def test_a_second_table_and_one_that_is_too_long_are_not_taken() -> None:
    second = DocTable(ROWS[:2], title="the joints", is_of_observation=False)
    _, said = judge(ROWS, more=[second])
    assert any("a second table, of 2 rows" in text for text in said)
    entries, said = judge([*ROWS, Row(4, 4, "more")])
    assert any("5 rows fits no part of the observation (4 entries)" in text for text in said)
    assert all(entry.row is None for entry in entries)


def test_a_rate_of_another_clock_has_no_unit() -> None:
    episodes = [episode * [1, 1, DT, 1] for episode in move()]
    facts = find_facts(episodes, None)
    found = Found(facts, episodes, DT, ())
    doc = Docstring((DocTable(ROWS),))
    entries, _ = judge_entries([Leaf("observation", 0, 4)], doc, found)
    assert entries[2].unit == "1"
    assert "by another clock" in entries[2].report


def test_a_range_that_is_left_is_said() -> None:
    narrow = Row(0, 0, "position of the cart", low=-1e-3, high=1e-3)
    entries, _ = judge([narrow, *ROWS[1:]], scattered=False)
    assert "the docstring says -0.001 to 0.001, it was seen from" in entries[0].report


def test_cosine_and_sine_are_told_apart_by_the_rate() -> None:
    angle = np.cumsum(np.random.default_rng(0).normal(size=200)) * DT
    rate = np.append(np.diff(angle) / DT, 0.0)
    episode = np.column_stack([np.cos(angle), np.sin(angle), rate])
    assert find_turns(episode) == [(0, 1)]
    facts = find_facts([episode], None)
    assert [fact.trig for fact in facts[:2]] == ["cosine", "sine"]
    assert facts[2].rate_of_trig == "cosine"
    rows = (Row(0, 0, "sine of the angle"), Row(1, 1, "cosine of the angle"))
    found = Found(facts, [episode], DT, ())
    entries, _ = judge_entries([Leaf("observation", 0, 3)], Docstring((DocTable(rows),)), found)
    assert [entry.status for entry in entries[:2]] == ["wrong", "wrong"]
    rows = (*rows, Row(2, 2, "angular velocity of the angle", unit="deg/s"))
    entries, _ = judge_entries([Leaf("observation", 0, 3)], Docstring((DocTable(rows),)), found)
    assert "says deg/s, but it is the rate of" in entries[2].report


def test_what_was_never_moved_is_not_checked() -> None:
    episodes = [np.hstack([episode[:, :3], np.zeros((len(episode), 1))]) for episode in move()]
    found = Found(find_facts(episodes, None), episodes, DT, ())
    entries, _ = judge_entries([Leaf("observation", 0, 4)], Docstring((DocTable(ROWS),)), found)
    assert entries[3].status == "unchecked"
