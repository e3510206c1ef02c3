"""Which OpenGL can draw without a display, tried out in a process of its own.

MuJoCo chooses when it is imported, from ``MUJOCO_GL``: so nothing here imports it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

# On Linux a window system is rarely there; elsewhere MuJoCo's own choice draws without one.
_BACKENDS = {"linux": ("egl", "osmesa"), "darwin": ("cgl",)}
_OTHERWISE = ("glfw",)
_TRY_S = 30.0
_REMEDY = (
    "to get videos, install a software renderer: apt-get install libegl1 libgl1-mesa-dri "
    "(EGL) or libosmesa6 (OSMesa)"
)
_ENVPOOL_REMEDY = "EnvPool draws by EGL alone: apt-get install libegl1 libgl1-mesa-dri"

# What rendering does later, in small: a driver may load and still crash at its first frame.
_TRIAL = """
import mujoco
model = mujoco.MjModel.from_xml_string(
    "<mujoco><worldbody><light pos='0 0 3'/><geom size='1'/></worldbody></mujoco>"
)
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
renderer = mujoco.Renderer(model, 16, 16)
renderer.update_scene(data)
assert renderer.render().any()
"""
_ENVPOOL_TRIAL = Path(__file__).parents[1] / "simulation" / "pool_drawing.py"


@dataclass(frozen=True)
class Graphics:
    """What was found.

    Args:
        backend: value for ``MUJOCO_GL``, or None if nothing draws.
        note: why not and what to install; empty if it does.
    """

    backend: str | None
    note: str = ""


EGL = Graphics("egl")


def find_graphics() -> Graphics:
    """Try the backends in turn; never crashes, takes half a second, at most a minute."""
    chosen = os.environ.get("MUJOCO_GL", "").lower().strip()
    backends = (chosen,) if chosen else _BACKENDS.get(sys.platform, _OTHERWISE)
    reasons = []
    for backend in backends:
        reason = _try_backend(backend, "-c", _TRIAL)
        if reason is None:
            return Graphics(backend)
        reasons.append(f"{backend}: {reason}")
    return Graphics(None, f"no video ({'; '.join(reasons)}); {_REMEDY}")


def find_envpool_graphics() -> Graphics:
    """Try whether EnvPool draws, which it does itself; never crashes, takes some seconds."""
    reason = _try_backend("egl", str(_ENVPOOL_TRIAL))
    return Graphics(None, f"no video (egl: {reason}); {_ENVPOOL_REMEDY}") if reason else EGL


def _try_backend(backend: str, *program: str) -> str | None:
    """Return why a backend does not draw, or None."""
    command = [sys.executable, "-s", "-P", "-W", "ignore", *program]
    environment = os.environ | {"MUJOCO_GL": backend}
    try:
        trial = subprocess.run(
            command, env=environment, capture_output=True, timeout=_TRY_S, check=False
        )
    except subprocess.TimeoutExpired:
        return f"no frame within {_TRY_S:g} s"
    except OSError as error:
        return str(error)
    if trial.returncode < 0:
        return f"crashed with signal {-trial.returncode}"
    if trial.returncode:
        lines = trial.stderr.decode(errors="replace").strip().splitlines()
        return lines[-1][:160] if lines else f"exit code {trial.returncode}"
    return None
