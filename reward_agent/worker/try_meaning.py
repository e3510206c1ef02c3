"""Job ``try_meaning``: a model as text, and what came of claims about it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from reward_agent.drafts.claims import try_meaning
from reward_agent.drafts.outline import render_outline
from reward_agent.records.jobs import TryMeaningJob, TryMeaningResult
from reward_agent.simulation.mujoco_batch import BatchSimulation


def run(job: TryMeaningJob, job_dir: Path) -> TryMeaningResult:
    """Try the claims of the job from the card's start; the folder is not needed."""
    simulation = BatchSimulation(job.card, 1, seed=0, fields=())
    simulation.begin(np.zeros(1, dtype=np.int32))
    model, start = simulation.model, simulation.qpos[0]
    return TryMeaningResult(
        outline=render_outline(model, start), verdicts=try_meaning(model, job.meaning, start)
    )
