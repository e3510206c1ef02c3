"""An MJCF or URDF of anybody's, looked at before MuJoCo compiles it.

MuJoCo opens whatever a model names, and makes as much of everything as it asks for. So a model
names plain files inside its card's folder, and asks for what fits into a computer. Which files
these are is said here as well: a draft copies them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from xml.parsers import expat

from reward_agent.errors import DataError
from reward_agent.files import open_plain

_MOST_XML_BYTES, _MOST_ASSET_BYTES = 16 * 2**20, 128 * 2**20
_MOST_ELEMENTS, _MOST_DEPTH, _MOST_FILES = 100_000, 100, 200
_MOST_ASSETS = 5000
_MOST_COPIES, _MOST_COUNT, _MOST_TEXELS = 100_000, 10_000_000, 2**26
_STRIPS = "strippath"
_FOLDERS = ("assetdir", "meshdir", "texturedir")
# Attributes that say how many of something there are.
_COUNTS = frozenset(
    [
        "count",
        "nrow",
        "ncol",
        "width",
        "height",
        "num",
        "dim",
        "nsample",
        "resolution",
        "cellcount",
        "nuserdata",
        "njmax",
        "nconmax",
        "nstack",
        "nkey",
    ]
)
# Root elements: a whole model, a part that only an <include> reads, a robot of ROS.
MODEL, FRAGMENT, URDF = "mujoco", "mujocoinclude", "robot"
_PNG = b"\x89PNG\r\n\x1a\n"


class _Reader:
    """Notes what one file of a model names, and refuses what no model holds."""

    def __init__(self) -> None:
        self.kind = ""
        self.strips = False
        # In the file's order: what names a file and the name, a folder's attribute and the folder.
        self.names: list[tuple[str, str]] = []
        # Of a URDF: MuJoCo leaves them out unless it is told not to.
        self._looks: list[tuple[str, str]] = []
        self._keeps_looks = False
        self._above = [""]
        self._copies = [1.0]
        self._n_elements = 0

    def read(self, data: bytes) -> None:
        # What a file says of its own encoding would be read in two ways.
        parser = expat.ParserCreate("utf-8")
        parser.StartDoctypeDeclHandler = self._refuse_doctype
        parser.StartElementHandler = self._begin
        parser.EndElementHandler = self._end
        parser.Parse(data, True)
        self.names += self._looks if self._keeps_looks else []

    def _end(self, element: str) -> None:
        self._copies.pop()
        self._above.pop()

    def _refuse_doctype(self, name: str, *_: object) -> None:
        raise ValueError("it declares a document type, which could hold entities without end")

    def _begin(self, element: str, attributes: dict[str, str]) -> None:
        self._n_elements += 1
        if self._n_elements > _MOST_ELEMENTS or len(self._copies) > _MOST_DEPTH:
            raise ValueError(f"more than {_MOST_ELEMENTS} elements, or {_MOST_DEPTH} deep")
        counts = {name: _count(element, name, text) for name, text in attributes.items()}
        for name, count in counts.items():
            if not count <= _MOST_COUNT:  # nor NaN
                raise ValueError(f"<{element} {name}={attributes[name][:40]!r}> asks for too much")
        copies = self._copies[-1] * (counts.get("count", 1.0) if element == "replicate" else 1.0)
        texels = counts.get("width", 1.0) * counts.get("height", 1.0)
        if copies > _MOST_COPIES or texels > _MOST_TEXELS:
            raise ValueError(f"<{element}> asks for {copies:g} copies, or {texels:g} texels")
        self._copies.append(copies)
        self.kind = self.kind or element
        # MuJoCo takes either slash for one.
        words = {name: text.replace("\\", "/") for name, text in attributes.items()}
        self.names += [(name, words[name]) for name in _FOLDERS if name in words]
        self.strips |= words.get("strippath") == "true"
        self._keeps_looks |= words.get("discardvisual") == "false"
        self._above.append(element)
        named = [(element, x) for name, x in words.items() if name.startswith("file") and x]
        if self.kind != URDF:
            self.names += named
        elif element == "mesh":  # it does not read plug-ins of other simulators
            (self._looks if "visual" in self._above else self.names).extend(named)


def _count(element: str, name: str, text: str) -> float:
    """Return how many, or how many KiB, an attribute asks for; 1 where it is not of that kind."""
    if name == "memory":
        size = re.fullmatch(r"\s*(-1|\d+)\s*([KMGTPE]?)\s*", text, re.IGNORECASE)
        number, unit = size.groups() if size else ("1", "K")
        return float(number) * 1024.0 ** (" KMGTPE".index(unit.upper() or " ") - 1)
    if name in _COUNTS or name.startswith("nuser_") or (element, name) == ("numeric", "size"):
        return prod(abs(float(word)) for word in text.split())
    return 1.0


def check_model(folder: Path, name: str) -> None:
    """Look at an MJCF and all that it includes.

    Args:
        folder: of the card, which the model must not lead out of.
        name: of the MJCF, seen from there.

    Raises:
        DataError: it is no XML, leads out of the folder, or asks for more than a model holds.
    """
    root = folder.resolve()
    main = root / name
    waiting, seen = [main], set[Path]()
    assets, folders = list[str](), [""]
    while waiting:
        file = waiting.pop()
        if file in seen:
            continue
        seen.add(file)
        try:
            reader = _read(file, root, len(seen))
            for element, named in reader.names:
                if element in _FOLDERS:
                    folders.append(named)
                elif element in ("include", "model"):
                    waiting += _find_files(named, {main.parent, file.parent}, root)
                else:
                    assets.append(named)
        except (ValueError, OSError, expat.ExpatError) as error:
            remedy = "correct the MJCF, and keep all that it names in the card's folder"
            raise DataError(f"{file}: {error}", remedy) from error
    try:
        bases = {base / place for base in {file.parent for file in seen} for place in folders}
        # A compiler that strips names of their way looks for the last part alone.
        for named in dict.fromkeys(x for name in assets for x in (name, name.rpartition("/")[2])):
            for asset in _find_files(named, bases, root):
                _check_asset(asset)
    except (ValueError, OSError) as error:
        raise DataError(f"{main}: {error}", "keep what it needs in the card's folder") from error


def _read(file: Path, root: Path, n_files: int) -> _Reader:
    _check_inside(file, root)
    if n_files > _MOST_FILES:
        raise ValueError(f"it includes more than {_MOST_FILES} files")
    return _read_plain(file)


def _read_plain(file: Path) -> _Reader:
    with os.fdopen(open_plain(file), "rb") as opened:
        data = opened.read(_MOST_XML_BYTES + 1)
    if len(data) > _MOST_XML_BYTES:
        raise ValueError(f"it has more than {_MOST_XML_BYTES} bytes")
    reader = _Reader()
    reader.read(data)
    return reader


def _find_files(name: str, bases: set[Path], root: Path) -> Iterator[Path]:
    """Yield the files that a name may mean, seen from each of the folders, if they are there.

    Seen from one that it is not meant for, a name may lead out, as long as it leads to nothing.
    """
    if ":" in name:
        raise ValueError(f"{name[:80]!r} is not in the card's folder {root}")
    places = sorted(base / name for base in bases)
    inside = [place for place in places if Path(os.path.normpath(place)).is_relative_to(root)]
    for place in places if inside else places[:1]:
        plain = Path(os.path.normpath(place))  # MuJoCo takes '..' by its words
        if os.path.lexists(place) or os.path.lexists(plain) or not inside:
            _check_inside(place, root)
            yield plain


def _check_inside(place: Path, root: Path) -> None:
    """Refuse a path that leads out of a folder, by its words or by a link."""
    words = os.path.normpath(place)
    if not Path(words).is_relative_to(root):
        raise ValueError(f"{place} is not in the card's folder {root}")
    if os.path.realpath(place) != words:
        raise ValueError(f"{place} is reached through a link")


def _check_asset(path: Path) -> None:
    """Refuse what is no plain file, is very large, or unpacks to a picture that is."""
    with os.fdopen(open_plain(path), "rb") as file:
        size, start = os.fstat(file.fileno()).st_size, file.read(24)
    if size > _MOST_ASSET_BYTES:
        raise ValueError(f"{path} has {size} bytes, at most {_MOST_ASSET_BYTES}")
    width, height = int.from_bytes(start[16:20], "big"), int.from_bytes(start[20:24], "big")
    if start.startswith(_PNG) and width * height > _MOST_TEXELS:
        raise ValueError(f"{path} is a picture of {width} x {height}")


# --- which files these are -----------------------------------------------------------------------


@dataclass
class Closure:
    """The files that a model reads, where MuJoCo looks for them.

    Args:
        main: the model's own file.
        kind: its root element.
        files: all that are there, ``main`` first.
        missing: as it names them, the others.
        renamed: file by a name of a URDF that is no path (``package://…``).
    """

    main: Path
    kind: str = ""
    files: list[Path] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    renamed: dict[str, Path] = field(default_factory=dict)

    def add(
        self, element: str, name: str, places: list[Path], *, strips: bool = False
    ) -> Path | None:
        """Note the file that a name means, seen from the first of the places that has it.

        Args:
            element: that names it.
            name: as it says.
            places: where it may be.
            strips: whether MuJoCo takes the last part of the name alone.
        """
        is_of_package = "://" in name and self.kind == URDF
        if is_of_package and not strips:
            return self._add_of_package(name)
        if not is_of_package and (":" in name or name.startswith("/")):
            raise ValueError(f"<{element}> names {name[:200]!r}, a place on one machine alone")
        for place in places:
            path = Path(os.path.normpath(place / (name.rpartition("/")[2] if strips else name)))
            if os.path.lexists(path):
                self._take(path)
                if is_of_package:
                    self.renamed[name] = path
                return path
        self.missing.append(name)
        return None

    def _add_of_package(self, name: str) -> Path | None:
        """Look for ``package://NAME/rest`` around the URDF, as its package is laid out."""
        package, _, rest = name.partition("://")[2].partition("/")
        for above in self.main.parents:
            for place in (above / package / rest, above / rest):
                if rest and ".." not in Path(rest).parts and place.is_file():
                    self._take(place)
                    self.renamed[name] = place
                    return place
            if above.name == package:
                break
        self.missing.append(name)
        return None

    def _take(self, path: Path) -> None:
        if path not in self.files:
            self.files.append(path)


def find_closure(main: Path) -> Closure:
    """Return the files that a model reads: what it includes, attaches and takes as assets.

    Args:
        main: path of the model, without links.

    Raises:
        DataError: one of them is no XML, or leads to a place that is not the model's.
    """
    closure = Closure(main, files=[main])
    models, seen = [main], set[Path]()
    while models:
        model = models.pop()
        if model in seen:
            continue
        seen.add(model)
        models += _follow(model, closure)
    closure.files[1:] = sorted(set(closure.files[1:]))
    return closure


def _follow(model: Path, closure: Closure) -> list[Path]:
    """Note what one model reads; return the models that it attaches."""
    folders: dict[str, list[str]] = {key: [] for key in _FOLDERS}
    named = list(_read_in_order(model, model, closure, folders, set()))
    strips = any(element == _STRIPS for element, _, _ in named)
    every = [place for places in folders.values() for place in places]
    attached = []
    for element, name, beside in named:
        if element == _STRIPS:
            continue
        own = folders["texturedir" if element == "texture" else "meshdir"]
        # The last that is said holds.
        places = [*own[-1:], *folders["assetdir"][-1:], "", *every]
        bases = [*(model.parent / place for place in places), beside]
        try:
            found = closure.add(element, name, bases, strips=strips and element != "model")
        except ValueError as error:
            remedy = "put the file beside the model, and name it as seen from there"
            raise DataError(f"{model}: {error}", remedy) from error
        if element == "model" and found:
            attached.append(found)
    return attached


def _read_in_order(
    file: Path, model: Path, closure: Closure, folders: dict[str, list[str]], seen: set[Path]
) -> Iterator[tuple[str, str, Path]]:
    """Yield what names an asset, its name and the folder of the file; note where assets lie."""
    if file in seen:
        return
    seen.add(file)
    try:
        if len(seen) > _MOST_FILES or len(closure.files) > _MOST_ASSETS:
            raise ValueError(f"it includes more than {_MOST_FILES} files, or has more assets")
        reader = _read_plain(file)
        closure.kind = closure.kind or reader.kind
        if reader.strips:
            yield _STRIPS, "", file
        for element, name in reader.names:
            if element in _FOLDERS:
                folders[element].append(name)
            elif element != "include":
                yield element, name, file.parent
            elif found := closure.add(element, name, [model.parent, file.parent]):
                yield from _read_in_order(found, model, closure, folders, seen)
    except (ValueError, OSError, expat.ExpatError) as error:
        raise DataError(f"{file}: {error}", "correct the model") from error


def check_file(path: Path) -> None:
    """Refuse an asset that is no plain file, is very large, or unpacks to a picture that is.

    Raises:
        DataError: it is one of these.
    """
    try:
        _check_asset(path)
    except (ValueError, OSError) as error:
        raise DataError(str(error), "keep what the model needs as plain files") from error
