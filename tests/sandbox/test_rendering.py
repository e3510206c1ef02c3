"""Pictures are drawn inside the sandbox, with either backend of a machine without a display."""

import ctypes.util

import pytest
from support.hostile import run_hostile_job

DRAW = """
import os
os.environ["MUJOCO_GL"] = "{backend}"
import mujoco
model = mujoco.MjModel.from_xml_string(
    "<mujoco><worldbody><light pos='0 0 3'/><geom size='.3' rgba='1 0 0 1'/></worldbody></mujoco>"
)
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
renderer = mujoco.Renderer(model, 32, 32)
renderer.update_scene(data)
report = renderer.render().max()
renderer.close()
"""


@pytest.mark.parametrize(("backend", "library"), [("egl", "EGL"), ("osmesa", "OSMesa")])
def test_frame_is_drawn_inside(tmp_path, backend, library):
    if ctypes.util.find_library(library) is None:
        pytest.skip(f"{library} is not installed")
    job_exit = run_hostile_job(tmp_path / "job", DRAW.format(backend=backend), renders=True)
    assert str(job_exit.outcome) == "ok"
    assert int(job_exit.result.video_note) > 50
