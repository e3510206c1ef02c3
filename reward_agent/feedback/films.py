"""Videos of candidates: the one that a round made, or one that is made when it is asked for."""

from __future__ import annotations

from pathlib import Path

from reward_agent.agents.brief import HistoryEntry
from reward_agent.jobs import RESULT_FILE, EvaluateResult
from reward_agent.search import Judge, Metric, Search
from reward_agent.stages.judge import Judgement, judge_policies
from reward_agent.store import RunStore, read_record
from reward_agent.types import Candidate, Snapshot

_N_EPISODES = 4


def find_film(store: RunStore, candidate: Candidate) -> Path | None:
    """Return the video of a candidate's best policy, or None if there is none yet."""
    winner = store.read_run().winner
    if winner is not None and winner.candidate == candidate.id and winner.video_file:
        return store.dir / winner.video_file
    folder = store.candidate_dir(candidate.iteration, candidate.id)
    for evaluation_dir in (_find_evaluation(store, candidate), folder / "film"):
        if evaluation_dir is not None and (evaluation_dir / RESULT_FILE).is_file():
            judged = read_record(evaluation_dir / RESULT_FILE, EvaluateResult)
            path = evaluation_dir / judged.video_file if judged.video_file else None
            if path is not None and path.is_file():
                return path
    return None


def _find_evaluation(store: RunStore, candidate: Candidate) -> Path | None:
    """Return the folder of the evaluation of a candidate's training in the search."""
    seed = store.read_run().config.get("seed", 0)
    folder = store.evaluation_dir(candidate.iteration, candidate.id, seed)
    return folder if folder.is_dir() else None


def make_film(search: Search, entry: HistoryEntry) -> str:
    """Film a candidate's best policy; return why there is no video, if there is none.

    A policy that a race stopped, or one of a run without videos, is filmed only when somebody
    wants to see it.
    """
    candidate = entry.candidate
    evaluated = _find_evaluation(search.store, candidate)
    if candidate.evaluation is None or evaluated is None:
        return f"{candidate.id} has no policy to watch: {candidate.outcome}"
    judged = read_record(evaluated / RESULT_FILE, EvaluateResult)
    snapshot = Snapshot(total_timesteps=candidate.evaluation.total_timesteps, file=judged.best_file)
    folder = search.store.candidate_dir(candidate.iteration, candidate.id) / "film"
    judgement = Judgement(
        folder, candidate.evaluation.seed, _N_EPISODES, render=True, caption=candidate.id
    )
    judge = Judge(search.card, Metric(None, "none"), search.executor, search.training_limits)
    return judge_policies(judge, evaluated, [snapshot], judgement).video_note
