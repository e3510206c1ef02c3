"""``scripts/bench speed``: how fast trainings are and what is around them, as ratios."""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pydantic import ValidationError

from benchmarks import (
    growth,
    learning,
    racing,
    reward_cost,
    throughput,
    verdict,
    whole_run,
)
from benchmarks.measurements import Machine, Measurement, Row, SpeedReport
from benchmarks.options import Group, Options
from benchmarks.pool import run_calls
from reward_agent.errors import DataError, UnknownNameError

GROUPS: dict[str, Group] = {
    "throughput": throughput.GROUP,
    "envpool": throughput.ENVPOOL_GROUP,
    "learning": learning.GROUP,
    "reward-cost": reward_cost.GROUP,
    "racing": racing.GROUP,
    "growth": growth.GROUP,
    "verdict": verdict.GROUP,
    "run": whole_run.GROUP,
}


def run_speed(names: Sequence[str], options: Options, path: Path | None = None) -> SpeedReport:
    """Measure some groups of rows.

    Args:
        names: of ``GROUPS``.
        options: how much is measured.
        path: of the JSON file, written anew after each measurement.

    Raises:
        UnknownNameError: there is no such group.
    """
    groups = _find_groups(names)
    keeper = _Keeper(SpeedReport(machine=describe_machine(options), rows=()), path)
    for group in groups:
        n_slots = options.n_slots if group.has_slots else 1
        results = run_calls(group.plan(options), n_slots, keeper.add_measurements)
        keeper.add_rows(group.compute(options, list(_flatten(results))))
    return keeper.report


def recompute_rows(names: Sequence[str], options: Options, path: Path) -> SpeedReport:
    """Return a stored report with its rows computed anew from its measurements.

    Raises:
        UnknownNameError: there is no such group.
        DataError: the file is no report.
    """
    try:
        report = SpeedReport.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path} is no report: {reason}", "give a file of --json") from error
    measured = list(report.measurements)
    rows = [row for group in _find_groups(names) for row in group.compute(options, [*measured])]
    return report.model_copy(update={"rows": tuple(rows)})


def _find_groups(names: Sequence[str]) -> list[Group]:
    for name in names:
        if name not in GROUPS:
            raise UnknownNameError("group of rows", name, GROUPS)
    return [GROUPS[name] for name in names]


def _flatten(results: Sequence[object]) -> Iterator[object]:
    """Yield each result; a call may measure several things."""
    for result in results:
        yield from result if isinstance(result, list) else [result]


class _Keeper:
    """Keeps the report, and writes it whenever it grows: a benchmark that is killed leaves it."""

    def __init__(self, report: SpeedReport, path: Path | None) -> None:
        self.report = report
        self._path = path

    def add_measurements(self, result: object) -> None:
        kept = [item for item in _flatten([result]) if isinstance(item, Measurement)]
        self._update(measurements=(*self.report.measurements, *kept))

    def add_rows(self, rows: Sequence[Row]) -> None:
        self._update(rows=(*self.report.rows, *rows))

    def _update(self, **changes: object) -> None:
        self.report = self.report.model_copy(update=changes)
        if self._path is not None:
            self._path.write_text(self.report.model_dump_json(indent=1) + "\n", encoding="utf-8")


def describe_machine(options: Options) -> Machine:
    """Return where and how the numbers are taken."""
    names = ("mujoco", "gymnasium", "stable_baselines3", "torch", "numpy", "envpool")
    return Machine(
        processor=_find_processor(),
        n_cores=os.cpu_count() or 1,
        n_slots=options.n_slots,
        load=os.getloadavg()[0],
        versions={"python": platform.python_version(), **_find_versions(names)},
        isolation="none: trained in the benchmark's process" if options.in_process else "sandbox",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def render_speed(report: SpeedReport) -> str:
    """Return the table that a person reads."""
    lines = [f"{'row':<52} {'value':>9} {'must be':>9}     ours (median)  theirs (median)"]
    for row in report.rows:
        mark = {True: "ok", False: "MISSED", None: ""}[row.is_reached]
        value = "-" if row.value is None else f"{row.value:,.3g} {row.unit}"
        sides = "".join(f"{_render_median(side):>17}" for side in (row.ours, row.theirs))
        lines.append(f"{row.name:<52} {value:>9} {row.bar:>9} {mark:<7}{sides}")
        if row.note:
            lines.append(f"    {row.note}")
    return "\n".join(lines)


@dataclass(frozen=True)
class Order:
    """What a command line asks for.

    Args:
        names: groups of rows.
        options: how much is measured.
        path: file for the numbers.
        measured: a report whose measurements are used; None to measure.
    """

    names: list[str]
    options: Options
    path: Path | None
    measured: Path | None


def parse_order(arguments: Sequence[str]) -> Order:
    """Return what the arguments after ``speed`` ask for."""
    parser = argparse.ArgumentParser(prog="scripts/bench speed", description=__doc__)
    parser.add_argument("--rows", default=",".join(GROUPS), help="groups of rows, by commas")
    parser.add_argument("--seeds", type=int, default=5, help="trainings of each side")
    parser.add_argument("--repeats", type=int, default=3, help="measurements of each rate")
    parser.add_argument("--steps", type=int, help="env steps of a measurement")
    parser.add_argument("--envs", default="", help="environments, by commas")
    parser.add_argument("--slots", type=int, default=1, help="trainings side by side")
    parser.add_argument("--limit-s", type=float, default=1200.0, help="of one foreign training")
    parser.add_argument("--deadline-s", type=float, default=86_400.0, help="of all of them")
    parser.add_argument("--in-process", action="store_true", help="train without isolation")
    parser.add_argument("--corpus", type=Path, help="reward programs, JSON lines")
    parser.add_argument("--run", type=Path, help="a finished run to read")
    parser.add_argument("--json", type=Path, help="file for the numbers")
    parser.add_argument("--measured", type=Path, help="compute rows from the numbers of a file")
    given = parser.parse_args(arguments)
    options = Options(
        seeds=given.seeds,
        repeats=given.repeats,
        steps=given.steps,
        envs=tuple(given.envs.split(",")) if given.envs else (),
        n_slots=given.slots,
        limit_s=given.limit_s,
        deadline=time.time() + given.deadline_s,
        in_process=given.in_process,
        corpus=given.corpus,
        run_dir=given.run,
    )
    return Order(given.rows.split(","), options, given.json, given.measured)


def _render_median(values: Sequence[float]) -> str:
    return f"{sorted(values)[len(values) // 2]:,.4g}" if values else ""


def _find_processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _find_versions(names: Sequence[str]) -> dict[str, str]:
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
