"""Trust: what a table of behaviours and scores says against a metric, before it ranks anything.

A metric is sent back where it pays doing nothing, falling or random motion more than a little,
where its success holds for them, where nothing can move it, where nothing within the fields' ranges
succeeds, where the opposite of the sentence scores better, where one instant is enough for what is
to last, and where a number of the sentence is not in its criterion.

A sentence may ask for just that: "stand still for 5 s", "lie down". Then the start pose held, or a
robot that falls, may well be what it says; the words decide.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from reward_agent.evaluation.quantities import (
    find_counts,
    find_durations,
    find_quantities,
    list_dropped,
)
from reward_agent.records.trial import RowKind, TrialRow
from reward_agent.types import Finding, Severity

# Of the scale: what is no more than a little. Who stands has part of many poses, an arm that moves
# at random comes near things, a fall carries a robot some way.
A_LITTLE: dict[RowKind, float] = {"idle": 0.2, "random": 0.4, "falling": 0.12}
A_LITTLE_WAY = 0.25
# How long a fall takes, s, and of how much of the scale that is no more than a little.
_FALL_S, _MOST_FALL = 0.5, 0.3
# Of the scale: where a training on the metric is not to come to rest without a success.
_MUCH = 0.3
# Of random episodes: successes by luck.
_LUCKY = 0.5
_ROUNDING = 1e-6
# Of the scale: by how much the opposite has to score better.
_CLEARLY = 0.05
# Of a made success: what counts as done where the metric does not say.
_ALMOST = 0.95

_SEVERITIES: tuple[Severity, ...] = ("error", "warning", "hint")

_STILL = re.compile(
    r"\b(?:still|stand\w*|hold\w*|held|keep\w*|stay\w*|remain\w*|balanc\w*|upright|motionless|"
    r"freez\w*|frozen|rest\w*|pause|wait\w*|not move|don'?t move|without moving|do nothing|idle|"
    r"steady|quiet\w*)\b|站|不动|静止|停",
    re.IGNORECASE,
)
# What leaves the start pose: with one of these, staying there is not what is asked for.
_LEAVING = re.compile(
    r"\b(?:walk\w*|run\w*|hop\w*|jump\w*|leap\w*|trot\w*|gallop\w*|crawl\w*|march\w*|mov(?:e|ing) "
    r"(?:for|back|left|right|to|along|across)\w*|go|going|travel\w*|speed|velocity|m/s|forwards?|"
    r"backwards?|sideways|flip\w*|spin\w*|turn\w*|rotat\w*|roll\w*|rais\w+|lift\w*|bend\w*|"
    r"crouch\w*|squat\w*|kneel\w*|duck|bow|sit\w*|lean\w*|tilt\w*|wav\w+|swing\w*|"
    r"kick\w*|reach\w*|push\w*|pull\w*|open\w*|clos(?:e|ing)|pick\w*|place|grasp\w*|grab\w*|"
    r"throw\w*|catch\w*|handstand\w*|headstand\w*|tiptoe\w*|upside|inverted|one (?:leg|foot|hand)|"
    r"(?:left|right|front|back|hind|rear) (?:leg|legs|foot|feet|hand)|head down|in the air|off the|"
    r"up in|dance|climb\w*|danc\w+)\b",
    re.IGNORECASE,
)
# What a robot without forces may well do.
_FALLING = re.compile(
    r"\b(?:lie|lies|lying|lay|laid|fall\w*|collaps\w*|prone|supine|belly|sleep\w*|rest|relax\w*|"
    r"(?:go|goes|going|be|lie) limp|flat|sink\w*|let go|give way)\b|躺|趴|倒",
    re.IGNORECASE,
)
# Not that: what must not fall.
_NOT_FALLING = re.compile(
    r"\b(?:without|not|never|don'?t|no|avoid\w*)\s+(?:\w+\s+)?(?:fall\w*|collaps\w*)|"
    r"\bflat (?:ground|floor|terrain)",
    re.IGNORECASE,
)
_RANDOM = re.compile(
    r"\b(?:random\w*|wiggl\w*|shak\w+|thrash\w*|twitch\w*|flail\w*|jitter\w*|trembl\w*|squirm\w*|"
    r"struggl\w*|move around|move about|keep moving)\b",
    re.IGNORECASE,
)
_SHARE = re.compile(
    r"\b0(?:\.0)?\s*(?:to|\.\.+|-|–|…)\s*1(?:\.0)?\b|\bshares?\b|\bfraction\b", re.IGNORECASE
)
_PERCENT = re.compile(r"%|\bpercent\b|\b0\s*(?:to|\.\.+|-|–)\s*100\b", re.IGNORECASE)
_AT_MOST = re.compile(
    r"\b(?:at most|no more than|up to|never more than|capped at|(?:a )?maximum(?: of)?)\s+"
    r"([\d.]+(?:\s?[a-z]+)?)",
    re.IGNORECASE,
)
_ENGLISH = re.compile(r"\b(?:the|a|an|and|to|for|on|with|in|your|its|of|at|as|is|it)\b", re.I)


@dataclass(frozen=True)
class Asked:
    """What a metric is to measure, and what it says that it asks.

    Args:
        sentence: of the person.
        criterion: of the metric.
        unit: of its task score.
        target_score: what it calls done, where it says so.
        control_dt: s of a step.
    """

    sentence: str
    criterion: str
    unit: str
    control_dt: float
    target_score: float | None = None

    @property
    def words(self) -> str:
        """What decides what is asked for: the sentence, and the criterion where that is not ours.

        Words of a language that is not known here say nothing; the criterion then does.
        """
        is_known = _ENGLISH.search(self.sentence) or _STILL.search(self.sentence)
        return self.sentence if is_known else f"{self.sentence}; {self.criterion}"

    @property
    def share(self) -> float | None:
        """The most that a score can be that is a share of something; None for others."""
        if _PERCENT.search(self.unit):
            return 100.0
        return 1.0 if _SHARE.search(self.unit) else None

    @property
    def most(self) -> float | None:
        """The most that a score can be by the words of the metric; None where they do not say."""
        first = re.split(r"[;.](?!\d)", self.criterion)[0]
        told = [
            item.value
            for match in _AT_MOST.finditer(f"{self.unit}; {first}")
            for item in find_quantities(match[1])
            if item.what in self.kinds or (not item.what and match[1] in self.unit)
        ]
        return max(told, default=self.share)

    @property
    def full(self) -> float | None:
        """The score of all that is asked for, where it is a share or the sentence states it."""
        asked = find_quantities(self.sentence)
        return max((i.value for i in asked if i.what and i.what in self.kinds), default=self.share)

    @property
    def kinds(self) -> set[str]:
        """What the unit of the score measures: a time, a length."""
        unit = self.unit.split(",")[0].split()
        return {item.what for item in find_quantities(f"1 {unit[0]}")} if unit else set()

    def allows(self, kind: RowKind) -> bool:
        """Whether a behaviour of this kind may be just what is asked for."""
        words = _NOT_FALLING.sub(" ", self.words)
        is_falling = _FALLING.search(words) is not None
        if kind == "idle":
            return (is_falling or _STILL.search(words) is not None) and not _LEAVING.search(words)
        if kind == "falling":
            return is_falling
        return kind != "random" or _RANDOM.search(words) is not None

    def find_little(self, kind: RowKind, scale: float) -> float:
        """Return what share of the scale is no more than a little for a kind of behaviour."""
        kinds = {item.what for item in find_quantities(f"1 {self.unit}")}
        if "length" in kinds:
            return max(A_LITTLE_WAY, A_LITTLE[kind])
        if kind == "falling" and self.kinds == {"time"}:  # until then it stands
            return max(min(_FALL_S / scale, _MOST_FALL), A_LITTLE[kind])
        return A_LITTLE[kind]


def find_scale(rows: Sequence[TrialRow], asked: Asked) -> float:
    """Return the task score of the behaviour done: what is stated, else what was seen."""
    if asked.share is not None:
        return asked.share
    if asked.target_score and _is_reached(asked.target_score, rows):
        return abs(asked.target_score)
    kinds = asked.kinds
    stated = [
        abs(item.value)
        for text in (asked.sentence, asked.criterion)
        for item in find_quantities(text)
        if item.what and item.what in kinds
    ]
    done = [abs(row.task_score) for row in rows if row.success_rate > 0.5 and row.task_score]
    if stated and kinds == {"time"}:  # what is to last so long may well last longer
        return max(*stated, *done, 0.0)
    if stated:
        return max(stated)
    if done:
        return max(done)
    return max((abs(row.task_score or 0.0) for row in rows), default=0.0)


def choose_target(rows: Sequence[TrialRow], asked: Asked) -> float | None:
    """Return what is to count as done: what is stated, where a made success reaches it.

    Else, where scores have an end that is known, a little less than a made success has; None where
    more is better without one.
    """
    if asked.target_score is not None and _is_reached(asked.target_score, rows):
        return asked.target_score
    stated = find_durations(asked.sentence) if asked.kinds == {"time"} else ()
    end = max(stated, default=None) if asked.share is None else asked.share
    most = max(_list_made(rows), default=0.0)
    return _ALMOST * min(end, most) if end is not None and most > 0 else None


def _list_made(rows: Sequence[TrialRow]) -> list[float]:
    """Return the scores of the successes that were made within the fields' ranges."""
    made = [row for row in rows if row.kind == "made" and row.success_rate > 0]
    return [row.task_score for row in made if row.task_score is not None]


def _is_reached(target: float, rows: Sequence[TrialRow]) -> bool:
    """Whether a made success reaches a score; where none could be made, nobody knows."""
    made = _list_made(rows)
    return not made or max(made) >= target - _ROUNDING


def judge_table(rows: Sequence[TrialRow], asked: Asked) -> tuple[Finding, ...]:
    """Return what a table says against a metric; errors first."""
    scale = find_scale(rows, asked)
    found = [*_find_unmoved(rows)]
    if not found:
        found += [*_find_idle(rows, asked, scale), *_find_order(rows, asked, scale)]
        found += [*_find_wrong_ways(rows, scale), *_find_unreachable(rows, asked)]
        found += [*_find_instants(rows, asked), *_find_empty_climb(rows, scale)]
        found += [*_find_unbounded(rows, asked), *_find_full_scores(rows, asked)]
        found += [*_find_empty_plateau(rows, scale), *_find_conflicts(rows)]
        found += _find_missed_target(rows, asked)
    found += _find_dropped(asked)
    return tuple(sorted(found, key=lambda finding: _SEVERITIES.index(finding.severity)))


def _say(rule: str, message: str, remedy: str, severity: Severity = "error") -> Finding:
    return Finding(rule=f"metric/{rule}", severity=severity, message=message, remedy=remedy)


def _describe(row: TrialRow) -> str:
    score = "none" if row.task_score is None else f"{row.task_score:.3g}"
    success = f", success in {row.success_rate:.0%} of episodes" if row.success_rate else ""
    return f"{row.behaviour!r} scores {score}{success}"


def _find_unmoved(rows: Sequence[TrialRow]) -> Iterator[Finding]:
    told = {(row.task_score, row.success_rate) for row in rows}
    # Where the parts differ, it looks at what the robot does, and none of this was it.
    parts = {tuple(sorted(row.parts.items())) for row in rows}
    if len(rows) > 1 and len(told) == len(parts) == 1:
        yield _say(
            "constant",
            f"every behaviour scores the same, with the same parts: {_describe(rows[0])}",
            "compute the score from what the episode does",
        )


def _find_idle(rows: Sequence[TrialRow], asked: Asked, scale: float) -> Iterator[Finding]:
    for row in rows:
        if row.kind not in ("idle", "random", "falling") or asked.allows(row.kind):
            continue
        lucky = _LUCKY if row.kind == "random" else 0.0
        share = _find_typical(row) / scale if scale else 0.0
        if row.success_rate > lucky:
            yield _say(
                f"succeeds-{row.kind}",
                f"{_describe(row)}; the sentence does not ask for that",
                "let success hold only for what the sentence says",
            )
        elif share > asked.find_little(row.kind, scale):
            yield _say(
                f"pays-{row.kind}",
                f"{_describe(row)}{_describe_typical(row)}: {share:.0%} of {scale:.3g}, what the "
                "behaviour done scores",
                "pay nothing for what a robot does that does not try: multiply by what the "
                "sentence asks for, or measure from the start state on",
            )


def _find_typical(row: TrialRow) -> float:
    """Return the score that counts: of random episodes what none is without, of falls the best.

    Chance may bring one to its target, and each falls another way.
    """
    chosen = {"random": row.least, "falling": row.most}.get(row.kind)
    return row.task_score or 0.0 if chosen is None else chosen


def _describe_typical(row: TrialRow) -> str:
    typical = _find_typical(row)
    if row.task_score is None or abs(typical - row.task_score) < _ROUNDING:
        return ""
    words = "at least" if row.kind == "random" else "at most"
    return f" ({words} {typical:.3g})"


def _find_order(rows: Sequence[TrialRow], asked: Asked, scale: float) -> Iterator[Finding]:
    done = [row for row in rows if row.success_rate > 0.5 and row.kind in ("made", "policy")]
    best = max((row.task_score or 0.0 for row in done), default=None)
    if best is None:
        return
    for row in rows:
        is_idle = row.kind in ("idle", "random", "falling") and row.success_rate == 0
        if is_idle and (row.task_score or 0.0) > best + _CLEARLY * scale:
            yield _say(
                "order",
                f"{_describe(row)}, more than a success: {_describe(done[0])}",
                "more is better: turn the sign of the score, or bound it by what is asked",
            )
            return


def _find_wrong_ways(rows: Sequence[TrialRow], scale: float) -> Iterator[Finding]:
    for right, wrong in pairwise(rows):
        if (right.kind, wrong.kind) != ("right way", "wrong way"):
            continue
        gain = (wrong.task_score or 0.0) - (right.task_score or 0.0)
        is_better = wrong.success_rate >= right.success_rate and gain > _CLEARLY * scale
        if is_better or wrong.success_rate > right.success_rate:
            yield _say(
                "wrong-way",
                f"{_describe(wrong)}, {_describe(right)}: the sentence says the second",
                "turn the sign round; the environment's text says which way is positive",
            )


def _find_unreachable(rows: Sequence[TrialRow], asked: Asked) -> Iterator[Finding]:
    if any(row.success_rate > 0 for row in rows if row.kind != "beyond"):
        return
    length_s = max((row.length_s for row in rows if row.kind == "made"), default=0.0)
    asked_s = max(find_durations(asked.sentence), default=0.0)
    if asked_s > length_s > 0:
        yield _say(
            "short-episodes",
            f"the sentence asks for {asked_s:g} s, and an episode lasts {length_s:g} s",
            f"let max_episode_steps be more than {math.ceil(asked_s / asked.control_dt)}",
        )
        return
    for row in rows:
        if row.kind == "beyond" and row.success_rate > 0:
            yield _say(
                "unreachable",
                "no behaviour succeeds, and nothing that was made within the fields' ranges; it "
                f"takes {row.behaviour}, far beyond them",
                "compare each threshold with the range and unit of its field: radians, metres, "
                "seconds",
            )
            return
    made = [row for row in rows if row.kind == "made"]
    nearest = f" (the nearest: {_describe(made[0])})" if made else ""
    yield _say(
        "no-success",
        "nobody has seen a success yet: no behaviour has one, and no episode that was made with "
        f"the metric's own numbers{nearest}. What takes several things in order, as a leap or a "
        "flip does, is not made so; but success may be out of reach as well. If a round of "
        "trainings has none either, the metric is examined again",
        "see that all conditions of success can hold at once, and in which unit each field is",
        "hint",
    )


def _find_unbounded(rows: Sequence[TrialRow], asked: Asked) -> Iterator[Finding]:
    """Find a score beyond what the metric's own words call the most."""
    most = asked.most
    for row in rows:
        is_made = row.kind in ("made", "beyond", "instant")  # maybe of what cannot be
        if most is not None and not is_made and (row.task_score or 0.0) > (1 + _CLEARLY) * most:
            yield _say(
                "unbounded",
                f"{_describe(row)}; by its own words a score is {most:g} at most",
                "bound the score by that, or do not say it",
                "warning",
            )
            return


def _find_full_scores(rows: Sequence[TrialRow], asked: Asked) -> Iterator[Finding]:
    """Find a full score that is no success, where nothing is one."""
    full = asked.full
    if full is None or any(row.success_rate > 0 for row in rows):
        return
    for row in rows:
        if row.kind == "made" and (row.task_score or 0.0) > (1 - _CLEARLY) * full:
            yield _say(
                "never",
                f"{_describe(row)}, all of {full:g}, and is no success; nothing else is one",
                "let success hold where the score is full, or score what is missing for it",
                "warning",
            )
            return


def _find_missed_target(rows: Sequence[TrialRow], asked: Asked) -> Iterator[Finding]:
    if asked.target_score is not None and not _is_reached(asked.target_score, rows):
        yield _say(
            "target",
            f"a success that was made scores {max(_list_made(rows)):.3g} at most; that is below "
            f"the target_score, {asked.target_score:.3g}, so nothing would ever be done",
            "give the score of a success as target_score, in the unit of the task score",
            "warning",
        )


def _find_instants(rows: Sequence[TrialRow], asked: Asked) -> Iterator[Finding]:
    times, counts = find_durations(asked.sentence), find_counts(asked.sentence)
    row = next((row for row in rows if row.kind == "instant" and row.success_rate > 0), None)
    if row is not None and times:
        asks = f"the sentence asks for {max(times):g} s"
        yield _say("instant", f"{_describe(row)}; {asks}", "require it without a break so long")
    elif row is not None and counts:
        yield _say(
            "flicker",
            f"{_describe(row)}; a limb or a robot that trembles does it {max(counts):g} times",
            "count only what lasts, as 0.1 s on the floor and then 0.1 s in the air",
        )


def _find_empty_climb(rows: Sequence[TrialRow], scale: float) -> Iterator[Finding]:
    """Find a policy that was trained on the metric and has most of the score, without success."""
    for row in rows:
        share = (row.task_score or 0.0) / scale if scale else 0.0
        is_stuck = row.is_flat and row.success_rate == 0
        if row.kind == "adversary" and is_stuck and share > _MUCH:
            yield _say(
                "empty-climb",
                f"{_describe(row)}: {share:.0%} of {scale:.3g} without a success, and no longer "
                "rising. Parts: "
                + ", ".join(f"{name} {value:.3g}" for name, value in row.parts.items()),
                "what leads to a success has to pay more than what does not; see by the parts "
                "what it was paid for",
            )
            return


def _find_empty_plateau(rows: Sequence[TrialRow], scale: float) -> Iterator[Finding]:
    """Find the best trained policy where it has most of the score, without success."""
    policies = [row for row in rows if row.kind == "policy" and row.task_score is not None]
    best = max(policies, key=lambda row: row.task_score or 0.0, default=None)
    share = (best.task_score or 0.0) / scale if best and scale else 0.0
    if best and share > _MUCH and not any(row.success_rate for row in policies):
        parts = ", ".join(f"{name} {value:.3g}" for name, value in best.parts.items())
        yield _say(
            "empty-plateau",
            f"{_describe(best)}: {share:.0%} of {scale:.3g} without a success. Parts: {parts}",
            "see in its film whether it does what the sentence says; what is missing for a "
            "success has to pay more than what it does",
            "warning",
        )


def _find_conflicts(rows: Sequence[TrialRow]) -> Iterator[Finding]:
    for row in rows:
        if row.conflict:
            yield _say(
                "judged",
                f"the film of {row.behaviour!r}: {row.conflict}",
                "watch the film, and see which of the two is right",
                "warning",
            )


def _find_dropped(asked: Asked) -> Iterator[Finding]:
    for item in list_dropped(asked.sentence, asked.criterion, asked.control_dt):
        yield _say(
            "dropped",
            f"the sentence says {item.text!r}, the criterion does not",
            "measure it, and state it with its number and unit in the criterion",
            "warning",
        )


def render_table(rows: Sequence[TrialRow]) -> str:
    """Return the rows as a table in Markdown, for a person and for a model."""
    lines = ["| behaviour | score | success | parts |", "|---|---|---|---|"]
    for row in rows:
        score = "–" if row.task_score is None else f"{row.task_score:.3g}"
        parts = ", ".join(f"{name} {value:.3g}" for name, value in row.parts.items())
        name = row.title.replace("|", "/")
        lines.append(f"| {name} | {score} | {row.success_rate:.0%} | {parts.replace('|', '/')} |")
    judged = [
        f"{row.title}: a model that watched its film says {row.judged}"
        for row in rows
        if row.judged
    ]
    return "\n".join([*lines, *([""] if judged else []), *judged])
