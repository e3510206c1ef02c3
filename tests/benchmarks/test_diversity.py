from __future__ import annotations

import pytest

from benchmarks.diversity import OWN_IDEA, SAME_IDEA, main, render_diversity

PROGRAM = """```python
def compute_reward(state, action, next_state):
    speed = np.clip(next_state.forward_velocity, 0.0, 2.0)
    return speed, {"speed": speed}
```"""
SAME_IN_OTHER_WORDS = PROGRAM.replace("speed", "pace").replace("2.0", "4 / 2")
OTHER = PROGRAM.replace("2.0", "3.0")
REPLIES = [PROGRAM, SAME_IN_OTHER_WORDS, OTHER, "I would rather not."]


@pytest.mark.parametrize("task", ["back_flip", "hop_forward"])
def test_eight_ideas_make_eight_different_programs_offline(task):
    report = main(["--env", "hopper", "--task", task])
    own, same = report.rows
    assert (own.asked, own.n_programs, own.n_accepted, own.n_distinct) == (OWN_IDEA, 8, 8, 8)
    assert (same.asked, same.n_distinct) == (SAME_IDEA, 1)
    assert own.overlap < same.overlap == 1.0


def test_what_differs_in_words_only_is_a_duplicate(tmp_path):
    script = tmp_path / "replies.md"
    script.write_text("".join(f"--- reply ---\n{reply}\n" for reply in REPLIES * 2))
    provider = f"scripted:{script}"
    report = main(
        ["--provider", provider, "--env", "hopper", "--task", "hop_forward", "--candidates", "4"]
    )
    row = report.rows[0]
    assert (row.n_asked, row.n_programs, row.n_distinct) == (4, 3, 2)
    assert row.duplicate_share == pytest.approx(1 / 3)
    assert row.outcomes[0].startswith("no program")
    assert "33%" in render_diversity(report)
