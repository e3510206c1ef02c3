"""The probe of a program: what it is tried on, and its job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reward_agent.files import remove
from reward_agent.records.job import (
    BEHAVIOURS_DIR,
    BEHAVIOURS_FILE,
    PROGRAM_FILE,
    STARTS_FILE,
    STATES_FILE,
    TRAJECTORIES_FILE,
)
from reward_agent.records.store import Candidate
from reward_agent.records.training_jobs import KnownEpisode, ProbeJob
from reward_agent.run.active import ActiveRun, Lab, copy_into
from reward_agent.run.behaviours import RecordedBehaviours, record_behaviours, score_behaviours
from reward_agent.run.evaluate import StoredEpisodes, collect_episodes
from reward_agent.run.starts import count_states, read_states, try_unaided
from reward_agent.sandbox.runner import JobExit
from reward_agent.types import Finding, ProbeReport, RewardProgram


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
