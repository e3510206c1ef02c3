"""Edits: a program that a person changed while its parent trained becomes a candidate beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from reward_agent.designers.brief import DesignBrief, DesignIdea, GivenProgram
from reward_agent.errors import DataError
from reward_agent.records.outcomes import Outcome
from reward_agent.records.steering import Edit, Taken
from reward_agent.records.store import DraftRecord, name_candidate
from reward_agent.run.active import ActiveRun
from reward_agent.run.draft import Drafting, adopt, read_drafts
from reward_agent.run.probe import Recordings
from reward_agent.run.race import Race
from reward_agent.run.steering import list_edits
from reward_agent.run.train import Entrant, make_entrant, set_initial_policy
from reward_agent.types import RewardProgram

EDIT_IDEA = DesignIdea("edited", "The person's own change of the program, while it trained.")


class Edits:
    """The candidates of programs that a person changed while their parents trained.

    Args:
        run: the run in progress.
        briefs: of the round's own candidates.
        recordings: what a program is tried on.
    """

    def __init__(
        self, run: ActiveRun, briefs: Sequence[DesignBrief], recordings: Recordings
    ) -> None:
        self._run, self._briefs, self._recordings = run, tuple(briefs), recordings
        self.drafts: list[DraftRecord] = []

    @property
    def briefs(self) -> list[DesignBrief]:
        """What each candidate of the round is asked for, by its index."""
        taken = list_edits(self._run.steering.taken, self._briefs[0].iteration)
        edits = [self._make_brief(number, item) for number, item in enumerate(taken)]
        return [*self._briefs, *edits]

    def make(self, race: Race, number: int, taken: Taken, policy: Path | None) -> Entrant | None:
        """Make the candidate of the n-th changed program, which begins with a policy, if any.

        Returns:
            How it enters the race; None: it is not trained.
        """
        run, brief = self._run, self._make_brief(number, taken)
        drafts = read_drafts(run, brief.iteration, [brief])
        if not drafts:
            name = name_candidate(brief.idea.name, brief.iteration, number)
            made = Drafting(run, race, brief, self._recordings, name).make()
            drafts = [adopt(run, brief.iteration, made)]
        [draft] = drafts
        entrant = make_entrant(run.store, brief.iteration, draft.id, run.settings.seed)
        if policy is not None and draft.is_accepted:
            try:
                set_initial_policy(entrant.candidate_dir, policy, run.card)
            except DataError as error:  # a child wrote it
                outcome = Outcome(kind="failed", stage="training", detail=error.message)
                draft = draft.model_copy(update={"outcome": outcome})
        self.drafts.append(draft)
        return entrant if draft.is_accepted else None

    def _make_brief(self, number: int, taken: Taken) -> DesignBrief:
        assert isinstance(taken.act, Edit)
        return replace(
            self._briefs[0],
            idea=replace(EDIT_IDEA, parent=taken.act.candidate),
            index=len(self._briefs) + number,
            given=GivenProgram(RewardProgram(taken.act.program), ""),
            baseline=None,
        )
