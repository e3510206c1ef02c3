"""Environments in a process of another Python, which a person names: ``REWARD_AGENT_PYTHON``.

They step there, as ``gymnasium_host`` says, over memory that both processes see. The process is
started before this one is sealed and is sealed like it before it makes an environment; no card and
no run decides which Python that is.
"""

from __future__ import annotations

import json
import mmap
import os
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reward_agent.definitions.card import EnvCard
from reward_agent.errors import DataError, EnvironmentFailure, UsageError
from reward_agent.simulation.backends import GYMNASIUM, PYTHON_VARIABLE, find_graphics, find_python
from reward_agent.simulation.gymnasium_host import EnvError, lay_arrays, load_installed

_MEMORY_BYTES = 64 * 2**20
_SCRIPT = Path(__file__).with_name("gymnasium_host.py")
# What that Python must not have of this one's.
_DROPPED = ("PYTHONPATH", "PYTHONHOME", PYTHON_VARIABLE)
# Read when graphics are loaded, and so may be said late.
_GRAPHICS = ("MUJOCO_GL", "PYOPENGL_PLATFORM", "SDL_VIDEODRIVER")
_ASK_S, _END_S = 60.0, 5.0
_QUESTION = """
import json, os, sys, sysconfig
names = [sys.prefix, sys.base_prefix, *sys.path, *sysconfig.get_paths().values()]
names += [os.path.dirname(os.path.realpath(sys.executable)), sys.executable]
print(json.dumps([os.path.realpath(name) for name in names if name and os.path.exists(name)]))
"""


def list_code_folders(python: str) -> tuple[Path, ...]:
    """Return the folders of the other Python and of its packages.

    Raises:
        UsageError: it cannot be started.
    """
    try:
        told = subprocess.run(
            [python, "-I", "-c", _QUESTION],
            env=_make_environment(),
            capture_output=True,
            timeout=_ASK_S,
            check=True,
        )
        folders = {Path(name) for name in json.loads(told.stdout)}
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise UsageError(
            f"the Python {python} cannot be used: {str(error)[:200]}",
            f"correct --python, or {PYTHON_VARIABLE}",
        ) from error
    return (Path(python), *sorted(folder for folder in folders if folder.parent != folder))


class HostProcess:
    """The other process: one question, one answer."""

    def __init__(self, python: str) -> None:
        self.name = python
        self._number, self._end = 0, 0
        self._closed: list[int] = []
        shared = _make_shared()
        size = _MEMORY_BYTES
        self.memory = mmap.mmap(shared, size)
        reading, asking = os.pipe()
        answering, writing = os.pipe()
        descriptors = (reading, writing, shared)
        command = [python, "-I", str(_SCRIPT), *map(str, (*descriptors, size))]
        try:
            self.process = subprocess.Popen(
                command, env=_make_environment(), stdin=subprocess.DEVNULL, pass_fds=descriptors
            )
        except OSError as error:
            raise UsageError(f"the Python {python} cannot be started: {error}", "") from error
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        self._asking, self._answers = os.fdopen(asking, "wb", 0), os.fdopen(answering, "rb")

    def ask(self, do: str, **given: Any) -> dict[str, Any]:
        """Ask for something and wait for the answer.

        Raises:
            EnvError: it could not be done.
            EnvironmentFailure: the process has ended.
        """
        environ = {name: os.environ[name] for name in _GRAPHICS if name in os.environ}
        asked = {"do": do, "environ": environ, **given}
        try:
            self._asking.write(json.dumps(asked).encode() + b"\n")
            line = self._answers.readline()
        except OSError:
            line = b""
        if not line.endswith(b"\n"):
            raise EnvironmentFailure(
                f"the environment's process ({self.name}) ended by itself{self._tell_end()} during "
                f"{do!r}",
                "see what it printed in the job's output; it may lack memory or a package",
            )
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise EnvError(answer["error"], answer.get("remedy", ""))
        return answer

    @property
    def pid(self) -> int:
        """Its number."""
        return self.process.pid

    def seal(self, program: bytes, call: int) -> None:
        """Put it under a filter of system calls, which the call of that number installs.

        Raises:
            DataError: it cannot be sealed.
        """
        try:
            self.ask("seal", program=program.hex(), call=call)
        except EnvError as error:
            raise DataError(error.message, "accept less with --sandbox any") from error

    def _tell_end(self) -> str:
        """Say how the process ended, as far as that can be asked."""
        try:
            code = self.process.wait(_END_S)
        except (OSError, subprocess.SubprocessError):  # a sealed process may not ask
            return ""
        return f" (signal {-code})" if code < 0 else f" (exit code {code})"

    def make(self, **given: Any) -> tuple[int, dict[str, Any], dict[str, NDArray[Any]]]:
        """Make a group; return its number, what it is, and its arrays."""
        for number in self._closed:
            self.ask("close", number=number)
        self._closed.clear()
        self._number += 1
        told = self.ask("make", number=self._number, start=self._end, **given)
        arrays, self._end = lay_arrays(self.memory, self._end, told["forms"])
        return self._number, told, arrays

    def draw(self, number: int) -> NDArray[np.uint8]:
        """Return a picture of a group's first environment."""
        shape = self.ask("draw", number=number, start=self._end)["shape"]
        arrays, _ = lay_arrays(self.memory, self._end, [("picture", shape, "u1")])
        return np.array(arrays["picture"])

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()
        self._asking.close()
        self._answers.close()

    def forget(self, number: int) -> None:
        """Have a group closed before the next is made."""
        self._closed.append(number)


# Started by this process: none or one.
hosts: list[HostProcess] = []


def start_host(card: EnvCard) -> None:
    """Start the process of the other Python, if a person wants one and there is none yet."""
    python = find_python(card)
    if python and not hosts:
        hosts.append(HostProcess(python))


def find_host() -> HostProcess:
    """Return the process of the other Python, which was started."""
    return hosts[0]


def prepare_environments(card: EnvCard) -> None:
    """Do what a sealed process could not: start the other one, import what is installed.

    MuJoCo and dm_control read as they are imported what draws.
    """
    if "MUJOCO_GL" not in os.environ:
        os.environ["MUJOCO_GL"] = find_graphics(GYMNASIUM).backend or "disable"
    start_host(card)
    name = str(card.model.id)
    if find_python(card):
        find_host().ask("load", name=name)
    else:
        load_installed(name)


class ProcessGroup:
    """What ``gymnasium_host.EnvGroup`` is, in the other process.

    Args:
        given: as ``EnvGroup`` takes it.
    """

    def __init__(self, **given: Any) -> None:
        self._host = find_host()
        self._number, told, arrays = self._host.make(**given)
        # Once, whether it is closed or is no longer there.
        self._forget = weakref.finalize(self, self._host.forget, self._number)
        self.values, self._action = arrays["values"], arrays["action"]
        self.terminated, self.truncated = arrays["terminated"], arrays["truncated"]
        self.names: Mapping[str, Sequence[int]] = told["names"]
        self.known: dict[str, int] = told["known"]
        self.seen: dict[str, int] = {}
        self.n_choices: list[int] = told["n_choices"]
        self.low, self.high = np.array(told["low"]), np.array(told["high"])
        self.n_actions = self._action.shape[1]

    def reset(self, ids: Sequence[int]) -> None:
        """Start new episodes."""
        self.seen.update(self._host.ask("reset", number=self._number, ids=ids)["seen"])

    def step(self, action: NDArray[Any], ids: Sequence[int]) -> None:
        """Advance some environments."""
        self._action[...] = action
        self.seen.update(self._host.ask("step", number=self._number, ids=ids)["seen"])

    def read_physics(self) -> dict[str, NDArray[np.float64]]:
        """Return nothing: states stay in the other process."""
        return {}

    def put(self, ids: Sequence[int], qpos: NDArray[Any], qvel: NDArray[Any]) -> None:
        """Nothing can be put back there."""
        raise NotImplementedError

    def draw(self) -> NDArray[np.uint8]:
        """Return a picture of the first environment."""
        return self._host.draw(self._number)

    def close(self) -> None:
        """Have the environments closed."""
        self._forget()


def _make_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in _DROPPED}


def _make_shared() -> int:
    """Return the descriptor of memory that a process started from here may share."""
    if sys.platform == "linux":
        shared = os.memfd_create("environments")
    else:
        with tempfile.TemporaryFile() as file:
            shared = os.dup(file.fileno())
    os.ftruncate(shared, _MEMORY_BYTES)
    return shared
