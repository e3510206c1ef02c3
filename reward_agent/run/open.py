"""Where a run begins: ``design`` sets one up, ``open_run`` holds it.

One that is there is taken up by ``run.resume``; a feedback session (``feedback.session``) holds it
by ``open_run`` as well.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any, Unpack

from reward_agent.definitions.card import EnvCard, list_envs, load_env
from reward_agent.definitions.learner import LEARNERS
from reward_agent.definitions.paths import find_runs_dir
from reward_agent.definitions.task import (
    TaskSpec,
    apply_task,
    list_tasks,
    read_metric,
    read_task_metric,
    resolve_task,
)
from reward_agent.designers.roles import Team
from reward_agent.designers.team import make_team
from reward_agent.errors import UsageError
from reward_agent.executors import Place
from reward_agent.executors.registry import EXECUTORS, make_places
from reward_agent.executors.remote import ClusterOptions
from reward_agent.executors.slots import SlotExecutor
from reward_agent.llm.manual import AGENT_FOLDER, take_back
from reward_agent.llm.provider import choose_provider
from reward_agent.records.events import (
    Disclosed,
    Listener,
    MetricChosen,
    Retrying,
    RunStarted,
    SandboxChosen,
    Warned,
)
from reward_agent.records.layers import ResolvedSettings, resolve_settings
from reward_agent.records.options import RunOptions
from reward_agent.records.settings import RunSettings
from reward_agent.records.store import RunRecord, RunStore, check_run_name, make_run_dir, now_utc
from reward_agent.records.timing import TimeLedger
from reward_agent.run.active import ActiveRun, read_run_metric, recording_end, telling, try_own_card
from reward_agent.run.blame import Surroundings
from reward_agent.run.estimate import estimate_design
from reward_agent.run.given import TakenReward, keep_given, load_given, take_rewards
from reward_agent.run.loop import run_design
from reward_agent.run.metric import MetricChoice, ProposedMetric, change_metric, choose_metric
from reward_agent.run.notebook import choose_listener
from reward_agent.run.repeat import Repeated, find_repeated, tell_differences
from reward_agent.run.result import Run
from reward_agent.run.spending import Agree, agree_to_spend, disclose
from reward_agent.run.steering import Steering, repeat_steering
from reward_agent.sandbox.isolation import LEVELS, check_isolation
from reward_agent.simulation.backends import BACKENDS, require_backend, use_python
from reward_agent.version import __version__

# Looked for once: to read what an installer wrote takes milliseconds.
_find_version = functools.cache(metadata.version)
# Packages whose versions decide what a run computes.
_PACKAGES = (
    "reward-agent", "mujoco", "gymnasium", "stable-baselines3", "torch", "numpy", "openai",
    "anthropic",
)  # fmt: skip


def design(
    env: str | None = None,
    task: str | None = None,
    *,
    name: str | None = None,
    metric: Path | None = None,
    accept_metric: Callable[[ProposedMetric], bool] | None = None,
    accept_unseen: bool = False,
    unranked: bool = False,
    start_from: Sequence[Path] = (),
    runs_dir: Path | None = None,
    listen: Listener | None = None,
    agree: Agree | None = None,
    environ: Mapping[str, str] | None = None,
    **options: Unpack[RunOptions],
) -> Run:
    """Design a reward function for a behaviour and train a policy with it.

    Args:
        env: name of an environment, or the path of a folder with an ``env.toml``; needed unless a
            run is replayed.
        task: name of a task of the environment, or any sentence; likewise.
        name: what the run is called, wherever a run is named; by default after its task.
        metric: a ``metric.py`` of your own for a sentence, or in place of a task's.
        accept_metric: asked about a metric that the Designer proposes for a sentence.
        accept_unseen: take such a proposal without asking, unless its trial found something;
            recorded as such.
        unranked: train for a sentence without a metric; nothing is ranked.
        start_from: files with rewards of people: candidates of the first round, beside the
            designer's own, from which the search goes on.
        runs_dir: where the run's directory is made; ``./runs`` by default.
        listen: receives every event of the run; see ``reward_agent.records.events``. By default a
            progress bar in a notebook, and nobody elsewhere.
        agree: asked before a run that may cost money without a limit; by default nobody is.
        environ: environment variables; the process's own by default.
        options: settings by the names of ``RunSettings``.

    Returns:
        The run, with its winner.

    Raises:
        UndecidedError: the task is a sentence and has no metric that anybody accepted. The run is
            paused: nothing was trained; ``resume_run`` goes on, with one of ``metric``,
            ``accept_metric``, ``accept_unseen`` or ``unranked``.
        RefusedError: a reward to start from is not taken; no run was begun.
        RewardAgentError: one of its kinds; the run can be resumed.
    """
    environ = os.environ if environ is None else environ
    listen = choose_listener(listen)
    if name is not None:
        check_run_name(name, find_runs_dir(runs_dir))
    repeated = find_repeated(options.get("provider"), runs_dir)
    card, spec = _find_task(env, task, repeated)
    resolved = _resolve(options, card, environ, repeated)
    if repeated is None:
        expect = functools.partial(
            estimate_design, env, task, runs_dir=runs_dir, n_given=len(start_from),
            environ=environ, **options,
        )  # fmt: skip
        agree_to_spend(resolved.settings, environ, agree, expect)
    card = card.choose_learner(resolved.settings.algo)
    own_metric = None if metric is None else read_metric(metric)
    taken = take_rewards([Path(path) for path in start_from], card, resolved.settings)
    task_metric = read_task_metric(card, spec)
    choice = MetricChoice(own_metric, task_metric, accept_metric, accept_unseen, unranked)
    if repeated is not None:
        taken, choice = taken or load_given(repeated.store), repeated.complete(choice)
    store = RunStore(make_run_dir(find_runs_dir(runs_dir), card.name, spec.name, name))
    describe = functools.partial(_describe_new, card, spec, taken, resolved.sources)
    try:
        with open_run(store, resolved.settings, describe, listen, environ) as held:
            keep_given(store, taken)
            if repeated is not None:
                repeat_steering(repeated.store, store)
                if told := tell_differences(repeated, held.settings):
                    listen(Warned(told))
            follow(held, choice)
        return Run.read(store)
    finally:
        with contextlib.suppress(OSError):  # nothing came of it, not even a record
            store.dir.rmdir()


def _describe_new(
    card: EnvCard,
    task: TaskSpec,
    taken: Sequence[TakenReward],
    sources: dict[str, str],
    held: HeldRun,
) -> RunRecord:
    """Return the record of a run that begins."""
    return RunRecord(
        id=held.store.dir.name,
        created=now_utc(),
        status="running",
        card=card,
        task=task,
        metric_origin="none",
        given=tuple(item.record for item in taken),
        config=held.settings.model_dump(),
        config_sources=sources,
        designer=held.team.description,
        sandbox_level="unknown",
        versions=read_versions(),
    )


def _find_task(
    env: str | None, task: str | None, repeated: Repeated | None
) -> tuple[EnvCard, TaskSpec]:
    """Return the card with the task applied, and the task.

    Raises:
        UsageError: one of them is not given.
    """
    if repeated is not None:
        spec = repeated.run.task
        card = load_env(env or name_env(repeated.run))
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
    options: Mapping[str, Any], card: EnvCard, environ: Mapping[str, str], repeated: Repeated | None
) -> ResolvedSettings:
    layer = None
    if repeated is not None:
        layer = (f"run {repeated.run.id}", repeated.settings)
        # The settings of the run name it for good, where the command line may say "last".
        options = {name: value for name, value in options.items() if name != "provider"}
    return resolve_settings(options, card.budget, card.name, environ, repeated=layer)


def follow(held: HeldRun, choice: MetricChoice) -> RunRecord:
    """Choose the metric, then run the loop to its end."""
    record = held.store.read_run()
    with held.activate() as run:
        run.notify(
            RunStarted(
                record.id,
                run.card.name,
                run.task.description,
                run.task.unit,
                held.team.introduction,
                held.settings.device.removeprefix("cpu"),
            )
        )
        run.notify(SandboxChosen(record.sandbox_level))
        if held.disclosed is not None:
            run.notify(held.disclosed)
        for finding in try_own_card(run):
            run.notify(Warned(f"the card: {finding.message}; {finding.remedy}"))
        run = choose_metric(change_metric(run), choice)
        if run.metric.source is not None:
            run.notify(MetricChosen(run.metric.origin, run.task.unit))
        return run_design(run, choice)


@dataclass(frozen=True)
class HeldRun:
    """A run that this process holds, and nobody else works on."""

    store: RunStore
    settings: RunSettings
    team: Team
    listen: Listener
    disclosed: Disclosed | None = None

    @contextlib.contextmanager
    def activate(self) -> Iterator[ActiveRun]:
        """Open executor and ledger, with card, task and metric as the record has them now.

        How a run ends that is ``running`` is recorded.
        """
        record = self.store.read_run()
        is_running = record.status == "running"
        with recording_end(self.store) if is_running else contextlib.nullcontext():
            surroundings = Surroundings.survey(record.card)
            surroundings.check_against(self.store.dir)
            self.team.budget.guard = surroundings.check
            place, home = self._make_places(record)
            # Of a device's seats none is missed that is free.
            n_slots = place.n_slots if place.is_remote else home.n_slots
            ledger = TimeLedger(n_slots, record.slot_seconds, record.wall_s)
            executor = SlotExecutor(place, ledger, home)
            with telling(self.listen) as listen, contextlib.closing(executor):
                run = ActiveRun(
                    store=self.store,
                    card=record.card,
                    task=record.task,
                    metric=read_run_metric(self.store, record),
                    settings=self.settings,
                    team=self.team,
                    executor=executor,
                    ledger=ledger,
                    listen=listen,
                    surroundings=surroundings,
                    steering=Steering(self.store),
                )
                with run.steering.watch(run.notify):
                    yield run

    def _make_places(self, record: RunRecord) -> tuple[Place, Place]:
        """Return where trainings run, and where short jobs do."""
        settings = self.settings
        use_python(settings.python)
        options = ClusterOptions(
            slots=settings.slots,
            job_cpus=settings.job_cpus,
            job_gpus=settings.job_gpus,
            memory_mib=settings.memory_mib,
            folder=self.store.dir,
            address=settings.ray_address,
            tell=lambda reason: self.listen(Warned(reason)),
        )
        # What the machine can do at the start it must do for every job: the level never changes.
        mode = "strict" if record.sandbox_level == "full" else settings.sandbox
        return make_places(settings.executor, options, mode, is_warm=True, device=settings.device)


def name_env(record: RunRecord) -> str:
    """Return the name of a run's environment, which has to be one of this person's.

    Raises:
        UsageError: it is none.
    """
    if record.card.name not in list_envs():
        raise UsageError(
            f"run {record.id} was made with the environment {record.card.name}, which is none of "
            "those here; a run's directory does not say where one lies",
            "give its folder: --env FOLDER",
        )
    return record.card.name


@contextlib.contextmanager
def open_run(
    store: RunStore,
    settings: RunSettings,
    describe: Callable[[HeldRun], RunRecord],
    listen: Listener,
    environ: Mapping[str, str],
) -> Iterator[HeldRun]:
    """Hold a run, new or not, once everything is there that it needs.

    Args:
        store: its directory, which may not be there yet.
        settings: what it is worked on with.
        describe: returns the record that is written, but for the sandbox; asked again once the
            lock is held, since whoever held it may have written another.
        listen: receives every event.
        environ: where keys are looked up.

    Raises:
        UsageError: another process works on the run, or something that it needs is missing.
    """
    cancel = threading.Event()
    team = make_team(
        settings,
        store.dir,
        environ,
        cancel,
        lambda reason: listen(Retrying(reason)),
        lambda reason: listen(Warned(reason)),
    )
    # Pinned: a run that is taken up again without the key must not change its designer.
    provider = settings.provider or choose_provider(environ).spec
    held = HeldRun(store, settings.model_copy(update={"provider": provider}), team, listen)
    record = describe(held)
    held = replace(held, disclosed=disclose(held.settings, environ, len(record.given)))
    record.card.check_learner()
    if record.status == "running" and EXECUTORS.find(settings.executor).is_here:
        require_backend(record.card)
        record.card.learner.require()
    level = check_isolation(settings.sandbox)
    with store.lock():
        store.note_lost()
        take_back(store.dir / AGENT_FOLDER)
        record = describe(held)
        levels = [item for item in LEVELS if item in (level, record.sandbox_level)]
        store.write_run(record.model_copy(update={"sandbox_level": levels[-1]}))
        try:
            yield held
        finally:
            cancel.set()
            team.budget.close()


def read_versions() -> dict[str, str]:
    """Return the versions of the packages that decide what a run computes."""
    versions = {}
    for name in (*_PACKAGES, *BACKENDS.list_packages(), *LEARNERS.list_packages()):
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = _find_version(name)
    return dict.fromkeys(_PACKAGES, "not installed") | {"reward-agent": __version__} | versions
