"""Files of runs and of jobs: written whole or not at all, read with distrust.

A run is handed from one person to another, and a child may leave anything in its folder: a link to
a foreign file, a pipe that never ends, a file of a terabyte. What is read and written there goes
through this module: plain files alone, of a bounded size, and below a guarded folder no link is
followed anywhere on the way.

Where nothing can be opened relative to a folder (Windows), the way is looked at beforehand.
"""

from __future__ import annotations

import errno
import functools
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from reward_agent.errors import DataError
from reward_agent.text import decode_text

# Of a record, and of a text; films and recordings have bounds of their own.
MAX_RECORD_BYTES = 16 * 2**20
MAX_TEXT_BYTES = 4 * 2**20
_REMEDY = "remove it, or do without the run or the job that holds it"

_IS_RELATIVE = {os.open, os.mkdir, os.unlink} <= os.supports_dir_fd and hasattr(os, "O_NOFOLLOW")
# None of these exists on Windows; a pipe or a link cannot be made there by these means.
_FILE = (
    getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_CLOEXEC", 0)
)
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)

_guarded: set[str] = set()


def guard(folder: Path) -> Path:
    """Follow no link below a folder from now on; return it as it really is, its own links followed.

    Whoever names the folder chose it; what is in it, somebody else may have put there.
    """
    real = folder.resolve()
    _guarded.add(str(real))
    return real


def _split(path: Path) -> tuple[Path, tuple[str, ...]]:
    """Return the outermost guarded folder that a path is in, and the names that lead on."""
    path = Path.cwd() / path
    for folder in reversed(path.parents):
        if str(folder) in _guarded:
            names = path.relative_to(folder).parts
            if ".." in names:
                raise DataError(f"{path} leads out of {folder}", "remove what names it")
            return folder, names
    return path.parent, ()


@contextmanager
def _reach(path: Path, *, makes: bool = False) -> Iterator[tuple[str, int | None]]:
    """Yield a file's name, and the descriptor of the folder that it is relative to, if any."""
    root, names = _split(path)
    if makes:
        root.mkdir(parents=True, exist_ok=True)
    if not (names and _IS_RELATIVE):
        for number in range(1, len(names)):
            folder = root.joinpath(*names[:number])
            if folder.is_symlink():
                raise _refuse_way(path)
            if makes:
                folder.mkdir(exist_ok=True)
        yield str(path), None
        return
    descriptor = os.open(root, _FOLDER)
    try:
        for name in names[:-1]:
            if makes:
                with suppress(FileExistsError):
                    os.mkdir(name, dir_fd=descriptor)
            above, descriptor = descriptor, _open_folder(name, descriptor, path)
            os.close(above)
        yield names[-1], descriptor
    finally:
        os.close(descriptor)


def _open_folder(name: str, above: int, path: Path) -> int:
    try:
        return os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=above)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise _refuse_way(path) from None
        raise


def _refuse_way(path: Path) -> DataError:
    return DataError(f"{path} is reached through a link or a file", "remove it: a run has neither")


def open_plain(path: Path, flags: int = os.O_RDONLY, *, is_alone: bool = False) -> int:
    """Open a regular file and return its descriptor; ``is_alone``: it must have no second name.

    What is written to must always be alone.

    Raises:
        DataError: it is a link, a pipe, a device or a folder, or has a second name.
        FileNotFoundError: it is not there.
        OSError: it cannot be written.
    """
    is_read = flags == os.O_RDONLY
    with _reach(path, makes=bool(flags & os.O_CREAT)) as (name, folder):
        try:
            descriptor = os.open(name, flags | _FILE, 0o666, dir_fd=folder)
        except FileNotFoundError:
            raise
        except OSError as error:
            if is_read or error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
                raise DataError(f"{path} cannot be read: {error.strerror}", _REMEDY) from None
            raise
    status = os.fstat(descriptor)
    has_other_name = status.st_nlink > 1 and (is_alone or not is_read)
    if has_other_name or not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise DataError(f"{path} is not a plain file", _REMEDY)
    return descriptor


def check_plain(path: Path, *, is_alone: bool = False) -> None:
    """See that a library that opens a path by itself finds a plain file there, or none.

    Raises:
        DataError: it would find something else, or a file with a second name.
    """
    with suppress(FileNotFoundError):
        os.close(open_plain(path, is_alone=is_alone))


def find_real(path: Path | str) -> Path:
    """Return where a file lies that a person names: links may lead there.

    Raises:
        DataError: no file can have that name.
    """
    try:
        return Path(os.path.realpath(Path(path).expanduser()))
    except (ValueError, RuntimeError) as error:  # a null byte; a user that is not there
        raise DataError(f"{str(path)!r:.200} is no path: {error}", "name a file") from None


def read_bytes(path: Path, max_bytes: int = MAX_RECORD_BYTES) -> bytes:
    """Read a regular file.

    Raises:
        DataError: it is no plain file, or larger than ``max_bytes``.
        FileNotFoundError: it is not there.
    """
    return _read(open_plain(path), path, max_bytes)


def read_capped(path: Path, max_bytes: int) -> bytes:
    """Read a regular file that a child may have written: what has a second name is refused, too.

    Raises:
        DataError: it is no plain file, or larger than ``max_bytes``.
        FileNotFoundError: it is not there.
    """
    return _read(open_plain(path, is_alone=True), path, max_bytes)


def _read(descriptor: int, path: Path, max_bytes: int) -> bytes:
    with os.fdopen(descriptor, "rb") as file:
        # Room is made for what is asked for: no more of it than there is.
        data = file.read(min(os.fstat(descriptor).st_size, max_bytes) + 1)
    if len(data) > max_bytes:
        raise DataError(f"{path} is larger than {max_bytes} bytes", _REMEDY)
    return data


def read_text(path: Path, default: str | None = None, max_bytes: int = MAX_TEXT_BYTES) -> str:
    """Read a text, or return the default where the file is not there.

    Raises:
        DataError: it is no plain file, too large, or no text in UTF-8.
        FileNotFoundError: it is not there, and no default is given.
    """
    try:
        data = read_bytes(path, max_bytes)
    except FileNotFoundError:
        if default is None:
            raise
        return default
    try:
        return decode_text(data)
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no text in UTF-8: {error.reason}", _REMEDY) from None


def read_tail(path: Path, n_bytes: int) -> bytes:
    """Read the end of a regular file that a child may have written.

    Raises:
        DataError: it is no plain file.
        FileNotFoundError: it is not there.
    """
    with os.fdopen(open_plain(path, is_alone=True), "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - n_bytes))
        return file.read(n_bytes)


def write_atomic(path: Path, data: bytes, mode: int = 0o666) -> None:
    """Write a file so that a reader finds the old or the whole new one; make its folder.

    Args:
        path: of the file.
        data: what it holds.
        mode: who may read and write it, as far as the umask lets.

    Raises:
        DataError: a link leads there.
        OSError: the folder is not writable, or the disk is full.
    """
    with _reach(path, makes=True) as (name, folder):
        # Not mkstemp: its files are for the owner alone, and people share what a run leaves.
        place, own = os.path.split(name)
        temporary = os.path.join(place, f".{own}.{os.urandom(8).hex()}")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FILE
        handle = os.open(temporary, flags, mode, dir_fd=folder)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=folder)
            raise


def append_line(path: Path, line: str) -> None:
    """Append a line, durably; a last line without its end, which a crash left, is cut off.

    Raises:
        DataError: it is no plain file, or has a second name.
        OSError: it cannot be written.
    """
    descriptor = open_plain(path, os.O_RDWR | os.O_CREAT)
    with os.fdopen(descriptor, "rb+") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - 1, 0))
        if size and file.read(1) != b"\n":
            file.seek(0)
            file.truncate(file.read(size).rfind(b"\n") + 1)
        file.seek(0, os.SEEK_END)
        file.write(line.encode("utf-8", "replace") + b"\n")
        file.flush()
        os.fsync(descriptor)


def list_names(folder: Path) -> list[str]:
    """Return the names in a folder, sorted; none where it is not there.

    Raises:
        DataError: a link leads there.
    """
    try:
        with _reach(folder / "_") as (_, descriptor):
            return sorted(os.listdir(folder if descriptor is None else descriptor))
    except (FileNotFoundError, NotADirectoryError):
        return []


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, where they are not there.

    Raises:
        DataError: a link leads there.
    """
    if _split(folder)[1]:
        with _reach(folder / "_", makes=True):
            return
    folder.mkdir(parents=True, exist_ok=True)


def refuse_links(folder: Path) -> None:
    """See that a library that writes below a folder by itself is led nowhere else.

    Raises:
        DataError: a link is in it, or leads there.
    """
    make_folder(folder)
    for place, folders, names in os.walk(folder):
        for name in (*folders, *names):
            if os.path.islink(os.path.join(place, name)):
                raise DataError(f"{os.path.join(place, name)} is a link", _REMEDY)


def move(source: Path, target: Path) -> None:
    """Give a file or a folder another place in the same run.

    Raises:
        DataError: a link leads there.
    """
    with _reach(source) as (name, folder), _reach(target, makes=True) as (other, place):
        os.replace(name, other, src_dir_fd=folder, dst_dir_fd=place)


def remove(path: Path) -> None:
    """Remove whatever is under a name, a folder too; a link's target stays.

    Raises:
        DataError: a link leads there.
        OSError: it cannot be removed.
    """
    with suppress(FileNotFoundError), _reach(path) as (name, folder):
        if stat.S_ISDIR(os.lstat(name, dir_fd=folder).st_mode):
            shutil.rmtree(name, dir_fd=folder)
        else:
            os.unlink(name, dir_fd=folder)


# --- temporary folders --------------------------------------------------------------------------

_SCRATCH, _LOCK = "reward-agent-", "lock"


@contextmanager
def make_scratch(where: Path | None = None) -> Iterator[Path]:
    """Make a folder among the temporary ones, or hidden in another, which is removed at the end.

    Where the process is killed before, a later one of the same user removes it: it belongs to who
    holds its lock, which ends with a process however it ends.
    """
    place, prefix = str(where or tempfile.gettempdir()), f"{'.' if where else ''}{_SCRATCH}"
    _sweep_scratch(place, prefix)
    lock = None
    while lock is None:
        outer = Path(tempfile.mkdtemp(prefix=prefix, dir=place))
        lock = _take_scratch(outer, os.O_CREAT)
    try:
        folder = outer / "work"  # what works in it cannot reach the lock
        folder.mkdir()
        yield folder
    finally:
        os.close(lock)
        shutil.rmtree(outer, ignore_errors=True)


@functools.cache
def _sweep_scratch(place: str, prefix: str) -> None:
    """Remove what processes of this user left that were killed; once in a process."""
    with suppress(OSError), os.scandir(place) as entries:
        for entry in entries:
            if entry.name.startswith(prefix) and _is_own_folder(entry):
                lock = _take_scratch(Path(entry.path))
                if lock is not None:
                    shutil.rmtree(entry.path, ignore_errors=True)  # it follows no link
                    os.close(lock)


def _is_own_folder(entry: os.DirEntry[str]) -> bool:
    with suppress(OSError):
        owner = entry.stat(follow_symlinks=False).st_uid
        is_own = not hasattr(os, "geteuid") or owner == os.geteuid()
        return is_own and entry.is_dir(follow_symlinks=False)
    return False


def _take_scratch(outer: Path, flags: int = 0) -> int | None:
    """Return the descriptor of a folder's lock, which is held; None where it is another's."""
    from filelock import lock_descriptor  # no child needs it

    try:
        descriptor = os.open(outer / _LOCK, os.O_RDWR | _FILE | flags, 0o600)
    except OSError:
        return None
    # Who sweeps may have been between the file and its lock: then the file is gone.
    if lock_descriptor(descriptor, blocking=False) and (outer / _LOCK).exists():
        return descriptor
    os.close(descriptor)
    return None
