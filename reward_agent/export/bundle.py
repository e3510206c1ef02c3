"""A run as one file: ``runs pack`` writes it, ``runs open`` reads a stranger's.

A zip. ``bundle.json`` names the run and every other member with its sha256; these are the files of
a run that others have a use for: records, programs, replies, pictures, the winner's policy. What a
member may be called, and what it then holds, is one closed table, for both directions.

Opening trusts nothing: names, numbers and sizes are decided before the first byte is written, what
is written is a record, a text, a picture or a policy of the form that its name promises, and it
lies in a folder of its own until all of it holds.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError

from reward_agent.definitions.task import METRIC_FILE
from reward_agent.designers.history import PLAN_FILE, PlanRecord, read_history
from reward_agent.designers.roles import MetricWords
from reward_agent.errors import DataError, RewardAgentError, UsageError
from reward_agent.export.anonymous import Cleaner
from reward_agent.files import guard, list_names, make_scratch, read_bytes, read_text, write_atomic
from reward_agent.learning.policy import MAX_POLICY_BYTES, check_policy
from reward_agent.llm.replies import (
    REPLIES_FILE as DATABASE_FILE,
)
from reward_agent.llm.replies import (
    CallRecord,
    StoredReply,
    read_calls,
    read_replies,
    write_replies,
)
from reward_agent.records.disk import read_record, refuse_odd_numbers
from reward_agent.records.jobs import PROGRAM_FILE, RESULT_FILE, EvaluateResult
from reward_agent.records.settings import list_settings
from reward_agent.records.store import SESSION_FILE, Iteration, RunRecord, RunStore
from reward_agent.summary.summary import TrajectorySummary
from reward_agent.types import (
    Analysis,
    CheckReport,
    Critique,
    FileName,
    FileRecord,
    ProbeReport,
    Sha256,
    TrainingResult,
)

BUNDLE_FILE = "bundle.json"
CALLS_FILE, REPLIES_FILE = "calls.jsonl", "replies.jsonl"
SUFFIX = ".run.zip"
MAX_BUNDLE_BYTES = 512 * 2**20
# Unpacked; a thorough search with all of its films has a tenth of it.
MAX_TOTAL_BYTES = 1024 * 2**20
MAX_FILES = 10_000
_MAX_INDEX_BYTES = 4 * 2**20
_MAX_FILE_BYTES = 64 * 2**20

_ROUND = r"iterations/[0-9]{1,4}"
_CANDIDATE = _ROUND + r"/candidates/[A-Za-z0-9_-]{1,64}"
_POLICIES = _CANDIDATE + r"/(?:evaluation|training)/seed_[0-9]{1,10}"


@dataclass(frozen=True)
class _Kind:
    """What a member holds.

    Args:
        pattern: what it may be called.
        form: a record's class, or what else it is.
        max_bytes: how large it may be.
    """

    pattern: str
    form: type[BaseModel] | Literal["program", "text", "lines", "film", "policy"]
    max_bytes: int = 4 * 2**20


_KINDS = (
    _Kind(r"run\.json", RunRecord),
    _Kind(_ROUND + r"/iteration\.json", Iteration, 16 * 2**20),
    _Kind(_CANDIDATE + r"/check\.json", CheckReport),
    _Kind(_CANDIDATE + r"/probe\.json", ProbeReport),
    _Kind(_CANDIDATE + r"/critique\.json", Critique),
    _Kind(_CANDIDATE + r"/training\.json", TrainingResult),
    _Kind(_CANDIDATE + r"/evaluation\.json", EvaluateResult, 16 * 2**20),
    _Kind(_CANDIDATE + r"/summary\.json", TrajectorySummary),
    _Kind(_CANDIDATE + r"/analysis\.json", Analysis),
    _Kind(_CANDIDATE + "/" + re.escape(PLAN_FILE), PlanRecord),
    _Kind(_CANDIDATE + r"/evaluation/seed_[0-9]{1,10}/" + RESULT_FILE, EvaluateResult, 16 * 2**20),
    _Kind(r"metric/[0-9]{1,4}/words\.json", MetricWords),
    _Kind(rf"(?:{_CANDIDATE}/)?{PROGRAM_FILE}", "program"),
    _Kind(rf"(?:metric/[0-9]{{1,4}}/)?{METRIC_FILE}", "program"),
    _Kind(rf"(?:{_CANDIDATE}|metric/[0-9]{{1,4}})/reply\.md", "text"),
    _Kind(_CANDIDATE + r"/summary\.md", "text"),
    _Kind(re.escape(SESSION_FILE), "lines", 16 * 2**20),
    _Kind(re.escape(CALLS_FILE), "lines", _MAX_FILE_BYTES),
    _Kind(re.escape(REPLIES_FILE), "lines", _MAX_FILE_BYTES),
    _Kind(_POLICIES + r"/[A-Za-z0-9_-]{1,64}\.(?:webp|mp4)", "film", _MAX_FILE_BYTES),
    _Kind(_POLICIES + r"/[A-Za-z0-9_.-]{1,99}\.safetensors", "policy", MAX_POLICY_BYTES),
)


class Bundle(FileRecord):
    """``bundle.json``: whose run it is, and what it is made of."""

    kind: Literal["reward-agent run"] = "reward-agent run"
    run: FileName
    files: dict[str, Sha256] = Field(max_length=MAX_FILES)


def _find_kind(name: str) -> _Kind | None:
    return next((kind for kind in _KINDS if re.fullmatch(kind.pattern, name, re.ASCII)), None)


# --- packing --------------------------------------------------------------------------------------


def pack_run(store: RunStore, output: Path | None = None) -> Path:
    """Write a run as one file that can be handed over.

    Args:
        store: the run.
        output: the file, or the folder that it goes to; ``<run>.run.zip`` here by default.

    Returns:
        Where it lies.

    Raises:
        UsageError: the run is being worked on, or the file is there already.
        DataError: a record of it is not valid, or a program holds what must not be handed over.
    """
    if store.is_locked():
        raise UsageError(f"run {store.dir.name} is being worked on", "pack it when it has ended")
    path = output or Path(".")
    path = path / f"{store.dir.name}{SUFFIX}" if path.is_dir() else path
    if path.exists() or path.is_symlink():
        raise UsageError(f"{path} is there already", "name another file with --output")
    members = dict(_collect(store, Cleaner((store.dir, store.dir.parent))))
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in members.items()}
    bundle = Bundle(run=store.read_run().id, files=digests)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in {BUNDLE_FILE: _write_json(bundle), **members}.items():
            # Without the time and the rights that a file had on this machine.
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    try:
        write_atomic(path, stream.getvalue())
    except OSError as error:
        raise RewardAgentError(
            f"cannot write {path}: {error.strerror}", "name another file with --output"
        ) from error
    return path


def _collect(store: RunStore, cleaner: Cleaner) -> Iterator[tuple[str, bytes]]:
    """Yield the members of a run's file, cleaned."""
    winner = store.read_run().winner
    policy = winner.policy_file if winner else ""
    for name in _list_files(store.dir):
        kind = _find_kind(name)
        is_other_policy = kind is not None and kind.form == "policy" and name != policy
        if kind is None or is_other_policy or name in (CALLS_FILE, REPLIES_FILE):
            continue
        try:
            yield name, _clean(store, name, kind, cleaner)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{store.dir / name}: {error}", "restore the file") from error
    calls = [call.model_dump(mode="json") for call in read_calls(store.dir)]
    replies = []
    if (store.dir / DATABASE_FILE).is_file():
        replies = [reply.model_dump(mode="json") for reply in read_replies(store.dir)]
    for reply in replies:
        reply["prompt"] = cleaner.clean_prose(reply["prompt"])
        reply["completion"] = cleaner.clean_data(reply["completion"], cleaner.clean_code)
    for name, rows in ((CALLS_FILE, cleaner.clean_data(calls)), (REPLIES_FILE, replies)):
        if rows:
            yield name, _write_lines(rows)


def _list_files(folder: Path, above: str = "") -> Iterator[str]:
    """Yield the files of a run by their names below it; what is reached by a link is left out."""
    for own in list_names(folder):
        name, path = f"{above}{own}", folder / own
        if path.is_dir() and not path.is_symlink() and name.count("/") < 8:
            yield from _list_files(path, f"{name}/")
        elif path.is_file() and not path.is_symlink():
            yield name


def _clean(store: RunStore, name: str, kind: _Kind, cleaner: Cleaner) -> bytes:
    path, form = store.dir / name, kind.form
    if form in ("film", "policy"):
        return read_bytes(path, kind.max_bytes)
    if isinstance(form, str):
        text = read_text(path, max_bytes=kind.max_bytes)
        if form == "lines":
            whole = text[: text.rfind("\n") + 1].encode()
            return _write_lines([_clean_entry(row, cleaner) for row in _parse_lines(whole)])
        cleaned = cleaner.clean_code(text)
        if form == "program" and cleaned != text:
            raise DataError(
                f"{name} names a path, a person or a key of this machine, and a program is known "
                "by its digest: it is not handed over with them, nor changed",
                "hand over a run whose programs do without",
            )
        return cleaned.encode("utf-8", "replace")
    if form is RunRecord:
        return _write_json(_clean_run(store.read_run(), cleaner))
    record = read_record(path, form)
    data = record.model_dump(mode="json")
    return _write_json(form.model_validate(cleaner.clean_data(data)))


def _clean_entry(entry: dict[str, Any], cleaner: Cleaner) -> dict[str, Any]:
    """Clean an entry of a session; a program in it stays a program."""
    program = {key: cleaner.clean_code(entry[key]) for key in ("program",) if key in entry}
    return {**cleaner.clean_data(entry), **program}


def _clean_run(run: RunRecord, cleaner: Cleaner) -> RunRecord:
    """Return ``run.json`` with the settings of the search alone, and no folder of this machine."""
    data = run.model_dump(mode="json")
    # What they say is shown to models and compared by its digest: it stays but for what is private.
    said = {name: cleaner.clean_data(data[name], cleaner.clean_code) for name in ("card", "task")}
    data = cleaner.clean_data(data) | said | {"id": run.id}
    return _keep_search(RunRecord.model_validate(data))


def _keep_search(run: RunRecord) -> RunRecord:
    """Return a run's record without what only the person and the machine of a run decide."""
    known = set(list_settings(is_personal=False))
    changes: dict[str, Any] = {
        name: {key: value for key, value in getattr(run, name).items() if key in known}
        for name in ("config", "config_sources")
    }
    return run.model_copy(update=changes | {"card": run.card.model_copy(update={"folder": None})})


def _write_json(record: BaseModel) -> bytes:
    return (record.model_dump_json(indent=2) + "\n").encode("utf-8", "replace")


def _write_lines(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


# --- opening --------------------------------------------------------------------------------------


def open_bundle(path: Path, runs_dir: Path) -> RunStore:
    """Unpack a run that somebody handed over into a new folder among the runs.

    Args:
        path: the file.
        runs_dir: where runs lie.

    Raises:
        DataError: it is not such a file, or something in it is not what it should be; then nothing
            is left of it.
    """
    is_new = not runs_dir.exists()
    runs_dir.mkdir(parents=True, exist_ok=True)
    try:
        return _open(path, runs_dir)
    except BaseException:
        if is_new:
            with suppress(OSError):  # somebody else's run is in it by now
                runs_dir.rmdir()
        raise


def _open(path: Path, runs_dir: Path) -> RunStore:
    with make_scratch(runs_dir) as scratch:
        folder = guard(scratch / "run")
        try:
            _unpack(path, folder)
            store = RunStore(folder)
            run = store.read_run()
            read_history(store)
            for member in _list_files(folder):
                if member.endswith(".safetensors"):
                    check_policy(folder / member, run.card)
            name = _find_free_name(runs_dir, run.id)
            store.write_run(_keep_search(run).model_copy(update={"id": name}))
        except RewardAgentError as error:
            message = error.message.replace(str(folder), path.name)
            raise DataError(message, "ask for the run to be packed again") from error
        except Exception as error:  # whatever a stranger's file makes a library raise
            reason = f"{type(error).__name__}: {error}"
            raise DataError(
                f"{path} is no packed run: {reason}", "ask for the run to be packed again"
            ) from error
        folder.rename(runs_dir / name)
    return RunStore(runs_dir / name)


def _find_free_name(runs_dir: Path, name: str) -> str:
    taken = {known.casefold() for known in list_names(runs_dir)}
    names = [name, *(f"{name}-{number}" for number in range(2, len(taken) + 3))]
    return next(known for known in names if known.casefold() not in taken)


def _unpack(path: Path, folder: Path) -> None:
    """Write the members of a packed run into a folder.

    Raises:
        DataError: a member is not what its name promises, or is not the one that was packed.
    """
    data = read_bytes(path, MAX_BUNDLE_BYTES)
    _check_index(data, path)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        kinds = _check_members(archive.infolist(), path)
        bundle = Bundle.model_validate_json(_read_member(archive, BUNDLE_FILE))
        if set(bundle.files) != set(kinds):
            odd = min(set(bundle.files) ^ set(kinds))
            raise DataError(f"{path}: {odd!r} is named or packed, but not both")
        held: dict[str, bytes] = {}
        for name, kind in kinds.items():
            content = _read_member(archive, name)
            if hashlib.sha256(content).hexdigest() != bundle.files[name]:
                raise DataError(f"{path}: {name} is not what was packed")
            _check_content(name, kind, content)
            if name in (CALLS_FILE, REPLIES_FILE):
                held[name] = content
            else:
                write_atomic(folder / name, content)
    if read_record(folder / "run.json", RunRecord).id != bundle.run:
        raise DataError(f"{path} names another run than it holds")
    _write_replies(folder, held)


def _check_index(data: bytes, path: Path) -> None:
    """Refuse a zip whose index is not that of a small one, before a library reads it."""
    end, before = data[-22:], data[-42:-22]
    is_plain = end[:4] == b"PK\x05\x06" and end[20:] == b"\0\0" and before[:4] != b"PK\x06\x07"
    if not is_plain or int.from_bytes(end[12:16], "little") > _MAX_INDEX_BYTES:
        raise DataError(f"{path} is no packed run")


def _check_members(infos: list[zipfile.ZipInfo], path: Path) -> dict[str, _Kind]:
    """Return what each member holds by its name.

    Raises:
        DataError: a name, a form or a size is not one of a packed run's.
    """
    kinds: dict[str, _Kind] = {}
    forms: dict[str, str] = {}  # as a file system that tells no case sees them
    for info in infos:
        name, mode = info.orig_filename, info.external_attr >> 16
        kind = _find_kind(name)
        if (kind is None and name != BUNDLE_FILE) or info.filename != name:
            raise DataError(f"{path} holds {name!r}, which is no file of a run")
        ways = [str(way) for way in PurePosixPath(name).parents]
        if name.casefold() in forms or any(
            forms.setdefault(w.casefold(), w) != w for w in (name, *ways)
        ):
            raise DataError(f"{path} holds {name!r} twice")
        is_regular = mode & 0o170000 in (0, 0o100000) and not info.external_attr & 0x10
        is_readable = info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
        if not is_regular or not is_readable or info.flag_bits & 0x41:
            raise DataError(f"{path}: {name} is a link, is encrypted or packed in another way")
        if info.file_size > (kind.max_bytes if kind else _MAX_INDEX_BYTES):
            raise DataError(f"{path}: {name} is too large: {info.file_size:,} bytes")
        kinds |= {name: kind} if kind else {}
    if len(infos) > MAX_FILES or sum(info.file_size for info in infos) > MAX_TOTAL_BYTES:
        raise DataError(f"{path} holds too much: {len(infos):,} files")
    for name in ("run.json", BUNDLE_FILE):
        if name not in forms:
            raise DataError(f"{path} holds no {name}")
    return kinds


def _read_member(archive: zipfile.ZipFile, name: str) -> bytes:
    """Read a member; it is never longer than the index says, whose sizes are checked."""
    info = archive.getinfo(name)
    with archive.open(info) as file:
        content = file.read(info.file_size + 1)
    if len(content) != info.file_size:
        raise DataError(f"{name} is not as long as the index says")
    return content


def _check_content(name: str, kind: _Kind, content: bytes) -> None:
    """Refuse what is not of the form that its name promises.

    Raises:
        DataError: it is not.
    """
    checks: Mapping[str, Callable[[bytes], object]] = {
        "program": bytes.decode,
        "text": bytes.decode,
        "lines": _parse_lines,
        "film": _check_film,
        "policy": bytes,  # once its environment is known
    }
    try:
        if isinstance(kind.form, str):
            checks[kind.form](content)
        else:
            refuse_odd_numbers(content)
            kind.form.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = "".join(f"{part}: " for part in first["loc"])
        raise DataError(f"{name}: {place}{first['msg']}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{name}: {error}") from error


def _parse_lines(content: bytes) -> list[dict[str, Any]]:
    """Parse JSON objects, one a line.

    Raises:
        ValueError: a line is none.
    """
    rows = []
    for line in content.splitlines():
        refuse_odd_numbers(line)
        rows.append(json.loads(line))
        if not isinstance(rows[-1], dict):
            raise ValueError("a line is no object")
    return rows


def _check_film(content: bytes) -> None:
    is_webp = content[:4] == b"RIFF" and content[8:12] == b"WEBP"
    if not is_webp and content[4:8] != b"ftyp":
        raise ValueError("it is neither a WebP nor an MP4")


def _write_replies(folder: Path, held: Mapping[str, bytes]) -> None:
    """Make the record of replies anew: a stranger's database is not opened."""
    rows = {name: content.splitlines() for name, content in held.items()}
    replies = [StoredReply.model_validate_json(row) for row in rows.get(REPLIES_FILE, ())]
    calls = [CallRecord.model_validate_json(row) for row in rows.get(CALLS_FILE, ())]
    if replies or calls:
        write_replies(folder, replies, calls)
    if replies:
        read_replies(folder)
