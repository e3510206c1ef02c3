"""Jobs whose programs run raw, every static rule out of the way."""

import sys
from pathlib import Path
from unittest import mock

from reward_agent.definitions.card import EnvCard, ModelSource, StateField
from reward_agent.records.film_jobs import FilmJob
from reward_agent.records.job import Limits
from reward_agent.records.training_jobs import ProbeJob
from reward_agent.sandbox import child, runner, warm
from reward_agent.types import RewardProgram

HOSTILE_WORKER = Path(__file__).resolve().parents[1] / "sandbox" / "hostile_worker.py"


def make_card():
    field = StateField(
        name="torso_height", source="body:torso.xpos[2]", unit="m", range=(0, 2), doc="height"
    )
    return EnvCard(
        name="hopper",
        title="Hopper",
        description="one leg",
        model=ModelSource(gymnasium="hopper.xml", frame_skip=4),
        control_dt=0.008,
        max_episode_steps=100,
        actions=("thigh", "leg", "foot"),
        state=(field,),
        observation=("joint:rooty.qpos",),
        observation_size=1,
    )


def make_hostile_command(job_dir):
    return [sys.executable, "-s", "-P", str(HOSTILE_WORKER), str(job_dir)]


def make_hostile_server():
    """Start a server whose warm children run hostile jobs."""

    def make_command():
        server = HOSTILE_WORKER.with_name("hostile_server.py")
        return [sys.executable, "-s", "-P", str(server)]

    with mock.patch.object(warm, "make_server_command", make_command):
        return warm.WarmServer()


def run_hostile_job(
    job_dir, source, *, limits=None, mode="default", renders=False, card=None, **options
):
    """Run Python source in the child with every static rule out of the way."""
    job = make_hostile_job(job_dir, source, renders=renders, card=card)
    limits = limits or Limits(wall_s=30)
    # Not in two threads: of two patches that overlap, the second puts the first one's back.
    with mock.patch.object(child, "make_child_command", make_hostile_command):
        return runner.run_job(job, job_dir, limits=limits, mode=mode, **options)


def make_hostile_job(job_dir, source, *, renders=False, card=None):
    job_dir.mkdir(parents=True, exist_ok=True)
    (job_dir / "reward.py").write_text(source)
    if renders:
        return FilmJob(card=card or make_card())
    return ProbeJob(card=card or make_card(), program_sha256=RewardProgram(source).sha256)


def said(job_exit):
    """Return what the program bound to ``report``."""
    assert str(job_exit.outcome) == "ok", job_exit
    return job_exit.result.findings[0].message
