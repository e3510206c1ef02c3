"""What a docstring claims of an observation: tables, lists, one sentence, and what is of others."""

from __future__ import annotations

import gymnasium
import pytest

from reward_agent.drafts.docstring import Docstring, find_unit, mine_docstring, read_sentence

TABLE = """
    ## Action Space
    | Num | Action | Min | Max | Name (in corresponding XML file) | Joint | Type (Unit) |
    |-----|--------|-----|-----|------|-------|--------------|
    | 0   | Torque | -1  | 1   | root | hinge | torque (N m) |

    ## Observation Space
    `info` has the keys `"height"` and `"success"`.

    | Num | Observation | Min | Max | Name (in corresponding XML file) | Joint | Type (Unit) |
    | --- | ----------- | --- | --- | ---- | ----- | ----------- |
    | 0   | angle of the arm | -Inf | 3.14 | arm | hinge | angle (rad) |
    | 1-2 | velocity of the hand | -Inf | Inf | hand | slide | velocity (m/s) |
    | excluded | x of the hand | -Inf | Inf | hand | slide | position (m) |

    The model has these 2 joints:

    | Num | Observation | Min | Max | Name | Joint | Unit |
    | --- | ----------- | --- | --- | ---- | ----- | ---- |
    | 0   | angle of the arm  | -Inf | Inf | arm | hinge | angle (rad) |
    | 1   | slide of the hand | -Inf | Inf | hand | slide | position (m) |

    ## Version History
    * v1: Added `info["gone"]`
"""


def observed(doc: Docstring) -> list[str]:
    return [row.text for table in doc.tables if table.is_of_observation for row in table.rows]


def test_rows_have_name_unit_and_bounds() -> None:
    table = next(t for t in mine_docstring(TABLE).tables if t.is_of_observation)
    arm, hand = table.rows
    assert (arm.text, arm.name, arm.kind, arm.unit) == ("angle of the arm", "arm", "hinge", "rad")
    assert (arm.low, arm.high) == (None, 3.14)
    assert (hand.first, hand.last, hand.unit, table.n_entries) == (1, 2, "m/s", 3)
    assert table.n_excluded == 1


def test_tables_of_actions_and_of_joints_are_not_of_the_observation() -> None:
    assert observed(mine_docstring(TABLE)) == ["angle of the arm", "velocity of the hand"]


def test_promised_keys_of_the_info_are_found_but_not_those_of_the_history() -> None:
    assert mine_docstring(TABLE).info == ("height", "success")


def test_a_table_is_of_the_key_that_is_named_before_it() -> None:
    text = """
    ### Observation Space
    * `goal`: an `ndarray` with these elements:
      | Num | Observation | Unit |
      |-----|-------------|------|
      | 0   | x of the target | position (m) |
    """
    assert mine_docstring(text, ["goal", "other"]).tables[0].key == "goal"


@pytest.mark.parametrize(
    "text",
    [
        "Observation:\n  0: cart position, m\n  1: cart velocity, m/s\n",
        "Observations\n============\n- obs[0]: cart position, m\n- obs[1]: cart velocity, m/s\n",
        "The state has 2 numbers:\n* `0` - cart position, m\n* `1` - cart velocity, m/s\n",
    ],
)
def test_a_numbered_list_is_a_table(text: str) -> None:
    assert observed(mine_docstring(text)) == ["cart position, m", "cart velocity, m/s"]


def test_a_list_of_actions_is_none() -> None:
    text = "## Action Space\n- 0: push left\n- 1: push right\n\n## Observation Space\nAn integer.\n"
    assert observed(mine_docstring(text)) == []


def test_a_sentence_counts_only_if_it_lists_every_entry() -> None:
    prose = "The state is a vector: the coordinates in `x` & `y`, its angle, and two booleans."
    assert [row.text for row in read_sentence(prose, 5)] == [
        "coordinates, x", "coordinates, y", "angle", "booleans, number 1", "booleans, number 2",
    ]  # fmt: skip
    assert read_sentence(prose, 4) == ()


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("angular velocity (rad/s)", "rad/s"), ("angle (rad)", "rad"), ("position (m)", "m"),
        ("velocity (m/s)", "m/s"), ("unitless", "1"), ("Force (N)", "N"), ("torque (N m)", "N m"),
        ("degrees", "deg"), ("velocity (v)", ""), ("radius", ""), ("normal", ""),
    ],
)  # fmt: skip
def test_units_are_read_as_cards_write_them(text: str, unit: str) -> None:
    assert find_unit(text) == unit


@pytest.mark.parametrize(
    ("name", "n"), [("CartPole-v1", 4), ("Reacher-v5", 10), ("Humanoid-v5", 45), ("Pusher-v5", 23)]
)
def test_gymnasiums_own_tables_are_read(name: str, n: int) -> None:
    from pydoc import locate

    entry = str(gymnasium.spec(name).entry_point).replace(":", ".")
    assert len(observed(mine_docstring(str(locate(entry).__doc__)))) == n


def test_what_is_no_docstring_claims_nothing() -> None:
    for text in ("", "|", "| a |\n|--|\n", "x" * 1000, "# Observation\n| Num |\n|---|\n| 0 |\n"):
        assert mine_docstring(text).tables == ()
