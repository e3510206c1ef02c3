"""Env steps a second: against others, with more environments, with trainings side by side."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.measure import (
    OURS,
    Call,
    Group,
    Measurement,
    Options,
    Rate,
    Row,
    compare_medians,
    describe_median,
    select_rates,
)

DEFAULTS, ENVPOOL_SIDE = "sb3-defaults", "envpool"
BARS = {"hopper": 3.5, "half_cheetah": 4.0, "ant": 2.5}
# A few seconds of each side; Stable-Baselines3's default rollout with 8 environments is 16,384.
_STEPS = {"hopper": 65_536, "half_cheetah": 65_536, "ant": 32_768}
_BASELINE_STEPS = 16_384
# The first is the card's, which trainings side by side have.
N_ENVS = (16, 64, 256, 1024)
_CHILD_BAR, _ENV_BAR = 150, 64  # MiB, KiB
_GROWING = "hopper"


def _alternate(options: Options, env: str, side: str, steps: int, their_steps: int) -> list[Call]:
    """Return the measurements of an environment: each pair is one of ours and one of theirs."""
    return [
        Call(function, {"env": env, "steps": n_steps, "seed": seed})
        for seed in range(options.repeats)
        for function, n_steps in (("ours.measure_rate", steps), (side, their_steps))
    ]


def _plan_throughput(options: Options) -> list[Call]:
    calls = []
    for env in options.envs or BARS:
        steps = options.steps or _STEPS.get(env, 65_536)
        theirs = max(_BASELINE_STEPS, steps // 4)
        calls += _alternate(options, env, "baselines.measure_rate", steps, theirs)
    return calls


def _compute_throughput(options: Options, results: Sequence[Measurement]) -> list[Row]:
    """Return the ratio of each environment, and where our time went in it."""
    rows = []
    for env in options.envs or BARS:
        ours = select_rates(results, OURS, env)
        rows.append(_compare(env, DEFAULTS, f">= {BARS[env]}" if env in BARS else "", results))
        uses = [item.timing for item in ours if item.timing is not None]
        if uses:
            total = sum(uses[1:], uses[0])
            parts = ", ".join(f"{k} {v / total.total_s:.1%}" for k, v in total.to_dict().items())
            shares = [100.0 * use.physics_s / use.total_s for use in uses]
            rows.append(describe_median(f"share of mj_step, {env}", "%", "", shares, parts))
    return rows


def _compare(env: str, side: str, bar: str, results: Sequence[Measurement]) -> Row:
    ours, theirs = (
        [item.steps_per_s for item in select_rates(results, name, env)] for name in (OURS, side)
    )
    return compare_medians(f"steps/s, {env}, against {side}", bar, ours, theirs)


def _plan_envpool(options: Options) -> list[Call]:
    """Return the measurements against EnvPool, with our own settings on both sides."""
    steps = options.steps or _STEPS["hopper"]
    return _alternate(options, "hopper", "baselines.measure_envpool", steps, steps)


def _compute_envpool(options: Options, results: Sequence[Measurement]) -> list[Row]:
    return [_compare("hopper", ENVPOOL_SIDE, ">= 1.0", results)]


def _plan_growth(options: Options) -> list[Call]:
    """Return trainings with more and more environments, then more and more side by side."""
    arguments = {"env": _GROWING, "steps": options.steps or _STEPS[_GROWING]}
    calls = [Call("ours.measure_rate", {**arguments, "n_envs": n}) for n in N_ENVS]
    n = 2
    while n <= max(2, options.n_slots):
        calls.append(Call("ours.measure_side_by_side", {**arguments, "n": n}))
        n *= 2
    return calls


def _compute_growth(options: Options, results: Sequence[Measurement]) -> list[Row]:
    """Return rates and memory."""
    found = select_rates(results, OURS, _GROWING)
    rates = {item.n_envs: item for item in found if item.n_side_by_side == 1}
    rows = [
        Row(name=f"steps/s, {_GROWING}, {n} envs", value=rate.steps_per_s, unit="/s")
        for n, rate in rates.items()
    ]
    rows += _make_memory_rows(rates)
    totals: dict[int, float] = {}
    for rate in found:
        if rate.n_side_by_side > 1:
            totals[rate.n_side_by_side] = totals.get(rate.n_side_by_side, 0.0) + rate.steps_per_s
    rows += [
        Row(name=f"steps/s, {_GROWING}, {n} trainings side by side", value=total, unit="/s")
        for n, total in totals.items()
    ]
    return rows


def _make_memory_rows(rates: dict[int, Rate]) -> list[Row]:
    peaks = {n: rate.peak_mib for n, rate in rates.items() if rate.peak_mib}
    if 64 not in peaks:
        return []
    name = f"peak memory of a {_GROWING} training, 64 envs"
    rows = [Row(name=name, value=peaks[64], unit="MiB", bar=f"<= {_CHILD_BAR}")]
    most = max(peaks)
    if most > 64:
        each = 1024.0 * (peaks[most] - peaks[64]) / (most - 64)
        name, note = "memory of each further env", f"from 64 to {most} envs"
        rows.append(Row(name=name, value=each, unit="KiB", bar=f"<= {_ENV_BAR}", note=note))
    return rows


THROUGHPUT = Group(_plan_throughput, _compute_throughput)
ENVPOOL = Group(_plan_envpool, _compute_envpool)
GROWTH = Group(_plan_growth, _compute_growth)
