"""Outcomes: each renders to its words, and is read from its record and from the words of old."""

from __future__ import annotations

import json

import pytest
from pydantic import TypeAdapter, ValidationError

from reward_agent.records.outcomes import ACCEPTED, FINISHED, INTERRUPTED, REVISED, TRAINED, Outcome
from reward_agent.records.store import Candidate

# How every run so far says it, what it is, and what it is called for short.
WORDS = [
    ("accepted", ACCEPTED, "accepted"),
    ("revised", REVISED, "revised"),
    ("trained", TRAINED, "trained"),
    ("finished", FINISHED, "finished"),
    ("stopped by the person", INTERRUPTED, "stopped by the person"),
    (
        "reached 3 s twice running by 4,096 steps",
        Outcome(kind="reached", detail="3 s twice running by 4,096 steps", at_steps=4096),
        "reached",
    ),
    (
        "stopped: 0.15 share of a perfect handstand, 0 to 1 at 112,500 steps, the best had 0.602",
        Outcome(
            kind="stopped",
            detail="0.15 share of a perfect handstand, 0 to 1 at 112,500 steps, the best had 0.602",
            at_steps=112_500,
        ),
        "stopped",
    ),
    (
        "stopped: no score at 1,000 steps",
        Outcome(kind="stopped", detail="no score at 1,000 steps", at_steps=1000),
        "stopped",
    ),
    (
        "stopped: at 1,000 steps candidate 3fa9c1d2 reached the target",
        Outcome(
            kind="stopped",
            detail="at 1,000 steps candidate 3fa9c1d2 reached the target",
            at_steps=1000,
        ),
        "stopped",
    ),
    (
        "rejected: check: line 2: no field pole_angel; did you mean pole_angle? (and 1 more)",
        Outcome(
            kind="rejected",
            stage="check",
            detail="line 2: no field pole_angel; did you mean pole_angle? (and 1 more)",
        ),
        "rejected",
    ),
    (
        "rejected: probe: the dry run ended without a result: timeout",
        Outcome(
            kind="rejected", stage="probe", detail="the dry run ended without a result: timeout"
        ),
        "rejected",
    ),
    (
        "rejected: the same program as candidate 3fa9c1d2 of round 1: it pays the same",
        Outcome(
            kind="rejected",
            stage="twin",
            detail="the same program as candidate 3fa9c1d2 of round 1: it pays the same",
        ),
        "rejected",
    ),
    (
        "failed: training: killed: memory",
        Outcome(kind="failed", stage="training", detail="killed: memory"),
        "failed",
    ),
    (
        "failed: evaluation: the policy is not whole",
        Outcome(kind="failed", stage="evaluation", detail="the policy is not whole"),
        "failed",
    ),
    (
        "failed: contract/not-finite: term 'speed' is NaN",
        Outcome(kind="failed", detail="contract/not-finite: term 'speed' is NaN"),
        "failed",
    ),
    (
        "no program: the reply holds no code",
        Outcome(kind="no_program", detail="the reply holds no code"),
        "no program",
    ),
    (
        "no metric: the model answered with nothing",
        Outcome(kind="no_metric", detail="the model answered with nothing"),
        "no metric",
    ),
    (
        "no program: limit: --max-calls 2 is reached",
        Outcome(kind="limit", detail="--max-calls 2 is reached"),
        "no program",
    ),
]
OUTCOMES = TypeAdapter(Outcome)


@pytest.mark.parametrize(("words", "outcome", "label"), WORDS, ids=lambda item: str(item)[:30])
def test_an_outcome_reads_as_its_words_and_is_read_from_them(
    words: str, outcome: Outcome, label: str
) -> None:
    assert str(outcome) == words
    assert outcome.label == label
    assert OUTCOMES.validate_python(words) == outcome
    written = outcome.model_dump_json()
    assert json.loads(written)["text"] == words
    assert OUTCOMES.validate_json(written) == outcome


def test_every_kind_is_tried() -> None:
    kinds = Outcome.model_fields["kind"].annotation.__args__
    assert {outcome.kind for _, outcome, _ in WORDS} == set(kinds)


def test_a_record_holds_its_facts_and_its_words_and_nothing_empty() -> None:
    assert json.loads(TRAINED.model_dump_json()) == {"kind": "trained", "text": "trained"}
    stopped = Outcome(kind="stopped", detail="no score at 5 steps", at_steps=5)
    assert stopped.model_dump() == {
        "kind": "stopped", "detail": "no score at 5 steps", "at_steps": 5,
        "text": "stopped: no score at 5 steps",
    }  # fmt: skip


def test_words_beside_the_facts_are_not_read() -> None:
    read = Outcome.model_validate({"kind": "rejected", "stage": "check", "text": "trained"})
    assert read == Outcome(kind="rejected", stage="check")


@pytest.mark.parametrize(
    "wrong", ["went well", {"kind": "won"}, {"kind": "trained", "mood": "good"}, 3]
)
def test_what_is_no_outcome_is_an_error(wrong: object) -> None:
    with pytest.raises(ValidationError):
        OUTCOMES.validate_python(wrong)


def test_a_candidate_of_an_earlier_version_is_read() -> None:
    old = {
        "id": "3fa9c1d2", "iteration": 0, "index": 0, "idea": "weighted-sum",
        "outcome": "no program: limit: 5 USD are spent",
        "attempts": [{"outcome": "rejected: check: line 1: no"}, {"outcome": "revised"}],
    }  # fmt: skip
    candidate = Candidate.model_validate_json(json.dumps(old))
    assert candidate.outcome.kind == "limit"
    assert [item.outcome.kind for item in candidate.attempts] == ["rejected", "revised"]
    assert Candidate.model_validate_json(candidate.model_dump_json()) == candidate
