"""Take up a run that is there: what it decides itself, and what only this person may decide.

A run's directory is data, which may be a colleague's or a stranger's. From it come the settings of
the search; isolation, provider, addresses, files and the environment's model come from the person.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Unpack

from reward_agent.definitions.card import load_env
from reward_agent.definitions.task import (
    apply_task,
    list_tasks,
    load_task,
    read_metric,
    read_task_metric,
)
from reward_agent.errors import UsageError
from reward_agent.llm.provider import choose_provider
from reward_agent.records.events import Listener
from reward_agent.records.layers import ResolvedSettings, change_settings, hide_in_settings
from reward_agent.records.options import RunOptions
from reward_agent.records.store import RunRecord, RunStore, load_run
from reward_agent.run.estimate import estimate_design
from reward_agent.run.metric import MetricChoice, ProposedMetric
from reward_agent.run.notebook import choose_listener
from reward_agent.run.open import HeldRun, follow, name_env, open_run
from reward_agent.run.result import Run
from reward_agent.run.spending import Agree, agree_to_spend


@dataclass(frozen=True)
class TakenUp:
    """A run with what this person says of it.

    Args:
        store: its directory.
        resolved: what it is worked on with.
        own: fields of the card that only the person's own environment may say.
    """

    store: RunStore
    resolved: ResolvedSettings
    own: Mapping[str, Any]

    def read(self) -> RunRecord:
        """Read the run's record, with the model and the files of the person's own environment."""
        record = self.store.read_run()
        return record.model_copy(update={"card": record.card.model_copy(update=self.own)})


def take_up(
    name: str,
    runs_dir: Path | None,
    env: str | None,
    options: Mapping[str, Any],
    environ: Mapping[str, str],
) -> TakenUp:
    """Say what a run is to be worked on with.

    Raises:
        UsageError: there is no such run, something decided it so far, or something has to be said.
    """
    store = load_run(name, runs_dir)
    record = store.read_run()
    provider = choose_provider(environ).spec
    resolved = change_settings(record.config, options, record.id, environ, provider)
    return TakenUp(store, resolved, read_own(record, env))


def read_own(record: RunRecord, env: str | None) -> dict[str, Any]:
    """Return what the person's environment says of model and files.

    Raises:
        UsageError: the run was made with another one.
    """
    card = load_env(env or name_env(record))
    if record.task.name in list_tasks(card):
        card = apply_task(card, load_task(card, record.task.name))
    if (card.name, card.model) != (record.card.name, record.card.model):
        raise UsageError(
            f"run {record.id} was made with another environment {record.card.name!r} than the one "
            "here: its model differs",
            "give the folder of that one, --env FOLDER, or start a new run",
        )
    return {
        name: getattr(card, name)
        for name in ("folder", "model", "gymnasium_id", "gymnasium_kwargs")
    }


def resume_run(
    name: str,
    *,
    env: str | None = None,
    metric: Path | None = None,
    runs_dir: Path | None = None,
    listen: Listener | None = None,
    accept_metric: Callable[[ProposedMetric], bool] | None = None,
    accept_unseen: bool = False,
    unranked: bool = False,
    agree: Agree | None = None,
    environ: Mapping[str, str] | None = None,
    **options: Unpack[RunOptions],
) -> Run:
    """Take up a run that was interrupted; what is finished is not repeated.

    Args:
        name: the run's id, the start of it, its path, or ``last``.
        env: the folder of its environment, where that is none of those here.
        metric: a ``metric.py`` of your own, for a run that has none yet.
        runs_dir: where runs lie.
        listen: as for ``design``.
        accept_metric: as for ``design``.
        accept_unseen: as for ``design``.
        unranked: as for ``design``.
        agree: as for ``design``.
        environ: environment variables; the process's own by default.
        options: settings that change, such as ``iterations``, and those of this person and
            machine that are not the usual ones, such as ``provider``.

    Raises:
        UsageError: as for ``take_up``.
        UndecidedError: as for ``design``.
    """
    environ = os.environ if environ is None else environ
    taken = take_up(name, runs_dir, env, options, environ)
    record = taken.read()
    if record.status != "finished" or options.get("iterations"):
        settings = taken.resolved.settings
        expect = partial(
            estimate_design,
            env or name_env(record),
            record.task.name if record.metric_origin == "task" else record.task.description,
            runs_dir=runs_dir,
            environ=environ,
            **settings.model_dump(exclude_none=True),
        )
        agree_to_spend(settings, environ, agree, expect)
    if (metric is not None or unranked) and record.metric_origin != "none":
        raise UsageError(
            f"run {record.id} has its metric ({record.metric_origin}), and its scores are of that "
            "one",
            f"start a new run, or leave --{'unranked' if unranked else 'metric'} out",
        )

    describe = partial(_describe_again, taken)
    own_metric = None if metric is None else read_metric(metric)
    task_metric = read_task_metric(record.card, record.task)
    choice = MetricChoice(own_metric, task_metric, accept_metric, accept_unseen, unranked)
    listener = choose_listener(listen)
    with open_run(taken.store, taken.resolved.settings, describe, listener, environ) as held:
        follow(held, choice)
    return Run.read(taken.store)


def _describe_again(taken: TakenUp, held: HeldRun) -> RunRecord:
    """Return the run's record with what changes by the resumption, and who said it."""
    record = taken.read()
    config = hide_in_settings(held.settings.model_dump())
    changed = {key for key in config if config[key] != record.config.get(key)}
    designer = record.designer
    if changed & {"provider", "model", "base_url"}:
        designer = f"{designer}; then {held.team.description}"
    sources = taken.resolved.sources
    said = {key for key in config if sources[key] == "command line"}
    origins = {key: f"{sources[key]} of the resumption" for key in changed | said}
    return record.model_copy(
        update={
            "config": config,
            "config_sources": record.config_sources | origins,
            "status": "running",
            "designer": designer,
        }
    )
