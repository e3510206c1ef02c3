"""What ``--device`` means on this machine: its GPU, or what stands in the way."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

from reward_agent.errors import UsageError

# A round of hopper's 4,096 worlds takes a tenth of it.
_LEAST_MIB = 4096
_LIBRARIES = ("mujoco_warp", "warp")
_TO_CPU = "train with --device cpu"


@dataclass(frozen=True)
class DeviceSurvey:
    """What a machine offers for ``--device gpu``.

    Args:
        name: of the GPU; empty if none answers.
        driver: its version.
        memory_mib: in all.
        lacks: what stands in the way, in words; empty if nothing does.
        remedy: what to do about it.
    """

    name: str = ""
    driver: str = ""
    memory_mib: int = 0
    lacks: str = ""
    remedy: str = ""


def survey_device() -> DeviceSurvey:
    """Ask the driver what there is; imports nothing of it and never fails."""
    found = _ask_driver()
    if not found:
        return DeviceSurvey(
            lacks="no NVIDIA driver answers here",
            remedy=f"install it (nvidia-smi must list the GPU), or {_TO_CPU}",
        )
    name, driver, memory = found
    too_small = f"it has {memory:,} MiB, a round takes {_LEAST_MIB:,}", _TO_CPU
    lacks = _find_missing() or (too_small if memory < _LEAST_MIB else ())
    return DeviceSurvey(name, driver, memory, *lacks)


def _ask_driver() -> tuple[str, str, int] | None:
    """Return name, driver's version and memory, MiB, of the first GPU."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    query = "--query-gpu=name,driver_version,memory.total"
    try:
        told = subprocess.run(
            [tool, query, "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        ).stdout
        name, driver, memory = (part.strip() for part in told.splitlines()[0].rsplit(",", 2))
        return name, driver, int(memory)
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None


def _find_missing() -> tuple[str, str] | None:
    if all(importlib.util.find_spec(library) for library in _LIBRARIES):
        return None
    return "mujoco-warp is not installed", "pip install 'reward-agent[gpu]'"


def choose_device(wanted: str, tell: Callable[[str], None]) -> str | None:
    """Return PyTorch's name of the device that trainings run on; None: they run as ever.

    Args:
        wanted: ``cpu``, ``gpu``, ``auto``, or ``warp-cpu``: the GPU's way on a processor.
        tell: is told why ``auto`` found none.

    Raises:
        UsageError: it is asked for, and this machine does not have it.
    """
    if wanted == "warp-cpu":
        if missing := _find_missing():
            raise UsageError(f"--device warp-cpu: {missing[0]}", missing[1])
        return "cpu"
    if wanted == "cpu":
        return None
    survey = survey_device()
    if not survey.lacks:
        return "cuda"
    if wanted == "auto":
        tell(f"--device auto: {survey.lacks}; trainings run on the cores")
        return None
    raise UsageError(f"--device gpu: {survey.lacks}", survey.remedy)


def describe_survey(survey: DeviceSurvey) -> str:
    """Return in a line what there is, and what would run there."""
    found = f"{survey.name}, driver {survey.driver}, {survey.memory_mib:,} MiB"
    if survey.lacks:
        what = f"{found}, but {survey.lacks}" if survey.name else survey.lacks
        return f"{what}: {survey.remedy}; trainings run on the processor's cores"
    return f"{found}: trainings of ppo on MuJoCo's cards with --device gpu, all else on the cores"
