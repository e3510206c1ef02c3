"""Arrays of a file that a child or a stranger wrote, checked before anything is allocated.

An ``npz`` is a zip of arrays, each behind a header that says its shape. Either may lie: a short
file may unpack to terabytes, a header may promise more than there is, a type may be a pickle. Read
is what the directory of the zip says, as far as every header fits its file to the byte.
"""

from __future__ import annotations

import os
import struct
import tokenize
import zipfile
import zlib
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from reward_agent.errors import DataError
from reward_agent.files import open_plain
from reward_agent.text import clean_text

_MOST_FILES, _MOST_DIRECTORY_BYTES = 2000, 2**20
_END, _END_BYTES, _MOST_COMMENT_BYTES = b"PK\x05\x06", 22, 2**16
_ZIP64, _ZIP64_BYTES = b"PK\x06\x07", 20
_KINDS = "biufU"  # booleans, numbers, text: no objects, no records
_REMEDY = "delete the file and evaluate the policy again"
# What reading an archive that is none may raise.
_UNREADABLE = (
    OSError, ValueError, EOFError, KeyError, TypeError, OverflowError, MemoryError, RecursionError,
    RuntimeError, SyntaxError, struct.error, zipfile.BadZipFile, zlib.error,
    tokenize.TokenError,  # of a header, from Python 3.12 on
)  # fmt: skip
# A minute of 64 humanoids is a tenth of this; a file that unpacks to more is not ours.
MAX_UNPACKED_BYTES = 2**30
MAX_RECORDING_BYTES = 2**29


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read an ``npz`` of at most ``MAX_UNPACKED_BYTES``, packed or unpacked.

    Raises:
        DataError: it is not there, no plain file, no ``npz``, or one whose parts do not fit.
    """
    try:
        with os.fdopen(open_plain(path), "rb") as file:
            _check_directory(file)
            with zipfile.ZipFile(file) as archive:
                return _read_members(archive)
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist", "evaluate the policy first") from error
    except _UNREADABLE as error:
        what = clean_text(str(error), 200) or type(error).__name__
        raise DataError(f"{path}: not a file of arrays: {what}", _REMEDY) from error


def _check_directory(file: IO[bytes]) -> None:
    """Refuse a directory that would fill the memory; ``zipfile`` reads it whole."""
    size = file.seek(0, os.SEEK_END)
    if size > MAX_UNPACKED_BYTES:
        raise ValueError(f"it has {size} bytes, at most {MAX_UNPACKED_BYTES} are read")
    start = max(0, size - _END_BYTES - _ZIP64_BYTES - _MOST_COMMENT_BYTES)
    file.seek(start)
    tail = file.read()
    place = tail.rfind(_END)
    if place < 0 or tail[max(0, place - _ZIP64_BYTES) :].startswith(_ZIP64):
        raise ValueError("its directory is missing, or of another form")
    directory_bytes = struct.unpack_from("<L", tail, place + 12)[0]
    if directory_bytes > _MOST_DIRECTORY_BYTES:
        raise ValueError(f"its directory has {directory_bytes} bytes")


def _read_members(archive: zipfile.ZipFile) -> dict[str, NDArray[Any]]:
    members = archive.infolist()
    unpacked = sum(member.file_size for member in members)
    if unpacked > MAX_UNPACKED_BYTES or len(members) > _MOST_FILES:
        raise ValueError(
            f"it unpacks to {unpacked} bytes in {len(members)} arrays; at most "
            f"{MAX_UNPACKED_BYTES} are read, in {_MOST_FILES}"
        )
    arrays: dict[str, NDArray[Any]] = {}
    for member in members:
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError("it is compressed in another way")
        name = member.filename.removesuffix(".npy")
        if name in arrays:
            raise ValueError(f"it has two arrays {name[:80]!r}")
        with archive.open(member) as file:
            arrays[name] = _read_array(file, member.file_size, name[:80])
    return arrays


def _read_array(file: IO[bytes], size: int, name: str) -> NDArray[Any]:
    version = npy.read_magic(file)
    read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, is_fortran, dtype = read_header(file)
    expected = prod(shape) * dtype.itemsize
    if dtype.kind not in _KINDS or not dtype.itemsize or min(shape, default=0) < 0:
        raise ValueError(f"{name!r} is {dtype}{shape}")
    if file.tell() + expected != size:
        raise ValueError(f"{name!r} has {size} bytes, as {dtype}{shape} it has {expected}")
    values = np.frombuffer(bytearray(file.read()), dtype)
    return values.reshape(shape, order="F" if is_fortran else "C")
