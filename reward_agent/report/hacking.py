"""Does a program pay for the task? Its generated return beside the task score, over training."""

from __future__ import annotations

from dataclasses import dataclass

from reward_agent.evaluation.statistics import correlate
from reward_agent.report.view import CandidateView


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

    @property
    def is_hacked(self) -> bool:
        """Whether the return rose while the score stayed flat, by the rules."""
        return "reward hacking" in self.failure_modes


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
