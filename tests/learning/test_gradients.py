"""The hand-written update is that of torch and of Stable-Baselines3."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from stable_baselines3.common.distributions import MultiCategoricalDistribution

from reward_agent.definitions.learner import PPOSettings
from reward_agent.learning.heads import Categorical, Gaussian, compute_log_probs
from reward_agent.learning.ppo import Adam, Networks, Steps, compute_gradient, make_networks

SIZE, N_ACTIONS, N_CHOICES = 5, 2, (3, 2)
FORMS = {
    "numbers": (SIZE, (8, 6), N_ACTIONS, N_ACTIONS),
    "choices": (SIZE, (8, 6), sum(N_CHOICES), 0),
}
HEADS = {"numbers": Gaussian(N_ACTIONS), "choices": Categorical(N_CHOICES)}


def make_random_networks(generator: np.random.Generator, kind: str = "numbers") -> Networks:
    networks = make_networks(*FORMS[kind])
    networks.flat[:] = 0.4 * generator.standard_normal(len(networks.flat))
    return networks


def make_steps(generator: np.random.Generator, n: int = 64, kind: str = "numbers") -> Steps:
    def draw(*shape: int) -> np.ndarray:
        return generator.standard_normal(shape).astype(np.float32)

    steps = Steps(draw(n, SIZE), draw(n, N_ACTIONS), draw(n), draw(n), draw(n) * 0.5 - 2.5)
    if kind == "choices":
        steps.actions[:] = generator.integers(N_CHOICES, size=(n, N_ACTIONS))
    return steps


def make_distributions(outputs, log_std):
    """As Stable-Baselines3's DiagGaussianDistribution and MultiCategoricalDistribution."""
    if len(log_std):
        return [
            torch.distributions.Normal(outputs[:, i], log_std[i].exp()) for i in range(N_ACTIONS)
        ]
    return [
        torch.distributions.Categorical(logits=part) for part in outputs.split(N_CHOICES, dim=1)
    ]


def run_torch(layers, activation, values):
    for index, (weight, bias) in enumerate(layers):
        values = torch.nn.functional.linear(values, weight, bias)
        if index < len(layers) - 1:
            values = getattr(torch, activation)(values)
    return values


def compute_torch_gradient(networks: Networks, steps: Steps, settings: PPOSettings) -> np.ndarray:
    """Stable-Baselines3's loss (ppo.py: PPO.train), differentiated by autograd."""
    leaves = [torch.tensor(part, requires_grad=True)
              for layer in (*networks.actor, *networks.critic)
              for part in (layer.weight, layer.bias)]  # fmt: skip
    log_std = torch.tensor(networks.log_std, requires_grad=True)
    layers = list(zip(leaves[::2], leaves[1::2], strict=True))
    observations, actions, advantages, returns, old = (
        torch.from_numpy(values) for values in vars(steps).values()
    )
    half = len(networks.actor)
    outputs = run_torch(layers[:half], settings.activation, observations)
    values = run_torch(layers[half:], settings.activation, observations).flatten()
    distributions = make_distributions(outputs, log_std)
    log_prob = sum(d.log_prob(actions[:, i]) for i, d in enumerate(distributions))
    advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
    ratio = torch.exp(log_prob - old)
    low, high = 1 - settings.clip_range, 1 + settings.clip_range
    policy_loss = -torch.min(advantages * ratio, advantages * ratio.clamp(low, high)).mean()
    value_loss = torch.nn.functional.mse_loss(returns, values)
    entropy_loss = -sum(d.entropy() for d in distributions).mean()
    loss = policy_loss + settings.ent_coef * entropy_loss + settings.vf_coef * value_loss
    loss.backward()
    found = (*leaves, log_std) if len(log_std) else leaves
    return np.concatenate([leaf.grad.numpy().ravel() for leaf in found])


@pytest.mark.parametrize("kind", ["numbers", "choices"])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_gradient_equals_autograd(activation: str, kind: str) -> None:
    generator = np.random.default_rng(0)
    settings = PPOSettings(ent_coef=0.01, activation=activation)
    networks, steps = make_random_networks(generator, kind), make_steps(generator, kind=kind)
    gradient = make_networks(*FORMS[kind])
    compute_gradient(networks, steps, settings, gradient, HEADS[kind])
    expected = compute_torch_gradient(networks, steps, settings)
    np.testing.assert_allclose(gradient.flat, expected, rtol=1e-4, atol=1e-6)


def test_log_probs_equal_torch() -> None:
    generator = np.random.default_rng(1)
    networks, steps = make_random_networks(generator), make_steps(generator)
    mean = 0.5 * steps.actions
    distribution = torch.distributions.Normal(
        torch.from_numpy(mean), torch.from_numpy(networks.log_std).exp()
    )
    expected = distribution.log_prob(torch.from_numpy(steps.actions)).sum(dim=1)
    z = (steps.actions - mean) / np.exp(networks.log_std)
    found = compute_log_probs(z, networks.log_std)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-5)


def test_log_probs_of_choices_equal_stable_baselines3() -> None:
    generator = np.random.default_rng(3)
    steps = make_steps(generator, kind="choices")
    scores = generator.standard_normal((len(steps), sum(N_CHOICES))).astype(np.float32)
    theirs = MultiCategoricalDistribution(list(N_CHOICES))
    theirs.proba_distribution(torch.from_numpy(scores))
    expected = theirs.log_prob(torch.from_numpy(steps.actions))
    found = HEADS["choices"].compute_log_probs(scores, steps.actions, np.zeros(0, np.float32))
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-5)


def test_choices_are_drawn_as_often_as_they_are_likely() -> None:
    generator, head, nothing = np.random.default_rng(4), HEADS["choices"], np.zeros(0, np.float32)
    scores = np.log(np.array([0.5, 0.3, 0.2, 0.9, 0.1], np.float32))
    drawn = head.choose(scores, head.draw_noise((20_000,), nothing, generator))
    shares = [(drawn[:, 0] == i).mean() for i in range(3)]
    np.testing.assert_allclose(shares, [0.5, 0.3, 0.2], atol=0.02)
    assert (drawn[:, 1] == 1).mean() == pytest.approx(0.1, abs=0.01)


def test_adam_with_clipped_norm_equals_torch() -> None:
    generator = np.random.default_rng(2)
    weights = generator.standard_normal(50).astype(np.float32)
    parameter = torch.nn.Parameter(torch.from_numpy(weights.copy()))
    reference = torch.optim.Adam([parameter], lr=3e-3, eps=1e-5)
    adam = Adam(len(weights))
    # From far above the norm that is clipped to far below it.
    for scale in np.geomspace(10.0, 1e-3, 20):
        gradient = (scale * generator.standard_normal(50)).astype(np.float32)
        parameter.grad = torch.from_numpy(gradient.copy())
        torch.nn.utils.clip_grad_norm_([parameter], 0.5)
        reference.step()
        adam.step(weights, gradient, 3e-3, 0.5)
    np.testing.assert_allclose(weights, parameter.detach().numpy(), rtol=1e-4, atol=1e-6)
