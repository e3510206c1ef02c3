"""``open_session``: a person watches policies and says what is wrong, until they are content.

Both front ends are views of this library: what they show is read here, what they do is a method.
A remark or an edit waits until ``work`` runs its round; everything else takes effect at once.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Unpack

from reward_agent.definitions.task import read_metric
from reward_agent.designers.brief import Feedback, HistoryEntry
from reward_agent.designers.history import find_best, read_history
from reward_agent.errors import Interrupted, RewardAgentError, UsageError
from reward_agent.evaluation.wish import WishBaseline
from reward_agent.feedback.metric import MetricView, ScoresOfMetric, try_metric
from reward_agent.feedback.records import (
    Choice,
    Decided,
    Edited,
    Meant,
    MeasuredRemark,
    MetricDecided,
    Noted,
    Opened,
    Preferred,
    Remarked,
    RoundEnded,
    RoundStarted,
)
from reward_agent.feedback.rounds import (
    choose_round_index,
    describe_round,
    make_feedback,
    measure_remark,
    measure_watched,
    run_round,
)
from reward_agent.feedback.state import SessionState, make_shown, place_watched
from reward_agent.feedback.wishes import Question, describe_measured, find_measured
from reward_agent.records.disk import read_record
from reward_agent.records.events import Listener, RoundAnswered, SessionOpened, WishMeasured, ignore
from reward_agent.records.job import RESULT_FILE
from reward_agent.records.options import RunOptions
from reward_agent.records.outcomes import FINISHED, INTERRUPTED, Outcome
from reward_agent.records.scoring_jobs import EvaluateResult
from reward_agent.records.store import Winner
from reward_agent.rewards.checks import check_program
from reward_agent.run.active import ActiveRun, Metric, write_results
from reward_agent.run.drawing import film
from reward_agent.run.estimate import expect_round
from reward_agent.run.handover import make_winner
from reward_agent.run.judge import judge_policy
from reward_agent.run.metric import begin_change, change_metric, is_changing
from reward_agent.run.open import HeldRun, open_run
from reward_agent.run.resume import take_up
from reward_agent.run.retrial import keep_metric
from reward_agent.run.spending import Agree, agree_to_spend
from reward_agent.run.trial import try_own_metric
from reward_agent.types import CheckReport, RewardProgram

MAX_CANDIDATES = 3
_BY_WISH = "by a person's wish"


class Session(SessionState):
    """A feedback session over one run, which ``open_session`` holds."""

    def __init__(self, held: HeldRun, agree: Callable[[], None] = lambda: None) -> None:
        super().__init__(held.store)
        self._held, self._agree = held, agree
        self._work, self._answers = threading.Lock(), threading.Lock()
        self._running: ActiveRun | None = None
        self._is_stopped = threading.Event()

    # --- what a person does -----------------------------------------------------------------------

    def remark(self, description: str, wish: str = "", about: str = "") -> Remarked:
        """Say what is wrong with a policy; ``work`` runs the round that answers.

        Args:
            description: what the person saw.
            wish: what they want to see instead.
            about: the candidate; the current one by default.
        """
        if not (description.strip() or wish.strip()):
            raise UsageError("the remark is empty", "say what you saw, or what you wish")
        watched = self.find(about) if about else self.need_current()
        self.see_that_it_is_agreed()
        return self.log.append(
            Remarked,
            candidate=watched.candidate.id,
            description=description.strip() or wish.strip(),
            wish=wish.strip() if description.strip() else "",
        )

    def mean(self, question: Question, measure: str) -> None:
        """Say which measure the words of a remark mean; '' leaves that point out."""
        names = [item.name for item in question.point.measures]
        if measure and measure not in names:
            raise UsageError(f"{measure!r} is no measure of it", f"one of {', '.join(names)}")
        self.log.append(Meant, remark=question.remark, point=question.index, measure=measure)

    def check(self, program: str) -> CheckReport:
        """Return the findings of the static rules on a program."""
        return check_program(RewardProgram(program), self.run.card)

    def edit(self, parent: str, program: str) -> CheckReport:
        """Hand in a changed program; ``work`` trains it if the rules accept it.

        Returns:
            The findings; with an error among them nothing was recorded.
        """
        entry = self.find(parent)
        report = self.check(program)
        if entry.program is not None and entry.program.source.strip() == program.strip():
            raise UsageError(f"the program of {parent} is unchanged", "change it, then train it")
        if report.is_accepted:
            self.see_that_it_is_agreed()
            self.log.append(Edited, parent=entry.candidate.id, program=program)
        return report

    def prefer(self, a: str, b: str, choice: Choice, question: int | None = None) -> Preferred:
        """Record which of two policies the person prefers.

        Args:
            a: one of them.
            b: the other.
            choice: the answer.
            question: how many answers there were when the pair was shown. If that pair was answered
                since, in another tab or by a second click, that answer stays and this is none.
        """
        first, second = self.find(a).candidate.id, self.find(b).candidate.id
        if first == second:
            raise UsageError(f"{first} cannot be compared with itself", "name two candidates")
        with self._answers:
            since = self.log.list(Preferred)[question:] if question is not None else []
            known = next((item for item in since if {item.a, item.b} == {first, second}), None)
            return known or self.log.append(Preferred, a=first, b=second, choice=choice)

    def note(self, text: str) -> Noted:
        """Keep a note; the Designer reads it with the next remark."""
        if not text.strip():
            raise UsageError("the note is empty", "write something")
        return self.log.append(Noted, text=text.strip())

    def choose(self, name: str) -> None:
        """Go on from a candidate: words change it from now on."""
        self.log.append(Decided, candidate=self.find(name).candidate.id, verdict="chosen")

    def reject(self, name: str) -> None:
        """Reject a candidate: it is no longer the current one, nor compared."""
        self.log.append(Decided, candidate=self.find(name).candidate.id, verdict="rejected")

    def accept(self, name: str = "") -> Winner:
        """Accept a candidate, the current one by default: it becomes the run's result.

        ``reward.py``, the winner in ``run.json`` and the report are made anew.
        """
        self.settle_metric()
        entry = self.find(name) if name else self.need_current()
        candidate = entry.candidate
        self.log.append(Decided, candidate=candidate.id, verdict="accepted")
        winner = self.run.winner
        if winner is None or winner.candidate != candidate.id:
            # By the policy that the person watched: that of the run's seed.
            winner = make_winner(self.store, candidate, self._held.settings.seed)
        changes = {"winner": winner, "status": "finished", "note": "accepted by a person"}
        write_results(self.store, self.run.model_copy(update=changes))
        return winner

    # --- the metric -------------------------------------------------------------------------------

    def try_metric(self, source: str) -> ScoresOfMetric:
        """Score what was recorded by a metric, without adopting it."""
        with self._activate() as active:
            return try_metric(active, source, self.list_trained())

    def accept_metric(self) -> None:
        """Take the metric that the Designer proposed, as it is, whatever a round said of it."""
        view = self._need_proposal()
        keep_metric(self.store)
        self._adopt("accepted", replace(view, origin="proposed: accepted"))

    def edit_metric(self, source: str) -> ScoresOfMetric:
        """Take the proposed metric with a person's changes, if it can score what was recorded.

        It stays generated code: it runs sandboxed, apart from the policies.
        """
        view = self._need_proposal()
        trial = self.try_metric(source)
        if not trial.refusal:
            self._adopt("edited", replace(view, source=source, origin="proposed: edited"))
        return trial

    def replace_metric(self, path: Path) -> None:
        """Take a ``metric.py`` of the person's own, which is trusted."""
        source, unit = read_metric(path), self.run.task.unit
        with self._activate() as active:
            try_own_metric(active, source, f"correct {path.name} and replace it again")
        self._adopt("replaced", MetricView("file", source, "", f"as {path.name} says", unit))

    def reject_metric(self) -> None:
        """Do without the proposed metric: nothing is ranked but by preferences."""
        self._adopt("rejected", replace(self._need_proposal(), source="", origin="none"))

    def _adopt(self, verdict: str, view: MetricView) -> None:
        metric = Metric(view.source or None, view.origin)
        with self._activate() as active:
            self.log.append(MetricDecided, verdict=verdict, metric_sha256=metric.sha256)
            begin_change(self.store, metric, view.criterion, view.unit, view.words)
            change_metric(active)

    def settle_metric(self) -> None:
        """Make the change of the metric that was decided, where it was cut off."""
        if is_changing(self.store):
            with self._activate(waits=True) as active:
                change_metric(active)

    def _need_proposal(self) -> MetricView:
        view = self.metric
        if not view.is_proposed:
            raise UsageError(
                f"run {self.run.id} has no metric of the Designer's (it has: {view.origin})",
                "only a proposed metric is accepted, edited or rejected",
            )
        return view

    # --- rounds -----------------------------------------------------------------------------------

    def work(self) -> list[RoundEnded]:
        """Run the rounds that wait, one after the other; a round that was cut off goes on.

        Returns:
            How each ended; a round that failed is an outcome.

        Raises:
            Interrupted: by Ctrl-C; the round goes on when the session is opened again.
        """
        self.settle_metric()
        if self.waiting:
            self.see_that_it_is_agreed()
        for entry in self.waiting:
            if (
                isinstance(entry, Remarked)
                and find_measured(self.log.entries, entry.number) is None
            ):
                self._measure(entry)
        ended = []
        while cause := self._find_next():
            ended.append(self._answer(cause))
        return ended

    def see_that_it_is_agreed(self) -> None:
        """Ask, once in a session, whether its rounds may cost money that no limit bounds.

        Raises:
            Interrupted: they may not.
            UsageError: nobody can be asked.
        """
        self._agree()
        self._agree = lambda: None

    def _find_next(self) -> Remarked | Edited | None:
        """Return the oldest that waits for a round, and not for the person's answer."""
        asked = {question.remark for question in self.questions}
        return next((entry for entry in self.waiting if entry.number not in asked), None)

    def _measure(self, remark: Remarked) -> None:
        """Say in numbers what a remark wishes, on the policy that the person watched."""
        with self._activate(waits=True) as active:
            found = measure_remark(active, self.find(remark.candidate), remark)
        proposal = found.proposal
        measured = self.log.append(
            MeasuredRemark,
            remark=remark.number,
            source=proposal.source,
            wish=proposal.wish,
            values=dict(found.values),
            reason=found.reason,
        )
        lines = describe_measured(self.log.entries, measured)
        self._held.listen(WishMeasured(tuple(lines)))

    def describe_round(self, n_programs: int | None = None) -> str:
        """Say what a round does, and about how long that takes; by default that of a remark."""
        settings = self._held.settings
        n_programs = n_programs or settings.candidates
        return describe_round(self.list_trained(), settings, n_programs)

    def stop(self) -> None:
        """Stop the round that is running; it ends as ``stopped by the person``."""
        if self._running is not None:
            self._is_stopped.set()
            self.interrupt()

    def interrupt(self) -> None:
        """Cut off the round that is running; it goes on when the session is opened again."""
        active = self._running
        if active is not None:
            active.executor.close()

    def judge(self) -> None:
        """Let a model that sees watch the films that it has not seen, as the settings say.

        Those are the current one, or all; where there is no metric, all from which ratings start.
        """
        setting = self._held.settings.judge
        if self._held.team.judge is None:
            return
        self.see_that_it_is_agreed()
        in_front = [self.current] if self.current else []
        is_all = setting == "all" or not self.has_metric
        with self._activate() as active:
            for entry in self.list_trained() if is_all else in_front:
                judge_policy(active, entry.candidate, self._held.settings.seed)

    def film(self, name: str) -> str:
        """Film a candidate that has no blind video; return why there is none in the end, if so.

        A policy that a race stopped, or one of a run without videos, is filmed only when somebody
        wants to see it.
        """
        candidate = self.find(name).candidate
        if self.find_film(name, is_blind=True) is not None:
            return ""
        folder = place_watched(self.store, self.run, candidate)
        if not (folder / RESULT_FILE).is_file():
            return f"{candidate.id} has no policy to watch: {candidate.outcome}"
        with self._activate() as active:
            evaluated = read_record(folder / RESULT_FILE, EvaluateResult)
            return film(active, folder, evaluated).video_note

    @contextmanager
    def _activate(self, *, waits: bool = False) -> Iterator[ActiveRun]:
        """Work on the run; a round, a film and a metric each write records, one at a time."""
        if not self._work.acquire(blocking=waits):
            raise UsageError(
                "a round, a film or the scores of a metric are under way",
                "wait for the end, or stop the round",
            )
        try:
            with self._held.activate() as active:
                yield active
        finally:
            self._work.release()

    def _answer(self, cause: Remarked | Edited) -> RoundEnded:
        started = self._start(cause)
        outcome = FINISHED
        with self._activate(waits=True) as active:
            self._running = active
            try:
                name = cause.candidate if isinstance(cause, Remarked) else cause.parent
                watched = self.find(name).candidate
                baseline = measure_watched(active, watched, self.log.entries, cause)
                feedback = self._tell(cause, baseline)
                run_round(active, started, cause, feedback, self._find_best(), baseline)
            except (Interrupted, KeyboardInterrupt):
                if not self._is_stopped.is_set():
                    raise Interrupted(
                        "the round was cut off",
                        f"`reward-agent feedback {self.store.dir.name}` goes on with it",
                    ) from None
                outcome = INTERRUPTED
            except RewardAgentError as error:
                outcome = Outcome(kind="failed", detail=error.message)
            finally:
                self._running = None
                self._is_stopped.clear()
        number, after = started.iteration, []
        if outcome.kind == "finished":
            candidates = self.store.read_iteration(number).candidates
            after = [make_shown(self.store, candidate) for candidate in candidates]
            self._name_better(number)
        ended = self.log.append(RoundEnded, iteration=number, outcome=outcome, after=after)
        self._held.listen(RoundAnswered(number, outcome))
        return ended

    def _name_better(self, iteration: int) -> None:
        """Note in the run's record which answer is better than what the person watched."""
        entries = [e for e in self.list_trained() if e.candidate.iteration == iteration]
        best = min((e.wish for e in entries if e.wish), key=lambda wish: wish.rank, default=None)
        if best is not None and best.verdict == "better" and self.run.status == "finished":
            note = (
                f"{best.candidate} is better than {best.before} {_BY_WISH}; "
                f"`{self.store.feedback_command} --accept {best.candidate}` makes it the result"
            )
            known = self.run.note
            # One of an earlier round gives way.
            ended = known.rpartition(" · ")[0] if _BY_WISH in known else known
            note = " · ".join(filter(None, [ended, note]))
            write_results(self.store, self.run.model_copy(update={"note": note}))

    def _start(self, cause: Remarked | Edited) -> RoundStarted:
        """Begin a round, or take up the one that was cut off."""
        open_rounds = [item for item in self.log.list(RoundStarted) if item.cause == cause.number]
        if open_rounds:
            return open_rounds[-1]
        name = cause.candidate if isinstance(cause, Remarked) else cause.parent
        return self.log.append(
            RoundStarted,
            iteration=choose_round_index(self.store),
            cause=cause.number,
            n_candidates=1 if isinstance(cause, Edited) else self._held.settings.candidates,
            before=make_shown(self.store, self.find(name).candidate),
        )

    def _tell(self, cause: Remarked | Edited, baseline: WishBaseline) -> Feedback:
        standings: list[str] = []
        if not self.has_metric:
            standings = [
                f"By these preferences {item.candidate} has the rating {item.mean:.2f} "
                f"({item.low:.2f} … {item.high:.2f}); 0 is just acceptable."
                for item in self.rate()
                if item.n_answers
            ]
        return make_feedback(self.log.entries, cause.number, standings, baseline.describe())

    def _find_best(self) -> HistoryEntry | None:
        """Return what a round builds on: the best by score or by ratings."""
        if self.has_metric:
            return find_best(read_history(self.store))
        rated = [item.entry for item in self.rank() if item.rating and item.rating.n_answers]
        return rated[0] if rated else self.current


@contextmanager
def open_session(
    name: str,
    *,
    env: str | None = None,
    runs_dir: Path | None = None,
    listen: Listener = ignore,
    front_end: str = "library",
    agree: Agree | None = None,
    environ: Mapping[str, str] | None = None,
    **options: Unpack[RunOptions],
) -> Iterator[Session]:
    """Open a feedback session over a finished or paused run.

    Args:
        name: the run's id, the start of it, its path, or ``last``.
        env: the folder of its environment, where that is none of those here.
        runs_dir: where runs lie.
        listen: receives every event of the rounds.
        front_end: who opens it, for the record.
        agree: asked before the first call of a session that may cost money without a limit.
        environ: environment variables; the process's own by default.
        options: settings that change, such as ``provider``; ``candidates`` are those of a round,
            ``steps`` the env steps of each of its trainings.

    Raises:
        UsageError: another process works on the run, or a setting cannot change.
    """
    environ = os.environ if environ is None else environ
    n_candidates, steps = options.pop("candidates", None), options.pop("steps", None)
    taken = take_up(name, runs_dir, env, options, environ)
    settings = taken.resolved.settings
    n_candidates = n_candidates or min(MAX_CANDIDATES, settings.candidates)
    of_rounds = {"candidates": n_candidates, "steps": steps or settings.steps}
    settings = settings.model_copy(update=of_rounds)
    with open_run(taken.store, settings, lambda _: taken.read(), listen, environ) as held:
        session = Session(held, partial(_agree, held, environ, agree))
        session.settle_metric()
        session.log.append(Opened, front_end=front_end, designer=held.team.description)
        listen(SessionOpened(held.team.introduction, session.run.task.unit))
        if held.disclosed is not None:
            listen(replace(held.disclosed, what=(*held.disclosed.what, "your feedback")))
        session.judge()
        try:
            yield session
        finally:
            session.interrupt()


def _agree(held: HeldRun, environ: Mapping[str, str], agree: Agree | None) -> None:
    """Ask about the rounds of a session, by what one of them costs."""
    record, settings = held.store.read_run(), held.settings
    expect = partial(expect_round, settings, environ, record.card, record.task)
    agree_to_spend(settings, environ, agree, expect)
