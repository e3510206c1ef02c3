"""Where trainings of a round may begin: in states of the run's best episodes, and what these are.

``states.npz`` of a round is written once, before its programs are: what is trained again later, or
after the run was taken up, begins in the same states.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from reward_agent.evaluation.arrays import MAX_RECORDING_BYTES
from reward_agent.files import read_capped, remove
from reward_agent.records.disk import read_optional
from reward_agent.records.job import STARTS_FILE, STATES_FILE, Behaviour
from reward_agent.records.outcomes import Outcome
from reward_agent.records.scoring_jobs import RecordJob, RecordResult
from reward_agent.records.store import rank_candidates
from reward_agent.run.active import ActiveRun, Lab, copy_into
from reward_agent.run.behaviours import POSE, RecordedBehaviours, score_behaviours
from reward_agent.summary.events import read_recorded
from reward_agent.types import Finding, ProbeReport, StartTrial

# Who acts without a policy.
_UNAIDED: tuple[Behaviour, ...] = (POSE, "random actions")
# States of each start that are tried, in no more than so many control steps for each of the above.
MOST_STATES, _LEAST_STATES, _MOST_STEPS = 16, 4, 25_000


def record_states(run: ActiveRun, index: int) -> tuple[str, ...]:
    """Return the events whose states the trainings of a round may begin in, and keep the states."""
    path = run.store.iteration_dir(index) / STATES_FILE
    if not path.is_file() and not run.settings.reward_only:
        known = (c for c in run.store.list_finished() if c.iteration < index)
        best = next(iter(rank_candidates(known)), None)
        if best is None:
            return ()
        folder = run.store.evaluation_dir(best.iteration, best.id, run.settings.seed)
        states = read_states(folder)
        if states is None:  # removed, or of an earlier version
            return ()
        copy_into(path.parent, {STATES_FILE: states})
    return tuple(read_recorded(path))


def read_states(folder: Path) -> bytes | None:
    """Return the file of the recorded states of a round, or of an evaluation, if there are any."""
    path = folder / STATES_FILE
    return read_capped(path, MAX_RECORDING_BYTES) if path.is_file() else None


def count_states(lab: Lab, n_starts: int) -> int:
    """Return how many states of each start are tried without a policy."""
    n_affordable = _MOST_STEPS // (lab.card.max_episode_steps * max(n_starts, 1))
    return max(_LEAST_STATES, min(MOST_STATES, n_affordable))


def try_unaided(lab: Lab, probe: ProbeReport, job_dir: Path) -> ProbeReport:
    """Say from which states of a program's starts the task succeeds without a policy.

    Args:
        lab: the environment and the metric.
        probe: of the program, whose child left the states in its folder.
        job_dir: that folder.
    """
    if not probe.starts or not probe.is_accepted or lab.metric.source is None:
        return probe
    files = {STARTS_FILE: read_capped(job_dir / STARTS_FILE, MAX_RECORDING_BYTES)}
    n_states = sum(trial.n_states for trial in probe.starts)
    job = RecordJob(
        card=lab.card,
        seed=lab.settings.seed,
        behaviours=_UNAIDED,
        n_episodes=n_states,
        begins_elsewhere=True,
    )
    folder = job_dir / "starts"
    result = lab.run_job(job, folder, files).result
    assert isinstance(result, RecordResult)
    known = score_behaviours(lab, RecordedBehaviours(folder, result))
    remove(folder)
    if all(episode.task_score is None for episode in known):
        return probe
    succeeds = {
        name: [episode.success for episode in known if episode.name == name] for name in _UNAIDED
    }
    trials, first = list[StartTrial](), 0
    for trial in probe.starts:
        part = slice(first, first := first + trial.n_states)
        shares = {name: sum(each[part]) / trial.n_states for name, each in succeeds.items()}
        does = max(_UNAIDED, key=lambda name: shares[name])
        changes = {"unaided": shares[does], "does": does}
        trials.append(trial.model_copy(update=changes))
    return probe.model_copy(
        update={"starts": tuple(trials), "findings": (*probe.findings, *_warn(trials))}
    )


def _warn(trials: Sequence[StartTrial]) -> list[Finding]:
    return [
        Finding(
            rule="training/start",
            severity="warning",
            message=f"start {number} ({trial.name}): the task succeeds from {trial.unaided:.0%} of "
            f"its states without a policy ({trial.does})",
            remedy="what is trained there is no part of the task: begin before what is to be done",
        )
        for number, trial in enumerate(trials, 1)
        if trial.teaches_nothing
    ]


def note_starts(candidate_dir: Path, outcome: Outcome) -> Outcome:
    """Return how a training ended, with the starts from which nothing had to be learned."""
    probe = read_optional(candidate_dir / "probe.json", ProbeReport)
    easy = [trial for trial in probe.starts if trial.teaches_nothing] if probe else []
    if not easy:
        return outcome
    return outcome.add(
        f"it began where the task succeeds without a policy ({'; '.join(map(str, easy))})"
    )
