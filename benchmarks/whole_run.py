"""What a design run takes beside its purpose: time, memory of the parent, disk."""

from __future__ import annotations

from benchmarks.measurements import Row, WholeRun
from benchmarks.options import Group, Options, describe_failures
from benchmarks.pool import Call

_WASTE_BAR, _PARENT_BAR, _DISK_BAR = 3.0, 150, 3.0  # %, MiB, MiB


def plan(options: Options) -> list[Call]:
    """Return the reading of a run, or a run of the offline designer."""
    if options.run_dir is not None:
        return [Call("whole_run.read_run", {"run_dir": str(options.run_dir.resolve())})]
    return [Call("whole_run.make_run", {"env": "hopper", "steps": options.steps})]


def compute(options: Options, results: list[object]) -> list[Row]:
    """Return the shares and sizes of the run."""
    runs = [item for item in results if isinstance(item, WholeRun)]
    if not runs:
        return [Row(name="a design run", note=describe_failures(results))]
    run, mib = runs[0], 2**20
    total = sum(run.slot_seconds.values())
    shares = ", ".join(f"{k} {v / total:.1%}" for k, v in run.slot_seconds.items())
    sizes = tuple(size / mib for size in run.candidate_bytes)
    rows = [
        Row(
            name="outside LLM, physics, policy, update, evaluation",
            value=100.0 * run.waste,
            unit="%",
            bar=f"<= {_WASTE_BAR}",
            note=f"of {run.wall_s:.0f} s: {shares}",
        ),
        Row(
            name="disk of a trained candidate, the largest",
            value=max(sizes, default=None),
            unit="MiB",
            bar=f"<= {_DISK_BAR}",
            ours=sizes,
        ),
    ]
    if run.parent_peak_mib is not None:
        name = "peak memory of the parent during a run"
        bar = f"<= {_PARENT_BAR}"
        rows.append(Row(name=name, value=run.parent_peak_mib, unit="MiB", bar=bar))
    return rows


GROUP = Group(plan, compute)
