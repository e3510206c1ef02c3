"""Job ``try_meaning``: a model as text, and what came of claims about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mujoco
import numpy as np

from reward_agent.definitions.meaning import ClaimTest, Meaning
from reward_agent.drafts.claims import ClaimTrial, Test
from reward_agent.drafts.live import LiveModel, UntestedError
from reward_agent.drafts.outline import render_outline
from reward_agent.drafts.robot_claims import (
    try_foot,
    try_forward,
    try_gripper,
    try_hand,
    try_joint,
    try_limb,
    try_start,
    try_tool,
    try_torso,
    try_up,
)
from reward_agent.drafts.scene_claims import try_fixture, try_measure, try_object, try_target
from reward_agent.drafts.task_claims import try_task
from reward_agent.records.drafting_jobs import TryMeaningJob, TryMeaningResult
from reward_agent.simulation.mujoco_model import make_model
from reward_agent.simulation.mujoco_start import find_home, find_keyframe
from reward_agent.simulation.state import FloatArray


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


def try_meaning(
    model: mujoco.MjModel, meaning: Meaning, qpos: FloatArray | None = None
) -> tuple[ClaimTest, ...]:
    """Try every claim of a form on a model.

    Args:
        model: as it is simulated.
        meaning: the claims.
        qpos: the start pose, where the form names none that holds; None: the reference pose.
    """
    trial = ClaimTrial(LiveModel(model, qpos), meaning)
    return tuple(trial.judge(key, number, _TESTS[key]) for key, number in meaning.list_claims())


def _accept(trial: ClaimTrial, value: Any) -> str:
    raise UntestedError("words for people; nothing tests them")


_TESTS: dict[str, Test] = {
    "description": Test("words", _accept),
    "start": Test("held for a second", try_start),
    "torso": Test("lifted by a metre", try_torso),
    "up": Test("turned over", try_up),
    "forward": Test("pushed and yawed", try_forward),
    "feet": Test("lowered until it touches", try_foot),
    "hands": Test("moved by the robot's joints", try_hand),
    "tool": Test("moved by the robot", try_tool),
    "object": Test("moved by its own joint", try_object),
    "target": Test("put one on the other", try_target),
    "fixture": Test("moved by its own joint", try_fixture),
    "limbs": Test("side of the forward axis", try_limb),
    "joints": Test("nudged", try_joint),
    "measures": Test("changed, built twice as large, lifted", try_measure),
    "gripper": Test("control low and high", try_gripper),
    "tasks": Test("needs and start", try_task),
}
