"""What a person names, and the files of the model that it is.

It is an MJCF or a URDF, a folder with one, ``menagerie:NAME``, or a function of the person's own
that returns a model. Nothing here imports MuJoCo: what compiles the model is a sealed child.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from reward_agent.definitions.card import CARD_FILE, GYMNASIUM_ID, MOST_NAME_CHARS, make_identifier
from reward_agent.drafts import handover
from reward_agent.drafts.env_source import EnvSource, find_own_env, is_env_id
from reward_agent.errors import DataError, RewardAgentError, UnknownNameError, UsageError
from reward_agent.files import open_plain, write_atomic
from reward_agent.simulation.mjcf import FRAGMENT, MODEL, URDF, Closure, check_file, find_closure

_MENAGERIE = "menagerie:"
_FUNCTION = re.compile(r"(?:[A-Za-z_]\w*(?:\.\w+)*|.+\.py):[A-Za-z_][\w.]*")
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_SUFFIXES = (".xml", ".mjcf", ".urdf")
# Names that say nothing of what the model is: its folder's does.
_NAMELESS = re.compile(
    r"scene.*|robot|model|main|world|env|xmls?|mjcf|urdf|assets|robots?|models?|description|mjmodel",
    re.IGNORECASE,
)
_HANDOVER_S = 600.0
_MOST_SCENES = 100
_MOST_BYTES = 512 * 2**20
_DOWNLOADS = (
    "robot packages (menagerie, robot_descriptions) download theirs: run `reward-agent envs init "
    "menagerie:NAME`, or put the files where the model looks for them"
)
_FLOATING = """\
<mujoco>
  <asset>
    <model name="robot" file={file} content_type="text/urdf"/>
  </asset>
  <worldbody>
    <body name="floating_base">
      <freejoint name="floating_base"/>
      <attach model="robot" prefix=""/>
    </body>
  </worldbody>
</mujoco>
"""
_HELD = "its base is fixed to the world, as a URDF's is unless --floating is said"
_COPY = "copy the model with its links followed (cp -rL), and name the copy"


@dataclass(frozen=True)
class Source:
    """A model's files, found.

    Args:
        given: what the person named, without the way to it: it stands in the card.
        name: what the environment may be called.
        closure: the files; none is missing.
        root: the folder that holds all of them.
        chosen: what was chosen for the person, in words.
        floats: whether a URDF's base moves freely, which a file beside it says then.
    """

    given: str
    name: str
    closure: Closure
    root: Path
    chosen: tuple[str, ...] = ()
    floats: bool = False

    @property
    def said(self) -> tuple[str, ...]:
        """What a person should know of the choice."""
        is_held = self.closure.kind == URDF and not self.floats
        return (*self.chosen, _HELD) if is_held else self.chosen

    @property
    def file(self) -> str:
        """The model's path below ``root``, with slashes."""
        path = self.closure.main.relative_to(self.root)
        return (path.with_name(f"{path.stem}_floating.xml") if self.floats else path).as_posix()

    @property
    def is_verbatim(self) -> bool:
        """Whether the copy is the same model as the original."""
        return not (self.closure.renamed or self.floats)

    def copy_to(self, folder: Path) -> int:
        """Copy the files, each to its place below a folder; return how many bytes they have.

        Only the meshes of a URDF that it names by their package get other names in it.

        Raises:
            DataError: one is no plain file, is reached through a link, or is too large.
        """
        n_bytes = 0
        for path in self.closure.files:
            place = path.relative_to(self.root)
            data = _read_file(path)
            n_bytes += len(data)
            if n_bytes > _MOST_BYTES:
                raise DataError(
                    f"the files of {self.given} have more than {_MOST_BYTES // 2**20} MiB",
                    "give meshes with fewer triangles",
                )
            if path == self.closure.main:
                data = self._rename_meshes(data)
            write_atomic(folder / place, data)
        if self.floats:
            text = _FLOATING.format(file=quoteattr(self.closure.main.name))
            write_atomic(folder / self.file, text.encode())
        return n_bytes

    def _rename_meshes(self, data: bytes) -> bytes:
        for name, path in self.closure.renamed.items():
            seen_from = os.path.relpath(path, self.closure.main.parent).replace(os.sep, "/")
            data = data.replace(f'"{name}"'.encode(), f'"{seen_from}"'.encode())
            data = data.replace(f"'{name}'".encode(), f"'{seen_from}'".encode())
        return data


def find_source(
    given: str,
    scratch: Path,
    python: str | None = None,
    tell: Callable[[str], None] = print,
    backend: str | None = None,
) -> Source | EnvSource:
    """Find the files of the model that a person names, or the environment.

    Args:
        given: as the command says.
        scratch: an empty folder, for what a function hands over.
        python: the interpreter that runs a function; None: this one.
        tell: receives what is said before it is done.
        backend: what is to simulate it; 'mujoco' takes the robot out of an environment.

    Raises:
        UsageError: there is no such thing.
        DataError: it is no model, only a part of one, or lacks files.
    """
    path = _find_path(given)
    takes_env = backend != "mujoco"
    if takes_env and re.fullmatch(GYMNASIUM_ID, given) and (path is None or _is_draft(path)):
        return EnvSource(given, given)
    if given.startswith(_MENAGERIE):
        path, said = _find_in_menagerie(given.removeprefix(_MENAGERIE))
        return _open(given, path, said)
    if path is None and _FUNCTION.fullmatch(given) and not _DRIVE.match(given):
        python = os.path.expanduser(python or sys.executable)
        tell(f"{given} runs in {python}, not confined: it is your own code")
        facts = _run_function(given, scratch, python, takes_env)
        if "env" in facts:
            return find_own_env(given, facts, python)
        path, said = _read_handover(given, facts, scratch, python)
        place, _, function = given.rpartition(":")
        name = _read_name(path) or function if path.is_relative_to(scratch) else ""
        return _open(f"{Path(place).name}:{function}", path, said, name)
    if path is None and takes_env and is_env_id(given) and not _lists_models(given):
        return EnvSource(given, given)
    if path is None:
        raise _explain_absence(given)
    return _open_path(path)


def _lists_models(given: str) -> bool:
    """Whether a name may be that of a model beside it, misspelt."""
    parent = Path(given).parent
    return parent.is_dir() and any(parent.glob("*.xml"))


def _is_draft(path: Path) -> bool:
    """Whether a path is the folder of an environment, which may be called as its id is."""
    return path.is_dir() and (path / CARD_FILE).is_file()


def let_float(source: Source) -> Source:
    """Return a URDF whose base moves freely.

    Raises:
        UsageError: it is an MJCF, which says itself what moves.
    """
    if source.closure.kind != URDF:
        raise UsageError(
            f"{source.given} is an MJCF, which says itself what moves",
            "give its first body a <freejoint/>, or leave --floating out",
        )
    return replace(source, floats=True)


def _find_path(given: str) -> Path | None:
    """Return the file or folder of a path, with either slash; None where there is none."""
    for text in (given, given.replace("\\", "/")):
        path = Path(os.path.expanduser(text))
        if text and path.exists():
            # Its own folder's links are the person's; what the model names is held to its files.
            return path.resolve() if path.is_dir() else path.parent.resolve() / path.name
    return None


def _explain_absence(given: str) -> RewardAgentError:
    path = Path(os.path.expanduser(given.replace("\\", "/")))
    forms = (
        "give an MJCF or a URDF, a folder with one, menagerie:NAME, an id of Gymnasium's or "
        "EnvPool's, or module:function that returns an environment, an MjSpec or an MjModel"
    )
    if _DRIVE.match(given) and os.name != "nt":
        drive, rest = given[0].lower(), given[2:].replace("\\", "/")
        forms = f"it is a path of Windows: under WSL it is /mnt/{drive}{rest}"
    elif path.parent.is_dir():
        names = [entry.name for entry in path.parent.iterdir() if entry.suffix in _SUFFIXES]
        if names:
            return UnknownNameError(f"model in {path.parent}", path.name, names)
    return UsageError(f"{given} is not there", forms)


def _open_path(path: Path) -> Source:
    if not path.is_dir():
        return _open(path.name, path, _note_scenes(path))
    main, said = choose_model(path)
    return _open(f"{path.name}/{main.name}", main, said)


def choose_model(folder: Path) -> tuple[Path, tuple[str, ...]]:
    """Return the model of a folder, and what is said of the choice: a scene goes first.

    Raises:
        DataError: it holds none, or several of which none is the scene.
    """
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in _SUFFIXES)
    kinds = {file: _read_kind(file) for file in files}
    models = [file for file in files if kinds[file] in (MODEL, URDF)]
    scenes = [file for file in models if file.stem.lower().startswith("scene")]
    for found in (scenes, models):
        best = [file for file in found if file.stem.lower() in ("scene", folder.name.lower())]
        if len(found) == 1 or best:
            main = best[0] if best else found[0]
            others = [file.name for file in models if file != main]
            also = f"; {', '.join(others)} may be named instead" if others else ""
            return main, (f"of the folder {folder.name}, {main.name} is taken{also}",)
    names = [file.name for file in scenes or models]
    if names:
        raise DataError(
            f"{folder} holds {len(names)} models: {', '.join(names)}",
            f"name one: {folder / names[0]}",
        )
    raise DataError(f"{folder} holds no MJCF and no URDF", "name the folder or the file of a model")


def _read_kind(path: Path) -> str:
    """Return the root element of a file; '' if it has none that can be read."""
    try:
        with os.fdopen(open_plain(path), "rb") as file:
            start = file.read(2**16).decode("utf-8", "replace")
    except (OSError, DataError):
        return ""
    start = re.sub(r"<!--.*?-->|<\?.*?\?>", "", start, flags=re.DOTALL)
    found = re.search(r"<(\w+)", start)
    return found[1] if found else ""


def _read_name(path: Path) -> str:
    """Return what a model calls itself; '' if it has no name of its own."""
    with path.open(encoding="utf-8", errors="replace") as file:
        found = re.search(r'<mujoco[^>]*\bmodel="([^"]+)"', file.read(2**16))
    return found[1] if found and found[1] != "MuJoCo Model" else ""


def _find_scenes(path: Path) -> list[Path]:
    """Return the models beside a file, or one folder up, that include it."""
    scenes = []
    for folder in (path.parent, path.parent.parent):
        for other in sorted(folder.glob("*.xml"))[:_MOST_SCENES]:
            if other != path and _read_kind(other) == MODEL and path in _list_files(other):
                scenes.append(other)
    return scenes


def _list_files(model: Path) -> list[Path]:
    try:
        return find_closure(model).files
    except DataError:
        return []


def _note_scenes(path: Path) -> tuple[str, ...]:
    if path.suffix.lower() not in _SUFFIXES or _read_kind(path) != MODEL:
        return ()
    names = [scene.name for scene in _find_scenes(path) if scene.parent == path.parent]
    return (
        (f"{', '.join(names)} beside it includes {path.name}: name that for it",) if names else ()
    )


def _open(given: str, main: Path, said: tuple[str, ...] = (), name: str = "") -> Source:
    """Find the files of a model, and what stands in the way of it."""
    closure = find_closure(main)
    if closure.kind == FRAGMENT:
        scenes = [str(scene) for scene in _find_scenes(main)]
        raise DataError(
            f"{main} is a part of a model: a <{FRAGMENT}>",
            f"name a model that includes it: {', '.join(scenes)}"
            if scenes
            else "name the model that includes it; none lies beside it",
        )
    if closure.kind not in (MODEL, URDF):
        raise DataError(
            f"{main} is no model: it begins with <{closure.kind}>",
            "give an MJCF (<mujoco>) or a URDF (<robot>)",
        )
    if closure.missing:
        raise _explain_missing(closure)
    root = _find_root(closure)
    for path in closure.files:
        check_file(path)
    if closure.renamed:
        said += ("the meshes that it names by package are named by path",)
    name = make_identifier(name, "env", MOST_NAME_CHARS) if name else _choose_name(main)
    return Source(given, name, closure, root, said)


def _explain_missing(closure: Closure) -> DataError:
    names = closure.missing
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return DataError(
        f"{closure.main} needs {len(names)} {'file' if len(names) == 1 else 'files'} that "
        f"{'is' if len(names) == 1 else 'are'} not there: {shown}",
        _DOWNLOADS,
    )


def _find_root(closure: Closure) -> Path:
    """Return the folder that holds all files.

    Raises:
        DataError: it is more than a model's, a home say, or what is in it is hidden or linked.
    """
    root = Path(os.path.commonpath([path.parent for path in closure.files]))
    home = Path.home().resolve()
    if home.is_relative_to(root) and root != closure.main.parent:
        far = max(closure.files, key=lambda path: os.path.relpath(path, closure.main).count(".."))
        raise DataError(
            f"{closure.main} names {far}, which is far from it", "put its files beside the model"
        )
    for path in closure.files:
        if os.path.realpath(path) != str(path):
            raise DataError(f"{closure.main} names {path}, which is reached through a link", _COPY)
        if any(part.startswith(".") for part in path.relative_to(root).parts):
            raise DataError(f"{closure.main} names {path}, which is hidden", "name no hidden file")
    return root


def _choose_name(main: Path) -> str:
    """Return what an environment may be called: the file's name, or that of a folder above."""
    for name in (main.stem, *(folder.name for folder in main.parents)):
        if name and not _NAMELESS.fullmatch(name):
            return make_identifier(name, "env", MOST_NAME_CHARS)
    return make_identifier(main.stem, "env", MOST_NAME_CHARS)


def _read_file(path: Path) -> bytes:
    with os.fdopen(open_plain(path), "rb") as file:
        return file.read()


# --- what is not a file yet ----------------------------------------------------------------------


def _find_in_menagerie(name: str) -> tuple[Path, tuple[str, ...]]:
    """Return the scene of a robot of the package's, or ``NAME/ENTRY``, downloaded if it must be."""
    if find_spec("mujoco_menagerie") is None:
        raise UsageError(
            f"{_MENAGERIE}{name} needs the package mujoco-menagerie",
            "pip install 'reward-agent[menagerie]'",
        )
    import mujoco_menagerie

    robot_name, _, entry = name.partition("/")
    if robot_name not in mujoco_menagerie.names():
        raise UnknownNameError("robot of the menagerie", robot_name, mujoco_menagerie.names())
    robot = mujoco_menagerie.get(robot_name)
    try:
        path = Path(robot.xml(entry or None)).resolve()
    except mujoco_menagerie.MenagerieError as error:
        raise DataError(
            f"{_MENAGERIE}{name}: {error}", "see MENAGERIE_ROOT, or the network"
        ) from error
    others = [other for other in robot.entry_names if other != path.stem]
    return path, (
        f"{robot.display_name} of the menagerie, license {robot.license}: {path.name}"
        + (f"; {_MENAGERIE}{robot_name}/{others[0]} names another" if others else ""),
    )


def _run_function(target: str, scratch: Path, python: str, takes_env: bool) -> dict[str, Any]:
    """Run a person's function in their Python; return the facts that it handed over."""
    text = Path(handover.__file__).read_text(encoding="utf-8")
    try:
        done = subprocess.run(
            [python, "-c", text, target, str(scratch), *(["env"] if takes_env else [])],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_HANDOVER_S,
            check=False,
        )
        facts = json.loads((scratch / handover.FACTS_FILE).read_text(encoding="utf-8"))
    except subprocess.TimeoutExpired:
        raise DataError(f"{target} took more than {_HANDOVER_S:g} s", "make it faster") from None
    except FileNotFoundError:
        if not Path(python).is_file():
            raise UsageError(f"{python} is not there", "name a Python with --python") from None
        words = done.stderr.decode("utf-8", "replace").strip().splitlines()
        what = words[-1] if words else f"exit code {done.returncode}"
        raise DataError(f"{python} ended: {what}", "see that it runs at all") from None
    except OSError as error:
        raise UsageError(
            f"{python} cannot be run: {error}", "name a Python with --python"
        ) from None
    if "error" in facts:
        raise DataError(
            f"{target} in {python}: {facts['error']}",
            "install it there, or name the Python that has it with --python"
            if "ModuleNotFoundError" in facts["error"]
            else "see that it can be called without arguments there",
        )
    return dict(facts)


def _read_handover(
    target: str, facts: dict[str, Any], scratch: Path, python: str
) -> tuple[Path, tuple[str, ...]]:
    """Return the model that a function handed over, and what is said of it."""
    said = f"{target} was run in {python}, with MuJoCo {facts['mujoco']}"
    path = Path(scratch / facts["file"])
    if facts["file"] != handover.XML_FILE:
        return path.parent.resolve() / path.name, (said, f"its model is just what {path} holds")
    digits = f": {facts['where']} differs by {facts['worst']:.1g} at most" if facts["where"] else ""
    return path.resolve(), (said, f"its model is written as XML, with six digits{digits}")
