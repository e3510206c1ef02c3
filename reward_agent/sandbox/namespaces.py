"""A private root for a kernel without Landlock: a file system that holds only what is allowed.

The process moves into mount, network and IPC namespaces of its own (with a user namespace where
it has no privileges), builds a root out of bind mounts on an empty tmpfs, and drops the old one.

Source: ``man 2 pivot_root``, ``man 7 user_namespaces``, ``man 7 mount_namespaces``.
"""

from __future__ import annotations

import os
from pathlib import Path

from reward_agent.errors import SandboxError
from reward_agent.sandbox.filter import call_c
from reward_agent.sandbox.landlock import READ_FILE, WRITE_FILE, FileRule

_NEW_MOUNTS, _NEW_IPC, _NEW_USER, _NEW_NETWORK = 0x00020000, 0x08000000, 0x10000000, 0x40000000
_READ_ONLY, _NO_SUID, _NO_DEVICES, _REMOUNT = 1, 2, 4, 32
_BIND, _RECURSIVE, _PRIVATE = 4096, 16384, 1 << 18
_DETACH = 2
# Flags of a mount that a user namespace may not lift, so a remount must repeat them.
_LOCKED = 1 | 2 | 4 | 8 | 1024 | 2048
_BASE, _OLD = "/tmp", "/.old-root"


def enter_private_root(rules: list[FileRule]) -> None:
    """Leave this process with the allowed paths only, each at its own name.

    It must have one thread. The working directory stays the same.

    Raises:
        OSError: the kernel, or what guards it, does not allow it; every file is still in view.
        SandboxError: it failed half-way.
    """
    here = os.getcwd()
    # Names of the old root mean something else in the new one, so links are followed now.
    shown = [
        (Path(os.path.realpath(path.parent), path.name), _OLD + os.path.realpath(path), rule.rights)
        for rule in rules
        if (path := rule.path).exists()
    ]
    links = {link: os.readlink(link) for link in Path("/").iterdir() if link.is_symlink()}
    _enter_namespaces()
    _mount("none", "/", "", _RECURSIVE | _PRIVATE)
    _mount("tmpfs", _BASE, "tmpfs", _NO_SUID | _NO_DEVICES, "mode=755,size=1m")
    os.mkdir(_BASE + _OLD)
    call_c("pivot_root", os.fsencode(_BASE), os.fsencode(_BASE + _OLD))
    try:
        for link, target in links.items():
            os.symlink(target, link)
        # A folder comes before what lies beneath it, or its mount would hide it.
        for place, source, rights in sorted(shown, key=lambda item: item[0].parts):
            _show(place, source, rights)
        call_c("umount2", os.fsencode(_OLD), _DETACH)
        os.rmdir(_OLD)
        _mount("none", "/", "", _BIND | _REMOUNT | _READ_ONLY | _NO_SUID | _NO_DEVICES)
        os.chdir(here)
    except OSError as error:
        raise SandboxError(f"the private root could not be built: {error}") from None


def _enter_namespaces() -> None:
    """Become alone, with privileges over nothing but the new namespaces where there are none."""
    uid, gid = os.geteuid(), os.getegid()
    wanted = _NEW_MOUNTS | _NEW_NETWORK | _NEW_IPC
    try:
        call_c("unshare", wanted)
        return
    except OSError:
        call_c("unshare", wanted | _NEW_USER)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")


def _show(place: Path, source: str, rights: int) -> None:
    """Bind one path of the old root at the same name; read-only unless it may be changed."""
    is_shown = bool(rights & READ_FILE)
    if not is_shown or os.path.isdir(source):
        place.mkdir(parents=True, exist_ok=True)
    else:
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists():
            place.touch()
    if not is_shown or os.path.samefile(source, place):
        return
    _mount(source, str(place), "", _BIND | _RECURSIVE)
    if not rights & WRITE_FILE:
        flags = os.statvfs(place).f_flag & _LOCKED | _NO_SUID
        _mount("none", str(place), "", _BIND | _REMOUNT | _READ_ONLY | flags)


def _mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    words = [os.fsencode(word) or None for word in (source, target, kind, options)]
    call_c("mount", *words[:3], flags, words[3])
