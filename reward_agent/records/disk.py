"""Records on disk: written whole, read with distrust."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from reward_agent.errors import DataError, RewardAgentError
from reward_agent.files import MAX_RECORD_BYTES, append_line, read_bytes, read_text, write_atomic

R = TypeVar("R", bound=BaseModel)
T = TypeVar("T")

# Numbers that no record of ours holds, and that arithmetic or printing fails on; it may also be
# words that look so.
_ODD = re.compile(rb"NaN|Infinity|[:\[,\s]-?[0-9]{19}|[0-9][eE]\+?[0-9]{3}")
_LARGEST = 1e300


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all, and make it durable.

    Raises:
        RewardAgentError: the disk is full or the folder cannot be written.
    """
    try:
        write_atomic(path, text.encode("utf-8", "replace"))
    except OSError as error:
        raise RewardAgentError(
            f"cannot write {path}: {error.strerror}",
            "free disk space or correct the permissions, then resume the run",
        ) from error


def write_record(path: Path, record: BaseModel) -> None:
    """Write a record as JSON, atomically."""
    write_text(path, record.model_dump_json(indent=2) + "\n")


def read_record(path: Path, kind: type[R]) -> R:
    """Read a record.

    Raises:
        DataError: the file is missing or does not hold such a record.
    """
    try:
        data = read_bytes(path)
        refuse_odd_numbers(data)
        return kind.model_validate_json(data)
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing", _find_remedy(path)) from error
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror}", "correct its permissions"
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        if first["loc"] == ("schema_version",):
            raise DataError(
                f"{path} has the form of version {first['input']!r}, this program reads version 1",
                "use the version of reward-agent that wrote it",
            ) from error
        place = "".join(f"{part}: " for part in first["loc"])
        raise DataError(
            f"{path} is no {kind.__name__}: {place}{first['msg']}", _find_remedy(path)
        ) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is no {kind.__name__}: {error}", _find_remedy(path)) from error


def read_optional(path: Path, kind: type[R]) -> R | None:
    """Read a record; None where there is no such file."""
    return read_record(path, kind) if path.is_file() else None


def read_lines(path: Path, kind: TypeAdapter[T]) -> Iterator[T]:
    """Yield the records of a file that has one a line; none where there is no such file.

    Raises:
        DataError: a line is no such record.
    """
    # What follows the last line's end was cut off by a crash, and never took effect.
    lines = read_text(path, "", MAX_RECORD_BYTES).split("\n")[:-1]
    for number, line in enumerate(lines, start=1):
        try:
            refuse_odd_numbers(line.encode())
            yield kind.validate_json(line)
        except (ValueError, RecursionError) as error:
            what = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
            raise DataError(
                f"{path}, line {number}: {what}", "restore the line, or remove it"
            ) from error


def append_record(path: Path, record: BaseModel) -> None:
    """Append a record as a line, durably.

    Raises:
        RewardAgentError: the file cannot be written.
    """
    try:
        append_line(path, record.model_dump_json())
    except OSError as error:
        raise RewardAgentError(
            f"cannot write {path}: {error.strerror}", "free disk space or correct the permissions"
        ) from error


def refuse_odd_numbers(data: bytes) -> None:
    """Refuse JSON whose numbers are not finite, or too large to be counted with.

    Raises:
        ValueError: there is one.
        RecursionError: it is nested too deeply.
    """
    if _ODD.search(data):
        _refuse_odd(json.loads(data))


def _refuse_odd(value: Any) -> None:
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            _refuse_odd(item)
    elif isinstance(value, int) and abs(value) >= 2**63:
        raise ValueError("a number of more than 63 bits")
    elif isinstance(value, float) and not abs(value) < _LARGEST:
        raise ValueError(f"a number is {value}" if not math.isfinite(value) else "a huge number")


def _find_remedy(path: Path) -> str:
    """Say what to do about a file of a run that is lost or spoilt."""
    parts = path.parts
    if "iterations" not in parts[:-2]:
        return "restore the file, or use the version of reward-agent that wrote it"
    end = len(parts) - parts[::-1].index("iterations") + 1
    return f"restore it, or remove {Path(*parts[:end])} and resume: the round is run again"
