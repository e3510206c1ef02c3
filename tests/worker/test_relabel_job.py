"""What a program would have paid for recorded episodes."""

import numpy as np
import pytest

from reward_agent.definitions.card import load_env
from reward_agent.evaluation.metrics import Episode
from reward_agent.evaluation.trajectories import make_trajectories
from reward_agent.records.jobs import PROGRAM_FILE, TRAJECTORIES_FILE, RelabelJob
from reward_agent.rewards.program import CompiledReward, compile_program
from reward_agent.rewards.replay import replay_episodes
from reward_agent.rewards.trial import roll_out_random_policy
from reward_agent.types import RewardProgram
from reward_agent.worker.relabel import TERMS_FILE, run

CARD = load_env("inverted_pendulum")
PROGRAM = """
def compute_reward(state, action, next_state):
    upright = np.cos(next_state.pole_angle)
    effort = -0.5 * np.sum(action ** 2, axis=-1)
    return upright + effort, {"upright": upright, "effort": effort}
"""
COUNTING = """
def init_memory(state):
    return {"n": np.zeros(state.pole_angle.shape[0])}


def compute_reward(state, action, next_state, memory):
    n = memory["n"] + 1.0
    return n, {"n": n}, {"n": n}
"""
SHAPED = """
def potential(state):
    return 1.0 + 0.0 * state.pole_angle


def compute_reward(state, action, next_state):
    pay = 0.0 * next_state.pole_angle
    return pay, {"pay": pay}
"""


def record(n_steps, terminated, seed=0):
    steps = roll_out_random_policy(CARD, seed, n_sims=1, n_steps=n_steps)
    states = [step.state for step in steps] + [steps[-1].next_state]
    fields = {
        name: np.concatenate([state.fields[name] for state in states]) for name in states[0].fields
    }
    action = np.concatenate([step.action for step in steps])
    return Episode(fields, action, CARD.control_dt, terminated)


@pytest.fixture
def job_dir(tmp_path):
    episodes = [record(3, False), record(5, True, seed=1)]
    ends = ["truncated", "pole_angle"]
    make_trajectories(episodes, ends).save(tmp_path / TRAJECTORIES_FILE)
    return tmp_path


def relabel(job_dir, source, gamma=0.9):
    (job_dir / PROGRAM_FILE).write_text(source)
    sha256 = RewardProgram(source).sha256
    return run(RelabelJob(card=CARD, program_sha256=sha256, gamma=gamma), job_dir)


def test_pay_is_summed_by_term_and_episode(job_dir):
    result = relabel(job_dir, PROGRAM)
    assert str(result.outcome) == "finished"
    with np.load(job_dir / TERMS_FILE, allow_pickle=False) as terms:
        assert set(terms) == {"upright", "effort"}
        assert terms["upright"].shape == (8,)
        assert result.term_pay["upright"][0] == pytest.approx(terms["upright"][:3].sum())
        assert result.term_pay["effort"][1] == pytest.approx(terms["effort"][3:].sum())
    for index in range(2):
        parts = [result.term_pay[name][index] for name in ("upright", "effort")]
        assert result.generated_returns[index] == pytest.approx(sum(parts))


def test_memory_starts_afresh_in_each_episode(job_dir):
    assert relabel(job_dir, COUNTING).generated_returns == (1 + 2 + 3, 1 + 2 + 3 + 4 + 5)


def test_potential_ends_at_true_terminals_only(job_dir):
    result = relabel(job_dir, SHAPED)
    np.testing.assert_allclose(result.generated_returns, [3 * -0.1, 4 * -0.1 - 1.0])
    assert set(result.term_pay) == {"pay", "potential_shaping"}


def test_failing_program_is_an_outcome(job_dir):
    result = relabel(
        job_dir, PROGRAM.replace("np.cos(next_state.pole_angle)", "np.nan * action[:, 0]")
    )
    assert str(result.outcome).startswith("failed: term 'upright' is nan")
    assert result.generated_returns == ()


MIXED = """
def init_memory(state):
    return {"best": np.cos(state.pole_angle)}


def potential(state):
    return np.abs(state.pole_angle)


def compute_reward(state, action, next_state, memory):
    best = np.minimum(memory["best"], np.cos(next_state.pole_angle))
    effort = -0.1 * np.sum(action ** 2, axis=-1)
    return best + effort, {"best": best, "effort": effort}, {"best": best}
"""


def test_episodes_side_by_side_are_paid_as_one_by_one(monkeypatch):
    lengths = (4, 9, 1, 6)
    episodes = [record(n, n % 2 == 0, seed=n) for n in lengths]
    calls = []
    step = CompiledReward.step
    monkeypatch.setattr(CompiledReward, "step", lambda *given: calls.append(1) or step(*given))

    def replay(chosen):
        stored = make_trajectories(chosen, ["truncated"] * len(chosen))
        return replay_episodes(compile_program(MIXED, CARD, 0.9), stored)

    together = replay(episodes)
    assert len(calls) == max(lengths)
    for episode, paid in zip(episodes, together, strict=True):
        [alone] = replay([episode])
        np.testing.assert_array_equal(paid.reward, alone.reward)
        assert list(paid.terms) == ["best", "effort", "potential_shaping"]
        for name, values in paid.terms.items():
            np.testing.assert_array_equal(values, alone.terms[name])
