"""Which files a child may touch, and Landlock, which holds it to them without privileges.

It may read and run the interpreter and the packages, read its env, and change its own folder.

Source: Linux ``Documentation/userspace-api/landlock.rst``, ABI 1 to 7.
"""

from __future__ import annotations

import os
import struct
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reward_agent.sandbox.filter import call_c

# Bits of LANDLOCK_ACCESS_FS_*, in the order in which the ABI grew.
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, REMOVE_DIR, REMOVE_FILE = (1 << bit for bit in range(6))
MAKE_DIR, MAKE_REG = 1 << 7, 1 << 8
REFER, TRUNCATE, IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_N_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}
_N_RIGHTS_NEWEST = 16
_TCP_FROM_ABI, _SCOPES_FROM_ABI = 4, 6
_TCP_RIGHTS, _SCOPES = 0b11, 0b11

READ = READ_FILE | READ_DIR
RUN = READ | EXECUTE
# No links, pipes, sockets or devices: each could make a reader outside do the child's work.
CHANGE = READ | WRITE_FILE | TRUNCATE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG | REFER
# All that changes something.
WRITES = ~(RUN | IOCTL_DEV)
DEVICE = READ_FILE | WRITE_FILE | IOCTL_DEV | READ_DIR
_RIGHTS_OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG = 1
_PATH_BENEATH = 1

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


@dataclass(frozen=True)
class FileRule:
    """Rights on a file, or on a folder and everything beneath it."""

    path: Path
    rights: int


def find_file_rules(
    job_dir: Path,
    env_dir: Path | None,
    *,
    has_devices: bool,
    also: Sequence[Path] = (),
    code: Sequence[Path] = (),
) -> list[FileRule]:
    """Return the file rules of one job.

    Args:
        job_dir: the folder that may be changed.
        env_dir: the folder of the env card; its ``tasks`` stay unreadable: they hold the metrics.
        has_devices: whether graphics devices may be used.
        also: single files that may be read.
        code: of another interpreter, its folders and those of its packages.
    """
    # The wheel carries envs and prompts inside the package: neither is for a child.
    hidden = [_PACKAGE_DIR / "_data"]
    rules = [FileRule(job_dir, CHANGE), FileRule(Path("/dev/null"), READ_FILE | WRITE_FILE)]
    rules += [FileRule(Path(name), READ) for name in _SYSTEM_FACTS]
    rules += [FileRule(Path(name), RUN) for name in (*_PROGRAMS, *_STORES)]
    # An interpreter that an import starts finds its virtual environment by these.
    rules += [
        FileRule(path, RUN) for path in (Path(sys.executable), Path(sys.executable).resolve())
    ]
    rules.append(FileRule(Path(sys.prefix) / "pyvenv.cfg", READ))
    rules += [FileRule(path, RUN) for path in code]
    for folder in _find_code_folders():
        rules += allow_except(folder, hidden, RUN)
    if env_dir is not None and env_dir.is_dir():
        shown = allow_except(env_dir.resolve(), [env_dir.resolve() / "tasks"], READ)
        # A rule for a link would open what it leads to: a stranger's may lead anywhere.
        rules += [rule for rule in shown if not rule.path.is_symlink()]
    rules += [
        FileRule(path, READ_FILE) for path in also if path.is_file() and not path.is_symlink()
    ]
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


def read_abi() -> int:
    """Return the kernel's Landlock ABI; 0 where there is none."""
    if sys.platform != "linux":
        return 0
    try:
        return call_c("syscall", _CREATE_RULESET, None, 0, _VERSION_FLAG)
    except OSError:
        return 0


def restrict_files(rules: list[FileRule], abi: int, rights: int = -1) -> None:
    """Deny this thread, and all that it starts, every one of these rights that no rule gives.

    Paths that do not exist are skipped. ``no_new_privs`` must be set before.

    Raises:
        OSError: the kernel refuses.
    """
    handled = ((1 << _N_RIGHTS.get(abi, _N_RIGHTS_NEWEST)) - 1) & rights
    words = [handled]
    if abi >= _TCP_FROM_ABI:
        words.append(_TCP_RIGHTS)
    if abi >= _SCOPES_FROM_ABI:
        words.append(_SCOPES)
    attributes = struct.pack(f"<{len(words)}Q", *words)
    ruleset = call_c("syscall", _CREATE_RULESET, attributes, len(attributes), 0)
    try:
        for rule in rules:
            _add_rule(ruleset, rule, handled)
        call_c("syscall", _RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _add_rule(ruleset: int, rule: FileRule, handled: int) -> None:
    try:
        descriptor = os.open(rule.path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    try:
        rights = rule.rights & handled
        if not os.path.isdir(rule.path):
            rights &= _RIGHTS_OF_FILES
        attribute = struct.pack("<Qi", rights, descriptor)
        call_c("syscall", _ADD_RULE, ruleset, _PATH_BENEATH, attribute, 0)
    finally:
        os.close(descriptor)
