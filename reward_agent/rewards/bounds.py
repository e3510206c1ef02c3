"""What one call of generated code may take, and what is told of one that fails. Child side."""

from __future__ import annotations

import re
import signal
import sys
import threading
import traceback
from functools import cache
from types import FrameType, TracebackType

from reward_agent.records.job import PROGRAM_FILE
from reward_agent.rewards.contract import ContractError
from reward_agent.text import clean_text

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

# Processor time that one call of generated code may take, for a thousand rows at most.
MAX_CALL_S = 2.0
# A loop in C sees no signal of Python's: then the kernel ends the process, with a signal that the
# parent knows to be the program's (SIGPROF).
_GRACE_S = 2.0
# Processor time that the text of an error may take.
_MAX_TEXT_S = 0.2
# By how much one call may raise what the process took of memory at most.
MAX_CALL_MIB = 256


class _CallTookTooLong(BaseException):
    """A call of generated code used up its time; ``except Exception`` does not catch it."""


def _end_call(number: int, frame: FrameType | None) -> None:
    raise _CallTookTooLong


@cache
def _has_clock() -> bool:
    """Set the alarm of calls up, where there is one: in the main thread of a POSIX process."""
    if (
        not hasattr(signal, "setitimer")
        or threading.current_thread() is not threading.main_thread()
    ):
        return False
    signal.signal(signal.SIGVTALRM, _end_call)
    return True


def _set_clock(seconds: float) -> None:
    if _has_clock():
        signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
        signal.setitimer(signal.ITIMER_PROF, seconds and seconds + _GRACE_S)


def _read_peak_mib() -> float:
    """Return the most memory that this process had at a time; 0 where the system does not tell."""
    if resource is None:
        return 0.0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


class Reporting:
    """Bounds a call of generated code; turns what it raises into a ``ContractError`` with its line.

    A call that takes more than ``MAX_CALL_S`` of processor time, or ``MAX_CALL_MIB`` of memory, is
    ended: what a loop does may depend on states that the probe did not come to.
    """

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        self._peak_mib = _read_peak_mib()
        _set_clock(MAX_CALL_S)

    def __exit__(self, _: object, error: BaseException | None, trace: TracebackType | None) -> None:
        _set_clock(0)
        if error is None:
            self._check_memory()
        elif isinstance(error, (Exception, _CallTookTooLong)):
            explained = self._explain(error, trace)
            is_failure = isinstance(error, Exception) and explained is not error
            raise explained from (error if is_failure else None)

    def _check_memory(self) -> None:
        taken = _read_peak_mib() - self._peak_mib
        if taken > MAX_CALL_MIB:
            message = f"{self._where} took {taken:.0f} MiB of memory; at most {MAX_CALL_MIB}"
            raise ContractError("contract/memory-size", message, _SMALLER)

    def _explain(self, error: BaseException, trace: TracebackType | None) -> ContractError:
        lines = [
            frame.lineno
            for frame in traceback.extract_tb(trace)
            if frame.filename == PROGRAM_FILE and frame.lineno
        ]
        line = lines[-1] if lines else None
        if isinstance(error, ContractError):
            error.line = error.line or line
            return error
        place = f" in line {line}" if line else ""
        if isinstance(error, _CallTookTooLong):
            message = f"{self._where} took more than {MAX_CALL_S:g} s{place}"
            return ContractError("contract/time", message, _SHORTER, line)
        text = _ADDRESS.sub("", _read_text(error))
        message = f"{self._where} raised {type(error).__name__}{place}: {text}"
        if isinstance(error, ValueError) and "read-only" in text:
            return ContractError("contract/writes-input", message, _NO_WRITING, line)
        remedy = _SMALLER if isinstance(error, MemoryError) else _REMEDY
        return ContractError("contract/exception", message, remedy, line)


def _read_text(error: BaseException) -> str:
    """Return what an error says, which the program may have made endless or impossible to write."""
    _set_clock(_MAX_TEXT_S)
    try:
        return clean_text(str(error))
    except (Exception, _CallTookTooLong):
        return "(its text cannot be written)"
    finally:
        _set_clock(0)


# What is told to a model is the same in every process.
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
_SHORTER = "compute with whole arrays; loop over short ranges only"
_SMALLER = "make arrays of one row a simulation: np.zeros(action.shape[0]); no long texts or lists"
_NO_WRITING = "write `x = x * 2` instead of `x *= 2`, or take a .copy() first"
_REMEDY = "compute with whole arrays of shape (N,) and (N, k), and write into arrays of your own"
