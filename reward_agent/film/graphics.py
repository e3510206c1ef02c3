"""Which OpenGL can draw without a display, tried out in a process of its own.

MuJoCo chooses when it is imported, from ``MUJOCO_GL``: so nothing here imports it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass

from reward_agent.simulation.backends import MUJOCO, Backend

# On Linux a window system is rarely there; elsewhere MuJoCo's own choice draws without one.
_BACKENDS = {"linux": ("egl", "osmesa"), "darwin": ("cgl",)}
_OTHERWISE = ("glfw",)
_TRY_S = 30.0


@dataclass(frozen=True)
class Graphics:
    """What was found.

    Args:
        backend: value for ``MUJOCO_GL``, or None if nothing draws.
        note: why not and what to install; empty if it does.
    """

    backend: str | None
    note: str = ""


def find_graphics(row: Backend = MUJOCO) -> Graphics:
    """Try the OpenGLs that a back end may draw by in turn.

    Never crashes; takes some seconds, at most half a minute for each.
    """
    chosen = os.environ.get("MUJOCO_GL", "").lower().strip()
    backends = row.opengl or ((chosen,) if chosen else _BACKENDS.get(sys.platform, _OTHERWISE))
    reasons = []
    for backend in backends:
        reason = _try_backend(backend, row.trial)
        if reason is None:
            return Graphics(backend)
        reasons.append(f"{backend}: {reason}")
    return Graphics(None, f"no video ({'; '.join(reasons)}); {row.graphics}")


def _try_backend(backend: str, program: str) -> str | None:
    """Return why a program that draws does not with an OpenGL, or None."""
    command = [sys.executable, "-s", "-P", "-W", "ignore", "-c", program]
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
