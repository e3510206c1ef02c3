"""One training: steps, snapshots, its course, and the checkpoint from which it goes on."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from reward_agent.definitions.learner import LEARNERS
from reward_agent.learning.learner import Arrays, Learner
from reward_agent.learning.policy import load_policy, save_policy
from reward_agent.learning.stages import count_stages
from reward_agent.learning.term_log import Stretch
from reward_agent.learning.vec_env import RewardVecEnv
from reward_agent.records.jobs import CHECKPOINT_FILE, INITIAL_POLICY_FILE, PROGRESS_FILE, TrainJob
from reward_agent.types import Snapshot, TermCurve, TermPoint, TimeUse, TrainingPoint

# Rows of progress.csv over a whole training.
_N_ROWS = 100


class Trainer:
    """Trains the policy of one job and keeps the record of it in ``job_dir``.

    ``make_env`` makes the environments from the seed of their first simulation.

    Attributes:
        snapshots: the policies saved so far.
        job_dir: where all of it is kept.
        course: what the training paid in each tenth of it, by the env steps at its end.
    """

    def __init__(
        self, job: TrainJob, job_dir: Path, make_env: Callable[[int], RewardVecEnv]
    ) -> None:
        self.snapshots: list[Snapshot] = []
        self.course: dict[int, Stretch] = {}
        self._job, self.job_dir = job, job_dir
        self._open: Stretch | None = None
        self._row: Stretch | None = None
        self._earlier = TimeUse()
        self._started = time.perf_counter()
        checkpoint = _load_checkpoint(job_dir / CHECKPOINT_FILE, job)
        steps = int(checkpoint["num_timesteps"]) if checkpoint else 0
        # A continued training begins new episodes: others than those that it began with.
        self.env = make_env(job.seed * 1_000_003 + steps)
        self.env.tell_progress(steps / job.total_timesteps)
        if checkpoint and self.env.starts is not None:
            self.env.starts.restore(json.loads(str(checkpoint["record"]))["starts"])
        make = LEARNERS.load(job.learner.algo)
        self.learner: Learner = make(self.env, job.learner, job.total_timesteps, job.seed)
        if checkpoint:
            self._restore(checkpoint)
        elif job.initial_policy_sha256 is not None:
            self.learner.adopt(load_policy(job_dir / INITIAL_POLICY_FILE))
        _drop_rows_after(job_dir / PROGRESS_FILE, steps)

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
        return self._earlier.total_s + time.perf_counter() - self._started

    @property
    def timing(self) -> TimeUse:
        """Wall time by activity, earlier jobs included."""
        seconds = self.env.seconds | self.learner.seconds
        other_s = max(time.perf_counter() - self._started - sum(seconds.values()), 0.0)
        named = {f"{name}_s": value for name, value in seconds.items()}
        return self._earlier + TimeUse(**named, other_s=other_s)

    def train(self) -> None:
        """Train until the job's ``until_timesteps``, then leave a snapshot and a checkpoint.

        It raises what ``Learner.learn`` does.
        """
        if self.learner.num_timesteps >= self._job.until_timesteps:
            return
        while self.learner.num_timesteps < self._job.until_timesteps and not self.is_late:
            self.env.tell_progress(self.learner.num_timesteps / self._job.total_timesteps)
            self.learner.learn()
            self._record()
        if self._row:
            self._append_progress(self._row)
        self._save_snapshot()
        self._save_checkpoint()

    def _record(self) -> None:
        """Note the rollout that was just learned from."""
        stretch = self.env.pop_stretch()
        steps = self.learner.num_timesteps
        self._row = stretch if self._row is None else self._row + stretch
        self._open = stretch if self._open is None else self._open + stretch
        if self._has_passed_point(stretch.n_steps, _N_ROWS):
            self._append_progress(self._row)
            self._row = None
        if self._has_passed_point(stretch.n_steps, self._job.n_points):
            self.course[steps] = self._open
            self._open = None
            self._save_snapshot()

    def _has_passed_point(self, n_steps: int, n_points: int) -> bool:
        """Return whether one of evenly spaced points of the training lies in its last steps."""
        now, total = self.learner.num_timesteps, self._job.total_timesteps
        return bool(now * n_points // total > (now - n_steps) * n_points // total)

    def _save_snapshot(self) -> None:
        """Write the policy as it is now, unless it was written at this step."""
        steps = self.learner.num_timesteps
        if self.snapshots and self.snapshots[-1].total_timesteps == steps:
            return
        name, job, policy = f"policy_{steps}.safetensors", self._job, self.learner.make_policy()
        origin = {
            "algo": job.learner.algo,
            "program_sha256": job.program_sha256,
            "seed": job.seed,
        }
        header = policy.header.model_copy(update=origin)
        save_policy(self.job_dir / name, replace(policy, header=header))
        self.snapshots.append(Snapshot(total_timesteps=steps, file=name))

    def _append_progress(self, stretch: Stretch) -> None:
        path = self.job_dir / PROGRESS_FILE
        n = stretch.n_episodes
        paid = zip(stretch.names, stretch.episode_pay, strict=True)
        row = {
            "total_timesteps": self.learner.num_timesteps,
            "wall_s": round(self.wall_s, 3),
            "steps_per_s": round(self.learner.num_timesteps / self.wall_s, 1),
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

    def _save_checkpoint(self) -> None:
        record = {
            "job_sha256": self._job.digest(),
            "course": {steps: stretch.to_plain() for steps, stretch in self.course.items()},
            "open": self._open.to_plain() if self._open else None,
            "snapshots": [snapshot.model_dump() for snapshot in self.snapshots],
            "timing": self.timing.model_dump(),
            "practised": self.env.practice.current if self.env.practice else 0,
            "starts": self.env.starts.to_plain() if self.env.starts else [],
        }
        arrays: dict[str, Any] = {**self.learner.read_state(), "record": json.dumps(record)}
        path = self.job_dir / CHECKPOINT_FILE
        partial = path.with_suffix(".partial")
        with partial.open("wb") as file:
            np.savez(file, **arrays)
        partial.replace(path)

    def _restore(self, checkpoint: Arrays) -> None:
        self.learner.restore(checkpoint)
        record = json.loads(str(checkpoint["record"]))
        self.course = {
            int(steps): Stretch.from_plain(plain) for steps, plain in record["course"].items()
        }
        self._open = Stretch.from_plain(record["open"]) if record["open"] else None
        self.snapshots = [Snapshot.model_validate(item) for item in record["snapshots"]]
        self._earlier = TimeUse.model_validate(record["timing"])
        if self.env.practice:
            self.env.practice.current = record["practised"]


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
