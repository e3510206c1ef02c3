"""Both sides of the speed benchmark train what they say they train, and are judged alike."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from benchmarks import baselines, costs, ours
from benchmarks.baselines import DEFAULTS, TUNED_HOPPER, export_policy, make_model
from benchmarks.measure import load_setting
from reward_agent.definitions.card import load_env


def shorten(model: Any) -> Any:
    """Let rollouts be short."""
    model.n_steps = model.rollout_buffer.buffer_size = 64
    model.rollout_buffer.reset()
    return model


@pytest.mark.parametrize("baseline", [DEFAULTS, TUNED_HOPPER], ids=lambda item: item.name)
def test_judged_policy_is_that_of_stable_baselines(baseline: baselines.Baseline) -> None:
    card = load_env("hopper")
    model = make_model(baseline, card, seed=0)
    shorten(model)
    model.learn(64 * baseline.n_envs)
    observation = np.random.default_rng(0).normal(size=(20, card.observation_size))
    env = model.get_vec_normalize_env()
    given = observation if env is None else env.normalize_obs(observation)
    expected, _ = model.predict(given.astype(np.float32), deterministic=True)
    found = export_policy(model, card).act(observation)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert (env is not None) == baseline.normalize


def test_judge_sees_the_episodes_of_gymnasium() -> None:
    setting = load_setting("walker2d")
    model = make_model(DEFAULTS, setting.card, seed=0)
    [judged] = ours.evaluate_policies(setting, [export_policy(model, setting.card)])
    env = gymnasium.make("Walker2d-v5")
    observation, _ = env.reset(seed=judged.seed)
    start, has_ended = env.unwrapped.data.qpos[0], False
    while not has_ended:
        action, _ = model.predict(observation, deterministic=True)
        observation, _, terminated, truncated, _ = env.step(action)
        has_ended = terminated or truncated
    distance = env.unwrapped.data.qpos[0] - start
    assert judged.episodes[0].parts["distance"] == pytest.approx(distance, abs=1e-4)


def test_tuned_settings_reach_the_learner() -> None:
    model = make_model(TUNED_HOPPER, load_env("hopper"), seed=0)
    assert (model.n_steps, model.batch_size, model.n_epochs, model.gamma) == (512, 32, 5, 0.999)
    sizes = [layer.out_features for layer in model.policy.mlp_extractor.policy_net
             if isinstance(layer, torch.nn.Linear)]  # fmt: skip
    assert sizes == [256, 256]
    assert float(model.policy.log_std.detach().mean()) == -2.0


def test_foreign_training_is_cut_at_its_limit_and_judged_on_the_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def make_short(*arguments: Any, **options: Any) -> Any:
        return shorten(make_model(*arguments, **options))

    monkeypatch.setattr(baselines, "make_model", make_short)
    goal = {"steps": 10**6, "score": 1e9, "min_steps": 0, "limit_s": 3.0, "spacing": 64}
    learned = baselines.learn("hopper", 0, TUNED_HOPPER.name, goal)
    assert learned.limit_s is not None
    assert learned.wall_s >= 3.0
    assert learned.curve[-1].total_timesteps < goal["steps"]
    assert all(point.total_timesteps % 64 == 0 for point in learned.curve)
    assert learned.find_time_to(1e9) is None


def test_our_training_is_judged_where_it_left_policies() -> None:
    learned = ours.learn("hopper", 0, steps=4096, n_points=2)
    assert [point.total_timesteps for point in learned.curve] == [2048, 4096]
    assert 0 < learned.curve[0].wall_s < learned.curve[1].wall_s <= learned.wall_s
    assert learned.find_score_at(4096) == learned.curve[-1].task_score


def test_rate_of_an_isolated_training_says_where_its_time_went() -> None:
    rate = ours.measure_rate("hopper", 2048, n_envs=32)
    assert (rate.n_envs, rate.steps) == (32, 2048)
    assert rate.timing is not None
    assert rate.timing.total_s == pytest.approx(rate.wall_s, rel=0.05)
    assert rate.peak_mib is not None
    assert 50 < rate.peak_mib < 2000


def test_cost_of_foreign_programs_is_measured_in_their_own_shapes() -> None:
    programs = {
        "wide": "def compute_reward(state, action, next_state):\n"
        "    r = next_state.observation[:, 23] + action[:, 5]\n    return r, {'r': r}\n"
    }
    [cost] = costs.measure_rewards("hopper", programs, n_envs=8, steps=5)
    assert cost.name == "wide"
    assert 0 < cost.value < 100
    [own] = costs.measure_rewards("hopper", {}, n_envs=8, steps=5)
    assert own.name == "reference"
