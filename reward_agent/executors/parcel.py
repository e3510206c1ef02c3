"""A job's folder as bytes, on its way to a node and back.

A parcel is a ZIP archive of plain files, nothing compressed, and one record under a name that no
file of a job can have. What comes back is checked as what a child leaves is: names, kinds and
sizes, before a byte of it is written.
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from reward_agent.definitions.card import find_env_dir
from reward_agent.errors import DataError, JobError, RewardAgentError, SandboxError, UsageError
from reward_agent.executors import JobRequest
from reward_agent.executors.journal import EXIT_FILE, ExitRecord
from reward_agent.files import make_folder, read_bytes, read_capped, remove, write_atomic
from reward_agent.records.job import CHECKPOINT_FILE, ERROR_FILE, JOB_FILE, RESULT_FILE, Job, Limits
from reward_agent.records.jobs import AnyJob
from reward_agent.records.outcomes import JobOutcome
from reward_agent.sandbox.child import OUTPUT_FILE
from reward_agent.sandbox.isolation import ISOLATION_FILE, SandboxMode
from reward_agent.sandbox.runner import JobExit, read_result
from reward_agent.types import FileRecord
from reward_agent.version import __version__

R = TypeVar("R", bound=FileRecord)

# A file of a job begins with a letter or digit: none has the name of a record.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}", re.ASCII)
_ORDER, _REPLY, _ENV = ".order.json", ".reply.json", ".env.zip"
# What a job leaves as its answer; an earlier one's is not sent along.
_ANSWERS = (JOB_FILE, ISOLATION_FILE, RESULT_FILE, ERROR_FILE, OUTPUT_FILE)
_MOST_FILES = 1000
_MOST_ENV_BYTES = 256 * 2**20
_MIB = 2**20
# Failures that a node may tell of; its remedy goes with it.
_ERRORS: dict[str, type[RewardAgentError]] = {
    kind.__name__: kind for kind in (DataError, JobError, SandboxError, UsageError)
}


class Order(FileRecord):
    """What a node is asked to do."""

    version: str = __version__
    job: AnyJob
    limits: Limits
    mode: SandboxMode


class Reply(FileRecord):
    """How it ended: the job's end, or why there is none."""

    node: str
    exit: ExitRecord | None = None
    removed: tuple[str, ...] = ()
    error: str = ""
    message: str = ""
    remedy: str = ""


def pack_order(request: JobRequest, mode: SandboxMode) -> bytes:
    """Return the parcel that takes a job and the files in its folder to a node."""
    order = Order(job=request.job, limits=request.limits, mode=mode)
    files = read_files(request.job_dir, request.limits)
    inputs = {name: data for name, data in files.items() if name not in _ANSWERS}
    env = _pack_env(request.job)
    return pack(inputs | {_ORDER: order.model_dump_json().encode(), _ENV: env})


def unpack_order(parcel: bytes) -> tuple[Order, dict[str, bytes], bytes]:
    """Return what is asked, the files of the job's folder, and the archive of its environment."""
    files = unpack(parcel, len(parcel))
    env = files.pop(_ENV)
    return _take_record(files, _ORDER, Order), files, env


def pack_reply(reply: Reply, files: Mapping[str, bytes]) -> bytes:
    """Return the parcel that takes a job's end and the files that it changed back."""
    return pack({_REPLY: reply.model_dump_json().encode(), **files})


def accept_reply(parcel: bytes, request: JobRequest) -> JobExit:
    """Put what a job left into its folder, and return how it ended.

    Files are written in an order that a checkpoint never tells of policies that are not there, so
    this may be killed anywhere and the job run again.

    Raises:
        DataError: the parcel does not have its form, or is larger than the job's limits allow.
        RewardAgentError: the failure that the node tells of.
    """
    files = unpack(parcel, (request.limits.disk_mib + 1) * _MIB)  # the reply's record too
    reply = _take_record(files, _REPLY, Reply)
    if reply.exit is None:
        kind = _ERRORS.get(reply.error, JobError)
        raise kind(f"{reply.message} (on {reply.node})", reply.remedy)
    make_folder(request.job_dir)
    for name in (*_ANSWERS, *reply.removed):
        if _NAME.fullmatch(name) and name != EXIT_FILE:
            remove(request.job_dir / name)
    files.pop(EXIT_FILE, None)
    for name in sorted(files, key=lambda name: (name == CHECKPOINT_FILE, name)):
        write_atomic(request.job_dir / name, files[name])
    return _read_end(reply.exit, request)


def digest_order(parcel: bytes) -> str:
    """Return the identity of an order: the same job with the same files has the same."""
    return hashlib.sha256(parcel).hexdigest()


def read_files(folder: Path, limits: Limits) -> dict[str, bytes]:
    """Read the plain files of a job's folder; what is none, or too large, is left where it is."""
    files: dict[str, bytes] = {}
    room = limits.disk_mib * _MIB
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if not _NAME.fullmatch(path.name) or path.name == EXIT_FILE or path.is_dir():
            continue
        if len(files) == _MOST_FILES - 2:  # room for an order's own; a program may leave any number
            break
        try:
            data = read_capped(path, min(room, limits.file_mib * _MIB))
        except (DataError, FileNotFoundError):
            continue
        files[path.name] = data
        room -= len(data)
    return files


def pack(files: Mapping[str, bytes]) -> bytes:
    """Return an archive of the files; the same files give the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            archive.writestr(zipfile.ZipInfo(name), files[name])
    return buffer.getvalue()


def unpack(data: bytes, max_bytes: int) -> dict[str, bytes]:
    """Return the files of an archive.

    Raises:
        DataError: it is none, is compressed, holds a name that no file of a job has, or too much.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            _check_entries(entries, max_bytes)
            return {entry.filename: archive.read(entry) for entry in entries}
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise DataError(f"a parcel is spoilt: {error}", "run the job again") from None


def _check_entries(entries: list[zipfile.ZipInfo], max_bytes: int) -> None:
    names = [entry.filename for entry in entries]
    for name in names:
        if name not in (_ORDER, _REPLY, _ENV) and not _NAME.fullmatch(name):
            raise DataError(f"a parcel holds {name!r:.80}, expected the name of a plain file")
    if len(names) > _MOST_FILES or len(set(names)) < len(names):
        raise DataError(f"a parcel holds {len(names)} files, expected up to {_MOST_FILES} names")
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise DataError("a parcel is compressed, expected its files as they are")
    total = sum(entry.file_size for entry in entries)
    if total > max_bytes:
        raise DataError(f"a parcel holds {total} bytes, expected up to {max_bytes}")


def _take_record(files: dict[str, bytes], name: str, kind: type[R]) -> R:
    try:
        return kind.model_validate_json(files.pop(name, b""))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise DataError(f"{name} of a parcel is not valid: {first['msg']}") from None


def _read_end(record: ExitRecord, request: JobRequest) -> JobExit:
    """Return a job's end with its result, read as that of a child of this machine."""
    if not record.outcome.is_ok:
        return record
    try:
        result = read_result(request.job, request.job_dir, request.limits.result_mib * _MIB)
    except DataError as error:
        outcome = JobOutcome(kind="invalid", detail=error.message)
        return record.model_copy(update={"outcome": outcome})
    return record.model_copy(update={"result": result})


def _pack_env(job: Job) -> bytes:
    """Return the folder of an environment with a model of its own, without its tasks: metrics.

    Raises:
        UsageError: it is larger than what is worth sending with each job.
    """
    if not job.card.model.is_in_folder:
        return b""
    folder = find_env_dir(job.card)
    # A link would send what it leads to: no child here could read that.
    paths = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    paths = [path for path in paths if path.relative_to(folder).parts[0] != "tasks"]
    total = sum(path.stat().st_size for path in paths)
    if total > _MOST_ENV_BYTES:
        raise UsageError(
            f"{folder} holds {total} bytes, a cluster is sent up to {_MOST_ENV_BYTES}",
            "move what the model does not need out of the environment's folder",
        )
    return pack({path.relative_to(folder).as_posix(): read_bytes(path, total) for path in paths})
