"""Diagnose: one training of a person's reward, and what it pays for, term by term."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Unpack

from reward_agent.definitions.card import EnvCard, load_env
from reward_agent.definitions.paths import find_runs_dir
from reward_agent.definitions.task import TaskSpec, apply_task, resolve_task
from reward_agent.designers.brief import DesignBrief, HistoryEntry
from reward_agent.designers.preview import Subject
from reward_agent.designers.roles import Analyzer
from reward_agent.designers.team import make_team
from reward_agent.errors import DataError
from reward_agent.evaluation.trajectories import Trajectories
from reward_agent.records.disk import write_record, write_text
from reward_agent.records.job import BEHAVIOURS_DIR, PROGRAM_FILE, TRAJECTORIES_FILE
from reward_agent.records.options import RunOptions
from reward_agent.records.outcomes import TRAINED
from reward_agent.records.scoring_jobs import EvaluateResult
from reward_agent.records.settings import RunSettings
from reward_agent.records.store import (
    DIAGNOSIS_FILE,
    DIAGNOSIS_PAGE,
    Candidate,
    make_run_dir,
    name_candidate,
)
from reward_agent.report.page import render_diagnosis_page
from reward_agent.rewards.checks import check_program
from reward_agent.rewards.terms import read_terms
from reward_agent.run.active import NO_METRIC, Lab, try_own_card
from reward_agent.run.behaviours import record_behaviours, score_behaviours
from reward_agent.run.estimate import expect_analysis
from reward_agent.run.evaluate import (
    EVALUATION_SEED,
    EvaluationPlan,
    evaluate_policies,
    explore,
    relabel,
)
from reward_agent.run.given import GIVEN_IDEA, ORIGINAL_FILE, TakenReward, take_rewards
from reward_agent.run.probe import Recordings, run_probe
from reward_agent.run.single import Progress, choose_metric, open_lab, resolve
from reward_agent.run.spending import Agree, agree_to_spend
from reward_agent.run.train import make_training, name_finish
from reward_agent.summary.diagnosis import RewardDiagnosis, make_diagnosis, refuse_reward
from reward_agent.summary.faults import PayEvidence
from reward_agent.summary.summary import render_summary, summarise
from reward_agent.types import Analysis, ProbeReport, TrainingResult

_NO_TASK = "Whatever the reward pays for; no task was named."


@dataclass(frozen=True)
class Diagnosed:
    """A diagnosis, and the folder that holds its evidence and its page."""

    diagnosis: RewardDiagnosis
    folder: Path

    @property
    def page(self) -> Path:
        """The page to keep."""
        return self.folder / DIAGNOSIS_PAGE


def diagnose(
    file: Path | str,
    env: str,
    *,
    task: str | None = None,
    metric: Path | None = None,
    folder: Path | None = None,
    on_progress: Progress | None = None,
    agree: Agree | None = None,
    environ: Mapping[str, str] | None = None,
    **options: Unpack[RunOptions],
) -> Diagnosed:
    """Train a person's reward once and say, term by term, what it pays for.

    Args:
        file: the reward, in whatever style.
        env: name or folder of the environment.
        task: what it is for, if its score is to be compared: a task's name, or a sentence with a
            ``metric``.
        metric: a ``metric.py`` of your own.
        folder: where the evidence is kept; a new folder under ``./runs`` by default.
        on_progress: receives each row of the training's progress.
        agree: asked before calls that may cost money without a limit; by default nobody is.
        environ: environment variables; the process's own by default.
        options: settings by the names of ``RunSettings``; with a ``provider`` that is a language
            model, its Analyzer says what to change, too.

    Raises:
        RefusedError: the reward cannot be taken.
    """
    card, spec = load_env(env), None
    if task is not None:
        spec = resolve_task(card, task)
        card = apply_task(card, spec)
    if options.get("preset") is None:
        options["preset"] = "quick"
    settings = resolve(card, options, asks=True)
    environ = os.environ if environ is None else environ
    if settings.provider is not None:
        subject = Subject(card, spec or _make_no_task(card))
        expect = partial(expect_analysis, settings, environ, subject)
        agree_to_spend(settings, environ, agree, expect, {"analyzer"})
    card = card.choose_learner(settings.algo)
    card.check_learner()
    card.learner.require()
    [taken] = take_rewards([Path(file)], card, settings, takes_broken=True)
    stem = Path(file).stem
    folder = folder or make_run_dir(find_runs_dir(), card.name, stem, ending="_diagnose")
    folder = folder.absolute()
    scored_by = NO_METRIC if spec is None else choose_metric(card, spec, metric)
    with (
        _open_analyzer(settings, folder, environ) as analyzer,
        open_lab(card, settings, scored_by) as lab,
    ):
        try_own_card(lab)
        examined = _Examination(lab, spec, taken, folder, on_progress, analyzer)
        diagnosis, entry = examined.diagnose()
    write_record(folder / DIAGNOSIS_FILE, diagnosis)
    write_text(folder / DIAGNOSIS_PAGE, render_diagnosis_page(diagnosis, entry))
    return Diagnosed(diagnosis, folder)


@dataclass(frozen=True)
class _Examination:
    """One reward under examination, in its folder."""

    lab: Lab
    task: TaskSpec | None
    taken: TakenReward
    folder: Path
    on_progress: Progress | None
    analyzer: Analyzer | None

    @property
    def spec(self) -> TaskSpec:
        """The task, or one that asks for nothing."""
        return self.task or _make_no_task(self.lab.card)

    def diagnose(self) -> tuple[RewardDiagnosis, HistoryEntry]:
        """Probe, train, evaluate and judge it."""
        write_text(self.folder / PROGRAM_FILE, self.taken.program.source)
        write_text(self.folder / ORIGINAL_FILE, self.taken.original)
        probe = self._probe()
        entry = self._make_entry(probe)
        if not probe.is_accepted:
            return self._refuse(probe), entry
        training, why = self._train()
        if training is None:
            return self._refuse(why), entry
        evidence, entry = self._gather(probe, training, entry)
        write_record(self.folder / "summary.json", evidence.summary)
        write_text(self.folder / "summary.md", entry.summary_text)
        analysis = self._ask(entry)
        entry = replace(entry, analysis=analysis)
        return make_diagnosis(self.taken.record, evidence, analysis), entry

    def _make_entry(self, probe: ProbeReport) -> HistoryEntry:
        program = self.taken.program
        candidate = Candidate(
            id=name_candidate(GIVEN_IDEA.name, 0),
            index=0,
            idea=GIVEN_IDEA.name,
            iteration=0,
            origin=self.taken.record.file,
            outcome=TRAINED,
            program_sha256=program.sha256,
        )
        check = check_program(program, self.lab.card)
        return HistoryEntry(candidate, program, check=check, probe=probe)

    def _refuse(self, why: ProbeReport | str) -> RewardDiagnosis:
        names = [term.name for term in read_terms(self.taken.program.source)]
        card = self.lab.card
        return refuse_reward(self.taken.record, why, card.name, card.max_episode_steps, names)

    def _probe(self) -> ProbeReport:
        recorded = record_behaviours(self.lab, self.folder / BEHAVIOURS_DIR)
        recordings = Recordings(
            behaviours=recorded,
            known=score_behaviours(self.lab, recorded),
            target_score=self.spec.target_score,
        )
        return run_probe(self.lab, self.taken.program, self.folder / "probe", recordings)

    def _train(self) -> tuple[TrainingResult | None, str]:
        """Return the training; None, and why, where the program failed in it."""
        settings = self.lab.settings
        request = make_training(
            self.lab,
            self.taken.program,
            self._training_dir,
            settings.seed,
            until=settings.steps,
            is_recorded=True,
        )
        tell = self.on_progress
        report = None if tell is None else lambda _, row: tell(row)
        [job_exit] = self.lab.executor.map([request], report)
        finish = name_finish(job_exit)
        if finish.result is None or finish.has_failed:
            return None, f"in the training: {finish.outcome.detail or finish.outcome}"
        if not finish.result.snapshots:
            raise DataError("the training left no policy", "give it more --steps")
        return finish.result, ""

    @property
    def _training_dir(self) -> Path:
        return self.folder / "training"

    def _gather(
        self, probe: ProbeReport, training: TrainingResult, entry: HistoryEntry
    ) -> tuple[PayEvidence, HistoryEntry]:
        """Evaluate the course of a training and the policy at its end, and summarise that."""
        evaluated, lab = self._evaluate(training), self.lab
        place = self.folder / "evaluation"
        relabelled = relabel(lab, self.folder / "relabel", place, self.taken.program)
        summary = summarise(
            lab.card,
            self.spec,
            training,
            evaluated,
            Trajectories.load(place / TRAJECTORIES_FILE),
            relabelled,
            exploration=explore(lab, self.folder / "explore", self._training_dir, training),
        )
        evidence = PayEvidence(
            lab.card,
            self.task,
            probe,
            training,
            summary,
            relabelled.term_ends if relabelled else {},
            {term.name: term for term in read_terms(self.taken.program.source)},
        )
        best = evaluated.best
        candidate = entry.candidate.model_copy(
            update={
                "evaluation": best,
                "task_score": best.task_score,
                "total_timesteps": training.total_timesteps,
            }
        )
        entry = replace(
            entry,
            candidate=candidate,
            training=training,
            curve=evaluated.curve,
            summary=summary,
            summary_text=render_summary(summary),
        )
        return evidence, entry

    def _evaluate(self, training: TrainingResult) -> EvaluateResult:
        """Return the scores of the course, and of the policy at its end, which it paid for."""
        settings, last = self.lab.settings, training.snapshots[-1:]
        seed = EVALUATION_SEED + settings.seed
        plan = EvaluationPlan(self.folder / "evaluation", seed, settings.eval_episodes)
        evaluated = evaluate_policies(self.lab, self._training_dir, last, plan)
        if self.lab.metric.source is None:
            return evaluated
        plan = EvaluationPlan(self.folder / "course", seed, 1, is_kept=False)
        course = evaluate_policies(self.lab, self._training_dir, training.snapshots, plan)
        return evaluated.model_copy(update={"curve": course.curve})

    def _ask(self, entry: HistoryEntry) -> Analysis | None:
        """Let a language model say what to change, where the person named one."""
        if self.analyzer is None:
            return None
        card, steps = self.lab.card.for_designer, self.lab.settings.steps
        brief = DesignBrief(card, self.spec, GIVEN_IDEA, steps=steps)
        return self.analyzer.analyse(brief, entry).record


@contextmanager
def _open_analyzer(
    settings: RunSettings, folder: Path, environ: Mapping[str, str]
) -> Iterator[Analyzer | None]:
    """Give who explains the training; None where the person named nobody who can."""
    if settings.provider is None:
        yield None
        return
    team = make_team(settings, folder, environ, threading.Event())
    try:
        yield team.analyzer
    finally:
        team.budget.close()


def _make_no_task(card: EnvCard) -> TaskSpec:
    return TaskSpec(name="no_task", env=card.name, description=_NO_TASK)
