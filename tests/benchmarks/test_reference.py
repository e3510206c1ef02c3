"""The benchmark's verdict follows from its numbers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks import reference
from benchmarks.__main__ import main


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
    curves: list[list[float]], is_reached: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reference, "train", FakeTraining(curves))
    result = reference.run_reference("hopper-reference", tmp_path)
    assert result.is_reached is is_reached
    assert [item.steps_to_score for item in result.seeds][1:] == [1000, None]
    table = reference.render_reference(result).splitlines()
    assert table[-1] == ("reached" if is_reached else "NOT reached")
    assert len(table) == 2 + 3 + 1


def test_unknown_benchmark_is_answered_with_the_closest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hoper-reference"]) == 2
    assert "hopper-reference" in capsys.readouterr().err
