"""Cards, states and program files of the tests of the reward language."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reward_agent.definitions.card import EnvCard, ModelSource, StateField
from reward_agent.simulation.state import State

TESTS = Path(__file__).resolve().parents[1]
CORPORA = TESTS.parents[1] / "shared" / "corpora"


def make_card(**changes):
    """A card with the shape of the corpora: `observation` (N, 24) and 6 actions, and a few fields."""

    def field(name, unit, low, high, size=None):
        return StateField(
            name=name, source="none", size=size, unit=unit, range=(low, high), doc=name
        )

    given = {
        "name": "test",
        "title": "Test",
        "description": "A card without a model.",
        "model": ModelSource(file="none.xml", frame_skip=1),
        "control_dt": 0.01,
        "max_episode_steps": 100,
        "actions": tuple("abcdef"),
        "state": (
            field("torso_height", "m", 0.0, 2.0),
            field("torso_pitch", "rad", -3.2, 3.2),
            field("forward_velocity", "m/s", -5.0, 10.0),
            field("com_position", "m", -50.0, 50.0, size=3),
            field("data", "m", -1.0, 1.0),
        ),
        "observation": ("none",),
        "observation_size": 24,
    }
    return EnvCard(**{**given, **changes})


def make_state(n_sims, seed=0):
    rng = np.random.default_rng(seed)
    return State(
        {
            "torso_height": rng.uniform(0.5, 1.5, n_sims),
            "torso_pitch": rng.normal(size=n_sims),
            "forward_velocity": rng.normal(size=n_sims),
            "com_position": rng.normal(size=(n_sims, 3)),
            "data": rng.normal(size=n_sims),
            "observation": rng.normal(size=(n_sims, 24)),
        }
    )


@dataclass(frozen=True)
class Case:
    """One program of a file: its name, the rules of which one must find it, its source."""

    name: str
    rule: str
    source: str


def read_cases(name):
    """The programs of a file in tests/rewards; text before the first heading is a comment."""
    text = (TESTS / "rewards" / name).read_text(encoding="utf-8")
    honest = "return np.zeros(len(action)), {}"
    cases = []
    for section in ("\n" + text).split("\n### ")[1:]:
        heading, source = section.split("\n", 1)
        title, _, rule = heading.partition(": ")
        cases.append(Case(title.strip(), rule.strip(), source.replace("RETURN", honest)))
    return cases


def read_corpus(name):
    """The programs of a corpus beside the repository, as dicts; none where it is not there."""
    path = CORPORA / f"{name}.jsonl"
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
