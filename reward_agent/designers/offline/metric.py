"""A metric for a sentence: that of the nearest task of the environment, by its words."""

from __future__ import annotations

import re

from reward_agent.definitions.card import EnvCard
from reward_agent.definitions.task import TaskSpec, list_tasks, load_task, read_task_metric
from reward_agent.designers.offline.words import read_goals
from reward_agent.designers.roles import MetricProposal
from reward_agent.errors import RefusalError
from reward_agent.rewards.checks import check_metric

_IMPORT = re.compile(r"^(?:import|from) .*\n", re.MULTILINE)


def adapt_metric(card: EnvCard, description: str) -> MetricProposal:
    """Return the metric of the task whose goals and words are nearest.

    Raises:
        RefusalError: no task of the environment is about the same, and the message lists them; or
            the nearest one has a metric beyond the language of proposed ones.
    """
    tasks = [load_task(card, name) for name in list_tasks(card)]
    ranked = sorted(tasks, key=lambda task: -measure_likeness(description, task))
    if not ranked or measure_likeness(description, ranked[0]) < 1.0:
        known = "; ".join(f"{task.name}: {task.description}" for task in tasks) or "no task"
        raise RefusalError(
            f"the offline designer has no metric for {description!r}; of {card.name} it knows: "
            f"{known}",
            "give --metric FILE with a score(episode) of your own, or use a language model",
        )
    task = ranked[0]
    source = _IMPORT.sub("", read_task_metric(card, task) or "").strip() + "\n"
    # A metric that a person wrote may use all of Python; a proposed one is generated code.
    if not check_metric(source, card).is_accepted:
        raise RefusalError(
            f"the nearest task of {card.name} is {task.name!r}, whose metric says more than "
            f"a proposed one may: ask for --task {task.name}",
            "or give --metric FILE with a score(episode) of your own",
        )
    return _describe(card, task, source)


def measure_likeness(description: str, task: TaskSpec) -> float:
    """Return 1 for the same main goal in the same direction, plus the share of common words."""
    asked, known = read_goals(description), read_goals(task.description)
    if not asked or not known:
        return 0.0
    first, other = asked[0], known[0]
    is_same = first.kind == other.kind and first.direction == other.direction
    words, theirs = _split(description), _split(f"{task.name} {task.description}")
    return float(is_same and first.axis == other.axis) + len(words & theirs) / max(1, len(words))


def _split(text: str) -> set[str]:
    return set(re.findall(r"[a-z]{3,}", text.lower().replace("_", " ")))


def _describe(card: EnvCard, task: TaskSpec, source: str) -> MetricProposal:
    return MetricProposal(
        source,
        meaning=f"The metric of the task {task.name!r} ({task.description}), which a person "
        "wrote; nearest to the sentence by its keywords. No language model has read the sentence.",
        unit=task.unit or "1",
        criterion=task.criterion or task.description,
        lift_termination=task.termination == (),
        max_episode_steps=task.max_episode_steps,
        reply=f"No language model: the nearest task of {card.name} by its words is "
        f"`{task.name}`; this is its metric.\n",
    )
