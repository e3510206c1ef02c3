"""An environment that a person names: an id of Gymnasium's or EnvPool's, or a function of theirs.

Nothing here imports Gymnasium: what makes the environment is a sealed child.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reward_agent.definitions.card import MOST_NAME_CHARS, make_identifier
from reward_agent.errors import DataError
from reward_agent.files import open_plain, write_atomic

# With a module in front, which registers it; the version may be missing, to be told what there is.
_ID = re.compile(r"(?:[A-Za-z_][\w.]*:)?(?:[\w-]+/)?[A-Za-z][\w-]*(?:\.[\w-]+)*")
VERSION = re.compile(r"-v\d+$")
_MOST_BYTES = 64 * 2**20


@dataclass(frozen=True)
class EnvSource:
    """An environment, named.

    Args:
        given: what the person named, without the way to it: it stands in the card.
        id: as the card names it: an id, or ``module:function``.
        files: of the person's own code, by their place in the card's folder.
        said: what a person should know of it.
    """

    given: str
    id: str
    files: Mapping[str, Path] = field(default_factory=dict)
    said: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What the environment may be called."""
        own = self.id.rpartition(":")[2] if not self.files else self.given.rpartition(":")[0]
        return make_identifier(VERSION.sub("", own.rpartition("/")[2]), "env", MOST_NAME_CHARS)

    def copy_to(self, folder: Path) -> int:
        """Copy the code to a folder; return how many bytes it has.

        Raises:
            DataError: a file is no plain one, or all are too many.
        """
        n_bytes = 0
        for place, path in self.files.items():
            with os.fdopen(open_plain(path), "rb") as file:
                data = file.read()
            n_bytes += len(data)
            if n_bytes > _MOST_BYTES:
                raise DataError(
                    f"the code of {self.given} has more than {_MOST_BYTES // 2**20} MiB",
                    "install it as a package, and name its function",
                )
            write_atomic(folder / place, data)
        return n_bytes


def is_env_id(given: str) -> bool:
    """Whether this may be an id of an environment, right or not: no path, no file's name."""
    is_file = given.lower().endswith((".xml", ".mjcf", ".urdf", ".toml", ".py", ".zip", ".json"))
    return bool(_ID.fullmatch(given)) and not is_file


def find_own_env(given: str, facts: Mapping[str, Any], python: str) -> EnvSource:
    """Return the environment that a person's function makes.

    Args:
        given: ``module:function`` or ``file.py:function``.
        facts: what the function's process handed over.
        python: the interpreter that ran it.

    Raises:
        DataError: it is none for one policy, or not of Gymnasium's kind.
    """
    place, _, function = given.rpartition(":")
    if facts["env"] == "several agents":
        raise DataError(f"{given} has several agents", "one policy acts here: wrap it for one")
    if facts["env"] == "old gym":
        raise DataError(
            f"{given} makes a {facts['type']}, no gymnasium.Env",
            "return it wrapped: gymnasium.make('GymV26Environment-v0', env=env), or "
            "'GymV21Environment-v0' if its step returns four values; both come with "
            "`pip install 'shimmy[gym-v26]'`",
        )
    root = Path(str(facts["root"]))
    files = {str(name): root / str(name) for name in facts["modules"]}
    module = Path(place).stem if place.endswith(".py") else place
    said = [f"{given} makes a {facts['env']}, in {python}"]
    if files:
        said.append(f"its code is copied: {', '.join(sorted(files))[:300]}")
    return EnvSource(f"{Path(place).name}:{function}", f"{module}:{function}", files, tuple(said))
