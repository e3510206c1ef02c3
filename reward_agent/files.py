"""Files between parent and child: written atomically, read with distrust.

A child may leave anything in its folder: a link to a foreign file, a pipe that never ends, a
file of a terabyte. The parent reads only through ``read_capped``.
"""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

from reward_agent.errors import DataError

# Neither exists on Windows; a pipe or a link cannot be made there by these means.
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_BINARY = getattr(os, "O_BINARY", 0)


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file so that a reader finds the old or the whole new one; follow no link.

    Raises:
        OSError: the folder is not writable, or the disk is full.
    """
    # Not mkstemp: its files are for the owner alone, and people share what a run leaves.
    temporary = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o666)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def remove(path: Path) -> None:
    """Remove whatever a child left under a name, a folder too; a link's target stays.

    Raises:
        OSError: it cannot be removed.
    """
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def open_untrusted(path: Path) -> int:
    """Open a regular file that a child may have written and return the descriptor.

    Raises:
        DataError: it is a link, a pipe, a device or a folder, or has a second name.
        FileNotFoundError: it is not there.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | _NO_FOLLOW | _BINARY)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror}", "the child left it so"
        ) from None
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        os.close(descriptor)
        raise DataError(f"{path} is not a plain file", "the child left it so; it is not read")
    return descriptor


def read_capped(path: Path, max_bytes: int) -> bytes:
    """Read a regular file that a child may have written.

    Raises:
        DataError: it is no plain file, or larger than ``max_bytes``.
        FileNotFoundError: it is not there.
    """
    with os.fdopen(open_untrusted(path), "rb") as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise DataError(f"{path} is larger than {max_bytes} bytes", "the child wrote too much")
    return data


def read_tail(path: Path, n_bytes: int) -> bytes:
    """Read the end of a regular file that a child may have written.

    Raises:
        DataError: it is no plain file.
        FileNotFoundError: it is not there.
    """
    with os.fdopen(open_untrusted(path), "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - n_bytes))
        return file.read(n_bytes)


def clean_lines(text: str) -> str:
    """Return text of a child without control characters, which could steer a terminal."""
    return "".join(
        char if char.isprintable() or char == "\n" else "\N{REPLACEMENT CHARACTER}" for char in text
    )
