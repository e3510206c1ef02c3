"""A person's reward: taken or refused before a run begins, and kept in the run's directory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reward_agent.definitions.card import EnvCard
from reward_agent.designers.brief import DesignIdea, GivenProgram
from reward_agent.errors import DataError, RefusedError, UsageError
from reward_agent.files import find_real, read_bytes, read_text
from reward_agent.records.disk import write_text
from reward_agent.records.jobs import PROGRAM_FILE
from reward_agent.records.store import GivenReward, RunStore
from reward_agent.rewards.checks import check_program, render_findings
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


def take_reward(path: Path, card: EnvCard) -> TakenReward:
    """Read a person's reward and return it as a program.

    Args:
        path: the file.
        card: the environment, with the task applied.

    Raises:
        UsageError: the file cannot be read.
        RefusedError: it cannot be taken; its findings say why, and what to write instead.
    """
    original = _read(path)
    program = RewardProgram(original)
    report = check_program(program, card)
    if report.errors:
        raise RefusedError(
            f"{path.name} is not taken: {report.errors[0].message}",
            report.errors[0].remedy or f"`reward-agent check {path} --env {card.name}` shows all",
            render_findings(original, report.errors),
        )
    return TakenReward(
        GivenReward(file=path.name, program_sha256=program.sha256), program, original
    )


def _read(path: Path) -> str:
    try:
        data = read_bytes(find_real(path), _MOST_BYTES)
    except DataError as error:
        raise UsageError(error.message, "name a file with a reward") from error
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}", "name a file with a reward"
        ) from error
    return data.decode("utf-8", "replace").removeprefix("\ufeff")


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
