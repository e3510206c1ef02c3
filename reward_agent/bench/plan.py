"""The jobs of a sweep: one design run each, named by the digest of all that decides its result."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import Field

from reward_agent.bench.suite import METHODS, Method, Program, Suite, make_settings
from reward_agent.definitions.card import EnvCard, load_env
from reward_agent.definitions.task import (
    TaskSpec,
    apply_task,
    load_task,
    read_reference_reward,
    read_sparse_reward,
    read_task_metric,
)
from reward_agent.errors import UsageError
from reward_agent.export.shipped import read_shipped_winner
from reward_agent.files import find_real, read_text
from reward_agent.llm.provider import choose_provider, find_provider
from reward_agent.records.layers import ENVIRONMENT_PREFIX, resolve_settings
from reward_agent.records.settings import PRESETS, list_settings
from reward_agent.text import hide_credentials
from reward_agent.types import FileRecord


class SweepJob(FileRecord):
    """One cell of the table: a method on a task with a seed.

    ``label`` is the column: the method, and the designer where that is a language model, so that
    results of different ones are never mixed.
    """

    id: str
    env: str
    task: str
    method: str
    label: str
    seed: int
    settings: dict[str, Any]
    program: str | None = Field(None, description="source of the reward, of a method with its own")
    unit: str = ""

    @property
    def task_name(self) -> str:
        """``env/task``."""
        return f"{self.env}/{self.task}"

    @property
    def cell(self) -> tuple[str, str]:
        """Its row and its column."""
        return self.task_name, self.label


@dataclass(frozen=True)
class Choices:
    """What a command line may change of a suite.

    Args:
        provider: the language model of the methods that need one.
        model: its name.
        environ: where keys are looked up.
        place: where trainings run: the ``ClusterSettings`` that are given.
    """

    provider: str | None = None
    model: str | None = None
    environ: Mapping[str, str] | None = None
    place: Mapping[str, Any] = field(default_factory=dict)


def plan_jobs(suite: Suite, choices: Choices | None = None) -> list[SweepJob]:
    """Return the jobs of a suite: tasks within seeds, so that every table is early complete.

    Raises:
        UsageError: a method needs a language model and none was chosen, or a task lacks what a
            method needs.
        UnknownNameError: there is no such environment or task.
    """
    choices = choices or Choices()
    designers = {name: _choose_designer(METHODS[name], name, choices) for name in suite.methods}
    files = {name: _read_task(name) for name in suite.tasks}
    suites = {task: suite.choose(task) for task in suite.tasks}
    return [
        _make_job(suites[task], files[task], method, seed, designers[method], choices)
        for seed in range(max(of_task.seeds for of_task in suites.values()))
        for task in suite.tasks
        if seed < suites[task].seeds
        for method in suite.methods
        if method in suites[task].methods
    ]


def _choose_designer(method: Method, name: str, choices: Choices) -> str:
    """Return the provider of a method: ``given`` stands for the program of the task's folder.

    Raises:
        UsageError: the method needs a language model and none was chosen.
    """
    if method.program is not None:
        return "given"
    if not method.needs_model:
        return "offline"
    provider = choices.provider or choose_provider(choices.environ or {}).spec
    if find_provider(provider).makes == "designer":
        raise UsageError(
            f"the method {name!r} needs a language model",
            "give --provider, or set a key (`reward-agent doctor`); without a model there are "
            f"{', '.join(key for key, item in METHODS.items() if not item.needs_model)}",
        )
    return provider


@dataclass(frozen=True)
class _TaskFiles:
    """What a task's folder says, read once for all of its jobs.

    Args:
        env: the environment as the suite names it.
        card: its card with the task applied.
        task: the task.
        digested: all of it as text, for the digest of a job.
    """

    env: str
    card: EnvCard
    task: TaskSpec
    digested: tuple[str, ...]


def _read_task(name: str) -> _TaskFiles:
    """Read the task of an ``env/task``.

    Raises:
        UnknownNameError: there is no such environment or task.
        UsageError: it has no metric.
    """
    env, _, task_name = name.rpartition("/")
    card = load_env(env)
    task = load_task(card, task_name)
    card = apply_task(card, task)
    metric = read_task_metric(card, task)
    if metric is None:
        raise UsageError(f"task {name!r} has no metric", "a sweep needs tasks that bring one")
    return _TaskFiles(
        env,
        card,
        task,
        (
            card.model_dump_json(exclude_defaults=True),
            task.model_dump_json(exclude_defaults=True, exclude={"own_reward"}),
            metric,
        ),
    )


def _make_job(
    suite: Suite, files: _TaskFiles, method_name: str, seed: int, provider: str, choices: Choices
) -> SweepJob:
    card, task, method = files.card, files.task, METHODS[method_name]
    program = _read_program(card, task, method.program, suite.program)
    model = choices.model if method.needs_model else None
    options = make_settings(method, suite.candidates, suite.iterations) | {
        "provider": provider,
        "model": model,
        "seed": seed,
        "winner_seeds": suite.winner_seeds,
        "eval_episodes": suite.eval_episodes,
        "video": False,
        "slots": 1,
        "early_stop": False,
        "own_reward": False,
        ("preset" if suite.budget in PRESETS else "steps"): suite.budget,
        **choices.place,
    }
    # Only the suite decides: a setting of the machine's own would make numbers incomparable.
    resolved = resolve_settings(options, card.budget, card.name, {}, Path("/nonexistent"))
    settings = resolved.settings.model_dump()
    decisive = {key: settings[key] for key in list_settings(in_digest=True)}
    words = [*files.digested, program or "", method_name, json.dumps(decisive, sort_keys=True)]
    named = f"{provider}: {model}" if model else provider
    return SweepJob(
        id=hashlib.sha256("\0".join(words).encode()).hexdigest()[:16],
        env=files.env,
        task=task.name,
        method=method_name,
        label=hide_credentials(f"{method_name} ({named})") if method.needs_model else method_name,
        seed=seed,
        settings=settings,
        program=program,
        unit=task.unit,
    )


def _read_program(card: EnvCard, task: TaskSpec, program: Program | None, file: str) -> str | None:
    if program is None:
        return None
    if program == "named":
        source = read_text(find_real(file), "") if file else None
        missing, remedy = f"program {file!r} of the suite", ", or name one from this directory"
    elif program == "recorded":
        source = read_shipped_winner(card.name, task.name)
        missing, remedy = "recorded run that ships with the program", ""
    else:
        read = read_reference_reward if program == "reference" else read_sparse_reward
        source = read(card, task)
        missing, remedy = f"{program}_reward.py", ", or write the file"
    if not source:
        raise UsageError(
            f"task {card.name}/{task.name} has no {missing}",
            f"leave the method {program!r} or the task out{remedy}",
        )
    return source


def make_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a job's design run: keys, but no settings."""
    return {key: text for key, text in environ.items() if not key.startswith(ENVIRONMENT_PREFIX)}
