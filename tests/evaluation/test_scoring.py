import numpy as np
import pytest

from reward_agent.errors import DataError
from reward_agent.evaluation.metrics import compile_metric
from reward_agent.evaluation.scoring import (
    list_contenders,
    pool_evaluations,
    rank_episodes,
    score_trajectories,
    summarise_scores,
)
from reward_agent.evaluation.trajectories import make_trajectories
from reward_agent.types import EpisodeScore, Score

METRIC = """
def score(episode):
    distance = float(episode.x_position[-1] - episode.x_position[0])
    return Score(distance, distance > 3, {"distance": distance})
"""


def record(make_episode, distances, n_steps=40):
    episodes = [
        make_episode(n_steps, x_position=np.linspace(0, distance, n_steps + 1))
        for distance in distances
    ]
    return make_trajectories(episodes, ["truncated"] * len(distances))


def test_scores_are_averaged_with_their_intervals(make_episode):
    evaluation = score_trajectories(
        record(make_episode, [1.0, 2.0, 4.0, 5.0]), compile_metric(METRIC), 1000, seed=7
    )
    assert evaluation.task_score == pytest.approx(3.0)
    assert evaluation.task_score_interval[0] < 3.0 < evaluation.task_score_interval[1]
    assert evaluation.success_rate == 0.5
    assert evaluation.success_interval == pytest.approx((0.150, 0.850), abs=1e-3)
    assert evaluation.parts == {"distance": pytest.approx(3.0)}
    assert (evaluation.total_timesteps, evaluation.seed, evaluation.n_episodes) == (1000, 7, 4)
    assert evaluation.episode_length == 40


def test_without_a_metric_there_is_no_score_not_even_zero(make_episode):
    evaluation = score_trajectories(record(make_episode, [1.0]), None, 0, 0)
    assert evaluation.task_score is None
    assert evaluation.success_rate is None
    assert evaluation.episodes[0].length == 40


def test_episode_without_a_step_leaves_the_policy_without_a_score(make_episode):
    episodes = [make_episode(0), make_episode(5)]
    recorded = make_trajectories(episodes, ["action not finite", "truncated"])
    evaluation = score_trajectories(recorded, compile_metric(METRIC), 0, 0)
    assert evaluation.task_score is None
    assert [episode.task_score for episode in evaluation.episodes] == [None, 0.0]


def test_failing_metric_is_named_with_its_line(make_episode, tmp_path):
    path = tmp_path / "metric.py"
    path.write_text("def score(episode):\n    return episode.torso_hight\n")
    with pytest.raises(DataError, match=r"metric\.py line 2: AttributeError.*torso_height"):
        score_trajectories(record(make_episode, [1.0]), compile_metric(path), 0, 0)


def test_moment_of_success_is_found(make_episode):
    evaluation = score_trajectories(
        record(make_episode, [6.0], n_steps=240), compile_metric(METRIC), 0, 0
    )
    # 3 of 6 m are behind after 120 of 240 steps; the search looks at 24 beginnings.
    assert 120 < evaluation.episodes[0].success_step <= 131


def test_success_that_is_lost_and_found_again_counts_from_the_last_time(make_episode):
    def metric(episode):
        return Score(0.0, episode.n_steps < 50 or episode.n_steps > 150)

    evaluation = score_trajectories(record(make_episode, [1.0], n_steps=240), metric, 0, 0)
    assert 150 < evaluation.episodes[0].success_step <= 161


def test_metric_may_refuse_the_beginning_of_an_episode(make_episode):
    def metric(episode):
        if episode.n_steps < 30:
            raise DataError("too short")
        return Score(1.0, True)

    evaluation = score_trajectories(record(make_episode, [1.0]), metric, 0, 0)
    assert 30 <= evaluation.episodes[0].success_step <= 32


def score(value, length=10, success=False):
    return EpisodeScore(task_score=value, success=success, length=length, end="truncated")


def test_the_best_policy_comes_first_and_the_later_of_equals():
    values = [1.0, 3.0, None, 3.0, 2.0]
    curve = [summarise_scores([score(value)], i, 0) for i, value in enumerate(values)]
    assert list_contenders(curve) == [3, 1]
    assert list_contenders(curve[2:3]) == [0]


def test_successes_decide_between_policies_that_no_interval_sets_apart():
    episodes = {
        "far and never": [(v, False) for v in (12.0, 13.0, 14.0, 15.0)],
        "near and often": [(v, v > 12.5) for v in (11.5, 12.9, 13.6, 14.4)],
        "near and more often": [(v, True) for v in (11.0, 12.8, 13.5, 14.3)],
        "behind and always": [(v, True) for v in (2.0, 2.1, 2.2, 2.3)],
    }
    evaluations = [
        summarise_scores([score(value, success=success) for value, success in told], 0, 0)
        for told in episodes.values()
    ]
    assert list_contenders(evaluations) == [2, 1, 0]


def test_pooled_evaluation_weighs_every_episode_alike():
    first = summarise_scores([score(1.0)], 1000, 5)
    second = summarise_scores([score(4.0), score(4.0)], 1000, 900)
    pooled = pool_evaluations(first, second)
    assert (pooled.task_score, pooled.n_episodes, pooled.seed) == (3.0, 3, 5)


def test_episodes_are_ranked_by_score_then_length():
    evaluation = summarise_scores([score(2.0), score(1.0, 9), score(1.0, 5), score(-1.0)], 0, 0)
    assert rank_episodes(evaluation) == [3, 2, 1, 0]


def test_episode_without_a_score_ranks_below_negative_ones():
    episodes = [
        EpisodeScore(task_score=score, success=False, length=length, end="truncated")
        for score, length in ((-2.0, 10), (None, 0), (-7.0, 10))
    ]
    assert rank_episodes(summarise_scores(episodes, 0, 0)) == [1, 2, 0]


def test_a_hold_is_a_success_from_where_it_begins(make_episode):
    def metric(episode):
        held = np.sum(episode.x_position > 1.0) >= 50
        return Score(0.0, bool(held))

    x = np.where(np.arange(241) >= 80, 2.0, 0.0)
    recorded = make_trajectories([make_episode(240, x_position=x)], ["truncated"])
    told = score_trajectories(recorded, metric, 0, 0).episodes[0]
    assert 130 <= told.success_step <= 140
    assert abs(told.success_start - (told.success_step - 50)) <= 2
    assert told.success_start >= 80
