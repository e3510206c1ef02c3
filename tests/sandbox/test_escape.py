"""What a program that passed every static rule can reach: nothing. Tried as root and as a user."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from reward_agent.sandbox.filter import find_architecture
from reward_agent.sandbox.landlock import read_abi

HERE = Path(__file__).parent
NOBODY = 65534

pytestmark = pytest.mark.skipif(
    not read_abi() or find_architecture() is None, reason="this machine has no full sandbox"
)


def make_world(folder):
    """Lay out what a hostile program is after, around the folder of its job."""
    texts = {
        "home/secret.txt": "private",
        "other_job/result.json": "{}",
        "envs/hopper/env.toml": "",
        "envs/hopper/tasks/hop_forward/metric.py": "def score(episode): ...",
    }
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    env = folder / "envs" / "hopper"
    (env / "secret.txt").symlink_to("../../home/secret.txt")
    (env / "assets").symlink_to(folder / "home")
    return folder


def find_closed_folder(path):
    """Return the first folder on the way to a path that other users may not enter."""
    for folder in reversed(path.parents):
        if not folder.stat().st_mode & 0o001:
            return folder
    return None


def make_user_prefix(scratch):
    """Return the words that start a command as an ordinary user, whatever root's folders allow.

    An interpreter below a closed folder is shown to that user in a mount namespace of its own.
    """
    drop = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    base = Path(sys.base_prefix)
    closed = find_closed_folder(base)
    if closed is None:
        return drop
    keep = scratch / "keep"
    keep.mkdir()
    script = (
        f"mount --bind {base} {keep} && mount -t tmpfs -o mode=755 none {closed} && "
        f'mkdir -p {base} && mount --bind {keep} {base} && exec "$@"'
    )
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", *drop]


def run_battery(prefix, world, kernel):
    # The pytest folder of root is closed to others, and the checkout may be another user's.
    environment = {
        **os.environ,
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": str(world),
        "REWARD_AGENT_ENVS_DIR": str(world / "envs"),
        "OPENAI_API_KEY": "sk-canary",
    }
    done = subprocess.run(
        [*prefix, sys.executable, str(HERE / "battery.py"), str(world), kernel],
        capture_output=True,
        text=True,
        env=environment,
        cwd=world,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(
    scope="module",
    params=["newest", "newest, warm child", "first with Landlock", "without Landlock"],
)
def kernel(request):
    """What closes the files: all of Landlock, its first version, or namespaces."""
    return request.param


@pytest.fixture(scope="module", params=["self", "nobody"])
def battery(request, kernel, tmp_path_factory):
    """Everything tried once, by whoever runs the tests, and as an ordinary user if that is root."""
    if request.param == "self":
        return run_battery([], make_world(tmp_path_factory.mktemp("world")), kernel)
    if os.geteuid() != 0:
        pytest.skip("the tests run as an ordinary user already")
    world = Path("/tmp") / f"reward-agent-world-{os.getpid()}"
    try:
        make_world(world)
        scratch = tmp_path_factory.mktemp("scratch")
        for path in (world, *world.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
        answer = run_battery(make_user_prefix(scratch), world, kernel)
    finally:
        shutil.rmtree(world, ignore_errors=True)
    assert answer["uid"] == NOBODY
    return answer


def test_the_child_is_sealed_before_it_loads_anything(battery, kernel):
    assert battery["level"] == ("namespaces" if kernel == "without Landlock" else "full")
    assert battery["outcome"] == "ok", battery


def test_no_attack_succeeds(battery):
    succeeded = [name for name, verdict in battery["verdicts"].items() if verdict == "succeeded"]
    assert succeeded == []


def test_every_attack_was_tried(battery):
    source = (HERE / "attacks.py").read_text()
    assert len(battery["verdicts"]) == source.count("@attack\n")


def test_the_same_attacks_succeed_without_the_sandbox(battery):
    assert battery["level_without"] == "process"
    failed = {
        name: verdict
        for name, verdict in battery["without_sandbox"].items()
        if verdict != "succeeded"
    }
    assert failed == {}


def test_fatal_calls_end_the_job_with_a_name(battery):
    assert "mount" in battery["fatal"]
    wrong = {
        name: outcome
        for name, outcome in battery["fatal"].items()
        if outcome != "killed: forbidden system call"
    }
    assert wrong == {}
