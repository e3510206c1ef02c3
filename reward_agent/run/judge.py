"""Judge: a model that sees watches the films of a round's best and of the winner.

An opinion beside the metric: it ranks nothing, and what fails costs the judgement, not the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reward_agent.designers.brief import FilmBrief
from reward_agent.designers.history import list_judgements
from reward_agent.designers.judge import FilmJudge, describe_view, split_criteria
from reward_agent.errors import DataError, JobError, ModelError
from reward_agent.evaluation.scoring import rank_episodes
from reward_agent.files import read_capped, remove
from reward_agent.records.disk import read_record, write_record
from reward_agent.records.events import FilmJudged, Warned
from reward_agent.records.film_jobs import FramesJob, FramesResult
from reward_agent.records.job import FOOTAGE_FILE, RESULT_FILE
from reward_agent.records.judgement import (
    FRAMES_FILE,
    JUDGEMENT_FILE,
    SHOWN,
    Judgement,
    Shown,
    find_order_conflicts,
    make_code,
    name_shown,
)
from reward_agent.records.scoring_jobs import EvaluateResult
from reward_agent.records.store import Candidate, Winner, rank_candidates
from reward_agent.run.active import ActiveRun, Lab, copy_into
from reward_agent.run.drawing import MAX_FILM_BYTES, find_known_renderer
from reward_agent.threads import map_threads
from reward_agent.types import EpisodeScore, Evaluation, Usage

_MAX_SHEET_BYTES = 4 * 2**20
# Share of the larger score from which on another episode is watched as well.
_APART = 0.1


def judge_round(run: ActiveRun, candidates: Sequence[Candidate]) -> list[Candidate]:
    """Let the judge watch what the settings name of a round; return it with what that cost."""
    judge = run.team.judge
    if judge is None:
        return list(candidates)
    names = {item.id for item in _choose(run, candidates)}

    def watch(candidate: Candidate) -> Candidate:
        if candidate.id not in names:
            return candidate
        usage = judge_policy(run, candidate, run.settings.seed)
        return candidate.model_copy(update={"usage": candidate.usage + usage})

    return map_threads(judge.max_concurrency, watch, candidates)


def judge_winner(run: ActiveRun, winner: Winner) -> None:
    """Let the judge watch the policy that is handed over, and say where the order contradicts."""
    if run.team.judge is not None:
        owner = winner.policy or winner
        candidate = run.store.read_candidate(owner.iteration, owner.candidate)
        judge_policy(run, candidate, winner.seed)
        for conflict in find_order_conflicts(list_judgements(run.store)):
            run.notify(Warned(f"the judge disagrees with the metric: {conflict}"))


def _choose(run: ActiveRun, candidates: Sequence[Candidate]) -> list[Candidate]:
    trained = [item for item in candidates if item.evaluation is not None]
    if run.settings.judge == "all" or run.metric.source is None:
        return trained
    return rank_candidates(trained)[:1]


def judge_policy(run: ActiveRun, candidate: Candidate, seed: int) -> Usage:
    """Let the judge watch the policy of one training, once; return what that cost."""
    folder = run.store.evaluation_dir(candidate.iteration, candidate.id, seed)
    whose = candidate.id, seed, candidate.iteration, candidate.index
    usages = [judge_evaluation(run, folder, *whose, shown=shown) for shown in SHOWN]
    return sum(usages, Usage())


def choose_shown(evaluation: Evaluation) -> dict[Shown, int]:
    """Return which episodes are watched: the median, and best and worst where these differ."""
    order = rank_episodes(evaluation)
    chosen: dict[Shown, int] = {"median": order[len(order) // 2]}
    middle = evaluation.episodes[chosen["median"]]
    ends: dict[Shown, int] = {"best": order[-1], "worst": order[0]}
    return chosen | {
        shown: place for shown, place in ends.items() if _differ(evaluation.episodes[place], middle)
    }


def _differ(one: EpisodeScore, other: EpisodeScore) -> bool:
    first, second = one.task_score, other.task_score
    if first is None or second is None:
        return False
    is_apart = abs(first - second) > _APART * max(abs(first), abs(second))
    return one.success != other.success or is_apart


def judge_evaluation(
    run: ActiveRun,
    folder: Path,
    name: str,
    seed: int,
    iteration: int = 0,
    index: int = 0,
    *,
    shown: Shown = "median",
) -> Usage:
    """Let the judge watch what an evaluation left in its folder, once; return what that cost.

    Args:
        run: the run in progress.
        folder: with ``footage.npz`` and the evaluation's result; ``judgement.json`` is written.
        name: whose policy it is.
        seed: of its training.
        iteration: the round that asks.
        index: of the candidate in its round.
        shown: which of its episodes; nothing is asked about one that is much like the median.
    """
    judge = run.team.judge
    if judge is None or judge.refusal or (folder / name_shown(JUDGEMENT_FILE, shown)).is_file():
        return Usage()
    run.surroundings.check()  # beyond what keeps a film from being judged
    try:
        return _judge(run, judge, folder, _Film(name, seed, iteration, index, shown))
    except ModelError as error:
        judge.refusal = error.message
        reason = f"no film is judged from here on: {error.message}; {error.remedy}"
    except (DataError, JobError, FileNotFoundError) as error:
        reason = f"the film of {name} was not judged: {error}"
    run.notify(Warned(reason))
    return Usage()


@dataclass(frozen=True)
class _Film:
    """Whose film it is, and which."""

    name: str
    seed: int
    iteration: int
    index: int
    shown: Shown

    @property
    def code(self) -> str:
        """What stands in the corner of its frames."""
        whose = f"{self.name} {self.seed}"
        return make_code(whose if self.shown == "median" else f"{whose} {self.shown}")


def _judge(run: ActiveRun, judge: FilmJudge, folder: Path, film: _Film) -> Usage:
    best = read_record(folder / RESULT_FILE, EvaluateResult).best
    place = choose_shown(best).get(film.shown)
    if place is None or film.code in judge.given_up:
        return Usage()
    # The median of a film was chosen when it was recorded, before a generated metric scored it.
    wanted = None if film.shown == "median" else best.seed + place
    frames = draw_frames(run, folder, film.code, film.shown, wanted)
    place = frames.episode_seed - best.seed
    if not 0 <= place < len(best.episodes):
        raise DataError(f"its episode {frames.episode_seed} is none that was scored")
    brief = FilmBrief(
        card=run.card,
        task=run.task,
        criteria=split_criteria(run.task),
        sheet=read_capped(folder / name_shown(FRAMES_FILE, film.shown), _MAX_SHEET_BYTES),
        times=frames.times,
        code=film.code,
        n_steps=best.episodes[place].length,
        view=describe_view(run.card),
        iteration=film.iteration,
        index=film.index,
    )
    with run.ledger.spend("llm"):
        opinion = judge.watch(brief)
    usage = sum((completion.usage for completion in opinion.completions), Usage())
    if opinion.record is None:
        judge.given_up.add(film.code)
        run.notify(Warned(f"the film of {film.name} was not judged: {opinion.reason}"))
        return usage
    judgement = Judgement(
        iteration=film.iteration,
        candidate=film.name,
        seed=film.seed,
        episode_seed=frames.episode_seed,
        shown=film.shown,
        target_score=run.task.target_score,
        unit=run.task.unit,
        criteria=brief.criteria,
        times=frames.times,
        code=film.code,
        seen=opinion.record.seen,
        answers=opinion.record.answers,
        model=judge.name,
        provider=judge.provider,
    ).compare(best)
    write_record(folder / name_shown(JUDGEMENT_FILE, film.shown), judgement)
    told = judgement.verdict, judgement.agreement, judgement.conflict
    run.notify(FilmJudged(film.iteration, judgement.title, *told))
    return usage


def draw_frames(
    lab: Lab, folder: Path, code: str, shown: Shown = "median", episode_seed: int | None = None
) -> FramesResult:
    """Draw the sheet of an episode that an evaluation filmed, and put it beside.

    Raises:
        DataError: there is no footage, or nothing to draw with.
    """
    job_dir = folder / "frames"
    files = {FOOTAGE_FILE: read_capped(folder / FOOTAGE_FILE, MAX_FILM_BYTES)}
    job = FramesJob(
        card=lab.card, code=code, episode_seed=episode_seed, renderer=find_known_renderer(lab.card)
    )
    result = lab.run_job(job, job_dir, files).result
    assert isinstance(result, FramesResult)
    if result.sheet_file is None:
        raise DataError(result.note or "nothing was drawn", "`reward-agent doctor` says what helps")
    copy_into(
        folder,
        {
            name_shown(FRAMES_FILE, shown): read_capped(
                job_dir / result.sheet_file, _MAX_SHEET_BYTES
            )
        },
    )
    remove(job_dir)
    return result
