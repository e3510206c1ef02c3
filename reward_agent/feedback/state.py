"""What there is to see of a session: candidates, ratings, what is in front and what waits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reward_agent.designers.brief import HistoryEntry
from reward_agent.designers.history import read_history
from reward_agent.errors import UnknownNameError, UsageError
from reward_agent.feedback.films import find_film
from reward_agent.feedback.metric import MetricView, load_metric_view
from reward_agent.feedback.ratings import Answer, Rating, choose_pair, rate
from reward_agent.feedback.records import (
    Decided,
    Edited,
    Preferred,
    Remarked,
    RoundEnded,
    RoundStarted,
    SessionLog,
)
from reward_agent.records.store import Candidate, RunRecord, RunStore
from reward_agent.types import rank_value


@dataclass(frozen=True)
class Standing:
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
    """A session as it stands: a function of its entries and of the run's files.

    Args:
        store: the run's directory.
    """

    def __init__(self, store: RunStore) -> None:
        self.store = store
        self.log = SessionLog(store.dir)

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

    def list_standings(self) -> list[Standing]:
        """Return every candidate with a policy, in the order of the run."""
        entries = self.list_trained()
        ratings = {rating.candidate: rating for rating in self.rate()}
        rejected = self._find_rejected()
        return [
            Standing(entry, ratings.get(entry.candidate.id), entry.candidate.id in rejected)
            for entry in entries
        ]

    def rate(self) -> list[Rating]:
        """Return the ratings by the person's preferences, the best first; empty without any."""
        answers = self.list_answers()
        names = [entry.candidate.id for entry in self.list_trained()]
        return rate(names, answers) if answers else []

    def rank(self) -> list[Standing]:
        """Return the candidates with a policy, best first: by task score, else by rating alone."""
        has_metric = self.has_metric

        def value(standing: Standing) -> float:
            if has_metric:
                return rank_value(standing.candidate.task_score)
            return rank_value(standing.rating.mean if standing.rating else None)

        return sorted(self.list_standings(), key=lambda item: -value(item))

    @property
    def current(self) -> HistoryEntry | None:
        """The candidate in front: the person's choice, the newest answer, or the run's best."""
        standings = {item.candidate.id: item for item in self.rank() if not item.is_rejected}
        for entry in reversed(self.log.entries):
            if isinstance(entry, Decided) and entry.verdict != "rejected":
                shown = [entry.candidate]
            elif isinstance(entry, RoundEnded):
                # Ranked already: the first of the round's is its best.
                names = {item.candidate for item in entry.after}
                shown = [name for name in standings if name in names]
            else:
                continue
            found = [standings[name].entry for name in shown if name in standings]
            if found:
                return found[0]
        winner = self.run.winner
        if winner is not None and winner.candidate in standings:
            return standings[winner.candidate].entry
        return next((item.entry for item in standings.values()), None)

    def find(self, name: str) -> HistoryEntry:
        """Return a candidate with a policy by its id or the start of it.

        Raises:
            UnknownNameError: none, or several begin so.
        """
        known = {entry.candidate.id: entry for entry in self.list_trained()}
        matches = [entry for key, entry in known.items() if key.startswith(name) and name]
        if name in known or len(matches) == 1:
            return known.get(name, matches[0])
        raise UnknownNameError("candidate", name, known)

    def find_film(self, name: str) -> Path | None:
        """Return a candidate's video, if there is one."""
        return find_film(self.store, self.find(name).candidate)

    def choose_pair(self) -> tuple[str, str] | None:
        """Return the two candidates whose comparison says most about which is the best."""
        names = [item.candidate.id for item in self.list_standings() if not item.is_rejected]
        return choose_pair(names, self.list_answers())

    @property
    def waiting(self) -> list[Remarked | Edited]:
        """Remarks and edits whose round has not come to its end, oldest first."""
        ended = {entry.iteration for entry in self.log.list(RoundEnded)}
        rounds = self.log.list(RoundStarted)
        answered = {entry.cause for entry in rounds if entry.iteration in ended}
        return [
            entry
            for entry in self.log.entries
            if isinstance(entry, Remarked | Edited) and entry.number not in answered
        ]

    def list_answers(self) -> list[Answer]:
        """Return the person's comparisons, oldest first."""
        return [Answer(item.a, item.b, item.choice) for item in self.log.list(Preferred)]

    def _find_rejected(self) -> set[str]:
        last = {item.candidate: item.verdict for item in self.log.list(Decided)}
        return {name for name, verdict in last.items() if verdict == "rejected"}

    def need_current(self) -> HistoryEntry:
        """Return the candidate in front.

        Raises:
            UsageError: there is none.
        """
        current = self.current
        if current is None:
            raise UsageError(
                "the run has no policy to speak of yet", "take it up with `reward-agent design`"
            )
        return current
