"""One training: steps, snapshots, its course, and the checkpoint from which it goes on."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from reward_agent.definitions.learner import LEARNERS
from reward_agent.learning.learner import Arrays, Learner
from reward_agent.learning.policy import NumpyPolicy, load_policy, save_policy
from reward_agent.learning.stages import count_stages
from reward_agent.learning.term_log import Stretch
from reward_agent.learning.vec_env import RewardVecEnv
from reward_agent.records.job import CHECKPOINT_FILE, INITIAL_POLICY_FILE, PROGRESS_FILE
from reward_agent.records.training_jobs import TrainJob
from reward_agent.types import (
    Snapshot,
    TermCurve,
    TermPoint,
    TimeUse,
    TrainingPoint,
    TrainingResult,
    WorkOutcome,
)

# Rows of progress.csv over a whole training.
_N_ROWS = 100


class Recorded(Protocol):
    """What a record is kept of: a learner, as far as it leaves something."""

    @property
    def num_timesteps(self) -> int: ...  # noqa: D102

    def read_state(self) -> Arrays: ...  # noqa: D102

    def make_policy(self) -> NumpyPolicy: ...  # noqa: D102


class TrainingRecord:
    """What one training leaves in its folder: its course, policies, and a checkpoint.

    Attributes:
        snapshots: the policies saved so far.
        course: what the training paid in each tenth of it, by the env steps at its end.
        checkpoint: that of an earlier job, from which this one goes on.
        extras: what else that job left in it, by name.
        earlier: where the time of earlier jobs went.
    """

    def __init__(self, job: TrainJob, job_dir: Path) -> None:
        self.snapshots: list[Snapshot] = []
        self.course: dict[int, Stretch] = {}
        self.extras: dict[str, Any] = {}
        self.earlier = TimeUse()
        self._job, self._folder = job, job_dir
        self._open: Stretch | None = None
        self._row: Stretch | None = None
        self.checkpoint = _load_checkpoint(job_dir / CHECKPOINT_FILE, job)
        self.steps = int(self.checkpoint["num_timesteps"]) if self.checkpoint else 0
        if self.checkpoint:
            self._restore(json.loads(str(self.checkpoint["record"])))
        _drop_rows_after(job_dir / PROGRESS_FILE, self.steps)

    def _restore(self, record: dict[str, Any]) -> None:
        self.course = {
            int(steps): Stretch.from_plain(plain) for steps, plain in record["course"].items()
        }
        self._open = Stretch.from_plain(record["open"]) if record["open"] else None
        self.snapshots = [Snapshot.model_validate(item) for item in record["snapshots"]]
        self.earlier = TimeUse.model_validate(record["timing"])
        self.extras = record

    def add(self, stretch: Stretch, learner: Recorded, wall_s: float) -> None:
        """Note a rollout that was just learned from, ``wall_s`` after the training began."""
        steps = learner.num_timesteps
        self._row = stretch if self._row is None else self._row + stretch
        self._open = stretch if self._open is None else self._open + stretch
        if self._has_passed_point(steps, stretch.n_steps, _N_ROWS):
            self._append_progress(steps, wall_s)
        if self._has_passed_point(steps, stretch.n_steps, self._job.n_points):
            self.course[steps] = self._open
            self._open = None
            self._save_snapshot(learner)

    def close(self, learner: Recorded, timing: TimeUse, **extras: Any) -> None:
        """Leave a snapshot and a checkpoint, with what else a training goes on from."""
        if self._row:
            self._append_progress(learner.num_timesteps, timing.total_s)
        self._save_snapshot(learner)
        self._save_checkpoint(learner, timing, extras)

    def describe(
        self, outcome: WorkOutcome, steps: int, timing: TimeUse, stages: Sequence[str] = ()
    ) -> TrainingResult:
        """Return what the job reports after so many env steps."""
        wall_s = timing.total_s
        return TrainingResult(
            outcome=outcome,
            seed=self._job.seed,
            total_timesteps=steps,
            wall_s=wall_s,
            steps_per_s=steps / wall_s if wall_s else 0.0,
            snapshots=tuple(self.snapshots),
            points=make_training_points(self.course, stages),
            terms=make_term_curves(self.course, self._job.card.max_episode_steps),
            timing=timing,
        )

    def _has_passed_point(self, now: int, n_steps: int, n_points: int) -> bool:
        """Return whether one of evenly spaced points of the training lies in its last steps."""
        total = self._job.total_timesteps
        return now * n_points // total > (now - n_steps) * n_points // total

    def _save_snapshot(self, learner: Recorded) -> None:
        """Write the policy as it is now, unless it was written at this step."""
        steps = learner.num_timesteps
        if self.snapshots and self.snapshots[-1].total_timesteps == steps:
            return
        name, job, policy = f"policy_{steps}.safetensors", self._job, learner.make_policy()
        origin = {
            "algo": job.learner.algo,
            "program_sha256": job.program_sha256,
            "seed": job.seed,
        }
        header = policy.header.model_copy(update=origin)
        save_policy(self._folder / name, replace(policy, header=header))
        self.snapshots.append(Snapshot(total_timesteps=steps, file=name))

    def _append_progress(self, steps: int, wall_s: float) -> None:
        """Write a row of what was noted since the last."""
        path, stretch = self._folder / PROGRESS_FILE, self._row
        assert stretch is not None
        self._row = None
        n = stretch.n_episodes
        paid = zip(stretch.names, stretch.episode_pay, strict=True)
        row = {
            "total_timesteps": steps,
            "wall_s": round(wall_s, 3),
            "steps_per_s": round(steps / wall_s, 1),
            "generated_return": stretch.generated_return,
            "episode_length": stretch.episode_length,
            **{f"reward/{name}": pay / n if n else None for name, pay in paid},
        }
        is_new = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(row))
            if is_new:
                writer.writeheader()
            writer.writerow(row)

    def _save_checkpoint(self, learner: Recorded, timing: TimeUse, extras: dict[str, Any]) -> None:
        record = {
            "job_sha256": self._job.digest(),
            "course": {steps: stretch.to_plain() for steps, stretch in self.course.items()},
            "open": self._open.to_plain() if self._open else None,
            "snapshots": [snapshot.model_dump() for snapshot in self.snapshots],
            "timing": timing.model_dump(),
            **extras,
        }
        arrays: dict[str, Any] = {**learner.read_state(), "record": json.dumps(record)}
        path = self._folder / CHECKPOINT_FILE
        partial = path.with_suffix(".partial")
        with partial.open("wb") as file:
            np.savez(file, **arrays)
        partial.replace(path)


class Trainer:
    """Trains the policy of one job and keeps the record of it in ``job_dir``.

    ``make_env`` makes the environments from the seed of their first simulation.

    Attributes:
        record: what the training leaves.
        job_dir: where all of it is kept.
    """

    def __init__(
        self, job: TrainJob, job_dir: Path, make_env: Callable[[int], RewardVecEnv]
    ) -> None:
        self._job, self.job_dir = job, job_dir
        self._started = time.perf_counter()
        self.record = record = TrainingRecord(job, job_dir)
        # A continued training begins new episodes: others than those that it began with.
        self.env = make_env(job.seed * 1_000_003 + record.steps)
        self.env.tell_progress(record.steps / job.total_timesteps)
        if record.checkpoint and self.env.starts is not None:
            self.env.starts.restore(record.extras["starts"])
        make = LEARNERS.load(job.learner.algo)
        self.learner: Learner = make(self.env, job.learner, job.total_timesteps, job.seed)
        if record.checkpoint:
            self.learner.restore(record.checkpoint)
            if self.env.practice:
                self.env.practice.current = record.extras["practised"]
        elif job.initial_policy_sha256 is not None:
            self.learner.adopt(load_policy(job_dir / INITIAL_POLICY_FILE))

    @property
    def is_finished(self) -> bool:
        """Whether the whole training is done, not only this job's part of it."""
        return bool(self.learner.num_timesteps >= self._job.total_timesteps)

    @property
    def is_late(self) -> bool:
        """Whether it has taken as long as it may."""
        return self._job.most_s is not None and self.wall_s >= self._job.most_s

    @property
    def wall_s(self) -> float:
        """Wall time of this training, earlier jobs included."""
        return self.record.earlier.total_s + time.perf_counter() - self._started

    @property
    def timing(self) -> TimeUse:
        """Wall time by activity, earlier jobs included."""
        seconds = self.env.seconds | self.learner.seconds
        other_s = max(time.perf_counter() - self._started - sum(seconds.values()), 0.0)
        named = {f"{name}_s": value for name, value in seconds.items()}
        return self.record.earlier + TimeUse(**named, other_s=other_s)

    def train(self) -> None:
        """Train until the job's ``until_timesteps``, then leave a snapshot and a checkpoint.

        It raises what ``Learner.learn`` does.
        """
        if self.learner.num_timesteps >= self._job.until_timesteps:
            return
        while self.learner.num_timesteps < self._job.until_timesteps and not self.is_late:
            self.env.tell_progress(self.learner.num_timesteps / self._job.total_timesteps)
            self.learner.learn()
            self.record.add(self.env.pop_stretch(), self.learner, self.wall_s)
        practised = self.env.practice.current if self.env.practice else 0
        starts = self.env.starts.to_plain() if self.env.starts else []
        self.record.close(self.learner, self.timing, practised=practised, starts=starts)


def _drop_rows_after(path: Path, steps: int) -> None:
    """Drop the rows of an earlier job that was killed after its last checkpoint."""
    if not path.exists():
        return
    header, *rows = path.read_text(encoding="utf-8").splitlines(keepends=True) or [""]
    kept = [row for row in rows if row.endswith("\n") and int(row.split(",")[0]) <= steps]
    if kept:
        path.write_text(header + "".join(kept), encoding="utf-8")
    else:
        path.unlink()


def _load_checkpoint(path: Path, job: TrainJob) -> Arrays | None:
    """Open a job's checkpoint if there is one; its arrays are read as they are asked for.

    None is pickled. What another job left in the folder is not gone on with.
    """
    if not path.exists():
        return None
    checkpoint: Arrays = np.load(path, allow_pickle=False)
    is_own = json.loads(str(checkpoint["record"])).get("job_sha256") == job.digest()
    return checkpoint if is_own else None


def make_term_curves(
    stretches: dict[int, Stretch], max_episode_steps: int
) -> tuple[TermCurve, ...]:
    """Return the course of each term, from stretches by the env steps at their end."""
    rows = [_make_points(*item, max_episode_steps) for item in stretches.items()]
    names = next((stretch.names for stretch in stretches.values()), ())
    return tuple(
        TermCurve(name=name, points=points)
        for name, points in zip(names, zip(*rows, strict=True), strict=True)
    )


def make_training_points(
    stretches: dict[int, Stretch], stages: Sequence[str] = ()
) -> tuple[TrainingPoint, ...]:
    """Return mean return, length and stages of the episodes that ended in each stretch."""
    return tuple(
        TrainingPoint(
            total_timesteps=steps,
            generated_return=stretch.generated_return,
            episode_length=stretch.episode_length,
            stages=count_stages(stages, stretch.stages, stretch.n_episodes),
        )
        for steps, stretch in stretches.items()
    )


def _make_points(steps: int, stretch: Stretch, max_episode_steps: int) -> list[TermPoint]:
    pay = stretch.find_pay_per_episode(max_episode_steps)
    weight = float(np.abs(pay).sum()) or 1.0
    return [
        TermPoint(
            total_timesteps=steps,
            minimum=float(stretch.minimum[k]),
            mean=float(stretch.total[k] / stretch.n_steps),
            maximum=float(stretch.maximum[k]),
            pay_per_episode=float(pay[k]),
            share_of_return=float(abs(pay[k]) / weight),
        )
        for k in range(len(stretch.names))
    ]
