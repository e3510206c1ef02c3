"""A program races with several seeds where these cost nothing, and is confirmed by them."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.runs import PROGRAM

import reward_agent
from reward_agent.executors import slots
from reward_agent.records.store import load_run
from reward_agent.records.training_jobs import TrainJob
from reward_agent.run import seats as seats_module
from reward_agent.run.racing import (
    RacingPolicy,
    RungScore,
    Standing,
    SuccessiveHalving,
    pool_scores,
)
from reward_agent.run.seats import Seats


def make_seats(monkeypatch: pytest.MonkeyPatch, n_fresh: int, fits: bool = True) -> Seats:
    """Return the seats of a run whose executor takes more trainings, or does not."""
    monkeypatch.setattr(seats_module, "request_training", lambda *_: None)
    monkeypatch.setattr(
        seats_module,
        "make_entrant",
        lambda _, iteration, name, seed: SimpleNamespace(candidate_id=name, seed=seed),
    )
    settings = SimpleNamespace(seed=7, winner_seeds=n_fresh)
    executor = SimpleNamespace(takes_more=lambda _: fits)
    run: Any = SimpleNamespace(settings=settings, executor=executor, store=None)
    return Seats(run, 0)


def enter(seats: Seats, name: str) -> list[int]:
    entrant: Any = SimpleNamespace(candidate_id=name, seed=7)
    return [item.seed for item in seats.list_entrants(entrant, 100)]


def test_where_others_would_cost_a_program_has_its_own_seed_alone(monkeypatch) -> None:
    assert enter(make_seats(monkeypatch, 2, fits=False), "a") == [7]


def test_the_seeds_beside_are_those_of_confirmations(monkeypatch) -> None:
    assert enter(make_seats(monkeypatch, 2), "a") == [7, 107, 108]


def test_who_goes_on_takes_the_seats_of_who_was_stopped_once(monkeypatch) -> None:
    seats = make_seats(monkeypatch, 2)
    for name in "abc":
        enter(seats, name)
    standings = [
        Standing(name, {10: RungScore(mean, mean, mean)}, has_ended=name == "c")
        for name, mean in (("a", 1.0), ("b", 2.0), ("c", 3.0))
    ]
    seats.share(RacingPolicy((10, 20)), standings)
    assert enter(seats, "b") == [7, 107, 108, 109, 110]
    assert enter(seats, "a") == [7, 107, 108, 109]
    assert enter(seats, "c") == [7, 107, 108]
    seats.share(RacingPolicy((10, 20)), standings[:1])
    assert enter(seats, "b") == [7, 107, 108, 109, 110]


def test_a_score_over_seeds_is_their_mean_and_as_sure_as_they_agree() -> None:
    alone = RungScore(1.0, 0.9, 1.1, 0.5)
    assert pool_scores([alone]) is alone
    assert pool_scores([None]) is None
    pooled = pool_scores([alone, None, RungScore(3.0, 2.0, 4.0, 1.0)])
    assert pooled == RungScore(2.0, 0.0, 4.0, 0.75)


def test_halving_says_who_goes_on_after_a_slice() -> None:
    policy = SuccessiveHalving(tuple(range(10, 90, 10)), 10)
    racing = [
        Standing(str(mean), {10: RungScore(mean, mean, mean)}) for mean in map(float, range(10))
    ]
    assert [s.name for s in policy.thin_out(racing, 1)] == ["5.0", "6.0", "7.0", "8.0", "9.0"]
    assert policy.choose(racing, 0) == "5.0"


def test_confirmation_takes_over_what_the_race_has_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots.LocalPlace, "takes_more", lambda *_: True, raising=False)
    ran: list[tuple[str, int]] = []
    run_job = slots.run_job

    def note(job: Any, *arguments: Any, **options: Any) -> Any:
        if isinstance(job, TrainJob):
            ran.append((job.program_sha256, job.seed))
        return run_job(job, *arguments, **options)

    monkeypatch.setattr(slots, "run_job", note)
    script = tmp_path / "replies.md"
    replies = [PROGRAM % margin for margin in (0.2, 0.3)]
    script.write_text("".join(f"--- reply ---\n{reply}\n" for reply in replies))
    record = reward_agent.design(
        "inverted_pendulum", "balance", provider=f"scripted:{script}", runs_dir=tmp_path / "runs",
        environ={}, candidates=2, iterations=1, winner_seeds=1, steps=2048, eval_episodes=2,
        video=False, critic=False, analyzer=False, early_stop=False, racing="none",
    )  # fmt: skip
    assert record.winner is not None
    store = load_run("last", tmp_path / "runs")
    [first, second] = store.read_iteration(0).candidates
    assert all("mean of 2 seeds" in str(item.outcome) for item in (first, second))
    # Nothing is trained twice, and all of it is counted.
    trained = {(item.program_sha256, seed) for item in (first, second) for seed in (0, 100)}
    assert trained <= set(ran)
    assert len(ran) == len(set(ran))
    assert all(len(item.fresh_scores) == 1 for item in (first, second))
    run = store.read_run()
    assert {(c.candidate, c.seed) for c in run.confirmations} == {(first.id, 100), (second.id, 100)}
    assert run.total_timesteps == 2048 * len(ran)
    events = map(json.loads, (store.dir / "events.jsonl").read_text().splitlines())
    told = list(events)
    # What the race has trained is nothing to be announced again.
    assert "confirming" not in {event["kind"] for event in told}
    concluded = {e["candidate"]: e["task_score"] for e in told if e["kind"] == "concluded"}
    assert concluded == {item.id: item.mean_score for item in (first, second)}
