"""Claims about a model's meaning, each tried on the live model by intervention.

What a name suggests, a picture shows or a language model says is a claim. A claim is tried by a
person's means: the robot is lifted, turned over and pushed, a joint is nudged, one thing is put on
another. The verdict says what was measured. What nothing on the model can tell is said as that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import mujoco
import numpy as np

from reward_agent.definitions.meaning import ClaimTest, Meaning
from reward_agent.drafts.live import ClaimError, LiveModel, UntestedError
from reward_agent.simulation.interventions import HINGE, SLIDE, UPWARD, Root
from reward_agent.simulation.state import FloatArray

LIFT_M, YAW = 1.0, np.pi / 2
NUDGE = {HINGE: 0.1, SLIDE: 0.02}  # rad, m
LEAST_M = 0.001  # of what is said to move
CLOSE = 1e-3


class Test(NamedTuple):
    """What a claim is tried by: a name for people, and what returns what was measured."""

    name: str
    run: Callable[[Any, Any], str]


class ClaimTrial:
    """One form on one model, claim by claim; what holds already is what later tests build on."""

    def __init__(self, live: LiveModel, meaning: Meaning) -> None:
        self.live, self.meaning = live, meaning
        self.held: set[tuple[str, int | None]] = set()
        self.states: list[Any] = []

    def judge(self, key: str, number: int | None, test: Test) -> ClaimTest:
        """Try one claim."""
        value = getattr(self.meaning, key)
        try:
            holds, said = True, test.run(self, value if number is None else value[number])
        except ClaimError as error:
            holds, said = False, str(error)
        except UntestedError as error:
            holds, said = None, str(error)
        except (ValueError, mujoco.FatalError) as error:  # a pose that MuJoCo cannot compute
            holds, said = False, f"it cannot be tried: {error}"
        if holds is not False:
            self.held.add((key, number))
        return ClaimTest(key=key, number=number, test=test.name, holds=holds, said=said)

    def holds(self, key: str) -> bool:
        """Whether a claim of which there is one was made and not refused."""
        return (key, None) in self.held

    def list_held(self, key: str) -> list[Any]:
        """Return the claims of a key that were not refused."""
        return [v for i, v in enumerate(getattr(self.meaning, key)) if (key, i) in self.held]

    # --- directions ----------------------------------------------------------------------------

    def require_torso(self) -> str:
        """Return the torso's place."""
        if self.meaning.torso is None or not self.holds("torso"):
            raise ClaimError("no torso holds whose axis it could be")
        return self.meaning.torso

    def find_way(self, way: str) -> FloatArray:
        """Return a direction in the world at the start, seen from the robot, ``(3,)``."""
        if way in ("up", "down"):
            return np.array(UPWARD) * (1.0 if way == "up" else -1.0)
        if self.meaning.forward is None or not self.holds("forward"):
            raise ClaimError(f"{way} cannot be told: no forward axis holds")
        forward = self.live.point(self.live.pose(), self.require_torso(), self.meaning.forward)
        forward[2] = 0.0
        forward /= np.linalg.norm(forward)
        left = np.cross(UPWARD, forward)
        ways = {"forward": forward, "backward": -forward, "left": left, "right": -left}
        return ways[way]

    def root(self) -> Root:
        """Return what carries the torso."""
        return Root(self.live.model, self.live.find_body(self.require_torso()))


def expect(said: str, found: Any, expected: Any) -> str:
    """Refuse numbers that are not as expected."""
    if np.abs(np.asarray(found) - np.asarray(expected)).max() > CLOSE:
        raise ClaimError(f"{said}: {show(found)}, expected {show(expected)}")
    return said


def show(values: Any) -> str:
    """Return numbers as text: (0.00, 1.00)."""
    return "(" + ", ".join(f"{value:.2f}" for value in np.atleast_1d(values)) + ")"
