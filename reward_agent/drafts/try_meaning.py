"""Job ``try_meaning``: a model as text, and what came of claims about it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from reward_agent.drafts.claims import try_meaning
from reward_agent.drafts.outline import render_outline
from reward_agent.records.jobs import TryMeaningJob, TryMeaningResult
from reward_agent.simulation.mujoco_model import make_model
from reward_agent.simulation.mujoco_start import find_home, find_keyframe


def run(job: TryMeaningJob, job_dir: Path) -> TryMeaningResult:
    """Try the claims of the job from the card's start; the folder is not needed."""
    card = job.card
    model = make_model(card, fields=())
    start = find_home(card, model).qpos
    if card.reset.keyframe is not None:
        start = np.array(model.key_qpos[find_keyframe(model, card.reset.keyframe)])
    return TryMeaningResult(
        outline=render_outline(model, start), verdicts=try_meaning(model, job.meaning, start)
    )
