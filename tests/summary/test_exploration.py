"""What exploration met: planted trainings of each kind, and what the summary says of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.cards import field, make_robot

from reward_agent.errors import DataError
from reward_agent.evaluation.metrics import Episode
from reward_agent.evaluation.scoring import summarise_scores
from reward_agent.summary.course import CoursePoint
from reward_agent.summary.diagnostics import Case
from reward_agent.summary.exploration import explore, find_lack, list_recorded, render_exploration
from reward_agent.summary.motions import list_motions, render_motions
from reward_agent.types import EpisodeScore, Score

CARD = make_robot("hand", field("turn", "1"))
N = 200
STEPS = 1000 * np.arange(1, N + 1)
RNG = np.random.default_rng(0)


def flip(turn: float, landed: float = 0.0) -> Episode:
    """Return an episode whose last state says what was done."""
    fields = {"turn": [0.0, turn], "landed": [0.0, landed], "clock": [0.0, 1.0]}
    return Episode(fields, [[0.0]], 0.1)


def score(episode: Episode) -> Score:
    turn, landed = float(episode.turn[-1]), float(episode.landed[-1])
    parts = {"turn": turn, "short_of": 1 - turn, "landed": landed, "jitter": RNG.random()}
    return Score(0.5 * min(turn, 1.0) + 0.5 * landed, landed > 0, parts)


def plant(seen: dict[int, float], *, landed: bool = False) -> list[Episode]:
    """Return a training that turns by 0.1, but for some of its episodes."""
    turns = {i: 0.1 + 0.001 * (i % 3) for i in range(N)} | seen
    return [flip(turn, float(landed and turn >= 1)) for turn in turns.values()]


def make_case(card, *curve: float, target: float | None = 0.95) -> Case:
    course = [
        CoursePoint(total_timesteps=20_000 * (i + 1), task_score=value)
        for i, value in enumerate(curve)
    ]
    best = max(curve)
    parts = {"turn": 2 * best, "short_of": 1 - 2 * best, "landed": 0.0}
    scores = [EpisodeScore(task_score=best, success=best > 0.9, parts=parts, length=9, end="x")]
    return Case(card, target, course, (), summarise_scores(scores * 4, 200_000, 0), ())


FLAT = (0.05, 0.05, 0.05, 0.05, 0.05, 0.05)
# The whole turn in 14 episodes of the middle of the training, and never again.
ONCE = dict.fromkeys(range(120, 134), 1.0)


def test_what_was_never_met_asks_to_explore(toy_card) -> None:
    seen = explore(CARD, score, plant({60: 0.31}), STEPS)
    case = make_case(toy_card, *FLAT)
    assert find_lack(case, seen) == "never seen"
    text = render_exploration(seen, case.best, "never seen")
    assert "successes: none" in text
    assert "the same in all: landed 0" in text
    assert "explore more, begin nearer to it, or look further ahead" in text
    assert "1, at 61k steps" in text


def test_what_was_met_and_is_not_kept_is_the_rewards(toy_card) -> None:
    seen = explore(CARD, score, plant(ONCE, landed=True), STEPS)
    case = make_case(toy_card, *FLAT)
    assert find_lack(case, seen) == "not kept"
    text = render_exploration(seen, case.best, "not kept")
    assert "successes: 14, 121k to 134k steps" in text
    [turn] = [line.split() for line in text.splitlines() if line.startswith("turn ")]
    assert turn == [
        "turn",
        "0.101",
        "1",
        "14,",
        "121k",
        "to",
        "134k",
        "steps",
        "0.101",
        "0.1",
        "not",
        "kept",
    ]
    assert "pay it better" in text


def test_what_is_done_at_one_point_and_not_at_the_next_asks_for_a_calmer_learner(toy_card) -> None:
    seen = explore(CARD, score, plant(ONCE, landed=True), STEPS)
    case = make_case(toy_card, 0.05, 0.5, 0.9, 0.3, 0.8, 0.2)
    assert find_lack(case, seen) == find_lack(case, None) == "unsteady"
    assert find_lack(make_case(toy_card, 0.05, 0.5, 1.0, 1.0, 1.0, 1.0), seen) == "nothing"
    assert find_lack(make_case(toy_card, 0.05, 0.5, 1.0, 1.0, 0.0, 0.1), seen) == "unsteady"


def test_nothing_is_said_of_what_still_climbs_or_is_unknown(toy_card) -> None:
    seen = explore(CARD, score, plant({}), STEPS)
    assert find_lack(make_case(toy_card, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5), seen) is None
    assert find_lack(make_case(toy_card, *FLAT), None) is None
    assert find_lack(make_case(toy_card, *FLAT, target=None), seen) is None
    assert find_lack(replace(make_case(toy_card, *FLAT), course=()), seen) is None


def test_a_part_goes_the_way_of_the_score_and_one_that_does_not_is_left_out(toy_card) -> None:
    seen = explore(CARD, score, plant({7: 0.9, 8: 0.8}), STEPS)
    parts = {part.name: part for part in seen.parts}
    assert (parts["turn"].direction, parts["turn"].furthest) == (1, 0.9)
    assert (parts["short_of"].direction, parts["short_of"].furthest) == (-1, pytest.approx(0.1))
    assert parts["turn"].near_steps == (8000, 8000)
    assert parts["jitter"].direction == 0
    text = render_exploration(seen, make_case(toy_card, *FLAT).best, None)
    assert "jitter" not in text
    assert "So:" not in text


def test_where_the_score_never_moves_the_range_of_its_parts_is_told(toy_card) -> None:
    def score_nothing(episode: Episode) -> Score:
        return Score(0.0, False, {"turn": float(episode.turn[-1])})

    seen = explore(CARD, score_nothing, plant({7: 0.6}), STEPS)
    text = render_exploration(seen, make_case(toy_card, 0.0, 0.0).best, None)
    assert "0.1 to 0.6" in text
    with pytest.raises(DataError, match="no episode"):
        explore(CARD, score_nothing, [], STEPS[:0])


def test_fields_of_the_metric_and_of_flights_are_recorded(toy_card) -> None:
    source = "def score(episode):\n    return Score(episode.x_position[-1], False, {})\n"
    named = list_recorded(toy_card, source)
    assert {"x_position", "foot_floor_contact", "torso_pitch"} <= set(named)
    assert "observation" not in named
    assert list_recorded(toy_card, None) == ()
    every = list_recorded(toy_card, "def score(episode):\n    return episode.fields['x']\n")
    assert set(every) == {item.name for item in toy_card.fields}


def test_each_flight_has_a_row(toy_card, make_episode) -> None:
    foot, pitch = np.ones(51), np.linspace(0, 5, 51)
    foot[5:8] = foot[20:30] = foot[48:] = 0
    episode = make_episode(foot_floor_contact=foot, torso_pitch=pitch)
    first, second, last = list_motions(toy_card, episode)
    dt = episode.control_dt
    assert (first.start_s, second.duration_s) == pytest.approx((5 * dt, 10 * dt))
    assert second.values["torso_pitch"] == pytest.approx(2.0)
    assert second.values["torso_pitch, landing"] == pytest.approx(2.9)
    assert (second.end, last.end) == ("foot", "in the air")
    assert len(render_motions([first, second, last]).splitlines()) == 4


def test_each_stay_near_the_thing_has_a_row() -> None:
    card = make_robot(
        "arm",
        field("gap", "m", "object_distance"),
        field("grip", "1", "gripper_opening"),
        field("cube_height", "m", "object_height"),
    )
    gap, grip, height = np.ones(41), np.ones(41), np.zeros(41)
    gap[10:16], gap[25:35], grip[25:], height[28:] = 0.1, 0.05, 0.2, 0.07
    episode = Episode({"gap": gap, "grip": grip, "cube_height": height}, np.zeros((40, 1)), 0.02)
    first, second = list_motions(card, episode)
    assert first.values == {"nearest gap": 0.1, "grip": 1.0, "cube_height moved": 0.0}
    assert second.values == {"nearest gap": 0.05, "grip": 0.2, "cube_height moved": 0.07}
    assert "near from s" in render_motions([first, second])
