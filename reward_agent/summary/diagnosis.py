"""A diagnosis of a reward: what it pays for, term by term, and what to change first."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from reward_agent.evaluation.statistics import correlate
from reward_agent.records.store import GivenReward
from reward_agent.rewards.pay import render_pay
from reward_agent.summary.diagnostics import Diagnosis
from reward_agent.summary.faults import PayEvidence, find_faults, list_remarks
from reward_agent.text import format_number, format_share, render_table
from reward_agent.types import Analysis, FileRecord, Finite, OneLine, ProbeReport, Record, TermName

# Rules on a trained policy that say what a fault says in other words.
_SAID_BY_FAULTS = ("paid for noise",)


class TermPay(Record):
    """One term of a diagnosed reward: pay of an episode, and of a step."""

    name: TermName
    weight: Finite | None = Field(None, description="as the program's text has it")
    share_in_training: Finite | None = Field(
        None, description="of all pay, in its last third, with noise"
    )
    share: Finite = Field(description="of all pay, of the policy at its end, without noise")
    pay_in_training: Finite | None = Field(None, description="of an episode at its end")
    pay: Finite = Field(description="of an episode of that policy")
    step_min: Finite | None = None
    step_mean: Finite | None = None
    step_max: Finite | None = None
    lowest: Finite | None = Field(None, description="pay of a step in any state tried")
    highest: Finite | None = None
    agreement: Finite | None = Field(
        None, description="rank correlation with the task score, of changes over training"
    )


class RewardDiagnosis(FileRecord):
    """``diagnosis.json``: what came of one training with a person's reward."""

    reward: GivenReward
    env: str
    task: str = ""
    unit: str = ""
    algo: str = ""
    steps: int = 0
    max_episode_steps: int
    headline: str
    faults: tuple[Diagnosis, ...] = Field((), description="of what it pays, the gravest first")
    seen: tuple[Diagnosis, ...] = Field((), description="in the trained policy, by other rules")
    remarks: tuple[OneLine, ...] = ()
    change_first: str = Field("", description="by the rules")
    terms: tuple[TermPay, ...] = ()
    probe: ProbeReport | None = None
    episode_length: Finite | None = Field(None, description="of the trained policy")
    pay: Finite | None = Field(None, description="of an episode of it")
    task_score: Finite | None = None
    agreement: Finite | None = Field(
        None, description="rank correlation of return and task score over training"
    )
    analysis: Analysis | None = Field(None, description="a model's opinion")


def make_diagnosis(
    reward: GivenReward, evidence: PayEvidence, analysis: Analysis | None = None
) -> RewardDiagnosis:
    """Return what the evidence of one training says of a reward."""
    faults = find_faults(evidence)
    seen = tuple(d for d in evidence.summary.diagnoses if d.name not in _SAID_BY_FAULTS)
    remarks = tuple(list_remarks(evidence))
    summary, task = evidence.summary, evidence.task
    return RewardDiagnosis(
        reward=reward,
        env=evidence.card.name,
        task=task.name if task else "",
        unit=task.unit if task else "",
        algo=evidence.card.learner.algo,
        steps=evidence.training.total_timesteps,
        max_episode_steps=evidence.card.max_episode_steps,
        headline=_make_headline(faults),
        faults=faults,
        seen=seen,
        remarks=remarks,
        change_first=faults[0].advice if faults else "",
        terms=tuple(_list_terms(evidence)),
        probe=evidence.probe,
        episode_length=summary.best.episode_length,
        pay=evidence.policy_pay,
        task_score=summary.best.task_score,
        agreement=_find_agreement(evidence),
        analysis=analysis,
    )


def refuse_reward(
    reward: GivenReward, evidence_of: ProbeReport | str, env: str, max_steps: int, names: list[str]
) -> RewardDiagnosis:
    """Return the diagnosis of a reward that cannot be trained, with what it broke.

    Args:
        reward: what was given.
        evidence_of: the probe that refused it, or why its training failed.
        env: name of the environment.
        max_steps: longest episode of it.
        names: of its terms, as far as they are known.
    """
    if isinstance(evidence_of, ProbeReport):
        first = evidence_of.errors[0]
        message, remedy, rule = first.message, first.remedy, first.rule
    else:
        message, remedy, rule = evidence_of, "mend that, and diagnose again", ""
    is_number = rule != "contract/not-finite" and " is nan" not in message
    own = tuple(name for name in names if repr(name) in message)[:1]
    fault = Diagnosis(
        name="breaks when it is run" if is_number else "a term is not a number",
        meaning="nothing can be trained with it",
        evidence=f"{own[0]}: {message}" if own else message,
        advice=remedy or "mend that, and diagnose again",
        terms=own,
    )
    return RewardDiagnosis(
        reward=reward,
        env=env,
        max_episode_steps=max_steps,
        headline=_make_headline((fault,)),
        faults=(fault,),
        change_first=fault.advice,
        probe=evidence_of if isinstance(evidence_of, ProbeReport) else None,
    )


def _make_headline(faults: tuple[Diagnosis, ...]) -> str:
    """Return the first line: the gravest fault and its term, and what else that term does."""
    if not faults:
        return "no fault found in what it pays"
    first = faults[0]
    same = [other.name for other in faults[1:] if set(other.terms) & set(first.terms)]
    also = f"; {first.terms[0]} also: {', '.join(same)}" if same else ""
    return f"{first.name}: {first.evidence}{also}"


def _list_terms(e: PayEvidence) -> Iterator[TermPay]:
    curves = {curve.name: curve for curve in e.training.terms}
    shares = e.shares
    for term in e.summary.terms:
        scale, curve, written = e.scales.get(term.name), curves.get(term.name), e.written
        yield TermPay(
            name=term.name,
            weight=written[term.name].weight if term.name in written else None,
            share_in_training=shares.get(term.name),
            share=term.share,
            pay_in_training=curve.points[-1].pay_per_episode if curve and curve.points else None,
            pay=term.pay_mean,
            step_min=term.step_min,
            step_mean=term.step_mean,
            step_max=term.step_max,
            lowest=scale.lowest if scale else None,
            highest=scale.highest if scale else None,
            agreement=term.training_correlation,
        )


def _find_agreement(e: PayEvidence) -> float | None:
    points = [
        (point.generated_return, point.task_score)
        for point in e.summary.course
        if point.generated_return is not None and point.task_score is not None
    ]
    returns, scores = ([point[side] for point in points] for side in (0, 1))
    return correlate(returns, scores) if len(points) > 2 else None


# --- in words -------------------------------------------------------------------------------------


def render_diagnosis(diagnosis: RewardDiagnosis) -> str:
    """Return a diagnosis as plain text; its first line names the most important fault."""
    sections = [[diagnosis.headline]]
    if diagnosis.change_first:
        sections[0].append(f"change first: {diagnosis.change_first}")
    if diagnosis.analysis and not diagnosis.analysis.asks_for_nothing:
        sections[0].append(f"the model's opinion: {diagnosis.analysis.next_change}")
    for title, found in (
        ("also", diagnosis.faults[1:]),
        ("seen in the trained policy, by other rules", diagnosis.seen),
    ):
        if found:
            told = (f"- {d.name}: {d.evidence}. What helps: {d.advice}." for d in found)
            sections.append([f"{title}:", *told])
    if diagnosis.terms:
        sections.append([_say_policy(diagnosis), render_term_pay(diagnosis)])
    table = render_pay(diagnosis.probe) if diagnosis.probe else ""
    if table:
        sections.append(["what takes no skill earns, an episode:", table])
    if diagnosis.remarks:
        sections.append([f"note: {remark}" for remark in diagnosis.remarks])
    return "\n\n".join("\n".join(lines) for lines in sections)


def _say_policy(d: RewardDiagnosis) -> str:
    score = f", task score {format_number(d.task_score)} {d.unit}".rstrip() if d.task else ""
    agreement = (
        f"; return and task score over training: rank correlation {d.agreement:+.2f}"
        if d.agreement is not None
        else ""
    )
    return (
        f"after {d.steps:,} env steps with {d.algo}, without noise an episode lasts "
        f"{format_number(d.episode_length)} of {d.max_episode_steps} steps and pays "
        f"{format_number(d.pay)}{score}{agreement}"
    )


def render_term_pay(diagnosis: RewardDiagnosis) -> str:
    """Return what each term pays as a table of plain text."""
    header = ["term", "weight", "in training", "share", "without noise", "share"]
    header += ["a step min/mean/max", "in any state", "r(score)"]
    rows = [
        [
            term.name,
            format_number(term.weight),
            format_number(term.pay_in_training),
            format_share(term.share_in_training),
            format_number(term.pay),
            format_share(term.share),
            " / ".join(map(format_number, (term.step_min, term.step_mean, term.step_max))),
            f"{format_number(term.lowest)} … {format_number(term.highest)}",
            "-" if term.agreement is None else f"{term.agreement:+.2f}",
        ]
        for term in diagnosis.terms
    ]
    return render_table(header, rows)
