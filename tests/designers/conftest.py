from __future__ import annotations

from collections.abc import Callable

import pytest

from reward_agent.definitions.card import EnvCard
from reward_agent.definitions.task import TaskSpec
from reward_agent.designers.brief import DesignBrief, DesignIdea, HistoryEntry
from reward_agent.designers.roles import Examination, Proposal
from reward_agent.llm.chat import ALL_AGENTS, ChatRequest, Completion
from reward_agent.llm.scripted import ScriptedChatModel, ScriptedReply
from reward_agent.records.outcomes import ACCEPTED, TRAINED, Outcome
from reward_agent.records.store import Attempt, Candidate
from reward_agent.types import (
    FINISHED,
    Analysis,
    CheckReport,
    Evaluation,
    Finding,
    RewardProgram,
    TermCurve,
    TermPoint,
    TrainingResult,
)

SOURCE = '''\
def compute_reward(state, action, next_state):
    """Move the cart forward."""
    speed = np.clip(next_state.cart_velocity, 0.0, 2.0)  # (N,) m/s
    terms = {"speed": speed}
    return speed, terms
'''


@pytest.fixture
def card() -> EnvCard:
    return EnvCard.model_validate(
        {
            "name": "cart",
            "title": "Cart: a box on a rail",
            "description": "A box that slides along x.",
            "model": {"file": "cart.xml", "frame_skip": 1},
            "control_dt": 0.02,
            "max_episode_steps": 500,
            "actions": ["force"],
            "state": [
                {
                    "name": "cart_position",
                    "source": "joint:slide.qpos",
                    "unit": "m",
                    "range": [-5, 5],
                    "doc": "along x, forward is positive",
                },
                {
                    "name": "cart_velocity",
                    "source": "joint:slide.qvel",
                    "unit": "m/s",
                    "range": [-3, 3],
                    "doc": "rate of cart_position",
                },
            ],
            "observation": ["qpos", "qvel"],
            "observation_size": 2,
            "termination": [{"field": "cart_position", "min": -5, "max": 5}],
        }
    )


@pytest.fixture
def task() -> TaskSpec:
    return TaskSpec(
        name="slide",
        env="cart",
        description="Slide forward.",
        criterion="Mean velocity along x over the episode.\nSuccess: at least 1 m/s.",
        unit="m/s",
        target_score=1.5,
    )


@pytest.fixture
def idea() -> DesignIdea:
    return DesignIdea("minimal", "Write the smallest program\nthat could work.")


@pytest.fixture
def brief(card, task, idea) -> DesignBrief:
    return DesignBrief(card, task, idea)


def _make_entry(identity: str, iteration: int, score: float | None, **changes) -> HistoryEntry:
    evaluation = None
    training = None
    if score is not None:
        evaluation = Evaluation(
            total_timesteps=1000,
            seed=1,
            n_episodes=16,
            task_score=score,
            task_score_interval=(score - 0.1, score + 0.1),
            success_rate=0.25,
            parts={"speed": score, "falls": 0.0},
            episode_length=480.0,
        )
        point = TermPoint(
            total_timesteps=1000,
            minimum=0,
            mean=0.5,
            maximum=2,
            pay_per_episode=240,
            share_of_return=1.0,
        )
        training = TrainingResult(
            outcome=FINISHED,
            seed=0,
            total_timesteps=1000,
            wall_s=1,
            steps_per_s=1000,
            terms=(TermCurve(name="speed", points=(point,)),),
        )
    candidate = Candidate(
        id=identity,
        iteration=iteration,
        index=0,
        idea="weighted-sum",
        outcome=changes.pop("outcome", TRAINED),
        attempts=changes.pop("attempts", ()),
        task_score=score,
        evaluation=evaluation,
        total_timesteps=1000 if score is not None else 0,
    )
    return HistoryEntry(candidate, training=training, **changes)


@pytest.fixture
def make_entry() -> Callable[..., HistoryEntry]:
    return _make_entry


@pytest.fixture
def best() -> HistoryEntry:
    return _make_entry(
        "aaaa1111",
        1,
        0.812345,
        program=RewardProgram(SOURCE),
        summary_text="The cart moves forward at 0.81 m/s in every episode.\n",
        analysis=Analysis(
            failure_mode="none: still rising",
            evidence=("task score 0.3 at 500 steps, 0.81 at 1000",),
            next_change="raise the bound of speed from 2 to 4 m/s",
            keep=True,
        ),
    )


@pytest.fixture
def history(best) -> tuple[HistoryEntry, ...]:
    attempt = Attempt(
        outcome=Outcome(
            kind="no_program",
            detail="the reply holds no code (expected a function compute_reward)",
        )
    )
    return (
        _make_entry(
            "bbbb2222",
            0,
            None,
            outcome=Outcome(
                kind="rejected", stage="check", detail="line 3: unknown field cart_speed"
            ),
        ),
        _make_entry(
            "cccc3333",
            0,
            0.1,
            program=RewardProgram(SOURCE.replace("2.0", "1.0")),
            summary_text="It hardly moves.",
        ),
        best,
        _make_entry(
            "dddd4444",
            1,
            None,
            outcome=Outcome(kind="failed", detail="NaN in term 'speed'"),
            attempts=(attempt,),
        ),
    )


class RecordingModel:
    """Plays replies in order, for any agent, and keeps the requests."""

    provider = "fake"
    name = "fake-1"
    agents = ALL_AGENTS
    max_concurrency = 1

    def __init__(self, *steps: str | Completion | Exception) -> None:
        self._steps = list(steps)
        self.requests: list[ChatRequest] = []

    def complete(self, request: ChatRequest) -> Completion:
        self.requests.append(request)
        step = self._steps.pop(0)
        if isinstance(step, Exception):
            raise step
        if isinstance(step, Completion):
            return step
        return Completion(reply=step, stop_reason="stop", model=self.name, provider=self.provider)


@pytest.fixture
def play() -> type[RecordingModel]:
    return RecordingModel


@pytest.fixture
def script() -> Callable[..., ScriptedChatModel]:
    return lambda *replies: ScriptedChatModel(
        tuple(ScriptedReply(reply=reply) for reply in replies)
    )


@pytest.fixture
def source() -> str:
    return SOURCE


def _examine(
    proposal: Proposal | RewardProgram, *findings: Finding, outcome: Outcome = ACCEPTED
) -> Examination:
    if isinstance(proposal, RewardProgram):
        proposal = Proposal(proposal)
    check = CheckReport(program_sha256="0" * 64, findings=findings)
    return Examination(proposal, proposal.outcome or outcome, check)


@pytest.fixture
def examine() -> Callable[..., Examination]:
    return _examine
