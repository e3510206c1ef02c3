"""A metric for a sentence, without a model: generic metrics, by the card's roles and the numbers.

It is composed of what ``evaluation.generic`` offers, of which each judges what it says and no
more. Words of the sentence that none of them judges are listed, never passed over; where the main
one is among them there is no metric. That of another task is never taken: a sentence that reads
like a task of the card is told its name.
"""

from __future__ import annotations

import math

from reward_agent.definitions.card import EnvCard
from reward_agent.definitions.roles import describe_role
from reward_agent.definitions.task import list_tasks
from reward_agent.designers.offline.body import Body
from reward_agent.designers.offline.criteria import (
    ALMOST,
    NEEDS,
    Criterion,
    join_calls,
    list_criteria,
)
from reward_agent.designers.offline.sentence import Sentence, hint_task, list_left_out, list_words
from reward_agent.designers.offline.signals import list_missing_roles, read_scene
from reward_agent.designers.offline.words import EMPTY, Kind, read_goals
from reward_agent.designers.roles import MetricProposal, MetricWords
from reward_agent.errors import RefusalError
from reward_agent.evaluation.quantities import find_quantities

_LONGER = 1.25  # an episode, than what is asked for in s
_DONE_SHARE = 0.5  # of an episode where no time is stated: what counts as done


def compose_metric(
    card: EnvCard, description: str, previous: str | None = None
) -> MetricProposal | None:
    """Return a metric composed of generic ones; None where there is no other.

    Args:
        card: the environment.
        description: the sentence.
        previous: source of the one that another is asked for in place of: what was asked for at
            the same time comes first, then each part of it alone, the main one first.

    Raises:
        RefusalError: none of them judges what the sentence is about; the message says which words
            are not known, or which roles no field plays, and names tasks of the card.
    """
    body = Body(card)
    goals = read_goals(description, read_scene(body))
    sentence = Sentence(description, body, goals, find_quantities(description))
    parts = list_criteria(sentence)
    if not parts:
        raise RefusalError(
            f"the offline designer has no metric for {description!r}: {_describe_lack(sentence)}."
            f"{hint_task(sentence) or _list_tasks(card)}",
            "give --metric FILE with a score(episode) of your own, or use a language model",
        )
    choices = [parts, *({kind: part} for kind, part in parts.items())]
    proposals = [_describe(sentence, chosen) for chosen in choices]
    sources = [proposal.source for proposal in proposals]
    if previous is None:
        return proposals[0]
    others = proposals[sources.index(previous) + 1 :] if previous in sources else proposals
    return next((item for item in others if item.source != previous), None)


# --- what is said of it ---------------------------------------------------------------------------


def _describe(sentence: Sentence, parts: dict[Kind, Criterion]) -> MetricProposal:
    card, made = sentence.body.card, tuple(parts.values())
    source = f"score = {join_calls([part.call for part in made])}\n"
    read = ", ".join(str(goal) for goal in sentence.goals if goal.kind in parts)
    meaning = (
        f"Composed of generic metrics, by keywords and numbers: {read}. No language model has read "
        f"the sentence.{hint_task(sentence)}"
    )
    criteria = dict.fromkeys(part.words.removesuffix(".") for part in made)
    criterion = "; and ".join(criteria) + "."
    seconds = max(part.seconds for part in made)
    window_s = max(part.window_s for part in made)
    steps = math.ceil(_LONGER * (seconds + window_s) / card.control_dt)
    # What is to last so long is done then; of what may go on, a good part is asked for.
    episode_s = min(max(steps, card.max_episode_steps), 10_000) * card.control_dt
    usual_s = _DONE_SHARE * (episode_s - window_s)
    lasts = ALMOST * seconds if sentence.has("time") else max(seconds - window_s, usual_s)
    knows = {kind: part.knows for kind, part in parts.items()}
    used = [amount for part in made for amount in part.uses]
    words = MetricWords(
        meaning=meaning,
        unit=made[0].unit,
        criterion="Seconds" + criterion[1:] if criterion.startswith("s ") else criterion,
        not_measured=tuple(list_left_out(sentence, knows, used)),
        lift_termination=any(part.lifts for part in made),
        max_episode_steps=min(steps, 10_000) if steps > card.max_episode_steps else None,
        target_score=float(f"{made[0].done or lasts:.3g}"),
        is_bounded=made[0].is_bounded,
    )
    return MetricProposal(source, words=words, reply=f"{meaning}\n\n{words.criterion}\n")


def _describe_lack(sentence: Sentence) -> str:
    """Say why there is no metric: words that are not known, a kind without one, a role."""
    if not sentence.goals:
        words = [word for word in dict.fromkeys(list_words(sentence)) if word not in EMPTY]
        shown = ", ".join(map(repr, words[:10])) or "its words"
        return (
            f"it reads English keywords (walk, jump, stand, reach, push, …) and cannot measure "
            f"{shown}; use a language model (--provider)"
        )
    body, goal = sentence.body, sentence.goals[0]
    missing = list_missing_roles(body, goal)
    needs = ("heading",) if sentence.has("angle") else NEEDS.get(goal.kind, ())
    missing += [describe_role(role) for role in needs if body.card.find_quantity(role) is None]
    if missing:
        roles = "; ".join(dict.fromkeys(missing))
        return f"to judge '{goal}' no field of {body.card.name} plays {roles}"
    return f"no generic metric judges '{goal}' of {body.card.name}"


def _list_tasks(card: EnvCard) -> str:
    tasks = ", ".join(list_tasks(card))
    return f" Tasks of {card.name} that bring a metric: {tasks}" if tasks else ""
