"""Imports point down, and the parent stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "reward_agent"

# From the bottom up. A folder is a layer: a module imports from its own folder and from those below;
# modules beside the folders (errors, types, …) are below all of them.
LAYERS = (
    "definitions", "records", "simulation", "rewards", "learning", "evaluation", "summary", "film",
    "llm", "testing", "designers", "sandbox", "worker", "executors", "report", "export", "trackers",
    "run", "feedback", "bench", "web", "cli",
)  # fmt: skip
# Only the child may import these, and it does so in these modules alone.
HEAVY = {"torch", "mujoco", "stable_baselines3", "gymnasium", "envpool"}
# What stands in an exported file is written there as text; nothing here imports it.
CHILD = (
    "worker", "learning", "simulation", "evaluation", "film", "rewards",
    "export.runtime",
)  # fmt: skip
MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))


def find_layer(module: str) -> int:
    """Return the layer of a dotted module name, -1 for those below all folders."""
    folder = module.partition(".")[0]
    if folder in LAYERS:
        return LAYERS.index(folder)
    # The package itself and its ``__main__`` open the door to everything.
    return -1 if module not in ("", "__init__", "__main__") else len(LAYERS)


def list_imports(tree: ast.AST) -> list[str]:
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            names.append(node.module)
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    return names


def name_module(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_imports_point_down(path: Path) -> None:
    module = name_module(path)
    tree = ast.parse((PACKAGE / path).read_text())
    own = [name.removeprefix("reward_agent.") for name in list_imports(tree)
           if name.startswith("reward_agent.")]  # fmt: skip
    upward = [name for name in own if find_layer(name) > find_layer(module)]
    assert not upward, f"{module} imports from above: {upward}"


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_only_the_child_imports_physics_and_torch(path: Path) -> None:
    module = name_module(path)
    heavy = {name.split(".")[0] for name in list_imports(ast.parse((PACKAGE / path).read_text()))}
    if not module.startswith(CHILD):
        assert not heavy & HEAVY, f"{module} imports {heavy & HEAVY}"


@pytest.mark.parametrize(
    "statement",
    [
        "import reward_agent",
        "import reward_agent.cli.app",
        "import reward_agent.run.open",
        "import reward_agent.run.single",
        "import reward_agent.run.loop",
        "import reward_agent.report.page",
    ],
)
def test_the_parent_loads_no_physics_and_no_torch(statement: str) -> None:
    code = f"{statement}\nimport sys\nprint(*(set({sorted(HEAVY)!r}) & set(sys.modules)))"
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert output.stdout.strip() == ""


def test_help_loads_no_sdk() -> None:
    code = (
        "import sys\nsys.argv = ['reward-agent', '--help']\n"
        "from reward_agent.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'openai', 'anthropic', 'torch', 'mujoco', 'gymnasium', 'pydantic', 'numpy'}\n"
        "print('loaded:', sorted(heavy & set(sys.modules)))"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    loaded = output.stdout.strip().splitlines()[-1]
    assert loaded in ("loaded: []", "loaded: ['pydantic']")


def test_the_parent_imports_without_what_windows_lacks() -> None:
    parents = [name_module(path) for path in MODULES if path.name != "__main__.py"]
    names = [f"reward_agent.{name}" for name in parents if name and not name.startswith(CHILD)]
    code = (
        "import sys, importlib, warnings\n"
        "sys.modules |= dict.fromkeys(('fcntl', 'resource', 'pwd', 'grp', 'pty'))\n"
        # filelock says on Linux that it finds no lock; on Windows it has another.
        "warnings.simplefilter('ignore')\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
        "print(len(sys.modules))"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert output.returncode == 0, output.stderr
