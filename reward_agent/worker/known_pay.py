"""What a program pays for recorded episodes: those without a policy, and earlier policies'."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reward_agent.definitions.card import EnvCard
from reward_agent.errors import DataError
from reward_agent.evaluation.trajectories import Trajectories
from reward_agent.records.job import BEHAVIOURS_FILE, TRAJECTORIES_FILE
from reward_agent.records.training_jobs import KnownEpisode, ProbeJob
from reward_agent.rewards.contract import ContractError
from reward_agent.rewards.pay import Most, Tried, judge_pay
from reward_agent.rewards.program import CompiledReward, StepReward
from reward_agent.rewards.replay import EpisodePay, NamedPay, group_by_name, replay_episodes
from reward_agent.rewards.trial import Trial, sweep_fields
from reward_agent.simulation.state import State, Transition
from reward_agent.types import BehaviourPay, Finding, RankedEpisodes, TermScale

# Fewer episodes than this say nothing about an order.
_MIN_RANKED_EPISODES = 4
# Steps over which a pay counts as kept up.
_STRETCH = 10


@dataclass(frozen=True)
class KnownEpisodes:
    """Recorded episodes: scripted ones, and those of earlier policies."""

    scripted: Trajectories | None
    scripted_known: tuple[KnownEpisode, ...]
    stored: Trajectories | None
    stored_known: tuple[KnownEpisode, ...]

    @classmethod
    def load(cls, job: ProbeJob, job_dir: Path, fields: Sequence[str]) -> KnownEpisodes:
        """Read the recordings of a job, with these fields alone.

        Raises:
            DataError: a file holds other episodes than the job names.
        """
        scripted = _load(job_dir / BEHAVIOURS_FILE, job.behaviours, fields)
        stored = _load(job_dir / TRAJECTORIES_FILE, job.stored, fields)
        return cls(scripted, job.behaviours, stored, job.stored)


def _load(path: Path, known: Sequence[KnownEpisode], fields: Sequence[str]) -> Trajectories | None:
    if not path.exists() or not known:
        return None
    recorded = Trajectories.load(path)
    if recorded.n_episodes != len(known):
        raise DataError(
            f"{recorded.n_episodes} episodes in {path.name} but {len(known)} of them known",
            "say what is known of each episode",
        )
    kept = {name: recorded.fields[name] for name in fields if name in recorded.fields}
    return replace(recorded, fields=kept)


@dataclass(frozen=True)
class KnownPay:
    """What a program pays for recorded episodes."""

    known: KnownEpisodes
    scripted: list[EpisodePay]
    stored: list[EpisodePay]

    @property
    def rows(self) -> list[BehaviourPay]:
        """Pay by behaviour, that of named policies last."""
        rows = []
        for recorded, known, paid in (
            (self.known.scripted, self.known.scripted_known, self.scripted),
            (self.known.stored, self.known.stored_known, self.stored),
        ):
            for group in group_by_name([item.name for item in known], paid) if recorded else ():
                if recorded is not None and group.name:
                    is_policy = recorded is self.known.stored
                    rows.append(_make_row(group, recorded, known, is_policy))
        return rows

    @property
    def _scores(self) -> list[float] | None:
        scores = [item.task_score for item in self.known.stored_known]
        told = [score for score in scores if score is not None]
        return told if self.stored and len(told) == len(scores) and len(set(told)) > 1 else None

    @property
    def agreement(self) -> float | None:
        """How well the program ranks the stored episodes."""
        scores = self._scores
        returns = [float(paid.reward.sum()) for paid in self.stored]
        return None if scores is None else find_rank_agreement(returns, scores)

    @property
    def ranked(self) -> RankedEpisodes | None:
        """Over which episodes that is."""
        scores = self._scores
        if scores is None:
            return None
        return RankedEpisodes(
            n_episodes=len(scores),
            n_policies=len({item.policy for item in self.known.stored_known}),
            lowest=min(scores),
            highest=max(scores),
        )

    def judge(self, job: ProbeJob, most: Most) -> list[Finding]:
        """Return the warnings: what takes no skill is paid best, or worse episodes are.

        Args:
            job: the probe.
            most: what the best steps of all states tried are paid.
        """
        findings, ranked, agreement = [], self.ranked, self.agreement
        is_enough = ranked is not None and ranked.n_episodes >= _MIN_RANKED_EPISODES
        if ranked is not None and is_enough and agreement is not None and agreement < 0:
            findings.append(_tell_order(agreement, ranked))
        rows = self.rows
        if any(not row.is_policy for row in rows):
            n_steps = job.card.max_episode_steps
            tried = Tried(rows, most, job.target_score, n_steps)
            findings += judge_pay(tried)
        return findings

    def find_reach(self, job: ProbeJob, trial: Trial) -> Reach:
        """Return what the steps of all states tried are paid, at rest in any state among them."""
        episodes = [paid for paid in (*self.scripted, *self.stored) if len(paid.reward)]
        swept, goes_on = self._sweep(job, trial)
        steps: list[EpisodePay | StepReward] = [*episodes, *swept]
        rewards = [paid.reward for paid in steps]
        kept = [float(_average(paid.reward).max()) for paid in episodes]
        most = Most(
            once=max(
                float(reward.max())
                for reward in (*rewards, *([] if trial.rewards is None else [trial.rewards]))
            ),
            kept_up=max(
                [*kept, *(float(paid.reward[goes_on].max(initial=-np.inf)) for paid in swept[-1:])]
            ),
        )
        terms: dict[str, list[float]] = {}
        for step in steps:
            for name, values in step.terms.items():
                terms.setdefault(name, []).extend((float(values.min()), float(values.max())))
        return Reach(most, {name: (min(ends), max(ends)) for name, ends in terms.items()})

    def _sweep(self, job: ProbeJob, trial: Trial) -> tuple[list[StepReward], NDArray[np.bool_]]:
        """Pay steps from the start pose, one field anywhere in its range, twice.

        What is paid again is no one-time pay. Beside it, which steps the card lets go on.
        """
        recorded = self.known.scripted
        if recorded is None:
            return [], np.zeros(0, dtype=bool)
        first = {name: np.asarray(v[:1], dtype=np.float64) for name, v in recorded.fields.items()}
        still = State(first)
        action = np.zeros((1, job.card.n_actions))
        start = Transition(still, action, still, np.zeros(1, dtype=bool))
        step = sweep_fields(job.card, start, list(first))
        try:
            reward = trial.make_reward()
            reward.begin(step.state)
            given = (step.state, step.action, step.next_state, step.terminated)
            return [reward.step(*given) for _ in range(2)], list_going_on(job.card, step)
        except ContractError:  # what breaks at the edges is told elsewhere
            return [], np.zeros(0, dtype=bool)


def list_going_on(card: EnvCard, step: Transition) -> NDArray[np.bool_]:
    """Return which steps (N,) lead to a state in which the card does not end the episode."""
    goes_on = np.ones(len(step.action), dtype=bool)
    for bounds in card.termination:
        values = step.next_state.fields.get(bounds.field)
        if values is not None:
            rows = values.reshape(len(goes_on), -1)
            low = -np.inf if bounds.min is None else bounds.min
            high = np.inf if bounds.max is None else bounds.max
            goes_on &= np.all((rows > low) & (rows < high), axis=-1)
    return goes_on


@dataclass(frozen=True)
class Reach:
    """What the steps of all states tried are paid: the best of them, and each term's ends."""

    most: Most
    terms: dict[str, tuple[float, float]]

    def widen(self, scales: Sequence[TermScale]) -> tuple[TermScale, ...]:
        """Return the scales of the terms with the ends of what they paid anywhere."""
        return tuple(self._widen(scale) for scale in scales)

    def _widen(self, scale: TermScale) -> TermScale:
        low, high = self.terms.get(scale.name, (scale.minimum, scale.maximum))
        ends = {"lowest": min(low, scale.minimum), "highest": max(high, scale.maximum)}
        return scale.model_copy(update=ends)


def _average(reward: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the means of all stretches of some steps; of the whole where it is shorter."""
    size = min(_STRETCH, len(reward))
    return np.convolve(reward, np.full(size, 1 / size), mode="valid")


def pay_known(reward: CompiledReward, known: KnownEpisodes) -> KnownPay:
    """Pay what is recorded.

    Raises:
        ContractError: the program fails or breaks the contract there.
    """
    scripted, stored = (
        replay_episodes(reward, recorded) if recorded is not None else []
        for recorded in (known.scripted, known.stored)
    )
    return KnownPay(known, scripted, stored)


def _make_row(
    group: NamedPay, recorded: Trajectories, known: Sequence[KnownEpisode], is_policy: bool
) -> BehaviourPay:
    of_it = [known[i] for i in group.episodes]
    scores = [item.task_score for item in of_it if item.task_score is not None]
    is_scored = len(scores) == len(of_it)
    return BehaviourPay(
        name=group.name,
        is_policy=is_policy,
        n_episodes=len(of_it),
        n_ended=int(recorded.terminated[group.episodes].sum()),
        length=float(recorded.lengths[group.episodes].mean()),
        pay=group.mean,
        terms=group.mean_terms,
        task_score=float(np.mean(scores)) if is_scored else None,
        success_rate=float(np.mean([item.success for item in of_it])) if is_scored else None,
    )


def _tell_order(agreement: float, ranked: RankedEpisodes) -> Finding:
    return Finding(
        rule="probe/prefers-worse",
        severity="warning",
        message=f"the return ranks {ranked.n_episodes} stored episodes against their task score, "
        f"{ranked.lowest:.3g} … {ranked.highest:.3g} (Spearman's rho {agreement:.2f})",
        remedy="pay more for what the task asks than for what the worse episodes do",
    )


def find_rank_agreement(one: Sequence[float], two: Sequence[float]) -> float | None:
    """Return Spearman's rho of two rankings, -1..1; None where one has no order.

    Source: Spearman 1904; ties have the mean of their ranks.
    """
    first, second = (_rank(np.asarray(values)) for values in (one, two))
    norm = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return float(np.clip((first * second).sum() / norm, -1, 1)) if norm else None


def _rank(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ranks (n,) around zero; equal values share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts - 1) / 2)[inverse] - (len(values) + 1) / 2
