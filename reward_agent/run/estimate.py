"""What a design run is expected to cost, before anything is spent.

Calls times tokens, steps by steps a second: what is usual, and the most that the settings allow.
The prompts are rendered and measured. A hard bound is ``--max-usd``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from reward_agent.definitions.card import EnvCard, load_env
from reward_agent.definitions.paths import find_runs_dir
from reward_agent.definitions.task import TaskSpec, apply_task, read_task_metric, resolve_task
from reward_agent.designers.brief import N_HISTORY_ROUNDS
from reward_agent.designers.history import read_history
from reward_agent.designers.preview import Subject, estimate_tokens, preview_prompt
from reward_agent.device.fitness import find_obstacle
from reward_agent.errors import DataError, UsageError
from reward_agent.executors.device_survey import survey_device
from reward_agent.executors.slots import count_slots
from reward_agent.llm.models import name_source
from reward_agent.llm.provider import (
    PROVIDERS,
    Provider,
    ProviderOptions,
    choose_provider,
    find_provider,
)
from reward_agent.records.layers import resolve_settings
from reward_agent.records.options import RunOptions
from reward_agent.records.settings import EndpointSettings, RunSettings
from reward_agent.records.store import RunStore, list_runs
from reward_agent.run.adversary import PAYS, count_adversary_steps
from reward_agent.types import Record

# What is usual, and the most: (2,).
Pair = NDArray[np.float64]
# Calls, input tokens and output tokens: (3, 2).
Counted = NDArray[np.float64]

# Of the repairs and revisions that are allowed, the share that is needed; calls until a review or
# an analysis is valid.
_NEEDED, _TRIES = np.array([0.25, 1.0]), np.array([1.0, 2.0])
# Share of the full budget that racing spends; all of it where two near ties are alone.
_RACED = np.array([0.45, 1.0])
# The same where programs race with several seeds: new ones take the seats of who was stopped after
# the first of eight slices, and begin at nothing.
_SEATED = np.array([0.7, 1.125])
# Of a run's env steps, what may go into Gymnasium's own reward where nobody says.
_OWN_SHARE = 0.1
# Tokens beside the rendered prompt: what was measured of the best program, and of an earlier one.
_SUMMARY_TOKENS, _ENTRY_TOKENS = 2_600.0, 150.0
# The measurements of large environments are longer; tokenisers differ.
_PROMPT = np.array([1.0, 1.5])
_REPLY_TOKENS = {
    "designer": 2_500.0, "critic": 700.0, "second reading": 500.0, "analyzer": 800.0,
    "judge": 900.0,
}  # fmt: skip
# Of what a proposed metric says of behaviours; share of rounds after which it is read again.
_TABLE_TOKENS, _LED_NOWHERE = 2_000.0, np.array([0.0, 1.0])
# Films of a policy: the median alone, or best and worst as well.
_SHOWN = np.array([1.0, 3.0])
# Of a sheet of frames as it is drawn: about what anthropic counts, and the most that anybody does.
_SHEET_TOKENS = np.array([1_600.0, 3_000.0])
_REPLY_S = np.array([25.0, 90.0])
# Share of the input that the provider's prompt cache serves.
_CACHED = np.array([0.5, 0.0])
# Env steps a second of one training where none was measured: by our learner, and by one of the
# library that updates its networks once an env step.
_RATES, _OFF_POLICY_RATES = np.array([4_000.0, 1_500.0]), np.array([120.0, 30.0])
_N_RUNS_READ = 20


class Range(Record):
    """A number of which only the size is known: the likely one and the highest."""

    likely: float
    high: float

    def __mul__(self, factor: float) -> Range:
        """Scale a range."""
        return Range(likely=self.likely * factor, high=self.high * factor)


class Expense(Record):
    """What calls are expected to cost.

    ``usd`` is None where no price is known; ``each`` says what happens several times, of which this
    is one.
    """

    provider: str
    model: str
    calls: Range
    input_tokens: Range
    output_tokens: Range
    usd: Range | None
    each: str = ""


class Estimate(Expense):
    """What a run is expected to take."""

    env_steps: Range
    wall_s: Range
    notes: tuple[str, ...]


def estimate_design(
    env: str | None,
    task: str | None,
    *,
    runs_dir: Path | None = None,
    n_given: int = 0,
    environ: Mapping[str, str] | None = None,
    **options: Unpack[RunOptions],
) -> Estimate:
    """Estimate a design run; nothing is sent, trained or written.

    Args:
        env: name of an environment, or its folder.
        task: name of a task, or a sentence.
        runs_dir: earlier runs there tell how fast this machine trains.
        n_given: rewards of people that the run starts from; each is a training more.
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
    runs_dir = find_runs_dir(runs_dir)
    name, is_given, argument = (settings.provider or choose_provider(environ).spec).partition(":")
    provider = find_provider(name)
    if provider.argument and is_given:  # it says what is wrong with its file or its run
        PROVIDERS.load(name)(ProviderOptions(argument, folder=runs_dir / "estimate"))
    has_metric = read_task_metric(card, spec) is not None
    climbs = np.zeros(2) if has_metric else _count_climbs(settings)
    counted = _count_all(settings, provider, Subject(card, spec), climbs, has_metric=has_metric)
    expense, price_notes = _price_all(settings, provider, counted)
    n_known = n_given + trains_own_reward(settings, card)
    steps = count_steps(settings, card) + n_known * settings.steps + climbs
    n_seeds, size = count_seeds(settings, card), settings.candidates
    n_beside = size * n_seeds if n_seeds > 1 else count_slots(settings.slots)
    rate, speed_note = _find_rate(card, runs_dir, settings.device, n_beside)
    # Trainings side by side, and replies of which several come at a time.
    wall_s = steps / rate / n_beside
    n_calls = np.array([expense.calls.likely, expense.calls.high])
    wall_s += n_calls * _REPLY_S / min(8, settings.candidates)
    return Estimate(
        **dict(expense),
        env_steps=_make_range(steps),
        wall_s=_make_range(wall_s),
        notes=(
            f"{size} programs x {settings.iterations} rounds x {settings.steps:,} steps, "
            + _describe_seeds(settings, n_seeds)
            + (f", {n_given} given" if n_given else "")
            + (", Gymnasium's own reward" if n_known > n_given else ""),
            speed_note,
            *price_notes,
            *([] if has_metric else [_describe_proposal(spec.name, settings)]),
        ),
    )


def expect_round(
    settings: RunSettings, environ: Mapping[str, str], card: EnvCard, task: TaskSpec
) -> Expense:
    """Return what one round of a run that has a metric costs."""
    provider = find_provider(settings.provider or choose_provider(environ).spec)
    single = settings.model_copy(update={"iterations": 1})
    counted = _count_all(single, provider, Subject(card, task), np.zeros(2), has_metric=True)
    expense, _ = _price_all(settings, provider, counted)
    return expense.model_copy(update={"each": "round"})


def expect_analysis(settings: RunSettings, environ: Mapping[str, str], subject: Subject) -> Expense:
    """Return what it costs to have one training explained."""
    provider = find_provider(settings.provider or choose_provider(environ).spec)
    counted = _count_tokens({"analyzer": _TRIES}, subject, settings)
    return _price_all(settings, provider, counted)[0]


def expect_calls(
    settings: RunSettings,
    environ: Mapping[str, str],
    role: str,
    n_calls: Sequence[float],
    prompt_tokens: float,
) -> Expense:
    """Return what calls of one role cost.

    Args:
        settings: who is asked.
        environ: where keys are looked up.
        role: ``designer`` or ``analyzer``.
        n_calls: the likely number, and the highest.
        prompt_tokens: of one.
    """
    provider = find_provider(settings.provider or choose_provider(environ).spec)
    most = float(settings.reply_tokens)
    reply = np.array([min(_REPLY_TOKENS[role], most), most])
    counted = np.array(n_calls) * np.array([np.ones(2), _PROMPT * prompt_tokens, reply])
    return _price_all(settings, provider, {role: counted})[0]


def add_expenses(expenses: Sequence[Expense]) -> Expense:
    """Return what several cost together; of what has no known price, nobody knows."""
    first = expenses[0]
    prices = [item.usd for item in expenses if item.usd is not None]
    return Expense(
        provider=first.provider,
        model=", ".join(dict.fromkeys(item.model for item in expenses)),
        calls=_add_ranges([item.calls for item in expenses]),
        input_tokens=_add_ranges([item.input_tokens for item in expenses]),
        output_tokens=_add_ranges([item.output_tokens for item in expenses]),
        usd=_add_ranges(prices) if len(prices) == len(expenses) else None,
    )


def _add_ranges(ranges: Sequence[Range]) -> Range:
    return Range(likely=sum(item.likely for item in ranges), high=sum(item.high for item in ranges))


def _count_all(
    settings: RunSettings, provider: Provider, subject: Subject, climbs: Pair, *, has_metric: bool
) -> dict[str, Counted]:
    """Return what each role is asked; ``climbs`` are trainings on a proposed metric itself."""
    calls = _count_calls(settings, provider, has_metric)
    counted = _count_tokens(calls, subject, settings)
    n_climbs = np.sign(climbs) * len(PAYS)
    counted["judge"] = _count_judging(settings, provider, subject, n_climbs)
    return counted


def _price_all(
    settings: RunSettings, provider: Provider, counted: Mapping[str, Counted]
) -> tuple[Expense, list[str]]:
    """Return what is asked of each role as what it costs, and what is said of prices."""
    model = settings.model or provider.default_model or provider.name
    n_calls, inputs, outputs = sum(counted.values(), np.zeros((3, 2)))
    usd, notes = _add_prices(settings, provider, model, counted)
    expense = Expense(
        provider=provider.name,
        model=model,
        calls=_make_range(n_calls),
        input_tokens=_make_range(inputs),
        output_tokens=_make_range(outputs),
        usd=None if usd is None else _make_range(usd),
    )
    return expense, notes


def _make_range(pair: Pair) -> Range:
    return Range(likely=float(pair[0]), high=float(pair[1]))


def _count_calls(settings: RunSettings, provider: Provider, has_metric: bool) -> dict[str, Pair]:
    """Return the calls of each agent, of the Critic's second readings of a metric apart."""
    if provider.makes == "designer":
        return {}
    n = settings.candidates * settings.iterations
    has_critic = settings.critic and "critic" in provider.agents
    until_accepted = 1.0 + settings.max_repairs * _NEEDED
    calls = {"designer": n * until_accepted * (1.0 + has_critic * _NEEDED)}
    if not has_metric:
        calls["designer"] += until_accepted
    if has_critic:
        calls["critic"] = n * _TRIES
        if not has_metric:  # of each proposal, and again after a round that leads nowhere
            read_again = settings.iterations * _LED_NOWHERE
            calls["second reading"] = (until_accepted + read_again) * _TRIES
    if settings.analyzer and "analyzer" in provider.agents:
        calls["analyzer"] = n * _TRIES
    return calls


def _count_tokens(
    calls: Mapping[str, Pair], subject: Subject, settings: RunSettings
) -> dict[str, Counted]:
    """Return what each role is asked, from prompts that are rendered for the purpose."""
    n_earlier = settings.candidates * min(N_HISTORY_ROUNDS, settings.iterations) / 2
    later = (settings.iterations - 1) / settings.iterations
    templates = {
        "designer": ("designer/first", (_SUMMARY_TOKENS + _ENTRY_TOKENS * n_earlier) * later),
        "critic": ("critic/review", 0.0),
        "second reading": ("critic/metric", _TABLE_TOKENS),
        "analyzer": ("analyzer/analyse", _SUMMARY_TOKENS),
    }
    counted = {"designer": np.zeros((3, 2))}
    most = float(settings.reply_tokens)
    for agent, n_calls in calls.items():
        name, measured = templates[agent]
        prompt = _PROMPT * (estimate_tokens(preview_prompt(name, subject).prompt) + measured)
        reply = np.array([min(_REPLY_TOKENS[agent], most), most])
        role = "critic" if agent == "second reading" else agent
        asked = n_calls * np.array([np.ones(2), prompt, reply])
        counted[role] = counted.get(role, 0.0) + asked
    return counted


def _count_judging(
    settings: RunSettings, provider: Provider, subject: Subject, n_climbs: Pair
) -> Counted:
    """Return what the judge is asked, a sheet of frames with each call.

    Args:
        settings: of the run.
        provider: of the run.
        subject: what the prompt is about.
        n_climbs: films of trainings on a proposed metric itself.
    """
    judge, _ = _find_asked("judge", settings, provider, "")
    if settings.judge == "none" or judge.makes == "designer" or "judge" not in judge.agents:
        return np.zeros((3, 2))
    of_rounds = settings.candidates if settings.judge == "all" else 1
    n_calls = ((settings.iterations * of_rounds + 1) * _SHOWN + n_climbs) * _TRIES
    prompt = preview_prompt("judge/film", subject)
    words = _PROMPT * sum(estimate_tokens(turn.content) for turn in prompt.messages)
    most = min(float(prompt.max_output_tokens), float(settings.reply_tokens))
    reply = np.array([min(_REPLY_TOKENS["judge"], most), most])
    return np.asarray(n_calls * np.array([np.ones(2), words + _SHEET_TOKENS, reply]))


def _find_asked(
    role: str, settings: RunSettings, provider: Provider, model: str
) -> tuple[Provider, str]:
    """Return whom a role asks, and by which model."""
    asked = settings.choose_endpoint(role)
    row = find_provider(asked.provider) if asked.provider else provider
    usual = model if row is provider else row.default_model or row.name
    return row, asked.model or usual


def _add_prices(
    settings: RunSettings, provider: Provider, model: str, counted: Mapping[str, Counted]
) -> tuple[Pair | None, list[str]]:
    """Return US dollars, None where a price is not known, and what is said of them."""
    total: Pair | None = np.zeros(2)
    notes = []
    for role, (n_calls, inputs, outputs) in counted.items():
        row, name = _find_asked(role, settings, provider, model)
        usd, note = _price(settings.choose_endpoint(role), row, name, inputs, outputs)
        if role == "designer":
            notes.append(note)
        if not n_calls.any():
            continue
        total = None if total is None or usd is None else total + usd
        if role == "judge" or (row, name) != (provider, model):
            said = "no price is known" if usd is None else f"up to {usd[1]:.2f} USD"
            what = "films are judged by" if role == "judge" else f"calls of the {role} go to"
            notes.append(f"{n_calls[0]:.0f} to {n_calls[1]:.0f} {what} {name}: {said}")
    return total, notes


def _price(
    asked: EndpointSettings, provider: Provider, model: str, inputs: Pair, outputs: Pair
) -> tuple[Pair | None, str]:
    """Return US dollars, None where no price is known, and where the number is from."""
    card = ProviderOptions(base_url=asked.base_url, prices=asked.prices).find_card(provider, model)
    if card is None and provider.is_free:
        return np.zeros(2), f"{provider.name} costs nothing"
    if card is None:
        return None, f"no price is known for {model!r}; --prices says it, --max-calls bounds a run"
    rates = card.rates[0]
    input_price = _CACHED * rates.cached_input + (1 - _CACHED) * max(rates.input, rates.cache_write)
    usd: Pair = (inputs * input_price + outputs * rates.output) / 1e6
    source = f"prices of {name_source()}" if card.vendor else "your prices"
    return usd, (
        f"{source}: {rates.input:g} USD in, {rates.output:g} out per million tokens; --max-usd is "
        "a hard limit"
    )


def count_steps(settings: RunSettings, card: EnvCard) -> Pair:
    """Return the env steps of a run: what is usual, and the most."""
    n_programs, n_seeds = settings.candidates * settings.iterations, count_seeds(settings, card)
    raced = np.ones(2)
    if settings.racing != "none" and settings.candidates > 1:
        raced = _SEATED if n_seeds > 1 else _RACED
    n_confirming = min(2, n_programs) * settings.winner_seeds if n_seeds == 1 else 0
    return (n_programs * n_seeds * raced + n_confirming) * settings.steps


def count_seeds(settings: RunSettings, card: EnvCard) -> int:
    """Return with how many seeds a program races: on a device with all that confirm it."""
    if settings.device == "cpu" or card.learner.algo != "ppo" or find_obstacle(card):
        return 1
    return 1 if settings.device == "auto" and survey_device().lacks else 1 + settings.winner_seeds


def trains_own_reward(settings: RunSettings, card: EnvCard) -> bool:
    """Return whether a run trains Gymnasium's own reward as well, where there is one."""
    if settings.own_reward is not None or card.gymnasium_id is None:
        return bool(settings.own_reward and card.gymnasium_id)
    return settings.steps <= _OWN_SHARE * float(count_steps(settings, card)[0])


def _count_climbs(settings: RunSettings) -> Pair:
    """Return the env steps of the trainings on a proposed metric: on one, and on every one."""
    n_proposals = 1.0 + settings.max_repairs * np.array([0.0, 1.0])
    return n_proposals * len(PAYS) * count_adversary_steps(settings)


def _describe_seeds(settings: RunSettings, n_seeds: int) -> str:
    if n_seeds > 1:
        return f"each with {n_seeds} seeds side by side (--device {settings.device})"
    return f"{settings.winner_seeds} fresh seeds for each of the two best"


def _describe_proposal(task: str, settings: RunSettings) -> str:
    likely, most = _count_climbs(settings)
    climbs = f", and {likely:,.0f} to {most:,.0f} steps are trained on it alone" if most else ""
    return f"{task!r} has no metric: the Designer proposes one{climbs}"


def _find_rate(card: EnvCard, runs_dir: Path, device: str, n_beside: int) -> tuple[Pair, str]:
    """Return env steps a second of one of several trainings, and where the number is from."""
    known = list_runs(runs_dir)[-_N_RUNS_READ:]
    rates = [rate for store in known for rate in _read_rates(store, card, device)]
    if not rates:
        guess = _OFF_POLICY_RATES if card.learner.kind.is_off_policy else _RATES
        # All on one core.
        guess = guess / n_beside if device == "warp-cpu" else guess
        return guess, f"no earlier run of {card.name} here: the speed is a guess"
    usual = median(rates)
    note = f"speed from {len(rates)} earlier trainings: {usual:,.0f} steps/s"
    return np.array([usual, min(rates)]), note


def _read_rates(store: RunStore, card: EnvCard, device: str) -> list[float]:
    try:
        record = store.read_run()
        its_own = record.card.name, record.card.learner.algo, record.config.get("device", "cpu")
        if its_own != (card.name, card.learner.algo, device):
            return []
        trainings = [entry.training for entry in read_history(store)]
    except DataError:  # a run of another version has no say
        return []
    return [item.steps_per_s for item in trainings if item is not None and item.steps_per_s > 0]
