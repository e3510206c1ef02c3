"""Keys that a person keeps: in a file of theirs, and in the ``.env`` of the working directory.

What the environment says goes first, the person's file next. A ``.env`` is read only once the
person has said so, and of it nothing but keys: the folder may be a stranger's, and an address there
would decide where a key goes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from reward_agent.errors import UsageError
from reward_agent.files import find_real, make_folder, read_text, write_atomic
from reward_agent.records.layers import find_own_config

_FILE, _MAX_BYTES = "keys.env", 64 * 2**10
# Not the name of a key: those are in capitals.
_READS_ENV_FILE = "env_file"
_LINE = re.compile(r"\s*(?:export\s+)?(\w+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|(.*?))\s*(?:\s#.*)?")


def find_key_file(environ: Mapping[str, str]) -> Path:
    """Return where a person's keys lie, beside their configuration."""
    return find_real(find_own_config(environ).with_name(_FILE))


def find_key(name: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """Return a key and where it is from; '' and '' if there is none."""
    if given := environ.get(name, "").strip():
        return given, "environment"
    path = find_key_file(environ)
    kept = _read(path)
    if kept.get(name):
        return kept[name], str(path)
    if _READS_ENV_FILE in kept and (told := _read(Path.cwd() / ".env").get(name)):
        return told, ".env"
    return "", ""


def list_keys(environ: Mapping[str, str]) -> list[str]:
    """Return the names of the keys that are kept."""
    return sorted(name for name in _read(find_key_file(environ)) if name != _READS_ENV_FILE)


def keep_key(name: str, value: str, environ: Mapping[str, str]) -> Path:
    """Keep a key in a file that the person alone can read; return which.

    Raises:
        UsageError: it is no name of a variable, or no key.
    """
    if not re.fullmatch(r"[A-Z][A-Z0-9_]*", name):
        raise UsageError(
            f"{name!r:.60} is no name of a key", "give that of a variable, such as OPENAI_API_KEY"
        )
    if not re.fullmatch(r"[\x21-\x7e]+", value) or set(value) & set("\"'"):
        raise UsageError(
            f"what was given for {name} is no key: one line of letters, digits and signs",
            "copy it again, without quotes and spaces",
        )
    return _write(_read(find_key_file(environ)) | {name: value}, environ)


def drop_key(name: str, environ: Mapping[str, str]) -> None:
    """Keep a key no longer.

    Raises:
        UsageError: none is kept under the name.
    """
    kept = _read(find_key_file(environ))
    if name not in list_keys(environ):
        known = ", ".join(list_keys(environ)) or "none"
        raise UsageError(f"no key {name!r:.60} is kept", f"kept are: {known}")
    del kept[name]
    _write(kept, environ)


def reads_env_file(environ: Mapping[str, str]) -> bool:
    """Whether the person has said that ``.env`` is read."""
    return _READS_ENV_FILE in _read(find_key_file(environ))


def read_env_file_from_now(is_on: bool, environ: Mapping[str, str]) -> None:
    """Keep the person's word on whether the ``.env`` of a working directory is read."""
    kept = _read(find_key_file(environ))
    kept.pop(_READS_ENV_FILE, None)
    _write(kept | ({_READS_ENV_FILE: "on"} if is_on else {}), environ)


def _read(path: Path) -> dict[str, str]:
    found = (_LINE.fullmatch(line) for line in read_text(path, "", _MAX_BYTES).splitlines())
    told = {it[1]: (it[2] or it[3] or it[4] or "").strip() for it in found if it}
    return {name: value for name, value in told.items() if value}


def _write(kept: Mapping[str, str], environ: Mapping[str, str]) -> Path:
    path = find_key_file(environ)
    make_folder(path.parent)
    text = "".join(f"{name}={kept[name]}\n" for name in sorted(kept))
    write_atomic(path, text.encode(), mode=0o600)
    return path
