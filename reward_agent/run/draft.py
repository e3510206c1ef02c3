"""Draft: a program is proposed, checked, probed and reviewed until it may enter the race.

Cheap examinations come first: the static rules cost milliseconds, the probe about a second, the
Critic a call of a language model. A program that pays what an earlier one pays is screened out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from reward_agent.designers.brief import DesignBrief
from reward_agent.designers.given import GivenDesigner
from reward_agent.designers.history import write_plan
from reward_agent.designers.roles import Examination, Proposal
from reward_agent.designers.worth import explain_no_review
from reward_agent.errors import DataError
from reward_agent.files import make_folder, remove
from reward_agent.llm.chat import Completion
from reward_agent.records.disk import read_record, write_record, write_text
from reward_agent.records.events import Drafted
from reward_agent.records.job import PROGRAM_FILE, RESULT_FILE
from reward_agent.records.outcomes import ACCEPTED, REVISED, Outcome, Stage
from reward_agent.records.scoring_jobs import EvaluateResult
from reward_agent.records.store import Attempt, DraftRecord, name_candidate
from reward_agent.rewards.checks import check_program
from reward_agent.run.active import ActiveRun
from reward_agent.run.probe import Recordings, run_probe
from reward_agent.run.race import Race
from reward_agent.run.steering import list_edits
from reward_agent.run.train import make_entrant, set_initial_policy
from reward_agent.run.twins import DRAFT_FILE, PROBE_FILE, adopt_draft, find_twin
from reward_agent.threads import map_threads
from reward_agent.types import Critique, Finding, Usage


def draft_all(
    run: ActiveRun, race: Race, briefs: Sequence[DesignBrief], recordings: Recordings
) -> list[DraftRecord]:
    """Draft what is not drafted yet, several at a time if the model allows it.

    Each candidate enters the race, or leaves it, as soon as its draft is finished.
    """
    index = briefs[0].iteration
    run.store.clear_drafts(index)
    drafts = {draft.index: draft for draft in read_drafts(run, index, briefs)}
    for draft in drafts.values():
        _enter(run, race, draft, briefs[draft.index])

    names = _name_drafts(briefs)

    def make(brief: DesignBrief) -> None:
        draft = Drafting(run, race, brief, recordings, names[brief.index]).make()
        drafts[brief.index] = draft = adopt(run, index, draft)
        _enter(run, race, draft, brief)

    missing = [brief for brief in briefs if brief.index not in drafts]
    # A person's comes first: what only repeats it is not trained beside it.
    missing.sort(key=lambda brief: brief.given is None)
    map_threads(run.team.designer.max_concurrency, make, missing)
    return [drafts[number] for number in sorted(drafts)]


def adopt(run: ActiveRun, iteration: int, draft: DraftRecord) -> DraftRecord:
    """Give a draft its place, and tell of it."""
    with run.adopting:
        draft = adopt_draft(run, iteration, draft)
    told = (draft.index, draft.id, draft.idea, draft.outcome, draft.origin)
    run.notify(Drafted(iteration, *told))
    return draft


def _name_drafts(briefs: Sequence[DesignBrief]) -> dict[int, str]:
    """Return the names of a round's candidates by index, whoever is finished first."""
    n_before = Counter[str]()
    names = dict[int, str]()
    for brief in briefs:
        idea = brief.idea.name
        names[brief.index] = name_candidate(idea, brief.iteration, n_before[idea])
        n_before[idea] += 1
    return names


def _enter(run: ActiveRun, race: Race, draft: DraftRecord, brief: DesignBrief) -> None:
    if not draft.is_accepted:
        race.settle(1)
        return
    entrant = make_entrant(run.store, brief.iteration, draft.id, run.settings.seed)
    if run.settings.warm_start and brief.best is not None:
        store, best = run.store, brief.best.candidate
        folder = store.evaluation_dir(best.iteration, best.id, run.settings.seed)
        evaluated = read_record(folder / RESULT_FILE, EvaluateResult)
        set_initial_policy(entrant.candidate_dir, folder / evaluated.best_file, run.card)
    race.enter(entrant, draft.parent)


def read_drafts(run: ActiveRun, index: int, briefs: Sequence[DesignBrief]) -> list[DraftRecord]:
    """Return what there is of these candidates of a round."""
    folders = [folder for iteration, folder in run.store.list_candidates() if iteration == index]
    drafts = [read_record(folder / DRAFT_FILE, DraftRecord) for folder in folders]
    n_edits = len(list_edits(run.steering.taken, index))
    n_candidates = max(brief.index for brief in briefs) + 1 + n_edits
    for folder, draft in zip(folders, drafts, strict=True):
        if draft.id != folder.name or not 0 <= draft.index < n_candidates:
            raise DataError(f"{folder} is of another candidate, {draft.id}", "remove the folder")
    numbers = {brief.index for brief in briefs}
    return [draft for draft in drafts if draft.index in numbers]


class Drafting:
    """A candidate in the making, with what was said of it on the way."""

    def __init__(
        self, run: ActiveRun, race: Race, brief: DesignBrief, recordings: Recordings, name: str
    ) -> None:
        self._name = name
        self._run, self._race, self._brief, self._recordings = run, race, brief, recordings
        self._team = run.team
        given = brief.given
        self._origin = given.origin if given else ""
        # A person's program is looked at like any; nobody mends or reviews it before its training.
        self._designer = GivenDesigner(given.program, given.origin) if given else run.team.designer
        self._folder = run.store.draft_dir(brief.iteration, brief.index)
        self._attempts: list[Attempt] = []
        self._completions: list[Completion] = []
        self._critique: Critique | None = None
        self._is_revised = False

    def make(self) -> DraftRecord:
        """Bring the candidate to the point where it may be trained, or give it up.

        Raises:
            ModelError: the language model cannot be used.
        """
        make_folder(self._folder)
        examination = self._repair(self._ask(self._designer.propose))
        if examination.is_accepted:
            examination = self._review(examination)
        return self._write(examination)

    def _ask(self, ask: Callable[..., Proposal], *given: object) -> Examination:
        """Let the Designer write something; check it, then probe it if the rules accept it."""
        self._see_that_it_makes_sense()
        with self._run.ledger.spend("llm"):
            proposal = ask(self._brief, *given)
        self._completions.extend(proposal.completions)
        if proposal.program is None:
            return Examination(proposal, proposal.outcome or Outcome(kind="no_program"))
        with self._run.ledger.spend("checks"):
            card = self._run.card if self._brief.given else self._run.shown_card
            check = check_program(proposal.program, card)
        if not check.is_accepted:
            return Examination(proposal, _name_rejection("check", check.errors), check)
        job_dir = self._folder / "probe"
        remove(job_dir)  # of a proposal before it
        probe = run_probe(self._run, proposal.program, job_dir, self._recordings)
        outcome = ACCEPTED if probe.is_accepted else _name_rejection("probe", probe.errors)
        return Examination(proposal, outcome, check, probe)

    def _see_that_it_makes_sense(self) -> None:
        """Pay for no reply that nothing can be made of.

        Raises:
            RewardAgentError: the race has failed, or the environment is not what it was.
        """
        self._race.check()
        self._run.surroundings.check()

    def _repair(self, examination: Examination) -> Examination:
        """Give findings back to the Designer, a bounded number of times."""
        for number in range(self._run.settings.max_repairs):
            if examination.is_accepted or examination.proposal.is_final:
                break
            self._keep(examination)
            examination = self._ask(self._designer.repair, examination, number)
        return examination

    def _review(self, examination: Examination) -> Examination:
        """Ask the Critic once; a revision that fails the cheap stages is not taken."""
        if (
            self._team.critic is None
            or self._brief.given is not None
            or explain_no_review(self._brief)
            or self._repeats(examination)
        ):
            return examination
        self._see_that_it_makes_sense()
        with self._run.ledger.spend("llm"):
            opinion = self._team.critic.review(self._brief, examination)
        self._completions.extend(opinion.completions)
        self._critique = opinion.record
        if opinion.record is None or opinion.record.verdict == "accept":
            return examination
        revised = self._repair(self._ask(self._designer.revise, examination, opinion.record))
        self._is_revised = revised.is_accepted
        if self._is_revised:
            self._keep(examination, REVISED)
            return revised
        self._keep(revised)
        return examination

    def _repeats(self, examination: Examination) -> bool:
        """Return whether the program is an earlier one again, which is screened out in any case."""
        assert examination.program is not None
        _write_examination(self._folder, examination)
        draft = DraftRecord(
            id=self._name,
            index=self._brief.index,
            idea=self._brief.idea.name,
            outcome=examination.outcome,
            program_sha256=examination.program.sha256,
        )
        twin = find_twin(self._run.store, self._folder, draft)
        return self._run.settings.screens and twin is not None and twin.is_certain

    def _keep(self, examination: Examination, outcome: Outcome | None = None) -> None:
        """Keep a reply that did not become the program."""
        _write_examination(self._folder / "attempts" / str(len(self._attempts)), examination)
        program = examination.program
        self._attempts.append(
            Attempt(
                outcome=outcome or examination.outcome,
                program_sha256=program.sha256 if program else None,
                findings=examination.findings,
            )
        )

    def _write(self, examination: Examination) -> DraftRecord:
        """Write the draft's files, the record last."""
        _write_examination(self._folder, examination)
        if self._critique is not None:
            write_record(self._folder / "critique.json", self._critique)
        program, probe = examination.program, examination.probe
        record = DraftRecord(
            id=self._name,
            index=self._brief.index,
            idea=self._brief.idea.name,
            parent=self._brief.idea.parent,
            origin=self._origin,
            outcome=examination.outcome,
            program_sha256=program.sha256 if program else None,
            attempts=tuple(self._attempts),
            is_revised=self._is_revised,
            rank_agreement=probe.rank_agreement if probe else None,
            usage=sum((completion.usage for completion in self._completions), Usage()),
        )
        write_record(self._folder / DRAFT_FILE, record)
        return record


def _write_examination(folder: Path, examination: Examination) -> None:
    proposal = examination.proposal
    if proposal.reply:
        write_text(folder / "reply.md", proposal.reply)
    if proposal.program is not None:
        write_text(folder / PROGRAM_FILE, proposal.program.source)
        if proposal.plan is not None:
            write_plan(folder, proposal.program, proposal.plan)
    if examination.check is not None:
        write_record(folder / "check.json", examination.check)
    if examination.probe is not None:
        write_record(folder / PROBE_FILE, examination.probe)


def _name_rejection(stage: Stage, errors: tuple[Finding, ...]) -> Outcome:
    first = errors[0]
    place = f"line {first.line}: " if first.line is not None else ""
    remedy = f"; {first.remedy}" if first.remedy else ""
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    detail = f"{place}{first.message}{remedy}{more}"
    return Outcome(kind="rejected", stage=stage, detail=detail)
