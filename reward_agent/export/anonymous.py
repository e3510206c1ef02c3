"""What says where and by whom a run was made: taken out of what is handed over.

Paths, addresses, hosts, users and keys go out of prose; the text of a program or of a reply stays
as it is but for what is this machine's own, since a program is known by its digest.
"""

from __future__ import annotations

import getpass
import os
import re
import socket
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from reward_agent.text import WITHHELD, hide_credentials

_PATH = "[path]"
# From a root that machines have, and in prose from any: two parts at least, so that m/s stays.
_ROOTS = (
    "home|Users|root|tmp|var|mnt|media|opt|usr|srv|etc|private|data|scratch|work|workspace|content"
    "|nfs|lustre|gpfs|project|projects|storage|app|run|proc|dev|lib|Volumes|kaggle|mlruns|gs|s3"
)
_PART = r"[^\s/\\\"'`<>|:;,()\[\]{}]+"
_ROOTED = re.compile(rf"(?<![\w.\])/])/(?:{_ROOTS})(?:/{_PART})+/?|(?<![\w/])/root(?![\w/])")
_ABSOLUTE = re.compile(rf"(?<![\w.\])/])/[\w.+@~-]{{2,}}(?:/{_PART})+/?")
_WINDOWS = re.compile(rf"(?<![\w])(?:[A-Za-z]:[\\/]|\\\\)(?:{_PART}[\\/])*(?:{_PART})?")
_HOME = re.compile(rf"(?<![\w~])~[\w.-]*/{_PART}(?:/{_PART})*")
_ADDRESS = re.compile(r"(?i)\b[a-z][a-z0-9+.-]{1,20}://[^\s\"'<>`]+")
_NUMBERED = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?(?![\w.])")
_USER = re.compile(r"(?<![\w@.+-])[\w.+-]+@[A-Za-z0-9][\w-]*(?:\.[\w-]+)*")
# Names that many machines and people share, and that are words of programs, too.
_COMMON = re.compile(
    r"(?i)root|user|admin|home|host|local(host)?|runner|ubuntu|debian|node|worker|test|default|main"
    r"|guest|agent|reward|python|docker|container|computer|desktop|laptop|server|.{0,2}"
)
_SECRET_NAME = re.compile(r"(?i)key|token|secret|passw|credential")
_LEAST_SECRET = 8


class Cleaner:
    """Takes out what is this machine's and this person's.

    Args:
        folders: further folders whose path is to be seen nowhere, such as the run's.
        environ: environment variables, of which keys and names are taken.
    """

    def __init__(self, folders: tuple[Path, ...], environ: Mapping[str, str] | None = None) -> None:
        environ = os.environ if environ is None else environ
        secrets = [
            value
            for name, value in environ.items()
            if _SECRET_NAME.search(name) and len(value) >= _LEAST_SECRET
        ]
        places = (Path.home(), Path.cwd(), Path(tempfile.gettempdir()), *folders)
        paths = {str(form) for place in places for form in (place, place.resolve())} - {"/"}
        self._secrets = _match_any(secrets)
        self._paths = _match_any(paths, before=r"(?<![\w.])", after=rf"(?:[\\/]{_PART})*(?!\w)")
        self._names = _match_any(_list_names(environ), before=r"(?<![\w])", after=r"(?![\w])")

    def clean_code(self, text: str) -> str:
        """Return a program, or a text that holds one, without what is surely not its own.

        A name alone stays: who is called max must still be able to hand over ``max(a, b)``.
        """
        text = self._secrets.sub(WITHHELD, text)
        for pattern in (self._paths, _ROOTED):
            text = pattern.sub(_PATH, text)
        return text

    def clean_prose(self, text: str) -> str:
        """Return a text of our own without paths, addresses, users, hosts and keys."""
        text = self._secrets.sub(WITHHELD, text)
        for pattern in (_ADDRESS, _NUMBERED):
            text = pattern.sub("[address]", text)
        for pattern in (self._paths, _WINDOWS, _HOME, _ABSOLUTE, _ROOTED):
            text = pattern.sub(_PATH, text)
        return hide_credentials(self._names.sub(WITHHELD, _USER.sub(WITHHELD, text)))

    def clean_data(self, value: Any, clean: Callable[[str], str] | None = None) -> Any:
        """Return JSON data with every text in it cleaned; as prose by default."""
        clean = clean or self.clean_prose
        if isinstance(value, str):
            return clean(value)
        if isinstance(value, dict):
            return {key: self.clean_data(item, clean) for key, item in value.items()}
        return (
            [self.clean_data(item, clean) for item in value] if isinstance(value, list) else value
        )


def _list_names(environ: Mapping[str, str]) -> set[str]:
    host = socket.gethostname()
    names = {host, host.partition(".")[0], Path.home().name}
    names |= {environ.get(name, "") for name in ("USER", "LOGNAME", "USERNAME", "HOSTNAME")}
    with suppress(OSError, KeyError, ImportError):  # a user without a name
        names.add(getpass.getuser())
    return {name for name in names if not _COMMON.fullmatch(name)}


def _match_any(texts: set[str] | list[str], before: str = "", after: str = "") -> re.Pattern[str]:
    longest_first = sorted(texts, key=len, reverse=True)
    if not longest_first:
        return re.compile(r"(?!)")
    return re.compile(f"{before}(?:{'|'.join(map(re.escape, longest_first))}){after}")
