"""A dry run in a job's folder, on the steps of a real environment."""

import itertools

import numpy as np
import pytest

from reward_agent.definitions.card import load_env
from reward_agent.errors import DataError
from reward_agent.evaluation.behaviours import record_behaviours
from reward_agent.evaluation.metrics import Episode
from reward_agent.evaluation.trajectories import make_trajectories
from reward_agent.records.job import BEHAVIOURS_FILE, PROGRAM_FILE, TRAJECTORIES_FILE, Limits
from reward_agent.records.training_jobs import KnownEpisode, ProbeJob
from reward_agent.rewards import bounds
from reward_agent.rewards.trial import (
    keep_sample,
    make_extremes,
    roll_out_random_policy,
    sample_steps,
)
from reward_agent.sandbox.runner import run_job
from reward_agent.types import RewardProgram
from reward_agent.worker.known_pay import find_rank_agreement
from reward_agent.worker.probe import digest_values, run

CARD = load_env("hopper")
HOP = '''
def compute_reward(state, action, next_state):
    """Hop forward fast with the torso upright."""
    upright = tolerance(next_state.torso_pitch, bounds=(-0.2, 0.2), margin=0.6)
    speed = np.clip(next_state.forward_velocity, 0.0, 3.0)
    effort = np.sum(np.square(action), axis=-1)
    terms = {"upright": upright, "speed": upright * speed, "effort": -0.001 * effort}
    return sum(terms.values()), terms
'''


def make_job(job_dir, source, **changes):
    (job_dir / PROGRAM_FILE).write_bytes(source.encode())
    return ProbeJob(card=CARD, program_sha256=RewardProgram(source).sha256, **changes)


def probe(job_dir, source, **changes):
    return run(make_job(job_dir, source, **changes), job_dir)


def rules(report):
    return [item.rule for item in report.findings]


def test_good_program_is_accepted_and_measured(tmp_path):
    report = probe(tmp_path, HOP)
    assert report.is_accepted
    assert report.findings == ()
    assert [term.name for term in report.terms] == ["upright", "speed", "effort"]
    assert report.is_additive
    assert report.call_us > 0
    assert report.rank_agreement is None


def test_refused_program_is_not_run(tmp_path):
    report = probe(tmp_path, HOP.replace("np.clip", "np.load"))
    assert rules(report) == ["attributes/module"]


def test_value_that_is_not_finite_comes_with_the_fields(tmp_path):
    report = probe(tmp_path, HOP.replace("np.clip(next_state.forward_velocity, 0.0, 3.0)",
                                         "np.log(next_state.forward_velocity)"))  # fmt: skip
    assert rules(report) == ["probe/not-finite"]
    assert "'speed' is nan" in report.findings[0].message
    assert "forward_velocity=-" in report.findings[0].message


def test_division_by_zero_at_the_goal_is_a_warning(tmp_path):
    source = HOP.replace("np.clip(next_state.forward_velocity, 0.0, 3.0)",
                         "1.0 / np.abs(next_state.x_position)")  # fmt: skip
    report = probe(tmp_path, source)
    assert report.is_accepted
    assert "probe/extreme" in rules(report)


def test_another_program_than_the_jobs_is_our_fault(tmp_path):
    job = make_job(tmp_path, HOP)
    (tmp_path / PROGRAM_FILE).write_text(HOP + "\n")
    with pytest.raises(DataError, match="sha256"):
        run(job, tmp_path)


def make_episode(speed, n_steps=30):
    """A made-up recording at constant speed."""
    real = roll_out_random_policy(CARD, 0, n_sims=1, n_steps=1)[0].state
    fields = {
        name: np.repeat(np.asarray(values, dtype=float), n_steps + 1, axis=0)
        for name, values in real.fields.items()
    }
    fields["forward_velocity"] = np.full(n_steps + 1, float(speed))
    return Episode(fields, np.zeros((n_steps, CARD.n_actions)), CARD.control_dt)


def known(*scores):
    return tuple(KnownEpisode(policy=f"p{i}", task_score=s) for i, s in enumerate(scores))


@pytest.mark.parametrize(("sign", "rho"), [("", 1.0), ("-", -1.0)])
def test_stored_episodes_are_ranked(tmp_path, sign, rho):
    episodes = [make_episode(speed) for speed in (0.1, 0.5, 1.0, 2.0)]
    make_trajectories(episodes, ["truncated"] * 4).save(tmp_path / TRAJECTORIES_FILE)
    source = HOP.replace('"speed": upright', f'"speed": {sign}upright')
    report = probe(tmp_path, source, stored=known(0.1, 0.5, 1.0, 2.0))
    assert report.rank_agreement == pytest.approx(rho)
    assert ("probe/prefers-worse" in rules(report)) == (rho < 0)
    assert report.is_accepted


def test_number_of_scores_must_be_that_of_the_episodes(tmp_path):
    make_trajectories([make_episode(1.0)], ["truncated"]).save(tmp_path / TRAJECTORIES_FILE)
    with pytest.raises(DataError, match=r"1 episodes in trajectories\.npz but 2 of them known"):
        probe(tmp_path, HOP, stored=known(0.1, 0.5))


@pytest.mark.parametrize(
    ("one", "two", "rho"),
    [
        ([1.0, 2.0, 3.0], (1.0, 2.0, 3.0), 1.0),
        ([3.0, 2.0, 1.0], (1.0, 2.0, 3.0), -1.0),
        ([1.0, 1.0, 1.0], (1.0, 2.0, 3.0), None),
        ([1.0, 2.0, 2.0], (1.0, 2.0, 3.0), np.sqrt(3) / 2),
        ([1.0, 30.0, 20.0], (1.0, 2.0, 3.0), 1 / 2),
    ],
)
def test_rank_agreement_is_spearmans_with_ties(one, two, rho):
    found = find_rank_agreement(one, two)
    assert found == (None if rho is None else pytest.approx(rho))


def test_the_same_values_in_another_order_of_computing_have_one_digest(tmp_path):
    terms = ("upright * np.clip(next_state.forward_velocity, 0.0, 3.0)", "0.1 * upright")
    source = HOP.replace('"speed": upright * speed', f'"speed": {terms[0]} + {terms[1]}')
    other = HOP.replace('"speed": upright * speed', f'"speed": {terms[1]} + {terms[0]}')
    assert source != HOP
    digests = [probe(tmp_path, text).values_sha256 for text in (source, other, HOP)]
    assert digests[0] == digests[1]
    assert digests[0] != digests[2]


def test_digest_forgives_rounding_and_nothing_else():
    values = np.random.default_rng(0).normal(size=200)
    assert digest_values(values * (1 + 1e-14)) == digest_values(values)
    assert digest_values(np.append(values, 1e-17)) == digest_values(np.append(values, -0.0))
    assert digest_values(values * (1 + 1e-4)) != digest_values(values)
    assert digest_values(np.ones(5)) is None


def test_sample_steps_follow_one_another_and_restart_the_fallen():
    steps = roll_out_random_policy(CARD, 0, 32, 40)
    for before, after in itertools.pairwise(steps):
        alive = ~before.terminated
        np.testing.assert_array_equal(
            before.next_state.x_position[alive], after.state.x_position[alive]
        )
    ended = np.concatenate([step.terminated for step in steps])
    assert ended.any()


def test_a_sample_that_is_kept_is_the_one_that_is_made():
    made = sample_steps(CARD, 3, ["x_position"])
    keep_sample(CARD, 3)
    kept = sample_steps(CARD, 3, ["x_position"])
    for one, two in zip(made, kept, strict=True):
        assert list(one.state.fields) == list(two.state.fields) == ["x_position"]
        np.testing.assert_array_equal(one.next_state.x_position, two.next_state.x_position)


def test_sample_steps_repeat_with_the_seed():
    one, two, other = (roll_out_random_policy(CARD, seed, 4, 6)[-1] for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.next_state.observation, two.next_state.observation)
    assert not np.array_equal(one.next_state.observation, other.next_state.observation)


def test_extremes_reach_the_ends_of_the_ranges():
    step = roll_out_random_policy(CARD, 0, 2, 1)[0]
    extremes = dict(make_extremes(CARD, step))
    zero, low, high, swept = list(extremes.values())[1:]
    field = CARD.field("torso_height")
    assert (zero.next_state.torso_height == 0).all()
    assert (low.next_state.torso_height == field.range[0]).all()
    assert (high.next_state.torso_height == min(field.range[1], 1e3)).all()
    height = swept.next_state.torso_height
    assert (np.diff(height) > 0).all()
    assert (height[0], height[-1]) == (
        low.next_state.torso_height[0],
        high.next_state.torso_height[0],
    )
    assert swept.action[0, 0] < swept.action[-1, 0]


def test_probe_runs_in_the_sandbox_and_memory_bombs_end_there(tmp_path):
    exits = []
    for name, source in {
        "good": HOP,
        # Each step doubles a text: no static rule sees how far that goes.
        "bomb": HOP.replace(
            "    effort =",
            "    text = 'ab'\n    for _ in range(60):\n        text = text + text\n    effort =",
        ),
    }.items():
        job_dir = tmp_path / name
        job_dir.mkdir()
        exits.append(
            run_job(make_job(job_dir, source), job_dir, limits=Limits(wall_s=60, memory_mib=1024))
        )
    good, bomb = exits
    assert str(good.outcome) == "ok"
    assert good.result.is_accepted
    # The limit of the process makes it a MemoryError of the program, or ends the process.
    if str(bomb.outcome) != "killed: memory":
        assert "probe/exception" in rules(bomb.result), bomb.result.model_dump_json()


def test_a_loop_inside_numpy_or_a_builtin_is_ended_by_the_clock_of_the_call(tmp_path):
    source = HOP.replace('"""\n', '"""\n    count = range\n    x = sum(count(10**11))\n', 1)
    job_exit = run_job(make_job(tmp_path, source), tmp_path, limits=Limits(wall_s=60.0))
    assert str(job_exit.outcome) == "killed: time of a call"


def test_a_loop_of_the_program_is_a_finding_at_its_line(tmp_path, monkeypatch):
    monkeypatch.setattr(bounds, "MAX_CALL_S", 0.2)
    source = HOP.replace(
        '"""\n', '"""\n    for _ in range(int(1e9 + effort_of(action))):\n        pass\n'
    )
    source += "\n\ndef effort_of(action):\n    return float(np.sum(action))\n"
    report = probe(tmp_path, source)
    assert rules(report) == ["probe/time"]
    assert report.findings[0].line in (4, 5)


def save_behaviours(folder, *names):
    recorded = record_behaviours(CARD, names, 1, 0)
    recorded.trajectories.save(folder / BEHAVIOURS_FILE)
    return tuple(KnownEpisode(name=name, task_score=0.0) for name in recorded.names)


COST = """
def compute_reward(state, action, next_state):
    off = -np.abs(next_state.forward_velocity - 2.0)
    return off, {"off": off}
"""
STAND = """
def compute_reward(state, action, next_state):
    tall = tolerance(next_state.torso_height, bounds=(0.9, 10.0), margin=0.3)
    speed = 0.1 * np.clip(next_state.forward_velocity, 0.0, 3.0)
    return tall + speed, {"tall": tall, "speed": speed}
"""


@pytest.mark.parametrize(
    ("source", "rule"), [(COST, "probe/falling-pays"), (STAND, "probe/pays-standing")]
)
def test_a_program_that_pays_no_skill_is_told_so(tmp_path, source, rule):
    known = save_behaviours(tmp_path, "start pose held", "falling at once")
    report = probe(tmp_path, source, behaviours=known, target_score=3.0)
    assert rule in rules(report)
    assert report.is_accepted
    standing, falling = report.behaviours
    assert standing.length > 900 > 100 > falling.length
    assert standing.pay == pytest.approx(sum(standing.terms.values()))


def test_an_honest_program_has_the_table_and_no_warning(tmp_path):
    known = save_behaviours(tmp_path, "start pose held", "limp", "falling at once")
    report = probe(tmp_path, HOP.replace('"upright": upright, ', ""), behaviours=known)
    assert [row.name for row in report.behaviours] == ["start pose held", "limp", "falling at once"]
    assert not [rule for rule in rules(report) if rule.startswith(("probe/pays", "probe/falling"))]


def test_memory_is_paid_over_recorded_behaviours(tmp_path):
    known = save_behaviours(tmp_path, "start pose held", "falling at once")
    source = """
def init_memory(state):
    return {"n": np.zeros_like(state.torso_height)}


def compute_reward(state, action, next_state, memory):
    n = memory["n"] + 1.0
    return n, {"n": n}, {"n": n}
"""
    report = probe(tmp_path, source, behaviours=known)
    for row in report.behaviours:
        assert row.pay == row.length * (row.length + 1) / 2
