"""Conditions over time, against what they say read row by row."""

import numpy as np
import pytest

from reward_agent.definitions.card import load_env
from reward_agent.definitions.paths import find_prompts_dir
from reward_agent.evaluation.metrics import Episode, compile_generated_metric, compile_metric
from reward_agent.evaluation.signals import always, eventually, in_order, measure_longest, until
from reward_agent.rewards.language import CONDITION_NAMES

RNG = np.random.default_rng(0)
CASES = [RNG.random((n, 6)) < share for n in (1, 2, 3, 9, 20) for share in (0.2, 0.5, 0.85)]


def follow(judge_row, *flags):
    """Return what a condition on one world's rows up to each row says, (T, worlds)."""
    told = [
        [judge_row(*(f[: t + 1, world] for f in flags)) for world in range(flags[0].shape[1])]
        for t in range(len(flags[0]))
    ]
    return np.array(told)


@pytest.mark.parametrize("flags", CASES)
@pytest.mark.parametrize("last", [None, 1, 2, 5, 100])
def test_always_and_eventually_are_of_the_last_rows(flags, last):
    def so_in_each(rows):
        return all(rows) if last is None else len(rows) >= last and all(rows[-last:])

    def so_in_one(rows):
        return any(rows if last is None else rows[-last:])

    np.testing.assert_array_equal(always(flags, last), follow(so_in_each, flags))
    np.testing.assert_array_equal(eventually(flags, last), follow(so_in_one, flags))


@pytest.mark.parametrize("flags", CASES)
def test_until_is_so_in_each_row_before_the_release(flags):
    release = RNG.permuted(flags, axis=0)

    def holds(rows, released):
        return any(released) and all(rows[: list(released).index(True)])

    np.testing.assert_array_equal(until(flags, release), follow(holds, flags, release))


@pytest.mark.parametrize("flags", CASES)
def test_order_is_of_ever_later_rows(flags):
    conditions = [flags, RNG.permuted(flags, axis=0), RNG.permuted(flags, axis=0)]

    def count(*rows):
        passed = 0
        for row in zip(*rows, strict=True):
            passed += passed < len(row) and bool(row[passed])
        return passed

    np.testing.assert_array_equal(in_order(*conditions), follow(count, *conditions))


def test_one_world_and_contacts_by_numbers_will_do():
    contact = np.array([1.0, 1.0, 0.0, 1.0])
    np.testing.assert_array_equal(always(contact, 1.6), [False, True, False, False])
    np.testing.assert_array_equal(eventually(1 - contact), [False, False, True, True])
    np.testing.assert_array_equal(in_order(contact, 1 - contact, contact), [1, 1, 2, 3])


@pytest.mark.parametrize(("flags", "longest"), [([], 0), ([0, 0], 0), ([1, 1, 0, 1], 2), ([1], 1)])
def test_longest_run_of_flags(flags, longest):
    assert measure_longest(np.array(flags, dtype=bool)) == longest


METRIC = """
def score(episode):
    up = episode.torso_height > 1.0
    stage = in_order(~up, up, always(up, 0.03 / episode.control_dt))[-1]
    ended = bool(until(eventually(up, last=2) | True, up)[-1])
    return Score(float(stage), ended and stage == 3, {"stage": float(stage)})
"""


@pytest.mark.parametrize("compiled", [compile_metric, compile_generated_metric])
def test_metric_has_conditions_without_an_import(compiled):
    card = load_env("hopper")
    metric = compiled(METRIC, card) if compiled is compile_generated_metric else compiled(METRIC)
    height = np.array([0.5, 0.5, 1.2, 0.9, 1.2, 1.2, 1.2, 1.2, 1.2])
    judged = metric(Episode({"torso_height": height}, np.zeros((8, 3)), card.control_dt))
    assert (judged.task_score, judged.success) == (3.0, True)


def test_prompt_of_metrics_names_each_condition():
    text = (find_prompts_dir() / "designer" / "metric.md.j2").read_text(encoding="utf-8")
    assert all(f"`{name}(" in text for name in CONDITION_NAMES)
