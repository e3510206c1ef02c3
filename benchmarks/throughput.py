"""Env steps a second of a training, ours against others, alternating in one run."""

from __future__ import annotations

from statistics import median

from benchmarks.measurements import Rate, Row
from benchmarks.options import Group, Options, describe_failures, select_rates
from benchmarks.pool import Call

OURS, DEFAULTS, ENVPOOL = "reward-agent", "sb3-defaults", "envpool"
BARS = {"hopper": 3.5, "half_cheetah": 4.0, "ant": 2.5}
# A few seconds of each side; Stable-Baselines3's default rollout with 8 environments is 16,384.
_STEPS = {"hopper": 65_536, "half_cheetah": 65_536, "ant": 32_768}
_BASELINE_STEPS = 16_384


def plan(options: Options) -> list[Call]:
    """Return the measurements: each pair is one of ours and one of theirs."""
    calls = []
    for env in options.envs or BARS:
        steps = options.steps or _STEPS.get(env, 65_536)
        theirs = {"env": env, "steps": max(_BASELINE_STEPS, steps // 4)}
        for seed in range(options.repeats):
            ours = {"env": env, "steps": steps, "in_process": options.in_process}
            calls.append(Call("ours.measure_rate", {**ours, "seed": seed}))
            calls.append(Call("baselines.measure_rate", {**theirs, "seed": seed}))
    return calls


def compute(options: Options, results: list[object]) -> list[Row]:
    """Return the ratio of each environment, and where our time went in it."""
    rows = []
    for env in options.envs or BARS:
        ours = select_rates(results, OURS, env)
        theirs = select_rates(results, DEFAULTS, env)
        bar = f">= {BARS[env]}" if env in BARS else ""
        name = f"steps/s, {env}, against SB3 defaults"
        if not ours or not theirs:
            rows.append(Row(name=name, bar=bar, note=describe_failures(results)))
            continue
        our_rates = tuple(item.steps_per_s for item in ours)
        their_rates = tuple(item.steps_per_s for item in theirs)
        ratio = median(our_rates) / median(their_rates)
        rows.append(Row(name=name, value=ratio, bar=bar, ours=our_rates, theirs=their_rates))
        rows.append(_make_physics_row(env, ours))
    return rows


def _make_physics_row(env: str, ours: list[Rate]) -> Row:
    """Return which share of a training's time MuJoCo's steps were."""
    uses = [item.timing for item in ours if item.timing is not None]
    shares = tuple(100.0 * use.physics_s / use.total_s for use in uses)
    total = sum(uses[1:], uses[0])
    parts = ", ".join(f"{k} {v / total.total_s:.1%}" for k, v in total.to_dict().items())
    return Row(
        name=f"share of mj_step, {env}", value=median(shares), unit="%", ours=shares, note=parts
    )


def plan_envpool(options: Options) -> list[Call]:
    """Return the measurements against EnvPool, with our own settings on both sides."""
    calls = []
    arguments = {"env": "hopper", "steps": options.steps or _STEPS["hopper"]}
    for seed in range(options.repeats):
        ours = {**arguments, "seed": seed, "in_process": options.in_process}
        calls.append(Call("ours.measure_rate", ours))
        calls.append(Call("envpool.measure_rate", {**arguments, "seed": seed}))
    return calls


def compute_envpool(options: Options, results: list[object]) -> list[Row]:
    """Return the ratio, or why EnvPool could not be measured."""
    name, bar = "steps/s, hopper, against SB3 on EnvPool, same settings", ">= 1.0"
    ours, theirs = (
        tuple(item.steps_per_s for item in select_rates(results, side, "hopper"))
        for side in (OURS, ENVPOOL)
    )
    if not ours or not theirs:
        return [Row(name=name, bar=bar, note=describe_failures(results))]
    ratio = median(ours) / median(theirs)
    return [Row(name=name, value=ratio, bar=bar, ours=ours, theirs=theirs)]


GROUP = Group(plan, compute)
ENVPOOL_GROUP = Group(plan_envpool, compute_envpool)
