"""The static rules and the probe on a program, as a run does them."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from benchmarks.candidates import PROGRAMS
from benchmarks.measurements import Verdict
from benchmarks.setting import load_setting
from reward_agent.definitions.card import EnvCard
from reward_agent.errors import DataError
from reward_agent.executors import JobRequest
from reward_agent.executors.slots import LocalExecutor
from reward_agent.records.jobs import PROGRAM_FILE, ProbeJob
from reward_agent.records.limits import Limits
from reward_agent.rewards.checks import check_program
from reward_agent.types import ProbeReport, RewardProgram

_LIMITS = Limits(wall_s=60.0, memory_mib=4096)


def measure_verdicts(env: str, repeats: int) -> list[Verdict]:
    """Return verdicts with cold and with warm children, alternating.

    Args:
        env: environment.
        repeats: of each program; the first of the warm ones, which waits for the server, is left
            out.
    """
    card = load_setting(env).card
    executors = {is_warm: LocalExecutor(1, "default", is_warm=is_warm) for is_warm in (True, False)}
    try:
        _judge(card, executors[True], "speed")
        return [
            Verdict(is_warm=is_warm, program=name, wall_s=_judge(card, executors[is_warm], name))
            for _ in range(repeats)
            for name in PROGRAMS
            for is_warm in executors
        ]
    finally:
        for executor in executors.values():
            executor.close()


def _judge(card: EnvCard, executor: LocalExecutor, name: str) -> float:
    """Return the seconds from a text to its verdict."""
    program = RewardProgram(PROGRAMS[name])
    with tempfile.TemporaryDirectory(prefix="reward-agent-") as folder:
        started = time.perf_counter()
        report = check_program(program, card)
        (Path(folder) / PROGRAM_FILE).write_text(program.source, encoding="utf-8")
        job = ProbeJob(card=card, program_sha256=program.sha256)
        [job_exit] = executor.map([JobRequest(job, Path(folder), _LIMITS)])
        wall_s = time.perf_counter() - started
    if not report.is_accepted or not isinstance(job_exit.result, ProbeReport):
        raise DataError(f"{name} got no verdict: {job_exit.outcome}", "")
    return wall_s
