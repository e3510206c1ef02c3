"""A realistic run directory, made of the records that a run writes."""

from __future__ import annotations

import io
import math
from pathlib import Path

from PIL import Image

from reward_agent.definitions.card import load_env
from reward_agent.definitions.task import apply_task, load_task
from reward_agent.records.disk import write_record, write_text
from reward_agent.records.outcomes import TRAINED, Outcome
from reward_agent.records.scoring_jobs import EvaluateResult
from reward_agent.records.store import (
    Attempt,
    Candidate,
    Confirmation,
    Iteration,
    RunRecord,
    RunStore,
    Winner,
)
from reward_agent.types import (
    FINISHED,
    Analysis,
    CheckReport,
    Critique,
    Evaluation,
    Finding,
    RewardProgram,
    Risk,
    Snapshot,
    TermCurve,
    TermPoint,
    TimeUse,
    TrainingPoint,
    TrainingResult,
    Usage,
)

STEPS = [20_000 * (k + 1) for k in range(10)]
SOURCE = '''\
def compute_reward(state, action, next_state):
    """Hop <fast> & upright,
    without falling."""
    speed = np.clip(next_state.forward_velocity / {top}, -1.0, 1.0)  # (N,)
    upright = tolerance(next_state.torso_up, bounds=(0.95, 1.0), margin=0.5)
    terms = {{"speed": {weight} * speed * upright, "upright": 0.2 * upright}}
    return sum(terms.values()), terms
'''


def make_evaluation(steps: int, score: float) -> Evaluation:
    return Evaluation(
        total_timesteps=steps,
        seed=1_000_000,
        n_episodes=16,
        task_score=score,
        task_score_interval=(score - 0.3, score + 0.4),
        success_rate=min(1.0, max(0.0, score / 6)),
        success_interval=(0.1, 0.9),
        parts={"distance": score, "hops": 7.0, "fell": 0.25},
        episode_length=620.0,
    )


def make_training(level: float) -> TrainingResult:
    def term(name: str, size: float) -> TermCurve:
        points = [
            TermPoint(
                total_timesteps=steps,
                minimum=0,
                mean=size * k / 100,
                maximum=size,
                pay_per_episode=size * (k + 1) * 20 * (-1 if name == "effort" else 1),
                share_of_return=share,
            )
            for k, (steps, share) in enumerate(zip(STEPS, SHARES[name], strict=True))
        ]
        return TermCurve(name=name, points=tuple(points))

    return TrainingResult(
        outcome=FINISHED,
        seed=0,
        total_timesteps=STEPS[-1],
        wall_s=41.2,
        steps_per_s=4854,
        snapshots=tuple(Snapshot(total_timesteps=s, file=f"policy_{s}.safetensors") for s in STEPS),
        points=tuple(
            TrainingPoint(
                total_timesteps=s,
                generated_return=90 * level * math.sqrt(k + 1),
                episode_length=500,
            )
            for k, s in enumerate(STEPS)
        ),
        terms=(term("speed", level), term("upright", 0.8), term("effort", 0.1)),
        timing=TimeUse(physics_s=15.5, reward_s=2.1, policy_s=8.0, update_s=14.4),
    )


SHARES = {
    "speed": [0.3 + 0.04 * k for k in range(10)],
    "upright": [0.65 - 0.04 * k for k in range(10)],
    "effort": [0.05] * 10,
}


def write_trained(store: RunStore, candidate: Candidate, source: str, level: float) -> None:
    folder = store.candidate_dir(candidate.iteration, candidate.id)
    curve = tuple(make_evaluation(s, level * math.sqrt((k + 1) / 10)) for k, s in enumerate(STEPS))
    assert candidate.evaluation is not None
    judged = EvaluateResult(
        curve=curve, best=candidate.evaluation, best_file="policy_best.safetensors"
    )
    write_text(folder / "reward.py", source)
    write_record(folder / "training.json", make_training(level))
    write_record(folder / "evaluation.json", judged)
    write_record(
        folder / "check.json",
        CheckReport(
            program_sha256=RewardProgram(source).sha256,
            findings=(
                Finding(
                    rule="quality/magic",
                    severity="hint",
                    message="5.0 has no name",
                    line=4,
                    remedy="name it",
                ),
            ),
        ),
    )
    write_text(folder / "summary.md", "distance 5.9 m, falls in 1 of 16 episodes\n")


def make_candidate(index: int, iteration: int, level: float, source: str, **changes) -> Candidate:
    program = RewardProgram(source)
    return Candidate(
        id=program.id,
        iteration=iteration,
        index=index,
        idea="weighted-sum",
        outcome=changes.pop("outcome", TRAINED),
        program_sha256=program.sha256,
        total_timesteps=200_000,
        task_score=level,
        evaluation=make_evaluation(180_000, level),
        usage=Usage(n_calls=2, input_tokens=5200, output_tokens=1800, usd=0.031),
        **changes,
    )


def make_webp() -> bytes:
    frames = [Image.new("RGB", (96, 96), (30 + 6 * k, 90, 140)) for k in range(6)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "WEBP", save_all=True, append_images=frames[1:], duration=60)
    return buffer.getvalue()


def write_run(path: Path, designer: str = "anthropic: claude-opus-5") -> Path:
    task = load_task("hopper", "hop_forward")
    card = apply_task(load_env("hopper"), task)
    store = RunStore(path)
    sources = [
        SOURCE.format(top=top, weight=weight)
        for top, weight in ((5.0, 1.0), (3.0, 1.0), (3.0, 2.5))
    ]
    first = make_candidate(
        0,
        0,
        2.1,
        sources[0],
        outcome=Outcome(
            kind="stopped", detail="at 100,000 steps: worse than half", at_steps=100_000
        ),
    )
    second = make_candidate(1, 0, 4.4, sources[1])
    bad = RewardProgram("def compute_reward(state):\n    return state.speeed\n")
    rejected = Candidate(
        id=bad.id, iteration=0, index=2, idea="minimal", program_sha256=bad.sha256,
        outcome=Outcome(kind="rejected", stage="check", detail="line 2: state.speeed is not a field; did you mean forward_velocity?"),
        attempts=(Attempt(outcome=Outcome(kind="no_program", detail="the reply holds no code")),
                  Attempt(outcome=Outcome(kind="rejected", stage="check", detail="line 1"), findings=(
                      Finding(rule="entry/signature", severity="error", line=1, message="<b>takes</b> (state)", remedy="write (state, action, next_state)"),))),
    )  # fmt: skip
    third = make_candidate(0, 1, 6.2, sources[2], parent=second.id)
    for candidate, source in zip((first, second, third), sources, strict=True):
        write_trained(store, candidate, source, candidate.task_score or 0)
    write_text(store.candidate_dir(0, bad.id) / "reward.py", bad.source)
    folder = store.candidate_dir(1, third.id)
    write_record(
        folder / "critique.json",
        Critique(
            verdict="accept",
            summary="Sound.",
            risks=(
                Risk(
                    kind="survival", line=5, evidence="upright pays when standing", remedy="gate it"
                ),
            ),
        ),
    )
    write_record(
        folder / "analysis.json",
        Analysis(
            failure_mode="falls late",
            evidence=("12 of 16 episodes end by torso_pitch",),
            next_change="pay more for being upright",
            keep=True,
        ),
    )
    video = store.evaluation_dir(1, third.id, 100) / "video.webp"
    video.parent.mkdir(parents=True)
    video.write_bytes(make_webp())
    usage = Usage(n_calls=6, input_tokens=15600, output_tokens=5400, usd=0.093)
    store.write_iteration(
        Iteration(
            index=0,
            candidates=(first, second, rejected),
            best=second.id,
            best_task_score=4.4,
            wall_s=95,
            usage=usage,
        )
    )
    store.write_iteration(
        Iteration(
            index=1, candidates=(third,), best=third.id, best_task_score=6.2, wall_s=60, usage=usage
        )
    )
    winner = Winner(candidate=third.id, iteration=1, seed=100, task_score=5.9, task_scores=(5.7, 6.1), success_rate=0.97,
                    is_confirmed=True, policy_file="p.safetensors", video_file=video.relative_to(path).as_posix())  # fmt: skip
    confirmations = tuple(
        Confirmation(
            candidate=third.id,
            seed=seed,
            evaluation=make_evaluation(200_000, score),
            outcome=TRAINED,
        )
        for seed, score in ((100, 5.7), (101, 6.1))
    )
    write_text(path / "metric.py", "def score(episode):\n    return Score(1.0, True, {})\n")
    store.write_run(
        RunRecord(
            id=path.name, created="2026-11-23T04:00:00Z", status="finished", card=card, task=task, metric_origin="task",
            config={"preset": "quick", "candidates": 3, "steps": 200_000, "seed": 0, "provider": "anthropic", "critic": True},
            config_sources={"preset": "command line", "candidates": "preset quick", "steps": "card hopper", "provider": "command line", "seed": "default", "critic": "default"},
            designer=designer, sandbox_level="landlock + seccomp + rlimits", versions={"reward-agent": "0.1.0", "mujoco": "4.0.0"},
            usage=usage + usage, total_timesteps=1_000_000, wall_s=240,
            slot_seconds={"physics": 120.0, "update": 90.0, "llm": 20.0, "child start": 10.0},
            confirmations=confirmations, winner=winner,
        )
    )  # fmt: skip
    return path
