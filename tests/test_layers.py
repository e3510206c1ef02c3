"""Imports point down, and the parent stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "reward_agent"

# From the bottom up; a module may import from its own layer and from those below.
LAYERS = [
    ("constants", "errors", "paths", "text", "threads", "timing", "types"),
    ("simulation.sources", "simulation.card", "jobs", "sandbox.files", "sandbox.limits", "tasks", "config"),
    (
        "llm", "prompts", "rewards", "simulation", "training", "evaluation", "sandbox", "worker",
        "testing",
    ),
    ("agents", "store", "executors", "history", "llm.offline", "llm.replay"),
    ("search",),
    ("stages",),
    ("report", "export", "trackers"),
    ("loop", "design_run", "repeat", "single", "estimate"),
    ("feedback", "bench"),
    ("web",),
    ("cli",),
]  # fmt: skip
# Only the child may import these, and it does so in these modules alone.
HEAVY = {"torch", "mujoco", "stable_baselines3", "gymnasium", "envpool"}
# What stands in an exported file is written there as text; nothing here imports it.
CHILD = (
    "worker", "training", "simulation", "evaluation", "rewards", "bench.sides", "export.runtime",
)  # fmt: skip
MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))


def find_layer(module: str) -> int:
    """Return the layer of a dotted module name; the most specific entry counts."""
    entries = [(name, level) for level, names in enumerate(LAYERS) for name in names]
    matches = [
        (name, level) for name, level in entries if module == name or module.startswith(f"{name}.")
    ]
    if not matches:
        return len(LAYERS)
    return max(matches, key=lambda match: len(match[0]))[1]


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
        "import reward_agent.design_run",
        "import reward_agent.single",
        "import reward_agent.loop",
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
