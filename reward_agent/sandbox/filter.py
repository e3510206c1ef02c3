"""The system-call filter: a seccomp program that denies by default, for all threads at once.

Source: Linux ``Documentation/userspace-api/seccomp_filter.rst``; instructions as in
``linux/bpf_common.h``.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from dataclasses import dataclass

from reward_agent.sandbox.syscalls import FIRST_RECENT_CALL, Architecture

_LOAD, _AND, _RETURN = 0x20, 0x54, 0x06
_IF_EQUAL, _IF_AT_LEAST = 0x15, 0x35
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER_AT, _ARCH_AT, _ARGUMENTS_AT = 0, 4, 16
_X32_BIT = 0x40000000
_LOW_WORD = 0xFFFFFFFF

_SET_MODE_FILTER = 1
_TSYNC, _SPEC_ALLOW = 1, 4

_CLONE_THREAD = 0x00010000
_CLONE_NEW = 0x7E020000  # all of CLONE_NEWNS … CLONE_NEWNET
_O_TRUNC, _O_TMPFILE, _O_ACCMODE = 0o1000, 0o20000000, 0o3
_SET_ID_BITS = 0o6000

Instruction = tuple[int, int, int, int]


@dataclass(frozen=True)
class Argument:
    """A condition on one argument of a call: its masked value is one of some.

    Args:
        index: 0..5.
        values: what the masked low word may be.
        mask: the bits that count.
        is_wide: the high word must be zero as well (pointers).
    """

    index: int
    values: tuple[int, ...]
    mask: int = _LOW_WORD
    is_wide: bool = False


def make_guards(pid: int, *, has_devices: bool) -> dict[str, tuple[Argument, ...]]:
    """Return the conditions under which the guarded calls are allowed.

    Args:
        pid: this process, the only one that may be signalled.
        has_devices: whether a graphics device may be used (rendering, no generated code).
    """
    own = Argument(0, (pid,))
    guards = {
        # Threads, but no process; clone3 hides its flags in memory and is therefore absent.
        "clone": (Argument(0, (_CLONE_THREAD,), _CLONE_THREAD | _CLONE_NEW),),
        # Duplicate, flags, locks, seals; not F_SETOWN, which sends signals to others.
        "fcntl": (Argument(1, (0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1030, 1033, 1034)),),
        "open": _guard_open(1),
        "openat": _guard_open(2),
        "tgkill": (own,),
        "kill": (own,),
        "prlimit64": (Argument(0, (0, pid)), Argument(2, (0,), is_wide=True)),
        # Thread names, names of mappings, questions; not PR_SET_PDEATHSIG or PR_SET_DUMPABLE.
        "prctl": (Argument(0, (15, 16, 0x53564D41, 3, 21, 23, 39)),),
        "sched_setaffinity": (Argument(0, (0,)),),
        # Is it a terminal, how wide, how many bytes wait, close on exec.
        "ioctl": (Argument(1, (0x5401, 0x802C542A, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)),),
    }
    if has_devices:
        guards |= {"ioctl": (), "memfd_create": ()}
    return guards


def _guard_open(flags_index: int) -> tuple[Argument, ...]:
    # Truncation by a read-only open passes Landlock before ABI 3; a file without a name escapes
    # the count of the folder; a set-user-id file would be a present for other users.
    mask = _O_TRUNC | _O_TMPFILE | _O_ACCMODE
    flags = Argument(flags_index, (0, 1, 2, _O_TRUNC | 1, _O_TRUNC | 2), mask)
    return (flags, Argument(flags_index + 1, (0,), _SET_ID_BITS))


def make_program(arch: Architecture, guards: dict[str, tuple[Argument, ...]]) -> bytes:
    """Assemble the filter."""
    program: list[Instruction] = [
        (_LOAD, 0, 0, _ARCH_AT),
        (_IF_EQUAL, 1, 0, arch.audit),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER_AT),
        # The x32 numbers of x86-64 are a second door to every call.
        (_IF_AT_LEAST, 0, 1, _X32_BIT),
        (_RETURN, 0, 0, _KILL),
    ]
    for number in arch.free:
        program += [(_IF_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ALLOW)]
    for name, arguments in guards.items():
        if name in arch.guarded:
            body = _assemble_guard(arguments)
            program += [(_IF_EQUAL, 0, len(body), arch.guarded[name]), *body]
    for number in arch.fatal:
        program += [(_IF_EQUAL, 0, 1, number), (_RETURN, 0, 0, _KILL)]
    program += [
        (_IF_AT_LEAST, 0, 1, FIRST_RECENT_CALL),
        (_RETURN, 0, 0, _ERRNO | errno.ENOSYS),
        (_RETURN, 0, 0, _ERRNO | errno.EPERM),
    ]
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in program)


def _assemble_guard(arguments: tuple[Argument, ...]) -> list[Instruction]:
    """Return instructions that allow if every condition holds, and deny otherwise."""
    tests: list[Instruction] = []
    for argument in arguments:
        at = _ARGUMENTS_AT + 8 * argument.index
        tests += [(_LOAD, 0, 0, at), (_AND, 0, 0, argument.mask)]
        tests += _assemble_choice(argument.values)
        if argument.is_wide:
            tests += [(_LOAD, 0, 0, at + 4), *_assemble_choice((0,))]
    # A failed test jumps to the last instruction.
    end = len(tests) + 1
    linked = [
        (code, yes, end - place - 1 if no == _FAIL else no, value)
        for place, (code, yes, no, value) in enumerate(tests)
    ]
    return [*linked, (_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _ERRNO | errno.EPERM)]


_FAIL = -1


def _assemble_choice(values: tuple[int, ...]) -> list[Instruction]:
    last = len(values) - 1
    return [
        (_IF_EQUAL, last - place, _FAIL if place == last else 0, value)
        for place, value in enumerate(values)
    ]


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def install_program(arch: Architecture, program: bytes) -> None:
    """Put every thread of this process under the filter, for good.

    Raises:
        OSError: the kernel has no seccomp filters, or forbids them here.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    record = _Program(len(program) // 8, program)
    number = ctypes.c_long(arch.setup["seccomp"])
    # Without SPEC_ALLOW kernels before 5.16 slow every load of the child down.
    for flags in (_TSYNC | _SPEC_ALLOW, _TSYNC):
        result = libc.syscall(
            number, ctypes.c_ulong(_SET_MODE_FILTER), ctypes.c_ulong(flags), ctypes.byref(record)
        )
        if result == 0:
            return
        if result > 0:
            raise OSError(errno.EBUSY, f"thread {result} cannot be put under the filter")
        code = ctypes.get_errno()
        if code != errno.EINVAL:
            break
    raise OSError(code, f"seccomp: {os.strerror(code)}")
