import re

import numpy as np
import pytest

from reward_agent.definitions.task import make_task
from reward_agent.evaluation.scoring import summarise_scores
from reward_agent.evaluation.trajectories import make_trajectories
from reward_agent.records.scoring_jobs import EvaluateResult, RelabelResult
from reward_agent.summary.course import (
    _correlate_episodes,
    _correlate_training,
    make_course,
    render_course,
    render_stages,
    summarise_stages,
    summarise_terms,
)
from reward_agent.summary.summary import TrajectorySummary, render_summary, summarise
from reward_agent.types import (
    FINISHED,
    EpisodeScore,
    StageCount,
    TermCurve,
    TermPoint,
    TrainingPoint,
    TrainingResult,
    name_failure,
)

N_EPISODES = 5


def curve(name, pays):
    return TermCurve(
        name=name,
        points=tuple(
            TermPoint(
                total_timesteps=1000 * (i + 1),
                minimum=0.0,
                mean=pay / 50,
                maximum=pay / 25,
                pay_per_episode=pay,
                share_of_return=0.5,
            )
            for i, pay in enumerate(pays)
        ),
    )


@pytest.fixture
def training():
    pays = {"speed": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], "effort": [-0.001] * 6}
    return TrainingResult(
        outcome=FINISHED,
        seed=0,
        total_timesteps=6000,
        wall_s=1.0,
        steps_per_s=6000.0,
        points=tuple(
            TrainingPoint(total_timesteps=1000 * (i + 1), generated_return=10.0 * i)
            for i in range(6)
        ),
        terms=tuple(curve(name, values) for name, values in pays.items()),
    )


def make_score(value, length=50, end="truncated"):
    parts = {"distance": value, "hops": float(int(value))}
    return EpisodeScore(task_score=value, success=value > 4, parts=parts, length=length, end=end)


@pytest.fixture
def judged():
    points = tuple(
        summarise_scores([make_score(float(i)), make_score(i + 0.5)], 1000 * (i + 1), 0)
        for i in range(6)
    )
    scores = [make_score(float(i + 1)) for i in range(N_EPISODES - 1)]
    scores.append(make_score(0.5, 12, "torso_pitch"))
    best = summarise_scores(scores, 6000, 9)
    return EvaluateResult(curve=points, best=best, best_file="policy_6000.safetensors")


@pytest.fixture
def recorded(make_episode, judged):
    rng = np.random.default_rng(0)
    episodes = []
    for score in judged.best.episodes:
        x = np.linspace(0, score.task_score, score.length + 1)
        foot = (rng.random(score.length + 1) < 0.7).astype(float)
        episodes.append(make_episode(score.length, x_position=x, foot_floor_contact=foot))
    return make_trajectories(episodes, [score.end for score in judged.best.episodes])


@pytest.fixture
def relabelled():
    pay = {"speed": (10.0, 20.0, 30.0, 40.0, 5.0), "effort": (-0.1, -0.1, -0.1, -0.1, -0.02)}
    return RelabelResult(outcome=FINISHED, generated_returns=(1.0,) * 5, term_pay=pay)


@pytest.fixture
def summary(toy_card, training, judged, recorded, relabelled):
    task = make_task("toy", "Go forward.", unit="m")
    return summarise(toy_card, task, training, judged, recorded, relabelled)


def count_stages(*reached, n=10):
    """Return three stages and what comes after, by how many episodes came to each."""
    counts = zip(("crouch", "flight", "landing", "done"), reached, strict=True)
    return tuple(StageCount(name=name, n_episodes=n, n_reached=k, pay=k / n) for name, k in counts)


def test_summary_says_in_which_stage_episodes_get_stuck(training, relabelled):
    early, late = count_stages(10, 1, 0, 0), count_stages(10, 9, 2, 0, n=20)
    points = [p.model_copy(update={"stages": early}) for p in training.points[:-1]]
    points.append(training.points[-1].model_copy(update={"stages": late}))
    training = training.model_copy(update={"points": tuple(points)})
    relabelled = relabelled.model_copy(update={"stages": count_stages(10, 9, 1, 1)})
    told = render_stages(summarise_stages(training, relabelled))
    assert told.endswith("Stuck in flight: 80% of the episodes.")
    flight = next(line for line in told.splitlines() if line.startswith("flight"))
    assert flight.split("  ", 1)[1].split() == [
        "90%",
        "0.9",
        "10%",
        "→",
        "10%",
        "→",
        "10%",
        "→",
        "45%",
        "0.45",
    ]
    blind = render_stages(summarise_stages(training, None))
    assert "flight" in blind
    assert "Stuck" not in blind


def test_program_without_stages_is_told_of_none(summary):
    assert summary.stages == ()
    assert "Stages" not in render_summary(summary)


def test_pay_is_that_of_the_evaluated_episodes(summary):
    speed, effort = summary.terms
    assert (speed.name, speed.pay_mean, speed.pay_min, speed.pay_max) == ("speed", 21.0, 5.0, 40.0)
    assert speed.share == pytest.approx(21.0 / (21.0 + 0.084))
    assert speed.episode_correlation == pytest.approx(1.0)
    assert speed.training_correlation is None  # all that both share is that they rise
    assert speed.pay_over_training == (1.0, 2.0, 3.0, 4.0, 5.0, 6.0)
    assert effort.share == pytest.approx(0.084 / 21.084)


def test_pay_is_that_of_training_where_nothing_was_relabelled(training, judged):
    speed, effort = summarise_terms(training, judged, None)
    assert (speed.pay_mean, effort.pay_mean) == (6.0, -0.001)
    assert speed.episode_correlation is None


def test_relabelling_that_failed_counts_as_none(training, judged):
    failed = RelabelResult(outcome=name_failure("ValueError"))
    assert summarise_terms(training, judged, failed) == summarise_terms(training, judged, None)


def test_pay_of_another_number_of_episodes_is_not_used(training, judged):
    wrong = RelabelResult(outcome=FINISHED, term_pay={"speed": (1.0, 2.0)})
    assert summarise_terms(training, judged, wrong) == ()


def test_generated_return_is_what_the_terms_paid_where_no_episode_ended(training, judged):
    blind = training.model_copy(
        update={"points": (TrainingPoint(total_timesteps=1000), *training.points[1:])}
    )
    course = make_course(blind, judged)
    assert course[0].generated_return == pytest.approx(1.0 - 0.001)
    assert course[1].generated_return == 10.0


def test_median_best_and_worst_episode_are_shown(summary):
    assert [(e.role, e.index, e.task_score) for e in summary.episodes] == [
        ("median", 1, 2.0),
        ("best", 3, 4.0),
        ("worst", 4, 0.5),
    ]


def test_one_episode_is_shown_once(toy_card, training, recorded, judged):
    only = judged.model_copy(update={"best": summarise_scores(judged.best.episodes[:1], 6000, 9)})
    first = make_trajectories([recorded.episode(0)], ["truncated"])
    task = make_task("toy", "Go forward.")
    shown = summarise(toy_card, task, training, only, first, None).episodes
    assert [sample.role for sample in shown] == ["median"]


def test_ends_are_counted_with_their_lengths(summary):
    assert [(e.end, e.n_episodes, e.mean_length) for e in summary.ends] == [
        ("truncated", 4, 50.0),
        ("torso_pitch", 1, 12.0),
    ]


def test_summary_survives_its_file(summary):
    assert TrajectorySummary.model_validate_json(summary.model_dump_json()) == summary


def test_states_that_are_not_finite_are_cut_off(
    toy_card, training, judged, make_episode, relabelled
):
    x = np.linspace(0, 1, 51)
    x[30:] = np.nan
    recorded = make_trajectories([make_episode(x_position=x)] * N_EPISODES, ["truncated"] * 5)
    task = make_task("toy", "Go forward.")
    summary = summarise(toy_card, task, training, judged, recorded, relabelled)
    assert summary.fields[0].maximum == pytest.approx(29 / 50)


def test_text_has_the_sections_in_order_and_few_words(summary):
    text = render_summary(summary)
    heads = ["5 fresh episodes", "Episodes end:", "Over training", "Reward terms", "Fields"]
    heads += ["Median episode", "Best episode", "Worst episode", "Known failure modes"]
    places = [text.index(head) for head in heads]
    assert places == sorted(places)
    # Words, numbers of up to three digits and signs: about a tokenizer's count.
    assert len(re.findall(r"[A-Za-z]+|\d{1,3}|[^\sA-Za-z\d]", text)) < 2500
    assert "nan" not in text


def test_score_and_return_stand_on_two_sides_of_a_bar(summary):
    section = render_summary(summary).split("Over training")[1].split("\n\n")[0]
    header, *rows = section.splitlines()[1:]
    assert header.index("task_score m") < header.index("|") < header.index("generated_return")
    assert rows[-1].split() == ["6k", "5.25", "100%", "5", "50", "|", "50", "-"]


def test_part_that_repeats_the_score_takes_no_column(summary):
    header = render_summary(summary).split("Over training")[1].splitlines()[1]
    assert "distance" not in header
    assert "hops" in header


def test_terms_below_a_percent_are_only_named(summary):
    section = render_summary(summary).split("Reward terms")[1].split("\n\n")[0]
    told = "below 1% of the pay, in an episode: effort -0.084 (in training -0.001)"
    assert section.splitlines()[-1] == told
    assert "effort" not in "".join(section.splitlines()[:-1])


def test_parts_that_touch_and_never_touch_are_told(summary):
    text = render_summary(summary)
    assert re.search(r"on the floor: foot \d+% of the time; in the air \d+%; never: torso", text)


def test_training_without_a_metric_is_described_all_the_same(
    toy_card, training, judged, recorded, relabelled
):
    unscored = [e.model_copy(update={"task_score": None}) for e in judged.best.episodes]
    best = summarise_scores(unscored, 6000, 9)
    blind = EvaluateResult(curve=(best,), best=best, best_file="policy.safetensors")
    task = make_task("toy", "Go forward.")
    text = render_summary(summarise(toy_card, task, training, blind, recorded, relabelled))
    assert "task_score -" in text
    assert not re.search("hacking|flooding|exploit", text)


def make_curve(pays):
    points = tuple(
        TermPoint(
            total_timesteps=1000 * (i + 1),
            minimum=0.0,
            mean=0.1,
            maximum=1.0,
            pay_per_episode=pay,
            share_of_return=1.0,
        )
        for i, pay in enumerate(pays)
    )
    return TermCurve(name="speed", points=points)


def make_points(scores):
    return [
        summarise_scores([make_score(score), make_score(score)], 1000 * (i + 1), 0)
        for i, score in enumerate(scores)
    ]


def test_what_shares_its_trend_alone_does_not_correlate():
    steps, noise = np.arange(12.0), np.random.default_rng(1)
    pays, scores = steps + 0.2 * noise.random(12), steps + 0.2 * noise.random(12)
    r = _correlate_training(make_curve(pays), make_points(scores))
    assert r is not None
    assert abs(r) < 0.6
    jumps = np.cumsum(np.tile([1.0, 5.0, 0.5, 3.0], 3))
    assert _correlate_training(make_curve(2 * jumps), make_points(jumps)) == pytest.approx(1.0)


def test_scores_that_hardly_differ_say_nothing_of_a_term():
    scores = [make_score(0.614 + 0.001 * i) for i in range(6)]
    assert _correlate_episodes([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], scores) is None
    curve, points = make_curve(range(12)), make_points([0.6 + 0.0005 * i for i in range(12)])
    assert _correlate_training(curve, points) is None


def test_an_index_is_not_averaged_and_a_count_of_many_kinds_is():
    legs = [make_score(1.0).model_copy(update={"parts": {"leg": float(n)}}) for n in (0, 0, 3, 0)]
    assert summarise_scores(legs, 1000, 0).parts == {"leg": 0.0}
    flags = [make_score(1.0).model_copy(update={"parts": {"fell": float(n)}}) for n in (0, 1)]
    assert summarise_scores(flags, 1000, 0).parts == {"fell": 0.5}
    counts = [make_score(1.0).model_copy(update={"parts": {"hops": float(n)}}) for n in range(8)]
    assert summarise_scores(counts, 1000, 0).parts == {"hops": 3.5}


def test_alike_episodes_are_shown_once(toy_card, training, make_episode):
    scores = [make_score(1.0) for _ in range(4)]
    best = summarise_scores(scores, 6000, 9)
    x = np.linspace(0, 1, scores[0].length + 1)
    episodes = [make_episode(score.length, x_position=x) for score in scores]
    recorded = make_trajectories(episodes, [score.end for score in scores])
    judged = EvaluateResult(curve=(best,), best=best, best_file="policy_6000.safetensors")
    summary = summarise(toy_card, make_task("toy", "Go."), training, judged, recorded)
    assert [sample.role for sample in summary.episodes] == ["all 4 episodes are alike; one"]
    text = render_summary(summary)
    assert "All 4 episodes are alike; one episode" in text
    assert "Median" not in text


def test_every_part_is_told_and_first_what_still_changes(training, judged):
    names = [f"part_{i}" for i in range(8)]
    course = [
        point.model_copy(update={"parts": {n: 1.0 + k * i * i for k, n in enumerate(names)}})
        for i, point in enumerate(make_course(training, judged))
    ]
    text = render_course(course, "m")
    header, *_, rest = text.splitlines()
    assert "part_7" in header
    assert "part_1 1 26" in rest
