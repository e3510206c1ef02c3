"""The file of a policy that a person names: one of ours, or a zip of Stable-Baselines3's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from reward_agent.errors import DataError, JobError, UsageError
from reward_agent.files import find_real, make_scratch, read_bytes
from reward_agent.learning.policy import MAX_POLICY_BYTES, parse_policy
from reward_agent.records.drafting_jobs import ReadSb3Job, ReadSb3Result
from reward_agent.records.job import GIVEN_FILE, MAX_SB3_BYTES, POLICY_FILE, STATISTICS_FILE
from reward_agent.run.active import Lab
from reward_agent.types import Activation

STATISTICS_SUFFIX = ".npz"
_HEAD_BYTES = 4096
# Pickle runs what it reads: only whoever wrote the file should, and once.
_CONVERT = (
    'if you made it, write what it holds beside it as {npz}: python -c "import pickle, numpy; '
    "v = pickle.load(open('{pkl}', 'rb')); numpy.savez('{npz}', mean=v.obs_rms.mean, "
    'var=v.obs_rms.var, epsilon=v.epsilon, clip=v.clip_obs)"'
)


def read_any_policy(
    path: Path,
    lab: Lab,
    activation: Activation | None,
    statistics: Path | None,
    tell: Callable[[str], None],
) -> bytes:
    """Return the content of a policy file of ours for the file that a person names.

    Args:
        path: the file.
        lab: of the environment.
        activation: of a zip's hidden layers, where it does not say.
        statistics: an ``.npz`` of what a zip's observations are normalised by; by default that
            which lies beside it.
        tell: receives what was assumed of a zip.

    Raises:
        UsageError: it cannot be read, or its observations are normalised by what cannot.
        DataError: it holds no policy that is known here.
    """
    content = _read(path, MAX_SB3_BYTES)
    if content.startswith(b"PK"):
        normalised_by, told = _read_statistics(path, statistics)
        policy = _convert(path, {GIVEN_FILE: content} | normalised_by, lab, activation)
        tell(told)  # of a policy that could be read
        return policy
    try:
        parse_policy(content)
    except DataError as error:
        is_ours = b'"__metadata__"' in content[:_HEAD_BYTES]
        reason = error.message if is_ours else "it is no safetensors file, and no zip"
        raise DataError(
            f"{path} is not a policy: {reason}",
            "name a policy_<steps>.safetensors, or a zip of Stable-Baselines3's",
        ) from error
    return content


def _read(path: Path, limit: int) -> bytes:
    try:
        return read_bytes(find_real(path), limit)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}", "name a policy file"
        ) from error


def _read_statistics(path: Path, given: Path | None) -> tuple[dict[str, bytes], str]:
    """Return what a zip's observations are normalised by, as a file of a job, and say so."""
    found = given or _find_statistics(path)
    if found is not None:
        told = f"its observations are normalised by {found}"
        return {STATISTICS_FILE: _read(found, MAX_SB3_BYTES)}, told
    return {}, (
        "its observations go in as they are: if it was trained within a VecNormalize, give that "
        "one's statistics with --statistics"
    )


def _convert(
    path: Path, files: Mapping[str, bytes], lab: Lab, activation: Activation | None
) -> bytes:
    """Return the policy that a zip holds."""
    with make_scratch() as scratch:
        try:
            result = lab.run_job(
                ReadSb3Job(card=lab.card, activation=activation), scratch, files
            ).result
        except JobError as error:
            raise DataError(
                f"{path} could not be read to its end: {error.message}",
                "give a zip that Stable-Baselines3 saved",
            ) from error
        assert isinstance(result, ReadSb3Result)
        if result.refusal:
            raise DataError(f"{path}: {result.refusal}", result.remedy)
        return read_bytes(scratch / POLICY_FILE, MAX_POLICY_BYTES)


def _find_statistics(path: Path) -> Path | None:
    """Return what a zip's observations are normalised by, where it lies beside it.

    Raises:
        UsageError: it lies there as a pickle alone.
    """
    beside = [
        file
        for folder in (path.parent, path.with_suffix(""))
        for file in sorted(folder.glob("*vec*norm*"))
    ]
    found = [file for file in beside if file.suffix == STATISTICS_SUFFIX]
    if found:
        return found[0]
    for pickle in beside:
        if pickle.suffix in (".pkl", ".pickle"):
            raise UsageError(
                f"{pickle} beside it normalises its observations, and a pickle is not read here: "
                "it can run anything",
                _CONVERT.format(pkl=pickle, npz=pickle.with_suffix(STATISTICS_SUFFIX)),
            )
    return None
