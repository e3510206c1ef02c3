"""The probe of a program: what it is tried on, and its job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reward_agent.evaluation.trajectories import Trajectories, join_trajectories
from reward_agent.files import remove
from reward_agent.records.job import (
    BEHAVIOURS_DIR,
    BEHAVIOURS_FILE,
    PROGRAM_FILE,
    STARTS_FILE,
    STATES_FILE,
    TRAJECTORIES_FILE,
)
from reward_agent.records.store import Candidate, rank_candidates
from reward_agent.records.training_jobs import KnownEpisode, ProbeJob
from reward_agent.run.active import ActiveRun, Lab, copy_into
from reward_agent.run.behaviours import RecordedBehaviours, record_behaviours, score_behaviours
from reward_agent.run.starts import count_states, read_states, try_unaided
from reward_agent.sandbox.runner import JobExit
from reward_agent.text import name_round
from reward_agent.types import Finding, ProbeReport, RewardProgram

# Stored episodes that a new program is tried on; more would only repeat what they show.
MAX_STORED_EPISODES = 32
_LEAST_STORED = 4


@dataclass(frozen=True)
class StoredEpisodes:
    """Recorded episodes of earlier candidates with their trusted scores."""

    trajectories: Trajectories
    known: tuple[KnownEpisode, ...]


@dataclass(frozen=True)
class Recordings:
    """Episodes that a program is tried on, beside random steps.

    Args:
        stored: of earlier candidates, if there are any.
        behaviours: of the robot without a policy; None leaves them out.
        known: what is known of each of these.
        target_score: of the task.
        states: file of states recorded at events of earlier episodes.
    """

    stored: StoredEpisodes | None = None
    behaviours: RecordedBehaviours | None = None
    known: tuple[KnownEpisode, ...] = ()
    target_score: float | None = None
    states: bytes | None = None


def gather_recordings(run: ActiveRun, index: int, candidates: Sequence[Candidate]) -> Recordings:
    """Return what programs of a round are tried on.

    Args:
        run: the run in progress.
        index: the round.
        candidates: earlier ones whose policies are among it.
    """
    recorded = record_behaviours(run, run.store.dir / BEHAVIOURS_DIR)
    return Recordings(
        collect_episodes(run, candidates),
        recorded,
        score_behaviours(run, recorded),
        run.task.target_score,
        read_states(run.store.iteration_dir(index)),
    )


def run_probe(
    lab: Lab, program: RewardProgram, job_dir: Path, recordings: Recordings
) -> ProbeReport:
    """Run the probe job; a child that dies of the program is a finding."""
    files = {PROGRAM_FILE: program.source.encode()}
    if recordings.behaviours is not None:
        files[BEHAVIOURS_FILE] = recordings.behaviours.read()
    choices = lab.read_choices(program.source)
    if recordings.states is not None and choices.starts:
        files[STATES_FILE] = recordings.states
    copy_into(job_dir, files)
    if recordings.stored is not None:
        recordings.stored.trajectories.save(job_dir / TRAJECTORIES_FILE)
    job = ProbeJob(
        card=lab.card,
        program_sha256=program.sha256,
        seed=lab.settings.seed,
        starts=choices.starts,
        n_kept=count_states(lab, len(choices.starts)) if choices.starts else 0,
        gamma=lab.choose_card(choices).learner.gamma,
        behaviours=recordings.known,
        stored=recordings.stored.known if recordings.stored else (),
        left_out=recordings.behaviours.result.left_out if recordings.behaviours else (),
        target_score=recordings.target_score,
    )
    job_exit = lab.run_job(job, job_dir)
    report = try_unaided(lab, read_probe(program, job_exit), job_dir)
    for name in (TRAJECTORIES_FILE, BEHAVIOURS_FILE, STATES_FILE, STARTS_FILE):
        remove(job_dir / name)  # they lie where they were recorded
    return report


def read_probe(program: RewardProgram, job_exit: JobExit) -> ProbeReport:
    """Return the report of a probe; that a child died of the program is a finding."""
    if isinstance(job_exit.result, ProbeReport):
        return job_exit.result
    finding = Finding(
        rule="probe/child-ended",
        severity="error",
        message=f"the dry run ended without a result: {job_exit.outcome}",
        remedy="use less time and memory; do nothing but arithmetic on the arguments",
    )
    return ProbeReport(program_sha256=program.sha256, findings=(finding,))


def collect_episodes(run: ActiveRun, candidates: Sequence[Candidate]) -> StoredEpisodes | None:
    """Gather recorded episodes and their scores, as many of each candidate; None where none is.

    The best known policy, and the best and the worst of the last round, are told by name.
    """
    scored = [c for c in candidates if _is_scored(c) and _find_recording(run, c).is_file()]
    if not scored:
        return None
    n_each = max(_LEAST_STORED, MAX_STORED_EPISODES // len(scored))
    kept = scored[-(MAX_STORED_EPISODES // n_each) :]
    best = rank_candidates(scored)[0]
    scored = kept if best in kept else [best, *kept[1:]]
    names = _name_policies(scored)
    parts: list[Trajectories] = []
    known: list[KnownEpisode] = []
    for candidate in scored:
        assert candidate.evaluation is not None
        parts.append(Trajectories.load(_find_recording(run, candidate)).keep(n_each))
        known += [
            KnownEpisode(
                name=names.get(candidate.id, ""),
                policy=candidate.id,
                task_score=episode.task_score,
                success=episode.success,
            )
            for episode in candidate.evaluation.episodes[:n_each]
        ]
    return StoredEpisodes(join_trajectories(parts), tuple(known))


def _is_scored(candidate: Candidate) -> bool:
    episodes = candidate.evaluation.episodes if candidate.evaluation else ()
    return bool(episodes) and all(episode.task_score is not None for episode in episodes)


def _find_recording(run: ActiveRun, candidate: Candidate) -> Path:
    folder = run.store.evaluation_dir(candidate.iteration, candidate.id, run.settings.seed)
    return folder / TRAJECTORIES_FILE


def _name_policies(candidates: Sequence[Candidate]) -> dict[str, str]:
    """Return what to call the policies that are shown by themselves, by candidate."""
    ranked = rank_candidates(candidates)
    last = [c for c in ranked if c.iteration == max(item.iteration for item in ranked)]
    names = {last[-1].id: f"worst policy of {name_round(last[-1].iteration)} ({last[-1].id})"}
    names[last[0].id] = f"best policy of {name_round(last[0].iteration)} ({last[0].id})"
    if ranked[0].iteration != last[0].iteration:
        names[ranked[0].id] = f"best policy so far ({ranked[0].id})"
    return names
