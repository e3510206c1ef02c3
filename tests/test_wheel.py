"""The wheel brings its prompts and environments along."""

from __future__ import annotations

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the interpreter of a fresh environment with the wheel in it.

    The dependencies are those of the environment that runs the tests, through a .pth file: what is
    tested is what the wheel itself brings.
    """
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    [wheel] = folder.glob("*.whl")
    venv.create(folder / "venv")
    python = folder / "venv" / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python)
    run(*pip, "install", "-q", "--no-deps", "--no-index", wheel, cwd=folder)
    [site] = (folder / "venv").glob("lib/python*/site-packages")
    dependencies = [path for path in sys.path if path.endswith("site-packages")]
    (site / "zz_dependencies.pth").write_text("\n".join(dependencies))
    return python


def test_wheel_finds_its_environments_and_prompts(installed_python: Path, tmp_path: Path) -> None:
    code = (
        "from reward_agent import __file__ as home; from reward_agent.definitions import paths\n"
        "from reward_agent.definitions.card import list_envs\n"
        "assert 'site-packages' in home, home\n"
        "assert str(paths.find_prompts_dir()).startswith(home.rsplit('/', 1)[0])\n"
        "assert (paths.find_prompts_dir() / 'designer').is_dir()\n"
        "print(*list_envs())"
    )
    listed = run(installed_python, "-c", code, cwd=tmp_path).split()
    assert listed == sorted(path.parent.name for path in (ROOT / "envs").glob("*/env.toml"))


def test_wheel_holds_the_package_alone(installed_python: Path) -> None:
    [wheel] = installed_python.parents[2].glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        folders = {name.split("/")[0] for name in archive.namelist()}
    assert {name for name in folders if not name.endswith(".dist-info")} == {"reward_agent"}


def test_installed_command_runs_a_child_from_the_wheel(
    installed_python: Path, tmp_path: Path
) -> None:
    program = tmp_path / "reward.py"
    program.write_text(
        "def compute_reward(state, action, next_state):\n"
        "    speed = next_state.forward_velocity\n"
        "    return speed, {'speed': speed}\n"
    )
    command = installed_python.parent / "reward-agent"
    output = run(command, "check", program, "--env", "hopper", "--probe", cwd=tmp_path)
    assert output.strip().splitlines()[-1] == "accepted"
