"""Run a person's own function in their own Python, and hand its model over as files.

Started as ``PYTHON -c THIS_TEXT MODULE:FUNCTION FOLDER``. So nothing here imports from this
project, and any MuJoCo from 3.2 on will do.

What the function returns may hold the model somewhere: an environment of Playground, dm_control,
robosuite or Gymnasium, an entity of mjlab or its configuration. A model that is just what a file
holds is handed over as the name of that file. Any other is written as XML, whose numbers have six
digits, with its assets beside it. With ``env`` behind the folder an environment of Gymnasium's is
no model: where its code lies is told.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
import xml.etree.ElementTree as ET
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

XML_FILE, FACTS_FILE = "model.xml", "handover.json"
# Where libraries keep the model in what they hand out.
_HOLDERS = (
    "spec", "mj_model", "mj_spec", "_mj_model", "model", "_model", "ptr", "physics", "sim",
    "unwrapped", "env",
)  # fmt: skip
_MOST_LOOKS, _MOST_FILES = 200, 20
_FOLDERS = ("assetdir", "meshdir", "texturedir")


class Witness:
    """Notes what MuJoCo makes models from, as long as the function runs.

    Attributes:
        files: paths of XML that was read.
        assets: files that were given as bytes, by name.
        made: text of XML, or the spec, and the model that was compiled from it.
    """

    def __init__(self, mujoco: Any) -> None:
        self.files: list[str] = []
        self.assets: list[dict[str, bytes]] = []
        self.made: list[tuple[Any, Any]] = []
        self._watch(mujoco.MjSpec, "from_file")
        self._watch(mujoco.MjSpec, "from_string")
        self._watch(mujoco.MjModel, "from_xml_path")
        self._watch(mujoco.MjModel, "from_xml_string")
        compiles = mujoco.MjSpec.compile

        def compile_spec(spec: Any) -> Any:
            self.made.append((spec, compiles(spec)))
            return self.made[-1][1]

        mujoco.MjSpec.compile = compile_spec

    def _watch(self, owner: Any, name: str) -> None:
        original = getattr(owner, name)

        def read(*arguments: Any, **keywords: Any) -> Any:
            given = (*arguments, *keywords.values())
            self.assets += [dict(value) for value in given if isinstance(value, dict)]
            first = next((v for v in given if isinstance(v, str | os.PathLike)), "")
            found = original(*arguments, **keywords)
            if name in ("from_file", "from_xml_path"):
                self.files.append(str(first))
            elif name == "from_xml_string":
                self.made.append((str(first), found))
            return found

        setattr(owner, name, staticmethod(read))

    def find_origin(self, model: Any) -> Any:
        """Return the text or the spec that a model was made from; None if that was not seen."""
        return next((origin for origin, made in reversed(self.made) if made is model), None)


def find_function(target: str) -> Any:
    """Import what is named as ``module:function`` or ``file.py:function``."""
    place, _, name = target.rpartition(":")
    sys.path.insert(0, os.getcwd())
    if place.endswith(".py"):
        spec = importlib.util.spec_from_file_location(Path(place).stem, place)
        if spec is None or spec.loader is None:
            raise ImportError(f"{place} is no Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
    else:
        module = importlib.import_module(place)
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            names = sorted(word for word in dir(found) if not word.startswith("_"))
            raise LookupError(f"{place} has no {part!r}; it has {', '.join(names)[:400]}")
        found = getattr(found, part)
    return found


def find_model(value: Any, mujoco: Any) -> Any:
    """Return the ``MjSpec`` or ``MjModel`` that a value is or holds."""
    waiting, n_looks = deque([value]), 0
    while waiting and n_looks < _MOST_LOOKS:
        holder, n_looks = waiting.popleft(), n_looks + 1
        if isinstance(holder, (mujoco.MjSpec, mujoco.MjModel)):
            return holder
        if isinstance(holder, (tuple, list)):
            waiting.extend(holder[:5])
            continue
        if callable(getattr(holder, "spec_fn", None)):  # a configuration of mjlab's
            waiting.append(holder.build() if hasattr(holder, "build") else holder.spec_fn())
            continue
        for name in _HOLDERS:
            try:
                part = getattr(holder, name, None)
            except Exception:  # a property of somebody's
                continue
            if part is not None and not callable(part):
                waiting.append(part)
    kind = type(value).__name__
    raise TypeError(f"it returned {kind}: no gymnasium.Env, and nothing with an MjSpec or MjModel")


def describe_env(value: Any, target: str) -> dict[str, Any]:
    """Return what an environment is, with the modules beside it; nothing if it is none."""
    gymnasium = sys.modules.get("gymnasium")
    if hasattr(value, "possible_agents"):
        return {"env": "several agents"}
    if gymnasium is None or not isinstance(value, gymnasium.Env):
        is_old = hasattr(value, "observation_space") and hasattr(value, "step")
        kind = type(value)
        return {"env": "old gym", "type": f"{kind.__module__}.{kind.__name__}"} if is_old else {}
    module = sys.modules.get(Path(target.rpartition(":")[0]).stem) if ".py:" in target else None
    module = module or sys.modules[target.rpartition(":")[0]]
    top = sys.modules[module.__name__.partition(".")[0]]
    file = Path(getattr(top, "__file__", None) or next(iter(top.__path__))).absolute()
    root = file.parent.parent if hasattr(top, "__path__") else file.parent
    own = []
    for other in list(sys.modules.values()):
        path = Path(getattr(other, "__file__", None) or os.sep).absolute()
        is_ours = path.is_relative_to(root) and path.suffix == ".py"
        # What is installed is found where it is.
        is_installed = path.is_relative_to(sys.prefix) or "-packages" in str(path)
        if is_ours and not is_installed:
            own.append(path.relative_to(root).as_posix())
    name = type(value.unwrapped).__name__
    return {"env": name, "root": str(root), "modules": sorted(set(own))}


def hand_over(found: Any, witness: Witness, folder: Path, mujoco: Any) -> dict[str, Any]:
    """Write what the parent needs; return the facts."""
    is_spec = isinstance(found, mujoco.MjSpec)
    origin = found if is_spec else witness.find_origin(found)
    if origin is None:  # before another model is read
        mujoco.mj_saveLastXML(str(folder / XML_FILE), found)
        origin = (folder / XML_FILE).read_text(encoding="utf-8")
    model = found.compile() if is_spec else found
    facts: dict[str, Any] = {"mujoco": mujoco.__version__, "file": XML_FILE}
    for path in dict.fromkeys(map(os.path.abspath, witness.files[-_MOST_FILES:])):
        if os.path.isfile(path) and holds(path, model, mujoco):
            return {**facts, "file": path}
    text = origin if isinstance(origin, str) else origin.to_xml()
    write_model(text, list(list_assets(origin, witness)), list_places(origin, witness), folder)
    written = mujoco.MjModel.from_xml_path(str(folder / XML_FILE))
    worst, where = compare(model, written)
    return {**facts, "worst": worst, "where": where}


def holds(path: str, model: Any, mujoco: Any) -> bool:
    """Return whether a file is just this model."""
    try:
        other = mujoco.MjModel.from_xml_path(path)
        return bool(other.names == model.names and compare(model, other)[0] == 0.0)
    except (ValueError, TypeError):
        return False


def compare(model: Any, other: Any) -> tuple[float, str]:
    """Return the largest difference of two models' numbers, relative to an array's largest.

    Returns:
        The difference, and the name of the array.

    Raises:
        ValueError: they have not the same parts.
    """
    import numpy as np

    worst = 0.0, ""
    for name in dir(model):
        # Where the names of files begin is no part of the physics.
        if name.startswith("_") or name.endswith("pathadr"):
            continue
        value = getattr(model, name, None)
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu":
            continue
        beside = getattr(other, name)
        if value.shape != beside.shape:
            raise ValueError(f"{name} has shape {value.shape}, in the XML {beside.shape}")
        if value.size:
            first, second = value.astype(float), beside.astype(float)
            scale = float(np.abs(first).max()) or 1.0
            difference = float(np.abs(first - second).max()) / scale
            worst = (difference, name) if difference > worst[0] else worst
    return worst


def list_assets(found: Any, witness: Witness) -> Iterator[dict[str, bytes]]:
    """Yield the assets that were given as bytes."""
    if hasattr(found, "assets"):
        yield {name: bytes(data) for name, data in dict(found.assets).items()}
    yield from witness.assets


def list_places(found: Any, witness: Witness) -> list[Path]:
    """Return the folders in which assets may lie."""
    files = [Path(file).absolute() for file in dict.fromkeys(witness.files)]
    own = getattr(found, "modelfiledir", "")
    bases = [Path(own).absolute()] if own else []
    bases += [file.parent for file in files]
    places = [base / name for base in bases for name in ("", *read_folders(files))]
    return list(dict.fromkeys([*places, Path.cwd()]))


def read_folders(files: list[Path]) -> list[str]:
    """Return the folders of assets that some files name."""
    found = []
    for file in files:
        try:
            compilers = list(ET.parse(file).getroot().iter("compiler"))
        except (OSError, ET.ParseError):
            continue
        found += [c.attrib[key] for c in compilers for key in _FOLDERS if key in c.attrib]
    return list(dict.fromkeys(found))


def write_model(
    text: str, assets: list[dict[str, bytes]], places: list[Path], folder: Path
) -> None:
    """Write XML with its assets in a folder beside it."""
    root = ET.fromstring(text)
    folders = [
        c.attrib.pop(key) for c in root.iter("compiler") for key in _FOLDERS if key in c.attrib
    ]
    (folder / "assets").mkdir(exist_ok=True)
    written: dict[str, bytes] = {}
    for element in root.iter():
        for key, name in element.attrib.items():
            if not key.startswith("file") or not name:
                continue
            data = find_asset(name, folders, assets, places)
            own = Path(name.replace("\\", "/")).name
            n_taken = 1
            while written.setdefault(own, data) != data:
                n_taken += 1
                own = f"{n_taken}_{Path(name).name}"
            (folder / "assets" / own).write_bytes(data)
            element.set(key, f"assets/{own}")
    (folder / XML_FILE).write_text(ET.tostring(root, encoding="unicode"), encoding="utf-8")


def find_asset(
    name: str, folders: list[str], assets: list[dict[str, bytes]], places: list[Path]
) -> bytes:
    """Return the bytes of an asset, by any of the names that MuJoCo knows it by."""
    names = [os.path.normpath(os.path.join(place, name)) for place in (*folders, "")]
    for known in assets:
        by_path = {os.path.normpath(key): data for key, data in known.items()}
        by_name = {os.path.basename(key): data for key, data in known.items()}
        for key in names:
            if key in by_path:
                return by_path[key]
        if os.path.basename(name) in by_name:
            return by_name[os.path.basename(name)]
    for place in places:
        for key in names:
            if (place / key).is_file():
                return (place / key).read_bytes()
    raise FileNotFoundError(f"the asset {name!r} of the model lies in none of its folders")


def main() -> None:
    """Do it, and say in one line what went wrong."""
    target, folder = sys.argv[1], Path(sys.argv[2])
    facts: dict[str, Any]
    try:
        takes_env = "env" in sys.argv[3:]
        if not takes_env or importlib.util.find_spec("mujoco"):
            import mujoco

            witness = Witness(mujoco)
        found = find_function(target)
        value = found() if callable(found) else found
        facts = describe_env(value, target) if takes_env else {}
        facts = facts or hand_over(find_model(value, mujoco), witness, folder, mujoco)
    except BaseException as error:
        import traceback

        traceback.print_exc()
        last = traceback.extract_tb(error.__traceback__)[-1]
        words = str(error) or f"in {last.filename}:{last.lineno}: {last.line}"
        facts = {"error": f"{type(error).__name__}: {words}"}
    (folder / FACTS_FILE).write_text(json.dumps(facts), encoding="utf-8")


if __name__ == "__main__":
    main()
