"""``scripts/bench speed``: how fast trainings are and what is around them, as ratios."""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from benchmarks import costs, learning, racing, rates
from benchmarks.measure import (
    Group,
    Measurement,
    MeasurementError,
    Options,
    Row,
    render_rows,
    run_calls,
)
from reward_agent.errors import DataError, UnknownNameError
from reward_agent.run.open import read_versions
from reward_agent.types import FileRecord, Finite, Record

GROUPS: dict[str, Group] = {
    "throughput": rates.THROUGHPUT,
    "envpool": rates.ENVPOOL,
    "learning": learning.GROUP,
    "reward-cost": costs.REWARD,
    "racing": racing.GROUP,
    "growth": rates.GROWTH,
    "verdict": costs.VERDICT,
    "run": costs.RUN,
}


class Machine(Record):
    """Where and when the numbers were taken."""

    processor: str
    n_cores: int
    n_slots: int
    load: Finite
    versions: dict[str, str]
    created: str


class SpeedReport(FileRecord):
    """All rows of one run of the benchmark, and what they were computed from."""

    machine: Machine
    rows: tuple[Row, ...] = ()
    measurements: tuple[Measurement, ...] = ()


def run_speed(names: Sequence[str], options: Options, path: Path | None = None) -> SpeedReport:
    """Measure some groups of rows.

    Args:
        names: of ``GROUPS``.
        options: how much is measured.
        path: of the JSON file, written anew after each measurement: a benchmark that is killed
            leaves it.

    Raises:
        UnknownNameError: there is no such group.
    """
    report = SpeedReport(machine=describe_machine(options.n_slots))

    def keep(result: object) -> None:
        nonlocal report
        added = [item for item in _flatten([result]) if isinstance(item, Measurement)]
        report = report.model_copy(update={"measurements": (*report.measurements, *added)})
        _write(report, path)

    for group in _find_groups(names):
        results = run_calls(group.plan(options), options.n_slots if group.has_slots else 1, keep)
        rows = (*report.rows, *_compute(group, options, _flatten(results)))
        report = report.model_copy(update={"rows": rows})
        _write(report, path)
    return report


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
    groups = _find_groups(names)
    rows = [row for group in groups for row in group.compute(options, report.measurements)]
    return report.model_copy(update={"rows": tuple(rows)})


def _find_groups(names: Sequence[str]) -> list[Group]:
    for name in names:
        if name not in GROUPS:
            raise UnknownNameError("group of rows", name, GROUPS)
    return [GROUPS[name] for name in names]


def _flatten(results: Sequence[object]) -> list[object]:
    """Return each result; a call may measure several things."""
    return [
        item for result in results for item in (result if isinstance(result, list) else [result])
    ]


def _compute(group: Group, options: Options, results: Sequence[object]) -> list[Row]:
    """Return the rows of a group, and one that says what failed."""
    rows = group.compute(options, [item for item in results if isinstance(item, Measurement)])
    failed = [str(item)[:200] for item in results if isinstance(item, MeasurementError)]
    note = "; ".join(dict.fromkeys(failed))
    return [*rows, Row(name=f"{len(failed)} measurements failed", note=note)] if failed else rows


def _write(report: SpeedReport, path: Path | None) -> None:
    if path is not None:
        path.write_text(report.model_dump_json(indent=1) + "\n", encoding="utf-8")


def describe_machine(n_slots: int) -> Machine:
    """Return where and when the numbers are taken."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return Machine(
        processor=next(names, platform.machine()),
        n_cores=os.cpu_count() or 1,
        n_slots=n_slots,
        load=os.getloadavg()[0],
        versions=read_versions(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def main(arguments: Sequence[str]) -> int:
    """Measure the groups that are asked for; 1 if a bar is missed."""
    parser = argparse.ArgumentParser(prog="scripts/bench speed", description=__doc__)
    parser.add_argument("--rows", default=",".join(GROUPS), help="groups of rows, by commas")
    parser.add_argument("--seeds", type=int, default=5, help="trainings of each side")
    parser.add_argument("--repeats", type=int, default=3, help="measurements of each rate")
    parser.add_argument("--steps", type=int, help="env steps of a measurement")
    parser.add_argument("--envs", default="", help="environments, or their folders, by commas")
    parser.add_argument("--n-envs", default="64", help="of rewards' shares of a step, by commas")
    parser.add_argument("--slots", type=int, default=1, help="trainings side by side")
    parser.add_argument("--limit-s", type=float, default=1200.0, help="of one foreign training")
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
        n_envs=tuple(map(int, given.n_envs.split(","))),
        n_slots=given.slots,
        limit_s=given.limit_s,
        corpus=given.corpus,
        run_dir=given.run,
    )
    names = given.rows.split(",")
    if given.measured is None:
        report = run_speed(names, options, given.json)
    else:
        report = recompute_rows(names, options, given.measured)
    print(render_rows(report.rows))
    return 1 if any(row.is_reached is False for row in report.rows) else 0
