"""What a program would have paid for recorded episodes."""

import numpy as np
import pytest

from reward_agent.definitions.card import load_env
from reward_agent.definitions.task import METRIC_FILE
from reward_agent.evaluation.metrics import Episode
from reward_agent.evaluation.trajectories import Trajectories, make_trajectories
from reward_agent.records.job import MEMORY_FILE, PROGRAM_FILE, TRAJECTORIES_FILE
from reward_agent.records.scoring_jobs import RelabelJob
from reward_agent.rewards.program import CompiledReward, compile_program
from reward_agent.rewards.replay import replay_episodes
from reward_agent.rewards.trial import roll_out_random_policy
from reward_agent.summary.memory import add_memory, make_memory_columns, read_memory
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


def test_stages_that_scored_episodes_came_to_are_counted(job_dir):
    source = COUNTING.replace('"n"]', '"stage"]').replace('{"n": n}\n', '{"stage": n}\n')
    source = source.replace('{"n": np', '{"stage": np')
    names = ("one", "two", "three", "four", "five")
    stages = relabel(job_dir, f"STAGES = {names}\n{source}").stages
    assert [stage.name for stage in stages] == [*names, "done"]
    assert [stage.n_reached for stage in stages] == [2, 2, 2, 2, 1, 1]
    assert [stage.pay for stage in stages] == [1, 2, 3, 2, 2.5, 0]
    assert relabel(job_dir, source).stages == ()


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


GATED = """
def init_memory(state):
    return {"held": 0.0 * state.pole_angle, "pair": np.zeros((state.pole_angle.shape[0], 2))}


def compute_reward(state, action, next_state, memory):
    held = memory["held"] + 1.0
    early = held < 3.5
    level = np.clip(1.0 - np.abs(next_state.pole_angle), 0.0, 1.0)
    poised = early * level * 2.0
    opens = early & (held != 2.0)
    return poised, {"poised": poised}, {"held": held, "pair": memory["pair"]}
"""


def test_which_condition_of_a_gate_is_shut_and_what_ends_a_hold_is_told(job_dir):
    (job_dir / PROGRAM_FILE).write_text(GATED)
    job = RelabelJob(card=CARD, program_sha256=RewardProgram(GATED).sha256)
    result = run(job, job_dir)
    poised, opens = result.gates
    assert [item.text for item in poised.conditions] == ["early", "level"]
    early, level = poised.conditions
    # Of 3 and of 5 steps, the last two of the longer episode are late.
    assert early.shut == early.alone == pytest.approx(2 / 8)
    assert (level.shut, early.ended, poised.ended_with_episode) == (0, 1, 1)
    assert (poised.n_holds, poised.longest_s) == (2, pytest.approx(3 * CARD.control_dt))
    assert [item.text for item in opens.conditions] == ["early", "held != 2.0"]
    assert opens.conditions[1].ended == 2
    assert result.term_steps["poised"][2] == pytest.approx(2.0, abs=0.1)


def test_what_the_metric_asks_is_told_beside_the_program(job_dir):
    metric = (
        "def score(episode):\n"
        "    slow = np.abs(episode.pole_angle) < 9.0\n"
        "    held = float(np.sum(slow & (episode.cart_position > 9.0)))\n"
        "    return Score(held, False, {})\n"
    )
    (job_dir / PROGRAM_FILE).write_text(GATED)
    (job_dir / METRIC_FILE).write_text(metric)
    digests = {
        "program_sha256": RewardProgram(GATED).sha256,
        "metric_sha256": RewardProgram(metric).sha256,
    }
    result = run(RelabelJob(card=CARD, **digests), job_dir)
    [held] = result.conditions
    assert [item.shut for item in held.conditions] == [0, 1]
    assert [gate.name for gate in result.gates] == ["poised", "opens"]


def test_what_a_program_remembers_becomes_columns(job_dir):
    (job_dir / PROGRAM_FILE).write_text(GATED)
    run(RelabelJob(card=CARD, program_sha256=RewardProgram(GATED).sha256), job_dir)
    stored = Trajectories.load(job_dir / TRAJECTORIES_FILE)
    memory = read_memory(job_dir / MEMORY_FILE, stored)
    assert list(memory) == ["held"]  # a vector has no column
    episodes = [stored.episode(i) for i in range(2)]
    [column] = make_memory_columns(memory)
    told = [list(column.read(episode)) for episode in add_memory(episodes, stored, memory)]
    assert told == [[1, 1, 2, 3], [1, 1, 2, 3, 4, 5]]
    assert column.name == "memory held"


def test_memory_that_does_not_fit_the_episodes_is_left_out(job_dir):
    stored = Trajectories.load(job_dir / TRAJECTORIES_FILE)
    np.savez(job_dir / MEMORY_FILE, held=np.zeros(3), lost=np.full(8, np.nan), word=np.array(["a"]))
    assert read_memory(job_dir / MEMORY_FILE, stored) == {}
    assert read_memory(job_dir / "missing.npz", stored) == {}
