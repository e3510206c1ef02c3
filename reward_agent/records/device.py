"""What crosses to the process that has a GPU and back: a record on each line of its pipes.

It says ``ready`` once it has its device. Then it takes a ``DeviceRequest`` at a time, and answers
for each training as soon as that one is over, in any order: ``done`` (its folder holds what a
``TrainJob`` leaves there, ``result.json`` with it), ``refused`` (it cannot run there, and may on a
CPU: nothing was written). The request itself ends with ``finished``, or with ``failed``: those
trainings that nothing was said of are then lost, for a reason that is no program's. A line that
says ``stop`` ends a request before its next rollout; a ``finished`` follows, and trainings that
were not over have left nothing new. At the end of its input the process ends.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from reward_agent.records.operations import TracedProgram
from reward_agent.records.training_jobs import TrainJob
from reward_agent.types import OneLine, Record


class DeviceTraining(Record):
    """A training, its folder on this machine, and its program as operations.

    The folder is given what a ``TrainJob``'s is: a checkpoint to go on from, a first policy.
    """

    job: TrainJob
    job_dir: str
    program: TracedProgram


class DeviceRequest(Record):
    """Trainings to run side by side.

    Args:
        n_worlds: of each learner; its rollout has as many env steps as its settings say. None: the
            default.
    """

    trainings: tuple[DeviceTraining, ...] = Field(min_length=1, max_length=4096)
    n_worlds: int | None = Field(None, ge=1, le=65_536)


class DeviceReply(Record):
    """What the process says.

    Args:
        job_dir: of the training that is over.
        notes: what a person should know: where the process is not sealed, or the physics differs
            from what scores are measured on.
        message: why not; of ``refused`` and ``failed``.
        remedy: what to do about it.
    """

    kind: Literal["ready", "done", "refused", "finished", "failed"]
    job_dir: str = ""
    notes: tuple[OneLine, ...] = ()
    message: Annotated[str, Field(max_length=4000)] = ""
    remedy: Annotated[str, Field(max_length=2000)] = ""
