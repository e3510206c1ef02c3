"""Translate: a reward in whatever style -> a program: ``TranslateJob`` -> ``TranslateResult``.

What others call is ``run.translate.translate_reward(lab, data, name, folder, recorded)``: it gives
the bytes of a person's file to this job, in the sandbox, and returns the result:

- ``form``: ``"as it is"`` (the file is a program of the reward language), ``"arrays"`` (its reward
  was carried out on arrays without numbers, and what it computes written down), ``"rows"`` (its
  functions are kept word for word and called for one simulation after the other: slow), or None.
- ``program``: the text, which goes the way of any program (check, probe, training).
- ``entry``: which function or class was taken for the reward; ``terms``: the person's names of the
  terms and the program's; ``parity``: what both pay for the same recorded steps, a row for each
  behaviour; ``notes``: what was assumed or left out, for a person to read.
- ``findings``: why it was not taken, by the person's own line, with what to write instead.

Nothing of a person's file runs in the parent, nor are its constants computed there.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from reward_agent.definitions.card import EnvCard
from reward_agent.evaluation.trajectories import Trajectories
from reward_agent.files import read_capped
from reward_agent.records.drafting_jobs import TranslateJob, TranslateResult
from reward_agent.records.job import BEHAVIOURS_FILE, GIVEN_FILE
from reward_agent.rewards.checks import check_program
from reward_agent.rewards.contract import ContractError
from reward_agent.rewards.language import REWARD_ENTRY
from reward_agent.rewards.program import CompiledReward, compile_program
from reward_agent.rewards.source import defines_reward, parse_source
from reward_agent.rewards.trial import roll_out_random_policy
from reward_agent.translation.inputs import Inputs
from reward_agent.translation.oracle import OriginalRun
from reward_agent.translation.parity import (
    RecordedSteps,
    compare,
    cut_stretches,
    is_same,
    pay_ours,
    sample_stretches,
)
from reward_agent.translation.places import Places, find_places
from reward_agent.translation.reading import read_file
from reward_agent.translation.remedies import complete, explain_fault
from reward_agent.translation.rows import write_rows
from reward_agent.translation.values import Untranslatable
from reward_agent.translation.writing import Text, prepare_file, write_arrays
from reward_agent.types import Finding, RewardProgram

_MOST_BYTES = 1_000_000
_PLAIN = "write it as compute_reward(state, action, next_state), over arrays"
_MOST_FINDINGS = 5
# Steps and simulations where nothing was recorded.
_N_STEPS, _N_SIMS = 40, 4


@dataclass(frozen=True)
class Ground:
    """What a file is tried on: where a card holds which number, and steps that were recorded.

    Args:
        card: the card.
        places: which of its fields holds a number of the simulation.
        stretches: the steps.
        runs_python: whether the file itself may run, beside its reading: in the sealed child only.
    """

    card: EnvCard
    places: Places
    stretches: tuple[RecordedSteps, ...]
    runs_python: bool = False


def prepare(job: TranslateJob) -> None:
    """Import what must be imported before the process is sealed."""
    import mujoco.batch  # noqa: F401


def run(job: TranslateJob, job_dir: Path) -> TranslateResult:
    """Translate a file; what cannot be translated is a finding, never an exception."""
    data = read_capped(job_dir / GIVEN_FILE, _MOST_BYTES)
    path = job_dir / BEHAVIOURS_FILE
    recorded = Trajectories.load(path) if path.exists() else None
    stretches = cut_stretches(recorded, job.behaviours) if recorded is not None else None
    ground = find_ground(job.card, job.seed, stretches)
    return translate_file(data, replace(ground, runs_python=True))


def find_ground(card: EnvCard, seed: int, stretches: list[RecordedSteps] | None = None) -> Ground:
    """Return what a file for a card is tried on: random steps, where nothing was recorded."""
    places = find_places(card, seed)
    if stretches is None:
        steps = roll_out_random_policy(card, seed, _N_SIMS, _N_STEPS)
        stretches = sample_stretches(steps, _N_SIMS)
    if places.rest is not None:
        stretches = [*stretches, RecordedSteps("at rest", (places.rest,))]
    return Ground(card, places, tuple(stretches))


def translate_file(data: bytes, ground: Ground) -> TranslateResult:
    """Return what the bytes of a person's file are as a program."""
    try:
        reading = read_file(data)
        parsing = parse_source(reading.text)
        if parsing.source is None:
            return TranslateResult(notes=reading.notes, findings=parsing.findings)
        translator = Translator(ground, parsing.source.tree, reading.text)
        result = translator.translate()
    except (Untranslatable, RecursionError) as error:
        return TranslateResult(findings=(_make_finding(error),))
    return result.model_copy(update={"notes": (*reading.notes, *result.notes)[:50]})


def _make_finding(error: Untranslatable | RecursionError | ContractError) -> Finding:
    """Return why a file is not taken, as a finding."""
    if isinstance(error, RecursionError):
        error = Untranslatable("the file is nested too deeply", "write shorter expressions")
    return Finding(
        rule=error.rule if isinstance(error, ContractError) else "translate/unsure",
        severity="error",
        message=error.message,
        remedy=error.remedy,
        line=error.line,
    )


@dataclass
class Translator:
    """A person's file on its way to a program.

    Args:
        ground: what it is tried on.
        tree: the file.
        text: the file.
    """

    ground: Ground
    tree: ast.Module
    text: str
    findings: list[Finding] = field(default_factory=list)

    def translate(self) -> TranslateResult:
        """Return what the file became.

        Raises:
            Untranslatable: it cannot be translated.
        """
        taken = self._take_as_it_is() if defines_reward(self.tree) else None
        if taken is not None:
            return taken
        _, entries = prepare_file(self.tree, self._make_inputs())
        likely: list[Finding] = []
        orders = self._list_orders()
        for number, entry in enumerate(entries):
            for is_row in orders:
                known = len(self.findings)
                for write in (self._write_arrays, self._write_rows):
                    taken = self._try(number, is_row, write)
                    if taken is not None:
                        return taken.model_copy(update={"entry": entry.name})
                likely += self.findings[known:] if is_row == orders[0] else []
        # Of the likelier reading, what came furthest says best what is in the way.
        furthest = max(likely, key=lambda finding: finding.line or 0)
        is_plain = all(finding.rule == "translate/unsure" for finding in self.findings)
        return TranslateResult(findings=(furthest if is_plain else self.findings[0],))

    def _make_inputs(self, is_row: bool = True) -> Inputs:
        return Inputs(self.ground.card, self.ground.places, is_row)

    def _take_as_it_is(self) -> TranslateResult | None:
        """Return the file itself, where it is a program that can be paid by."""
        report = check_program(RewardProgram(self.text), self.ground.card)
        self.findings += report.errors
        if report.errors:
            return None
        try:
            reward = self._compile(self.text)
            for stretch in self.ground.stretches:
                pay_ours(reward, stretch)
        except ContractError as error:
            # What is wrong with it may be told better by what its lines mean over arrays.
            self.findings += [*self._find_doubts(), _make_finding(error)]
            return None
        terms = {name: name for name in reward.term_names}
        return TranslateResult(
            form="as it is",
            program=self.text,
            entry=REWARD_ENTRY,
            terms=terms,
            findings=tuple(item for item in report.findings if item.severity == "warning"),
        )

    def _find_doubts(self) -> list[Finding]:
        """Return what of a program of ours has no certain meaning over all simulations."""
        try:
            write_arrays(self.tree, 0, self._make_inputs(is_row=False))
        except (Untranslatable, RecursionError) as error:
            return [_make_finding(error)]
        return []

    def _list_orders(self) -> tuple[bool, bool]:
        """Return whether to read the file for one simulation, the likelier first."""
        is_batched = "[:," in self.text or "dim=" in self.text or defines_reward(self.tree)
        return (False, True) if is_batched else (True, False)

    def _write_arrays(self, number: int, inputs: Inputs) -> Text:
        return write_arrays(self.tree, number, inputs)

    def _write_rows(self, number: int, inputs: Inputs) -> Text:
        machine, entries = prepare_file(self.tree, inputs)
        source = write_rows(self.tree, machine, entries[number], inputs)
        note = "called for one simulation after the other, which is slow"
        return Text(source, {"reward": "reward"}, (note,))

    def _try(
        self, number: int, is_row: bool, write: Callable[[int, Inputs], Text]
    ) -> TranslateResult | None:
        """Return one form of one entry, if it can be written and pays the same."""
        inputs = self._make_inputs(is_row)
        try:
            text = write(number, inputs)
            report = check_program(RewardProgram(text.source), self.ground.card)
            self.findings += report.errors
            if not report.errors:
                return self._compare(text, number, inputs, write == self._write_rows)
        except Untranslatable as error:
            self.findings.append(_make_finding(complete(error, self.tree, inputs)))
        except (RecursionError, ContractError) as error:
            self.findings.append(_make_finding(error))
        return None

    def _compare(self, text: Text, number: int, inputs: Inputs, is_rows: bool) -> TranslateResult:
        """Return a form as the result, if it pays what the file pays.

        Raises:
            Untranslatable: it does not, or what the file pays is no number.
        """
        reward = self._compile(text.source)
        original = OriginalRun(self.tree, number, inputs, self.ground.runs_python)
        rows = []
        for stretch in self.ground.stretches:
            expected = original.pay(stretch, reward.has_memory)
            if expected is not None and not np.isfinite(expected).all():
                step = int(np.flatnonzero(~np.isfinite(expected))[0])
                raise explain_fault(original.fault, expected[step], step, stretch.name)
            ours = pay_ours(reward, stretch)
            if expected is not None:
                rows.append(compare(stretch, expected, ours))
            elif is_rows:  # what is kept word for word is worth nothing unless it runs
                raise Untranslatable(f"Python cannot run it: {original.why_not}", _PLAIN)
        different = [row for row in rows if not is_same(row)]
        if different:
            raise Untranslatable(
                f"it pays {different[0].original:.6g} a step, its translation "
                f"{different[0].ours:.6g}: {different[0].steps}",
                _PLAIN,
            )
        lost = f"not compared: Python itself could not run the file: {original.why_not}"
        why = [lost] if original.why_not else []
        return TranslateResult(
            original="the file" if original.is_run else "as read",
            form="rows" if is_rows else "arrays",
            program=text.source,
            terms=dict(text.terms),
            parity=tuple(rows) if original.is_run else (),
            notes=(*text.notes, *why),
        )

    def _compile(self, source: str) -> CompiledReward:
        return compile_program(source, self.ground.card, self.ground.card.learner.gamma)
