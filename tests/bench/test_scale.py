"""The simulated sweep: nothing is lost or counted twice, and each limit shows where it should."""

from __future__ import annotations

from dataclasses import replace

from reward_agent.bench.scale import Setting, Simulation

SMALL = Setting(
    n_trainings=240, n_slots=20, runs_at_once=10, slots_per_node=4, stragglers=0.0, spread=0.0
)
ALONE = replace(SMALL, calls=0, candidates=1, rounds=1, runs_at_once=240, racing="none")


def test_slot_time_of_trainings_alone_is_exact() -> None:
    found = Simulation(replace(ALONE, driver_s=0.0, node_life_s=1e12)).run()
    assert found.n_jobs == 240
    assert found.wall_s == 12 * (ALONE.training_s + ALONE.start_s), "twelve trainings a slot"
    assert found.trained_s == 240 * ALONE.training_s
    assert found.most_busy_s / (ALONE.n_slots * found.most_s) == 1.0


def test_lost_jobs_are_run_again_until_the_executor_gives_up() -> None:
    some = Simulation(replace(ALONE, node_life_s=3600.0)).run()
    assert some.n_lost > 0
    assert (some.n_jobs, some.n_given_up) == (240, 0)
    many = Simulation(replace(ALONE, node_life_s=100.0, repair_s=1.0)).run()
    assert many.n_jobs + many.n_given_up == 240
    assert many.n_given_up > 0


def test_racing_saves_steps_and_a_limit_of_calls_makes_slots_wait() -> None:
    raced, plain = Simulation(SMALL).run(), Simulation(replace(SMALL, racing="none")).run()
    assert raced.trained_s < 0.8 * plain.trained_s
    limited = Simulation(replace(SMALL, calls_per_min=2.0)).run()
    n_calls = 240 * SMALL.calls
    assert limited.wall_s > n_calls / 2.0 * 60.0
