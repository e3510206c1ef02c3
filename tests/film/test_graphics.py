from dataclasses import replace

import pytest

from reward_agent.simulation import backends
from reward_agent.simulation.backends import MUJOCO, find_graphics


def test_missing_renderer_is_a_note_that_names_the_packages(monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "nonsense")
    found = find_graphics()
    assert found.backend is None
    assert "nonsense: " in found.note
    assert "libegl1 libgl1-mesa-dri" in found.note
    assert "libosmesa6" in found.note


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("import time; time.sleep(60)", "no frame within 0.5 s"),
        ("import os; os.abort()", "crashed with signal 6"),
        ("raise ImportError('no EGL here')", "ImportError: no EGL here"),
        ("raise SystemExit(3)", "exit code 3"),
    ],
    ids=["hangs", "crashes", "raises", "exits"],
)
def test_renderer_that_fails_in_its_own_process_is_told(monkeypatch, script, reason):
    monkeypatch.setenv("MUJOCO_GL", "egl")
    # Enough to start Python on a busy machine, except where it is to hang.
    monkeypatch.setattr(backends, "_TRY_S", 0.5 if "sleep" in script else 60.0)
    assert reason in find_graphics(replace(MUJOCO, trial=script)).note


def test_second_backend_is_tried_when_the_first_fails(monkeypatch):
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    monkeypatch.setattr(backends, "_OPENGL", {})
    monkeypatch.setattr(backends, "_OTHERWISE", ("first", "second"))
    trial = "import os; assert os.environ['MUJOCO_GL'] == 'second'"
    assert find_graphics(replace(MUJOCO, trial=trial)) == backends.Graphics("second")


def test_where_opengl_is_switched_off_nothing_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUJOCO_GL", "disable")
    monkeypatch.setattr("subprocess.run", lambda *_, **__: pytest.fail("a picture was tried"))
    found = find_graphics()
    assert found.backend is None
    assert "MUJOCO_GL=disable draws nothing" in found.note
