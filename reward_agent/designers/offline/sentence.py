"""A sentence that a metric is asked for: its words, which none judges, and the task it is like."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from reward_agent.definitions.card import EnvCard
from reward_agent.definitions.task import find_namesake, list_tasks, load_task
from reward_agent.designers.offline.body import Body
from reward_agent.designers.offline.words import (
    COUNTS,
    EMPTY,
    GAITS,
    JUDGED,
    KEYWORDS,
    Goal,
    Kind,
    pick_clauses,
    read_goals,
    stem,
)
from reward_agent.evaluation.quantities import Amount, find_quantities, find_span

_LIKE = 0.5  # of the words, where the main goal is the same


@dataclass(frozen=True)
class Sentence:
    """A sentence as it is read: for a robot, its goals, and quantities that are still to judge."""

    text: str
    body: Body
    goals: tuple[Goal, ...]
    quantities: tuple[Amount, ...]

    def find(self, what: str, otherwise: float) -> float:
        """Return the first quantity of a kind, in the unit of the fields."""
        return next((item.value for item in self.quantities if item.what == what), otherwise)

    def span(self, *kinds: str) -> tuple[Amount, ...]:
        """Return the first quantity of some kinds, with the other end where it is a range."""
        return find_span(self.quantities, kinds)

    def first(self, *kinds: str) -> tuple[Amount, ...]:
        """Return the first quantity of some kinds, if there is one."""
        return self.span(*kinds)[:1]

    def has(self, what: str) -> bool:
        """Whether a quantity of this kind is stated."""
        return any(item.what == what for item in self.quantities)

    def of(self, goal: Goal) -> Sentence:
        """Return it with the quantities that are said of a goal; times hold for all."""
        own = find_quantities(
            pick_clauses(goal.kind, [each.kind for each in self.goals], self.text)
        )
        kept = (item for item in self.quantities if item.what == "time" or item in own)
        return replace(self, quantities=tuple(kept))

    def without(self, used: Collection[Amount]) -> Sentence:
        """Return it without the quantities that a part of a metric judges; times hold for all."""
        left = (item for item in self.quantities if item.what == "time" or item not in used)
        return replace(self, quantities=tuple(left))


def list_left_out(
    sentence: Sentence, knows: Mapping[Kind, frozenset[str]], used: Collection[Amount]
) -> Iterator[str]:
    """Yield the words and quantities of a sentence that no part of a metric judges.

    Args:
        sentence: as it is read.
        knows: by the kind of each part, words that it judges beside those of its kind.
        used: quantities that the parts took their numbers from.
    """
    card, known = sentence.body.card, set(EMPTY)
    known |= {*re.findall(r"[a-z]+", f"{card.name} {card.title}".lower())}
    known |= {"between"} if any(item.low is not None for item in used) else set()
    for kind, own_words in knows.items():
        known |= {*KEYWORDS.get(kind, "").split()} | JUDGED.get(kind, frozenset()) | own_words
    if "travel" in knows:
        own = {"hop", "hops"} if len(sentence.body.foot_contacts) == 1 else set()
        known -= GAITS - own - (set() if sentence.body.foot_contacts else {"swim", "swims"})
    for word in dict.fromkeys(list_words(sentence)):
        if not {word, stem(word)} & known:
            yield word
    yield from (item.text for item in sentence.quantities if item not in used)


def list_words(sentence: Sentence) -> Iterator[str]:
    """Yield the words that are no part of a quantity, in any script."""
    text = unicodedata.normalize("NFKC", sentence.text.lower())
    text = re.sub(r"(?<!\w)'[^']*'(?!\w)", " ", text)  # what something is called
    for item in sentence.quantities:  # "km/h" is no word
        text = text.replace(item.text.lower(), " ")
    for word in re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)?", text):
        is_unit = any(item.what for item in find_quantities(f"on 1 {word}"))
        if not is_unit and not find_quantities(f"{word} times") and word not in COUNTS:
            yield word


def hint_task(sentence: Sentence) -> str:
    """Return a sentence on the card's task that a description reads like, or nothing."""
    card = sentence.body.card
    name = find_namesake(card, sentence.text)
    if name is None:
        likeness = {task: _measure_likeness(sentence.text, card, task) for task in list_tasks(card)}
        name = max(likeness, key=lambda task: likeness[task], default="")
        if likeness.get(name, 0.0) < _LIKE:
            return ""
    return f" It reads like the card's task {name!r}: --task {name} has a metric of its own."


def _measure_likeness(description: str, card: EnvCard, name: str) -> float:
    """Return how alike the words are, and those of the name; 0 for another main goal."""
    task = load_task(card, name)
    asked, known = read_goals(description), read_goals(task.description)
    if not asked or not known:
        return 0.0
    facts = [(goal.kind, goal.direction, goal.axis, goal.speed) for goal in (asked[0], known[0])]
    words, called, theirs = (
        set(re.findall(r"[a-z]{3,}", text.lower().replace("_", " "))) - EMPTY
        for text in (description, name, f"{name} {task.description}")
    )
    share, named = (
        len(words & theirs) / max(1, len(words)),
        len(words & called) / max(1, len(called)),
    )
    return share + named if facts[0] == facts[1] else 0.0
