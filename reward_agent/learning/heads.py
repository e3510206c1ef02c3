"""What the outputs of a policy's network are to its actions, while it explores and learns.

A head makes actions (…, n_actions) of outputs (…, n_outputs), tells how likely they were, and
differentiates that; ``log_std`` is the policy's own. ``Gaussian``: the outputs are the means of
actions that are numbers. ``Categorical``: the outputs are the scores of choices, of each action's
one after the other.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from reward_agent.definitions.card import EnvCard
from reward_agent.learning.policy import choose_best, list_parts

FloatArray: TypeAlias = NDArray[np.float32]

_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


class Gaussian:
    """Actions that are numbers, each about its mean with a deviation of its own.

    Noise that is correlated from step to step tries whole movements; log-probabilities are taken
    as if it were not. Source: Hollenstein et al. 2024, https://arxiv.org/abs/2312.11091.
    """

    def __init__(self, n_actions: int, correlation: float = 0.0) -> None:
        self.n_deviations = n_actions
        self._correlation = np.float32(correlation)
        self._last: FloatArray | None = None

    def draw_noise(
        self, shape: tuple[int, ...], log_std: FloatArray, generator: np.random.Generator
    ) -> FloatArray:
        """Return how far actions are from their means; ``shape`` is without their last axis."""
        noise = generator.standard_normal((*shape, self.n_deviations), dtype=np.float32)
        if self._correlation:
            self._correlate(noise)
        noise *= np.exp(log_std)
        return noise

    def _correlate(self, noise: FloatArray) -> None:
        """Let noise (n_steps, …), of unit deviation, go on from the step before."""
        fresh = np.sqrt(1 - np.square(self._correlation))
        last = noise[0].copy() if self._last is None else self._last
        for now in noise:
            now *= fresh
            now += self._correlation * last
            last = now
        self._last = last.copy()

    def choose(self, outputs: FloatArray, noise: FloatArray) -> FloatArray:
        """Return the means with noise; what is out of range is cut off elsewhere."""
        return outputs + noise

    def compute_log_probs(
        self, outputs: FloatArray, actions: FloatArray, log_std: FloatArray
    ) -> FloatArray:
        """Return the log-density (…) of actions."""
        return compute_log_probs((actions - outputs) * np.exp(-log_std), log_std)

    def differentiate(
        self,
        outputs: FloatArray,
        actions: FloatArray,
        log_std: FloatArray,
        by_log_prob: FloatArray,
        ent_coef: float,
    ) -> tuple[FloatArray, FloatArray]:
        """Return the loss's derivative by the means (n, n_outputs) and by ``log_std``.

        It is known by each log-probability, ``by_log_prob`` (n,); ``ent_coef`` times the mean
        entropy, which is of ``log_std`` alone, makes the loss less.
        """
        inverse_std = np.exp(-log_std)
        z = (actions - outputs) * inverse_std
        by_mean = by_log_prob[:, None] * z * inverse_std
        return by_mean, np.asarray(by_log_prob @ (np.square(z) - 1.0) - np.float32(ent_coef))


def compute_log_probs(z: FloatArray, log_std: FloatArray) -> FloatArray:
    """Return the log-density (...) of actions that lie ``z`` (..., n_actions) deviations off."""
    constant = log_std.sum() + len(log_std) * np.float32(_HALF_LOG_TWO_PI)
    # A sum over a few columns as a product takes a fifth of the time of np.sum.
    return np.asarray(np.square(z) @ np.full(len(log_std), np.float32(-0.5)) - constant)


class Categorical:
    """Actions that are numbers of choices, each as likely as its score says."""

    n_deviations = 0

    def __init__(self, n_choices: tuple[int, ...]) -> None:
        self._parts, self._n_outputs = list_parts(n_choices), sum(n_choices)

    def draw_noise(
        self, shape: tuple[int, ...], log_std: FloatArray, generator: np.random.Generator
    ) -> FloatArray:
        """Return noise whose sum with scores is highest as often as a choice is likely.

        Source: Gumbel 1954; Maddison et al. 2014, https://arxiv.org/abs/1411.0030, section 2.
        """
        waits = generator.standard_exponential((*shape, self._n_outputs), dtype=np.float32)
        return np.asarray(-np.log(np.maximum(waits, np.finfo(np.float32).tiny)))

    def choose(self, outputs: FloatArray, noise: FloatArray) -> FloatArray:
        """Return the number of the choice with the highest score, by action."""
        return choose_best(outputs + noise, self._parts)

    def compute_log_probs(
        self, outputs: FloatArray, actions: FloatArray, log_std: FloatArray
    ) -> FloatArray:
        """Return the log-probability (…) of all the choices together."""
        total = np.zeros(outputs.shape[:-1], dtype=np.float32)
        for i, part in enumerate(self._parts):
            log_probs = _normalize(outputs[..., part])
            chosen = actions[..., i : i + 1].astype(np.intp)
            total += np.take_along_axis(log_probs, chosen, axis=-1)[..., 0]
        return total

    def differentiate(
        self,
        outputs: FloatArray,
        actions: FloatArray,
        log_std: FloatArray,
        by_log_prob: FloatArray,
        ent_coef: float,
    ) -> tuple[FloatArray, FloatArray]:
        """Return the derivative by the scores, and nothing: there is no deviation."""
        by_outputs = np.empty_like(outputs)
        rows = np.arange(len(outputs))
        weight = np.float32(ent_coef / len(outputs))
        for i, part in enumerate(self._parts):
            log_probs = _normalize(outputs[:, part])
            probs = np.exp(log_probs)
            by_scores = -by_log_prob[:, None] * probs
            by_scores[rows, actions[:, i].astype(np.intp)] += by_log_prob
            if ent_coef:
                entropy = -(probs * log_probs).sum(axis=1, keepdims=True)
                by_scores += weight * probs * (log_probs + entropy)
            by_outputs[:, part] = by_scores
        return by_outputs, log_std[:0]


Head: TypeAlias = Gaussian | Categorical


def make_head(card: EnvCard, correlation: float = 0.0) -> Head:
    """Return what the actions of an environment need; choices are drawn anew each step."""
    return Categorical(card.n_choices) if card.choices else Gaussian(card.n_actions, correlation)


def _normalize(scores: FloatArray) -> FloatArray:
    """Return the log-probabilities (…, n) that scores stand for."""
    shifted = scores - scores.max(axis=-1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return np.asarray(shifted)
