"""What a model that watched a film says of it, beside the metric and never in its place.

The judge answers single criteria of the task with yes, no or cannot see, each with the frame that
the answer rests on. ``judgement.json`` lies beside the evaluation whose episode was filmed, and the
sheet of frames beside it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field, model_validator

from reward_agent.errors import DataError
from reward_agent.text import clean_text, format_number
from reward_agent.types import Evaluation, FileName, FileRecord, Finite, OneLine, Record

JUDGEMENT_FILE = "judgement.json"
FRAMES_FILE = "frames.png"

# Of the episodes of a policy, which was watched; of the first, the files are those above.
Shown = Literal["median", "best", "worst"]
SHOWN: tuple[Shown, ...] = get_args(Shown)

Verdict = Literal["yes", "no", "cannot see"]
Sentence = Annotated[str, AfterValidator(lambda text: clean_text(text, 400))]
# Of the target, what a metric may pay for a film in which nothing of the task is seen.
_CHEAP = 0.5


class FilmAnswer(Record):
    """What the judge says of one criterion."""

    number: int = Field(description="of the criterion, from 1")
    answer: Verdict
    frame: int | None = Field(description="number of the frame that shows it; null with cannot see")
    reason: Sentence = Field(description="what is seen there, in one short sentence")


class FilmReply(Record):
    """What the judge replies."""

    code: Sentence = Field(description="the code in the upper left corner of the picture")
    seen: Sentence = Field(description="what the robot does from the first frame to the last")
    answers: tuple[FilmAnswer, ...] = Field(description="one for each criterion, in their order")

    def check(self, code: str, n_criteria: int, n_frames: int) -> None:
        """Refuse a reply that is not about the picture, or not about the criteria.

        Raises:
            DataError: it says what is wrong, but not which code is right.
        """
        if "".join(self.code.split()).lower().removeprefix("code") != code:
            raise DataError(
                f"the code in the upper left corner of the picture is not {self.code!r}: a judge "
                "that does not see the picture cannot answer"
            )
        numbers = [answer.number for answer in self.answers]
        if numbers != list(range(1, n_criteria + 1)):
            raise DataError(f"the answers are to criteria {numbers}, expected 1 to {n_criteria}")
        for answer in self.answers:
            is_frame = answer.frame is not None and 1 <= answer.frame <= n_frames
            is_none = answer.frame is None and answer.answer == "cannot see"
            if not (is_frame or is_none):
                raise DataError(
                    f"criterion {answer.number} is answered by frame {answer.frame}, expected one "
                    f"of 1 to {n_frames}"
                )


class Judgement(FileRecord):
    """What the judge saw in the film of one episode, and what the metric says of that episode."""

    iteration: int = Field(ge=0)
    candidate: FileName
    seed: int = Field(description="of the training")
    episode_seed: int
    shown: Shown = "median"
    task_score: Finite | None = Field(None, description="of the filmed episode; None: no metric")
    success: bool | None = None
    target_score: Finite | None = None
    unit: OneLine = ""
    criteria: tuple[Sentence, ...] = Field(max_length=64)
    times: tuple[Finite, ...] = Field(
        max_length=64, description="seconds of each frame, the first is number 1"
    )
    code: OneLine
    seen: Sentence
    answers: tuple[FilmAnswer, ...]
    model: OneLine
    provider: OneLine

    @model_validator(mode="after")
    def _check_answers(self) -> Judgement:
        """Refuse answers to what was not asked, or from a frame that is not there."""
        if [item.number for item in self.answers] != list(range(1, len(self.criteria) + 1)):
            raise ValueError("its answers are not to its criteria")
        if any(item.frame is not None and not 1 <= item.frame <= len(self.times)
               for item in self.answers):  # fmt: skip
            raise ValueError("an answer rests on a frame that is not there")
        return self

    def compare(self, evaluation: Evaluation) -> Judgement:
        """Return it beside what the metric says of the same episode now: metrics change."""
        place = self.episode_seed - evaluation.seed
        if not 0 <= place < len(evaluation.episodes):
            return self
        score = evaluation.episodes[place]
        success = None if score.task_score is None else score.success
        return self.model_copy(update={"task_score": score.task_score, "success": success})

    @property
    def title(self) -> str:
        """Whose film it is, and of which episode."""
        return self.candidate if self.shown == "median" else f"{self.candidate}, {self.shown}"

    @property
    def frames_file(self) -> str:
        """Name of the sheet that was watched."""
        return name_shown(FRAMES_FILE, self.shown)

    @property
    def verdict(self) -> Verdict:
        """What the judge says of the whole: no where any criterion is not met."""
        if any(item.answer == "no" for item in self.answers):
            return "no"
        return self.answers[0].answer if self.answers else "cannot see"

    @property
    def share(self) -> float | None:
        """Share of criteria that are seen to be met, of those that can be seen; None: of none."""
        decided = [item.answer == "yes" for item in self.answers if item.answer != "cannot see"]
        return sum(decided) / len(decided) if decided else None

    @property
    def conflict(self) -> str:
        """How judge and metric contradict each other; '' where they do not."""
        score = f"{format_number(self.task_score)} {self.unit}".rstrip()
        if self.success and self.verdict == "no":
            refused = next(item for item in self.answers if item.answer == "no")
            return (
                f"the metric counts this episode a success ({score}), and the judge does not see "
                f"it: {self.describe(refused)}"
            )
        if self.success is False and self.verdict == "yes":
            return f"the metric counts no success ({score}), and the judge sees the task done"
        if self.success is False and self.share == 0.0 and self._is_well_paid:
            return (
                f"the metric pays {score} of {format_number(self.target_score)}, and the judge "
                "sees nothing of the task"
            )
        return ""

    @property
    def _is_well_paid(self) -> bool:
        score, target = self.task_score, self.target_score
        return score is not None and bool(target) and score >= _CHEAP * (target or 0.0) > 0

    @property
    def agreement(self) -> str:
        """Whether judge and metric agree, in a few words."""
        if self.conflict:
            return "they disagree"
        if self.success is None:
            return "there is no metric"
        return "undecided" if self.verdict == "cannot see" else "they agree"

    def summarise(self) -> str:
        """Return what was seen and answered in a line."""
        answers = (f"{self.criteria[item.number - 1]!r}: {item.answer}" for item in self.answers)
        return clean_text(f"{self.verdict}; it saw: {self.seen}; {', '.join(answers)}", 900)

    def describe(self, answer: FilmAnswer) -> str:
        """Return a criterion with its answer, the frame and the reason, in a line."""
        frame = ""
        if answer.frame is not None:
            frame = f", frame {answer.frame} at {self.times[answer.frame - 1]:.2f} s"
        criterion = self.criteria[answer.number - 1]
        return f"{criterion!r}: {answer.answer}{frame}: {answer.reason}"

    def render(self) -> str:
        """Return it as text, for prompts and for people."""
        metric = "" if self.success is None else (
            f" The metric: {format_number(self.task_score)} {self.unit}".rstrip()
            + (", success." if self.success else ", no success.")
        )  # fmt: skip
        frames = f"{len(self.times)} frames of the {self.shown} episode"
        head = f"The judge ({self.model}) watched {frames}."
        lines = [
            f"{head} Its verdict: {self.verdict}.{metric} So {self.agreement}.",
            f"It saw: {self.seen}",
            *(f"{item.number}. {self.describe(item)}" for item in self.answers),
        ]
        if self.conflict:
            lines.insert(1, f"DISAGREEMENT: {self.conflict}.")
        return "\n".join(lines)


def name_shown(file: str, shown: Shown) -> str:
    """Return the name of a file about an episode: ``frames_best.png``."""
    stem, _, end = file.partition(".")
    return file if shown == "median" else f"{stem}_{shown}.{end}"


def make_code(name: str) -> str:
    """Return the four digits that a judge reads from a film's frames, to show that it sees them."""
    return f"{int(hashlib.sha256(name.encode()).hexdigest(), 16) % 10_000:04d}"


def find_order_conflicts(judgements: Iterable[Judgement]) -> list[str]:
    """Say which films the metric puts in another order than the judge, the widest apart first."""
    scored = [(item.task_score, item.share, item) for item in judgements]
    known = [(score, share, item) for score, share, item in scored
             if score is not None and share is not None]  # fmt: skip
    pairs = [
        (low_share - high_share, high, low)
        for high_score, high_share, high in known
        for low_score, low_share, low in known
        if high_score > low_score and high_share < low_share
    ]
    return [
        f"the metric puts {high.title} ({format_number(high.task_score)}) before "
        f"{low.title} ({format_number(low.task_score)}), and the judge sees more of the task "
        f"in the second ({low.share:.0%} of what can be seen, against {high.share:.0%})"
        for _, high, low in sorted(pairs, key=lambda pair: -pair[0])
    ]
