"""Known ways in which a reward goes wrong, each recognised by one function with its evidence.

A success that never came is no evidence by itself: on dense locomotion the score climbs long
before. So what blames the reward first asks whether the task score is flat, and says nothing when
the task is done.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import Field

from reward_agent.definitions.card import EnvCard
from reward_agent.definitions.roles import COMMANDS
from reward_agent.evaluation.metrics import Episode
from reward_agent.evaluation.statistics import correlate
from reward_agent.summary.course import (
    CoursePoint,
    TermSummary,
    count_score_gain,
    estimate_score_noise,
)
from reward_agent.text import format_number, format_share, format_steps
from reward_agent.types import Evaluation, Record, TermName

_FLOODING_SHARE = 0.7
_DEAD_SHARE = 1e-3
# A term whose mean is this near to its maximum pays for being there, not for doing something.
_STEADY = 0.6
_STILL = 0.02
_REVERSALS = 0.4
_NOISE_SHARE = 0.3
_MOSTLY, _SHORT = 0.8, 0.5
_SOLVED_RATE = 0.5
_AGAINST = -0.6
_MIN_STILL_S = 0.5
_STILLNESS = re.compile(
    r"\b(?:still|rest|quiet(?:ly)?|motionless|calm|hold(?:s|ing)?|held|stay(?:s|ing)?|balanc\w+|lie|lying"
    r"|stand(?:s|ing)?)\b",
    re.IGNORECASE,
)


class Diagnosis(Record):
    """One failure mode: what it is, the numbers that show it, and what usually helps."""

    name: str
    meaning: str
    evidence: str
    advice: str
    terms: tuple[TermName, ...] = Field((), description="whose it is, where it is a term's")


@dataclass(frozen=True)
class Case:
    """What a diagnosis may look at.

    Args:
        card: the environment with the task applied.
        target_score: task score that counts as done, if the task has one.
        course: points of training, oldest first.
        terms: the reward's terms, the best paying first.
        best: scores of the evaluated episodes.
        episodes: what was recorded of them.
        task_text: the sentence and its criterion.
    """

    card: EnvCard
    target_score: float | None
    course: Sequence[CoursePoint]
    terms: Sequence[TermSummary]
    best: Evaluation
    episodes: Sequence[Episode]
    task_text: str = ""

    @property
    def is_solved(self) -> bool:
        """Whether the target is reached, or most episodes succeed."""
        score, rate = self.best.task_score, self.best.success_rate
        if score is not None and self.target_score is not None and score >= self.target_score:
            return True
        return rate is not None and rate >= _SOLVED_RATE

    @property
    def asks_for_stillness(self) -> bool:
        """Whether the task itself asks to hold something, or to be at rest."""
        return _STILLNESS.search(self.task_text) is not None

    @property
    def has_begun(self) -> bool:
        """Whether more than a tenth of the target is reached."""
        score, target = self.best.task_score, self.target_score
        return score is not None and target is not None and score > 0.1 * target

    @property
    def is_stuck(self) -> bool:
        """Whether the task is not done and its score does not climb; False while unknown."""
        gain = count_score_gain(self.course)
        noise = estimate_score_noise(self.course, self.target_score)
        return not self.is_solved and gain is not None and gain <= noise

    @property
    def final_length(self) -> float:
        """Mean length of the episodes at the end of training, as a share of the time limit."""
        lengths = [p.episode_length for p in self.course if p.episode_length is not None]
        last = lengths[-1] if lengths else self.best.episode_length
        return last / self.card.max_episode_steps


def diagnose(case: Case) -> tuple[Diagnosis, ...]:
    """Return every failure mode that is seen, the gravest first."""
    found = (diagnosis(case) for diagnosis in DIAGNOSES)
    return tuple(diagnosis for diagnosis in found if diagnosis is not None)


def find_hacking(case: Case) -> Diagnosis | None:
    """Generated return up while the task score is flat."""
    points = [p for p in case.course if p.generated_return is not None]
    climb = correlate(
        [p.total_timesteps for p in points], [p.generated_return or 0.0 for p in points]
    )
    if not case.is_stuck or climb is None or climb < 0.6:
        return None
    first, last = points[0], points[-1]
    return Diagnosis(
        name="reward hacking",
        meaning="the policy earns more and more without doing the task better",
        evidence=f"generated return {format_number(first.generated_return)} → "
        f"{format_number(last.generated_return)} while task_score "
        f"{format_number(first.task_score)} → {format_number(last.task_score)}",
        advice="find which term grew, see in the trajectories what earns it, and pay the outcome "
        "that the criterion names instead",
    )


def find_flooding(case: Case) -> Diagnosis | None:
    """One term drowns the others, and the score does not follow it."""
    if len(case.terms) < 2 or not case.is_stuck or case.terms[0].share < _FLOODING_SHARE:
        return None
    top = case.terms[0]
    r = "unknown" if top.training_correlation is None else f"{top.training_correlation:+.2f}"
    return Diagnosis(
        name="flooding",
        meaning="one dense term drowns the terms that lead to the goal",
        evidence=f"{top.name} is {format_share(top.share)} of the pay "
        f"({format_number(top.pay_mean)} an episode); its correlation with task_score: {r}",
        advice="make it a gate (multiply) or a bounded fraction of the goal's term; pay progress "
        "once instead of paying a state on every step",
    )


def find_dead_terms(case: Case) -> Diagnosis | None:
    """Terms that never pay."""
    dead = [term.name for term in case.terms if _is_dead(term)]
    if not dead:
        return None
    return Diagnosis(
        name="dead term",
        meaning="a term that never pays teaches nothing",
        evidence=f"below 0.1% of the pay, and so throughout training: {', '.join(dead)}",
        advice="widen its condition so that what the policy already does earns a little of it, or "
        "drop it",
    )


def find_survival_exploit(case: Case) -> Diagnosis | None:
    """Pay for being alive is enough, so nothing else is done."""
    steady = [term for term in case.terms if _is_steady(term)]
    share = sum(term.share for term in steady)
    if not case.is_stuck or case.final_length < _MOSTLY or share < 0.5:
        return None
    names = ", ".join(term.name for term in steady)
    return Diagnosis(
        name="survival exploit",
        meaning="lasting until the time limit pays so well that the task is not tried",
        evidence=f"at the end of training episodes last {format_share(case.final_length)} of the "
        "time limit; "
        f"{names}: {format_share(share)} of the pay, nearly the same on every step",
        advice="pay the steady terms only together with progress (multiply), or make them small "
        "beside it",
    )


def find_early_termination(case: Case) -> Diagnosis | None:
    """Costs outweigh pay, so ending early is the best policy."""
    total = sum(term.pay_mean for term in case.terms)
    if not case.is_stuck or not case.terms or total >= 0 or case.final_length > _SHORT:
        return None
    costs = [term for term in case.terms if term.pay_mean < 0]
    worst = min(costs, key=lambda term: term.pay_mean)
    return Diagnosis(
        name="early-termination exploit",
        meaning="every step costs more than it pays, so the policy ends the episode",
        evidence=f"an episode pays {format_number(total)}; at the end of training it lasts "
        f"{format_share(case.final_length)} of the time limit; largest cost: {worst.name} "
        f"({format_number(worst.pay_mean)})",
        advice="keep the sum of a step's pay positive while the posture is healthy: turn costs "
        "into bounded positive terms or scale them down",
    )


def find_contrary_term(case: Case) -> Diagnosis | None:
    """A term that pays more when the task is done worse."""
    contrary = [
        term
        for term in case.terms
        if term.share >= 0.1
        and term.pay_mean > 0
        and term.training_correlation is not None
        and term.training_correlation <= _AGAINST
    ]
    if case.is_solved or not contrary:
        return None
    listing = ", ".join(f"{t.name} (r = {t.training_correlation:+.2f})" for t in contrary)
    return Diagnosis(
        name="contrary term",
        meaning="a term pays more at the points of training where the task is done worse",
        evidence=f"correlation with task_score over training: {listing}",
        advice="check its sign, its bounds and what the field means on the card",
    )


def find_late_collapse(case: Case) -> Diagnosis | None:
    """The policy was better before."""
    scored = [point for point in case.course if point.task_score is not None]
    if len(scored) < 4:
        return None
    peak, last = max(scored, key=lambda p: p.task_score or 0.0), scored[-1]
    drop = (peak.task_score or 0.0) - (last.task_score or 0.0)
    noise = estimate_score_noise(scored, case.target_score)
    if drop <= 2 * noise or drop < 0.3 * abs(peak.task_score or 0.0):
        return None
    return Diagnosis(
        name="late collapse",
        meaning="the policy was better before the end of training",
        evidence=f"task_score {format_number(peak.task_score)} at "
        f"{format_steps(peak.total_timesteps)} steps, {format_number(last.task_score)} at "
        f"{format_steps(last.total_timesteps)}",
        advice="look which term grew after the peak; bound it, so that the gain of leaving the "
        "good behaviour is small",
    )


def find_standing_still(case: Case) -> Diagnosis | None:
    """The robot hardly moves."""
    # Where stillness is asked for, only who never left the start is said to stand still.
    speeds = _measure_speeds(case, whole=case.asks_for_stillness)
    if case.is_solved or not speeds or float(np.median(list(speeds.values()))) >= _STILL:
        return None
    if case.asks_for_stillness and case.has_begun:
        return None
    listing = ", ".join(f"{name} {format_share(share)}" for name, share in list(speeds.items())[:3])
    return Diagnosis(
        name="standing still",
        meaning="the policy holds a posture and does not try the task",
        evidence=f"second half of the episodes, mean speed as a share of its range: {listing}",
        advice="pay the first part of the motion on its own, so that a small try earns more than "
        "none",
    )


def find_noise_pay(case: Case) -> Diagnosis | None:
    """What exploring earned, the policy itself does not."""
    terms = [t for t in case.terms if (t.pay_in_training or 0.0) > 0]
    explored = sum(term.pay_in_training or 0.0 for term in terms)
    itself = sum(term.pay_mean for term in terms)
    if case.is_solved or not terms or itself >= _NOISE_SHARE * explored:
        return None
    top = max(terms, key=lambda term: (term.pay_in_training or 0.0) - term.pay_mean)
    return Diagnosis(
        name="paid for noise",
        meaning="the random actions of exploring earn what the policy itself does not",
        evidence=f"{top.name} pays {format_number(top.pay_in_training)} an episode in training, "
        f"{format_number(top.pay_mean)} without noise",
        advice="pay what trembling does not earn: a position reached, net progress, or a speed "
        "averaged in memory",
        terms=(top.name,),
    )


def find_oscillation(case: Case) -> Diagnosis | None:
    """The actions jump to and fro."""
    low, high = case.card.action_range
    shares = [
        _count_reversals(episode.action, 0.2 * (high - low))
        for episode in case.episodes
        if episode.n_steps >= 10
    ]
    is_smooth = not shares or float(np.mean(shares)) < _REVERSALS
    if case.is_solved or is_smooth or case.card.choices:  # choices lie in no order
        return None
    return Diagnosis(
        name="oscillation",
        meaning="the actions jump to and fro from step to step",
        evidence=f"{format_share(float(np.mean(shares)))} of the changes of an action reverse the "
        "one before, each over a fifth of the range",
        advice="a small cost of the squared action, or a reward that trembling does not earn "
        "(position reached instead of speed)",
    )


DIAGNOSES: tuple[Callable[[Case], Diagnosis | None], ...] = (
    find_hacking,
    find_survival_exploit,
    find_early_termination,
    find_flooding,
    find_contrary_term,
    find_noise_pay,
    find_standing_still,
    find_oscillation,
    find_late_collapse,
    find_dead_terms,
)


def _is_dead(term: TermSummary) -> bool:
    largest = max((abs(pay) for pay in (*term.pay_over_training, term.pay_mean)), default=0.0)
    per_step = max(abs(term.step_min or 0.0), abs(term.step_max or 0.0))
    return term.share < _DEAD_SHARE and largest <= 1e-6 and per_step <= 1e-6


def _is_steady(term: TermSummary) -> bool:
    if term.step_mean is None or term.step_max is None:
        return False
    return term.step_mean > 0 and term.step_mean >= _STEADY * term.step_max


def _measure_speeds(case: Case, *, whole: bool = False) -> dict[str, float]:
    """Return the mean speed of each velocity field, of half its range.

    That is the one over the second halves of the episodes, or over the whole of them.
    """
    long_enough = [e for e in case.episodes if e.duration_s >= _MIN_STILL_S]
    speeds = {}
    for field in case.card.state if long_enough else ():
        if field.unit not in ("m/s", "rad/s") or field.plays[0] in COMMANDS.values():
            continue
        half_range = (field.range[1] - field.range[0]) / 2
        halves = [
            np.abs(e.fields[field.name][0 if whole else e.n_steps // 2 :]).mean()
            for e in long_enough
        ]
        speeds[field.name] = float(np.mean(halves)) / half_range
    return speeds


def _count_reversals(action: np.ndarray, least: float) -> float:
    """Return the share of changes that reverse the one before, both larger than ``least``."""
    change = np.diff(action, axis=0)
    large = np.abs(change) > least
    reverses = (np.sign(change[1:]) == -np.sign(change[:-1])) & large[1:] & large[:-1]
    return float(reverses.mean())
