"""The filter's program, run by a small interpreter: so both architectures are tried on one."""

import errno
import os
import re
import signal
import struct
from pathlib import Path

import pytest

from reward_agent.sandbox import filter as calls
from reward_agent.sandbox.filter import make_architecture, make_guards, make_program, parse_numbers

MACHINES = ("x86_64", "aarch64")
ALLOWED, KILLED = 0x7FFF0000, 0x80000000
DENIED, ABSENT = 0x50000 | errno.EPERM, 0x50000 | errno.ENOSYS
OWN_PID = 4321
HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}


def run_filter(program, number, arguments=(), audit=None):
    """Interpret classic BPF over one system call."""
    words = tuple(arguments) + (0,) * (6 - len(arguments))
    data = struct.pack("<IIQ6Q", number, audit, 0, *(word % 2**64 for word in words))
    accumulator, place = 0, 0
    while True:
        code, yes, no, value = struct.unpack_from("<HBBI", program, 8 * place)
        place += 1
        match code:
            case 0x20:
                (accumulator,) = struct.unpack_from("<I", data, value)
            case 0x54:
                accumulator &= value
            case 0x15:
                place += yes if accumulator == value else no
            case 0x35:
                place += yes if accumulator >= value else no
            case 0x06:
                return value
            case _:
                raise AssertionError(f"instruction {code:#x}")


@pytest.fixture(params=MACHINES)
def judge(request):
    """Judge a call by its name on one machine; skip what it does not have."""
    arch = make_architecture(request.param)
    column = MACHINES.index(request.param)
    program = make_program(arch, make_guards(OWN_PID, has_devices=False))
    tables = [*vars(calls).values()]
    texts = [text for text in tables if isinstance(text, str) and "/" in text]
    for table in tables:
        if isinstance(table, dict):
            texts += [text for text in table.values() if isinstance(text, str) and "/" in text]
    numbers = {}
    for text in texts:
        if re.fullmatch(r"(\s*\w+ [\d-]+/[\d-]+)+\s*", text):
            numbers |= parse_numbers(text, column)

    def judge_call(name, *arguments):
        if name not in numbers:
            pytest.skip(f"{request.param} has no {name}")
        return run_filter(program, numbers[name], arguments, arch.audit)

    return judge_call


def test_usual_calls_are_allowed(judge):
    for name in ("read", "write", "futex", "mmap", "newfstatat", "exit_group", "getdents64"):
        assert judge(name) == ALLOWED, name


def test_fatal_calls_kill(judge):
    for name in ("ptrace", "bpf", "unshare", "mount", "keyctl", "io_uring_setup"):
        assert judge(name) == KILLED, name


@pytest.mark.parametrize(
    ("name", "arguments", "verdict"),
    [
        ("openat", (0, 0, os.O_RDONLY, 0), ALLOWED),
        ("openat", (0, 0, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), ALLOWED),
        ("openat", (0, 0, os.O_RDONLY | os.O_TRUNC, 0), DENIED),
        ("openat", (0, 0, 0o20000000 | os.O_WRONLY, 0o600), DENIED),
        ("openat", (0, 0, os.O_WRONLY | os.O_CREAT, 0o4755), DENIED),
        ("openat", (0, 0, os.O_WRONLY | os.O_CREAT, 0o2755), DENIED),
        ("open", (0, os.O_RDONLY | os.O_TRUNC), DENIED),
        ("clone", (0x3D0F00,), ALLOWED),  # what pthread_create asks for
        ("clone", (signal.SIGCHLD,), DENIED),
        ("clone", (0x10000 | 0x10000000,), DENIED),
        ("kill", (OWN_PID, signal.SIGABRT), ALLOWED),
        ("kill", (OWN_PID + 1, 0), DENIED),
        ("kill", (-1, 0), DENIED),
        ("kill", (0, 0), DENIED),
        ("tgkill", (OWN_PID, 1, 6), ALLOWED),
        ("tgkill", (1, 1, 6), DENIED),
        ("prlimit64", (0, 2, 0, 1), ALLOWED),
        ("prlimit64", (0, 2, 1 << 32, 0), DENIED),
        ("prlimit64", (1, 2, 0, 1), DENIED),
        ("prctl", (15,), ALLOWED),
        ("prctl", (1, 0), DENIED),
        ("prctl", (4, 1), DENIED),
        ("fcntl", (3, 1030), ALLOWED),
        ("fcntl", (3, 8), DENIED),
        ("ioctl", (1, 0x5401), ALLOWED),
        ("ioctl", (1, 0x5412), DENIED),
        ("sched_setaffinity", (0,), ALLOWED),
        ("sched_setaffinity", (1,), DENIED),
        ("memfd_create", (), DENIED),
    ],
)
def test_guarded_calls_depend_on_their_arguments(judge, name, arguments, verdict):
    assert judge(name, *arguments) == verdict


@pytest.mark.parametrize("machine", MACHINES)
def test_unknown_and_foreign_calls_are_denied(machine):
    arch = make_architecture(machine)
    program = make_program(arch, make_guards(OWN_PID, has_devices=False))
    execve = {"x86_64": 59, "aarch64": 221}[machine]
    socket = {"x86_64": 41, "aarch64": 198}[machine]
    assert run_filter(program, execve, (), arch.audit) == DENIED
    assert run_filter(program, socket, (), arch.audit) == DENIED
    assert run_filter(program, 435, (), arch.audit) == ABSENT  # clone3
    assert run_filter(program, 999, (), arch.audit) == ABSENT
    assert run_filter(program, 0x40000000, (), arch.audit) == KILLED  # x32
    assert run_filter(program, 0, (), 0x40000003) == KILLED  # 32-bit entry


def test_devices_are_for_rendering_only():
    arch = make_architecture("x86_64")
    program = make_program(arch, make_guards(OWN_PID, has_devices=True))
    assert run_filter(program, 16, (3, 0xC0406400), arch.audit) == ALLOWED
    assert run_filter(program, 319, (), arch.audit) == ALLOWED


@pytest.mark.parametrize("machine", MACHINES)
def test_numbers_are_those_of_the_kernels_headers(machine):
    header = HEADERS[machine]
    if not header.is_file():
        pytest.skip("the kernel's headers are not installed")
    found = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", header.read_text())
    known = {name: int(number) for name, number in found}
    # The generic header names the 64-bit fstatat by its older name.
    known.setdefault("newfstatat", known.get("fstatat", 0))
    column = MACHINES.index(machine)
    checked = 0
    for table in vars(calls).values():
        for text in table.values() if isinstance(table, dict) else [table]:
            if isinstance(text, str) and re.fullmatch(r"(\s*\w+ [\d-]+/[\d-]+)+\s*", text):
                for name, number in parse_numbers(text, column).items():
                    assert known[name] == number, name
                    checked += 1
    assert checked > 120


def test_machine_without_a_table_has_no_filter():
    assert make_architecture("riscv64") is None
