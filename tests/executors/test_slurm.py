"""What is asked of Slurm, and what is refused before it is asked."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

import pytest

from reward_agent.errors import UsageError
from reward_agent.executors import slurm
from reward_agent.executors.registry import EXECUTORS
from reward_agent.executors.remote import ClusterOptions, NodeLost
from reward_agent.executors.slurm import make_nodes, write_script

# Slurm's commands as the driver sees them: one answers with its environment, one is out of reach.
SBATCH = (
    "#!/bin/sh\nenv > {folder}/environment\necho 'sbatch: error: Invalid partition' >&2\nexit 1"
)


def write_commands(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripts = {
        "sbatch": SBATCH.format(folder=folder),
        "squeue": "#!/bin/sh\n",
        "scancel": "#!/bin/sh\n",
        "sinfo": "#!/bin/sh\necho 'debug 0/2/0/2'\necho 'main* 3/9/4/16'\n",
    }
    for name, text in scripts.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_a_script_asks_for_what_a_job_may_take_and_is_a_shell_script(tmp_path: Path) -> None:
    spool = tmp_path / "a folder's name"
    options = ClusterOptions(job_cpus=3, job_gpus=2, memory_mib=1000)
    script = write_script("name", [spool / "a-0", spool / "b-0"], options)
    lines = script.splitlines()
    for asked in ("array=0-1", "cpus-per-task=3", "mem=1512M", "gpus-per-task=2", "no-requeue"):
        assert f"#SBATCH --{asked}" in lines
    assert "gpus" not in write_script("name", [spool / "a-0"], ClusterOptions())
    assert subprocess.run(["sh", "-n"], input=script.encode(), check=False).returncode == 0


def test_without_slurm_the_message_names_its_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="sbatch, squeue, scancel, sinfo"):
        EXECUTORS.load("slurm")


def test_a_part_of_a_gpu_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_commands(tmp_path, monkeypatch)
    with pytest.raises(UsageError, match=r"whole GPUs, not 0\.5"):
        make_nodes(ClusterOptions(folder=tmp_path, job_gpus=0.5))


def test_a_refusal_ends_the_run_with_its_words_and_no_key_is_handed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_commands(tmp_path, monkeypatch)
    monkeypatch.setenv("OPENAI_API_KEY", "secret-of-the-driver")
    nodes = make_nodes(ClusterOptions(folder=tmp_path, job_cpus=2))
    try:
        assert nodes.n_slots == 6, "two CPUs each of the twelve that the default partition can give"
        with pytest.raises(UsageError, match="Invalid partition"):
            nodes.work(b"an order", None, threading.Event())
    finally:
        nodes.close()
    environment = (tmp_path / "environment").read_text()
    assert "PATH=" in environment
    assert "secret-of-the-driver" not in environment
    assert not (tmp_path / "slurm").exists()


def test_a_disk_that_is_full_for_a_moment_is_told_to_who_waits_and_the_next_order_is_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_commands(tmp_path, monkeypatch)
    (tmp_path / "sbatch").write_text("#!/bin/sh\necho 7\n")
    (tmp_path / "scancel").write_text(f"#!/bin/sh\necho $1 >> {tmp_path}/cancelled\n")
    (tmp_path / "squeue").write_text(f"#!/bin/sh\n[ -e {tmp_path}/cancelled ] || echo 7_0\n")
    write = slurm.write_atomic

    def fail(path: Path, data: bytes) -> None:
        if path.name == "element":
            monkeypatch.setattr(slurm, "write_atomic", write)
            raise OSError(28, "No space left on device")
        write(path, data)

    monkeypatch.setattr(slurm, "write_atomic", fail)
    monkeypatch.setattr(slurm, "_LAG_S", 0.0)
    nodes = make_nodes(ClusterOptions(folder=tmp_path))
    try:
        with pytest.raises(NodeLost, match="No space left"):
            nodes.work(b"an order", None, threading.Event())
        assert (tmp_path / "cancelled").read_text().split() == ["7_0"]
        with pytest.raises(NodeLost, match="7_0 ended without a reply"):
            nodes.work(b"an order", None, threading.Event())
    finally:
        nodes.close()
