"""What a child hands back, read as an untrusted reply: sized, parsed, validated, in range."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from reward_agent.errors import DataError
from reward_agent.files import read_capped
from reward_agent.records.jobs import (
    RESULT_FILE,
    CheckEnvResult,
    EvaluateResult,
    FilmResult,
    Job,
    RecordResult,
    RelabelResult,
    Result,
    ScoreJob,
    ScoreResult,
    TrainJob,
)
from reward_agent.types import ProbeReport, Record, TrainingResult

RESULT_TYPES: dict[str, type[Record]] = {
    "probe": ProbeReport,
    "train": TrainingResult,
    "evaluate": EvaluateResult,
    "film": FilmResult,
    "score": ScoreResult,
    "relabel": RelabelResult,
    "record": RecordResult,
    "check_env": CheckEnvResult,
}
# Jobs that load no generated code: when one fails, it is our failure.
TRUSTED_KINDS = frozenset({"evaluate", "film", "record", "check_env"})
# No honest number of a result comes near; a sum over results must not overflow either.
_LARGEST = 1e15
# A program may return 32 terms; the framework adds the potential's.
_MOST_TERMS = 33
_TERM_NAME = re.compile(r"\w{1,64}", re.ASCII)


def read_result(job: Job, job_dir: Path, max_bytes: int) -> Result:
    """Read and validate the ``result.json`` of a job.

    Raises:
        DataError: it is missing, too large, not of its form, of another job, or out of range.
    """
    path = job_dir / RESULT_FILE
    try:
        text = read_capped(path, max_bytes)
    except FileNotFoundError:
        raise DataError(f"{path} is missing", "the child ended without a result") from None
    try:
        data = json.loads(text, parse_constant=_refuse_constant)
        result = TypeAdapter(RESULT_TYPES[job.kind]).validate_json(text)
    except (ValidationError, ValueError, RecursionError) as error:
        raise DataError(f"{path} is not valid: {_first_line(error)}") from None
    _check_range(data, path)
    _check_belongs(job, result, path)
    _check_term_names(result, path)
    return result  # type: ignore[return-value]


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(error)[:200]


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number of JSON")


def _check_range(data: Any, path: Path) -> None:
    """Refuse numbers that no computation of ours makes.

    Raises:
        DataError: a number is not finite or larger than 1e15 in size.
    """
    pending = [data]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)
        # NaN fails the comparison; an integer of 400 digits does not fit a float.
        elif isinstance(value, int | float) and not -_LARGEST <= value <= _LARGEST:
            raise DataError(f"{path} holds {value!r:.40}, expected a number up to {_LARGEST:g}")


def _check_belongs(job: Job, result: Record, path: Path) -> None:
    """Refuse a result that answers another question than the job asked.

    Raises:
        DataError: identity, seed or step count is not the job's.
    """
    for name in ("program_sha256", "seed"):
        expected, given = getattr(job, name, None), getattr(result, name, None)
        if expected is not None and given is not None and given != expected:
            raise DataError(f"{path} has {name} {given!r}, expected the job's {expected!r}")
    if isinstance(job, ScoreJob) and isinstance(result, ScoreResult) and result.evaluation:
        given_work = (result.evaluation.total_timesteps, result.evaluation.seed)
        if given_work != (job.total_timesteps, job.seed):
            raise DataError(f"{path} scores steps and seed {given_work}, which are not the job's")
    if isinstance(job, TrainJob) and isinstance(result, TrainingResult):
        _check_training(job, result, path)


def _check_term_names(result: Record, path: Path) -> None:
    """Refuse names that no program may give: they are shown to people and to language models.

    Raises:
        DataError: a name is not an identifier of at most 64 characters, or there are too many.
    """
    if isinstance(result, RelabelResult):
        names = list(result.term_pay)
    else:
        names = [term.name for term in getattr(result, "terms", ())]
    if len(names) > _MOST_TERMS:
        raise DataError(f"{path} has {len(names)} terms, expected at most {_MOST_TERMS}")
    for name in names:
        if not _TERM_NAME.fullmatch(name):
            raise DataError(f"{path} has a term named {name!r:.80}, expected letters and digits")


def _check_training(job: TrainJob, result: TrainingResult, path: Path) -> None:
    # The last rollout is never cut.
    most = job.until_timesteps + job.ppo.n_envs * job.ppo.n_steps
    if result.total_timesteps > most:
        raise DataError(f"{path} has total_timesteps {result.total_timesteps}, at most {most}")
    numbers = {
        "total_timesteps": result.total_timesteps,
        "wall_s": result.wall_s,
        "steps_per_s": result.steps_per_s,
    }
    for name, value in numbers.items():
        if value < 0:
            raise DataError(f"{path} has {name} {value}, expected at least 0")
    for snapshot in result.snapshots:
        if not 0 <= snapshot.total_timesteps <= result.total_timesteps:
            raise DataError(f"{path} has a snapshot at {snapshot.total_timesteps} steps")
        if not (path.parent / snapshot.file).is_file():
            raise DataError(f"{path} names {snapshot.file}, which is not there")
