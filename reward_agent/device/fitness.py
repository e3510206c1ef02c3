"""What can train on a GPU, said without one: the parent asks before it sends anything there."""

from __future__ import annotations

from reward_agent.definitions.card import EnvCard
from reward_agent.records.training_jobs import TrainJob


def find_obstacle(card: EnvCard) -> str:
    """Return why a card cannot be simulated on a GPU; nothing if it can, as far as it says."""
    reasons = {
        f"{card.name} is simulated by {card.model.backend}": card.model.backend != "mujoco",
        "actions are choices": bool(card.choices),
        "actions move mocap bodies": bool(card.mocap_actions),
        "each episode draws objects anew": bool(card.draws),
        "each episode has its own physics": bool(card.randomise),
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def find_training_obstacle(job: TrainJob) -> str:
    """Return why a training cannot run on a GPU; nothing if it can, if its program is traced."""
    reasons = {
        f"it trains by {job.learner.algo}, not by ppo": job.learner.algo != "ppo",
        "it holds each action for several steps": int(job.learner.get("action_repeat")) > 1,
        "some of its episodes begin elsewhere": bool(job.starts),
        "its reward has stages": bool(job.stage_steps),
    }
    own = next((reason for reason, holds in reasons.items() if holds), "")
    return own or find_obstacle(job.card)
