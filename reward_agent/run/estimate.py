"""What a design run is expected to cost, before anything is spent.

The prompts are rendered and measured; how often a program must be repaired, how long replies are
and how fast this machine trains are assumptions, told with the numbers. A hard bound is
``--max-usd``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reward_agent.definitions.card import EnvCard, load_env
from reward_agent.definitions.paths import find_runs_dir
from reward_agent.definitions.task import TaskSpec, apply_task, read_task_metric, resolve_task
from reward_agent.designers.brief import N_HISTORY_ROUNDS
from reward_agent.designers.preview import Subject, estimate_tokens, preview_prompt
from reward_agent.errors import DataError, UsageError
from reward_agent.executors.slots import count_slots
from reward_agent.llm.models import ModelCard, find_model, load_models
from reward_agent.llm.provider import Provider, find_provider
from reward_agent.llm.registry import choose_provider
from reward_agent.records.settings import RunSettings, resolve_settings
from reward_agent.records.store import RunStore, list_runs, read_record
from reward_agent.types import Record, TrainingResult

FloatArray = NDArray[np.float64]

# Each of these is the low end, the likely number and the high end, as are all arrays here: (3,).
# Env steps a second of one training, where none was measured; the fastest costs the least time.
_RATES = np.array([10_000.0, 4_000.0, 1_500.0])
# A learner of the library, which updates its networks once an env step.
_OFF_POLICY_RATES = np.array([300.0, 120.0, 30.0])
# Share of the full budget that racing spends; all of it where two near ties are alone.
_RACED = np.array([0.3, 0.45, 1.0])
_REPLY_S = np.array([8.0, 25.0, 90.0])
# Tokens beside the rendered prompt: what was measured of the best program (few fields, many), and
# of an earlier one.
_SUMMARY_TOKENS = np.array([900.0, 2_600.0, 3_500.0])
_ENTRY_TOKENS = np.array([90.0, 150.0, 400.0])
_REPLY_TOKENS = {
    "designer": np.array([900.0, 2_500.0, 8_000.0]),
    "critic": np.array([200.0, 700.0, 4_000.0]),
    "analyzer": np.array([250.0, 800.0, 4_000.0]),
}
# Tokenisers differ by about as much as this.
_PROMPT = np.array([0.85, 1.0, 1.3])
# Share of the input that the provider's prompt cache serves.
_CACHED = np.array([0.8, 0.5, 0.0])
_N_RUNS_READ = 20


class Range(Record):
    """A number of which only the size is known."""

    low: float
    likely: float
    high: float

    @classmethod
    def of(cls, ends: FloatArray) -> Range:
        """Return the range of three numbers."""
        low, likely, high = ends.tolist()
        return cls(low=low, likely=likely, high=high)

    def __mul__(self, factor: float) -> Range:
        """Scale a range."""
        return Range(low=self.low * factor, likely=self.likely * factor, high=self.high * factor)


class Estimate(Record):
    """What a run is expected to take; ``usd`` is None where no price is known."""

    provider: str
    model: str
    calls: Range
    input_tokens: Range
    output_tokens: Range
    usd: Range | None
    env_steps: Range
    wall_s: Range
    notes: tuple[str, ...]


def estimate_design(
    env: str | None,
    task: str | None,
    *,
    runs_dir: Path | None = None,
    environ: Mapping[str, str] | None = None,
    **options: Any,
) -> Estimate:
    """Estimate a design run; nothing is sent, trained or written.

    Args:
        env: name of an environment, or its folder.
        task: name of a task, or a sentence.
        runs_dir: earlier runs there tell how fast this machine trains.
        environ: environment variables; the process's own by default.
        options: settings by the names of ``RunSettings``.

    Raises:
        UsageError: the environment or the task is missing, or a setting is not right.
    """
    if env is None or task is None:
        raise UsageError("an estimate needs --env and --task", "give both, as for the run itself")
    environ = os.environ if environ is None else environ
    card = load_env(env)
    spec = resolve_task(card, task)
    card = apply_task(card, spec)
    settings = resolve_settings(options, card.budget, card.name, environ).settings
    card = card.choose_learner(settings.algo)
    provider = find_provider(settings.provider or choose_provider(environ).spec)
    model = settings.model or provider.default_model or provider.name
    has_metric = read_task_metric(card, spec) is not None
    calls = _count_calls(settings, provider, has_metric)
    inputs, outputs = _count_tokens(Subject(card, spec), settings, calls)
    rate, how = _find_rate(card, find_runs_dir(runs_dir))
    steps = _count_steps(settings)
    total = sum(calls.values(), np.zeros(3))
    price = None if provider.is_free else find_model(model)
    usd = np.zeros(3) if provider.is_free else _price(price, inputs, outputs)
    return Estimate(
        provider=provider.name,
        model=model,
        calls=Range.of(total),
        input_tokens=Range.of(inputs),
        output_tokens=Range.of(outputs),
        usd=None if usd is None else Range.of(usd),
        env_steps=Range.of(steps),
        wall_s=Range.of(_estimate_time(settings, total, steps, rate)),
        notes=tuple(_list_notes(settings, price, provider, model, how, spec, has_metric)),
    )


def _count_calls(
    settings: RunSettings, provider: Provider, has_metric: bool
) -> dict[str, FloatArray]:
    """Return the calls of each agent."""
    if provider.makes == "designer":
        return {}
    n = settings.candidates * settings.iterations
    repairs = settings.max_repairs
    # Repairs and revisions: none; one program in two needs one; every one needs all.
    designer = np.array([1.0, 1.5 if repairs else 1.0, 1.0 + repairs])
    has_critic = settings.critic and "critic" in provider.agents
    if has_critic:
        designer += np.array([0.0, 0.3, 1.0 + repairs])
    calls = {"designer": n * designer}
    if not has_metric:
        calls["designer"] += np.array([1.0, 1.0, 1.0 + repairs])
    # A reply of theirs that is not valid is asked for once more.
    if has_critic:
        calls["critic"] = n * np.array([1.0, 1.0, 2.0])
    if settings.analyzer and "analyzer" in provider.agents:
        calls["analyzer"] = n * np.array([0.8, 1.0, 2.0])
    return calls


def _count_tokens(
    subject: Subject, settings: RunSettings, calls: Mapping[str, FloatArray]
) -> tuple[FloatArray, FloatArray]:
    """Return input and output tokens, from prompts that are rendered for the purpose."""
    n_earlier = settings.candidates * min(N_HISTORY_ROUNDS, settings.iterations) / 2
    later = (settings.iterations - 1) / settings.iterations
    history = (_SUMMARY_TOKENS + _ENTRY_TOKENS * n_earlier) * later
    prompts = {
        "designer": _measure("designer/first", subject) + history,
        "critic": _measure("critic/review", subject),
        "analyzer": _measure("analyzer/analyse", subject) + _SUMMARY_TOKENS,
    }
    inputs, outputs = np.zeros(3), np.zeros(3)
    for agent, n_calls in calls.items():
        inputs += n_calls * prompts[agent]
        outputs += n_calls * np.minimum(_REPLY_TOKENS[agent], settings.reply_tokens)
    return inputs, outputs


def _measure(name: str, subject: Subject) -> FloatArray:
    """Return the tokens of a prompt."""
    return _PROMPT * estimate_tokens(preview_prompt(name, subject).prompt)


def _price(card: ModelCard | None, inputs: FloatArray, outputs: FloatArray) -> FloatArray | None:
    """Return US dollars; None where no price is known."""
    if card is None:
        return None
    input_price = _CACHED * card.cached_input + (1 - _CACHED) * max(card.input, card.cache_write)
    return (inputs * input_price + outputs * card.output) / 1e6


def _count_steps(settings: RunSettings) -> FloatArray:
    n_programs = settings.candidates * settings.iterations
    is_raced = settings.racing != "none" and settings.candidates > 1
    n_trainings = n_programs * (_RACED if is_raced else np.ones(3))
    return (n_trainings + min(2, n_programs) * settings.winner_seeds) * settings.steps


def _estimate_time(
    settings: RunSettings, calls: FloatArray, steps: FloatArray, rate: FloatArray
) -> FloatArray:
    """Return seconds: trainings side by side, and replies of which several come at a time."""
    n_at_a_time = min(8, settings.candidates)
    training_s = steps / rate / count_slots(settings.slots)
    total: FloatArray = training_s + calls * _REPLY_S / n_at_a_time
    return total


def _find_rate(card: EnvCard, runs_dir: Path) -> tuple[FloatArray, str]:
    """Return env steps a second of one training, fastest first, and where the number is from."""
    rates = [
        rate for store in list_runs(runs_dir)[-_N_RUNS_READ:] for rate in _read_rates(store, card)
    ]
    if not rates:
        guess = _OFF_POLICY_RATES if card.training.kind.is_off_policy else _RATES
        return guess, f"no earlier run of {card.name} here: the speed is a guess"
    usual = median(rates)
    measured = np.array([max(rates), usual, min(rates)])
    return measured, f"speed from {len(rates)} earlier trainings: {usual:,.0f} steps/s"


def _read_rates(store: RunStore, card: EnvCard) -> list[float]:
    try:
        earlier = store.read_run().card
        if (earlier.name, earlier.learner.algo) != (card.name, card.learner.algo):
            return []
        paths = store.dir.glob("iterations/*/candidates/*/training.json")
        return [
            result.steps_per_s
            for result in (read_record(path, TrainingResult) for path in paths)
            if result.steps_per_s > 0
        ]
    except DataError:  # a run of another version has no say
        return []


def _list_notes(
    settings: RunSettings,
    price: ModelCard | None,
    provider: Provider,
    model: str,
    speed: str,
    task: TaskSpec,
    has_metric: bool,
) -> list[str]:
    notes = [
        f"{settings.candidates} programs x {settings.iterations} rounds x {settings.steps:,} "
        f"steps, {settings.winner_seeds} fresh seeds for each of the two best",
        speed,
    ]
    if provider.is_free:
        notes.append(f"{provider.name} costs nothing")
    elif price is None:
        notes.append(f"no price is known for {model!r}; --max-tokens and --max-calls bound a run")
    else:
        notes.append(
            f"prices of {load_models().checked}: {price.input:g} USD in, {price.output:g} out per "
            "million tokens; --max-usd is a hard limit"
        )
    if not has_metric:
        notes.append(f"{task.name!r} has no metric: the Designer proposes one first")
    return notes
