"""Imports point down, and the parent stays light."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.house import list_imports, read_house

HOUSE = read_house(Path(__file__).resolve().parent.parent)
MODULES = sorted(HOUSE.modules)
# Only the child may import these, and it does so in these modules alone.
HEAVY = {"torch", "warp", "mujoco_warp", "mujoco", "stable_baselines3", "gymnasium", "envpool"}
# What stands in an exported file is written there as text; nothing here imports it.
CHILD = (
    "worker", "device", "learning.sb3", "learning.read_sb3", "simulation", "evaluation", "film", "rewards", "export.runtime", "export.convert", "export.torch_terms",
    "drafts.card", "drafts.roles", "drafts.tasks", "drafts.pose", "drafts.tree", "drafts.words",
    "drafts.actions", "drafts.fields", "drafts.plan", "drafts.tools",
    "drafts.adopt", "drafts.claims", "drafts.robot_claims", "drafts.scene_claims", "drafts.try_meaning", "drafts.live", "drafts.outline",
    "drafts.parts", "drafts.picture", "drafts.handover", "translation",
    "drafts.survey", "drafts.signals", "drafts.scatter", "drafts.env_draft", "drafts.env_ids", "drafts.pool_env",
)  # fmt: skip


# What each module imports: the packages, ours and others'.
ROOTS = {
    name: {imported.split(".")[0] for imported in list_imports(module.tree)}
    for name, module in HOUSE.modules.items()
}


def test_imports_point_down() -> None:
    assert HOUSE.find_upward() == []


def test_what_is_shipped_imports_nothing_that_is_not() -> None:
    apart = {"benchmarks", "support", "tests"}
    assert {name: roots & apart for name, roots in ROOTS.items() if roots & apart} == {}


def test_only_the_child_imports_physics_and_torch() -> None:
    parents = {name: roots for name, roots in ROOTS.items() if not name.startswith(CHILD)}
    assert {name: roots & HEAVY for name, roots in parents.items() if roots & HEAVY} == {}


def test_only_learning_and_the_device_import_torch() -> None:
    library = {"torch", "stable_baselines3", "sb3_contrib"}
    found = [name for name in MODULES if library & ROOTS[name]]
    # The first is text of an exported folder.
    apart = ("device.", "worker.device", "worker.trace")
    assert [name for name in found if not name.startswith(apart)] == [
        "export.convert",
        "export.torch_terms",
        "learning.read_sb3",
        "learning.sb3",
    ]


def test_the_parent_loads_no_physics_and_no_torch() -> None:
    parents = ("", ".cli.app", ".run.open", ".run.single", ".run.loop", ".report.page")
    imports = "\n".join(f"import reward_agent{module}" for module in parents)
    code = f"{imports}\nimport sys\nprint(*(set({sorted(HEAVY)!r}) & set(sys.modules)))"
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
    parents = [name for name in MODULES if name and not name.endswith("__main__")]
    # The SDK of the last looks at the system itself.
    apart = (*CHILD, "mcp")
    names = [f"reward_agent.{name}" for name in parents if not name.startswith(apart)]
    code = (
        "import sys, importlib, warnings\n"
        "sys.modules |= dict.fromkeys(('fcntl', 'resource', 'pwd', 'grp', 'pty'))\n"
        # filelock says on Linux that it finds no lock; on Windows it has another.
        "warnings.simplefilter('ignore')\n"
        f"for name in {names!r}:\n"
        "    try:\n        importlib.import_module(name)\n"
        # Trackers and the page need their extras; that they lack them is not what is tried.
        "    except ModuleNotFoundError as error:\n"
        "        if error.name in sys.modules: raise\n"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert output.returncode == 0, output.stderr
