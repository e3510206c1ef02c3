"""Landlock: which files this process may touch from now on, without privileges.

Source: Linux ``Documentation/userspace-api/landlock.rst``, ABI 1 to 7.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

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
DEVICE = READ_FILE | WRITE_FILE | IOCTL_DEV | READ_DIR
_RIGHTS_OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG = 1
_PATH_BENEATH = 1


@dataclass(frozen=True)
class FileRule:
    """Rights on a file, or on a folder and everything beneath it."""

    path: Path
    rights: int


def read_abi() -> int:
    """Return the kernel's Landlock ABI; 0 where there is none."""
    if sys.platform != "linux":
        return 0
    return max(0, _call(_CREATE_RULESET, None, 0, _VERSION_FLAG, may_fail=True))


def restrict_files(rules: list[FileRule], abi: int) -> None:
    """Deny this thread, and all that it starts, every file right that no rule gives.

    Paths that do not exist are skipped. ``no_new_privs`` must be set before.

    Raises:
        OSError: the kernel refuses.
    """
    handled = (1 << _N_RIGHTS.get(abi, _N_RIGHTS_NEWEST)) - 1
    words = [handled]
    if abi >= _TCP_FROM_ABI:
        words.append(_TCP_RIGHTS)
    if abi >= _SCOPES_FROM_ABI:
        words.append(_SCOPES)
    attributes = struct.pack(f"<{len(words)}Q", *words)
    ruleset = _call(_CREATE_RULESET, attributes, len(attributes), 0)
    try:
        for rule in rules:
            _add_rule(ruleset, rule, handled)
        _call(_RESTRICT_SELF, ruleset, 0)
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
        _call(_ADD_RULE, ruleset, _PATH_BENEATH, attribute, 0)
    finally:
        os.close(descriptor)


def _call(number: int, *arguments: int | bytes | None, may_fail: bool = False) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    converted = [
        ctypes.c_char_p(value) if isinstance(value, bytes) else ctypes.c_void_p(value)
        for value in arguments
    ]
    result = int(libc.syscall(ctypes.c_long(number), *converted))
    if result < 0 and not may_fail:
        code = ctypes.get_errno()
        raise OSError(code, f"landlock: {os.strerror(code)}")
    return result
