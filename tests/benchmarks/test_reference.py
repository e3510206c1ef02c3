"""The benchmark's verdict follows from its numbers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks import reference
from benchmarks.__main__ import BENCHMARKS, main


@dataclass
class FakeTraining:
    """Stands in for ``single.train``: seed s has the scores ``curves[s]`` at 1k, 2k, … steps."""

    curves: list[list[float]]

    def __call__(self, env: str, task: str, *, folder: Path, seed: int, **_: object) -> object:
        points = [
            SimpleNamespace(total_timesteps=1000 * (k + 1), task_score=score)
            for k, score in enumerate(self.curves[seed])
        ]
        best = max(points, key=lambda point: point.task_score)
        return SimpleNamespace(
            evaluation=SimpleNamespace(curve=points, best=best),
            result=SimpleNamespace(wall_s=2.0, steps_per_s=150_000.0),
        )


@pytest.mark.parametrize(
    ("curves", "is_reached"),
    [
        ([[1.0, 3.5, 2.0], [3.0], [0.1]], True),
        ([[1.0, 2.9], [3.0], [0.1]], False),
    ],
)
def test_two_of_three_seeds_must_reach_the_score(
    curves: list[list[float]],
    is_reached: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(reference, "train", FakeTraining(curves))
    path = tmp_path / "numbers.json"
    assert main(["reference", "--json", str(path)]) == (0 if is_reached else 1)
    result = reference.ReferenceResult.model_validate_json(path.read_bytes())
    assert result.is_reached is is_reached
    assert [item.steps_to_score for item in result.seeds][1:] == [1000, None]
    table = capsys.readouterr().out.splitlines()
    assert table[-1] == ("reached" if is_reached else "NOT reached")
    assert len(table) == 2 + 3 + 1


def test_unknown_benchmark_is_answered_with_the_closest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["referense"]) == 2
    assert "reference" in capsys.readouterr().err


def test_every_benchmark_says_what_it_is_and_how_it_is_asked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--help"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(BENCHMARKS)
    for name in BENCHMARKS:
        with pytest.raises(SystemExit, match="0"):
            main([name, "--help"])
        assert f"scripts/bench {name}" in capsys.readouterr().out
