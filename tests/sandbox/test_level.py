import pytest
from support.hostile import said

from reward_agent.errors import SandboxError
from reward_agent.sandbox.filter import find_architecture
from reward_agent.sandbox.isolation import is_accepted
from reward_agent.sandbox.landlock import read_abi

needs_full_sandbox = pytest.mark.skipif(
    not read_abi() or find_architecture() is None, reason="this machine has no full sandbox"
)


@pytest.fixture
def on_machine(tmp_path, run_hostile):
    """Run a job on a machine that pretends to lack something."""

    def run(lack, mode):
        (tmp_path / "job").mkdir(exist_ok=True)
        (tmp_path / "job" / lack).touch()
        return run_hostile("report = 'ran'", mode=mode)

    return run


def test_modes_accept_what_they_say():
    accepted = {
        mode: [level for level in ("full", "namespaces", "process") if is_accepted(level, mode)]
        for mode in ("strict", "default", "any", "off")
    }
    assert accepted == {
        "strict": ["full"],
        "default": ["full", "namespaces"],
        "any": ["full", "namespaces", "process"],
        "off": ["full", "namespaces", "process"],
    }


@needs_full_sandbox
@pytest.mark.parametrize(
    ("lack", "mode"),
    [("no_landlock", "strict"), ("no_filter", "default"), ("other_system", "default")],
)
def test_too_little_isolation_is_refused_before_anything_runs(on_machine, tmp_path, lack, mode):
    with pytest.raises(SandboxError, match=f"sandbox mode '{mode}' is not to be had") as caught:
        on_machine(lack, mode)
    assert "--sandbox any" in caught.value.remedy
    assert not (tmp_path / "job" / "result.json").exists()


@needs_full_sandbox
@pytest.mark.parametrize("lack", ["no_filter", "other_system"])
def test_weaker_isolation_is_reported_where_it_is_accepted(on_machine, lack):
    job_exit = on_machine(lack, "any")
    assert said(job_exit) == "ran"
    assert job_exit.level == "process"


@needs_full_sandbox
@pytest.mark.parametrize("mode", ["strict", "default", "any"])
def test_wall_with_a_hole_ends_the_job_in_every_mode(on_machine, mode):
    with pytest.raises(SandboxError, match="reads /etc/passwd"):
        on_machine("leaky", mode)


def test_mode_off_says_so(run_hostile):
    job_exit = run_hostile("report = 'ran'", mode="off")
    assert job_exit.level == "process"


@needs_full_sandbox
def test_imports_that_start_processes_come_before_the_seal(tmp_path, run_hostile):
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / "prepares").touch()
    job_exit = run_hostile("report = prepared", mode="strict")
    assert said(job_exit) == "['probe']"
    assert job_exit.level == "full"
