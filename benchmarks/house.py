"""``scripts/bench house [CHECKOUT ...]``: how large this house is, and how its rooms hang together.

How it counts:

- **lines**: of every ``.py`` under ``reward_agent/``, with docstrings, comments and blank lines.
- **closure**: the modules that opening a run, the loop or any module of the worker imports, at any
  depth: also those that a function imports, and those for type checkers alone. ``from x import y``
  counts ``x.y`` where that is a module, else ``x``. Packages on the way count where their
  ``__init__`` holds more than a docstring. What is imported by a name in a string does not count.
- **cycles** of packages: sets of folders of which each reaches each other by imports.
- **upward**: imports against ``LAYERS``; none is told of a checkout with other folders.
- **one name, two classes**: public classes of modules; a protocol and what fulfils it are one.
- **functions**: lines of the body without the docstring.
"""

from __future__ import annotations

import argparse
import ast
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from statistics import median, quantiles

PACKAGE = "reward_agent"
ROOT = Path(__file__).resolve().parents[1]
# From the bottom up. A folder is a layer: a module imports from its own folder and those below;
# modules beside the folders (errors, types, …) are below all of them.
LAYERS = (
    "definitions", "records", "simulation", "rewards", "learning", "device", "evaluation",
    "summary", "film", "llm", "testing", "designers", "sandbox", "drafts", "translation", "worker",
    "executors", "report", "export", "trackers", "run", "feedback", "control", "bench", "web",
    "mcp", "cli",
)  # fmt: skip
# Where a run begins, by its name now and by its name before.
_ROOTS = ("run.open", "run.loop", "design_run", "loop")
_GOALS = {
    "lines": "36,000",
    "modules": "220",
    "closure, modules": "120",
    "cycles of packages": "0",
    "imports that point up": "0",
    "one name, two classes": "0",
}
_N_SHOWN = 5


@dataclass(frozen=True)
class Module:
    """A module of the package.

    Args:
        name: dotted, below the package; empty for the package itself.
        n_lines: of its file.
        tree: its syntax tree.
        is_package: whether it is an ``__init__``.
    """

    name: str
    n_lines: int
    tree: ast.Module
    is_package: bool

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing in it but a docstring."""
        return all(
            isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            for node in self.tree.body
        )


@dataclass(frozen=True)
class House:
    """The package of a checkout.

    Args:
        modules: by their names.
    """

    modules: Mapping[str, Module]

    @property
    def n_lines(self) -> int:
        """Lines of all modules."""
        return sum(module.n_lines for module in self.modules.values())

    @cached_property
    def imports(self) -> dict[str, set[str]]:
        """What each module imports of the others."""
        return {name: set(self._list_imports(item.tree)) for name, item in self.modules.items()}

    def _list_imports(self, tree: ast.Module) -> Iterator[str]:
        for name in list_imports(tree):
            # A name of a module's own is the module's: from x.y import z.
            for known in (name, name.rpartition(".")[0]):
                own = known.removeprefix(PACKAGE).removeprefix(".")
                if known.partition(".")[0] == PACKAGE and own in self.modules:
                    yield own
                    break

    def find_closure(self) -> list[str]:
        """Return the modules that a run and its worker import."""
        waiting = [name for name in self.modules if name in _ROOTS or name.startswith("worker.")]
        seen: set[str] = set()
        while waiting:
            name = waiting.pop()
            if name in seen:
                continue
            seen.add(name)
            waiting += self.imports[name]
            if "." in name:  # importing it runs the packages that it lies in
                waiting.append(name.rpartition(".")[0])
        return sorted(
            name
            for name in seen
            if not (self.modules[name].is_package and self.modules[name].is_empty)
        )

    def find_cycles(self) -> list[list[str]]:
        """Return the sets of folders that reach each other by imports."""
        below: dict[str, set[str]] = {}
        for name, targets in self.imports.items():
            if name not in ("", "__main__"):  # the door, which opens to everything
                folders = {target.partition(".")[0] for target in targets} - {""}
                below.setdefault(name.partition(".")[0], set()).update(folders)
        reached = {folder: _reach(below, folder) for folder in below}
        sets = {
            tuple(sorted(b for b in reached[a] if a in reached.get(b, ()))) for a in reached
        }  # fmt: skip
        return sorted(list(folders) for folders in sets if len(folders) > 1)

    def find_upward(self) -> list[str] | None:
        """Return the imports against the layers; None where folders are not those of ``LAYERS``."""
        folders = {name.partition(".")[0] for name, item in self.modules.items() if item.is_package}
        if folders - {""} - set(LAYERS):
            return None
        return sorted(
            f"{name} imports {target}"
            for name, targets in self.imports.items()
            for target in targets
            if find_layer(target) > find_layer(name)
        )

    def find_twins(self) -> dict[str, list[str]]:
        """Return public classes that several modules have one of, by name."""
        found: dict[str, list[tuple[str, bool]]] = {}
        for name, module in self.modules.items():
            for node in module.tree.body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    found.setdefault(node.name, []).append((name, _is_protocol(node)))
        return {
            name: sorted(module for module, _ in places)
            for name, places in sorted(found.items())
            if len(places) > 1 and sum(not is_protocol for _, is_protocol in places) != 1
        }

    def measure_functions(self) -> list[tuple[int, str]]:
        """Return the lines of each function's body, without its docstring, and its name."""
        return [
            (_count_body(node), f"{name}: {node.name}")
            for name, module in self.modules.items()
            for node in ast.walk(module.tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        ]


def read_house(checkout: Path) -> House:
    """Read the package of a checkout."""
    folder = checkout / PACKAGE
    modules = [_read_module(path, folder) for path in sorted(folder.rglob("*.py"))]
    return House({module.name: module for module in modules})


def _read_module(path: Path, folder: Path) -> Module:
    text = path.read_text("utf-8")
    parts = path.relative_to(folder).with_suffix("").parts
    is_package = parts[-1] == "__init__"
    name = ".".join(parts[:-1] if is_package else parts)
    return Module(name, len(text.splitlines()), ast.parse(text), is_package)


def list_imports(tree: ast.AST) -> Iterator[str]:
    """Yield what a module imports, anywhere in it: ``x.y`` of ``from x import y``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def find_layer(module: str) -> int:
    """Return the layer of a module of the package, -1 for those below all folders."""
    folder = module.partition(".")[0]
    if folder in LAYERS:
        return LAYERS.index(folder)
    # The package itself and its ``__main__`` open the door to everything.
    return -1 if module not in ("", "__main__") else len(LAYERS)


def _reach(below: Mapping[str, set[str]], start: str) -> set[str]:
    """Return what can be reached from a folder, itself included."""
    seen, waiting = {start}, [start]
    while waiting:
        new = below.get(waiting.pop(), set()) - seen
        seen |= new
        waiting += new
    return seen


def _is_protocol(node: ast.ClassDef) -> bool:
    return any("Protocol" in ast.unparse(base) for base in node.bases)


def _count_body(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first, *rest = node.body
    is_docstring = ast.get_docstring(node) is not None
    if is_docstring and not rest:
        return 0
    start = first.end_lineno if is_docstring else first.lineno - 1
    return (node.end_lineno or 0) - (start or 0)


@dataclass(frozen=True)
class Count:
    """The numbers of a house.

    Args:
        numbers: by the words of the table; None where it is not told.
        longest_modules: lines and name.
        longest_functions: lines of the body and name.
        cycles: folders that reach each other.
        upward: imports against the layers.
        twins: modules by the class that all of them have.
    """

    numbers: dict[str, float | None]
    longest_modules: list[tuple[int, str]]
    longest_functions: list[tuple[int, str]]
    cycles: list[list[str]]
    upward: list[str]
    twins: dict[str, list[str]]


def count_house(house: House) -> Count:
    """Count all of it."""
    closure, functions = house.find_closure(), house.measure_functions()
    cycles, upward, twins = house.find_cycles(), house.find_upward(), house.find_twins()
    lengths = [length for length, _ in functions]
    modules = [(module.n_lines, name) for name, module in house.modules.items()]
    numbers: dict[str, float | None] = {
        "lines": house.n_lines,
        "modules": len(modules),
        "closure, modules": len(closure),
        "closure, lines": sum(house.modules[name].n_lines for name in closure),
        "cycles of packages": len(cycles),
        "imports that point up": None if upward is None else len(upward),
        "one name, two classes": len(twins),
        "module, longest": max(modules)[0],
        "function, median": median(lengths),
        "function, 90th percentile": quantiles(lengths, n=10)[-1],
        "function, longest": max(lengths),
    }
    longest = [sorted(items, reverse=True)[:_N_SHOWN] for items in (modules, functions)]
    return Count(numbers, longest[0], longest[1], cycles, upward or [], twins)


def render_counts(names: Sequence[str], counts: Sequence[Count]) -> str:
    """Return a table with a column for each checkout, and of the last what to look at."""
    widths = [max(9, len(name)) for name in names]
    head = [f"{name:>{width}}" for name, width in zip(names, widths, strict=True)]
    lines = [f"{'':<26} {'at most':>8} {' '.join(head)}"]
    for word in counts[0].numbers:
        values = [
            f"{_render(count.numbers[word]):>{width}}"
            for count, width in zip(counts, widths, strict=True)
        ]
        lines.append(f"{word:<26} {_GOALS.get(word, ''):>8} {' '.join(values)}")
    last = counts[-1]
    for title, items in (("modules", last.longest_modules), ("functions", last.longest_functions)):
        lines += _render_list(f"longest {title}", [f"{n} {name}" for n, name in items])
    lines += _render_list("cycles", [", ".join(folders) for folders in last.cycles])
    lines += _render_list("upward", last.upward)
    lines += _render_list(
        "one name", [f"{name}: {', '.join(places)}" for name, places in last.twins.items()]
    )
    return "\n".join(lines)


def _render(value: float | None) -> str:
    return "–" if value is None else f"{value:,g}" if value < 100 else f"{value:,.0f}"


def _render_list(title: str, items: Sequence[str]) -> list[str]:
    return [f"\n{title}:", *(f"  {item}" for item in items)] if items else []


def main(arguments: Sequence[str]) -> int:
    """Count this checkout, beside others that are named."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench house",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("checkouts", nargs="*", type=Path, help="others, such as an older clone")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    given = parser.parse_args(arguments)
    paths = [*given.checkouts, ROOT]
    counts = [count_house(read_house(path)) for path in paths]
    names = [str(path) for path in given.checkouts] + ["this"]
    if given.json:
        found = {name: asdict(count) for name, count in zip(names, counts, strict=True)}
        print(json.dumps(found, indent=1))
    else:
        print(render_counts(names, counts))
    return 0
