"""The verdict in a sentence, and who designed: what a reader should know first."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

from reward_agent.evaluation.statistics import correlate
from reward_agent.report.beside import Bar, list_measures, say_done
from reward_agent.report.charts import shorten
from reward_agent.report.view import CandidateView, RunView
from reward_agent.text import count
from reward_agent.types import Evaluation, rank_value

Tone = Literal["good", "fair", "poor", "open"]

MODEL_WORDS = "The programs were written by a language model."
METRIC_WORDS = {
    "task": "the task's own metric, written by a person",
    "file": "a metric that the user gave as a file",
    "proposed: accepted": "a metric that the designer proposed and the user accepted",
    "proposed: accepted unseen": "a metric that the designer proposed, accepted unseen (--yes)",
    "proposed: edited": "a metric that the designer proposed and the user changed",
    "none": "no metric: nothing is ranked",
}


@dataclass(frozen=True)
class Verdict:
    """How the run stands, in one sentence."""

    tone: Tone
    word: str
    sentence: str


def find_verdict(view: RunView) -> Verdict:
    """Say in one sentence what came of the run."""
    best = view.best
    if best is None:
        n = len(view.candidates)
        if view.run.status == "paused":
            return Verdict("open", "paused", f"It waits for a metric: {view.run.note}.")
        what = f"None of {n} programs reached a training." if n else "No round is complete yet."
        return Verdict("open", "no result", what)
    if view.run.metric_origin == "none":
        sentence = (
            f"{count(len(view.trained), 'policy was', 'policies were')} trained and nothing is "
            "ranked, since the task has no metric: watch the video to judge."
        )
        return Verdict("open", "not ranked", sentence)
    evaluation = view.shown_evaluation
    if evaluation is None or evaluation.task_score is None:
        return Verdict("open", "no score", f"{best.id} was trained; it has no score.")
    return _judge(view, evaluation, evaluation.task_score)


def _judge(view: RunView, evaluation: Evaluation, score: float) -> Verdict:
    """Say of the policy in the film what it does, and what others do beside it."""
    unit, target = view.run.task.unit, view.run.task.target_score
    rate, n = evaluation.success_rate, evaluation.n_episodes
    reached = f"{_say_score(score, unit)} on average{_describe_others(view, score)}."
    if rate is None:
        return Verdict("open", "scored", f"The robot reaches {reached}")
    n_done = round(rate * n)
    tries = f"In all {n} new tries" if n_done == n else f"In {n_done or 'none'} of {n} new tries"
    if n_done == 0:
        sentence = f"{tries} did the robot do all that was asked; it reaches {reached}"
        is_far = target is not None and score >= target
        return Verdict(
            "fair" if is_far else "poor", "part of it" if is_far else "not yet", sentence
        )
    sentence = f"{tries} the robot did what was asked: {reached}"
    if rate >= 0.95:
        return Verdict("good", "it works", sentence)
    return Verdict("fair", "it mostly works" if rate >= 0.5 else "it works at times", sentence)


def _say_score(score: float, unit: str) -> str:
    return f"{shorten(score)} {unit}" if unit else f"a score of {shorten(score)}"


def _describe_others(view: RunView, score: float) -> str:
    """Say what the robot reaches untrained, after the first round and by its own reward."""
    first, unit, as_much = view.first, view.run.task.unit, ""
    told = [f"{_say_score(view.untrained.task_score, unit)} untrained"] if view.untrained else []
    if first is not None and first.task_score is not None and len(view.iterations) > 1:
        if shorten(first.task_score) == shorten(score):
            as_much = ", as after the first round"
        else:
            told.append(f"{_say_score(first.task_score, unit)} after the first round")
    if view.own is not None and view.own.task_score is not None:
        told.append(f"{_say_score(view.own.task_score, unit)} with Gymnasium's own reward")
    listed = " and ".join(filter(None, (", ".join(told[:-1]), *told[-1:])))
    return as_much + (f", against {listed}" if told else "")


def list_beside(view: RunView) -> list[Bar]:
    """Return what stands beside the film: the policy's own score, then what it is held against."""
    evaluation, result = view.shown_evaluation, None
    if evaluation is not None and evaluation.task_score is not None:
        done = say_done(evaluation.success_rate, evaluation.n_episodes)
        result = Bar("this policy", evaluation.task_score, done, is_result=True)
    return list_measures(view.run, view.untrained, view.first, view.own, result)


def describe_choice(view: RunView) -> str:
    """Say why the winner is not the program with the highest score of the run, if it is not."""
    scored = [item for item in view.candidates if item.score is not None]
    top = max(scored, key=lambda item: rank_value(item.score), default=None)
    winner = view.run.winner
    own = next((item for item in scored if winner and item.id == winner.candidate), None)
    if top is None or own is None or winner is None or not winner.is_confirmed:
        return ""
    if rank_value(top.score) <= rank_value(own.score):
        return ""
    again = [
        item.evaluation.task_score
        for item in view.run.confirmations
        if item.candidate == top.id and item.evaluation and item.evaluation.task_score is not None
    ]
    reached = f"only {shorten(sum(again) / len(again))}" if again else "no score"
    return (
        f"In the search {top.id} scored more, {shorten(top.score or 0.0)} {view.run.task.unit}; "
        f"trained again it reached {reached}."
    )


def describe_robustness(view: RunView) -> str:
    """Say what the winner's policy scores with physics that differ, if the card changes any."""
    winner = view.run.winner
    if winner is None or winner.robustness is None:
        return ""
    own, changed = (
        _describe_score(evaluation, view.run.task.unit)
        for evaluation in (winner.robustness.own, winner.robustness.randomised)
    )
    return (
        f"Its policy scores {own} with the model's own physics, and {changed} with physics "
        "changed as [randomise] says (mean of fresh episodes and 95 % interval)."
    )


def _describe_score(evaluation: Evaluation, unit: str) -> str:
    if evaluation.task_score is None:
        return "nothing"
    words = [shorten(evaluation.task_score)]
    if evaluation.task_score_interval is not None:
        low, high = map(shorten, evaluation.task_score_interval)
        words.append(f"[{low}, {high}]")
    return " ".join([*words, *([unit] if unit else [])])


def describe_ends(evaluation: Evaluation) -> str:
    """Say how its episodes ended, the most frequent way first."""
    ends = Counter(episode.end for episode in evaluation.episodes)
    words = [
        f"{n} {'at the time limit' if end == 'truncated' else f'by {end}'}"
        for end, n in ends.most_common()
    ]
    return f"They ended: {', '.join(words)}."


# --- does a program pay for the task? -------------------------------------------------------------


@dataclass(frozen=True)
class PayCheck:
    """One training: how its generated return and its task score went, never compared in size.

    Args:
        candidate: whose training it is.
        generated_return: at the first and at the last point of training.
        task_score: at the same points.
        agreement: Spearman's rank correlation of the two over training; None where one of them
            does not vary.
        failure_modes: names of what the rules on the numbers saw.
    """

    candidate: CandidateView
    generated_return: tuple[float, float]
    task_score: tuple[float, float]
    agreement: float | None
    failure_modes: tuple[str, ...]


def check_pay(item: CandidateView) -> PayCheck | None:
    """Return the pay check of a candidate; None with less than two points that know both."""
    summary = item.entry.summary
    pairs = [
        (point.generated_return, point.task_score)
        for point in (summary.course if summary else ())
        if point.generated_return is not None and point.task_score is not None
    ]
    if summary is None or len(pairs) < 2:
        return None
    returns, scores = ([pair[side] for pair in pairs] for side in (0, 1))
    return PayCheck(
        candidate=item,
        generated_return=(returns[0], returns[-1]),
        task_score=(scores[0], scores[-1]),
        agreement=correlate(returns, scores),
        failure_modes=tuple(diagnosis.name for diagnosis in summary.diagnoses),
    )
