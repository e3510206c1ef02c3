"""Rewards with a planted fault, and healthy ones: what the rules say of recorded trainings.

Each line of ``data/faults.jsonl`` is what ``reward-agent diagnose FILE --steps 30000`` (some 20000)
left of one training: program, probe, training and summary, with four digits, each third point of a
curve (all of hopper_sign), and without episodes and course.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from reward_agent.definitions.card import load_env
from reward_agent.definitions.task import apply_task, resolve_task
from reward_agent.records.store import GivenReward
from reward_agent.rewards.terms import read_terms
from reward_agent.summary.diagnosis import make_diagnosis, refuse_reward, render_diagnosis
from reward_agent.summary.diagnostics import Diagnosis
from reward_agent.summary.faults import PayEvidence, find_faults
from reward_agent.summary.summary import TrajectorySummary
from reward_agent.types import Finding, ProbeReport, RewardProgram, TrainingResult

LINES = (Path(__file__).parent / "data" / "faults.jsonl").read_text("utf-8").splitlines()
RECORDED = {case["name"]: case for case in map(json.loads, LINES)}
STILL, FALLING = "pays standing still", "pays falling at once"
DROWNS, SIGN = "one term drowns the rest", "wrong sign"
# Name, the fault and the term that its first line must name.
PLANTED = [
    ("hopper_still", STILL, "alive"),
    ("half_cheetah_still", STILL, "level"),
    ("walker2d_still", STILL, "posture"),
    ("ant_still", STILL, "posture"),
    ("hopper_fall", FALLING, "dive"),
    ("hopper_costs", FALLING, "torque"),
    ("ant_fall", FALLING, "survival"),
    ("walker2d_crash", FALLING, "fallen"),
    ("walker2d_spin", FALLING, "wobble"),
    ("reacher_drown", DROWNS, "control"),
    ("hopper_drown", DROWNS, "height"),
    ("half_cheetah_drown", DROWNS, "spin"),
    ("ant_drown", DROWNS, "action_cost"),
    ("hopper_sign", SIGN, "forward"),
    ("half_cheetah_sign", SIGN, "forward"),
    ("walker2d_sign", SIGN, "progress"),
    ("hopper_effort_sign", SIGN, "effort"),
]
# Only a metric knows that these are wrong.
WITH_TASK = [
    ("reacher_sign", SIGN, "distance"),
    ("inverted_pendulum_sign", SIGN, "upright"),
]
CASES = [(*case, True) for case in (*PLANTED, *WITH_TASK)] + [(*case, False) for case in PLANTED]
HEALTHY = [name for name in RECORDED if name.startswith("ref_") or name.endswith("_gym")]


def load(name: str, has_task: bool = True) -> PayEvidence:
    """Return what was recorded; as it is without a metric, if there is to be no task."""
    case = RECORDED[name]
    card = load_env(case["env"])
    spec = resolve_task(card, case["task"])
    probe = ProbeReport.model_validate(case["probe"])
    return PayEvidence(
        apply_task(card, spec),
        spec if has_task else None,
        probe if has_task else without_scores(probe),
        TrainingResult.model_validate(case["training"]),
        TrajectorySummary.model_validate(case["summary"]),
        case["ends"],
        {term.name: term for term in read_terms(case["program"])},
    )


@pytest.mark.parametrize(("name", "fault", "term", "has_task"), CASES)
def test_the_first_line_names_the_planted_fault_and_its_term(
    name: str, fault: str, term: str, has_task: bool
) -> None:
    given = GivenReward(file=f"{name}.py", program_sha256="0" * 64)
    first = render_diagnosis(make_diagnosis(given, load(name, has_task))).splitlines()[0]
    assert fault in first
    assert term in first


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_reward_has_no_fault(name: str) -> None:
    assert [fault.name for fault in find_faults(load(name))] == []


def test_the_metric_decides_that_standing_is_the_task() -> None:
    evidence = load("ref_hopper_stand")
    assert find_faults(evidence) == ()
    [fault] = find_faults(load("ref_hopper_stand", has_task=False))
    assert fault.name == STILL
    assert "right where the task is to stand still" in fault.evidence


def without_scores(probe: ProbeReport) -> ProbeReport:
    rows = (row.model_copy(update={"task_score": None, "success_rate": None})
            for row in probe.behaviours)  # fmt: skip
    return probe.model_copy(update={"behaviours": tuple(rows)})


def test_what_the_noise_alone_earns_is_a_fault() -> None:
    evidence = load("hopper_gym")
    summary = evidence.summary
    paid = (
        Diagnosis(
            name="paid for noise", meaning="m", evidence="forward pays 9", advice="a",
            terms=("forward",),
        ),
    )  # fmt: skip
    noisy = replace(evidence, summary=summary.model_copy(update={"diagnoses": paid}))
    assert [fault.terms for fault in find_faults(noisy)] == [("forward",)]


def test_a_term_that_never_moves_is_named_unless_it_pays_for_lasting() -> None:
    evidence = load("half_cheetah_gym")
    scale, other = evidence.probe.terms
    still = dict.fromkeys(("mean", "minimum", "maximum", "lowest", "highest"), 0.5)
    flat = scale.model_copy(update={**still, "std": 0.0})
    [first, second] = evidence.training.terms
    named = first if first.name == scale.name else second
    points = tuple(
        point.model_copy(update={"minimum": 0.5, "mean": 0.5, "maximum": 0.5})
        for point in named.points
    )
    terms = tuple(
        curve.model_copy(update={"points": points}) if curve is named else curve
        for curve in evidence.training.terms
    )
    flat_evidence = replace(
        evidence,
        probe=evidence.probe.model_copy(update={"terms": (flat, other)}),
        training=evidence.training.model_copy(update={"terms": terms}),
    )
    faults = {fault.name: fault for fault in find_faults(flat_evidence)}
    assert faults["a term never moves"].terms == (scale.name,)
    assert "a term never moves" not in {f.name for f in find_faults(load("hopper_gym"))}


def test_what_is_no_number_is_named_with_its_term() -> None:
    given = GivenReward(file="mine.py", program_sha256=RewardProgram("").sha256)
    finding = Finding(
        rule="contract/not-finite",
        severity="error",
        message="term 'ratio' is nan in 3 of 64 simulations",
    )
    probe = ProbeReport(program_sha256=RewardProgram("").sha256, findings=(finding,))
    refused = refuse_reward(given, probe, "hopper", 1000, ["alive", "ratio"])
    assert refused.headline.startswith("a term is not a number: ratio")
    why = "in the training: term 'alive' is nan in 1 of 8 simulations"
    assert refuse_reward(given, why, "hopper", 1000, ["alive"]).faults[0].terms == ("alive",)


def test_one_number_is_said_to_tell_nothing_term_by_term() -> None:
    evidence = load("hopper_still")
    term = evidence.summary.terms[0].model_copy(update={"name": "reward"})
    whole = replace(evidence, summary=evidence.summary.model_copy(update={"terms": (term,)}))
    given = GivenReward(file="mine.py", program_sha256="0" * 64)
    assert "pays one number" in make_diagnosis(given, whole).remarks[0]
