"""A person's wish in numbers: what is measured, what is asked back, and what came of it.

``data/hop_wish.npz`` holds six episodes of each of the three programs of a session in which a
language model answered ("It hops far, but it leans forward all the time and slaps the foot down
hard."), each trained for 400,000 env steps with seed 0.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
from support.runs import PROGRAM, read_prompt

from reward_agent.definitions.card import load_env
from reward_agent.designers.offline.body import Body
from reward_agent.designers.offline.wish import compose_wish
from reward_agent.errors import UsageError
from reward_agent.evaluation.metrics import Episode, compile_generated_metric
from reward_agent.evaluation.scoring import score_episode, summarise_scores
from reward_agent.evaluation.wish import (
    WishBaseline,
    WishMeasure,
    WishPoint,
    WishRecord,
    average,
    compare,
    read_values,
)
from reward_agent.feedback.records import MeasuredRemark, Remarked
from reward_agent.feedback.rounds import measure_remark
from reward_agent.feedback.session import Session
from reward_agent.feedback.wishes import Question, choose_points
from reward_agent.llm.replies import read_replies
from reward_agent.rewards.checks import check_metric
from reward_agent.run.active import update_run
from reward_agent.types import Evaluation

OpenSession = Callable[..., AbstractContextManager[Session]]

SAID = "It hops far, but it leans forward all the time and slaps the foot down hard."
WISHED = "Hop with the torso upright and land softly, still going forward."
WATCHED, GATE, TERM = "e3e1010a", "cbc8bb37", "53199d6f"
ENVS = ("hopper", "ant", "humanoid", "inverted_pendulum", "half_cheetah", "reacher")


@pytest.fixture(scope="module")
def hop() -> dict[str, Evaluation]:
    """Each program's episodes, by the measures that the offline designer makes of the wish."""
    card = load_env("hopper")
    metric = compile_generated_metric(str(compose_wish(Body(card), SAID, WISHED).source), card)
    data = np.load(Path(__file__).parent / "data" / "hop_wish.npz")
    found = {}
    for name in (WATCHED, GATE, TERM):
        ends = np.cumsum(data[f"{name}.lengths"])
        scores = []
        for start, end in zip([0, *ends[:-1]], ends, strict=True):
            fields = {
                field: data[f"{name}.{field}"][start:end].astype(float)
                for field in ("torso_pitch", "foot_height", "foot_floor_contact")
            }
            episode = Episode(fields, np.zeros((end - start - 1, 3)), card.control_dt)
            scores.append(score_episode(episode, "truncated", metric))
        found[name] = summarise_scores(scores, 400_384, 1_500_000)
    return found


def take_task_scores(evaluation: Evaluation, name: str) -> Evaluation:
    data = np.load(Path(__file__).parent / "data" / "hop_wish.npz")
    episodes = tuple(
        episode.model_copy(update={"task_score": float(score)})
        for episode, score in zip(evaluation.episodes, data[f"{name}.task_scores"], strict=True)
    )
    return evaluation.model_copy(update={"episodes": episodes})


def judge(hop: dict[str, Evaluation], points: list[WishPoint], name: str) -> WishRecord:
    names = [point.measures[0].name for point in points]
    before = {item: read_values(hop[WATCHED], item) for item in names}
    scores = tuple(e.task_score for e in take_task_scores(hop[WATCHED], WATCHED).episodes)
    baseline = WishBaseline(tuple(points), "", before, scores, WATCHED, 400_384)
    return baseline.judge(name, hop[name], take_task_scores(hop[name], name), "m")


def test_words_that_are_not_what_is_measured_are_asked_about(hop: dict[str, Evaluation]) -> None:
    wish = compose_wish(Body(load_env("hopper")), SAID, WISHED).wish
    values = {name: average(read_values(hop[WATCHED], name)) for name in wish.names}
    measured = MeasuredRemark(number=1, time="", remark=0, source="…", wish=wish, values=values)
    question = Question(measured, 0)
    assert question.text == (
        'You say "it leans forward all the time". Measured: mean forward lean of the torso '
        "-0.0195 rad; at most 0.05 rad is as you wish already. Which part do you mean?"
    )
    names = [measure.name for measure in question.options]
    assert names == ["most_lean", "mean_lean", "landing_lean"]
    assert question.show_option(question.options[0]).startswith(
        "largest forward lean of the torso: 0.0"
    )
    assert wish.not_measured == ("It hops far", "still going forward")


def test_what_became_of_the_wish_of_a_recorded_session_follows_from_its_numbers(
    hop: dict[str, Evaluation],
) -> None:
    wish = compose_wish(Body(load_env("hopper")), SAID, WISHED).wish
    values = {name: average(read_values(hop[WATCHED], name)) for name in wish.names}
    points = list(
        choose_points((), MeasuredRemark(number=1, time="", remark=0, wish=wish, values=values))
    )
    assert [point.measures[0].name for point in points] == ["most_lean", "touchdown_speed"]
    gate, term = judge(hop, points, GATE), judge(hop, points, TERM)
    assert [row.verdict for row in gate.rows] == ["met, better", "not met, better"]
    assert [row.verdict for row in term.rows] == ["met, better", "not met, worse"]
    for record in (gate, term):
        for row in (*record.rows, record.task):
            assert row is not None
            assert row.change is not None
            assert row.before is not None
            assert row.after is not None
            low, high = row.change
            assert low <= row.after - row.before <= high
            towards = (-high, -low) if row.measure.wanted == "less" else (low, high)
            assert row.is_better == (towards[0] > 0)
            assert row.is_worse == (towards[1] < 0)
            if row.measure.enough is not None:
                assert row.is_met == (row.after <= row.measure.enough)
    # The one lands softer and hops no longer far; the other hops far and lands harder.
    assert gate.task is not None
    assert gate.task.verdict == "worse"
    assert gate.verdict == term.verdict == "mixed"
    assert gate.sentence == "better in part than e3e1010a: 1 of 2 wishes met; task score worse"


def test_episodes_without_a_landing_are_no_soft_ones() -> None:
    measure = WishMeasure(name="speed", says="speed", wanted="less")
    row = compare(measure, (2.0, 2.0, 2.0), (None, None, None))
    assert row.verdict == "nothing to measure"
    assert not row.is_met
    few = compare(measure, (2.0, 2.0), (1.0, None))
    assert (few.verdict, few.change) == ("met, no clear change", None)


@pytest.mark.parametrize("env", ENVS)
def test_what_keywords_say_of_any_robot_keeps_to_the_rules(env: str) -> None:
    card = load_env(env)
    words = (
        "leans back", "slaps the foot", "falls", "knees drag", "too much force", "shakes",
        "veers", "jumps too low", "too slow", "hums in B flat",
    )  # fmt: skip
    for said in words:
        proposal = compose_wish(Body(card), said, "")
        assert bool(proposal.wish.points) != bool(proposal.wish.not_measured)
        if proposal.source is not None:
            assert not check_metric(proposal.source, card).errors, proposal.source
    assert compose_wish(Body(card), "hums in B flat", "").source is None


# --- sessions -------------------------------------------------------------------------------------

WISH = {
    "points": [
        {
            "words": "pushes too hard",
            "measures": [
                {"name": "effort", "says": "mean size of the push", "unit": "N", "wanted": "less"},
            ],
        },
    ],
    "not_measured": ["looks sad"],
}
MEASURES = """```python
def score(episode):
    tilt = float(np.mean(np.abs(episode.pole_angle)))
    parts = {"effort": float(np.mean(np.abs(episode.action))), "tilt": tilt}
    return Score(0.0, False, parts)
```"""


def say(wish: dict[str, object], code: str = MEASURES) -> str:
    reply = f"```json\n{json.dumps(wish)}\n```\n{code}"
    return f"{PROGRAM % 0.31}\n--- reply measurer ---\n{reply}"


def test_a_wish_that_the_metric_cannot_see_is_measured_before_and_after(
    open_judged: OpenSession,
) -> None:
    with open_judged(say(WISH)) as session:
        watched = session.need_current().candidate.id
        session.remark("It looks sad and pushes too hard.")
        [ended] = session.work()
        record = session.find(ended.after[0].candidate)
        wish = session.need_current().wish
        assert record.wish == wish
        assert wish is not None
        assert (wish.before, wish.total_timesteps) == (watched, record.candidate.total_timesteps)
        assert [row.measure.says for row in wish.rows] == ["mean size of the push"]
        assert wish.rows[0].before != wish.rows[0].after
        assert ended.after[0].verdict == wish.sentence
        told = read_prompt(session.store, ended.iteration, 0)
        assert told.index("What the person says") < told.index("What was tried in the last rounds")
        assert f'"pushes too hard": mean size of the push, {wish.rows[0].before:.3g} N now' in told
        assert "their words weigh more" not in told
        assert "is the only measure of success" not in told
        assert f"Start from the program that the person watched, {watched}" in told or (
            f"Start from the best program above, {watched}" in told
        )
    [asked] = [r for r in read_replies(session.store.dir) if r.place.agent == "measurer"]
    assert "> It looks sad and pushes too hard." in asked.prompt


def test_a_round_waits_until_the_person_says_what_they_mean(open_judged: OpenSession) -> None:
    tilt = {"name": "tilt", "says": "mean tilt", "unit": "rad", "wanted": "less", "enough": 9.0}
    [point] = WISH["points"]
    both = {"words": "leans", "measures": [tilt, *point["measures"]]}
    with open_judged(say({"points": [both]})) as session:
        session.remark("It leans all the time.")
        assert session.work() == []
        [question] = session.questions
        assert question.text.startswith('You say "leans". Measured: mean tilt 0.')
        with pytest.raises(UsageError, match="no measure of it"):
            session.mean(question, "height")
        session.mean(question, "effort")
        [ended] = session.work()
        assert session.questions == []
        wish = session.find(ended.after[0].candidate).wish
        assert wish is not None
        assert [row.measure.name for row in wish.rows] == ["effort"]


def test_measures_that_cannot_be_taken_leave_the_words_to_the_designer(
    open_judged: OpenSession,
) -> None:
    broken = MEASURES.replace('"effort": float', '"force": float')
    with open_judged(say(WISH, broken)) as session:
        session.remark("It pushes too hard.")
        [ended] = session.work()
        [measured] = session.log.list(MeasuredRemark)
        assert measured.source is None
        assert measured.wish.not_measured == ("looks sad", "pushes too hard")
        assert measured.reason == "no episode of the policy has anything to measure of it"
        wish = session.find(ended.after[0].candidate).wish
        assert wish is not None
        assert wish.rows == ()
        assert wish.task is not None


def test_a_measure_that_no_episode_has_is_left_out_and_the_others_stay(
    open_judged: OpenSession,
) -> None:
    landing = {"name": "landing", "says": "speed of landing", "unit": "m/s", "wanted": "less"}
    [point] = WISH["points"]
    wish = {"points": [{"words": "lands", "measures": [landing]}, point]}
    with open_judged(say(wish)) as session:
        session.remark("It lands hard and pushes too hard.")
        watched = session.need_current()
        with session._activate() as active:
            found = measure_remark(active, watched, session.log.list(Remarked)[0])
        assert [item.words for item in found.proposal.wish.points] == ["pushes too hard"]
        assert found.proposal.wish.not_measured == ("lands",)
        assert set(found.values) == {"effort"}


def test_what_was_watched_is_trained_as_long_as_its_answers_and_counted(
    open_judged: OpenSession,
) -> None:
    with open_judged(provider="offline", steps=4096) as session:
        spent = session.run.total_timesteps
        session.remark("It uses too much force.")
        [ended] = session.work()
        candidate = session.find(ended.after[0].candidate).candidate
        wish = session.find(candidate.id).wish
        assert wish is not None
        assert wish.total_timesteps == candidate.total_timesteps >= 4096
        assert [row.measure.name for row in wish.rows] == ["effort"]
        run = session.run
        assert run.total_timesteps == spent + 2 * candidate.total_timesteps
        assert run.other_timesteps == candidate.total_timesteps
        if wish.verdict == "better":
            assert f"{candidate.id} is better than {wish.before}" in run.note


def test_env_steps_never_fall_whatever_became_of_their_records(open_judged: OpenSession) -> None:
    with open_judged() as session:
        run = session.run
        spent = run.total_timesteps + 7_808  # of trainings that no record names any more
        session.store.write_run(run.model_copy(update={"total_timesteps": spent}))
        with session._activate() as active:
            for _ in range(2):
                run = update_run(active)
        assert (run.total_timesteps, run.other_timesteps) == (spent, 7_808)
