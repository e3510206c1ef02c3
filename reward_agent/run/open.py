"""``design``: set a run up, or take one up again, and follow it to its end."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from reward_agent.definitions.card import EnvCard, load_env
from reward_agent.definitions.paths import find_runs_dir
from reward_agent.definitions.task import (
    TaskSpec,
    apply_task,
    list_tasks,
    read_metric,
    read_task_metric,
    resolve_task,
)
from reward_agent.designers.team import Team, make_team
from reward_agent.errors import BudgetError, Interrupted, RewardAgentError, UsageError
from reward_agent.executors.registry import EXECUTORS, make_places
from reward_agent.executors.remote import ClusterOptions
from reward_agent.executors.slots import SlotExecutor
from reward_agent.llm.registry import choose_provider
from reward_agent.records.events import (
    Listener,
    MetricChosen,
    Retrying,
    RunStarted,
    SandboxChosen,
    Warned,
    ignore,
)
from reward_agent.records.settings import (
    ResolvedSettings,
    RunSettings,
    change_settings,
    resolve_settings,
)
from reward_agent.records.store import RunRecord, RunStore, find_run, name_new_run, now_utc
from reward_agent.records.timing import TimeLedger
from reward_agent.run.active import ActiveRun, Metric
from reward_agent.run.loop import run_design
from reward_agent.run.metric import MetricChoice, ProposedMetric, choose_metric
from reward_agent.run.repeat import Repeated, find_repeated
from reward_agent.sandbox.trial import check_isolation
from reward_agent.simulation.backend import require_backend
from reward_agent.version import __version__

# Packages whose versions decide what a run computes.
_PACKAGES = (
    "reward-agent", "mujoco", "gymnasium", "stable-baselines3", "torch", "numpy", "openai",
    "anthropic",
)  # fmt: skip
# What is named only where it is installed.
_OPTIONAL_PACKAGES = ("envpool",)


def design(
    env: str | None = None,
    task: str | None = None,
    *,
    metric: Path | None = None,
    accept_metric: Callable[[ProposedMetric], bool] | None = None,
    accept_unseen: bool = False,
    runs_dir: Path | None = None,
    listen: Listener = ignore,
    environ: Mapping[str, str] | None = None,
    **options: Any,
) -> RunRecord:
    """Design a reward function for a behaviour and train a policy with it.

    Args:
        env: name of an environment, or the path of a folder with an ``env.toml``; needed unless a
            run is replayed.
        task: name of a task of the environment, or any sentence; likewise.
        metric: a ``metric.py`` of your own for a sentence, or in place of a task's.
        accept_metric: asked about a metric that the Designer proposes for a sentence.
        accept_unseen: take such a proposal without asking; recorded as such.
        runs_dir: where the run's directory is made; ``./runs`` by default.
        listen: receives every event of the run; see ``reward_agent.records.events``.
        environ: environment variables; the process's own by default.
        options: settings by the names of ``RunSettings``.

    Returns:
        The record of the run, with its winner.

    Raises:
        RewardAgentError: one of its kinds; the run can be resumed.
    """
    environ = os.environ if environ is None else environ
    repeated = find_repeated(options.get("provider"), runs_dir)
    card, spec = _find_task(env, task, repeated)
    resolved = _resolve(options, card, environ, repeated)
    own_metric = None if metric is None else read_metric(metric)
    if repeated is not None:
        own_metric, accept_metric = own_metric or repeated.own_metric, repeated.is_accepted
    store = RunStore(name_new_run(find_runs_dir(runs_dir), card.name, spec.name))
    cancel = threading.Event()
    team = make_team(
        resolved.settings, store.dir, environ, cancel, tell_retries(listen), tell_warnings(listen)
    )
    run = RunRecord(
        id=store.dir.name,
        created=now_utc(),
        status="running",
        card=card,
        task=spec,
        metric_origin="none",
        # Pinned: a run that is taken up again without the key must not change its designer.
        config=resolved.settings.model_dump()
        | {"provider": resolved.settings.provider or choose_provider(environ).spec},
        config_sources=resolved.sources,
        designer=team.description,
        sandbox_level="unknown",
        versions=read_versions(),
    )
    choice = MetricChoice(own_metric, read_task_metric(card, spec), accept_metric, accept_unseen)
    return _follow(store, run, team, listen, choice, cancel)


def _find_task(
    env: str | None, task: str | None, repeated: Repeated | None
) -> tuple[EnvCard, TaskSpec]:
    """Return the card with the task applied, and the task.

    Raises:
        UsageError: one of them is not given.
    """
    if repeated is not None:
        spec = repeated.run.task
        card = load_env(env or repeated.run.card.name)
        known = spec.name in list_tasks(card)
        task = task or (spec.name if known else spec.description)
    elif env is None or task is None:
        raise UsageError(
            "design needs --env and --task",
            'for example: reward-agent design --env hopper --task "hop forward fast"',
        )
    else:
        card = load_env(env)
    spec = resolve_task(card, task)
    return apply_task(card, spec), spec


def _resolve(
    options: Mapping[str, Any],
    card: EnvCard,
    environ: Mapping[str, str],
    repeated: Repeated | None,
) -> ResolvedSettings:
    layer = None
    if repeated is not None:
        layer = (f"run {repeated.run.id}", repeated.settings)
        # The settings of the run name it for good, where the command line may say "last".
        options = {name: value for name, value in options.items() if name != "provider"}
    return resolve_settings(options, card.budget, card.name, environ, repeated=layer)


def resume_run(
    name: str,
    *,
    metric: Path | None = None,
    runs_dir: Path | None = None,
    listen: Listener = ignore,
    accept_metric: Callable[[ProposedMetric], bool] | None = None,
    accept_unseen: bool = False,
    environ: Mapping[str, str] | None = None,
    **options: Any,
) -> RunRecord:
    """Take up a run that was interrupted; what is finished is not repeated.

    Args:
        name: the run's id, the start of it, its path, or ``last``.
        metric: a ``metric.py`` of your own, for a run that has none yet.
        runs_dir: where runs lie.
        listen: receives every event.
        accept_metric: as for ``design``.
        accept_unseen: as for ``design``.
        environ: environment variables; the process's own by default.
        options: settings that change, such as ``iterations``.
    """
    environ = os.environ if environ is None else environ
    store = find_run(name, find_runs_dir(runs_dir))
    run = store.read_run()
    changes = {
        key: value
        for key, value in options.items()
        if value is not None and (key not in run.config or value != run.config[key])
    }
    if metric is not None and run.metric_origin != "none":
        raise UsageError(
            f"run {run.id} has its metric ({run.metric_origin}), and its scores are of that one",
            "start a new run, or leave --metric out",
        )
    settings = change_settings(run.config, changes, f"{run.id}/run.json")
    sources = run.config_sources | dict.fromkeys(changes, "command line of the resumption")
    cancel = threading.Event()
    team = make_team(
        settings, store.dir, environ, cancel, tell_retries(listen), tell_warnings(listen)
    )
    has_new_designer = bool({"provider", "model", "base_url"} & set(changes))
    designer = f"{run.designer}; then {team.description}" if has_new_designer else run.designer
    run = run.model_copy(
        update={
            "config": settings.model_dump(),
            "config_sources": sources,
            "status": "running",
            "designer": designer,
        }
    )
    own_metric = None if metric is None else read_metric(metric)
    choice = MetricChoice(
        own_metric, read_task_metric(run.card, run.task), accept_metric, accept_unseen
    )
    return _follow(store, run, team, listen, choice, cancel)


def _follow(
    store: RunStore,
    run: RunRecord,
    team: Team,
    listen: Listener,
    choice: MetricChoice,
    cancel: threading.Event,
) -> RunRecord:
    """Hold the run's lock, choose the metric, run the loop; record how it ended."""
    settings = RunSettings.model_validate(run.config)
    if EXECUTORS.find(settings.executor).is_here:
        require_backend(run.card)
    level = check_isolation(settings.sandbox)
    with store.lock():
        run = run.model_copy(update={"sandbox_level": level})
        store.write_run(run)
        active = make_active_run(store, run, settings, team, listen)
        try:
            with _recording_end(store):
                active.notify(_introduce(run))
                active.notify(SandboxChosen(level))
                active = choose_metric(active, store.read_run(), choice)
                if active.metric.source is not None:
                    active.notify(MetricChosen(active.metric.origin, active.task.unit))
                return run_design(active)
        finally:
            cancel.set()
            active.executor.close()


def make_active_run(
    store: RunStore, run: RunRecord, settings: RunSettings, team: Team, listen: Listener
) -> ActiveRun:
    """Open what the stages of a run share; its executor is to be closed."""
    # What the machine can do at the start it must do for every job: the level never changes.
    mode = "strict" if run.sandbox_level == "full" else settings.sandbox
    options = ClusterOptions(
        slots=settings.slots,
        job_cpus=settings.job_cpus,
        job_gpus=settings.job_gpus,
        memory_mib=settings.memory_mib,
        folder=store.dir,
        address=settings.ray_address,
        tell=tell_warnings(listen),
    )
    place, home = make_places(settings.executor, options, mode, is_warm=True)
    ledger = TimeLedger(place.n_slots, run.slot_seconds, run.wall_s)
    return ActiveRun(
        store=store,
        card=run.card,
        task=run.task,
        metric=Metric(None, "none"),
        settings=settings,
        designer=team.designer,
        critic=team.critic,
        analyzer=team.analyzer,
        executor=SlotExecutor(place, ledger, home),
        ledger=ledger,
        listen=listen,
        budget=team.budget,
    )


def tell_retries(listen: Listener) -> Callable[[str], None]:
    """Return what tells a listener why a call of a model waits."""
    return lambda reason: listen(Retrying(reason))


def tell_warnings(listen: Listener) -> Callable[[str], None]:
    """Return what a listener is told of a warning by."""
    return lambda reason: listen(Warned(reason))


def _introduce(run: RunRecord) -> RunStarted:
    return RunStarted(
        run.id, run.card.name, run.task.description, run.task.unit, designer=run.designer
    )


@contextlib.contextmanager
def _recording_end(store: RunStore) -> Iterator[None]:
    """Note in run.json why the run is not finished, and say how to go on."""
    try:
        yield
    except (KeyboardInterrupt, Interrupted):
        _record_end(store, "interrupted", "stopped by the user")
        raise Interrupted(
            f"run {store.dir.name} was stopped", f"go on with `{store.resume_command}`"
        ) from None
    except RewardAgentError as error:
        _record_end(
            store, "interrupted" if isinstance(error, BudgetError) else "failed", error.message
        )
        if store.resume_command not in error.remedy:
            steps = [error.remedy, f"go on with `{store.resume_command}`"]
            error.remedy = "; then ".join(filter(None, steps))
        raise
    except OSError as error:
        _record_end(store, "failed", str(error))
        raise RewardAgentError(
            f"run {store.dir.name} cannot go on: {error}",
            f"free disk space or correct the permissions; then go on with `{store.resume_command}`",
        ) from error


def _record_end(store: RunStore, status: str, note: str) -> None:
    """Note in run.json why the run is not finished, if the disk still takes it."""
    with contextlib.suppress(RewardAgentError):
        store.write_run(store.read_run().model_copy(update={"status": status, "note": note}))


def read_versions() -> dict[str, str]:
    """Return the versions of the packages that decide what a run computes."""
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = __version__ if name == "reward-agent" else "not installed"
    for name in _OPTIONAL_PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions
