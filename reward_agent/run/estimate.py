"""What a design run is expected to cost, before anything is spent.

The prompts are rendered and measured; how often a program must be repaired, how long replies are
and how fast this machine trains are assumptions, told with the numbers. A hard bound is
``--max-usd``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from reward_agent.definitions.card import EnvCard, load_env
from reward_agent.definitions.paths import find_runs_dir
from reward_agent.definitions.task import TaskSpec, apply_task, read_task_metric, resolve_task
from reward_agent.designers.preview import Subject, estimate_tokens, preview_prompt
from reward_agent.errors import DataError, UsageError
from reward_agent.executors.slots import count_slots
from reward_agent.llm.models import ModelCard, find_model, load_models
from reward_agent.llm.provider import Provider, find_provider
from reward_agent.llm.registry import choose_provider
from reward_agent.records.settings import RunSettings, resolve_settings
from reward_agent.records.store import RunStore, list_runs, read_record
from reward_agent.types import Record, TrainingResult

# Env steps a second of one training, where none was measured; the fastest costs the least time.
_RATES = (10_000.0, 4_000.0, 1_500.0)
# Share of the full budget that racing spends; all of it where two near ties are alone.
_RACED = (0.3, 0.45, 1.0)
_REPLY_S = (8.0, 25.0, 90.0)
_N_RUNS_READ = 20
# Tokens beside the rendered prompt: what was measured of the best program (few fields, many), and
# of an earlier one.
_SUMMARY_TOKENS = (900, 2_600, 3_500)
_ENTRY_TOKENS = (90, 150, 400)
_REPLY_TOKENS = {
    "designer": (900, 2_500, 8_000),
    "critic": (200, 700, 4_000),
    "analyzer": (250, 800, 4_000),
}
# Share of the input that the provider's prompt cache serves.
_CACHED = (0.8, 0.5, 0.0)
_N_HISTORY_ROUNDS = 4


class Range(Record):
    """A number of which only the size is known."""

    low: float
    likely: float
    high: float

    def __add__(self, other: Range) -> Range:
        """Add two ranges end by end."""
        return Range(
            low=self.low + other.low, likely=self.likely + other.likely, high=self.high + other.high
        )

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
    provider = find_provider(settings.provider or choose_provider(environ).spec)
    model = settings.model or load_models().default.get(provider.name, provider.name)
    has_metric = read_task_metric(card, spec) is not None
    calls = _count_calls(settings, provider, has_metric)
    inputs, outputs = _count_tokens(Subject(card, spec), settings, calls)
    rate, how = _find_rate(card, find_runs_dir(runs_dir))
    steps = _count_steps(settings)
    total = sum(calls.values(), _make_range((0, 0, 0)))
    price = None if provider.is_free else find_model(model)
    return Estimate(
        provider=provider.name,
        model=model,
        calls=total,
        input_tokens=inputs,
        output_tokens=outputs,
        usd=_price(price, inputs, outputs, is_free=provider.is_free),
        env_steps=steps,
        wall_s=_estimate_time(settings, total, steps, rate),
        notes=tuple(_list_notes(settings, price, provider, model, how, spec, has_metric)),
    )


def _make_range(values: Iterable[float]) -> Range:
    low, likely, high = values
    return Range(low=low, likely=likely, high=high)


def _count_calls(settings: RunSettings, provider: Provider, has_metric: bool) -> dict[str, Range]:
    """Return the calls of each agent."""
    if provider.makes == "designer":
        return {}
    n = settings.candidates * settings.iterations
    repairs = settings.max_repairs
    # Repairs and revisions: none; one program in two needs one; every one needs all.
    revisions = (0.0, 0.3, 1.0 + repairs) if settings.critic else (0.0, 0.0, 0.0)
    per_program = (1.0, 1.5 if repairs else 1.0, 1.0 + repairs)
    calls = {
        "designer": _make_range(a + b for a, b in zip(per_program, revisions, strict=True)) * n
    }
    if not has_metric:
        calls["designer"] += _make_range((1, 1, 1 + repairs))
    # A reply of theirs that is not valid is asked for once more.
    if settings.critic:
        calls["critic"] = _make_range((1.0, 1.0, 2.0)) * n
    if settings.analyzer:
        calls["analyzer"] = _make_range((0.8, 1.0, 2.0)) * n
    return calls


def _count_tokens(
    subject: Subject, settings: RunSettings, calls: Mapping[str, Range]
) -> tuple[Range, Range]:
    """Return input and output tokens, from prompts that are rendered for the purpose."""
    n_earlier = settings.candidates * min(_N_HISTORY_ROUNDS, settings.iterations) / 2
    later = (settings.iterations - 1) / settings.iterations
    summary = _make_range(_SUMMARY_TOKENS)
    history = (summary + _make_range(_ENTRY_TOKENS) * n_earlier) * later
    prompts = {
        "designer": _measure("designer/first", subject) + history,
        "critic": _measure("critic/review", subject),
        "analyzer": _measure("analyzer/analyse", subject) + summary,
    }
    inputs, outputs = _make_range((0, 0, 0)), _make_range((0, 0, 0))
    for agent, n_calls in calls.items():
        reply = _make_range(min(size, settings.reply_tokens) for size in _REPLY_TOKENS[agent])
        inputs += _multiply(n_calls, prompts[agent])
        outputs += _multiply(n_calls, reply)
    return inputs, outputs


def _multiply(left: Range, right: Range) -> Range:
    """Multiply two ranges end by end."""
    return Range(
        low=left.low * right.low, likely=left.likely * right.likely, high=left.high * right.high
    )


def _measure(name: str, subject: Subject) -> Range:
    """Return the tokens of a prompt; tokenisers differ by about as much as this."""
    n_tokens = estimate_tokens(preview_prompt(name, subject).prompt)
    return _make_range((0.85 * n_tokens, n_tokens, 1.3 * n_tokens))


def _price(card: ModelCard | None, inputs: Range, outputs: Range, *, is_free: bool) -> Range | None:
    if is_free:
        return _make_range((0, 0, 0))
    if card is None:
        return None
    prices = [
        share * card.cached_input + (1 - share) * max(card.input, card.cache_write)
        for share in _CACHED
    ]
    ends = zip(
        (inputs.low, inputs.likely, inputs.high),
        prices,
        (outputs.low, outputs.likely, outputs.high),
        strict=True,
    )
    return _make_range((n * price + out * card.output) / 1e6 for n, price, out in ends)


def _count_steps(settings: RunSettings) -> Range:
    search = settings.candidates * settings.iterations * settings.steps
    shares = (1.0, 1.0, 1.0) if settings.racing == "none" or settings.candidates < 2 else _RACED
    n_confirmed = min(2, settings.candidates * settings.iterations)
    confirmations = n_confirmed * settings.winner_seeds * settings.steps
    return _make_range(search * share + confirmations for share in shares)


def _estimate_time(settings: RunSettings, calls: Range, steps: Range, rate: Range) -> Range:
    """Return seconds: trainings side by side, and replies of which several come at a time."""
    n_slots = count_slots(settings.slots)
    n_at_a_time = min(8, settings.candidates)
    training = (steps.low / rate.low, steps.likely / rate.likely, steps.high / rate.high)
    replies = (calls.low, calls.likely, calls.high)
    return _make_range(
        train_s / n_slots + n * reply_s / n_at_a_time
        for train_s, n, reply_s in zip(training, replies, _REPLY_S, strict=True)
    )


def _find_rate(card: EnvCard, runs_dir: Path) -> tuple[Range, str]:
    """Return env steps a second of one training, fastest first, and where the number is from."""
    rates = [
        rate
        for store in list_runs(runs_dir)[-_N_RUNS_READ:]
        for rate in _read_rates(store, card.name)
    ]
    if not rates:
        return _make_range(_RATES), f"no earlier run of {card.name} here: the speed is a guess"
    usual = median(rates)
    measured = _make_range((max(rates), usual, min(rates)))
    return measured, f"speed from {len(rates)} earlier trainings: {usual:,.0f} steps/s"


def _read_rates(store: RunStore, env: str) -> list[float]:
    try:
        if store.read_run().card.name != env:
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
