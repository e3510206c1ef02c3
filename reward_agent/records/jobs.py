"""Every kind of job: a class in ``JOBS``, and the module ``worker/<kind>.py``, which does it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, get_args

from pydantic import PlainValidator, SerializeAsAny, TypeAdapter

from reward_agent.records.drafting_jobs import (
    CheckEnvJob,
    DraftJob,
    ReadSb3Job,
    TranslateJob,
    TryCardJob,
    TryMeaningJob,
)
from reward_agent.records.film_jobs import FilmJob, FramesJob
from reward_agent.records.job import Job
from reward_agent.records.scoring_jobs import (
    EvaluateJob,
    ExploreJob,
    RecordJob,
    RelabelJob,
    ScoreJob,
    TryMetricJob,
)
from reward_agent.records.training_jobs import ClimbJob, ProbeJob, TraceJob, TrainJob
from reward_agent.types import Sha256

JOBS: tuple[type[Job], ...] = (
    ProbeJob, TrainJob, ClimbJob, EvaluateJob, FilmJob, FramesJob, ScoreJob, TryMetricJob,
    ExploreJob, RelabelJob, RecordJob, TranslateJob, ReadSb3Job, CheckEnvJob, TryCardJob,
    TryMeaningJob, DraftJob, TraceJob,
)  # fmt: skip


def digest_files(files: Mapping[str, bytes]) -> dict[str, Sha256]:
    """Return the ``inputs`` of a job that is given these files."""
    return {name: hashlib.sha256(files[name]).hexdigest() for name in sorted(files)}


def _find_and_validate(data: Any) -> Job:
    """Validate a job as the class in ``JOBS`` that its kind names."""
    if isinstance(data, Job):
        return data
    kinds = {get_args(job.model_fields["kind"].annotation)[0]: job for job in JOBS}
    kind = data.get("kind") if isinstance(data, dict) else None
    if kind not in kinds:
        raise ValueError(f"kind is {kind!r:.40}, expected one of {', '.join(kinds)}")
    return kinds[kind].model_validate(data)


AnyJob = Annotated[SerializeAsAny[Job], PlainValidator(_find_and_validate)]
_ANY_JOB: TypeAdapter[Job] = TypeAdapter(AnyJob)


def parse_job(text: bytes) -> Job:
    """Return the job that a ``job.json`` holds.

    Raises:
        ValidationError: it holds none.
    """
    return _ANY_JOB.validate_json(text)
