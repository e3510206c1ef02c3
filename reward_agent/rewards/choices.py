"""What a program chooses beside its reward: how a policy learns from it, and where it starts.

``TRAINING`` is a dictionary of literals at module level, ``STARTS`` a list of them; ``STAGES`` are
names of what an episode goes through, in order. They are read from the text, never run; a function
``starts`` is run where the reward is. Only a training sees them: episodes that are scored are the
card's own.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from reward_agent.definitions.card import EnvCard
from reward_agent.definitions.learner import LEARNERS, LearnerKind, Tunable
from reward_agent.definitions.sources import is_settable
from reward_agent.definitions.sources import parse_source as parse_field_source
from reward_agent.definitions.start import DRAWN, TrainingStart
from reward_agent.rewards.language import STARTS_ENTRY, STARTS_PARAMETERS
from reward_agent.rewards.source import parse_source
from reward_agent.text import clean_text
from reward_agent.types import MOST_STAGES

TRAINING_NAME, STARTS_NAME, STAGES_NAME = "TRAINING", "STARTS", "STAGES"
SHARE, UNTIL, FROM, EARNS = "share", "until", "from", "earns"
# Of a function ``starts`` that no entry of ``STARTS`` names.
DRAWN_START = TrainingStart(share=0.5, until=0.6, origin=DRAWN)
# An episode of the training may be this many times as long as one that is scored.
_MOST_EPISODE_LENGTHS = 4
_LEAST_EPISODE_STEPS = 10
# Of actions that are numbers, not choices.
_OF_NUMBERS = ("log_std_init", "std_hold_share", "noise_correlation", "noise_std")
_OF_STAGES = (
    "the same while the first, the second, … of `STAGES` is practised: until half of the episodes "
    "come past it"
)
ALGO, EPISODE_STEPS, STAGE_STEPS = "algo", "episode_steps", "stage_steps"


@dataclass(frozen=True)
class TrainingChoices:
    """How a program wants its policy to be trained; by default as the card says.

    Args:
        algo: the learner.
        episode_steps: most control steps of an episode.
        values: the learner's hyper-parameters by name.
        starts: where a falling share of the training's episodes begins.
        stages: names of what an episode goes through, in order.
        stage_steps: most control steps of an episode while the first, second, … is practised.
        draws: text of the program, where it draws some of them itself.
    """

    algo: str | None = None
    episode_steps: int | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    starts: tuple[TrainingStart, ...] = ()
    stages: tuple[str, ...] = ()
    stage_steps: tuple[int, ...] = ()
    draws: str = ""

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
        return replace(self, algo=None, values=kept)

    def __str__(self) -> str:
        chosen = {ALGO: self.algo, EPISODE_STEPS: self.episode_steps, **self.values}
        chosen[STAGE_STEPS] = [*self.stage_steps] or None
        told = [f"{name} {value}" for name, value in chosen.items() if value is not None]
        told += [
            f"{start.share:.0%} of first episodes from {start}"
            + (f" until they earn {start.earns:g}" if start.earns is not None else "")
            for start in self.starts
        ]
        return clean_text(", ".join(told))


def read_choices(source: str) -> TrainingChoices:
    """Read what a program chooses; of one that was not checked, what can be read."""
    parsed = parse_source(source).source
    given: dict[str, Any] = {}
    starts: list[TrainingStart] = []
    stages, stage_steps = tuple[str, ...](), tuple[int, ...]()
    is_drawn = False
    if parsed is not None:
        with suppress(ValueError, TypeError):
            given = dict(_read_literal(parsed.tree, TRAINING_NAME) or {})
        with suppress(ValueError, TypeError):
            starts = [read_start(item) for item in _read_literal(parsed.tree, STARTS_NAME) or ()]
        with suppress(ValueError, TypeError):
            stages = tuple(_read_literal(parsed.tree, STAGES_NAME) or ())
        with suppress(TypeError):
            stage_steps = tuple(given.pop(STAGE_STEPS, ()))
        is_drawn = defines_starts(parsed.tree)
    if is_drawn and not any(start.origin == DRAWN for start in starts):
        starts.append(DRAWN_START)
    algo, steps = given.pop(ALGO, None), given.pop(EPISODE_STEPS, None)
    draws = source if is_drawn else ""
    return TrainingChoices(algo, steps, given, tuple(starts), stages, stage_steps, draws)


def defines_starts(tree: ast.Module) -> bool:
    """Return whether a program draws states by a function of its own, ``starts(rng, n)``."""
    functions = (item for item in tree.body if isinstance(item, ast.FunctionDef))
    return any(
        item.name == STARTS_ENTRY and [a.arg for a in item.args.args] == list(STARTS_PARAMETERS)
        for item in functions
    )


def read_start(given: Any) -> TrainingStart:
    """Read one entry of ``STARTS``.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(given, dict):
        raise ValueError("expected a dictionary")
    told = {k: value for k, value in given.items() if k not in (SHARE, UNTIL, FROM, EARNS)}
    return TrainingStart(
        share=given.get(SHARE),
        until=given.get(UNTIL),
        origin=given.get(FROM, ""),
        earns=given.get(EARNS),
        fields={name: _read_spans(value) for name, value in told.items()},
    )


def write_start(start: TrainingStart) -> str:
    """Return the entry of ``STARTS`` that reads as this one."""
    told = {SHARE: start.share, UNTIL: start.until, FROM: start.origin, EARNS: start.earns}
    fields = {
        name: spans[0] if len(spans) == 1 else [*spans] for name, spans in start.fields.items()
    }
    return repr({k: value for k, value in told.items() if value not in ("", None)} | fields)


def _read_spans(value: Any) -> list[tuple[Any, Any]]:
    """Return least and most of each entry: of a number, a pair, or a list of these."""
    if isinstance(value, int | float):
        return [(value, value)]
    if isinstance(value, tuple) and len(value) == 2 and not isinstance(value[0], tuple | list):
        return [(value[0], value[1])]
    if isinstance(value, list | tuple):
        return [span for item in value for span in _read_spans(item)]
    raise ValueError("expected (low, high), a number, or a list of one for each entry")


def _read_literal(tree: ast.Module, name: str) -> Any:
    node = find_table(tree, name)
    return None if node is None else ast.literal_eval(node)


def find_table(tree: ast.Module, table: str = TRAINING_NAME) -> ast.expr | None:
    """Return what ``TRAINING``, ``STARTS`` or ``STAGES`` is set to at module level, if it is."""
    for statement in tree.body:
        if isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = getattr(statement, "targets", [getattr(statement, "target", None)])
            if any(isinstance(t, ast.Name) and t.id == table for t in targets):
                return statement.value
    return None


def list_choices(card: EnvCard, kind: LearnerKind) -> dict[str, Tunable]:
    """Return what may be chosen beside the learner, by name."""
    most = _MOST_EPISODE_LENGTHS * card.max_episode_steps
    steps = Tunable(_LEAST_EPISODE_STEPS, most, "most control steps of an episode in training")
    of_stages = Tunable(_LEAST_EPISODE_STEPS, most, _OF_STAGES, most=MOST_STAGES)
    absent = _OF_NUMBERS if card.choices else ()
    known = {name: bounds for name, bounds in kind.tunable.items() if name not in absent}
    return {EPISODE_STEPS: steps, STAGE_STEPS: of_stages, **known}


def list_settable(card: EnvCard) -> list[str]:
    """Return the fields of a card that a state can be begun by."""
    return [field.name for field in card.state if is_settable(parse_field_source(field.source))]


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
