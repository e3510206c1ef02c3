"""Pay: what a program pays for what takes no skill, beside what an honest attempt earns.

The trusted metric decides what is worth nothing: where it scores standing as the task's own, a
program that pays for standing is right.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from reward_agent.types import BehaviourPay, Finding, ProbeReport, Severity

STANDING, FALLING = "start pose held", "falling at once"
# Behaviours that are always shown; of actuators at their ends, the best paid alone.
_SHOWN = (STANDING, "limp", "random actions", FALLING)
# Of the task's target: by how much an attempt is better, and how little is no success.
_BETTER, _NOT_IT = 0.15, 0.45
# Of what an attempt earns: as much. Of the most that a step is paid in any state tried: too much.
_AS_MUCH, _MOST = 0.9, 0.5
# Correlation of pay and task score of a term that pays what the metric scores: over all that was
# tried, and without any one of them.
_FOLLOWS, _FOLLOWS_WITHOUT = 0.9, 0.2
_SAME = 1e-9
# Of the longest episodes: early.
_EARLY = 0.5
_SHOWN_TERMS = 6


@dataclass(frozen=True)
class Most:
    """The best pay of a step in all states tried: of any, and of what can be kept up."""

    once: float
    kept_up: float


@dataclass(frozen=True)
class Tried:
    """What a program was seen to pay.

    Args:
        rows: what the robot did.
        most: pay of the best paid steps.
        target_score: of the task.
        n_steps: of a whole episode; 0 where nobody says.
    """

    rows: Sequence[BehaviourPay]
    most: Most
    target_score: float | None = None
    n_steps: int = 0

    def find(self, name: str) -> BehaviourPay | None:
        """Return what is known of a scripted behaviour."""
        return next((row for row in self.rows if row.name == name and not row.is_policy), None)

    @property
    def honest(self) -> BehaviourPay | None:
        """The best known attempt by the task's score."""
        return find_honest(self.rows)

    def is_worth(self, row: BehaviourPay) -> bool:
        """Whether the metric takes a behaviour for the task's own.

        One that the card ended counts as if it had gone on: who falls from standing has stood.
        """
        if row.success_rate or row.task_score is None or self.target_score is None:
            return bool(row.success_rate)
        share = row.length / self.n_steps if self.n_steps and row.length else 1.0
        return row.task_score / min(share, 1.0) >= _NOT_IT * self.target_score > 0

    def is_better(self, one: BehaviourPay, other: BehaviourPay) -> bool:
        """Whether the metric says that one is clearly better than the other."""
        if one.task_score is None or other.task_score is None:
            return False
        scale = abs(self.target_score or one.task_score)
        return one.task_score - other.task_score >= max(_BETTER * scale, 1e-9)


def find_honest(rows: Sequence[BehaviourPay]) -> BehaviourPay | None:
    """Return the best known attempt by the task's score; None where nothing has one above others'.

    Of equals it is a policy.
    """
    scored = [row for row in rows if row.task_score is not None]
    if len({row.task_score for row in scored}) < 2:
        return None
    return max(scored, key=lambda row: (row.task_score, row.success_rate or 0.0, row.is_policy))


def find_goal_pay(tried: Tried) -> dict[str, float]:
    """Return the terms that pay what the metric scores, over what takes no skill.

    With each, what it pays for a task score of one.
    """
    rows = [row for row in tried.rows if row.task_score is not None and not row.is_policy]
    scores = [row.task_score or 0.0 for row in rows]
    if len(rows) < 4 or np.ptp(scores) < _SAME:
        return {}
    found = {}
    for name in rows[0].terms:
        pays = [row.terms.get(name, 0.0) for row in rows]
        if max(pays) > 0 and _follows(pays, scores):
            found[name] = float(np.cov(pays, scores)[0, 1] / np.var(scores, ddof=1))
    return found


def _follows(pays: Sequence[float], scores: Sequence[float]) -> bool:
    """Whether a term goes with the score, and not by one row alone, such as the only fall."""
    rows = range(len(scores))
    for left_out in (None, *rows):
        kept = [row for row in rows if row != left_out]
        pay, score = np.take(pays, kept), np.take(scores, kept)
        if np.ptp(score) < _SAME:
            continue
        least = _FOLLOWS if left_out is None else _FOLLOWS_WITHOUT
        if np.ptp(pay) < _SAME or float(np.corrcoef(pay, score)[0, 1]) < least:
            return False
    return True


def judge_pay(tried: Tried) -> Iterator[Finding]:
    """Yield a warning where what takes no skill is the best deal, or as good as success."""
    early = _find_early_deal(tried)
    if early is not None:
        yield early
    cheap = [] if early else list(_find_cheap_deals(tried))
    yield from cheap
    if not cheap and early is None:
        yield from _judge_standing(tried)


def _find_early_deal(tried: Tried) -> Finding | None:
    """Return what to say where an episode that ends early costs least, or pays best."""
    rows = tried.rows
    longest = max((row.length for row in rows), default=0.0)
    early = [r for r in rows if r.n_ended == r.n_episodes and r.length <= _EARLY * longest]
    late = [row for row in rows if row not in early]
    if not early or not late:
        return None
    best, other = (max(part, key=lambda row: row.pay) for part in (early, late))
    costs = all(row.pay <= 0 for row in rows)
    honest = tried.honest
    is_beaten = honest is not None and honest.is_policy and honest not in early
    if best.pay <= other.pay or not (costs or is_beaten) or tried.is_worth(best):
        return None
    first = tried.find(FALLING)
    told = first if first is not None and first in early and first.pay > other.pay else best
    every = "every behaviour tried costs, the longer the more: " if costs else ""
    return _warn(
        "falling-pays",
        f"ending early is the best deal: {every}{told.name!r} earns {_show(told.pay)} "
        f"in {told.length:.0f} steps, {other.name!r} {_show(other.pay)} in {other.length:.0f}",
        "pay for each step that goes on well more than it costs, or make the end cost what is left",
    )


def _find_cheap_deals(tried: Tried) -> Iterator[Finding]:
    """Yield a warning for the best paid of what earns as much as an attempt that is far better."""
    honest = tried.honest
    if honest is None or not (honest.is_policy or honest.success_rate):
        return
    enough = honest.pay * _AS_MUCH if honest.pay > 0 else honest.pay
    cheap = [
        row
        for row in tried.rows
        if not row.is_policy and row.pay >= enough and tried.is_better(honest, row)
    ]
    if cheap:
        best = max(cheap, key=lambda row: row.pay)
        yield _warn(
            "pays-cheap",
            f"{best.name!r} earns {_show(best.pay)} an episode ({_name_terms(best)}), the best "
            f"known attempt, {honest.name!r}, {_show(honest.pay)}; their task scores are "
            f"{_show(best.task_score)} and {_show(honest.task_score)}",
            "pay for what the better one does and the other does not; gate the rest by it",
        )


def _judge_standing(tried: Tried) -> Iterator[Finding]:
    """Yield a warning where a step of standing is paid like the best step of all states tried."""
    standing, most = tried.find(STANDING), tried.most
    if standing is None or most.kept_up <= 0 or tried.is_worth(standing):
        return
    paid = standing.pay_per_step
    # What is paid once in an episode may be worth more than all of its steps.
    if paid < _MOST * most.kept_up or standing.pay < 2 * most.once:
        return
    known = standing.task_score is not None
    scored = f"; its task score is {_show(standing.task_score)}" if known else ""
    yield _warn(
        "pays-standing",
        f"holding the start pose earns {_show(paid)} a step, {paid / most.kept_up:.0%} of "
        "the most that any state tried goes on to pay "
        f"({_name_terms(standing, per_step=True)}){scored}",
        "gate what standing has by what the task asks for, or pay the task many times as much"
        + ("" if known else "; leave it where the task is to stand still"),
        "warning" if known else "hint",
    )


def _name_terms(row: BehaviourPay, per_step: bool = False) -> str:
    """Name the terms that pay a behaviour most."""
    by = max(row.length, 1.0) if per_step else 1.0
    ranked = sorted(row.terms.items(), key=lambda item: -item[1])
    shown = [f"{name} {_show(pay / by)}" for name, pay in ranked[:3] if pay > 0]
    return ", ".join(shown) or "no term pays it"


def _show(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.0f}" if abs(value) >= 999.5 else f"{value:.3g}"


def _warn(rule: str, message: str, remedy: str, severity: Severity = "warning") -> Finding:
    return Finding(rule=f"probe/{rule}", severity=severity, message=message, remedy=remedy)


# --- shown ----------------------------------------------------------------------------------------


def list_shown(rows: Sequence[BehaviourPay]) -> list[BehaviourPay]:
    """Return the rows of the table, the best paid first."""
    others = [row for row in rows if not row.is_policy and row.name not in _SHOWN]
    kept = [row for row in rows if row.is_policy or row.name in _SHOWN]
    if others:
        kept.append(max(others, key=lambda row: row.pay))
    return sorted(kept, key=lambda row: -row.pay)


def render_pay(probe: ProbeReport) -> str:
    """Return what cheap policies earn as a table of plain text; '' where nothing was recorded."""
    table = list_pay(probe)
    if not table:
        return ""
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if not column else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in table
    ]
    return "\n".join([*lines, *tell_pay(probe)])


def list_pay(probe: ProbeReport) -> list[list[str]]:
    """Return what cheap policies earn as cells, heads first; none where nothing was recorded."""
    rows = list_shown(probe.behaviours)
    names = _choose_terms(rows)
    has_scores = any(row.task_score is not None for row in rows)
    head = ["what it does", *(["task score"] if has_scores else []), "steps", "pay", *names]
    return [head, *([_show_row(row, names, has_scores) for row in rows])] if rows else []


def tell_pay(probe: ProbeReport) -> list[str]:
    """Return what stands below that table: where the best attempt is, what was not tried."""
    return [*_place_honest(list_shown(probe.behaviours)), *_tell_untried(probe)]


def _choose_terms(rows: Sequence[BehaviourPay]) -> list[str]:
    sizes = dict[str, float]()
    for row in rows:
        for name, pay in row.terms.items():
            sizes[name] = max(sizes.get(name, 0.0), abs(pay))
    return sorted(sizes, key=lambda name: -sizes[name])[:_SHOWN_TERMS]


def _show_row(row: BehaviourPay, names: Sequence[str], has_scores: bool) -> list[str]:
    score = _show(row.task_score)
    ends = " (ended)" if row.n_ended == row.n_episodes else ""
    return [
        row.name,
        *([score] if has_scores else []),
        f"{row.length:.0f}{ends}",
        _show(row.pay),
        *(_show(row.terms.get(name, 0.0)) for name in names),
    ]


def _place_honest(rows: Sequence[BehaviourPay]) -> Iterator[str]:
    honest = find_honest(rows)
    if honest is None:
        return
    told = f"{honest.name} ({_show(honest.task_score)})"
    place = f"is paid {_ordinal(1 + sum(row.pay > honest.pay for row in rows))} of {len(rows)}"
    if honest.is_policy or honest.success_rate:
        yield f"The best known attempt by task score, {told}, {place}."
    else:
        yield f"None of these does the task; the best by task score, {told}, {place}."


def _ordinal(number: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number if number < 20 else number % 10, "th")
    return f"{number}{ending}"


def _tell_untried(probe: ProbeReport) -> Iterator[str]:
    if probe.left_out:
        yield f"Not tried: {'; '.join(probe.left_out)}."


def describe_agreement(probe: ProbeReport) -> str:
    """Say over what a rank agreement is; '' without one."""
    if probe.rank_agreement is None or probe.ranked is None:
        return ""
    ranked = probe.ranked
    policies = "policy" if ranked.n_policies == 1 else "policies"
    alike = ", which hardly differ" if _is_alike(ranked.lowest, ranked.highest) else ""
    return (
        f"{probe.rank_agreement:.2f} over {ranked.n_episodes} episodes of {ranked.n_policies} "
        f"{policies}, task scores {ranked.lowest:.3g} … {ranked.highest:.3g}{alike}"
    )


def _is_alike(lowest: float, highest: float) -> bool:
    """Whether scores differ by so little that their order says nothing."""
    return highest - lowest <= 0.02 * max(abs(lowest), abs(highest))


def describe_states(probe: ProbeReport) -> str:
    """Say which states a program was tried in, and which never came up."""
    rows = [row for row in probe.behaviours if not row.is_policy]
    shown = [row.name for row in rows if row.name in _SHOWN]
    others = ["actuators at their ends"] if len(rows) > len(shown) else []
    tried = ", ".join(["random steps from the start", *shown, *others])
    never = [reason.partition(":")[0] for reason in probe.left_out if ":" in reason]
    scores = [row.task_score for row in rows if row.task_score is not None]
    if any(row.success_rate for row in rows):
        return f"{tried}; never: {', '.join(never)}" if never else tried
    best = f" (best task score there {max(scores):.3g})" if scores else ""
    return f"{tried}; never: {', '.join(['a success' + best, *never])}"
