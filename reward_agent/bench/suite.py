"""A suite of a sweep: which tasks, by which methods, with how many seeds and how much training."""

from __future__ import annotations

import tomllib
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from pydantic import Field, ValidationError, field_validator

from reward_agent.bench.methods import METHODS
from reward_agent.errors import DataError, UnknownNameError
from reward_agent.records.settings import PRESETS
from reward_agent.types import Record


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

    @field_validator("tasks")
    @classmethod
    def _check_tasks(cls, tasks: tuple[str, ...]) -> tuple[str, ...]:
        for name in tasks:
            if not all(name.rpartition("/")[::2]):
                raise ValueError(f"{name!r} is not of the form 'env/task'")
        if len(set(tasks)) != len(tasks):
            raise ValueError("a task is named twice")
        return tasks

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
    path = Path(name)
    if name in list_suites():
        text = (_find_suites() / f"{name}.toml").read_text("utf-8")
    elif path.suffix == ".toml" and path.is_file():
        text = _read_text(path)
    elif path.suffix == ".toml":
        raise DataError(f"no file {path}", f"give its path, or one of {', '.join(list_suites())}")
    else:
        remedy = f"known: {', '.join(list_suites())}; or the path of a .toml file"
        raise UnknownNameError("suite", name, list_suites(), remedy)
    try:
        return make_suite({"name": path.stem, **tomllib.loads(text)})
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"{name} is not TOML: {error}", "correct the file") from error


def _read_text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
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
