"""Two checkouts are asked the same, in turn."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import against
from benchmarks.against import QUESTIONS, ROOT, Question, main
from reward_agent.errors import DataError


def test_checkouts_are_asked_in_turn_and_compared_by_medians(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[Path] = []

    def measure(checkout: Path, seed: int) -> float:
        asked.append(checkout)
        return [1.0, 9.0, 2.0][seed] * (1 if checkout == ROOT else 2)

    monkeypatch.setitem(QUESTIONS, "time", Question("<= 0.6", measure))
    assert main([str(tmp_path), "--rows", "time"]) == 0
    assert asked == [tmp_path, ROOT] * 3
    assert "0.5 x    <= 0.6 ok" in capsys.readouterr().out


def test_a_checkout_is_asked_with_its_own_package_and_no_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "reward_agent.py").write_text("import os; print(os.environ.get('AN_API_KEY'))")
    monkeypatch.setenv("AN_API_KEY", "sk-canary")
    assert against._run(tmp_path, "-c", "import reward_agent") == "None\n"
    with pytest.raises(DataError, match="no such thing"):
        against._run(tmp_path, "-c", "raise SystemExit('no such thing')")


def test_a_verdict_is_timed_through_the_library() -> None:
    assert 0.0 < QUESTIONS["cold verdict"].measure(ROOT, 0) < 60.0
