"""Twelve sentences on five shipped robots: a good metric passes, a planted bad one goes back.

Each bad one has the fault that it is named after, and what shows it stands in the finding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import pytest

from reward_agent.definitions.card import EnvCard, load_env
from reward_agent.definitions.task import apply_task, load_task, make_task, read_task_metric
from reward_agent.evaluation.behaviours import Behaviours, record_behaviours
from reward_agent.evaluation.made import MetricSearch
from reward_agent.evaluation.metrics import compile_generated_metric, compile_metric
from reward_agent.evaluation.scoring import score_trajectories
from reward_agent.evaluation.trust import Asked, judge_table
from reward_agent.records.job import ALL_BEHAVIOURS
from reward_agent.run.trial import group_episodes
from reward_agent.types import Finding


@dataclass(frozen=True)
class Planted:
    """A sentence with a good metric, and a bad one that lacks something of it.

    Args:
        env: the robot.
        sentence: what is asked for.
        criterion: of the good metric.
        unit: of its score.
        good: body of ``score``.
        change: what is to be replaced by what in it, for the bad one.
        criterion_change: the same of the criterion.
        rules: of which one is to send it back.
        shown: what the finding has to hold: behaviour or number.
    """

    env: str
    sentence: str
    criterion: str
    unit: str
    good: str
    change: dict[str, str]
    rules: tuple[str, ...]
    shown: str
    criterion_change: tuple[str, str] = ("", "")
    n_steps: int = 200

    @property
    def bad(self) -> str:
        """The planted metric's body."""
        body = self.good
        for old, new in self.change.items():
            assert old in body
            body = body.replace(old, new)
        return body


HOLD = """
def longest(mask):
    bad = np.concatenate([np.array([-1]), np.flatnonzero(~mask), np.array([len(mask)])])
    return int(np.max(np.diff(bad))) - 1
"""
RUN = """
    up = episode.torso_up > 0.5
    way = float(np.sum(np.where(up[1:], np.diff(episode.x_position), 0.0)))
    fell = bool(episode.terminated)
    return Score(way, way >= 8.0 and not fell, {"way": way, "up": float(np.mean(up))})
"""
SPEED = """
    near = np.abs(episode.forward_velocity - 1.2) < 0.3
    held = longest(near & (episode.torso_up > 0.5)) * episode.control_dt
    return Score(min(held / 5.0, 1.0), held >= 5.0, {"held": held, "near": float(np.mean(near))})
"""
STAND = """
    still = np.max(np.abs(episode.joint_velocities), axis=1) < 1.0
    up = (episode.torso_up > 0.9) & (episode.torso_height > 0.8 * episode.torso_height[0])
    held = longest(still & up) * episode.control_dt
    return Score(min(held / 5.0, 1.0), held >= 5.0, {"held": held, "up": float(np.mean(up))})
"""
HANDSTAND = """
    nose = np.sin(episode.torso_pitch) > 0.8
    foot = episode.back_foot_height > 0.6
    others = episode.torso_floor_contact + episode.head_floor_contact
    alone = (others < 0.5) & (episode.back_foot_floor_contact < 0.5)
    held = longest(nose & foot & alone) * episode.control_dt
    parts = {"nose": float(np.mean(nose)), "foot": float(np.mean(foot)), "held": held}
    return Score(min(held / 3.0, 1.0), held >= 3.0, parts)
"""
JUMP = """
    rise = float(np.max(episode.lowest_point))
    landed = bool(np.all(episode.torso_up[-10:] > 0.7)) and not bool(episode.terminated)
    score = min(max((rise - 0.05) / 0.25, 0.0), 1.0) if landed else 0.0
    return Score(score, rise >= 0.3 and landed, {"rise": rise, "landed": float(landed)})
"""
LIE = """
    low = (episode.torso_height < 0.35) & (episode.torso_up > 0.8)
    still = np.max(np.abs(episode.joint_velocities), axis=1) < 2.0
    n = len(low) // 2
    share = float(np.mean((low & still)[n:]))
    return Score(share, share > 0.95, {"low": float(np.mean(low)), "share": share})
"""
REACH = """
    far = max(float(episode.target_distance[0]), 0.05)
    last = float(np.max(episode.target_distance[-10:]))
    score = min(max(1.0 - last / far, 0.0), 1.0)
    return Score(score, last < 0.02, {"last": last, "first": far})
"""
TURN = """
    rate = episode.torso_angular_velocity[:, 2]
    angle = float(np.sum(rate[1:]) * episode.control_dt)
    up = bool(np.min(episode.torso_up) > 0.5)
    return Score(angle / (2.0 * np.pi), angle >= 4.0 * np.pi and up, {"angle": angle})
"""
TILT = """
    tilted = np.abs(episode.torso_pitch - 0.52) < 0.1
    on = episode.torso_height > 0.6 * episode.torso_height[0]
    held = longest(tilted & on) * episode.control_dt
    return Score(min(held / 4.0, 1.0), held >= 4.0, {"held": held, "on": float(np.mean(on))})
"""
RAISE = """
    up = episode.front_left_foot_height - episode.front_left_foot_height[0]
    held = longest(up > 0.2) * episode.control_dt
    return Score(min(held / 2.0, 1.0), held >= 2.0, {"held": held, "top": float(np.max(up))})
"""
BALANCE = """
    near = np.abs(episode.cart_position - 0.5) < 0.1
    held = longest(near & (np.abs(episode.pole_angle) < 0.1)) * episode.control_dt
    return Score(min(held / 4.0, 1.0), held >= 4.0, {"held": held, "near": float(np.mean(near))})
"""
HOPS = """
    air = (episode.lowest_point > 0.05).astype(float)
    n_flight = 12
    flown = np.convolve(air, np.ones(n_flight), "full")[: len(air)] >= n_flight
    landed = bool(np.all(episode.torso_up > 0.7)) and not bool(episode.terminated)
    n = float(np.sum(flown[1:] & ~flown[:-1])) if landed else 0.0
    return Score(min(n, 3.0), n >= 3.0, {"hops": n, "landed": float(landed)})
"""
TOUCH = """
    held = longest(episode.target_distance < 0.03) * episode.control_dt
    last = float(episode.target_distance[-1])
    return Score(min(held, 0.5), held >= 0.5, {"held": held, "last": last})
"""
SPIN = """
    rate, up = episode.torso_angular_velocity[:, 2], episode.torso_up > 0.7
    angle = -float(np.sum(np.where(up[1:], rate[1:], 0.0)) * episode.control_dt)
    turns = max(angle, 0.0) / (2.0 * np.pi)
    return Score(min(turns, 2.0), turns >= 2.0 and bool(up[-1]), {"turns": turns})
"""
SHARE = "share, 0 to 1"

PLANTED = {
    "pays standing, a run": Planted(
        "half_cheetah", "Run forward as far as you can, the right way up",
        "metres forward while the right way up; success from 8 m on, without a fall", "m", RUN,
        {"return Score(way": "return Score(way + 5.0 * float(np.mean(up))"},
        ("metric/pays-idle",), "start pose held",
    ),
    "pays standing, a jump": Planted(
        "hopper", "Jump 0.3 m high and land on the foot",
        "highest clearance, full at 0.3 m, when it lands and stays up 10 steps", SHARE, JUMP,
        {"in(max((rise - 0.05) / 0.25, 0.0), 1.0) if landed else 0.0": "ax(0.0, rise) + 0.5"},
        ("metric/pays-idle", "metric/pays-falling"), "0.5",
    ),
    "pays falling, a handstand": Planted(
        "half_cheetah", "Do a handstand on the front foot for 3 s",
        "nose down, back foot above 0.6 m, nothing else on the floor, for 3 s", SHARE, HANDSTAND,
        {"min(held / 3.0, 1.0)": "0.5 * float(np.mean(nose)) + 0.5 * min(held / 3.0, 1.0)"},
        ("metric/pays-falling",), "falling at once",
    ),
    "pays falling, a speed": Planted(
        "hopper", "Go forward at 1.2 m/s for 5 s, upright",
        "forward velocity within 0.3 m/s of 1.2 m/s, torso upright, for 5 s", SHARE, SPEED,
        {"min(held / 5.0, 1.0)": "float(episode.terminated)"},
        ("metric/pays-falling", "metric/pays-idle", "metric/order"), "scores 1",
        n_steps=800,
    ),
    "wrong sign, a run": Planted(
        "half_cheetah", "Run forward over 8 m, fast and the right way up",
        "metres forward while the right way up; success from 8 m on", "m", RUN,
        {"np.diff(episode.x_position)": "-np.diff(episode.x_position)"},
        ("metric/wrong-way",), "goes backward",
    ),
    "wrong sign, a turn": Planted(
        "ant", "Turn left on the spot, twice around, on your legs",
        "turned angle to the left, 4 pi for a success, upright", "turns", TURN,
        {"angle = float(": "angle = -float("},
        ("metric/wrong-way",), "turns right",
    ),
    "unreachable, a stand": Planted(
        "ant", "Stand still on your legs for 5 s",
        "no joint above 1 rad/s, upright and high for 5 s", SHARE, STAND,
        {"> 0.9)": "> 1.9)"},
        ("metric/unreachable",), "torso_up",
    ),
    "unreachable, a reach": Planted(
        "reacher", "Bring the fingertip to the target and keep it there",
        "share of the distance that is closed; success within 0.02 m for 10 steps", SHARE, REACH,
        {"last < 0.02": "last < -0.5"},
        ("metric/unreachable",), "target_distance", n_steps=50,
    ),
    "wrong unit, a tilt": Planted(
        "half_cheetah", "Tilt the torso forward by 30 degrees and hold it for 4 s",
        "torso pitch within 0.1 rad of 30 degrees, 4 s", SHARE, TILT,
        {"- 0.52": "- 30.0"},
        ("metric/unreachable",), "torso_pitch = 30",
    ),
    "wrong unit, a leg": Planted(
        "ant", "Raise the front left foot by 20 cm and hold it up for 2 s",
        "front left foot 20 cm above where it starts for 2 s", SHARE, RAISE,
        {"up > 0.2": "up > 20.0"},
        ("metric/unreachable", "metric/dropped"), "20",
        criterion_change=("20 cm", "20 m"),
    ),
    "an instant, a pendulum": Planted(
        "inverted_pendulum", "Bring the cart half a metre to the right and balance there for 4 s",
        "cart within 0.1 m of 0.5 m, pole within 0.1 rad of upright, for 4 s", SHARE, BALANCE,
        {"held >= 4.0": "bool(np.any(near))"},
        ("metric/instant",), "4 s",
    ),
    "an instant, a handstand": Planted(
        "half_cheetah", "Stand on the front foot, nose down, for three seconds",
        "nose down, back foot above 0.6 m, nothing else on the floor, for 3 s", SHARE, HANDSTAND,
        {"held >= 3.0": "bool(np.any(nose & foot & alone))"},
        ("metric/instant",), "3 s",
    ),
    "a bounce, hops": Planted(
        "hopper", "Hop on the spot three times",
        "flights of 0.1 s with the lowest point above 5 cm, at most 3, without a fall",
        "hops, 3 times", HOPS,
        {"n_flight = 12": "n_flight = 1"},
        ("metric/flicker",), "3 times", n_steps=300,
    ),
    "never, a touch": Planted(
        "reacher", "Touch the target for half a second",
        "distance below 0.03 m for 0.5 s", "s", TOUCH,
        {"held >= 0.5": "held >= 0.5 and last > 1.0"},
        ("metric/never",), "all of 0.5", n_steps=50,
    ),
    "no bound, a spin": Planted(
        "ant", "Spin to the right twice around",
        "turns to the right while upright, at most 2; success 2 times", "turns, at most 2", SPIN,
        {"min(turns, 2.0)": "turns * 50.0"},
        ("metric/unbounded",), "2 at most",
    ),
}  # fmt: skip


@cache
def record(env: str, n_steps: int) -> tuple[EnvCard, Behaviours]:
    card = load_env(env).model_copy(update={"max_episode_steps": n_steps})
    return card, record_behaviours(card, ALL_BEHAVIOURS, 2, 0)


@pytest.fixture
def examine() -> Callable[[Planted, str, str], list[Finding]]:
    """Return what sends a metric back."""

    def run(item: Planted, body: str, criterion: str) -> list[Finding]:
        source = f"{HOLD}\n\ndef score(episode):{body}"
        card, recorded = record(item.env, item.n_steps)
        task = make_task(item.env, item.sentence, criterion, item.unit)
        card = apply_task(card, task)
        metric = compile_generated_metric(source, card)
        evaluation = score_trajectories(recorded.trajectories, metric, 0, 0)
        rows = [*group_episodes(recorded.names, evaluation.episodes, card.control_dt)]
        start = recorded.trajectories.episode(0)
        rows += MetricSearch(card, source, metric, start, item.sentence).run()
        asked = Asked(task.description, task.criterion, task.unit, card.control_dt)
        return [item for item in judge_table(rows, asked) if item.severity != "hint"]

    return run


@pytest.mark.parametrize("name", PLANTED)
def test_a_good_metric_passes(name: str, examine: Callable[..., list[Finding]]) -> None:
    item = PLANTED[name]
    assert [found.message for found in examine(item, item.good, item.criterion)] == []


@pytest.mark.parametrize("name", PLANTED)
def test_a_bad_metric_goes_back_with_what_shows_it(
    name: str, examine: Callable[..., list[Finding]]
) -> None:
    item = PLANTED[name]
    found = examine(item, item.bad, item.criterion.replace(*item.criterion_change))
    shown = [finding for finding in found if finding.rule in item.rules]
    assert shown, [finding.message for finding in found]
    assert item.shown in shown[0].message


@pytest.mark.parametrize(
    ("env", "name"),
    [
        ("hopper", "back_flip"), ("hopper", "hop_forward"), ("hopper", "stand"),
        ("half_cheetah", "target_speed"), ("ant", "lie_down"), ("inverted_pendulum", "balance"),
        ("walker2d", "run_backward"), ("reacher", "reach"),
    ],
)  # fmt: skip
def test_a_shipped_metric_passes(env: str, name: str) -> None:
    task = load_task(env, name)
    card = apply_task(load_env(env), task)
    source = read_task_metric(env, task) or ""
    recorded = record_behaviours(card, ALL_BEHAVIOURS, 2, 0)
    metric = compile_metric(source)
    evaluation = score_trajectories(recorded.trajectories, metric, 0, 0)
    rows = [*group_episodes(recorded.names, evaluation.episodes, card.control_dt)]
    rows += MetricSearch(
        card, source, metric, recorded.trajectories.episode(0), task.description
    ).run()
    asked = Asked(task.description, task.criterion, task.unit, card.control_dt, task.target_score)
    found = [item.message for item in judge_table(rows, asked) if item.severity != "hint"]
    assert found == []
