"""A behaviour in words: the ``TaskSpec`` read from ``envs/<env>/tasks/<task>/task.toml``.

The folder also holds ``metric.py``, the trusted ``score(episode)``, unless ``task.toml`` names the
metric of another task with other constants, and for some tasks rewards in the reward language:
``reference_reward.py``, a person's, and ``sparse_reward.py``, which pays success alone. They too
may be another task's.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationError, model_validator

from reward_agent.definitions.card import (
    MOST_NAME_CHARS,
    EnvCard,
    EpisodeSteps,
    Identifier,
    ModelSource,
    Termination,
    TrainingBudget,
    find_env_dir,
    load_env,
    make_identifier,
)
from reward_agent.definitions.learner import LearnerSettings, read_earlier_table
from reward_agent.definitions.tables import (
    MOST_PROSE_CHARS,
    MOST_WORD_CHARS,
    OF_PROSE,
    Prose,
    Word,
    check_values,
    explain_invalid,
    make_plain,
    read_table,
    read_text,
)
from reward_agent.errors import (
    DataError,
    UnknownNameError,
    UsageError,
    find_closest_name,
    hint_closest,
)
from reward_agent.files import list_names
from reward_agent.text import hide_in_words, parse_python
from reward_agent.types import Evaluation, FileRecord, Finite, Record

TASK_FILE = "task.toml"
METRIC_FILE = "metric.py"
REFERENCE_REWARD_FILE = "reference_reward.py"
SPARSE_REWARD_FILE = "sparse_reward.py"
_MAX_NAME_CHARS = 40
# One word of letters, as names are, this like a task's name, is that name with a slip in it.
_ONE_WORD, _MISSPELT = re.compile(r"[A-Za-z0-9_-]+"), 0.8


class Variant(Record):
    """A metric or a reward that is another task's with other constants."""

    of: str = Field(
        pattern=r"^([a-z][a-z0-9_]*/)?[a-z][a-z0-9_]*$",
        max_length=2 * MOST_NAME_CHARS,
        description="the other task; 'walker2d/run_forward' for one of another environment",
    )
    constants: Annotated[dict[Word, int | Finite], AfterValidator(check_values)] = Field(
        {}, description="module-level constants, by name"
    )


class OwnReward(Record):
    """What Gymnasium's own reward made of a task, in one training that was measured before."""

    seed: int = Field(0, ge=0)
    total_timesteps: int = Field(0, ge=0, description="env steps of the training")
    n_episodes: int = Field(16, ge=1)
    task_score: Finite | None = Field(None, description="by the task's metric; None: not measured")
    success_rate: float | None = Field(None, ge=0, le=1)


class TaskSpec(FileRecord):
    """A task: what to do, how it is scored, and what it changes on the environment's card.

    Of the overrides, None keeps what the card says; an empty ``termination`` lifts the card's.
    """

    name: Identifier
    env: Identifier
    description: Prose = Field(min_length=1, description="the behaviour, one sentence")
    criterion: Prose = Field("", description="what the metric asks, in words with its numbers")
    unit: Word = Field("", description="unit of task_score")
    target_score: Finite | None = Field(None, description="task_score that counts as done")
    is_bounded: bool = Field(
        False, description="whether more than the target is no better: a share, a stated time"
    )
    simulation: Word | None = Field(
        None, description="id of another environment of the back end, in place of model.id"
    )
    max_episode_steps: EpisodeSteps | None = None
    termination: Termination | None = None
    learner: LearnerSettings | None = Field(
        None, description="in place of the card's; of the same learner, what it changes"
    )
    budget: TrainingBudget | None = None
    metric: Variant | None = Field(None, description="in place of a metric.py of its own")
    reference_reward: Variant | None = Field(None, description="in place of a file of its own")
    sparse_reward: Variant | None = Field(None, description="in place of a file of its own")
    own_reward: OwnReward | None = Field(
        None, description="where the reference reward is Gymnasium's own: what it made of the task"
    )

    @model_validator(mode="before")
    @classmethod
    def _read_earlier_table(cls, given: Any) -> Any:
        return read_earlier_table(given)

    def is_done(self, evaluation: Evaluation | None) -> bool:
        """Return whether more cannot be had: the target is reached, and every episode succeeds."""
        if evaluation is None or not self.is_bounded or self.target_score is None:
            return False
        score, rate = evaluation.task_score, evaluation.success_rate
        return score is not None and score >= self.target_score and rate in (None, 1.0)

    def describe_metric(
        self, criterion: str, unit: str, target_score: float | None, *, is_bounded: bool
    ) -> TaskSpec:
        """Return the task with the words of another metric, a model's or a person's, made plain."""
        words = {
            "criterion": make_plain(criterion, MOST_PROSE_CHARS, OF_PROSE),
            "unit": make_plain(unit, MOST_WORD_CHARS),
            "target_score": target_score,
            "is_bounded": is_bounded,
        }
        return self.model_copy(update=words)


def list_tasks(env: EnvCard | str) -> list[str]:
    """Return the names of an environment's tasks, sorted."""
    tasks_dir = find_env_dir(env) / "tasks"
    return sorted(file.parent.name for file in tasks_dir.glob(f"*/{TASK_FILE}"))


def find_task_dir(env: EnvCard | str, name: str) -> Path:
    """Return the folder of a task.

    Raises:
        UnknownNameError: the environment has no task of this name.
    """
    card = _load_card(env)
    tasks_dir = find_env_dir(card) / "tasks"
    if name not in list_names(tasks_dir) or not (tasks_dir / name / TASK_FILE).is_file():
        raise UnknownNameError(f"{card.name} task", name, list_tasks(card))
    return tasks_dir / name


def load_task(env: EnvCard | str, name: str) -> TaskSpec:
    """Read a task of an environment.

    Raises:
        UnknownNameError: the environment has no task of this name.
        DataError: the file is not TOML, or a key in it is unknown or does not have its form.
    """
    card = _load_card(env)
    file = find_task_dir(card, name) / TASK_FILE
    try:
        table = read_table(_check_inside(card, file))
        task = TaskSpec.model_validate({**table, "env": card.name})
        if task.learner is not None:
            task.learner.check()
    except UsageError as error:
        raise DataError(f"{file}, [learner]: {error.message}", error.remedy) from error
    except ValidationError as error:
        key = str(error.errors(include_input=False, include_context=False)[0]["loc"][-1])[:100]
        raise explain_invalid(file, error, hint=hint_closest(key, TaskSpec.model_fields)) from error
    if task.name != name:
        raise DataError(
            f"{file} says name = {task.name!r}, its folder is {name!r}", "make them the same"
        )
    return task


def make_task(
    env: str, description: str, criterion: str = "", unit: str = "", taken: Collection[str] = ()
) -> TaskSpec:
    """Return a task of a user's own sentence; its name is made of the sentence's first words.

    It is none of those that are ``taken``: "Stand!" is not the task ``stand``.

    Raises:
        UsageError: the sentence is no plain text.
    """
    description = hide_in_words(description.strip())
    name = make_identifier(description, "task", _MAX_NAME_CHARS)
    try:
        return TaskSpec(
            name=f"{name}_in_words" if name in taken else name,
            env=env,
            description=description,
            criterion=criterion,
            unit=unit,
        )
    except ValidationError as error:
        wrong = explain_invalid(Path("the task"), error)
        raise UsageError(wrong.message, "say it in a plain sentence") from error


def resolve_task(env: EnvCard | str, text: str) -> TaskSpec:
    """Return the environment's task of this very name, or a task made of a sentence.

    Raises:
        UnknownNameError: one word that is a task's name but for a letter or two.
    """
    card = _load_card(env)
    known = list_tasks(card)
    name = text.strip()
    if name in known:
        return load_task(card, name)
    closest = find_closest_name(name.replace("-", "_"), known, _MISSPELT)
    if closest and _ONE_WORD.fullmatch(name):
        error = UnknownNameError(f"{card.name} task", name, known)
        error.remedy = f'give --task {closest}; or, if this is a sentence, end it: "{name}."'
        raise error
    return make_task(card.name, text, taken=known)


def find_namesake(env: EnvCard | str, text: str) -> str | None:
    """Return the task whose name a sentence says in words: ``back_flip`` of "Back flip!"."""
    name = make_identifier(text, "task")
    return name if name in list_tasks(env) else None


def read_task_metric(env: EnvCard | str, task: TaskSpec) -> str | None:
    """Return the source of the metric that a task brings, or None.

    For a task that names another's metric this is the other's with this one's constants in it: one
    text, which is what scores and what a run records.

    Raises:
        UsageError: the ``metric.py`` is none.
        DataError: ``task.toml`` names a task or a constant that is not there.
    """
    return _read_source(_load_card(env), task, METRIC_FILE, task.metric)


def read_reference_reward(env: EnvCard | str, task: TaskSpec) -> str | None:
    """Return the source of the reward that a person wrote for a task, or None; as the metric."""
    return _read_source(_load_card(env), task, REFERENCE_REWARD_FILE, task.reference_reward)


def read_own_reward(env: EnvCard | str) -> str | None:
    """Return the source of the reward that Gymnasium itself pays in an environment, or None.

    It is the reference reward of the task that says so.
    """
    card = _load_card(env)
    tasks = (load_task(card, name) for name in list_tasks(card))
    own = next((task for task in tasks if task.own_reward is not None), None)
    return None if own is None else read_reference_reward(card, own)


def read_sparse_reward(env: EnvCard | str, task: TaskSpec) -> str | None:
    """Return the source of the reward that pays a task's success alone, or None; as the metric."""
    return _read_source(_load_card(env), task, SPARSE_REWARD_FILE, task.sparse_reward)


def _read_source(card: EnvCard, task: TaskSpec, file: str, variant: Variant | None) -> str | None:
    """Return a task's own file, or another task's with this one's constants, or None."""
    try:
        folder = find_task_dir(card, task.name)
    except UnknownNameError:
        return None
    path = folder / file
    read = read_metric if file == METRIC_FILE else read_text
    if variant is None:
        return read(_check_inside(card, path)) if path.is_file() else None
    if path.is_file():
        raise DataError(
            f"task {task.name!r} has a {file} and names that of {variant.of!r}",
            f"remove {path}, or the key {path.stem!r} of its {TASK_FILE}",
        )
    other = _find_other_file(card, variant.of, file, folder / TASK_FILE)
    place = f"the {file} of {variant.of!r}, named by {folder / TASK_FILE},"
    return replace_constants(read(other), variant.constants, place)


def _find_other_file(card: EnvCard, name: str, file: str, place: Path) -> Path:
    """Return the file of the task that another task names."""
    env_name, _, task_name = name.rpartition("/")
    try:
        path = find_task_dir(env_name or card, task_name) / file
    except UnknownNameError as error:
        raise DataError(f"{place}, {file} of {name!r}: {error.message}", error.remedy) from error
    if not path.is_file():
        raise DataError(
            f"{place}: task {name!r} has no {file} of its own", "name a task that has one"
        )
    return _check_inside(env_name or card, path)


def _check_inside(env: EnvCard | str, path: Path) -> Path:
    """Return a file of an environment, unless a link leads from there to somebody's own files."""
    root = find_env_dir(env).resolve()
    if not path.resolve().is_relative_to(root):
        raise DataError(f"{path} leads out of {root}", "put the file itself there")
    return path


def read_metric(path: Path) -> str:
    """Read a metric that a person wrote, and see that it is one, without running it.

    Raises:
        UsageError: it cannot be read, is not Python, or defines no ``score``.
    """
    remedy = "give a Python file with a function score(episode) -> Score"
    try:
        source = read_text(path)
        with warnings.catch_warnings(action="ignore"):
            tree = parse_python(source)
    except SyntaxError as error:
        raise UsageError(f"the metric {path}, line {error.lineno}: {error.msg}", remedy) from error
    except (DataError, ValueError, RecursionError, MemoryError) as error:
        raise UsageError(f"the metric {path} is not Python text: {error}", remedy) from error
    if not any(_defines_score(node) for node in ast.walk(tree)):
        raise UsageError(f"the metric {path} defines no function score(episode)", remedy)
    return source


def _defines_score(node: ast.AST) -> bool:
    if isinstance(node, ast.Name):
        return node.id == "score" and isinstance(node.ctx, ast.Store)
    return "score" in (getattr(node, "name", None), getattr(node, "asname", None))


def apply_task(card: EnvCard, task: TaskSpec) -> EnvCard:
    """Return the card with the task's overrides.

    Raises:
        UnknownNameError: a range of the task's termination names no field of the card.
        DataError: the task names another ``model.id``, the card has none.
    """
    changes: dict[str, Any] = {"learner": card.learner.merge(task.learner)}
    if task.simulation is not None:
        changes["model"] = _choose_simulation(card, task.simulation)
    if task.max_episode_steps is not None:
        changes["max_episode_steps"] = task.max_episode_steps
    if task.termination is not None:
        for field_range in task.termination:
            card.field(field_range.field)
        changes["termination"] = task.termination
    if task.budget is not None:
        changes["budget"] = task.budget
    return card.model_copy(update=changes)


def _choose_simulation(card: EnvCard, name: str) -> ModelSource:
    if card.model.id is None:
        raise DataError(
            f"a task of {card.name!r} has simulation = {name!r}, its card has no model.id",
            "remove the key from the task, or give the card model.id and model.backend",
        )
    return card.model.model_copy(update={"id": name})


def _load_card(env: EnvCard | str) -> EnvCard:
    """Return the card: it alone knows its name and its folder, a path given by the user neither."""
    return env if isinstance(env, EnvCard) else load_env(env)


def replace_constants(source: str, constants: Mapping[str, float], place: str) -> str:
    """Return the source with the values of some of its module-level constants replaced.

    Only ``NAME = value`` counts as a constant, assigned once; everything else stays as it was
    written, comments included. Messages call the source ``place``.

    Raises:
        DataError: the source is not Python, or has no such constant.
    """
    try:
        tree = parse_python(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise DataError(f"{place} is not Python: {error}", "correct the file") from error
    values = _find_constants(tree)
    for name in constants:
        if name not in values:
            known = ", ".join(values) or "none"
            raise DataError(
                f"{place} has no constant {name!r}{hint_closest(name, values)}",
                f"its constants: {known}",
            )
    lines = source.encode().splitlines(keepends=True)
    # From the last one up, so that the places of the others stay; columns count bytes of UTF-8.
    for name in sorted(constants, key=lambda name: -values[name].lineno):
        old, new = values[name], repr(constants[name]).encode()
        line = lines[old.lineno - 1]
        lines[old.lineno - 1] = line[: old.col_offset] + new + line[old.end_col_offset :]
    return b"".join(lines).decode()


def _find_constants(tree: ast.Module) -> dict[str, ast.expr]:
    """Return the value of every name that the module assigns once, alone and on one line."""
    assigned = [
        (target.id, node.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    ]
    names = [name for name, _ in assigned]
    return {
        name: value
        for name, value in assigned
        if names.count(name) == 1 and value.lineno == value.end_lineno
    }
