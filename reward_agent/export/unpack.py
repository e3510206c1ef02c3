"""``runs open``: a run that somebody handed over becomes a run among one's own.

Nothing in the file is trusted: names, numbers and sizes are decided before the first byte is
written, what is written is a record, a text, a picture or a policy of the form that its name
promises, and it lies in a folder of its own until all of it holds.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from reward_agent.designers.history import read_history
from reward_agent.errors import DataError, RewardAgentError
from reward_agent.export.bundle import (
    BUNDLE_FILE,
    CALLS_FILE,
    MAX_FILES,
    REPLIES_FILE,
    Bundle,
    Kind,
    find_kind,
    keep_search,
    list_files,
    parse_lines,
)
from reward_agent.files import guard, list_names, make_scratch, read_bytes, write_atomic
from reward_agent.learning.policy import check_policy
from reward_agent.llm.replies import CallRecord, StoredReply, read_replies, write_replies
from reward_agent.records.disk import read_record, refuse_odd_numbers
from reward_agent.records.store import RunRecord, RunStore

R = TypeVar("R", bound=BaseModel)
MAX_BUNDLE_BYTES = 512 * 2**20
# Unpacked; a thorough search with all of its films has a tenth of it.
MAX_TOTAL_BYTES = 1024 * 2**20
_MAX_INDEX_BYTES = 4 * 2**20


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
            for member in list_files(folder):
                if member.endswith(".safetensors"):
                    check_policy(folder / member, run.card)
            name = _find_free_name(runs_dir, run.id)
            store.write_run(keep_search(run).model_copy(update={"id": name}))
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


def _check_members(infos: list[zipfile.ZipInfo], path: Path) -> dict[str, Kind]:
    """Return what each member holds by its name.

    Raises:
        DataError: a name, a form or a size is not one of a packed run's.
    """
    kinds: dict[str, Kind] = {}
    forms: dict[str, str] = {}  # as a file system that tells no case sees them
    for info in infos:
        name, mode = info.orig_filename, info.external_attr >> 16
        kind = find_kind(name)
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


def _check_content(name: str, kind: Kind, content: bytes) -> None:
    """Refuse what is not of the form that its name promises.

    Raises:
        DataError: it is not.
    """
    checks: Mapping[str, Callable[[bytes], object]] = {
        "program": bytes.decode,
        "text": bytes.decode,
        "lines": parse_lines,
        "film": _check_film,
        "sheet": _check_sheet,
        "policy": bytes,  # once its environment is known
    }
    try:
        if isinstance(kind.form, str):
            checks[kind.form](content)
        else:
            refuse_odd_numbers(content)
            kind.form.model_validate_json(content)
    except ValidationError as error:
        raise _explain(name, error) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{name}: {error}") from error


def _explain(name: str, error: ValidationError) -> DataError:
    first = error.errors()[0]
    place = "".join(f"{part}: " for part in first["loc"])
    return DataError(f"{name}: {place}{first['msg']}")


def _check_film(content: bytes) -> None:
    is_webp = content[:4] == b"RIFF" and content[8:12] == b"WEBP"
    if not is_webp and content[4:8] != b"ftyp":
        raise ValueError("it is neither a WebP nor an MP4")


def _check_sheet(content: bytes) -> None:
    if not content.startswith(b"\x89PNG\r\n\x1a\n"):
        raise ValueError("it is no PNG")


def _read_rows(name: str, form: type[R], held: Mapping[str, bytes]) -> list[R]:
    try:
        return [form.model_validate_json(row) for row in held.get(name, b"").splitlines()]
    except ValidationError as error:
        raise _explain(name, error) from error


def _write_replies(folder: Path, held: Mapping[str, bytes]) -> None:
    """Make the record of replies anew: a stranger's database is not opened."""
    replies = _read_rows(REPLIES_FILE, StoredReply, held)
    calls = _read_rows(CALLS_FILE, CallRecord, held)
    if replies or calls:
        write_replies(folder, replies, calls)
    if replies:
        read_replies(folder)
