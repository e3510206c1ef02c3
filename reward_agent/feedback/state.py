"""What there is to see of a session: candidates, ratings, which one words change and what waits."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, computed_field

from reward_agent.designers.brief import HistoryEntry
from reward_agent.designers.history import read_entry, read_history
from reward_agent.designers.reply import find_fences
from reward_agent.errors import UsageError
from reward_agent.feedback import records
from reward_agent.feedback.metric import MetricView, load_metric_view
from reward_agent.feedback.ratings import Answer, Rating, choose_pair, rate
from reward_agent.feedback.wishes import Question, list_questions
from reward_agent.files import check_plain, read_text
from reward_agent.records.disk import read_optional
from reward_agent.records.job import FOOTAGE_FILE, PROGRAM_FILE, RESULT_FILE, VIDEO_FILE
from reward_agent.records.judgement import Judgement
from reward_agent.records.scoring_jobs import EvaluateResult
from reward_agent.records.store import Candidate, MetricOrigin, RunRecord, RunStore, find_candidate
from reward_agent.report.view import place_film
from reward_agent.types import FileRecord, rank_value


@dataclass(frozen=True)
class RatedCandidate:
    """A candidate with a policy, and where it stands.

    Args:
        entry: everything that is known of it.
        rating: by the person's preferences; None before the first answer.
        is_rejected: whether the person rejected it.
    """

    entry: HistoryEntry
    rating: Rating | None
    is_rejected: bool

    @property
    def candidate(self) -> Candidate:
        """The record."""
        return self.entry.candidate


class SessionState:
    """A session as it stands: a function of its entries and of the run's files."""

    def __init__(self, store: RunStore) -> None:
        self.store = store
        self.log = records.SessionLog(store.dir)

    @property
    def run(self) -> RunRecord:
        """The run's record."""
        return self.store.read_run()

    @property
    def has_metric(self) -> bool:
        """Whether policies have a task score; if not, the ratings are their score."""
        return self.run.metric_origin != "none"

    @property
    def metric(self) -> MetricView:
        """The run's metric, or the one that was proposed and not taken."""
        return load_metric_view(self.store, self.run)

    def list_trained(self) -> list[HistoryEntry]:
        """Return the candidates that have a policy to watch, oldest first."""
        return [e for e in read_history(self.store) if e.candidate.evaluation is not None]

    def list_standings(self) -> list[RatedCandidate]:
        """Return every candidate with a policy, in the order of the run."""
        ratings = {rating.candidate: rating for rating in self.rate()}
        verdicts = {item.candidate: item.verdict for item in self.log.list(records.Decided)}
        return [
            RatedCandidate(entry, ratings.get(name), verdicts.get(name) == "rejected")
            for entry in self.list_trained()
            for name in [entry.candidate.id]
        ]

    def rate(self) -> list[Rating]:
        """Return the ratings by the person's preferences, the best first; empty without any.

        Where there is no metric they start from what a judge saw in the films, if there is one.
        """
        answers, seen = self.list_answers(), self.read_seen()
        names = [entry.candidate.id for entry in self.list_trained()]
        return rate(names, answers, seen) if answers or seen else []

    def read_seen(self) -> dict[str, float]:
        """Return the share of the task that a judge saw in each film; empty with a metric."""
        if self.has_metric:
            return {}
        judged = {e.candidate.id: e.judgement.share for e in self.list_trained() if e.judgement}
        return {name: share for name, share in judged.items() if share is not None}

    def rank(self) -> list[RatedCandidate]:
        """Return the candidates with a policy, best first: by task score, else by rating alone."""
        standings = self.list_standings()
        if self.has_metric:
            return sorted(standings, key=lambda item: item.candidate.rank)
        return sorted(
            standings, key=lambda item: -rank_value(item.rating.mean if item.rating else None)
        )

    @property
    def current(self) -> HistoryEntry | None:
        """What words change: the person's choice, the newest answer, or the run's best."""
        standings = {item.candidate.id: item for item in self.rank() if not item.is_rejected}
        for entry in reversed(self.log.entries):
            if isinstance(entry, records.Decided) and entry.verdict != "rejected":
                shown = [entry.candidate]
            elif isinstance(entry, records.RoundEnded):
                names = [item.candidate for item in entry.after]
                shown = self._order_answers([standings[n] for n in names if n in standings])
            else:
                continue
            found = [standings[name].entry for name in shown if name in standings]
            if found:
                return found[0]
        winner = self.run.winner
        if winner is not None and winner.candidate in standings:
            return standings[winner.candidate].entry
        return next((item.entry for item in standings.values()), None)

    def _order_answers(self, answers: list[RatedCandidate]) -> list[str]:
        """Return a round's candidates, first what is best by the person's wish, then by rank."""
        ranked = [item.candidate.id for item in self.rank()]

        def key(item: RatedCandidate) -> tuple[float, ...]:
            wish = item.entry.wish
            return *(wish.rank if wish else (9.0,)), ranked.index(item.candidate.id)

        return [item.candidate.id for item in sorted(answers, key=key)]

    def find(self, name: str) -> HistoryEntry:
        """Return a candidate with a policy by its name or the start of it.

        Raises:
            UnknownNameError: none, or several begin so.
        """
        known = {entry.candidate.id: entry for entry in self.list_trained()}
        return known[find_candidate(name, known)]

    def find_film(self, name: str, *, is_blind: bool = False) -> Path | None:
        """Return a candidate's video, if there is one.

        A blind one does not say whose it is; one with words counts only if no other can be drawn.
        """
        path = find_film(self.store, self.run, self.find(name).candidate)
        if path is None or not is_blind or not (path.parent / FOOTAGE_FILE).is_file():
            return path
        made = read_optional(path.parent / RESULT_FILE, EvaluateResult)
        return path if made is not None and made.is_blind else None

    def choose_pair(self) -> tuple[str, str] | None:
        """Return the two candidates whose comparison says most about which is the best."""
        names = [item.candidate.id for item in self.list_standings() if not item.is_rejected]
        return choose_pair(names, self.list_answers(), self.read_seen())

    @property
    def waiting(self) -> list[records.Remarked | records.Edited]:
        """Remarks and edits whose round has not come to its end, oldest first."""
        ended = {entry.iteration for entry in self.log.list(records.RoundEnded)}
        rounds = self.log.list(records.RoundStarted)
        answered = {entry.cause for entry in rounds if entry.iteration in ended}
        return [
            entry
            for entry in self.log.entries
            if isinstance(entry, records.Remarked | records.Edited) and entry.number not in answered
        ]

    @property
    def questions(self) -> list[Question]:
        """What the person is asked before their remarks are answered."""
        return list_questions(self.log.entries, self.waiting)

    def list_answers(self) -> list[Answer]:
        """Return the person's comparisons, oldest first."""
        return [Answer(item.a, item.b, item.choice) for item in self.log.list(records.Preferred)]

    def need_current(self) -> HistoryEntry:
        """Return the candidate that words change.

        Raises:
            UsageError: there is none.
        """
        current = self.current
        if current is None:
            raise UsageError(
                "the run has no policy to speak of yet", "take it up with `reward-agent design`"
            )
        return current


def place_watched(store: RunStore, run: RunRecord, candidate: Candidate) -> Path:
    """Return the folder of the policy that a person watches: that of the search, as its score.

    Of a run that somebody handed over there may be the film of its winner alone, trained anew.
    """
    own = store.evaluation_dir(candidate.iteration, candidate.id, run.config.get("seed", 0))
    return own if (own / RESULT_FILE).is_file() else place_film(store, run, candidate).parent


def find_film(store: RunStore, run: RunRecord, candidate: Candidate) -> Path | None:
    """Return the video of what a person watches; as an MP4, which can be paused, if it may."""
    path = place_watched(store, run, candidate) / VIDEO_FILE
    found = next((form for form in (path.with_suffix(".mp4"), path) if form.is_file()), None)
    if found is not None:
        check_plain(found)
    return found


def describe_film(store: RunStore, run: RunRecord, candidate: Candidate) -> str:
    """Say whose policy a film shows, where it is not the one that the search score is of."""
    winner, seed = run.winner, run.config.get("seed", 0)
    shown = place_watched(store, run, candidate)
    if winner is None or shown == store.evaluation_dir(candidate.iteration, candidate.id, seed):
        return ""
    owner = winner.policy or winner
    evaluations = {item.seed: item.evaluation for item in run.confirmations}
    found = winner.policy.evaluation if winner.policy else evaluations.get(owner.seed)
    score = "" if found is None or found.task_score is None else f": {found.task_score:.3g}"
    return (
        f"the film is of its training with fresh seed {owner.seed}{score} {run.task.unit}".rstrip()
    )


def make_shown(store: RunStore, candidate: Candidate) -> records.ShownCandidate:
    """Return what a person can see of a candidate, and what became of their wish in it."""
    folder = store.candidate_dir(candidate.iteration, candidate.id)
    wish = read_entry(store, candidate).wish
    program, film = folder / PROGRAM_FILE, find_film(store, store.read_run(), candidate)
    return records.ShownCandidate(
        candidate=candidate.id,
        iteration=candidate.iteration,
        outcome=candidate.outcome,
        program_sha256=candidate.program_sha256,
        program_file=store.name_file(program) if program.is_file() else None,
        video_file=store.name_file(film) if film else None,
        task_score=candidate.task_score,
        verdict=wish.sentence if wish else "",
    )


_MAX_CHARS = 2000


def read_rationale(store: RunStore, candidate: Candidate) -> str:
    """Return what the Designer said beside its program; empty if nothing was said."""
    path = store.candidate_dir(candidate.iteration, candidate.id) / "reply.md"
    text = read_text(path, "")
    for fence in find_fences(text):
        if fence.body.strip():
            text = text.replace(fence.body, "")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith(("```", "~~~"))]
    return "\n".join(lines).strip()[:_MAX_CHARS]


def render_change(store: RunStore, before: records.ShownCandidate, after: Candidate) -> str:
    """Return the unified diff from a program to another."""
    earlier = store.read_candidate(before.iteration, before.candidate)
    old, new = _list_lines(store, earlier), _list_lines(store, after)
    lines = difflib.unified_diff(old, new, before.candidate, after.id, lineterm="", n=1)
    return "\n".join(lines)


def _list_lines(store: RunStore, candidate: Candidate) -> list[str]:
    program = read_entry(store, candidate).program
    return program.source.splitlines() if program else []


class ToldJudgement(Judgement):
    """A judgement with how it contradicts the metric."""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def conflict(self) -> str:
        """How judge and metric contradict each other; empty where they do not."""
        return super().conflict


class ShownStanding(records.ShownCandidate):
    """A candidate as it can be seen, and where it stands."""

    is_rejected: bool
    rating: Rating | None = Field(description="by the person's preferences")
    judgements: tuple[ToldJudgement, ...]


class SessionView(FileRecord):
    """Candidates, ratings, which one words change, and every entry."""

    run: str
    metric_origin: MetricOrigin
    current: str | None = Field(description="the candidate that words change")
    accepted: str | None
    candidates: tuple[ShownStanding, ...]
    entries: tuple[records.AnyEntry, ...]


def describe_session(session: SessionState) -> SessionView:
    """Return candidates, ratings, which one words change and every entry."""
    current, run = session.current, session.run
    return SessionView(
        run=run.id,
        metric_origin=run.metric_origin,
        current=current.candidate.id if current else None,
        accepted=run.winner.candidate if run.winner else None,
        candidates=tuple(
            ShownStanding(
                **dict(make_shown(session.store, item.candidate)),
                is_rejected=item.is_rejected,
                rating=item.rating,
                judgements=tuple(ToldJudgement(**dict(one)) for one in item.entry.judgements),
            )
            for item in session.list_standings()
        ),
        entries=session.log.entries,
    )
