"""What a child may read, run and write: the interpreter, the packages, its env; its own folder."""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path

from reward_agent.sandbox.landlock import (
    CHANGE,
    DEVICE,
    READ,
    READ_DIR,
    READ_FILE,
    RUN,
    WRITE_FILE,
    FileRule,
)

_PACKAGE_DIR = Path(__file__).resolve().parents[1]

# Shared libraries and the loader; programs of the imports that run before the seal.
_LIBRARIES = ("/usr/lib", "/lib", "/usr/lib64", "/lib64", "/usr/lib32", "/usr/local/lib")
_STORES = ("/nix/store", "/gnu/store")
_PROGRAMS = ("/sbin/ldconfig", "/usr/sbin/ldconfig")
_SYSTEM_FACTS = (
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/usr/share/zoneinfo",
    "/proc/self",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/sys/vm/overcommit_memory",
    "/sys/devices/system/cpu",
    "/sys/devices/system/node",
    "/sys/kernel/mm/transparent_hugepage",
    "/dev/urandom",
    "/dev/random",
    "/dev/zero",
)
# What EGL and OSMesa read to find a driver.
_GRAPHICS_FACTS = (
    "/usr/share/glvnd",
    "/usr/share/egl",
    "/usr/share/drirc.d",
    "/usr/share/libdrm",
    "/usr/share/nvidia",
    "/etc/glvnd",
    "/etc/egl",
    "/etc/drirc",
    "/run/opengl-driver",
    "/sys/bus/pci",
    "/sys/class/drm",
    "/sys/dev/char",
    "/sys/devices",
    "/proc/driver/nvidia",
)
_GRAPHICS_DEVICES = (
    "/dev/dri",
    "/dev/kfd",
    "/dev/nvidiactl",
    "/dev/nvidia-modeset",
    "/dev/nvidia-uvm",
    "/dev/nvidia-uvm-tools",
    "/dev/nvidia-caps",
)


def find_file_rules(job_dir: Path, env_dir: Path | None, *, has_devices: bool) -> list[FileRule]:
    """Return the file rules of one job.

    Args:
        job_dir: the folder that may be changed.
        env_dir: the folder of the env card; its ``tasks`` stay unreadable: they hold the metrics.
        has_devices: whether graphics devices may be used.
    """
    # The wheel carries envs and prompts inside the package: neither is for a child.
    hidden = [_PACKAGE_DIR / "_data"]
    rules = [
        FileRule(job_dir, CHANGE),
        FileRule(Path("/dev/null"), READ_FILE | WRITE_FILE),
    ]
    rules += [FileRule(Path(name), READ) for name in _SYSTEM_FACTS]
    rules += [FileRule(Path(name), RUN) for name in (*_PROGRAMS, *_STORES)]
    # An interpreter that an import starts finds its virtual environment by these.
    rules += [
        FileRule(path, RUN) for path in (Path(sys.executable), Path(sys.executable).resolve())
    ]
    rules.append(FileRule(Path(sys.prefix) / "pyvenv.cfg", READ))
    for folder in _find_code_folders():
        rules += allow_except(folder, hidden, RUN)
    if env_dir is not None and env_dir.is_dir():
        rules += allow_except(env_dir.resolve(), [env_dir.resolve() / "tasks"], READ)
    if has_devices:
        rules += _find_graphics_rules()
    return rules


def allow_except(folder: Path, hidden: list[Path], rights: int) -> list[FileRule]:
    """Return rules for a folder without some things beneath it.

    Landlock only adds rights down a tree, so a folder above something hidden gets the right to be
    listed, and each of its other entries a rule of its own.
    """
    if any(folder.is_relative_to(path) for path in hidden):
        return []
    if not any(path.is_relative_to(folder) for path in hidden):
        return [FileRule(folder, rights)]
    rules = [FileRule(folder, READ_DIR)]
    for entry in sorted(folder.iterdir()):
        rules += allow_except(entry, hidden, rights)
    return rules


def _find_code_folders() -> list[Path]:
    """Return the folders of shared libraries, of the standard library and of packages."""
    names = [*_LIBRARIES, *os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)]
    names += [sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")]
    names.append(os.path.join(sys.base_prefix, "lib"))
    folders = [Path(name).resolve() for name in names if name]
    for entry in map(Path, sys.path):
        # A checkout holds more than the package: runs, tasks with their metrics.
        is_checkout = (entry / "pyproject.toml").is_file()
        folders.append(_PACKAGE_DIR if is_checkout else entry.resolve())
    unique = dict.fromkeys(folder for folder in folders if folder.exists())
    return [
        folder
        for folder in unique
        if not any(folder != other and folder.is_relative_to(other) for other in unique)
    ]


def _find_graphics_rules() -> list[FileRule]:
    cards = sorted(Path("/dev").glob("nvidia[0-9]*"))
    devices = [*map(Path, _GRAPHICS_DEVICES), *cards]
    facts = [FileRule(Path(name), READ) for name in _GRAPHICS_FACTS]
    return facts + [FileRule(path, DEVICE) for path in devices]
