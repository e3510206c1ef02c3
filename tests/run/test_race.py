"""A real race: slices of trainings, paused, continued, revived, taken up again after a kill."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from support.runs import PROGRAM

import reward_agent
from reward_agent.executors import journal, slots
from reward_agent.records.disk import write_record
from reward_agent.records.job import RESULT_FILE
from reward_agent.records.outcomes import TRAINED
from reward_agent.records.store import Candidate, RunRecord, load_run
from reward_agent.records.training_jobs import TrainJob
from reward_agent.run import confirm as confirm_module
from reward_agent.run import evaluate as evaluate_module
from reward_agent.run import race as race_module
from reward_agent.run.racing import RungScore

STEPS = 8_192


def design(folder: Path, n_candidates: int = 3, **options: Any) -> RunRecord:
    script = folder / "replies.md"
    replies = [PROGRAM % (0.1 * (number + 2)) for number in range(n_candidates)]
    script.write_text("".join(f"--- reply ---\n{reply}\n" for reply in replies))
    settings = {
        "candidates": n_candidates, "iterations": 1, "winner_seeds": 0, "steps": STEPS,
        "eval_episodes": 2, "video": False, "critic": False, "analyzer": False,
    }  # fmt: skip
    return reward_agent.design(
        "inverted_pendulum", "balance", provider=f"scripted:{script}",
        runs_dir=folder / "runs", environ={}, **(settings | options),
    )  # fmt: skip


def read_candidates(folder: Path) -> list[Candidate]:
    store = load_run("last", folder / "runs")
    return list(store.read_iteration(0).candidates)


def read_events(folder: Path, kind: str) -> list[dict[str, Any]]:
    store = load_run("last", folder / "runs")
    events = map(json.loads, (store.dir / "events.jsonl").read_text().splitlines())
    return [event for event in events if event["kind"] == kind]


@pytest.fixture
def slices(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Every slice that really runs: the start of the program's digest, and its last step."""
    ran = []
    run_job = slots.run_job

    def note(job: Any, *arguments: Any, **options: Any) -> Any:
        if isinstance(job, TrainJob):
            ran.append((job.program_sha256[:8], job.until_timesteps))
        return run_job(job, *arguments, **options)

    monkeypatch.setattr(slots, "run_job", note)
    return ran


def decide_scores(monkeypatch: pytest.MonkeyPatch, courses: list[list[float]]) -> None:
    """Let candidates score as given, in the order of their programs; the policies are real."""

    def score(run: Any, entrant: Any, result: Any, stop: int, **_: bool) -> RungScore:
        assert any(item.total_timesteps >= stop for item in result.snapshots)
        margin = re.search(r"margin=([0-9.]+)", entrant.program.source)
        assert margin is not None
        course = courses[round(float(margin[1]) * 10) - 2]
        mean = course[min(stop * 8 // STEPS, len(course)) - 1]
        return RungScore(mean, mean, mean)

    monkeypatch.setattr(race_module, "evaluate_stop", score)


def test_a_bandit_pauses_goes_on_and_revives(
    tmp_path: Path, slices: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The first leads, falls back, and comes into its own when the second stalls lower still.
    decide_scores(monkeypatch, [[3.0, 0.0, 5.0], [2.0, 2.5, 0.0, 0.0], [0.1]])
    design(tmp_path, racing="bandit", slots=1)
    order = [name for name, _ in slices]
    first = order[0]
    assert first in order[order.index(order[1]) + 1 :], "it was not taken up after a pause"
    revived = [
        k for k in range(2, len(order)) if order[k] != order[k - 1] and order[k] in order[:k]
    ]
    assert revived
    for name in set(order):
        stops = [until for other, until in slices if other == name]
        assert stops == [STEPS * (k + 1) // 8 for k in range(len(stops))], "a slice was repeated"
    kinds = [candidate.outcome.label for candidate in read_candidates(tmp_path)]
    assert kinds.count("trained") == 1
    assert kinds.count("stopped") == 2
    whole = next(c for c in read_candidates(tmp_path) if c.outcome == TRAINED)
    assert whole.total_timesteps >= STEPS


def test_a_bandit_race_that_was_killed_goes_on_where_it_was(
    tmp_path: Path, slices: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_exit = journal.write_exit
    n_left = [5]

    def write_and_die(job: Any, *arguments: Any) -> Any:
        written = write_exit(job, *arguments)
        n_left[0] -= isinstance(job, TrainJob)
        if n_left[0] == 0:
            raise KeyboardInterrupt
        return written

    with monkeypatch.context() as patch:
        patch.setattr(slots, "write_exit", write_and_die)
        with pytest.raises(reward_agent.errors.Interrupted):
            design(tmp_path, racing="bandit", slots=1)
    before = list(slices)
    assert len(before) == 5
    run = reward_agent.resume_run(
        "last",
        runs_dir=tmp_path / "runs",
        environ={},
        provider=f"scripted:{tmp_path / 'replies.md'}",
    )
    assert run.status == "finished"
    assert len(set(slices)) == len(slices), "a finished slice ran again"
    for name in {name for name, _ in slices}:
        stops = [until for other, until in slices if other == name]
        assert stops == [STEPS * (k + 1) // 8 for k in range(len(stops))]
    assert len(slices) <= 12


def test_halving_stops_who_will_not_end_best_the_slower_the_later(
    tmp_path: Path, slices: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    decide_scores(monkeypatch, [[1.0], [2.0, 3.0], [1.0, 1.8]])
    design(tmp_path, slots=2)
    reached = sorted(max(u for n, u in slices if n == name) for name, _ in set(slices))
    assert sorted(set(reached)) == [STEPS // 4, STEPS // 2, STEPS]
    outcomes = [str(candidate.outcome) for candidate in read_candidates(tmp_path)]
    assert outcomes[1] == "trained"
    best = read_candidates(tmp_path)[1].id
    assert outcomes[0] == f"stopped: 1 s at {STEPS // 4:,} steps, where {best} had 3"
    assert outcomes[2] == f"stopped: 1.8 s at {STEPS // 2:,} steps, where {best} had 3"


def test_a_training_that_holds_the_target_ends_the_race(
    tmp_path: Path, slices: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    decide_scores(monkeypatch, [[0.0], [0.0, 3.5, 3.1]])
    design(tmp_path, 2, racing="none", slots=2, target_score=3.0)
    first, second = read_candidates(tmp_path)
    assert str(second.outcome).startswith("reached 3 s twice running by ")
    assert first.outcome.kind == "stopped"
    assert second.id in first.outcome.detail
    assert max(until for name, until in slices if name == second.program_sha256[:8]) < STEPS


class Solved:
    """What policies score: each evaluation of a run is answered by its training's seed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, fresh: float) -> None:
        self.fresh = fresh
        self.asked: list[tuple[int, int, bool]] = []

        def give_score(
            run: Any, entrant: Any, result: Any, stop: int, *, is_fresh: bool = False
        ) -> RungScore:
            self.asked.append((entrant.seed, stop, is_fresh))
            mean = 50.0 if entrant.seed == 0 else self.fresh
            return RungScore(mean, mean, mean, success=float(mean > 40))

        def evaluate(run: Any, job_dir: Any, training_dir: Any, result: Any, *_: Any, **__: Any):
            evaluated = real(run, job_dir, training_dir, result, *_, **__)
            mean = 50.0 if result.seed == 0 else self.fresh
            best = evaluated.best.model_copy(
                update={"task_score": mean, "success_rate": float(mean > 40)}
            )
            evaluated = evaluated.model_copy(update={"best": best})
            write_record(job_dir / RESULT_FILE, evaluated)
            return evaluated

        real = evaluate_module.evaluate_training
        for module in (race_module, confirm_module):
            monkeypatch.setattr(module, "evaluate_stop", give_score)
        monkeypatch.setattr(evaluate_module, "evaluate_training", evaluate)
        monkeypatch.setattr(confirm_module, "evaluate_training", evaluate)


def test_a_task_that_is_done_ends_training_race_and_run(
    tmp_path: Path, slices: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    solved = Solved(monkeypatch, fresh=50.0)
    run = design(tmp_path, 2, iterations=3, winner_seeds=1, racing="none", slots=1)
    asked = [(seed, stop) for seed, stop, is_fresh in solved.asked if is_fresh]
    assert list(dict.fromkeys(asked)) == [(0, 2048), (100, 2048)]
    assert run.winner is not None
    assert run.winner.is_confirmed
    assert run.note.startswith(
        "done after round 1 of 3: the target is held on fresh seeds; saved about 4 programs, "
    )
    assert run.saving is not None
    assert (run.saving.rounds, run.saving.programs, run.saving.n_calls) == (2, 4, 4)
    whole = 3 * 2 * STEPS + 2 * STEPS
    assert run.saving.env_steps == whole - run.total_timesteps
    store = load_run("last", tmp_path / "runs")
    assert store.list_iterations() == [0]
    [confirmation] = run.confirmations
    assert confirmation.outcome.kind == "reached"
    # Two slices of the first, the second not begun, two slices with the fresh seed.
    assert [until for _, until in slices] == [1024, 2048, 1024, 2048]
    assert run.total_timesteps == sum(
        (*(c.total_timesteps for c in store.list_finished()), confirmation.total_timesteps or 0)
    )


def test_a_training_whose_fresh_episodes_miss_the_target_goes_on(
    tmp_path: Path, slices: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def score(
        run: Any, entrant: Any, result: Any, stop: int, *, is_fresh: bool = False
    ) -> RungScore:
        # Of the few starts of every stop it does all; of others not before the fifth.
        mean = 50.0 if not is_fresh or stop >= 5 * STEPS // 8 else 3.0
        return RungScore(mean, mean, mean, success=float(mean > 40))

    monkeypatch.setattr(race_module, "evaluate_stop", score)
    design(tmp_path, 1, racing="none", slots=1)
    assert [until for _, until in slices] == [STEPS * k // 8 for k in range(1, 6)]


def test_a_target_that_a_fresh_seed_misses_does_not_end_the_run(
    tmp_path: Path, slices: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    Solved(monkeypatch, fresh=3.0)
    script = tmp_path / "replies.md"
    design(tmp_path, 2, iterations=2, winner_seeds=1, racing="none", slots=1)
    store = load_run("last", tmp_path / "runs")
    assert store.list_iterations() == [0, 1]
    assert store.read_run().note == ""
    fresh = [
        c
        for c in store.read_run().confirmations
        if c.candidate == store.read_run().confirmations[0].candidate
    ]
    assert len(fresh) == 1, "the program was trained twice with one seed"
    assert script.is_file()


def test_without_early_stop_a_task_that_is_done_goes_on(
    tmp_path: Path, slices: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    Solved(monkeypatch, fresh=50.0)
    design(tmp_path, 1, racing="none", slots=1, early_stop=False)
    assert [until for _, until in slices] == [STEPS]


def test_a_failure_of_ours_in_a_slice_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise reward_agent.errors.JobError("the evaluation is broken", "mend it")

    monkeypatch.setattr(race_module, "evaluate_stop", fail)
    with pytest.raises(reward_agent.errors.JobError, match="broken"):
        design(tmp_path, slots=2)
