"""Methods of a sweep: each a short configuration of the same loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

# A method's program may come from the task's own folder in place of a designer.
Program = Literal["reference", "sparse"]


@dataclass(frozen=True)
class Method:
    """One way to come by a reward function.

    Args:
        meaning: one line for a person.
        program: the reward of the task's folder that is trained with, if no designer writes one.
        needs_model: whether the designer must be a language model.
        rounds: how the trainings of a search are used: as the suite says, all in one round, one
            in each round, or one alone.
        settings: what it changes in a design run.
    """

    meaning: str
    program: Program | None = None
    needs_model: bool = True
    rounds: Literal["suite", "one round", "one by one", "one training"] = "suite"
    settings: Mapping[str, Any] = field(default_factory=dict)


_ALONE: dict[str, Any] = {"critic": False, "analyzer": False}
_PLAIN: dict[str, Any] = {"screens": False, "racing": "none"}

METHODS: dict[str, Method] = {
    "reference": Method(
        "a person's dense reward", "reference", False, "one training", {**_ALONE, "max_repairs": 0}
    ),
    "sparse": Method(
        "pay for success alone", "sparse", False, "one training", {**_ALONE, "max_repairs": 0}
    ),
    "offline": Method("the designer without a language model", needs_model=False),
    "zero_shot": Method(
        "one program, one pass: no Critic, no feedback", rounds="one training", settings=_ALONE
    ),
    "best_of_k": Method(
        "as many programs, all in one round: no feedback", rounds="one round", settings=_ALONE
    ),
    "full": Method("everything"),
    "no_critic": Method("without the Critic", settings={"critic": False}),
    "no_analyzer": Method("without the Analyzer", settings={"analyzer": False}),
    "no_screen": Method(
        "no program is refused as a twin or tried on old episodes", settings={"screens": False}
    ),
    "no_racing": Method("every training goes on to its end", settings={"racing": "none"}),
    "text2reward": Method(
        "one program after the other, told the last one's score, no terms",
        rounds="one by one",
        settings=_ALONE | {"recall": "score"} | _PLAIN,
    ),
    "eureka": Method(
        "told the terms of the last round's best alone, all depart from it",
        settings=_ALONE | {"recall": "terms"} | _PLAIN,
    ),
}


def make_settings(method: Method, candidates: int, iterations: int) -> dict[str, Any]:
    """Return the settings of a design run that the method decides, by the names of its options.

    Args:
        method: the method.
        candidates: programs a round, of a search.
        iterations: its rounds.
    """
    shapes = {
        "suite": (candidates, iterations),
        "one round": (candidates * iterations, 1),
        "one by one": (1, candidates * iterations),
        "one training": (1, 1),
    }
    n_candidates, n_iterations = shapes[method.rounds]
    return {"candidates": n_candidates, "iterations": n_iterations, **method.settings}
