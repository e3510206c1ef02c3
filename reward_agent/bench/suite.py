"""What a sweep runs: a suite of tasks and methods, and what each method is."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, ValidationInfo, field_validator

from reward_agent.errors import DataError, UnknownNameError
from reward_agent.files import find_real, read_text
from reward_agent.records.settings import PRESETS
from reward_agent.types import Record

# A method's program may come from the task's own folder, a recorded run, or a file that the suite
# names, in place of a designer.
Program = Literal["reference", "sparse", "recorded", "named"]


@dataclass(frozen=True)
class Method:
    """One way to come by a reward function.

    Args:
        meaning: one line for a person.
        program: the reward of the task's folder that is trained with, the winner's of a run that
            ships with the program, or the suite's own, if no designer writes one.
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
_GIVEN: dict[str, Any] = {**_ALONE, "max_repairs": 0}
_REWARD_ONLY: dict[str, Any] = {"reward_only": True}
_PLAIN: dict[str, Any] = {"screens": False, "racing": "none", **_REWARD_ONLY}

METHODS: dict[str, Method] = {
    "reference": Method("a person's dense reward", "reference", False, "one training", _GIVEN),
    "sparse": Method("pay for success alone", "sparse", False, "one training", _GIVEN),
    "recorded": Method(
        "what a language model wrote in a recorded run", "recorded", False, "one training", _GIVEN
    ),
    "by_hand": Method("the program that the suite names", "named", False, "one training", _GIVEN),
    "by_hand_reward_only": Method(
        "what that program pays, without its choices of how it is learned",
        "named",
        False,
        "one training",
        _GIVEN | _REWARD_ONLY,
    ),
    "offline": Method("the designer without a language model", needs_model=False),
    "offline_reward_only": Method(
        "the same, which decides what is paid alone", needs_model=False, settings=_REWARD_ONLY
    ),
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
    "reward_only": Method(
        "a program decides what is paid, not how it is learned", settings=_REWARD_ONLY
    ),
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


# What a suite may say of one task otherwise than of all.
OF_TASK = (
    "methods",
    "program",
    "seeds",
    "budget",
    "candidates",
    "iterations",
    "winner_seeds",
    "eval_episodes",
)


def make_settings(method: Method, candidates: int, iterations: int) -> dict[str, Any]:
    """Return the settings of a design run that the method decides, by the names of its options."""
    shapes = {
        "suite": (candidates, iterations),
        "one round": (candidates * iterations, 1),
        "one by one": (1, candidates * iterations),
        "one training": (1, 1),
    }
    n_candidates, n_iterations = shapes[method.rounds]
    return {"candidates": n_candidates, "iterations": n_iterations, **method.settings}


class Suite(Record):
    """What a sweep runs; a TOML file holds all but the name.

    Every training of every method has the same env steps, and every method that searches the same
    number of trainings.
    """

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$",
        description="letters, digits, '_', '.' and '-'; that of the file by default",
    )
    description: str = ""
    tasks: tuple[str, ...] = Field(min_length=1, description="'env/task' each")
    methods: tuple[str, ...] = Field(
        ("reference", "sparse", "offline"), min_length=1, description="names of methods"
    )
    seeds: int = Field(3, ge=1, le=1000, description="runs of each method on each task")
    budget: str | int = Field("quick", description="a preset of the card, or env steps a training")
    candidates: int = Field(4, ge=1, le=64, description="programs a round, of a search")
    iterations: int = Field(3, ge=1, le=100, description="its rounds")
    winner_seeds: int = Field(2, ge=1, le=50, description="fresh seeds that a result is scored by")
    eval_episodes: int = Field(16, ge=1, le=1024, description="episodes of each score")
    program: str = Field("", description="a task's reward of by_hand: a file, from this directory")
    of_task: dict[str, dict[str, Any]] = Field(
        {}, description="what differs for a task: methods, seeds, budget, candidates, …"
    )

    def choose(self, task: str) -> Suite:
        """Return the suite as it is for one of its tasks."""
        return Suite.model_validate(self.model_dump() | self.of_task.get(task, {}))

    @field_validator("tasks")
    @classmethod
    def _check_tasks(cls, tasks: tuple[str, ...]) -> tuple[str, ...]:
        for name in tasks:
            if not all(name.rpartition("/")[::2]):
                raise ValueError(f"{name!r} is not of the form 'env/task'")
        if len(set(tasks)) != len(tasks):
            raise ValueError("a task is named twice")
        return tasks

    @field_validator("of_task")
    @classmethod
    def _check_of_task(
        cls, of_task: dict[str, dict[str, Any]], info: ValidationInfo
    ) -> dict[str, dict[str, Any]]:
        for task, changes in of_task.items():
            if task not in info.data.get("tasks", of_task):
                raise UnknownNameError("task of the suite", task, info.data["tasks"])
            for key in changes:
                if key not in OF_TASK:
                    raise UnknownNameError(f"setting of {task}", key, OF_TASK)
            try:
                cls.model_validate({"name": "of-task", "tasks": (task,)} | changes)
            except ValidationError as error:
                first = error.errors()[0]
                raise ValueError(f"{task}, {first['loc'][0]}: {first['msg']}") from error
        return of_task

    @field_validator("methods")
    @classmethod
    def _check_methods(cls, methods: tuple[str, ...]) -> tuple[str, ...]:
        for name in methods:
            if name not in METHODS:
                raise UnknownNameError("method", name, METHODS)
        return tuple(dict.fromkeys(methods))

    @field_validator("budget", mode="before")
    @classmethod
    def _check_budget(cls, budget: object) -> object:
        if isinstance(budget, str) and budget.isdecimal():
            budget = int(budget)
        if isinstance(budget, str) and budget not in PRESETS:
            raise UnknownNameError("budget", budget, PRESETS)
        if not isinstance(budget, str) and (type(budget) is not int or budget < 1):
            raise ValueError(f"it is {', '.join(PRESETS)}, or a whole number of env steps from 1")
        return budget


def list_suites() -> list[str]:
    """Return the names of the suites that come with the program."""
    return sorted(item.name.removesuffix(".toml") for item in _find_suites().iterdir())


def _find_suites() -> Traversable:
    return resources.files("reward_agent.bench") / "suites"


def load_suite(name: str) -> Suite:
    """Read a suite, by its name or by the path of a TOML file.

    Raises:
        UnknownNameError: there is neither, or it names an unknown method.
        DataError: the file does not have the form of a suite.
    """
    path, known = Path(name), ", ".join(list_suites())
    if name in list_suites():
        file = _find_suites() / f"{name}.toml"
    elif path.suffix == ".toml":
        file = path
    else:
        remedy = f"known: {known}; or the path of a .toml file"
        raise UnknownNameError("suite", name, list_suites(), remedy)
    try:
        return make_suite(
            {"name": path.stem, **tomllib.loads(read_text(find_real(Path(str(file)))))}
        )
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"{name} is not TOML: {error}", "correct the file") from error
    except FileNotFoundError as error:
        raise DataError(f"no file {path}", f"give its path, or one of {known}") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}", "give a text file in UTF-8") from error


def make_suite(table: dict[str, object]) -> Suite:
    """Return the suite of a table.

    Raises:
        UnknownNameError: it has an unknown key, or names an unknown method or budget.
        DataError: a key is missing or does not have its form.
    """
    for key in table:
        if key not in Suite.model_fields:
            raise UnknownNameError("suite key", key, Suite.model_fields)
    try:
        return Suite.model_validate(table)
    except ValidationError as error:
        raise _explain(error, table) from error


def _explain(error: ValidationError, table: dict[str, object]) -> DataError:
    """Say what the first wrong key holds and what it should."""
    first = error.errors()[0]
    key = str(first["loc"][0])
    meaning = Suite.model_fields[key].description
    remedy = f"{key}: {meaning}" if meaning else f"correct {key}"
    if first["type"] == "missing":
        return DataError(f"suite {table['name']!r} has no {key!r}", remedy)
    reason = first["msg"].removeprefix("Value error, ")
    reason = reason.replace("Tuple", "List").replace("tuple", "list")
    return DataError(f"suite {table['name']!r}, {key} = {table[key]!r}: {reason}", remedy)
