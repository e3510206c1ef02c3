"""Faults of a reward, found in what it pays: each rule is one function that names a term.

They need no task: what a program pays for doing nothing, for falling, in states that one field
alone makes, and to a policy that was trained with it. A metric, where there is one, says which of
that is wanted. The sentence of each fault begins with its term and has the numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from reward_agent.definitions.card import EnvCard
from reward_agent.definitions.task import TaskSpec
from reward_agent.rewards.pay import FALLING, STANDING, Most, Tried, find_goal_pay
from reward_agent.rewards.terms import WrittenTerm
from reward_agent.summary.course import TermSummary
from reward_agent.summary.diagnostics import Diagnosis
from reward_agent.summary.summary import TrajectorySummary
from reward_agent.text import format_number, format_share
from reward_agent.types import BehaviourPay, ProbeReport, TermScale, TrainingResult

RANDOM, LIMP = "random actions", "limp"
# Of the best pay that any state keeps up: standing earns as much, or so much and nothing is learnt.
_MOST, _ENOUGH = 0.5, 0.25
# Of the time limit: an episode that is short, and standing that is worth the name.
_SHORT, _STANDS = 0.5, 0.1
# Of all pay in training; and how many times all others can pay at most.
_DROWNS, _TIMES = 0.85, 8.0
# Pay for the last steps: how many times that of the others, and of all pay.
_END_TIMES, _END_SHARE = 3.0, 0.2
# How many times what it was at first the return of a training is that has learnt something.
_CLIMB = 1.3
# Correlation of pay and task score that is that of the score's negative; of scores that count.
_AGAINST, _COUNTS = -0.9, 0.02
# Of all pay: less is not worth a word.
_FELT = 0.01
# Fields of which more is better unless the task says otherwise.
_HIGH_IS_BETTER = ("up", "height")
_MORE_IS_BETTER = ("forward_velocity", "forward_position", *_HIGH_IS_BETTER)


@dataclass(frozen=True)
class PayEvidence:
    """What is known of a reward after one training.

    Args:
        card: the environment, with the task applied where there is one.
        task: what it is for, or None.
        probe: what it pays in the states tried, and to what takes no skill.
        training: what the training saw of itself.
        summary: of the policy at its end, without noise.
        ends: mean pay of each term in the last steps of episodes that the card ended.
        written: the terms as the program's text has them.
    """

    card: EnvCard
    task: TaskSpec | None
    probe: ProbeReport
    training: TrainingResult
    summary: TrajectorySummary
    ends: Mapping[str, float] = field(default_factory=dict)
    written: Mapping[str, WrittenTerm] = field(default_factory=dict)

    @property
    def tried(self) -> Tried:
        """What was tried without a policy."""
        probe = self.probe
        most = Most(probe.best_step or 0.0, probe.best_kept_up or 0.0)
        target = self.task.target_score if self.task else None
        return Tried(probe.behaviours, most, target, self.card.max_episode_steps)

    @property
    def scales(self) -> dict[str, TermScale]:
        """What each term pays in the states tried."""
        return {scale.name: scale for scale in self.probe.terms}

    @property
    def terms(self) -> dict[str, TermSummary]:
        """What each term pays the policy."""
        return {term.name: term for term in self.summary.terms}

    @property
    def shares(self) -> dict[str, float]:
        """Share of each term in all pay over the last third of training, with its noise."""
        shares = {}
        for curve in self.training.terms:
            last = curve.points[-max(1, len(curve.points) // 3) :]
            shares[curve.name] = float(np.mean([p.share_of_return for p in last])) if last else 0.0
        return shares

    @property
    def lengths(self) -> tuple[float, float, float]:
        """Episode length as a share of the limit: first and last in training, and without noise."""
        seen = [p.episode_length for p in self.training.points if p.episode_length is not None]
        whole = self.summary.best.episode_length
        ends = (seen[0], seen[-1]) if seen else (whole, whole)
        limit = self.card.max_episode_steps
        return ends[0] / limit, ends[1] / limit, whole / limit

    @property
    def policy_pay(self) -> float:
        """Pay of an episode of the policy, without noise."""
        return sum(term.pay_mean for term in self.summary.terms)

    def find_top(self, row: BehaviourPay) -> tuple[str, float]:
        """Return the term that pays a behaviour most, and its pay of a step."""
        name = max(row.terms, key=lambda term: row.terms[term], default="reward")
        return name, row.terms.get(name, row.pay) / max(row.length, 1.0)


def find_faults(evidence: PayEvidence) -> tuple[Diagnosis, ...]:
    """Return the faults, the gravest first."""
    found: dict[str, Diagnosis] = {}
    for fault in filter(None, (rule(evidence) for rule in FAULTS)):
        found.setdefault(fault.name, fault)
    return tuple(found.values())


# --- a term of the wrong sign ---------------------------------------------------------------------


def find_wrong_sign(e: PayEvidence) -> Diagnosis | None:
    """A term that pays the opposite of what is wanted, in the order of how sure that is."""
    rules = (_pays_actions, _pays_against_scores, _pays_worse_policy, _costs_standing, _pays_back)
    told = next(filter(None, (rule(e) for rule in rules)), None)
    if told is None:
        return None
    name, evidence = told
    return Diagnosis(
        name="wrong sign",
        meaning="a term pays the opposite of what is wanted",
        evidence=f"{name} {evidence}",
        advice=f"turn the sign of {name} round, and train again",
        terms=(name,),
    )


def _pays_actions(e: PayEvidence) -> tuple[str, str] | None:
    """A term of the actions alone that pays more the larger they are."""
    moved, limp = e.tried.find(RANDOM), e.tried.find(LIMP)
    for name in _list_felt(e):
        written = e.written.get(name)
        is_of_actions = written is not None and "action" in written.body
        if not is_of_actions or written is None or "state." in written.body or moved is None:
            continue
        paid = _per_step(moved, name)
        idle = _per_step(limp, name) if limp else 0.0
        if paid > max(idle, 0.0) + 1e-9:
            return name, (
                f"pays {format_number(paid)} a step for random actions and {format_number(idle)} "
                "for none: it pays the actions themselves, which usually cost"
            )
    return None


def _pays_against_scores(e: PayEvidence) -> tuple[str, str] | None:
    """A term whose pay is that of the task score with its sign turned, over what needs no skill."""
    rows = [row for row in e.tried.rows if row.task_score is not None and not row.is_policy]
    scores = np.array([row.task_score or 0.0 for row in rows])
    if len(rows) < 4 or not np.abs(scores).max() > 0:
        return None
    counts = np.abs(scores) > _COUNTS * np.abs(scores).max()
    for name in _list_felt(e):
        pays = np.array([row.terms.get(name, 0.0) for row in rows])
        written = e.written.get(name)
        if np.ptp(pays) < 1e-9 or (written is not None and "state." not in written.body):
            continue
        r = float(np.corrcoef(pays, scores)[0, 1])
        if r <= _AGAINST and np.mean(pays[counts] * scores[counts] < 0) >= 0.8:
            best, worst = int(scores.argmax()), int(scores.argmin())
            return name, (
                f"pays {format_number(pays[worst])} an episode for {rows[worst].name!r} (task "
                f"score {format_number(scores[worst])}) and {format_number(pays[best])} for "
                f"{rows[best].name!r} ({format_number(scores[best])}): correlation with the task "
                f"score {r:+.2f} over {len(rows)} behaviours"
            )
    return None


def _pays_worse_policy(e: PayEvidence) -> tuple[str, str] | None:
    """A policy that earns more than doing nothing, and does the task clearly worse than that."""
    best = e.tried.find(STANDING) or e.tried.find(LIMP)
    score = e.summary.best.task_score
    if best is None or best.task_score is None or score is None or e.policy_pay <= best.pay:
        return None
    target = e.task.target_score if e.task else None
    if best.task_score - score < 0.15 * abs(target or best.task_score or 1.0):
        return None
    gains = {t.name: t.pay_mean - best.terms.get(t.name, 0.0) for t in e.summary.terms}
    name = max(gains, key=lambda term: gains[term])
    return name, (
        f"pays {format_number(e.terms[name].pay_mean)} an episode of the trained policy, whose "
        f"task score is {format_number(score)}, and {format_number(best.terms.get(name))} for "
        f"{best.name!r}, whose score is {format_number(best.task_score)}"
    )


def _costs_standing(e: PayEvidence) -> tuple[str, str] | None:
    """A cost that is largest in the start pose, and smaller for who falls."""
    standing, falling = e.tried.find(STANDING), e.tried.find(FALLING)
    if standing is None or falling is None or e.tried.is_better(falling, standing):
        return None
    for name in _list_felt(e):
        scale, cost = e.scales.get(name), _per_step(standing, name)
        if scale is None or scale.lowest is None or (scale.highest or 0.0) > 1e-9 or cost >= 0:
            continue
        fallen = _per_step(falling, name)
        is_free_elsewhere = (scale.highest or 0.0) >= 0.1 * scale.lowest
        if cost <= 0.9 * scale.lowest and (fallen >= 0.8 * cost or is_free_elsewhere):
            return name, (
                f"costs {format_number(-cost)} a step in the start pose, the most of all states "
                f"tried, {format_number(-fallen)} for falling at once, and in the best state "
                f"{format_number(max(-(scale.highest or 0.0), 0.0))}"
            )
    return None


def _pays_back(e: PayEvidence) -> tuple[str, str] | None:
    """A field of which more is better, with a negative weight, where no score says otherwise.

    A score of falling says it of what is high; of the way, behaviours without skill say too little.
    """
    roles: tuple[str, ...] = _MORE_IS_BETTER
    standing, falling = e.tried.find(STANDING), e.tried.find(FALLING)
    if any(row.task_score is not None for row in e.tried.rows):
        if standing is None or falling is None or e.tried.is_better(falling, standing):
            return None
        roles = _HIGH_IS_BETTER
    better = {f.name: f.plays[0] for f in e.card.state if f.plays[0] in roles}
    for name in _list_felt(e):
        written = e.written.get(name)
        read = written.body.partition(".")[2] if written else ""
        if written is not None and read in better and written.weight < 0:
            return name, (
                f"is {format_number(written.weight)} times {read}: it pays for less of it (right "
                "only where the task asks for that)"
            )
    return None


def _list_felt(e: PayEvidence) -> list[str]:
    """Return the terms that are more than nothing in training or without noise, largest first."""
    shares = e.shares
    sizes = {t.name: max(t.share, shares.get(t.name, 0.0)) for t in e.summary.terms}
    return sorted((n for n, s in sizes.items() if s >= _FELT), key=lambda name: -sizes[name])


def _per_step(row: BehaviourPay, name: str) -> float:
    return row.terms.get(name, 0.0) / max(row.length, 1.0)


# --- what takes no skill is the best deal ---------------------------------------------------------


def find_falling_pay(e: PayEvidence) -> Diagnosis | None:
    """Ending early pays: for itself, or because each step costs."""
    first, last, whole = e.lengths
    told = _find_costs(e, first, last)
    if told is None and (last < _SHORT or whole < _SHORT):
        told = _find_end_pay(e) or _find_early_deal(e)
    if told is None:
        return None
    name, evidence, advice = told
    return Diagnosis(
        name="pays falling at once",
        meaning="to end the episode early is the best that the policy can do",
        evidence=f"{name} {evidence}",
        advice=advice,
        terms=(name,),
    )


def _find_costs(e: PayEvidence, first: float, last: float) -> tuple[str, str, str] | None:
    """Each step of the training costs, and to end early costs least."""
    paid = {c.name: c.points[-1].pay_per_episode for c in e.training.terms if c.points}
    total, limit = sum(paid.values()), e.card.max_episode_steps
    early, late = _split_rows(e)
    best = max((row.pay for row in early), default=0.0)
    # Whatever is done costs, the longer the more; or that is what was learnt.
    is_least = bool(early and late) and max(row.pay for row in late) < min(best, 0.0)
    if not paid or total >= 0 or e.policy_pay >= 0:
        return None
    if not (is_least or (last < _SHORT and last <= 1.2 * first)):
        return None
    name = min(paid, key=lambda term: paid[term])
    return (
        name,
        f"costs {format_number(-paid[name])} an episode at the end of training, where all terms "
        f"together pay {format_number(total)}: each step costs, so that a short episode is the "
        f"best; they last {format_number(last * limit)} of {limit} steps",
        f"make {name} small beside what a good step earns, so that a step of the start pose pays "
        "more than it costs",
    )


def _find_end_pay(e: PayEvidence) -> tuple[str, str, str] | None:
    """A term that pays for the last steps before the card ends the episode."""
    total = sum(abs(term.pay_mean) for term in e.summary.terms)
    length = e.summary.best.episode_length
    for name, end in sorted(e.ends.items(), key=lambda item: -item[1]):
        term = e.terms.get(name)
        n_last = min(5.0, length)
        if term is None or end <= 0 or end * n_last < _END_SHARE * total:
            continue
        before = (term.pay_mean - end * n_last) / max(length - n_last, 1.0)
        if end >= _END_TIMES * max(before, 0.0):
            return (
                name,
                f"pays {format_number(end)} a step just before the episode ends by a fall, and "
                f"{format_number(before)} before that; episodes last {format_number(length)} of "
                f"{e.card.max_episode_steps} steps",
                f"let {name} pay nothing where the episode ends, or less than what is lost by it",
            )
    return None


def _find_early_deal(e: PayEvidence) -> tuple[str, str, str] | None:
    """What ends early without skill earns most, and the policy lasts no longer."""
    early, late = _split_rows(e)
    if not early or not late:
        return None
    best, other = (max(part, key=lambda row: row.pay) for part in (early, late))
    lasts = e.summary.best.episode_length > 1.5 * max(best.length, 1.0)
    if best.pay <= other.pay or lasts or e.tried.is_worth(best):
        return None
    # Who falls may be paid a little of what the task is: more of it can be had on one's feet.
    if best.pay_per_step < _MOST * e.tried.most.kept_up:
        return None
    name, paid = e.find_top(best)
    return (
        name,
        f"pays {format_number(paid)} a step for {best.name!r}: {format_number(best.pay)} in "
        f"{format_number(best.length)} steps, where {other.name!r} earns "
        f"{format_number(other.pay)} in {format_number(other.length)}",
        f"pay each step that goes on well more than {name} pays for its end",
    )


def _split_rows(e: PayEvidence) -> tuple[list[BehaviourPay], list[BehaviourPay]]:
    """Return what the card always ends early of what takes no skill, and the rest."""
    rows = [row for row in e.tried.rows if not row.is_policy]
    longest = max((row.length for row in rows), default=0.0)
    early = [r for r in rows if r.n_ended == r.n_episodes and r.length <= _SHORT * longest]
    return early, [row for row in rows if row not in early]


def find_standing_pay(e: PayEvidence) -> Diagnosis | None:
    """Holding the start pose is paid like the best that can be kept up."""
    standing = e.tried.find(STANDING)
    limit = e.card.max_episode_steps
    if standing is None or e.tried.is_worth(standing) or standing.length < _STANDS * limit:
        return None
    told = _find_paid_stand(e, standing) or _find_free_stand(e, standing)
    if told is None:
        return None
    name, evidence = told
    unless = "" if standing.task_score is not None else " (right where the task is to stand still)"
    return Diagnosis(
        name="pays standing still",
        meaning="to do nothing is paid like the best that can be done",
        evidence=f"{name} {evidence}{unless}",
        advice=f"multiply {name} by what the task asks for, or pay that many times as much",
        terms=(name,),
    )


def _find_paid_stand(e: PayEvidence, standing: BehaviourPay) -> tuple[str, str] | None:
    paid, most = standing.pay_per_step, e.tried.most
    if paid <= 0 or most.kept_up <= 0 or paid < _ENOUGH * most.kept_up:
        return None
    if standing.pay < 2 * most.once:  # what is paid once may be worth more than all of its steps
        return None
    is_most = paid >= _MOST * most.kept_up
    seen = {diagnosis.name for diagnosis in e.summary.diagnoses}
    earned = e.policy_pay / max(e.summary.best.episode_length, 1.0)
    learnt = "standing still" in seen and e.lengths[2] >= 0.8 and earned <= 1.1 * paid
    if not is_most and not learnt:
        return None
    name, own = e.find_top(standing)
    share = f"{paid / most.kept_up:.0%} of the most that any state tried goes on to pay"
    ends = "; that is what the policy learnt" if learnt else ""
    return name, f"pays {format_number(own)} a step for holding the start pose, {share}{ends}"


def _find_free_stand(e: PayEvidence, standing: BehaviourPay) -> tuple[str, str] | None:
    """Every motion costs, and nothing pays."""
    paid, rows = standing.pay_per_step, e.tried.rows
    scale = max(abs(row.pay_per_step) for row in rows)
    if e.tried.most.kept_up > paid + 0.02 * scale or paid > 0.02 * scale or scale <= 0:
        return None
    costs = {name: min(_per_step(row, name) for row in rows) for name in standing.terms}
    name = min(costs, key=lambda term: costs[term])
    return name, (
        f"costs up to {format_number(-costs[name])} a step of motion, and nothing tried pays more "
        f"than holding the start pose ({format_number(paid)} a step)"
    )


# --- what is not heard ----------------------------------------------------------------------------


def find_great_drowning(e: PayEvidence) -> Diagnosis | None:
    """The same by far: then the weight is what is wrong, whatever else it pays for."""
    return find_drowning(e, 3 * _TIMES)


def find_drowning(e: PayEvidence, times: float = _TIMES) -> Diagnosis | None:
    """One term is nearly all pay, and what others can pay at most is little beside it."""
    shares = e.shares
    top = max(shares, key=lambda name: shares[name], default="")
    reach = {name: _reach(scale) for name, scale in e.scales.items()}
    # Costs beside pay are small on purpose; what pays is to be heard.
    goals = [n for n, s in e.scales.items() if n != top and (s.highest or 0.0) > 1e-9]
    if not goals or shares[top] < _DROWNS or top in find_goal_pay(e.tried):
        return None
    rest = sum(size for name, size in reach.items() if name != top)
    if reach.get(top, 0.0) < times * rest:
        return None
    best = max(goals, key=lambda name: reach[name])
    return Diagnosis(
        name="one term drowns the rest",
        meaning="what the other terms pay is not heard beside it",
        evidence=f"{top} is {format_share(shares[top])} of the pay in training: it reaches "
        f"{format_number(reach[top])} a step, {best} at most {format_number(reach[best])}",
        advice=f"divide {top} by about {reach[top] / rest:.2g}, so that the terms are of a size",
        terms=(top,),
    )


def _reach(scale: TermScale) -> float:
    low = scale.minimum if scale.lowest is None else scale.lowest
    high = scale.maximum if scale.highest is None else scale.highest
    return max(abs(low), abs(high))


def find_noise_pay(e: PayEvidence) -> Diagnosis | None:
    """The rule of the summaries, on the policy at the end of a training that has learnt to earn."""
    points = [p.generated_return for p in e.training.points if p.generated_return is not None]
    third = max(1, len(points) // 3)
    if len(points) < 3 or np.mean(points[-third:]) < _CLIMB * abs(np.mean(points[:third])):
        return None
    return next((d for d in e.summary.diagnoses if d.name == "paid for noise"), None)


def find_motionless_term(e: PayEvidence) -> Diagnosis | None:
    """A term that pays the same in every state tried and all through the training."""
    can_end = e.lengths[0] < 1 or any(row.n_ended for row in e.tried.rows)
    for curve in e.training.terms:
        scale = e.scales.get(curve.name)
        ends = {p.minimum for p in curve.points} | {p.maximum for p in curve.points}
        if scale is None or scale.lowest is None or scale.highest is None:
            continue
        spread = max({scale.highest, *ends}) - min({scale.lowest, *ends})
        written = e.written.get(curve.name)
        if written is not None and "memory" in written.body:  # it may come later in an episode
            continue
        # What is paid for lasting is the same at each step, too.
        if spread > 1e-9 or (can_end and scale.mean != 0):
            continue
        paid = f"{format_number(scale.mean)} in every state tried and all through the training"
        return Diagnosis(
            name="a term never moves",
            meaning="a term that never changes teaches nothing",
            evidence=f"{curve.name} is {paid}",
            advice=f"drop {curve.name}, or widen its condition until random motion changes it",
            terms=(curve.name,),
        )
    return None


FAULTS: tuple[Callable[[PayEvidence], Diagnosis | None], ...] = (
    find_wrong_sign,
    find_falling_pay,
    find_great_drowning,
    find_standing_pay,
    find_drowning,
    find_noise_pay,
    find_motionless_term,
)


def list_remarks(e: PayEvidence) -> Iterator[str]:
    """Yield what is no fault and limits what can be said."""
    names = {term.name for term in e.summary.terms}
    if names <= {"reward"}:
        yield (
            "the file pays one number, so that nothing can be said term by term: return the parts "
            "by name, compute_reward(...) -> reward, {'name': part}"
        )
    if e.task is None:
        yield (
            "without --task no metric says what is wanted: what is a fault for one task may be "
            "right for another"
        )
