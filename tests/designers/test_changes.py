from __future__ import annotations

from reward_agent.designers.prompts import describe_changes
from reward_agent.types import RewardProgram


def make(make_entry, name, source, parent=None):
    entry = make_entry(name, 0, 0.5, program=RewardProgram(source) if source else None)
    object.__setattr__(entry, "candidate", entry.candidate.model_copy(update={"parent": parent}))
    return entry


def test_changed_lines_of_code_are_told(make_entry, source):
    changed = source.replace("0.0, 2.0)", "0.0, 4.0)").replace("# (N,) m/s", "# other words")
    entries = [make(make_entry, "a", source), make(make_entry, "b", changed, "a")]
    changes = describe_changes(entries)
    assert changes["a"] == []
    minus, plus = changes["b"]
    assert minus.startswith("-speed = np.clip(next_state.cart_velocity, 0.0, 2.0)")
    assert plus.startswith("+speed = np.clip(next_state.cart_velocity, 0.0, 4.0)")


def test_comments_are_no_change(make_entry, source):
    entries = [make(make_entry, "a", source), make(make_entry, "b", f"# new\n{source}", "a")]
    assert describe_changes(entries)["b"] == []


def test_docstrings_are_no_change(make_entry, source):
    reworded = source.replace("Move the cart forward.", "Move it.\n\n    By other words.\n    ")
    entries = [make(make_entry, "a", source), make(make_entry, "b", reworded, "a")]
    assert describe_changes(entries)["b"] == []


def test_many_changes_are_cut(make_entry, source):
    other = source + "".join(f"\nX{n} = {n}" for n in range(30))
    entries = [make(make_entry, "a", source), make(make_entry, "b", other, "a")]
    *shown, rest = describe_changes(entries)["b"]
    assert len(shown) == 12
    assert rest == "(18 more changed lines)"


def test_without_a_parent_in_sight_there_is_nothing_to_compare(make_entry, source):
    entries = [make(make_entry, "b", source, "gone"), make(make_entry, "c", None, "b")]
    assert describe_changes(entries) == {"b": [], "c": []}
