"""What became of a person's reward in a run: its candidate, and its terms in the best program."""

from __future__ import annotations

from dataclasses import dataclass

from reward_agent.designers.ideas import find_lineage
from reward_agent.records.store import Candidate, GivenReward, RunRecord, RunStore, rank_candidates
from reward_agent.rewards.terms import TermFate, compare_terms


@dataclass(frozen=True)
class GivenTrace:
    """A person's reward through a run.

    Args:
        reward: what was given.
        candidate: its candidate of the first round, once that is complete.
        best: the run's winner, or its best so far.
        is_ancestor: whether that is the person's program, or came of one.
        heir: where that was written beside it, the best of what came of it.
        fates: what became of each term in the heir, else in the best program.
    """

    reward: GivenReward
    candidate: Candidate | None
    best: Candidate | None
    is_ancestor: bool = False
    heir: Candidate | None = None
    fates: tuple[TermFate, ...] = ()

    @property
    def how(self) -> str:
        """How it was taken; '' where it is run as it was written."""
        if self.reward.form == "as it is":
            return ""
        how = {
            "arrays": "It was rewritten to arrays",
            "rows": "It is run row by row, which is slow",
        }[self.reward.form]
        if not self.reward.parity:
            return f"{how} as it was read: Python itself could not run it, to compare their pay."
        n_steps = sum(row.n_steps for row in self.reward.parity)
        most = max(row.difference for row in self.reward.parity)
        return f"{how}, and pays what it paid on {n_steps:,} recorded steps (within {most:.1g})."

    @property
    def sentence(self) -> str:
        """What became of it, in a sentence."""
        own, best = self.candidate, self.best
        if own is None:
            return "its round is not complete yet"
        score = "no score" if own.task_score is None else f"a task score of {own.task_score:.3g}"
        became = f"candidate {own.id}, {own.outcome.label}, {score}"
        if best is None:
            return became
        if best.id == own.id:
            return f"{became}: the best of the run, as it is"
        how = "comes of it" if self.is_ancestor else "was written beside it"
        told = f"{became}; the best program, {_tell(best)}, {how}"
        if self.heir is None:
            return told if self.is_ancestor else f"{told}; nothing scored that came of it"
        return f"{told}; the best that came of it, {_tell(self.heir)}, whose terms are shown"


def _tell(candidate: Candidate) -> str:
    score = candidate.task_score
    return candidate.id if score is None else f"{candidate.id}, {score:.3g}"


def trace_given(store: RunStore, run: RunRecord) -> tuple[GivenTrace, ...]:
    """Return what became of each reward that a run started from."""
    if not run.given:
        return ()
    finished = store.list_finished()
    best = next(iter(rank_candidates(finished)), None)
    if run.winner is not None:
        best = store.read_candidate(run.winner.iteration, run.winner.candidate)
    return tuple(_trace(store, reward, finished, best) for reward in run.given)


def _trace(
    store: RunStore, reward: GivenReward, finished: list[Candidate], best: Candidate | None
) -> GivenTrace:
    own = next(
        (c for c in finished if c.origin and c.program_sha256 == reward.program_sha256), None
    )
    if own is None or best is None:
        return GivenTrace(reward, own, best)
    others = [c for c in finished if c.id == own.id or not c.origin]
    lineage = find_lineage(others)
    heirs = rank_candidates(c for c in finished if c.id in lineage and c.id != own.id)
    heir = None if best.id in lineage else next(iter(heirs), None)
    shown = heir or best
    fates = compare_terms(*(store.read_program(c.iteration, c.id) for c in (own, shown)))
    return GivenTrace(reward, own, best, best.id in lineage, heir, fates)
