"""Metric: how a run is scored, chosen before anything is trained.

A task brings its metric, a person may bring one, and for a sentence the Designer proposes one,
which is generated code: it runs sandboxed over recorded episodes and is taken only when accepted.
Until then the run is paused: nothing is trained by a metric that nobody took, and nothing is
trained unranked that nobody wanted so. A person may change it later; then every policy is scored
again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from pydantic import Field

from reward_agent.definitions.task import METRIC_FILE, TaskSpec, apply_task, find_namesake
from reward_agent.designers.history import read_entry
from reward_agent.designers.model import LanguageModel
from reward_agent.designers.roles import NO_WORDS, MetricProposal, MetricWords
from reward_agent.errors import DataError, ReplayError, UndecidedError, UsageError
from reward_agent.evaluation.trust import render_table
from reward_agent.files import remove
from reward_agent.records.disk import read_record, write_record, write_text
from reward_agent.records.events import MetricChosen, MetricRejected, NoMetric, Rescored, Warned
from reward_agent.records.store import Candidate, MetricOrigin, RunStore
from reward_agent.records.trial import TRIAL_FILE, MetricTrial, list_pictures
from reward_agent.rewards.checks import check_metric
from reward_agent.run.active import ActiveRun, Metric, read_run_metric, update_run
from reward_agent.run.evaluate import evaluate_candidate
from reward_agent.run.trial import try_metric, try_own_metric
from reward_agent.types import Evaluation, FileRecord, Finding

T = TypeVar("T", bound=MetricTrial)

WORDS_FILE = "words.json"
PROPOSALS_DIR, CHANGE_FILE = "metric", "metric/change.json"
# What a metric says of how its episodes end.
_OF_EPISODES = {"lift_termination", "max_episode_steps"}


class MetricChange(FileRecord):
    """``metric/change.json``: what the metric is to be; there until every score is by it."""

    origin: MetricOrigin
    source: str | None
    criterion: str
    unit: str
    words: MetricWords | None = Field(None, description="what was proposed beside the code")
    is_scored: bool = Field(description="whether every score is by it already")


@dataclass(frozen=True)
class ProposedMetric:
    """A proposal with what came of its trial, to be accepted or not.

    Args:
        proposal: source, meaning, unit and criterion.
        trial: what it says of behaviours that nobody trained.
        pictures: of these, where some were drawn, with the words for them.
    """

    proposal: MetricProposal
    trial: MetricTrial
    pictures: tuple[tuple[str, Path], ...] = ()

    @property
    def doubts(self) -> tuple[str, ...]:
        """What a person has to look at: what it leaves out of the sentence, or what it pays."""
        left_out = self.proposal.words.not_measured
        words = (f"it does not measure {', '.join(map(repr, left_out))}",) if left_out else ()
        errors = (item.message for item in self.trial.findings if item.severity == "error")
        return (*words, *errors)

    @property
    def faults(self) -> tuple[Finding, ...]:
        """What it is sent back for, while there are tries left."""
        return tuple(item for item in self.trial.findings if item.severity != "hint")

    @property
    def notes(self) -> tuple[str, ...]:
        """What speaks against nothing, and is to be known."""
        return tuple(item.message for item in self.trial.findings if item.severity != "error")


@dataclass(frozen=True)
class MetricChoice:
    """Where a metric may come from, in this order.

    Args:
        own: source of a metric that the user brings.
        task: source of the task's own metric.
        accept: asked about a metric that the Designer proposes for a sentence.
        accept_unseen: take such a proposal without asking, unless its trial found something;
            recorded as such.
        is_unranked: do without one, on purpose.
        repeated: source of the metric that was taken in a run that is repeated.

    Raises:
        UsageError: there is a metric, and the run is to do without.
    """

    own: str | None = None
    task: str | None = None
    accept: Callable[[ProposedMetric], bool] | None = None
    accept_unseen: bool = False
    is_unranked: bool = False
    repeated: str | None = None

    def __post_init__(self) -> None:
        if self.is_unranked and (self.own is not None or self.task is not None):
            raise UsageError(
                "there is a metric, and --unranked is to do without one", "leave one of them out"
            )


def choose_metric(run: ActiveRun, choice: MetricChoice) -> ActiveRun:
    """Return the run with its metric, and note it in the run's directory.

    Raises:
        UndecidedError: a sentence has none that anybody accepted.
    """
    if run.metric.source is not None:
        return run
    if choice.own is not None:
        try_own_metric(run, choice.own, "correct it and give it again with --metric")
        return _adopt(run, Metric(choice.own, "file"))
    if choice.task is not None:
        if run.card.folder:  # the metrics that come with the program are tried by its tests
            place = Path(run.card.folder) / "tasks" / run.task.name / METRIC_FILE
            try_own_metric(run, choice.task, f"correct {place}")
        return _adopt(run, Metric(choice.task, "task"))
    record = run.store.read_run()
    if choice.is_unranked or record.is_unranked:
        run.store.write_run(record.model_copy(update={"is_unranked": True}))
        run.notify(NoMetric("it was asked for"))
        return run
    namesake = find_namesake(run.card, run.task.description)
    if namesake is not None:
        run.notify(Warned(f"the sentence says the name of a task: --task {namesake} is that one"))
    proposed = propose_metric(run, run.store.dir / PROPOSALS_DIR, choice.repeated)
    if isinstance(proposed, str):
        is_told = proposed.startswith("no metric")
        raise make_undecided(run, proposed if is_told else f"no metric was proposed: {proposed}")
    for note in proposed.notes:
        run.notify(Warned(f"the proposed metric: {note}"))
    origin = ask_for_metric(run, choice, proposed)
    run = _take_words(run, proposed.proposal)
    return _adopt(run, Metric(proposed.proposal.source, origin))


def ask_for_metric(run: ActiveRun, choice: MetricChoice, proposed: ProposedMetric) -> MetricOrigin:
    """Return how a proposed metric was accepted.

    Raises:
        UndecidedError: it was not.
    """
    if choice.accept_unseen and not proposed.doubts:
        return "proposed: accepted unseen"
    if choice.accept is not None and choice.accept(proposed):
        return "proposed: accepted"
    if choice.accept_unseen:
        reason = f"--yes does not take the proposed metric: {'; '.join(proposed.doubts)}"
    else:
        reason = "nobody accepted the proposed metric"
    raise make_undecided(run, reason, proposed)


def make_undecided(
    run: ActiveRun, reason: str, proposed: ProposedMetric | None = None
) -> UndecidedError:
    """Return what pauses the run, with the commands that go on with it."""
    resume, looked = run.store.resume_command, f"{run.store.feedback_command} --accept-metric"
    has_none, commands = run.metric.source is None, dict[str, str]()
    if proposed is not None and not proposed.doubts:
        commands["accept"] = f"{resume} --yes"
    elif proposed is not None and has_none:  # a person says that they have looked
        commands["accept"] = f"{looked} && {resume}"
    if has_none:
        commands |= {"own": f"{resume} --metric FILE", "unranked": f"{resume} --unranked"}
    else:  # by another one every policy is scored again
        own = f"{run.store.feedback_command} --metric FILE && {resume}"
        commands |= {"keep": f"{looked} && {resume}", "own": own}
    return UndecidedError(str(run.store.dir), reason, commands)


def _adopt(run: ActiveRun, metric: Metric) -> ActiveRun:
    assert metric.source is not None
    write_text(run.store.dir / METRIC_FILE, metric.source)
    changes = {"metric_origin": metric.origin, "task": run.task, "card": run.card}
    run.store.write_run(run.store.read_run().model_copy(update=changes))
    return replace(run, metric=metric)


def _take_words(run: ActiveRun, proposal: MetricProposal) -> ActiveRun:
    """Put what the proposal says beside its code into the task, and the task onto the card."""
    return _apply_words(run, proposal.words)


def _apply_words(run: ActiveRun, words: MetricWords) -> ActiveRun:
    task = _describe_task(run, words).model_copy(
        update={
            "max_episode_steps": words.max_episode_steps,
            "termination": () if words.lift_termination else None,
        }
    )
    return replace(
        run, task=task, card=apply_task(run.card, task).choose_learner(run.settings.algo)
    )


def _describe_task(run: ActiveRun, words: MetricWords) -> TaskSpec:
    return run.task.describe_metric(
        words.criterion, words.unit, words.target_score, is_bounded=words.is_bounded
    )


def read_words(task: TaskSpec, meaning: str = "") -> MetricWords:
    """Return what a task says of a metric that was proposed for it and taken."""
    return MetricWords(
        meaning=meaning,
        unit=task.unit,
        criterion=task.criterion,
        lift_termination=task.termination == (),
        max_episode_steps=task.max_episode_steps,
        target_score=task.target_score,
        is_bounded=task.is_bounded,
    )


def propose_metric(
    run: ActiveRun,
    folder: Path,
    taken: str | None = None,
    previous: MetricProposal | None = None,
    faults: tuple[Finding, ...] = (),
) -> ProposedMetric | str:
    """Let the Designer propose a metric for the task's sentence, and try it.

    One that has a fault is sent back with what showed it, a bounded number of times.

    Args:
        run: the run in progress.
        folder: where the proposals are kept, by their numbers.
        taken: source of one that is not sent back: the run that is repeated went on with it.
        previous: the metric that another is asked for in place of; its episodes are recorded, so
            how they end stays as it is.
        faults: what speaks against that one.

    Returns:
        The first without a fault, or the one with the fewest; or why there is none.
    """
    tried: list[ProposedMetric] = []
    kept = previous.words.model_dump(include=_OF_EPISODES) if previous else {}
    for number in range(run.settings.max_repairs + 1):
        try:
            with run.ledger.spend("llm"):
                proposal = run.team.designer.propose_metric(
                    run.shown_card, run.task.description, previous, faults
                )
        except ReplayError:  # an earlier version sent fewer back
            if not tried:
                raise
            break
        proposal = replace(proposal, words=proposal.words.model_copy(update=kept))
        if proposal.source is None:
            if tried:
                break
            run.notify(MetricRejected(str(proposal.outcome)))
            return str(proposal.outcome)
        if previous is not None and proposal.source == previous.source:
            break  # asked again, it would say the same
        place = folder / str(number)
        _write_proposal(place, proposal)
        faults = check_metric(proposal.source, run.shown_card).errors
        if not faults:
            tried.append(_try_proposal(run, place, proposal, proposal.source))
            proposal, faults = tried[-1].proposal, tried[-1].faults
        if not faults or (tried and tried[-1].proposal.source == taken):
            return tried[-1]
        run.notify(MetricRejected(faults[0].message))
        previous = proposal
    tried = [item for item in tried if item.trial.rows]  # the others failed on an episode
    return min(tried, key=_count_faults) if tried else faults[0].message


def _try_proposal(
    run: ActiveRun, place: Path, proposal: MetricProposal, source: str
) -> ProposedMetric:
    """Try a proposal, and note in its folder what came of it."""
    changed = _take_words(run, proposal)
    trial = try_metric(changed, place, source, proposal.words.target_score)
    proposal = _settle_target(place, proposal, trial)
    if trial.has_passed:
        trial = compare_metric(changed, proposal.words, trial)
        write_record(place / TRIAL_FILE, trial)
    proposal = replace(proposal, table=render_table(trial.rows))
    return ProposedMetric(proposal, trial, tuple(list_pictures(run.store, trial)))


def compare_metric(run: ActiveRun, words: MetricWords, trial: T, trained: str = "") -> T:
    """Add what a second call says that sees sentence, criterion and table, and no code.

    It may send the metric back; it scores nothing. Without a model there is none.

    Args:
        run: the run in progress.
        words: criterion and unit of the metric.
        trial: what it says of behaviours.
        trained: what came of a round of trainings on it, where one did.
    """
    critic = run.team.critic
    if not isinstance(critic, LanguageModel):
        return trial
    try:
        with run.ledger.spend("llm"):
            opinion = critic.compare_metric(
                run.shown_card, run.task.description, words, render_table(trial.rows), trained
            ).record
    except ReplayError:  # an earlier version did not ask
        opinion = None
    if opinion is None:
        return trial
    said = "; not measured: ".join(filter(None, (opinion.reason, ", ".join(opinion.missing))))
    findings = trial.findings
    if not opinion.agrees:
        finding = Finding(
            rule="metric/disagrees",
            severity="warning",
            message=f"a second reading of sentence, criterion and table: {said}",
            remedy="measure what the sentence says, and let the criterion say it",
        )
        findings = (finding, *findings)
    changes = {"opinion": said, "agrees": opinion.agrees, "findings": findings}
    return type(trial).model_validate(trial.model_dump() | changes)


def _count_faults(proposed: ProposedMetric) -> tuple[int, int]:
    return len(proposed.doubts), len(proposed.faults)


def _write_proposal(folder: Path, proposal: MetricProposal) -> None:
    if proposal.reply:
        write_text(folder / "reply.md", proposal.reply)
    if proposal.source is not None:
        write_record(folder / WORDS_FILE, proposal.words)
        write_text(folder / METRIC_FILE, proposal.source)


def _settle_target(folder: Path, proposal: MetricProposal, trial: MetricTrial) -> MetricProposal:
    """Return a proposal with the target that its trial found, where that is not the stated one."""
    target = trial.target_score
    if target == proposal.words.target_score or not trial.rows:
        return proposal
    changes = {"target_score": target, "is_bounded": target is not None}
    settled = replace(proposal, words=proposal.words.model_copy(update=changes))
    _write_proposal(folder, settled)
    return settled


def begin_change(
    store: RunStore, metric: Metric, criterion: str, unit: str, words: MetricWords | None = None
) -> None:
    """Note which metric a run is to have from now on; ``change_metric`` does it.

    Without a source nothing is ranked any more.
    """
    known = read_run_metric(store, store.read_run())
    change = MetricChange(
        origin=metric.origin,
        source=metric.source,
        criterion=criterion,
        unit=unit,
        words=words,
        is_scored=metric.source == known.source and not is_changing(store),
    )
    write_record(store.dir / CHANGE_FILE, change)


def is_changing(store: RunStore) -> bool:
    """Whether a change of the metric was begun and has not come to its end."""
    return (store.dir / CHANGE_FILE).is_file()


def change_metric(run: ActiveRun) -> ActiveRun:
    """Make a change that was begun: score every policy again, and return the run with its metric.

    Cut off anywhere, it is made once more; scores that are there already are read.
    """
    store = run.store
    if not is_changing(store):
        return run
    change = read_record(store.dir / CHANGE_FILE, MetricChange)
    words = change.words or NO_WORDS
    told = words.model_copy(update={"criterion": change.criterion, "unit": change.unit})
    task = _describe_task(run, told)
    run = replace(run, metric=Metric(change.source, change.origin), task=task)
    if change.words is not None and not (store.dir / "iterations").is_dir():
        # Nothing is trained yet: how episodes end is still to be decided.
        run = _apply_words(run, change.words)
    changes: dict[str, object] = {
        "metric_origin": change.origin, "task": run.task, "card": run.card,
    }  # fmt: skip
    if not change.is_scored:
        # Scores of another metric are gone, and with them what was concluded from them.
        changes |= {"winner": None, "confirmations": (), "note": "the metric changed"}
    if change.source is None:
        remove(store.dir / METRIC_FILE)
    else:
        write_text(store.dir / METRIC_FILE, change.source)
    store.write_run(store.read_run().model_copy(update=changes))
    if not change.is_scored:
        _evaluate_all(run)
    update_run(run)
    remove(store.dir / CHANGE_FILE)
    run.notify(MetricChosen(change.origin, task.unit))
    return run


def _evaluate_all(run: ActiveRun) -> None:
    """Evaluate every candidate's training anew and rewrite the rounds' records."""
    known: list[Candidate] = []
    for index in run.store.list_iterations():
        iteration = run.store.read_iteration(index)
        candidates = tuple(_evaluate_again(run, item) for item in iteration.candidates)
        known += candidates
        changed = iteration.model_copy(update={"candidates": candidates})
        run.store.write_iteration(changed.rank(known))
    run.background.finish()


def _evaluate_again(run: ActiveRun, candidate: Candidate) -> Candidate:
    training, known = read_entry(run.store, candidate).training, candidate.evaluation
    if known is None or training is None:
        return candidate
    try:
        candidate = evaluate_candidate(run, candidate, training)
    except DataError:  # the new metric fails on it, or its files are spoilt
        unscored = Evaluation(
            total_timesteps=known.total_timesteps,
            seed=known.seed,
            n_episodes=known.n_episodes,
            task_score=None,
            episode_length=known.episode_length,
        )
        candidate = candidate.model_copy(update={"task_score": None, "evaluation": unscored})
    run.notify(Rescored(candidate.id, candidate.task_score))
    return candidate
