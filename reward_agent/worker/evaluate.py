"""Fresh episodes of trained policies under the trusted metric: ``EvaluateJob`` → its result.

No generated code is loaded here: a policy is weights, and ``metric.py`` is a person's.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reward_agent.errors import DataError
from reward_agent.evaluation.graphics import find_envpool_graphics, find_graphics
from reward_agent.evaluation.metrics import Decision, Metric, compile_metric, load_decision
from reward_agent.evaluation.movie import has_mp4, load_mp4, write_mp4, write_webp
from reward_agent.evaluation.scoring import (
    drop_parts,
    pool_evaluations,
    rank_policies,
    score_trajectories,
)
from reward_agent.jobs import (
    METRIC_FILE,
    MP4_FILE,
    RESULT_FILE,
    STRIP_FILE,
    TRAJECTORIES_FILE,
    VIDEO_FILE,
    EvaluateJob,
    EvaluateResult,
)
from reward_agent.sandbox.files import write_atomic
from reward_agent.types import Evaluation

if TYPE_CHECKING:
    from reward_agent.evaluation.rollout import Policy, Rollout
    from reward_agent.evaluation.video import Studio

# The policy is chosen on some seeds and reported on others, this far away.
_FINALISTS_SEED_OFFSET = 250_000
_REPORT_SEED_OFFSET = 500_000
# A few episodes of each of ten policies often rank the luckiest first. So the first few are tried
# again, with twice as many episodes.
_N_FINALISTS = 3


@dataclass
class _Rendering:
    """What ``prepare`` leaves for ``run``: a renderer, or the reason why there is none."""

    studio: Studio | None = None
    renderer: str = ""
    note: str = ""
    seconds: float = 0.0


_rendering = _Rendering()
# A film takes seconds; a driver that hangs must not cost the scores.
_RENDER_S = 180.0


def prepare(job: EvaluateJob) -> None:
    """Before the seal: find a renderer, which takes a process, and import MuJoCo with it."""
    started = time.perf_counter()
    _rendering.studio, _rendering.note, _rendering.renderer = None, "", ""
    # Unless told otherwise MuJoCo imports a window system, which starts a process of its own.
    backend = "disable"
    if job.render:
        draws_itself = bool(job.card.model.envpool)
        graphics = find_envpool_graphics() if draws_itself else find_graphics()
        _rendering.renderer, _rendering.note = graphics.backend or "", graphics.note
        backend = graphics.backend if graphics.backend and not draws_itself else backend
    os.environ["MUJOCO_GL"] = backend
    import reward_agent.evaluation.rollout
    import reward_agent.training.policy  # noqa: F401

    if job.render and not _rendering.note:
        _open_studio(job)
        if has_mp4():
            load_mp4()
    _rendering.seconds = time.perf_counter() - started if job.render else 0.0


def run(job: EvaluateJob, job_dir: Path) -> EvaluateResult:
    """Score every snapshot, then the best of them again on fresh seeds; film that one.

    Raises:
        DataError: a policy or the metric cannot be used.
    """
    from reward_agent.evaluation.rollout import roll_out
    from reward_agent.training.policy import load_policy

    if not job.snapshots:
        raise DataError("the job has no snapshot to evaluate", "train the policy first")
    metric = compile_metric(job_dir / METRIC_FILE) if job.has_metric else None
    is_decided = load_decision(job_dir / METRIC_FILE) if job.has_metric else None
    policies = [load_policy(job_dir / snapshot.file) for snapshot in job.snapshots]
    curve: tuple[Evaluation, ...] = ()
    chosen = 0
    if len(policies) > 1:
        jury = _Jury(job, policies, metric, is_decided)
        curve = jury.score(range(len(policies)), job.n_curve_episodes, job.seed)
        chosen = jury.choose(curve)
    seed = job.seed + _REPORT_SEED_OFFSET
    [rollout] = roll_out(job.card, [policies[chosen]], job.n_episodes, seed)
    timesteps = job.snapshots[chosen].total_timesteps
    best = score_trajectories(rollout.trajectories, metric, timesteps, seed)
    rollout.trajectories.save(job_dir / TRAJECTORIES_FILE)
    result = EvaluateResult(curve=curve or (best,), best=best, best_file=job.snapshots[chosen].file)
    return _film(job, job_dir, rollout, result) if job.render else result


class _Jury:
    """Scores snapshots to choose one of them: of an episode it wants the score, not the rest."""

    def __init__(
        self,
        job: EvaluateJob,
        policies: Sequence[Policy],
        metric: Metric | None,
        is_decided: Decision | None,
    ) -> None:
        from reward_agent.evaluation.rollout import KeptSimulations

        self._job, self._policies, self._metric = job, policies, metric
        self._is_decided = is_decided
        self._kept = KeptSimulations(job.card)

    def score(self, indices: Sequence[int], n_episodes: int, seed: int) -> tuple[Evaluation, ...]:
        """Return fresh episodes of some of the policies, side by side."""
        from reward_agent.evaluation.rollout import roll_out

        policies = [self._policies[i] for i in indices]
        rollouts = roll_out(
            self._job.card, policies, n_episodes, seed, self._kept, self._is_decided
        )
        return tuple(
            self._score_one(rollout, index, seed + position * n_episodes)
            for position, (index, rollout) in enumerate(zip(indices, rollouts, strict=True))
        )

    def choose(self, curve: Sequence[Evaluation]) -> int:
        """Return the index of the best policy; without a metric, of the last."""
        if self._metric is None:
            return len(self._policies) - 1
        finalists = rank_policies(curve)[:_N_FINALISTS]
        n_episodes, seed = 2 * self._job.n_curve_episodes, self._job.seed + _FINALISTS_SEED_OFFSET
        pooled = [
            pool_evaluations(curve[index], second)
            for index, second in zip(
                finalists, self.score(finalists, n_episodes, seed), strict=True
            )
        ]
        return finalists[rank_policies(pooled)[0]]

    def _score_one(self, rollout: Rollout, index: int, seed: int) -> Evaluation:
        timesteps = self._job.snapshots[index].total_timesteps
        evaluation = score_trajectories(rollout.trajectories, self._metric, timesteps, seed)
        # What else the metric says is of the whole episode, which was not run.
        return drop_parts(evaluation) if self._is_decided else evaluation


def _open_studio(job: EvaluateJob) -> None:
    from reward_agent.evaluation.video import QUALITIES, Studio

    try:
        _rendering.studio = Studio(job.card, QUALITIES[job.video_quality])
    except Exception as error:  # a driver's failure costs the video, not the scores
        _rendering.note = f"no video: {type(error).__name__}: {error}"


def _film(
    job: EvaluateJob, job_dir: Path, rollout: Rollout, result: EvaluateResult
) -> EvaluateResult:
    """Write the video and the strip; return the result with their names, or why there are none.

    Drawing is in a library that cannot be interrupted. If it does not end in time, the scores are
    written from beside it, and the process ends.
    """
    late = {"video_note": f"no video: {_rendering.renderer} drew none within {_RENDER_S:g} s"}
    watchdog = threading.Timer(_RENDER_S, _end, [job_dir, result.model_copy(update=late)])
    watchdog.daemon = True
    watchdog.start()
    started = time.perf_counter()
    changes: dict[str, object] = {"video_note": _rendering.note}
    if _rendering.studio is not None:
        try:
            changes = _write_film(_rendering.studio, job, job_dir, rollout, result.best)
        except Exception as error:  # a driver's failure costs the video, not the scores
            changes = {"video_note": f"no video: {type(error).__name__}: {error}"}
    watchdog.cancel()
    seconds = _rendering.seconds + time.perf_counter() - started
    return result.model_copy(update=changes | {"rendering_s": seconds})


def _end(job_dir: Path, result: EvaluateResult) -> None:
    """Write the result and leave, whatever the main thread is doing."""
    write_atomic(job_dir / RESULT_FILE, result.model_dump_json(indent=1).encode())
    os._exit(0)


def _write_film(
    studio: Studio, job: EvaluateJob, job_dir: Path, rollout: Rollout, best: Evaluation
) -> dict[str, object]:
    """Draw the chosen episodes and write the files; return what the result says of them."""
    from reward_agent.evaluation.footage import make_footages

    footages = make_footages(job.card, rollout, best, job.caption, studio.quality.n_episodes)
    studio.draw_strip(footages[0], job_dir / STRIP_FILE)
    pictures, frame_ms = studio.film(footages)
    write_webp(pictures, job_dir / VIDEO_FILE, frame_ms)
    if has_mp4():
        write_mp4(pictures, job_dir / MP4_FILE, frame_ms)
    return {
        "video_file": VIDEO_FILE,
        "mp4_file": MP4_FILE if has_mp4() else None,
        "strip_file": STRIP_FILE,
        "renderer": _rendering.renderer,
    }
