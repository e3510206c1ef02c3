"""What a program chooses beside its reward: how a policy learns from it.

``TRAINING`` is a dictionary of literals at module level. It is read from the text, never run, and
only a training sees it: episodes that are scored are the card's own.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reward_agent.definitions.card import EnvCard
from reward_agent.definitions.learner import LEARNERS, Bounds, LearnerKind
from reward_agent.rewards.source import parse_source
from reward_agent.text import clean_text

TRAINING_NAME = "TRAINING"
# An episode of the training may be this many times as long as one that is scored.
_MOST_EPISODE_LENGTHS = 4
_LEAST_EPISODE_STEPS = 10
# Of actions that are numbers, not choices.
_OF_NUMBERS = ("log_std_init", "std_hold_share", "noise_correlation", "noise_std")
ALGO, EPISODE_STEPS = "algo", "episode_steps"


@dataclass(frozen=True)
class TrainingChoices:
    """How a program wants its policy to be trained; by default as the card says.

    Args:
        algo: the learner.
        episode_steps: most control steps of an episode.
        values: the learner's hyper-parameters by name.
    """

    algo: str | None = None
    episode_steps: int | None = None
    values: Mapping[str, Any] = field(default_factory=dict)

    def apply(self, card: EnvCard, algo: str | None = None) -> EnvCard:
        """Return the card that a policy is trained on.

        Args:
            card: the environment, with the learner that it or a person chose.
            algo: the learner that a person chose, if one did: theirs it stays, with what the
                program says of hyper-parameters as far as it has them.
        """
        if algo is None:
            card = card.choose_learner(self.algo)
        changes: dict[str, Any] = {"learner": card.learner.choose(self.values)}
        if self.episode_steps is not None:
            changes["max_episode_steps"] = self.episode_steps
        return card.model_copy(update=changes)

    def drop_shape(self) -> TrainingChoices:
        """Return what is left of them for a policy that there is already."""
        kept = {name: value for name, value in self.values.items() if name != "net_arch"}
        return TrainingChoices(None, self.episode_steps, kept)

    def __str__(self) -> str:
        chosen = {ALGO: self.algo, EPISODE_STEPS: self.episode_steps, **self.values}
        told = [f"{name} {value}" for name, value in chosen.items() if value is not None]
        return clean_text(", ".join(told))


def read_choices(source: str) -> TrainingChoices:
    """Read what a program chooses; of one that was not checked, what can be read."""
    parsed = parse_source(source).source
    node = find_table(parsed.tree) if parsed is not None else None
    try:
        given = dict(ast.literal_eval(node)) if node is not None else {}
    except (ValueError, TypeError):
        given = {}
    algo, steps = given.pop(ALGO, None), given.pop(EPISODE_STEPS, None)
    return TrainingChoices(algo, steps, given)


def find_table(tree: ast.Module) -> ast.expr | None:
    """Return what ``TRAINING`` is set to at module level, if it is."""
    for statement in tree.body:
        if isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = getattr(statement, "targets", [getattr(statement, "target", None)])
            if any(isinstance(t, ast.Name) and t.id == TRAINING_NAME for t in targets):
                return statement.value
    return None


def list_choices(card: EnvCard, kind: LearnerKind) -> dict[str, Bounds]:
    """Return what may be chosen beside the learner, by name."""
    most = _MOST_EPISODE_LENGTHS * card.max_episode_steps
    steps = Bounds(_LEAST_EPISODE_STEPS, most, "most control steps of an episode in training")
    absent = _OF_NUMBERS if card.choices else ()
    known = {name: bounds for name, bounds in kind.tunable.items() if name not in absent}
    return {EPISODE_STEPS: steps, **known}


def describe_choices(card: EnvCard, algo: str | None = None) -> str:
    """Return what may be chosen as a table for a model, after the learner of a person's choice."""
    kind = card.learner.kind
    rows = [
        (name, f"{c.low:g} to {c.high:g}" + (f", 1 to {c.most} of them" if c.most else ""), c.help)
        for name, c in list_choices(card, kind).items()
    ]
    if algo is None:
        others = ", ".join(f"`{name}`" for name in list_learners(card))
        rows.insert(0, (ALGO, others, f"the learner, {card.learner.algo} here; sb3: ones are slow"))
    table = "\n".join(f"| `{name}` | {span} | {help} |" for name, span, help in rows)
    return f"| name | range | what it does |\n|---|---|---|\n{table}"


def list_learners(card: EnvCard) -> list[str]:
    """Return the learners that a program may choose: ours, as far as they can be used here."""
    return [
        row.name
        for row in LEARNERS.own
        if not row.missing and (row.takes_choices or not card.choices)
    ]
