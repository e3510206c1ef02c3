"""What lets EnvPool draw without a display; run as a program, it tries whether it does.

It imports nothing of this package: a confined process, which may not search the folders that lead
to it, can start it by its path.
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from typing import Any

# Where a wheel has the libraries that it brings.
_LIBRARIES = "envpool.libs"


def make_drawing_options(width: int, height: int) -> dict[str, Any]:
    """Return the options of EnvPool's make, and let its MuJoCo find the EGL that came with it.

    MuJoCo looks for EGL among the symbols of the whole process, but Python has loaded EnvPool's
    libraries for EnvPool alone. EnvPool must have been imported.

    Args:
        width: of a picture, pixels.
        height: the same.
    """
    package = Path(str(sys.modules["envpool"].__file__)).parent
    for path in sorted((package.parent / _LIBRARIES).glob("libEGL*")):
        ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
    return {"render_mode": "rgb_array", "render_width": width, "render_height": height}


def _try_drawing() -> None:
    """Draw a small picture; the errors of a driver are exceptions, exits and crashes."""
    import envpool

    options = make_drawing_options(32, 24)
    pool = envpool.make_gymnasium("MetaWorld/Reach-v3", num_envs=1, **options)
    pool.reset()
    assert pool.render().any(), "the picture is black"


if __name__ == "__main__":
    _try_drawing()
