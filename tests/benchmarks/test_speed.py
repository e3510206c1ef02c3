"""The table of the speed benchmark follows from what was measured, and says what was not."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from benchmarks import costs, learning, rates, speed
from benchmarks.__main__ import main
from benchmarks.measure import (
    OURS,
    Call,
    Group,
    Learned,
    MeasurementError,
    Options,
    Point,
    Rate,
    Row,
    Sample,
    render_rows,
    run_calls,
)
from reward_agent.errors import DataError, UnknownNameError
from reward_agent.types import TimeUse

OPTIONS = Options(repeats=2, seeds=3)


def make_rate(side: str, per_s: float, **changes: object) -> Rate:
    timing = TimeUse(physics_s=6.0, update_s=4.0) if side == OURS else None
    rate = Rate(side=side, env="hopper", n_envs=16, steps=1000, wall_s=1000 / per_s, timing=timing)
    return rate.model_copy(update=changes)


def make_training(side: str, seed: int, scores: list[float], **changes: object) -> Learned:
    """Return a training with a policy every 100 k steps and 10 s."""
    curve = tuple(
        Point(total_timesteps=100_000 * k, wall_s=10.0 * k, task_score=score)
        for k, score in enumerate(scores, start=1)
    )
    training = Learned(side=side, env="hopper", seed=seed, wall_s=10.0 * len(scores), curve=curve)
    return training.model_copy(update=changes)


def find(rows: list[Row], part: str) -> Row:
    [row] = [row for row in rows if part in row.name]
    return row


@pytest.mark.parametrize(
    ("bar", "value", "expected"),
    [(">= 2", 2.0, True), (">= 2", 1.9, False), ("<= 0.2", 0.2, True), ("<= 0.2", 0.3, False),
     ("", 1.0, None), (">= 2", None, None)],
)  # fmt: skip
def test_bar_is_kept_or_missed_or_open(bar: str, value: float | None, expected: bool) -> None:
    assert Row(name="row", value=value, bar=bar).is_reached is expected


def test_sides_alternate() -> None:
    sides = [call.function for call in rates.THROUGHPUT.plan(OPTIONS)]
    assert sides == ["ours.measure_rate", "baselines.measure_rate"] * (len(sides) // 2)
    assert len(sides) == 2 * 2 * 3


def test_throughput_is_a_ratio_of_medians() -> None:
    measured = [make_rate(OURS, v) for v in (7000.0, 9000.0, 8000.0)]
    measured += [make_rate("sb3-defaults", v) for v in (2000.0, 1000.0, 9000.0)]
    ratio, physics = rates.THROUGHPUT.compute(Options(envs=("hopper",)), measured)
    assert ratio.value == pytest.approx(4.0)
    assert ratio.is_reached
    assert physics.value == pytest.approx(60.0)
    assert "update 40.0%" in physics.note


def test_what_cannot_be_measured_has_no_value_and_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    results = [make_rate(OURS, 1.0), MeasurementError("ImportError: no")]
    monkeypatch.setattr(speed, "run_calls", lambda calls, n_slots, keep: results)
    row, failure = speed.run_speed(["envpool"], OPTIONS).rows
    assert (row.value, row.is_reached) == (None, None)
    assert "ImportError: no" in failure.note


def test_time_to_the_score_counts_who_was_cut_as_long_as_he_ran() -> None:
    ours = [make_training("reward-agent", s, [9.0] if s else [1.0, 8.0]) for s in range(3)]
    theirs = [make_training("rl-zoo", 0, [1.0] * 9 + [8.5])]
    theirs += [make_training("rl-zoo", s, [1.0] * 6, limit_s=60.0) for s in (1, 2)]
    rows = learning.compute(Options(envs=("hopper",)), [*ours, *theirs])
    row = find(rows, "against rl-zoo")
    assert row.ours == (20.0, 10.0, 10.0)
    assert row.theirs == (100.0, 60.0, 60.0)
    assert row.value == pytest.approx(10.0 / 60.0)
    assert "2 of 3 of theirs ended before it" in row.note


def test_our_side_that_does_not_reach_the_score_gives_no_time() -> None:
    ours = [make_training("reward-agent", s, [9.0] if s == 0 else [1.0]) for s in range(3)]
    theirs = [make_training("rl-zoo", s, [9.0]) for s in range(3)]
    row = find(learning.compute(Options(envs=("hopper",)), [*ours, *theirs]), "against rl-zoo")
    assert row.value is None
    assert "2 of 3 of ours did not reach it" in row.note


def test_score_after_steps_is_a_ratio_of_interquartile_means() -> None:
    ours = [make_training("reward-agent", s, [0.0] * 4 + [v]) for s, v in enumerate((4, 8, 90, 6))]
    theirs = [make_training("sb3-defaults", s, [0.0] * 5 + [9.0]) for s in range(2)]
    theirs += [make_training("sb3-defaults", 2, [1.0, 1.0], limit_s=20.0)]
    theirs = [item.model_copy(update={"curve": (*item.curve[:4], *item.curve[5:])})
              for item in theirs]  # fmt: skip
    row = find(learning.compute(Options(envs=("hopper",)), [*ours, *theirs]), "score after")
    assert row.ours == (4.0, 8.0, 90.0, 6.0)
    assert row.theirs == (9.0, 9.0)
    assert row.value == pytest.approx(7.0 / 9.0)
    assert "1 trainings ended before" in row.note


def test_growth_shows_memory_of_an_environment_and_trainings_side_by_side() -> None:
    measured = [make_rate(OURS, 1e4),
                make_rate(OURS, 1e4, n_envs=64, peak_mib=120.0),
                make_rate(OURS, 1e4, n_envs=1024, peak_mib=150.0)]  # fmt: skip
    together = [make_rate(OURS, 8e3, n_side_by_side=2)] * 2
    rows = rates.GROWTH.compute(OPTIONS, [*measured, *together])
    assert find(rows, "peak memory").value == 120.0
    assert find(rows, "each further env").value == pytest.approx(32.0)
    assert find(rows, "2 trainings side by side").value == pytest.approx(16e3)


def test_verdicts_and_whole_run_become_rows() -> None:
    times = [Sample(what=f"verdict, {kind}", name="a", value=s)
             for kind, s in (("cold", 0.3), ("warm", 0.1), ("cold", 0.5), ("warm", 0.2))]  # fmt: skip
    cold, warm = costs.VERDICT.compute(OPTIONS, times)
    assert (cold.value, warm.value) == (pytest.approx(0.4), pytest.approx(0.15))
    run = [Sample(what=name, name="r", value=value, note="of 10 s: physics 98.0%")
           for name, value in zip(costs._RUN_BARS, (2.0, 2.5, 90.0), strict=True)]  # fmt: skip
    waste, disk, memory = costs.RUN.compute(OPTIONS, run)
    assert (waste.value, disk.value, memory.value) == (2.0, 2.5, 90.0)
    assert "physics 98.0%" in waste.note
    assert waste.is_reached


def test_report_is_written_after_each_measurement_and_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, seen = tmp_path / "speed.json", []

    def run(calls: list[Call], n_slots: int, on_result: object) -> list[object]:
        on_result(make_rate("reward-agent", 1e4))
        seen.append(json.loads(path.read_text())["measurements"])
        return ["x"] * len(calls)

    group = Group(lambda _: [Call("a.b")], lambda _, results: [Row(name="row", value=3.0)])
    monkeypatch.setattr(speed, "run_calls", run)
    monkeypatch.setitem(speed.GROUPS, "one", group)
    report = speed.run_speed(["one"], OPTIONS, path)
    assert [len(item) for item in seen] == [1]
    assert json.loads(path.read_text())["rows"][0]["value"] == 3.0
    assert "3 x" in render_rows(report.rows)
    with pytest.raises(UnknownNameError, match="one"):
        speed.run_speed(["onne"], OPTIONS)


def test_rows_are_computed_again_from_a_stored_report(tmp_path: Path) -> None:
    measured = [make_rate("reward-agent", 9e3), make_rate("sb3-defaults", 2e3)]
    machine = speed.describe_machine(1)
    path = tmp_path / "speed.json"
    path.write_text(
        speed.SpeedReport(machine=machine, rows=(), measurements=measured).model_dump_json()
    )
    report = speed.recompute_rows(["throughput"], Options(envs=("hopper",)), path)
    assert report.rows[0].value == pytest.approx(4.5)
    assert report.measurements == tuple(measured)
    path.write_text("{}")
    with pytest.raises(DataError, match="no report"):
        speed.recompute_rows(["throughput"], OPTIONS, path)


def test_failed_measurement_is_a_result_and_others_go_on() -> None:
    calls = [
        Call("missing.measure"),
        Call("costs.read_run", {"run_dir": "no-such-run"}),
        Call("costs.find_waste", {"seconds": {"llm": 3.0, "probe": 1.0}}),
    ]
    missing, unknown, waste = run_calls(calls, n_slots=2)
    assert isinstance(missing, MeasurementError)
    assert "no-such-run" in str(unknown)
    assert waste == 0.25


class DiesOnArrival:
    """Ends the process that it is sent to."""

    def __reduce__(self) -> object:
        return os._exit, (7,)


def test_process_that_dies_fails_alone() -> None:
    seconds = {"seconds": {"llm": 1.0}}
    calls = [Call("any.thing", {"it": DiesOnArrival()}), Call("costs.find_waste", seconds)]
    died, waste = run_calls(calls)
    assert "ended with 7" in str(died)
    assert waste == 0.0


def test_unknown_rows_are_answered_with_the_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["speed", "--rows", "trouput"]) == 2
    assert "throughput" in capsys.readouterr().err
