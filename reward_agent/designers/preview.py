"""Prompts to look at: the requests that are made of a language model, made and not sent.

Where a prompt speaks of programs and trainings, those of a run are taken, or else an example: the
task's reference reward, with a mistake where the prompt is about one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from reward_agent.definitions.card import EnvCard, load_env
from reward_agent.definitions.task import (
    TaskSpec,
    apply_task,
    list_tasks,
    read_reference_reward,
    resolve_task,
)
from reward_agent.designers import prompts
from reward_agent.designers.brief import (
    DesignBrief,
    FilmBrief,
    HistoryEntry,
    Remark,
    WishBrief,
    select_history,
)
from reward_agent.designers.history import find_best, read_history
from reward_agent.designers.ideas import choose_ideas
from reward_agent.designers.judge import make_film_request, split_criteria
from reward_agent.designers.roles import NO_WORDS, Examination, MetricProposal, Proposal
from reward_agent.errors import UnknownNameError
from reward_agent.llm.chat import ChatRequest
from reward_agent.records.film_jobs import FramesJob
from reward_agent.records.outcomes import ACCEPTED, TRAINED, Outcome
from reward_agent.records.store import Candidate, load_run
from reward_agent.rewards.choices import describe_choices
from reward_agent.types import CheckReport, Critique, Evaluation, Finding, RewardProgram, Risk

# English and code, as today's tokenisers count them; prices and limits use a bound instead.
BYTES_PER_TOKEN = 3.6
N_CANDIDATES = 6


@dataclass(frozen=True)
class Subject:
    """What the prompts are about.

    Args:
        card: the environment, with the task applied.
        task: the behaviour.
        reference: source of a person's reward for it, or None.
        entries: the candidates of a run, oldest first; empty for an example.
        index: which candidate of its round is asked for, from 0.
        steps: env steps of a whole training.
        standing: what was measured on the robot itself, in words.
    """

    card: EnvCard
    task: TaskSpec
    reference: str | None = None
    entries: tuple[HistoryEntry, ...] = ()
    index: int = 0
    steps: int = 0
    standing: str = ""

    @property
    def program(self) -> RewardProgram:
        """A program to speak of: the best of the run, the reference, or a small one."""
        best = find_best(list(self.entries))
        if best is not None and best.program is not None:
            return best.program
        return RewardProgram(self.reference or _write_program(self.card))

    @property
    def entry(self) -> HistoryEntry:
        """A trained candidate to speak of."""
        best = find_best(list(self.entries))
        return best or _make_example(self.program, self.task)

    def make_brief(self, entries: Sequence[HistoryEntry] = ()) -> DesignBrief:
        """Return what the Designer is told after these candidates."""
        best = find_best(list(entries))
        iteration = max((e.candidate.iteration for e in entries), default=-1) + 1
        history = select_history(entries)
        n_ideas = max(N_CANDIDATES, self.index + 1)
        idea = choose_ideas(iteration, n_ideas, best=best, history=history)[self.index]
        return DesignBrief(
            self.card,
            self.task,
            idea,
            iteration,
            self.index,
            best,
            history,
            steps=self.steps,
            standing=self.standing,
            choices=describe_choices(self.card),
        )


def load_subject(
    env: str,
    task: str | None = None,
    run: str | None = None,
    runs_dir: Path | None = None,
    index: int = 0,
) -> Subject:
    """Find what a prompt is about.

    Args:
        env: name of an environment or its folder.
        task: name of a task or a sentence; the environment's first task by default.
        run: a run whose environment, task, programs and trainings are taken instead.
        runs_dir: where runs lie.
        index: which candidate of its round is asked for.

    Raises:
        UnknownNameError: there is no such environment, task or run.
    """
    if run is not None:
        store = load_run(run, runs_dir)
        record = store.read_run()
        entries = tuple(read_history(store))
        steps = record.config.get("steps")
        n_steps = steps if isinstance(steps, int) else 0
        return Subject(record.card, record.task, None, entries, index, n_steps)
    card = load_env(env)
    known = list_tasks(card)
    spec = resolve_task(card, task or (known[0] if known else "move forward"))
    reference = read_reference_reward(card, spec)
    return Subject(apply_task(card, spec), spec, reference, (), index, card.budget.standard)


def preview_prompt(name: str, subject: Subject) -> ChatRequest:
    """Return the request that the agent would send.

    Args:
        name: a key of ``PREVIEWS``.
        subject: what it is about.

    Raises:
        UnknownNameError: no such prompt.
    """
    if name not in PREVIEWS:
        raise UnknownNameError("prompt", name, PREVIEWS)
    return PREVIEWS[name].make(subject)


def estimate_tokens(text: str) -> int:
    """Return about how many tokens a text has."""
    return round(len(text.encode("utf-8", "replace")) / BYTES_PER_TOKEN)


def _make_next(subject: Subject) -> ChatRequest:
    return prompts.make_program_request(subject.make_brief(subject.entries or (subject.entry,)))


def _brief_best(subject: Subject) -> DesignBrief:
    """Return what the Designer was told before it wrote the best program of a run."""
    if not subject.entries:
        return subject.make_brief()
    candidate = subject.entry.candidate
    earlier = [e for e in subject.entries if e.candidate.iteration < candidate.iteration]
    return replace(subject, index=candidate.index).make_brief(earlier)


def _make_review(subject: Subject) -> ChatRequest:
    entry = subject.entry if subject.entries else None
    examination = _examine(subject.program)
    if entry is not None:
        examination = replace(examination, check=entry.check, probe=entry.probe)
    return prompts.make_review_request(_brief_best(subject), examination)


def _make_repair(subject: Subject) -> ChatRequest:
    # Here, not above: the checks need more time to import than listing prompts takes.
    from reward_agent.rewards.checks import check_program

    program = _break(subject.program, subject.card)
    report = check_program(program, subject.card)
    return prompts.make_repair_request(subject.make_brief(), _examine(program, report))


def _make_revision(subject: Subject) -> ChatRequest:
    risk = Risk(
        kind="flooding",
        line=6,
        evidence="(the Critic's evidence, with numbers)",
        remedy="(the smallest change that removes it)",
    )
    critique = Critique(verdict="revise", summary="(the Critic's summary)", risks=(risk,))
    return prompts.make_revision_request(subject.make_brief(), _examine(subject.program), critique)


def _examine(program: RewardProgram, check: CheckReport | None = None) -> Examination:
    """Return a program as if it came in a reply, with what is wrong with it."""
    reply = f"(A few lines of prose.)\n\n```python\n{program.source.strip()}\n```"
    outcome = ACCEPTED
    if check is not None and check.errors:
        outcome = Outcome(kind="rejected", stage="check", detail=check.errors[0].message)
    return Examination(Proposal(program, reply=reply), outcome, check)


def _make_metric_repair(subject: Subject) -> ChatRequest:
    finding = Finding(
        rule="metric/failed",
        severity="error",
        message="the metric failed on an episode without a policy: (why)",
        remedy="return Score(task_score, success, parts) with finite numbers",
    )
    previous = MetricProposal("(the metric)")
    return prompts.make_metric_request(subject.card, subject.task.description, previous, (finding,))


def _make_wish(subject: Subject) -> ChatRequest:
    entry = subject.entry
    remark = Remark(entry.candidate.id, "(what the person saw)", "(what they want instead)")
    return prompts.make_wish_request(
        WishBrief(subject.card, subject.task, remark, entry.summary_text)
    )


def _make_comparison(subject: Subject) -> ChatRequest:
    words = NO_WORDS.model_copy(
        update={"criterion": "(the criterion)", "unit": subject.task.unit or "(the unit)"}
    )
    told = subject.task.description
    return prompts.make_comparison_request(
        subject.card, told, words, "(what it says of behaviours)"
    )


def _make_meaning(subject: Subject) -> ChatRequest:
    return prompts.make_meaning_request(
        "(Here stand the model's bodies, joints, actuators and sensors.)"
    )


def _make_meaning_repair(subject: Subject) -> ChatRequest:
    refused = ["(claim): (what was done and measured)"]
    return prompts.make_meaning_repair_request(_make_meaning(subject), "(the form)", refused, 1)


def _make_film(subject: Subject) -> ChatRequest:
    """Ask about an episode that is as long as it may be; the picture is not there yet."""
    card, n_frames = subject.card, FramesJob.model_fields["n_frames"].default
    seconds = card.control_dt * card.max_episode_steps
    times = tuple(seconds * index / (n_frames - 1) for index in range(n_frames))
    criteria = split_criteria(subject.task)
    return make_film_request(
        FilmBrief(card, subject.task, criteria, b"", times, "0000", card.max_episode_steps)
    )


@dataclass(frozen=True)
class Preview:
    """A prompt that can be shown: what it asks for, and how its request is made."""

    asks_for: str
    make: Callable[[Subject], ChatRequest]


PREVIEWS = {
    "designer/first": Preview(
        "a program, in the first round",
        lambda subject: prompts.make_program_request(subject.make_brief()),
    ),
    "designer/next": Preview(
        "a program, in a later round, with four rounds of history", _make_next
    ),
    "designer/repair": Preview(
        "the program again, without what was found wrong with it", _make_repair
    ),
    "designer/revise": Preview(
        "the program again, after the Critic asked for a change", _make_revision
    ),
    "designer/metric": Preview(
        "a metric for a sentence that has none",
        lambda subject: prompts.make_metric_request(subject.card, subject.task.description),
    ),
    "designer/metric_repair": Preview(
        "the metric again, without what was found wrong with it", _make_metric_repair
    ),
    "designer/wish": Preview("a person's words as measures of an episode", _make_wish),
    "designer/describe": Preview("what the parts of a robot's model mean", _make_meaning),
    "designer/describe_repair": Preview(
        "the same again, without what the live model refused", _make_meaning_repair
    ),
    "critic/review": Preview("the risks of a program, before it is trained", _make_review),
    "critic/metric": Preview(
        "whether a proposed metric is what the sentence says, without its code", _make_comparison
    ),
    "analyzer/analyse": Preview(
        "why a trained policy does what it does, and the next change",
        lambda subject: prompts.make_analysis_request(_brief_best(subject), subject.entry),
    ),
    "judge/film": Preview("what is seen in a film's frames, criterion by criterion", _make_film),
}


def _write_program(card: EnvCard) -> str:
    """Write a program over the first scalar field of a card."""
    name = next(field.name for field in card.state if field.size is None)
    return (
        "def compute_reward(state, action, next_state):\n"
        f'    """Pay for change of {name}."""\n'
        f"    change = next_state.{name} - state.{name}  # (N,)\n"
        '    terms = {"change": change}\n'
        "    return change, terms\n"
    )


def _break(program: RewardProgram, card: EnvCard) -> RewardProgram:
    """Return the program with the name of a field misspelt."""
    used = [f.name for f in card.state if f"state.{f.name}" in program.source]
    name = used[0] if used else card.state[0].name
    wrong = f"{name[:-2]}{name[-1]}{name[-2]}"
    return RewardProgram(program.source.replace(f"state.{name}", f"state.{wrong}"))


def _make_example(program: RewardProgram, task: TaskSpec) -> HistoryEntry:
    """Return a candidate of nobody's run, which says so."""
    score = 0.3 * (task.target_score or 1.0)
    evaluation = Evaluation(
        total_timesteps=200_000,
        seed=1,
        n_episodes=16,
        task_score=score,
        task_score_interval=(0.8 * score, 1.2 * score),
        success_rate=0.0,
        episode_length=200.0,
    )
    candidate = Candidate(
        id="example0",
        iteration=0,
        index=0,
        idea="weighted-sum",
        outcome=TRAINED,
        program_sha256=program.sha256,
        total_timesteps=200_000,
        task_score=score,
        evaluation=evaluation,
    )
    text = "(Here stands what its policy does, in words and tables; --run RUN shows a real one.)"
    return HistoryEntry(candidate, program=program, summary_text=text)
