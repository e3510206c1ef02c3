"""What exploration met, beside what policies keep of it: is it to explore more, or to pay better?

What was never seen no pay can teach; what was seen and is not done at the end was not paid well
enough; what is done at one point and not at the next was found, and is lost by how it is learned.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from reward_agent.definitions.card import EnvCard
from reward_agent.errors import DataError
from reward_agent.evaluation.metrics import Episode, MetricFunction, find_metric_fields
from reward_agent.records.exploration import Exploration, Lack, PartSeen
from reward_agent.summary.course import count_score_gain, estimate_score_noise
from reward_agent.summary.diagnostics import Case
from reward_agent.summary.motions import MOTION_ROLES, list_motions, render_motions
from reward_agent.text import format_number, format_steps, render_table
from reward_agent.types import Evaluation, Score

SCORE = "task_score"
# Of a training: what is its beginning, and its end.
_ENDS = 0.1
# Of the way from the beginning to the furthest: who is near it, and what a policy keeps of it.
_NEAR, _KEPT = 0.1, 0.7
# Of what is missing to the target: what episodes of the training came nearer by counts as seen.
_COUNTS, _LEAST_SEEN = 0.2, 3
# Of the scores' deviation: a smaller difference is none.
_EFFECT = 0.2
# Of the target: from there on a policy is said to do something that it may lose again.
_DOES = 0.5
_MOST_PARTS, _TOLD_PARTS = 39, 8
LACKS: dict[Lack, str] = {
    "never seen": "No pay can teach what never happens: explore more, begin nearer to it, or look "
    "further ahead, before the reward is blamed",
    "not kept": "The training saw what no policy of it does: that is the reward's, pay it better",
    "unsteady": "It was found and is lost again: a learning rate that falls, or longer training",
    "nothing": "What was seen is kept",
}


def list_recorded(card: EnvCard, metric_source: str | None) -> tuple[str, ...]:
    """Return the fields that are to be recorded of a training's episodes; none without a metric."""
    if metric_source is None:
        return ()
    read = find_metric_fields(metric_source, card)
    return tuple(
        field.name
        for field in card.fields
        if read is None or field.name in read or field.plays[0] in MOTION_ROLES
    )


def explore(
    card: EnvCard, metric: MetricFunction, episodes: Sequence[Episode], steps: NDArray[np.int64]
) -> Exploration:
    """Return what a metric says of recorded episodes of a training. Child side.

    Args:
        card: the environment.
        metric: what scores them.
        episodes: at least one step each.
        steps: (E,), env steps of the training at the end of each.

    Raises:
        DataError: there is none, or the metric fails.
    """
    if not episodes:
        raise DataError("no episode of the training was recorded")
    scores = [metric(episode) for episode in episodes]
    best = max(range(len(scores)), key=lambda i: scores[i].task_score)
    columns = _list_columns(scores)
    parts = {
        name: _measure(name, values, columns[SCORE], steps)
        for name, values in columns.items()
        if name == SCORE or np.ptp(values) > 1e-9
    }
    succeeded = steps[[score.success for score in scores]]
    return Exploration(
        n_episodes=len(scores),
        n_successes=len(succeeded),
        success_steps=(int(succeeded.min()), int(succeeded.max())) if len(succeeded) else None,
        parts=tuple(parts.values()),
        constant={name: v[0] for name, v in columns.items() if name not in parts},
        motions=list_motions(card, episodes[best]),
    )


def _list_columns(scores: Sequence[Score]) -> dict[str, NDArray[np.float64]]:
    """Return the score and its parts (E,); a part that an episode has not is not told."""
    names = [name for name in scores[0].parts if all(name in s.parts for s in scores)]
    columns = {SCORE: np.array([score.task_score for score in scores])}
    return columns | {n: np.array([s.parts[n] for s in scores]) for n in names[:_MOST_PARTS]}


def _measure(
    name: str, values: NDArray[np.float64], score: NDArray[np.float64], steps: NDArray[np.int64]
) -> PartSeen:
    direction = 1 if name == SCORE else _find_direction(values, score)
    ends = (float(values.max()), float(values.min()))
    furthest, opposite = ends if direction >= 0 else ends[::-1]
    begin = values[steps <= _ENDS * steps.max()]
    at_first = float(np.mean(begin if len(begin) else values[:1]))
    is_near = np.abs(values - furthest) <= _NEAR * abs(furthest - at_first)
    return PartSeen(
        name=name,
        direction=direction,
        furthest=furthest,
        opposite=opposite,
        n_near=int(is_near.sum()),
        near_steps=(int(steps[is_near].min()), int(steps[is_near].max())),
        at_first=at_first,
        at_last=float(np.mean(values[steps > (1 - _ENDS) * steps.max()])),
    )


def _find_direction(values: NDArray[np.float64], score: NDArray[np.float64]) -> int:
    """Return which way a part goes where the score is higher; 0 where that is not known.

    Episodes on the two sides of its middle are compared: a thing that happened three times in two
    thousand episodes has no correlation to speak of.
    """
    is_high = values > (values.max() + values.min()) / 2
    difference = float(score[is_high].mean() - score[~is_high].mean())
    chance = float(np.sqrt(1 / is_high.sum() + 1 / (~is_high).sum()))
    is_real = abs(difference) > max(_EFFECT, 3 * chance) * score.std()
    return int(np.sign(difference)) if is_real else 0


def find_lack(case: Case, seen: Exploration | None) -> Lack | None:
    """Return what stands between a training and its task; None while it climbs, or if unknown."""
    scores = [point.task_score for point in case.course if point.task_score is not None]
    best, target = case.best.task_score, case.target_score
    if len(scores) < 2 or best is None:
        return None
    top = max(*scores, best)
    is_lost = top > 0 and scores[-1] < _KEPT * top
    if is_lost and (case.is_solved or target is None or top >= _DOES * target):
        return "unsteady"
    if case.is_solved:
        return "nothing"
    if seen is None or _climbs(case):
        return None
    furthest = seen.parts[0]
    goal = furthest.furthest if target is None else target
    nearer = furthest.furthest - max(top, furthest.at_first)
    least = max(_COUNTS * (goal - furthest.at_first), estimate_score_noise(case.course, target))
    if nearer > least and furthest.n_near >= _LEAST_SEEN:
        return "not kept"
    return "never seen" if target is not None else None


def _climbs(case: Case) -> bool:
    """Return whether the score still rises over the second half of a training."""
    gain = count_score_gain(case.course[len(case.course) // 2 :])
    return gain is not None and gain > estimate_score_noise(case.course, case.target_score)


def render_exploration(seen: Exploration, best: Evaluation, lack: Lack | None) -> str:
    """Return what exploration met: a row for each part of the score, beside the best policy."""
    # A part that does not go with the score tells nothing of the way, unless nothing else does.
    shown = [part for part in seen.parts if part.direction]
    shown = shown if len(shown) > 1 else list(seen.parts)
    does = {SCORE: best.task_score, **best.parts}
    header = ["", "at first", "furthest", "episodes near it", "at last", "best policy", ""]
    rows = [_list_cells(part, does.get(part.name)) for part in shown[:_TOLD_PARTS]]
    lines = [
        f"What exploration met ({seen.n_episodes} episodes of the training, noise and all, scored "
        f"afterwards; successes: {_tell_successes(seen)}):",
        render_table(header, rows),
    ]
    if seen.constant:
        told = [f"{name} {format_number(value)}" for name, value in seen.constant.items()]
        lines.append(f"the same in all: {', '.join(told)}")
    if seen.motions:
        lines.append(f"the one that scored most:\n{render_motions(seen.motions)}")
    if lack is not None:
        lines.append(f"So: {lack}. {LACKS[lack]}.")
    return "\n".join(lines)


def tell_exploration(seen: Exploration, lack: Lack | None) -> str:
    """Return in a line how far a training came."""
    score = seen.parts[0]
    told = f"the best of {seen.n_episodes} episodes scores {format_number(score.furthest)}"
    told += f" ({format_steps(score.near_steps[0])} steps); successes: {_tell_successes(seen)}"
    return f"{told}; {lack}" if lack and lack != "nothing" else told


def _list_cells(part: PartSeen, does: float | None) -> list[str]:
    low, high = map(format_steps, part.near_steps)
    ends = f"{part.n_near}, {low} to {high} steps" if part.n_near > 1 else f"1, at {low} steps"
    return [
        part.name,
        format_number(part.at_first),
        format_number(part.furthest) if part.direction else _tell_range(part),
        ends,
        format_number(part.at_last),
        format_number(does),
        _tell_kept(part, does),
    ]


def _tell_range(part: PartSeen) -> str:
    return f"{format_number(part.opposite)} to {format_number(part.furthest)}"


def _tell_kept(part: PartSeen, does: float | None) -> str:
    """Say how much of the way to the furthest a policy keeps."""
    way = part.furthest - part.at_first
    if does is None or not way or not part.direction:
        return ""
    share = (does - part.at_first) / way
    return "kept" if share >= _KEPT else "not kept" if share < 1 - _KEPT else "kept in part"


def _tell_successes(seen: Exploration) -> str:
    if seen.success_steps is None:
        return "none"
    first, last = map(format_steps, seen.success_steps)
    return f"{seen.n_successes}, {first} to {last} steps"
