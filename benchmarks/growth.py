"""How cost grows: with the environments of a training, and with trainings side by side."""

from __future__ import annotations

from benchmarks.measurements import Rate, Row
from benchmarks.options import Group, Options, describe_failures
from benchmarks.pool import Call

ENV = "hopper"
# The first is the card's, which trainings side by side have.
N_ENVS = (16, 64, 256, 1024)
_STEPS = 65_536
_CHILD_BAR, _ENV_BAR = 700, 64  # MiB, KiB
_N_CORES_ON_PAPER = 64


def plan(options: Options) -> list[Call]:
    """Return trainings with more and more environments, then more and more side by side."""
    steps, in_process = options.steps or _STEPS, options.in_process
    arguments = {"env": ENV, "steps": steps, "in_process": in_process}
    calls = [Call("ours.measure_rate", {**arguments, "n_envs": n}) for n in N_ENVS]
    for n in _list_side_by_side(options.n_slots):
        calls.append(Call("ours.measure_side_by_side", {**arguments, "n": n}))
    return calls


def compute(options: Options, results: list[object]) -> list[Row]:
    """Return rates, memory, and what follows on paper for many cores."""
    found = [item for item in results if isinstance(item, Rate)]
    rates = {item.n_envs: item for item in found if item.n_side_by_side == 1}
    rows = [
        Row(name=f"steps/s, {ENV}, {n} envs", value=rate.steps_per_s, unit="/s")
        for n, rate in rates.items()
    ]
    rows += _make_memory_rows(rates)
    totals = {1: rates[N_ENVS[0]].steps_per_s} if N_ENVS[0] in rates else {}
    for rate in found:
        if rate.n_side_by_side > 1:
            so_far = totals.get(rate.n_side_by_side, 0.0)
            totals[rate.n_side_by_side] = so_far + rate.steps_per_s
    rows += [
        Row(name=f"steps/s, {ENV}, {n} trainings side by side", value=total, unit="/s")
        for n, total in totals.items()
    ]
    if 1 in totals and len(totals) > 1:
        rows.append(_extrapolate(totals))
    failures = describe_failures(results)
    return [*rows, Row(name="measurements that failed", note=failures)] if failures else rows


def _list_side_by_side(n_slots: int) -> list[int]:
    """Return 2, 4, … up to the number of slots."""
    counts = [2]
    while counts[-1] * 2 <= n_slots:
        counts.append(counts[-1] * 2)
    return counts


def _make_memory_rows(rates: dict[int, Rate]) -> list[Row]:
    peaks = {n: rate.peak_mib for n, rate in rates.items() if rate.peak_mib}
    rows = []
    if 64 in peaks:
        name = f"peak memory of a {ENV} training, 64 envs"
        rows.append(Row(name=name, value=peaks[64], unit="MiB", bar=f"<= {_CHILD_BAR}"))
    most = max(peaks, default=0)
    if 64 in peaks and most > 64:
        each = 1024.0 * (peaks[most] - peaks[64]) / (most - 64)
        name = "memory of each further env"
        note = f"from 64 to {most} envs"
        rows.append(Row(name=name, value=each, unit="KiB", bar=f"<= {_ENV_BAR}", note=note))
    return rows


def _extrapolate(totals: dict[int, float]) -> Row:
    """Return steps/s on paper for many cores.

    Model (Gunther's universal scalability law without its coherence term, that is Amdahl's): n
    trainings share nothing but memory bandwidth and caches, so their total is
    ``n r / (1 + s (n - 1))`` with the rate r of one alone and s fitted to the largest n measured.
    """
    n = max(totals)
    alone = totals[1]
    contention = max(0.0, (n * alone / totals[n] - 1.0) / (n - 1))
    slots = _N_CORES_ON_PAPER - 1
    total = slots * alone / (1.0 + contention * (slots - 1))
    note = (
        f"on paper, not measured: n r / (1 + s (n - 1)) with r = {alone:,.0f}/s of one training "
        f"and s = {contention:.4f} fitted at n = {n}; {slots} trainings, one core left"
    )
    name = f"steps/s, {ENV}, {_N_CORES_ON_PAPER} cores"
    return Row(name=name, value=total, unit="/s", note=note)


GROUP = Group(plan, compute)
