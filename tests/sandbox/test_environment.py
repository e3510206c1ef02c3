import subprocess
import sys
from pathlib import Path

import reward_agent
from reward_agent.sandbox.environment import (
    find_import_roots,
    make_child_command,
    make_child_environment,
)

CHECKOUT = Path(reward_agent.__file__).parents[1]


def test_no_key_passes_into_the_environment(tmp_path):
    parent = {
        "OPENAI_API_KEY": "sk-canary",
        "ANTHROPIC_API_KEY": "sk-canary",
        "AWS_SECRET_ACCESS_KEY": "sk-canary",
        "HTTPS_PROXY": "http://user:sk-canary@proxy",
        "LD_PRELOAD": "sk-canary",
        "PYTHONSTARTUP": "sk-canary",
        "REWARD_AGENT_PROVIDER": "sk-canary",
        "LANG": "C.UTF-8",
    }
    environment = make_child_environment(tmp_path, renders=False, parent=parent)
    assert "sk-canary" not in str(environment)
    assert environment["LANG"] == "C.UTF-8"


def test_home_and_temporary_files_lie_in_the_jobs_folder(tmp_path):
    environment = make_child_environment(tmp_path, renders=False, parent={"HOME": "/root"})
    assert environment["HOME"] == environment["TMPDIR"] == str(tmp_path)


def test_graphics_are_switched_off_unless_the_job_renders(tmp_path):
    parent = {"MUJOCO_GL": "egl"}
    assert make_child_environment(tmp_path, renders=False, parent=parent)["MUJOCO_GL"] == "disable"
    assert make_child_environment(tmp_path, renders=True, parent=parent)["MUJOCO_GL"] == "egl"


def test_checkout_without_installation_is_found_by_its_child(tmp_path):
    """The parent finds the package by its script's folder; the child must find it too."""
    # A copy of nothing but the package, so that an editable install cannot help.
    (tmp_path / "checkout").mkdir()
    (tmp_path / "checkout" / "reward_agent").symlink_to(CHECKOUT / "reward_agent")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from reward_agent.sandbox.environment import *\n"
        "import subprocess, pathlib\n"
        "done = subprocess.run(make_child_command(pathlib.Path(sys.argv[2])), "
        "env=make_child_environment(pathlib.Path(sys.argv[2]), renders=False), "
        "cwd=sys.argv[2], capture_output=True, text=True)\n"
        "print(done.returncode, done.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "checkout"), str(tmp_path)],
        capture_output=True,
        text=True,
        cwd="/",
    )
    # It starts, and finds that there is no job.
    assert done.stdout.startswith("70 "), done
    assert "job.json" in done.stdout


def test_module_in_the_jobs_folder_cannot_shadow_ours(tmp_path):
    (tmp_path / "pydantic.py").write_text("raise SystemExit('shadowed')")
    (tmp_path / "sitecustomize.py").write_text("raise SystemExit('shadowed')")
    done = subprocess.run(
        make_child_command(tmp_path),
        env=make_child_environment(tmp_path, renders=False),
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert "shadowed" not in done.stderr
    assert done.returncode == 70


def test_import_roots_hold_the_package_or_its_site_packages_do():
    roots = find_import_roots()
    assert all(root.is_dir() for root in roots)
    assert Path(sys.prefix) not in roots


def test_torchs_compiler_leaves_no_folder_in_the_jobs(tmp_path):
    code = "from torch._inductor.runtime.cache_dir_utils import cache_dir; cache_dir()"
    environment = make_child_environment(tmp_path, renders=False)
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert list(tmp_path.iterdir()) == []
