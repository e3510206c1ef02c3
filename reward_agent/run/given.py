"""A person's reward: taken or refused before a run begins, and kept in the run's directory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reward_agent.definitions.card import EnvCard
from reward_agent.designers.brief import DesignIdea, GivenProgram
from reward_agent.errors import DataError, RefusedError, UsageError
from reward_agent.files import find_real, make_scratch, read_bytes, read_text
from reward_agent.records.disk import write_text
from reward_agent.records.job import BEHAVIOURS_DIR, PROGRAM_FILE, UNSKILLED
from reward_agent.records.settings import RunSettings
from reward_agent.records.store import GivenReward, RunStore
from reward_agent.rewards.checks import check_program, render_findings
from reward_agent.run.active import Lab
from reward_agent.run.behaviours import RecordedBehaviours, record_behaviours
from reward_agent.run.probe import Recordings, run_probe
from reward_agent.run.single import open_lab
from reward_agent.run.translate import translate_reward
from reward_agent.text import decode_text
from reward_agent.types import RewardProgram

ORIGINAL_FILE = "original.txt"
GIVEN_IDEA = DesignIdea("from-a-person", "The reward that a person brought, as it is.")
# A reward is a page or two.
_MOST_BYTES = 512 * 2**10


@dataclass(frozen=True)
class TakenReward:
    """A person's reward that may be trained.

    Args:
        record: where it comes from, and how it was taken.
        program: what is run.
        original: the text as it came.
    """

    record: GivenReward
    program: RewardProgram
    original: str


def take_rewards(
    paths: Sequence[Path], card: EnvCard, settings: RunSettings, *, takes_broken: bool = False
) -> tuple[TakenReward, ...]:
    """Read people's rewards and return them as programs.

    Args:
        paths: the files.
        card: the environment, with the task applied.
        settings: how the child is isolated that reads them.
        takes_broken: also take a program of ours that breaks when it is run: the probe says how.

    Raises:
        UsageError: a file cannot be read.
        RefusedError: one cannot be taken; its findings say why, and what to write instead.
    """
    files = {path: _read(path) for path in paths}
    if not files:
        return ()
    with open_lab(card, settings) as lab, make_scratch() as scratch:
        recorded = record_behaviours(lab, scratch / BEHAVIOURS_DIR, UNSKILLED)
        return tuple(
            _translate(lab, path, data, scratch / str(number), recorded, takes_broken)
            for number, (path, data) in enumerate(files.items())
        )


def _translate(
    lab: Lab,
    path: Path,
    data: bytes,
    folder: Path,
    recorded: RecordedBehaviours,
    takes_broken: bool,
) -> TakenReward:
    result = translate_reward(lab, data, path.name, folder, recorded)
    text = decode_text(data, "replace")
    own, findings = RewardProgram(text), result.findings
    is_ours = result.program is None and not check_program(own, lab.card).errors
    if is_ours and takes_broken:
        return TakenReward(GivenReward(file=path.name, program_sha256=own.sha256), own, text)
    if is_ours:  # it breaks when it is run: the probe knows the term
        findings = run_probe(lab, own, folder / "probe", Recordings()).errors or findings
    if result.program is None or result.form is None:
        errors = [finding for finding in findings if finding.severity == "error"]
        first = (errors or findings)[0]
        raise RefusedError(
            f"{path.name} is not taken: {first.message}",
            first.remedy,
            render_findings(text, findings),
        )
    program = RewardProgram(result.program)
    record = GivenReward(
        file=path.name,
        program_sha256=program.sha256,
        form=result.form,
        terms=result.terms,
        parity=result.parity,
        notes=(*result.notes, *(f"{f.message}; {f.remedy}" for f in result.findings)),
    )
    return TakenReward(record, program, text)


def _read(path: Path) -> bytes:
    try:
        return read_bytes(find_real(path), _MOST_BYTES)
    except DataError as error:
        raise UsageError(error.message, "name a file with a reward") from error
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}", "name a file with a reward"
        ) from error


def keep_given(store: RunStore, taken: Sequence[TakenReward]) -> None:
    """Write what a run starts from into its directory."""
    for number, item in enumerate(taken):
        folder = store.given_dir(number)
        write_text(folder / PROGRAM_FILE, item.program.source)
        write_text(folder / ORIGINAL_FILE, item.original)


def load_given(store: RunStore) -> tuple[TakenReward, ...]:
    """Return what a run started from.

    Raises:
        DataError: a program is not the one that the run's record names.
    """
    return tuple(
        _load(store, number, record) for number, record in enumerate(store.read_run().given)
    )


def _load(store: RunStore, number: int, record: GivenReward) -> TakenReward:
    folder = store.given_dir(number)
    program = RewardProgram(read_text(folder / PROGRAM_FILE, ""))
    if program.sha256 != record.program_sha256:
        raise DataError(
            f"{folder / PROGRAM_FILE} is not the reward of {record.file} that the run began with",
            "restore the file, or start a new run",
        )
    return TakenReward(record, program, read_text(folder / ORIGINAL_FILE, ""))


def read_given(store: RunStore) -> tuple[GivenProgram, ...]:
    """Return the programs of people that a run's first round trains beside the designer's."""
    return tuple(GivenProgram(item.program, item.record.file) for item in load_given(store))
