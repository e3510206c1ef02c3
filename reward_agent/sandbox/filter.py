"""The system-call filter: a seccomp program that denies by default, for all threads at once.

Calls stand with their numbers ``x86_64/aarch64`` as in the kernel's ``unistd`` headers, ``-`` where
an architecture has no such call. What is not here fails with EPERM, or with ENOSYS where it is
newer than this list, so that libraries fall back as they do on an older kernel.

Source: Linux ``Documentation/userspace-api/seccomp_filter.rst``; instructions as in
``linux/bpf_common.h``.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from dataclasses import dataclass
from typing import Any

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

_AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_FREE = {
    "threads and time, the hot ones first": """
        futex 202/98 clock_gettime 228/113 sched_yield 24/124 clock_nanosleep 230/115
        nanosleep 35/101 clock_getres 229/114 gettimeofday 96/169 time 201/- times 100/153
        futex_waitv 449/449 set_robust_list 273/99 get_robust_list 274/100 rseq 334/293
        set_tid_address 218/96 gettid 186/178 getcpu 309/168 membarrier 324/283
        sched_getaffinity 204/123 sched_getparam 143/121 sched_getscheduler 145/120
        sched_get_priority_max 146/125 sched_get_priority_min 147/126
        exit 60/93 exit_group 231/94 restart_syscall 219/128""",
    "memory": """
        mmap 9/222 munmap 11/215 mprotect 10/226 mremap 25/216 madvise 28/233 brk 12/214
        msync 26/227 get_mempolicy 239/236""",
    "descriptors that are open": """
        read 0/63 write 1/64 readv 19/65 writev 20/66 pread64 17/67 pwrite64 18/68
        preadv 295/69 pwritev 296/70 preadv2 327/286 pwritev2 328/287 lseek 8/62 close 3/57
        close_range 436/436 fstat 5/80 fstatfs 138/44 dup 32/23 dup2 33/- dup3 292/24
        flock 73/32 ftruncate 77/46 fallocate 285/47 fsync 74/82 fdatasync 75/83
        sync_file_range 277/84 fadvise64 221/223 sendfile 40/71 copy_file_range 326/285
        pipe 22/- pipe2 293/59 eventfd2 290/19 poll 7/- ppoll 271/73 select 23/-
        pselect6 270/72 epoll_create1 291/20 epoll_ctl 233/21 epoll_wait 232/-
        epoll_pwait 281/22 getdents64 217/61 getdents 78/-""",
    "this process": """
        getpid 39/172 getppid 110/173 getpgid 121/155 getpgrp 111/- getsid 124/156
        getuid 102/174 geteuid 107/175 getgid 104/176 getegid 108/177 getresuid 118/148
        getresgid 120/150 getgroups 115/158 getrusage 98/165 getrlimit 97/163
        getpriority 140/141 umask 95/166 rt_sigaction 13/134 rt_sigprocmask 14/135 setitimer 38/103
        rt_sigreturn 15/139 sigaltstack 131/132 rt_sigpending 127/136 rt_sigtimedwait 128/137
        rt_sigsuspend 130/133""",
    "paths: the file rules decide": """
        newfstatat 262/79 stat 4/- lstat 6/- statx 332/291 statfs 137/43 access 21/-
        faccessat 269/48 faccessat2 439/439 readlink 89/- readlinkat 267/78 getcwd 79/17
        mkdir 83/- mkdirat 258/34 rmdir 84/- unlink 87/- unlinkat 263/35 rename 82/-
        renameat 264/38 renameat2 316/276""",
    "the machine": "uname 63/160 sysinfo 99/179 getrandom 318/278",
}
_GUARDED = """
    open 2/- openat 257/56 clone 56/220 fcntl 72/25 ioctl 16/29 tgkill 234/131 kill 62/129
    prlimit64 302/261 prctl 157/167 sched_setaffinity 203/122 memfd_create 319/279"""
# No library of ours makes these: an attempt ends the process, and the outcome names it.
FATAL_CALLS = """
    ptrace 101/117 process_vm_readv 310/270 process_vm_writev 311/271 bpf 321/280
    keyctl 250/219 add_key 248/217 request_key 249/218 unshare 272/97 setns 308/268
    mount 165/40 umount2 166/39 pivot_root 155/41 chroot 161/51 userfaultfd 323/282
    perf_event_open 298/241 io_uring_setup 425/425 io_uring_enter 426/426
    io_uring_register 427/427 kexec_load 246/104 init_module 175/105 finit_module 313/273
    delete_module 176/106 open_by_handle_at 304/265"""
# Without these there is no network.
_NETWORK = "socket 41/198 io_uring_setup 425/425"
# The C library has no name for it.
_SECCOMP = (317, 277)

# From here on the numbers are the same everywhere, and the calls are newer than this list's core.
FIRST_RECENT_CALL = 424


@dataclass(frozen=True)
class Architecture:
    """The calling convention of one processor family.

    Args:
        audit: its AUDIT_ARCH number, which the filter compares.
        free: numbers that are allowed whatever their arguments.
        guarded: numbers that are allowed with some arguments, by name.
        fatal: numbers that end the process.
        network: numbers without which there is no network.
        seccomp: number of the call that installs a filter for all threads.
    """

    audit: int
    free: tuple[int, ...]
    guarded: dict[str, int]
    fatal: tuple[int, ...]
    network: tuple[int, ...]
    seccomp: int


def find_architecture() -> Architecture | None:
    """Return this machine's table, or None where there is none (then there is no filter)."""
    # A 32-bit Python on a 64-bit kernel uses other numbers.
    if sys.platform != "linux" or sys.maxsize < 2**32 or sys.byteorder != "little":
        return None
    return make_architecture(platform.machine())


def make_architecture(machine: str) -> Architecture | None:
    """Return the table of a machine as ``uname -m`` names it, or None."""
    if machine not in _AUDIT:
        return None
    column = list(_AUDIT).index(machine)
    return Architecture(
        audit=_AUDIT[machine],
        free=tuple(parse_numbers(" ".join(_FREE.values()), column).values()),
        guarded=parse_numbers(_GUARDED, column),
        fatal=tuple(parse_numbers(FATAL_CALLS, column).values()),
        network=tuple(parse_numbers(_NETWORK, column).values()),
        seccomp=_SECCOMP[column],
    )


def parse_numbers(text: str, column: int) -> dict[str, int]:
    """Return name and number of the calls that an architecture has (0 x86-64, 1 aarch64)."""
    words = text.split()
    pairs = zip(words[::2], words[1::2], strict=True)
    numbers = {name: numbers.split("/")[column] for name, numbers in pairs}
    return {name: int(number) for name, number in numbers.items() if number != "-"}


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
    program = _load_number(arch)
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


def make_offline_program(arch: Architecture) -> bytes:
    """Assemble a filter that takes the network alone."""
    program = _load_number(arch)
    for number in arch.network:
        program += [(_IF_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ERRNO | errno.EPERM)]
    program.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in program)


def _load_number(arch: Architecture) -> list[Instruction]:
    """Return how a filter begins: with the number of a call of this architecture."""
    return [
        (_LOAD, 0, 0, _ARCH_AT),
        (_IF_EQUAL, 1, 0, arch.audit),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER_AT),
        # The x32 numbers of x86-64 are a second door to every call.
        (_IF_AT_LEAST, 0, 1, _X32_BIT),
        (_RETURN, 0, 0, _KILL),
    ]


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
    record = _Program(len(program) // 8, program)
    # Without SPEC_ALLOW kernels before 5.16 slow every load of the child down.
    for flags in (_TSYNC | _SPEC_ALLOW, _TSYNC):
        try:
            thread = call_c("syscall", arch.seccomp, _SET_MODE_FILTER, flags, ctypes.byref(record))
        except OSError as error:
            if error.errno != errno.EINVAL or flags == _TSYNC:
                raise
            continue
        if thread > 0:
            raise OSError(errno.EBUSY, f"thread {thread} cannot be put under the filter")
        return


def call_c(name: str, *arguments: Any) -> int:
    """Call a function of the C library that says by -1 and an error number that it failed.

    Raises:
        OSError: it did.
    """
    function = getattr(ctypes.CDLL(None, use_errno=True), name)
    given = [ctypes.c_ulong(one) if isinstance(one, int) else one for one in arguments]
    result = int(function(*given))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
    return result
