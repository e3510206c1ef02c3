"""Which fields a metric may read, by its text."""

import pytest

from reward_agent.definitions.card import load_env
from reward_agent.definitions.task import list_tasks, load_task, read_task_metric
from reward_agent.evaluation.metrics import Episode, compile_metric, find_metric_fields
from reward_agent.evaluation.rollout import roll_out


@pytest.fixture(scope="module")
def hopper():
    return load_env("hopper")


def test_fields_are_those_that_the_text_names(hopper):
    source = "def score(episode):\n    return Score(episode.x_position[-1], False, {})\n"
    assert find_metric_fields(source, hopper) == {"x_position"}


def test_a_name_in_a_text_literal_counts(hopper):
    assert find_metric_fields('score = travel("forward_velocity", speed=1)', hopper) == {
        "forward_velocity"
    }


@pytest.mark.parametrize(
    "text",
    [
        "getattr(episode, 'torso_' + 'height')",
        "sum(values.mean() for values in episode.fields.values())",
        "operator.attrgetter('x_' + 'position')(episode)",
        "vars(episode)",
        "episode.__getattr__('x_' + 'position')",
        "episode.__dict__",
    ],
)
def test_a_text_that_looks_fields_up_may_read_any(text, hopper):
    assert find_metric_fields(f"def score(episode):\n    {text}\n", hopper) is None


@pytest.mark.parametrize(
    "line", ["import helper", "from helper import judge", "    from a.b import c", "import os.path"]
)
def test_code_from_elsewhere_may_read_any(line, hopper):
    assert find_metric_fields(f"{line}\ndef score(episode): pass\n", hopper) is None


@pytest.mark.parametrize("line", ["import numpy as np", "import math", "from math import sin"])
def test_plain_mathematics_reads_no_field(line, hopper):
    assert find_metric_fields(f"{line}\n", hopper) == frozenset()


class Pushing:
    repeat = 1

    def act(self, observation):
        return observation[:, :3].clip(-1, 1)


@pytest.mark.parametrize("task", list_tasks("hopper"))
def test_every_shipped_metric_scores_the_same_without_the_other_fields(task, hopper):
    source = read_task_metric(hopper, load_task(hopper, task))
    fields = find_metric_fields(source, hopper)
    assert fields
    [rollout] = roll_out(hopper, [Pushing()], n_episodes=1, seed=1)
    whole = rollout.trajectories.episode(0)
    few = Episode(
        {name: whole.fields[name] for name in fields},
        whole.action,
        whole.control_dt,
        whole.terminated,
    )
    metric = compile_metric(source)
    assert metric(few) == metric(whole)
