"""What a file can do to the reader of it: nothing runs, and no computation is without bound."""

from __future__ import annotations

import pytest
from support.people import make_ground

from reward_agent.translation import machine
from reward_agent.translation.translate import translate_file

REWARD = "def reward(obs, action, next_obs):\n    return next_obs[5] * X\n"
LARGE = {
    "a power": "X = 9 ** 9 ** 9 ** 9",
    "a square of squares": "X = 3\nfor _ in range(60):\n    X = X * X",
    "a text": "X = len('a' * 10 ** 12)",
    "a list": "X = [0] * 10 ** 12",
    "a loop": "X = 0\nfor i in range(10 ** 12):\n    X += 1",
    "a loop without an end": "X = 0\nwhile True:\n    X += 1",
    "an array": "import numpy as np\nX = np.zeros((10 ** 6, 10 ** 6)).sum()",
    "a call of itself": "def f(x):\n    return f(x) + 1\nX = f(1)",
    "a whole number of texts": "X = int('9' * 5000)",
    "a shift": "X = 1 << 10 ** 12",
    "an exec": "exec('X = 1')",
    "an import": "X = __import__('os').getpid()",
}


@pytest.mark.timeout(120, method="thread")  # one step of the kind that it must not take has no end
@pytest.mark.parametrize("name", LARGE)
def test_what_has_no_bound_ends_in_a_finding(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "MAX_STEPS", machine.MAX_STEPS // 10)
    result = translate_file(f"{LARGE[name]}\n{REWARD}".encode(), make_ground("hopper"))
    assert result.program is None
    assert result.findings[0].remedy


def test_what_doubles_with_every_call_is_written_once() -> None:
    nested = "next_obs[5]"
    for _ in range(18):
        nested = f"d({nested})"
    text = f"def d(x):\n    return x + x\ndef reward(obs, action, next_obs):\n    return {nested}\n"
    result = translate_file(text.encode(), make_ground("hopper"))
    assert result.program is not None
    assert len(result.program) < 5000


def test_what_nobody_reads_does_not_run() -> None:
    text = "import os\nos.remove('/nowhere')\ndef reward(obs, action, next_obs):\n    return next_obs[5]\n"
    assert translate_file(text.encode(), make_ground("hopper")).form == "arrays"
