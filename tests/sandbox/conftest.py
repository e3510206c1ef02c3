import sys
from pathlib import Path

import pytest

from reward_agent.jobs import ProbeJob
from reward_agent.sandbox import child, runner
from reward_agent.sandbox.limits import Limits
from reward_agent.simulation.card import EnvCard, ModelSource, StateField
from reward_agent.types import RewardProgram

HOSTILE_WORKER = Path(__file__).with_name("hostile_worker.py")


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


@pytest.fixture
def run_hostile(monkeypatch, tmp_path):
    """Run Python source in the child with every static rule out of the way."""
    monkeypatch.setattr(
        child,
        "make_child_command",
        lambda job_dir: [sys.executable, "-s", "-P", str(HOSTILE_WORKER), str(job_dir)],
    )

    def run(source, *, wall_s=20.0, mode="any", limits=None, **options):
        job_dir = options.pop("job_dir", tmp_path / "job")
        job_dir.mkdir(exist_ok=True)
        (job_dir / "reward.py").write_text(source)
        job = ProbeJob(card=make_card(), program_sha256=RewardProgram(source).sha256)
        limits = limits or Limits(wall_s=wall_s)
        return runner.run_job(job, job_dir, limits=limits, mode=mode, **options)

    return run
