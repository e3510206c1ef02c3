"""How different the programs of a round are: the share of duplicates among eight.

Models have no temperature to turn: programs differ because their prompts ask for different ideas.
The control asks for the same idea eight times. Two programs are duplicates when they differ in
words only (names, comments, the way a constant is written).
"""

from __future__ import annotations

import argparse
import os
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory

from reward_agent.definitions.card import EnvCard, list_envs, load_env
from reward_agent.definitions.task import TaskSpec, apply_task, list_tasks, resolve_task
from reward_agent.designers.brief import DesignBrief
from reward_agent.designers.ideas import choose_ideas
from reward_agent.designers.roles import Designer
from reward_agent.designers.team import make_team
from reward_agent.errors import ModelError
from reward_agent.llm.chat import DEFAULT_REPLY_TOKENS
from reward_agent.records.settings import RunSettings
from reward_agent.rewards.checks import check_program
from reward_agent.rewards.source import list_ingredients, parse_source
from reward_agent.types import Record, RewardProgram, Usage

SAME_IDEA, OWN_IDEA = "one idea", "an idea each"


@dataclass(frozen=True)
class Goal:
    """An environment and a task."""

    card: EnvCard
    task: TaskSpec


class DiversityRow(Record):
    """The programs of one round.

    ``duplicate_share`` is the share of the programs that another one before them equals;
    ``overlap`` the mean share of fields and functions that two of them have in common.
    """

    env: str
    task: str
    asked: str
    n_asked: int
    n_programs: int
    n_accepted: int
    n_distinct: int
    duplicate_share: float | None
    overlap: float | None
    outcomes: tuple[str, ...] = ()


class DiversityReport(Record):
    """All rounds that were asked for, and who was asked."""

    provider: str
    model: str
    rows: tuple[DiversityRow, ...]
    usage: Usage


def main(arguments: Sequence[str]) -> DiversityReport:
    """Run the benchmark with the arguments of the command line.

    Raises:
        RewardAgentError: the provider, the environment or the task is not there.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks diversity")
    parser.add_argument("--provider", default="offline")
    parser.add_argument("--model")
    parser.add_argument("--base-url")
    parser.add_argument("--env", help="default: every environment")
    parser.add_argument("--task", help="default: every task of the environment")
    parser.add_argument("--candidates", type=int, default=8)
    parser.add_argument("--reply-tokens", type=int, default=DEFAULT_REPLY_TOKENS)
    parser.add_argument("--max-usd", type=float)
    given = parser.parse_args(list(arguments))
    settings = RunSettings(
        provider=given.provider,
        model=given.model,
        base_url=given.base_url,
        reply_tokens=given.reply_tokens,
        max_usd=given.max_usd,
        cache="off",
    )
    with TemporaryDirectory() as folder:
        team = make_team(settings, Path(folder), os.environ, threading.Event())
        rows = [
            measure_round(team.designer, goal, given.candidates, asked)
            for goal in _list_goals(given.env, given.task)
            for asked in (OWN_IDEA, SAME_IDEA)
        ]
    provider, _, model = team.description.partition(": ")
    return DiversityReport(
        provider=provider, model=model, rows=tuple(rows), usage=team.budget.usage
    )


def measure_round(designer: Designer, goal: Goal, n_candidates: int, asked: str) -> DiversityRow:
    """Ask for the programs of one first round, and compare them."""
    ideas = choose_ideas(0, n_candidates)
    briefs = [
        DesignBrief(goal.card, goal.task, idea, index=index) for index, idea in enumerate(ideas)
    ]
    if asked == SAME_IDEA:
        briefs = [replace(brief, idea=ideas[0]) for brief in briefs]
    with ThreadPoolExecutor(designer.max_concurrency) as pool:
        proposals = list(pool.map(lambda brief: _propose(designer, brief), briefs))
    sources = [source for source, _ in proposals if source is not None]
    reports = [check_program(RewardProgram(source), goal.card) for source in sources]
    forms = [" ".join(source.split()) for source in sources]
    return DiversityRow(
        env=goal.card.name,
        task=goal.task.name,
        asked=asked,
        n_asked=n_candidates,
        n_programs=len(sources),
        n_accepted=sum(report.is_accepted for report in reports),
        n_distinct=len(set(forms)),
        duplicate_share=1 - len(set(forms)) / len(forms) if forms else None,
        overlap=_measure_overlap(sources),
        outcomes=tuple(outcome for source, outcome in proposals if source is None),
    )


def render_diversity(report: DiversityReport) -> str:
    """Return the table that a person reads."""
    lines = [
        f"{report.provider}: {report.model}; duplicates: programs that differ in words only",
        f"{'env':<18} {'task':<14} {'asked for':<13} {'programs':>8} {'accepted':>8} "
        f"{'distinct':>8} {'duplicates':>10} {'overlap':>7}",
    ]
    for row in report.rows:
        share = "–" if row.duplicate_share is None else f"{row.duplicate_share:.0%}"
        overlap = "–" if row.overlap is None else f"{row.overlap:.2f}"
        programs = f"{row.n_programs}/{row.n_asked}"
        lines.append(
            f"{row.env:<18} {row.task:<14} {row.asked:<13} {programs:>8} {row.n_accepted:>8} "
            f"{row.n_distinct:>8} {share:>10} {overlap:>7}"
        )
        lines += [f"    {outcome}" for outcome in sorted(set(row.outcomes))]
    for asked in (OWN_IDEA, SAME_IDEA):
        lines.append(f"{asked}: {_describe_mean(report.rows, asked)}")
    if report.usage.n_calls:
        usage = report.usage
        usd = "" if usage.usd is None else f", {usage.usd:.4f} USD"
        lines.append(
            f"{usage.n_calls} calls, {usage.input_tokens:,} tokens in, {usage.output_tokens:,} out"
            + usd
        )
    return "\n".join(lines)


def _describe_mean(rows: Iterable[DiversityRow], asked: str) -> str:
    chosen = [row for row in rows if row.asked == asked]
    n_programs = sum(row.n_programs for row in chosen)
    n_distinct = sum(row.n_distinct for row in chosen)
    if not n_programs:
        return "no program"
    overlaps = [row.overlap for row in chosen if row.overlap is not None]
    shared = f", overlap {fmean(overlaps):.2f}" if overlaps else ""
    share = (n_programs - n_distinct) / n_programs
    return f"{n_programs - n_distinct} duplicates among {n_programs} ({share:.0%}){shared}"


def _list_goals(env: str | None, task: str | None) -> list[Goal]:
    goals = []
    for name in [env] if env else list_envs():
        card = load_env(name)
        for text in [task] if task else list_tasks(card):
            spec = resolve_task(card, text)
            goals.append(Goal(apply_task(card, spec), spec))
    return goals


def _propose(designer: Designer, brief: DesignBrief) -> tuple[str | None, str]:
    """Return the source of a program, or why there is none."""
    try:
        proposal = designer.propose(brief)
    except ModelError as error:
        return None, error.message
    return (proposal.program.source if proposal.program else None), proposal.outcome


def _measure_overlap(sources: Sequence[str]) -> float | None:
    """Return the mean Jaccard index of what two programs read and call."""
    parsed = [source for source in sources if parse_source(source).source is not None]
    sets = [set(list_ingredients(source)[0]) for source in parsed]
    pairs = [(a, b) for number, a in enumerate(sets) for b in sets[:number] if a | b]
    return fmean(len(a & b) / len(a | b) for a, b in pairs) if pairs else None
