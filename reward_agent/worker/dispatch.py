"""From a job's kind to the module that does it, with the seal in between."""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
import traceback
from pathlib import Path
from types import ModuleType

from reward_agent.definitions.card import find_env_dir
from reward_agent.errors import EnvironmentFailure, SandboxError
from reward_agent.files import write_atomic
from reward_agent.records.job import ERROR_FILE, JOB_FILE, RESULT_FILE, Job
from reward_agent.records.jobs import parse_job
from reward_agent.sandbox.filter import find_architecture, make_guards, make_program
from reward_agent.sandbox.isolation import (
    EXIT_ENVIRONMENT,
    EXIT_INTERNAL,
    EXIT_REFUSED,
    ISOLATION_FILE,
    Isolation,
)
from reward_agent.sandbox.seal import Seal
from reward_agent.simulation.backends import list_code, list_hosts, prepare_simulation


def run_worker(job_dir: Path) -> int:
    """Do the job of a folder and return the exit code of the process.

    The module of the job's kind may have ``prepare(job)`` for what must precede the seal:
    imports that start processes, the search for a renderer. Its ``run(job, job_dir)`` comes after.
    ``warm_up(job)``, if there is one, is called in the process that is forked for such jobs.
    """
    try:
        job = parse_job((job_dir / JOB_FILE).read_bytes())
        isolation = _load_isolation(job_dir)
        seal = Seal(
            isolation,
            job_dir,
            find_env_dir(job.card),
            also=job.also_reads,
            code=list_code(job.card),
            has_devices=job.uses_graphics,
        )
        seal.confine()
        module = prepare(job)
        if isolation.mode != "off":
            _seal_hosts(job)
        gc.freeze()
        gc.enable()
        seal.close()
        result = module.run(job, job_dir)
        write_atomic(job_dir / RESULT_FILE, result.model_dump_json(indent=1).encode())
    except SandboxError as error:
        print(f"SandboxError: {error}", file=sys.stderr)
        return EXIT_REFUSED
    except EnvironmentFailure as error:
        _write_error(job_dir, error)
        return EXIT_ENVIRONMENT
    except BaseException as error:  # the parent decides what becomes of it
        _write_error(job_dir, error)
        return EXIT_INTERNAL
    return 0


def prepare(job: Job) -> ModuleType:
    """Import what a job needs and what must precede the seal; return the module that does it."""
    prepare_simulation(job.card)
    module = find_worker(type(job))
    if hasattr(module, "prepare"):
        module.prepare(job)
    return module


def find_worker(job_type: type[Job]) -> ModuleType:
    """Import the module that does the jobs of a kind."""
    kind = job_type.model_fields["kind"].default
    return importlib.import_module(f"reward_agent.{job_type.folder}.{kind}")


def _seal_hosts(job: Job) -> None:
    """Put processes in which environments run under the same filter of system calls.

    Raises:
        SandboxError: that cannot be done.
    """
    arch = find_architecture()
    if arch is None:
        return
    for host in list_hosts(job.card):
        guards = make_guards(host.pid, has_devices=job.uses_graphics)
        host.seal(make_program(arch, guards), arch.seccomp)


def _load_isolation(job_dir: Path) -> Isolation:
    """Read what the parent asks for; a folder without it is run by hand, with the defaults."""
    path = job_dir / ISOLATION_FILE
    return Isolation.model_validate_json(path.read_bytes()) if path.exists() else Isolation()


def _write_error(job_dir: Path, error: BaseException) -> None:
    """Leave a record of the failure, in its file and on standard error."""
    text = "".join(traceback.format_exception(error))
    print(text, file=sys.stderr)
    record = {
        "error": type(error).__name__,
        "message": str(error)[:2000],
        "remedy": getattr(error, "remedy", ""),
        "traceback": text,
    }
    try:
        write_atomic(job_dir / ERROR_FILE, json.dumps(record, indent=1).encode())
    except OSError as failure:
        print(f"{job_dir / ERROR_FILE} was not written: {failure}", file=sys.stderr)
        sys.stderr.flush()
        os._exit(EXIT_INTERNAL)
