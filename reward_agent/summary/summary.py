"""What a trained policy does, in numbers that help to write the next reward."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from reward_agent.definitions.card import EnvCard
from reward_agent.definitions.task import TaskSpec
from reward_agent.errors import DataError
from reward_agent.evaluation.metrics import Episode
from reward_agent.evaluation.scoring import count_kinds, rank_episodes
from reward_agent.evaluation.trajectories import Trajectories
from reward_agent.records.exploration import Exploration, Lack, Motion
from reward_agent.records.gates import ConditionCount, GateSummary
from reward_agent.records.scoring_jobs import EvaluateResult, RelabelResult
from reward_agent.summary.course import (
    CoursePoint,
    StageSummary,
    TermSummary,
    find_steps_to,
    make_course,
    render_course,
    render_stages,
    render_terms,
    summarise_stages,
    summarise_terms,
)
from reward_agent.summary.diagnostics import Case, Diagnosis, diagnose
from reward_agent.summary.exploration import find_lack, render_exploration, tell_exploration
from reward_agent.summary.fields import (
    Column,
    ContactSummary,
    FieldSummary,
    choose_columns,
    render_fields,
    summarise_contacts,
    summarise_fields,
)
from reward_agent.summary.memory import add_memory, make_memory_columns
from reward_agent.summary.motions import list_motions, render_motions
from reward_agent.summary.samples import EpisodeSample, render_sample, sample_episode
from reward_agent.text import format_number, format_share, format_steps
from reward_agent.types import (
    Evaluation,
    FileRecord,
    Finite,
    Record,
    StartTrial,
    StartUse,
    TrainingResult,
)

_N_COLUMNS = 7
# Of scores and lengths, and of a field's range between the means of episodes.
_ALIKE, _ALIKE_MEANS = 0.01, 0.03
# The median episode tells most; of the other two a glance is enough.
_ROWS = {"median": 13, "best": 6, "worst": 6}


class EndCount(Record):
    """Why some of the episodes ended."""

    end: str
    n_episodes: int
    mean_length: Finite


class TrajectorySummary(FileRecord):
    """What one policy does: the one of a training that the task metric likes best.

    ``course`` keeps the task score and the generated return apart; they are never compared.
    """

    env: str
    task: str
    unit: str
    control_dt: Finite
    max_episode_steps: int
    best: Evaluation
    total_timesteps: int
    target_score: Finite | None = None
    course: tuple[CoursePoint, ...] = ()
    terms: tuple[TermSummary, ...] = ()
    stages: tuple[StageSummary, ...] = ()
    ends: tuple[EndCount, ...] = ()
    fields: tuple[FieldSummary, ...] = ()
    contacts: ContactSummary = ContactSummary()
    episodes: tuple[EpisodeSample, ...] = ()
    gates: tuple[GateSummary, ...] = ()
    conditions: tuple[GateSummary, ...] = ()
    diagnoses: tuple[Diagnosis, ...] = ()
    starts: tuple[StartUse, ...] = ()
    start_trials: tuple[StartTrial, ...] = ()
    motions: tuple[Motion, ...] = Field((), description="of the first of the episodes")
    exploration: Exploration | None = None
    lack: Lack | None = None

    @property
    def met(self) -> str:
        """How far the training itself came, in a line; '' where that is not known."""
        return tell_exploration(self.exploration, self.lack) if self.exploration else ""


def summarise(
    card: EnvCard,
    task: TaskSpec,
    training: TrainingResult,
    evaluated: EvaluateResult,
    trajectories: Trajectories,
    relabelled: RelabelResult | None = None,
    memory: Mapping[str, NDArray[np.float64]] | None = None,
    starts: Sequence[StartTrial] = (),
    exploration: Exploration | None = None,
) -> TrajectorySummary:
    """Return the summary of a training's best policy.

    Args:
        card: the environment with the task applied.
        task: what was wanted.
        training: its own view of itself.
        evaluated: trusted scores of its snapshots, and of the best one.
        trajectories: the best one's episodes.
        relabelled: pay of the terms in these, if it is known.
        memory: what the program remembers after each step of these, all end to end.
        starts: what was tried of the states that the training also began in.
        exploration: what the metric says of episodes of the training itself.

    Raises:
        DataError: the episodes are not of the environment, or less than were scored.
    """
    trajectories.check_card(card)
    if trajectories.n_episodes < len(evaluated.best.episodes):
        raise DataError(f"{trajectories.n_episodes} of {evaluated.best.n_episodes} are recorded")
    episodes = [trajectories.episode(i).keep_finite() for i in range(trajectories.n_episodes)]
    remembered = make_memory_columns(memory or {})
    episodes = add_memory(episodes, trajectories, memory or {})
    columns = choose_columns(card, f"{task.description} {task.criterion}", episodes)
    course = make_course(training, evaluated)
    terms = summarise_terms(training, evaluated, relabelled)
    text = f"{task.description} {task.criterion}"
    case = Case(card, task.target_score, course, terms, evaluated.best, episodes, text)
    samples = _sample_episodes(card, [*columns[:_N_COLUMNS], *remembered], evaluated.best, episodes)
    return TrajectorySummary(
        env=card.name,
        task=task.name,
        unit=task.unit,
        control_dt=card.control_dt,
        max_episode_steps=card.max_episode_steps,
        best=evaluated.best,
        total_timesteps=training.total_timesteps,
        target_score=task.target_score,
        course=course,
        terms=terms,
        stages=summarise_stages(training, relabelled),
        ends=_count_ends(evaluated.best),
        fields=summarise_fields(columns, episodes),
        contacts=summarise_contacts(card, episodes),
        episodes=samples,
        gates=relabelled.gates if relabelled else (),
        conditions=relabelled.conditions if relabelled else (),
        diagnoses=diagnose(case),
        starts=training.starts,
        start_trials=tuple(starts),
        motions=list_motions(card, episodes[samples[0].index]),
        exploration=exploration,
        lack=find_lack(case, exploration),
    )


def render_summary(summary: TrajectorySummary) -> str:
    """Return the summary as compact text with small tables, for prompts and for people."""
    sections = [_render_verdict(summary), _render_ends(summary), render_training(summary)]
    sections.append(f"Fields, all episodes:\n{render_fields(summary.fields, summary.contacts)}")
    if summary.conditions:
        sections.append(render_gates(summary.conditions, "Conditions of the metric"))
    if summary.gates:
        sections.append(render_gates(summary.gates, "Gates of the program"))
    if summary.exploration:
        sections.append(render_exploration(summary.exploration, summary.best, summary.lack))
    rendered = [render_sample(sample) for sample in summary.episodes]
    if summary.motions:
        rendered[0] += f"\n{render_motions(summary.motions)}"
    sections += [text[0].upper() + text[1:] for text in rendered]
    sections.append(_render_diagnoses(summary.diagnoses))
    return "\n\n".join(sections) + "\n"


def render_training(summary: TrajectorySummary) -> str:
    """Return the course of the training and what each term paid: numbers without behaviour."""
    sections = [
        "Over training (left of the bar: the task metric on fresh episodes; right of it: what the "
        f"training saw; never compare the two):\n{render_course(summary.course, summary.unit)}"
    ]
    if summary.terms:
        sections.append(
            "Reward terms, of the policy without noise in these episodes (per step, too); in "
            "training: by then, with the noise of exploring; r: rank correlation with task_score, "
            "over training of the changes of both:\n" + render_terms(summary.terms)
        )
    if summary.stages:
        sections.append(render_stages(summary.stages))
    if summary.starts:
        told = [*map(str, summary.starts), *(f"before it, {item}" for item in summary.start_trials)]
        sections.append("Episodes of the training that began elsewhere:\n" + "\n".join(told))
    return "\n\n".join(sections)


def _sample_episodes(
    card: EnvCard, columns: Sequence[Column], best: Evaluation, episodes: Sequence[Episode]
) -> tuple[EpisodeSample, ...]:
    """Return the median, the best and the worst episode, each once."""
    order = rank_episodes(best)
    middle = order[len(order) // 2]
    is_alike = find_alike(columns, best, episodes)
    kinds = {(e.task_score, e.success, e.end) for e in best.episodes}
    if is_alike or (len(order) > 1 and len(kinds) == 1):  # so that none is the best
        i = middle
        are = "are alike" if is_alike else "score the same and end alike"
        role = f"all {len(order)} episodes {are}; one"
        return (
            sample_episode(card, episodes[i], best.episodes[i], columns, role, i, _ROWS["median"]),
        )
    # The last of two roles of one episode counts: the median is told before the others.
    roles = {order[0]: "worst", order[-1]: "best", middle: "median"}
    return tuple(
        sample_episode(card, episodes[i], best.episodes[i], columns, role, i, _ROWS[role])
        for i, role in sorted(roles.items(), key=lambda item: list(_ROWS).index(item[1]))
    )


def find_alike(columns: Sequence[Column], best: Evaluation, episodes: Sequence[Episode]) -> bool:
    """Return whether all episodes end alike, score the same, and look the same on the whole."""
    scores = [episode.task_score or 0.0 for episode in best.episodes]
    lengths = [episode.length for episode in best.episodes]
    if len(scores) < 2 or len({(e.end, e.success) for e in best.episodes}) > 1:
        return False
    spread = max(np.ptp(scores) / (max(map(abs, scores)) or 1.0), np.ptp(lengths) / max(lengths))
    if spread > _ALIKE:
        return False
    means = np.array([[column.read(e).mean() for column in columns] for e in episodes])
    spans = np.array([column.field.range[1] - column.field.range[0] for column in columns])
    return not columns or bool(np.all(np.ptp(means, axis=0) <= _ALIKE_MEANS * spans))


def _count_ends(best: Evaluation) -> tuple[EndCount, ...]:
    counts = Counter(episode.end for episode in best.episodes)
    return tuple(
        EndCount(
            end=end,
            n_episodes=count,
            mean_length=float(np.mean([e.length for e in best.episodes if e.end == end])),
        )
        for end, count in counts.most_common()
    )


def render_gates(gates: Sequence[GateSummary], title: str) -> str:
    """Return which conditions were shut, and what ended each hold."""
    lines = [
        f"{title} in these episodes (open: true, or at least 0.5; alone: shut while "
        "all others were open):"
    ]
    for gate in gates:
        held = f"; {gate.n_holds} holds, the longest {format_number(gate.longest_s)} s"
        of = " of the episodes" if gate.of_episodes else f" of the steps{held}"
        lines.append(f"{gate.name}: open {format_share(gate.open)}{of}")
        for item in gate.conditions:
            ends = f"; ended {item.ended} holds{_render_ends_of(item)}" if item.ended else ""
            shut = f"shut {format_share(item.shut)}, alone {format_share(item.alone)}{ends}"
            lines.append(f"  {item.text}: {shut}")
        if gate.ended_with_episode:
            lines.append(f"  the end of the episode: ended {gate.ended_with_episode} holds")
    return "\n".join(lines)


def _render_ends_of(item: ConditionCount) -> str:
    """Say what the fields of a condition were when it ended holds."""
    told = [
        f"{name} {format_number(low)}" + (f" to {format_number(high)}" if high != low else "")
        for name, (low, high) in item.ends.items()
    ]
    return f" ({', '.join(told)} then)" if told else ""


def _render_verdict(summary: TrajectorySummary) -> str:
    best = summary.best
    at = f"{format_steps(best.total_timesteps)} of {format_steps(summary.total_timesteps)} steps"
    head = f"{best.n_episodes} fresh episodes of the best policy (at {at} of training)"
    lines = [f"{head}, deterministic:"]
    score = f"task_score {format_number(best.task_score)} {summary.unit}".rstrip()
    if best.task_score_interval is not None:
        score += f" (95%: {' to '.join(map(format_number, best.task_score_interval))})"
    if best.success_rate is not None and best.success_interval is not None:
        low, high = best.success_interval
        score += f"; success {format_share(best.success_rate)} (95%: {low:.0%} to {high:.0%})"
    lines.append(score)
    if best.parts:
        lines.append(f"parts of the score: {', '.join(_render_parts(best))}")
    if summary.target_score is not None:
        reached = find_steps_to(summary.course, summary.target_score)
        when = f"first reached at {format_steps(reached)} steps" if reached else "not reached"
        lines.append(f"target {format_number(summary.target_score)}: {when}")
    return "\n".join(lines)


def _render_parts(best: Evaluation) -> list[str]:
    """Return the parts in words; where few whole numbers occur, how often each does."""
    told = []
    for name, value in best.parts.items():
        kinds = count_kinds([e.parts[name] for e in best.episodes if name in e.parts])
        if len(kinds) > 1:
            numbers = (f"{format_number(v)} ({n} times)" for v, n in kinds.most_common())
            told.append(f"{name} {' or '.join(numbers)}")
        else:
            told.append(f"{name} {format_number(value)}")
    return told


def _render_ends(summary: TrajectorySummary) -> str:
    limit = f"of at most {summary.max_episode_steps} ({summary.control_dt:g} s each)"
    ends = (
        f"{count.n_episodes} × {count.end} after {format_number(count.mean_length)} steps"
        for count in summary.ends
    )
    return f"Episodes end: {', '.join(ends)} {limit}"


def _render_diagnoses(diagnoses: Sequence[Diagnosis]) -> str:
    if not diagnoses:
        return "Known failure modes: none seen."
    lines = [
        f"- {d.name}: {d.meaning}. Evidence: {d.evidence}. What helps: {d.advice}."
        for d in diagnoses
    ]
    return "Known failure modes seen (by rules on these numbers):\n" + "\n".join(lines)
