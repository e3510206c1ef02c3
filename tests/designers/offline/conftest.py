from __future__ import annotations

from collections.abc import Callable

import pytest

from reward_agent.definitions.card import EnvCard, load_env
from reward_agent.definitions.task import TaskSpec, apply_task, load_task, make_task
from reward_agent.designers.brief import DesignBrief, DesignIdea, HistoryEntry
from reward_agent.designers.offline import OfflineDesigner
from reward_agent.designers.roles import Proposal
from reward_agent.records.outcomes import TRAINED
from reward_agent.records.store import Candidate
from reward_agent.types import FINISHED, Evaluation, TermCurve, TermPoint, TrainingResult


def make_brief(env: str, task: str, idea: str = "weighted-sum", **changes) -> DesignBrief:
    spec: TaskSpec = load_task(env, task) if " " not in task else make_task(env, task)
    card: EnvCard = apply_task(load_env(env), spec)
    parent = changes.pop("parent", None)
    return DesignBrief(card, spec, DesignIdea(idea, "…", parent), **changes)


def make_entry(
    proposal: Proposal, shares: dict[str, tuple[float, float, float, float]], **changes
) -> HistoryEntry:
    """Return a trained candidate.

    Args:
        proposal: its program, with the plan.
        shares: of each term: minimum, mean, maximum, share of the return.
    """
    program = proposal.program
    assert program is not None
    curves = tuple(
        TermCurve(
            name=name,
            points=(
                TermPoint(
                    total_timesteps=1000, minimum=low, mean=mean, maximum=high,
                    pay_per_episode=100 * mean, share_of_return=share,
                ),
            ),
        )
        for name, (low, mean, high, share) in shares.items()
    )  # fmt: skip
    evaluation = Evaluation(
        total_timesteps=1000,
        seed=1,
        n_episodes=8,
        task_score=2.0,
        episode_length=changes.get("length", 1000.0),
    )
    candidate = Candidate(
        id=program.id, iteration=0, index=0, idea="weighted-sum", outcome=TRAINED,
        total_timesteps=1000, task_score=2.0, evaluation=evaluation,
    )  # fmt: skip
    training = TrainingResult(
        outcome=FINISHED, seed=0, total_timesteps=1000, wall_s=1, steps_per_s=1000, terms=curves
    )
    return HistoryEntry(candidate, program=program, plan=proposal.plan, training=training)


@pytest.fixture
def brief() -> Callable[..., DesignBrief]:
    return make_brief


@pytest.fixture
def propose() -> Callable[[DesignBrief], Proposal]:
    return OfflineDesigner().propose


@pytest.fixture
def entry() -> Callable[..., HistoryEntry]:
    return make_entry
