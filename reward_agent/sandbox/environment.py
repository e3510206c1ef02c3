"""The environment variables and the command with which a child starts."""

from __future__ import annotations

import importlib.util
import os
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

# Neither a key nor a token may be in this list: a child can read its own environment.
_ALLOWED = (
    "PATH",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "LD_LIBRARY_PATH",
    "CUDA_VISIBLE_DEVICES",
    "MUJOCO_GL",
    "MUJOCO_EGL_DEVICE_ID",
    "PYOPENGL_PLATFORM",
    "LIBGL_ALWAYS_SOFTWARE",
    "REWARD_AGENT_ENVS_DIR",
    "REWARD_AGENT_PYTHON",
    # What is imported before the walls stand, and by the server of warm children, is kept compiled.
    "PYTHONDONTWRITEBYTECODE",
    # Windows starts no process without these.
    "SYSTEMROOT",
    "SYSTEMDRIVE",
    "WINDIR",
)
# Without the last torch leaves an empty torchinductor_<user> in the folder of temporary files.
JOB_DIR_VARIABLES = ("HOME", "TMPDIR", "TEMP", "TORCHINDUCTOR_CACHE_DIR", "MPLCONFIGDIR")
_PACKAGES = ("reward_agent", "numpy", "pydantic", "gymnasium", "mujoco", "torch")


def make_child_environment(
    job_dir: Path, *, renders: bool, parent: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """Return the whole environment of a child: an allow-list of the parent's, and our own.

    Args:
        job_dir: the folder that stands for home and for temporary files.
        renders: whether MuJoCo may load a graphics library.
        parent: the parent's environment.
    """
    environment = select_allowed(parent)
    environment.update(
        dict.fromkeys(JOB_DIR_VARIABLES, str(job_dir)),
        # One thread a child: two torch threads on a busy machine were eight times slower.
        OMP_NUM_THREADS="1",
        OPENBLAS_NUM_THREADS="1",
        MKL_NUM_THREADS="1",
        PYTHONHASHSEED="0",
        PYTHONFAULTHANDLER="1",
        PYTHONUTF8="1",
        MESA_SHADER_CACHE_DISABLE="true",
        # Mesa's software renderer starts a thread a core otherwise.
        LP_NUM_THREADS="1",
        NO_COLOR="1",
        # Looking for plug-ins reads the metadata of every installed package: 20 ms a child.
        PYDANTIC_DISABLE_PLUGINS="__all__",
    )
    if not renders:
        # The default backend, glfw, starts a process at import and takes 0.2 s.
        environment["MUJOCO_GL"] = "disable"
    roots = find_import_roots()
    if roots:
        environment["PYTHONPATH"] = os.pathsep.join(map(str, roots))
    return environment


def select_allowed(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that may be seen outside of the process that holds the keys."""
    return {name: environ[name] for name in _ALLOWED if name in environ}


def make_child_command(job_dir: Path) -> list[str]:
    """Return the command line: no user site, and never a module of the job's folder."""
    return [sys.executable, "-s", "-P", "-m", "reward_agent.worker", str(job_dir)]


def find_import_roots() -> list[Path]:
    """Return the folders of packages that a child's interpreter would not find by itself.

    That is the checkout where nothing is installed, the user's site-packages, or an entry of
    ``PYTHONPATH``. In a virtual environment with the wheel, or an editable install, there are none
    or they do no harm.
    """
    own = {Path(sysconfig.get_path(key)).resolve() for key in ("purelib", "platlib", "stdlib")}
    roots: list[Path] = []
    for name in _PACKAGES:
        spec = importlib.util.find_spec(name)
        if spec is None or not spec.submodule_search_locations:
            continue
        root = Path(next(iter(spec.submodule_search_locations))).resolve().parent
        if root not in own and root not in roots:
            roots.append(root)
    return roots
