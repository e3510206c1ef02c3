"""A metric for a sentence: that of the nearest task of the environment, by its words."""

from __future__ import annotations

import json
import re

from reward_agent.definitions.card import EnvCard
from reward_agent.definitions.task import TaskSpec, list_tasks, load_task, read_task_metric
from reward_agent.designers.offline.words import read_goals
from reward_agent.designers.reply import parse_code
from reward_agent.errors import RefusalError
from reward_agent.rewards.checks import check_metric
from reward_agent.rewards.language import METRIC_ENTRY

_IMPORT = re.compile(r"^(?:import|from) .*\n", re.MULTILINE)


def reply_with_metric(card: EnvCard, description: str) -> str:
    """Return a reply that holds the metric of the task whose goals and words are nearest.

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
    reply = _render(card, ranked[0])
    # A metric that a person wrote may use all of Python; a proposed one is generated code.
    source = parse_code(reply, METRIC_ENTRY).source
    if source is None or not check_metric(source, card).is_accepted:
        raise RefusalError(
            f"the nearest task of {card.name} is {ranked[0].name!r}, whose metric says more than "
            f"a proposed one may: ask for --task {ranked[0].name}",
            "or give --metric FILE with a score(episode) of your own",
        )
    return reply


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


def _render(card: EnvCard, task: TaskSpec) -> str:
    source = read_task_metric(card, task) or ""
    words = {
        "meaning": f"The metric of the task {task.name!r} ({task.description}), which a person "
        "wrote; nearest to the sentence by its keywords. No language model has read the sentence.",
        "unit": task.unit or "1",
        "criterion": task.criterion or task.description,
        "lift_termination": task.termination == (),
        "max_episode_steps": task.max_episode_steps,
    }
    code = _IMPORT.sub("", source).strip()
    return (
        f"No language model: the nearest task of {card.name} by its words is `{task.name}`; "
        f"this is its metric.\n\n```json\n{json.dumps(words, indent=2)}\n```\n\n"
        f"```python\n{code}\n```\n"
    )
