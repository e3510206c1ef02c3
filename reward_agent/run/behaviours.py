"""Behaviours of a run: what its robot can do without a policy, recorded once for all who ask."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reward_agent.evaluation.arrays import MAX_RECORDING_BYTES
from reward_agent.files import read_capped
from reward_agent.records.jobs import TRAJECTORIES_FILE, RecordJob, RecordResult
from reward_agent.run.active import Lab

# In the folder of a run.
BEHAVIOURS_DIR = "behaviours"


@dataclass(frozen=True)
class RecordedBehaviours:
    """Episodes in a folder's ``trajectories.npz``, by the name of what the robot does in each."""

    folder: Path
    result: RecordResult

    @property
    def names(self) -> tuple[str, ...]:
        """What the robot does in each episode."""
        return self.result.behaviours

    def read(self) -> bytes:
        """Return the file of the episodes."""
        return read_capped(self.folder / TRAJECTORIES_FILE, MAX_RECORDING_BYTES)


def record_behaviours(lab: Lab, folder: Path) -> RecordedBehaviours:
    """Return the behaviours of a card, recorded unless the folder has those of this very card.

    Raises:
        JobError: they cannot be recorded; that is ours.
    """
    result = lab.run_job(RecordJob(card=lab.card, seed=lab.settings.seed), folder).result
    assert isinstance(result, RecordResult)
    return RecordedBehaviours(folder, result)
