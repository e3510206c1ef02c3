"""An episode is read-only and complete; a metric returns a finite score or says why not."""

import numpy as np
import pytest

from reward_agent.errors import DataError
from reward_agent.evaluation.metrics import Episode, compile_metric
from reward_agent.types import Score

SPEED = """
from reward_agent.types import Score

def score(episode):
    return Score(np.mean(episode.speed), True, {"n": episode.n_steps})
"""


def make_episode(n_steps=4, **fields):
    fields = fields or {"speed": np.arange(n_steps + 1.0)}
    return Episode(fields, np.zeros((n_steps, 2)), 0.1)


def test_fields_are_attributes_with_one_row_more_than_actions():
    episode = make_episode()
    assert episode.speed.shape == (5,)
    assert episode.n_steps == 4
    assert episode.duration_s == pytest.approx(0.4)


def test_metric_cannot_change_what_it_judges():
    with pytest.raises(ValueError, match="read-only"):
        make_episode().speed[0] = 9.0


def test_episode_does_not_freeze_the_callers_array():
    mine = np.zeros(5)
    make_episode(speed=mine)
    mine[0] = 1.0


def test_unknown_field_names_the_closest():
    with pytest.raises(AttributeError, match=r"'speedo'; did you mean 'speed'"):
        _ = make_episode().speedo


def test_rows_that_do_not_match_the_actions_are_refused():
    with pytest.raises(DataError, match="'speed' has 3 rows"):
        make_episode(n_steps=4, speed=np.zeros(3))


def test_episode_is_judged_up_to_where_it_stops_being_finite():
    metric = compile_metric(SPEED)
    score = metric(make_episode(speed=np.array([1.0, 3.0, np.nan, np.inf, 5.0])))
    assert score.task_score == 2.0
    assert score.parts["n"] == 1


def test_finite_part_counts_as_terminated():
    episode = make_episode(speed=np.array([1.0, 3.0, np.nan, np.inf, 5.0]))
    assert episode.keep_finite().terminated
    assert not make_episode().keep_finite().terminated


def test_vector_field_with_one_bad_number_ends_the_finite_part():
    position = np.zeros((5, 3))
    position[3, 1] = np.inf
    assert make_episode(position=position).keep_finite().n_steps == 2


def test_episode_without_a_finite_state_has_no_score():
    with pytest.raises(DataError, match="first state is not finite"):
        compile_metric(SPEED)(make_episode(speed=np.full(5, np.nan)))


def test_score_comes_in_pythons_own_numbers():
    score = compile_metric(SPEED)(make_episode())
    assert type(score.task_score) is float
    assert type(score.parts["n"]) is float
    assert type(score.success) is bool


def test_metric_is_read_from_its_file(tmp_path):
    file = tmp_path / "metric.py"
    file.write_text(SPEED, encoding="utf-8")
    assert compile_metric(file)(make_episode()).task_score == 2.0


def test_names_of_the_reward_language_need_no_import():
    metric = compile_metric("def score(e): return Score(tolerance(0.0), False, {'pi': math.pi})")
    assert metric(make_episode()) == Score(1.0, False, {"pi": pytest.approx(3.14159, abs=1e-4)})


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def score(e:", "line 1: SyntaxError"),
        ("import numpy_typo", "line 1: ModuleNotFoundError"),
        ("x = 1", "no function score"),
        ("score = 3", "no function score"),
    ],
)
def test_text_that_is_no_metric_is_refused(source, message):
    with pytest.raises(DataError, match=message):
        compile_metric(source)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return 1.0", "returned float, expected a Score"),
        ("return Score(float('nan'), True)", "task_score is nan"),
        ("return Score(1.0, True, {'a': np.inf})", "a is inf"),
        ("return Score('high', True)", "could not convert"),
        ("return Score(1.0, True, None)", "a number of the Score is not one"),
        ("return Score(np.zeros(3), True)", "a number of the Score is not one"),
        ("return Score(1 / 0, True)", "line 3: ZeroDivisionError"),
        ("return Score(e.height[0], True)", "line 3: AttributeError: .*no field 'height'"),
    ],
)
def test_metric_that_returns_no_finite_score_says_why(body, message):
    with pytest.raises(DataError, match=message):
        compile_metric(f"\ndef score(e):\n    {body}\n")(make_episode())
