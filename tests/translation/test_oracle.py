"""The file itself, run by Python, is what its translation is compared with, where it can run."""

from __future__ import annotations

from dataclasses import replace

from support.people import make_ground
from translation.styles import TAKEN

from reward_agent.translation.translate import translate_file


def test_a_wrapper_is_run_around_recorded_steps() -> None:
    env, _, text = TAKEN["a wrapper whose step fills a deque"]
    ground = replace(make_ground(env), runs_python=True)
    result = translate_file(text.encode(), ground)
    assert result.original == "the file"


CAUGHT = """\
def reward(obs, action, next_obs):
    try:
        assert next_obs[0] < 0
        r = 1.0
    except AssertionError:
        r = 2.0
    return r
"""


def test_what_python_pays_otherwise_is_kept_as_it_is_row_by_row() -> None:
    result = translate_file(CAUGHT.encode(), replace(make_ground("hopper"), runs_python=True))
    assert (result.form, result.original) == ("rows", "the file")
    assert all(row.original == row.ours == 2.0 for row in result.parity)


def test_a_file_that_needs_torch_is_compared_as_it_was_read() -> None:
    text = (
        "import torch\ndef reward(obs, action, next_obs):\n    return torch.exp(next_obs[:, 0])\n"
    )
    result = translate_file(text.encode(), replace(make_ground("hopper"), runs_python=True))
    assert (result.form, result.original) == ("arrays", "as read")
    assert any("Python itself did not run it" in note for note in result.notes)


def test_nothing_runs_where_it_may_not() -> None:
    text = "def reward(obs, action, next_obs):\n    return next_obs[0]\n"
    assert translate_file(text.encode(), make_ground("hopper")).original == "as read"


def test_a_loop_without_end_is_not_run_to_its_end() -> None:
    text = "def slow():\n    while True:\n        pass\ntry:\n    slow()\nfinally:\n    pass\n"
    text += "def reward(obs, action, next_obs):\n    return next_obs[0]\n"
    result = translate_file(text.encode(), replace(make_ground("hopper"), runs_python=True))
    assert result.original == "as read"
