"""What a caller of the library hands over as a name or a path is a file, a name, or a named error."""

from __future__ import annotations

from pathlib import Path

import pytest

import reward_agent
from reward_agent.errors import RewardAgentError

NAMES = (
    "", "x" * 5000, "a\x00b", "\ud800", "../x", "/dev/zero", "/dev/null/x", "~nobody-here/x", "a\nb", "~",
    "/proc/self/mem", "." * 300, "x/" * 3000,
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name[:20]))
def test_a_name_that_is_none_is_one_short_line(name: str, tmp_path: Path) -> None:
    asked = [
        lambda: reward_agent.load_env(name),
        lambda: reward_agent.load_run(name, tmp_path),
        lambda: reward_agent.check("x = 1", name),
        lambda: reward_agent.evaluate(name, "hopper", "hop_forward"),
        lambda: reward_agent.train(name, "hop_forward"),
        lambda: reward_agent.resume_run(name, runs_dir=tmp_path),
        lambda: reward_agent.export_run(name, tmp_path / "to", runs_dir=tmp_path),
        lambda: reward_agent.estimate_design("hopper", "hop_forward", provider=f"replay:{name}"),
        lambda: reward_agent.estimate_design("hopper", "hop_forward", provider=f"given:{name}"),
    ]
    for ask in asked:
        with pytest.raises(RewardAgentError) as refused:
            ask()
        assert "\n" not in refused.value.message
        refused.value.message.encode()
