"""What learners make of a reference reward: the verdict and the table follow from the trainings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks import reference
from benchmarks.__main__ import BENCHMARKS, main
from benchmarks.measure import Call, Learned, MeasurementError, Point


def make_training(scores: list[float], s_per_point: float = 1.0, **changes: Any) -> Learned:
    """Return a training with a policy every 1,000 steps."""
    curve = tuple(
        Point(total_timesteps=1000 * k, wall_s=s_per_point * k, task_score=score)
        for k, score in enumerate(scores, start=1)
    )
    facts = {"side": "ppo", "env": "hopper/hop_forward", "seed": 0} | changes
    return Learned(wall_s=s_per_point * len(scores), curve=curve, **facts)


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
    trainings = [make_training(curve, seed=seed) for seed, curve in enumerate(curves)]
    monkeypatch.setattr(reference, "run_calls", lambda calls, n_slots: trainings)
    path = tmp_path / "numbers.json"
    assert main(["reference", "--score", "3", "--json", str(path)]) == (0 if is_reached else 1)
    report = reference.ReferenceReport.model_validate_json(path.read_bytes())
    assert report.trainings == tuple(trainings)
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == ("3: reached" if is_reached else "3: NOT reached")


def test_learners_are_compared_after_the_time_of_the_quickest() -> None:
    slow = make_training([1.0, 2.0, 9.0], 10.0, side="sb3:SAC")
    quick = make_training([1.0, 2.0, 3.0], 5.0)
    report = reference.ReferenceReport(
        steps=3000, score=None, is_reached=True, trainings=(slow, quick)
    )
    ours, theirs = reference.render_reference(report).splitlines()[2:]
    assert ours.split()[1:6] == ["ppo", "3", "3", "15", "3"]
    assert theirs.split()[1:6] == ["sb3:SAC", "9", "9", "15", "1"]


def test_every_learner_trains_every_task_with_every_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Call] = []
    monkeypatch.setattr(
        reference,
        "run_calls",
        lambda calls, n_slots: asked.extend(calls) or [MeasurementError("x")],
    )
    assert main(["reference", "--tasks", "a/b,c/d", "--algos", "ppo,sb3:SAC", "--seeds", "2"]) == 1
    assert len({str(call) for call in asked}) == 8


def test_policies_on_the_way_are_judged_and_have_a_time() -> None:
    trained = reference.train_seed("inverted_pendulum/balance", 0, 2048, "")
    assert len(trained.curve) == 2
    assert 0 < trained.curve[0].wall_s < trained.curve[1].wall_s <= trained.wall_s * 1.1
    assert trained.curve[1].task_score is not None


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
