from __future__ import annotations

import pytest

from reward_agent.designers.offline.words import read_goals


@pytest.mark.parametrize(
    ("sentence", "goals"),
    [
        ("Hop forward on the foot, fast and far, without falling.", ["travel forward fast"]),
        ("Run backward on both legs", ["travel backward"]),
        ("walk at 1.5 m/s", ["travel forward at 1.5 m/s"]),
        ("Move slowly to the left", ["travel left slow"]),
        ("go sideways to the right", ["travel right"]),
        ("Do a back flip and land on the foot", ["flip backward"]),
        ("front-flip", ["flip forward"]),
        ("Somersault backwards", ["flip backward"]),
        ("Turn over in the air", ["flip forward"]),
        ("Spin around clockwise", ["spin"]),
        ("Lie down flat and keep still", ["lie", "still"]),
        ("Fall over", ["lie"]),
        ("Stand upright and don't move", ["stand", "still"]),
        ("don't fall", ["stand"]),
        ("Raise the left hand", ["raise left hand"]),
        ("Wave the front right leg back and forth", ["wave front right leg"]),
        ("Jump as high as possible", ["jump"]),
        ("Land softly between the flags and stay still", ["land"]),
        ("Jump up and land on the foot", ["jump foot"]),
        ("Bring the fingertip to the target", ["reach"]),
        ("run the right way up", ["travel forward"]),
        ("paint the fence", []),
        ("", []),
    ],
)
def test_sentence_is_read_as_goals(sentence: str, goals: list[str]) -> None:
    assert [str(goal) for goal in read_goals(sentence)] == goals


def test_direction_follows_the_words() -> None:
    assert read_goals("spin clockwise")[0].direction == -1
    assert read_goals("spin counter-clockwise")[0].direction == 1
    assert read_goals("lie on its back")[0].direction == -1
