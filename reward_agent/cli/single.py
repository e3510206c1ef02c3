"""``reward-agent check``, ``train`` and ``evaluate``: one program or one policy by itself."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import Field

from reward_agent.cli.answers import CommandAnswer, answers
from reward_agent.cli.output import progress_console, render_table
from reward_agent.cli.settings import Env, add_settings
from reward_agent.errors import DataError, UsageError
from reward_agent.files import find_real, read_bytes
from reward_agent.records.drafting_jobs import TranslateResult
from reward_agent.records.scoring_jobs import EvaluateResult
from reward_agent.text import decode_text
from reward_agent.types import (
    Activation,
    CheckReport,
    FileRecord,
    ProbeReport,
    Record,
    TrainingResult,
)

if TYPE_CHECKING:
    from reward_agent.run.single import Examined
    from reward_agent.types import Evaluation

Task = Annotated[str, typer.Option(help="A task's name, or a sentence with --metric.")]
MetricOption = Annotated[Path | None, typer.Option(help="Your own metric.py.")]
Folder = Annotated[Path | None, typer.Option("--output", "-o", help="Folder for the results.")]

# Of every command that scores a policy.
_OF_A_SCORE = (
    "seed", "eval_episodes", "sandbox", "training_timeout_s", "memory_mib", "python", "video",
    "trust_config",
)  # fmt: skip


class CheckAnswer(FileRecord):
    """What ``reward-agent check --json`` prints."""

    accepted: bool = Field(description="no finding of severity error")
    check: CheckReport
    probe: ProbeReport | None = Field(None, description="with --probe, if the rules accept it")
    says: tuple[str, ...] = Field((), description="what the pay of cheap behaviours tells")
    taken: TranslateResult | None = Field(
        None, description="what a file in another style was taken as; the findings are of that"
    )


class TrainAnswer(Record):
    """What ``reward-agent train --json`` prints."""

    folder: str
    algo: str
    training: TrainingResult
    evaluation: EvaluateResult


@answers("cli.single:TrainAnswer")
@add_settings("preset", "algo", "steps", *_OF_A_SCORE)
def train_command(
    env: Env,
    task: Task,
    reward: Annotated[
        Path | None, typer.Option(help="A reward program \\[default: the task's reference].")
    ] = None,
    metric: MetricOption = None,
    output: Folder = None,
    **settings: Any,
) -> CommandAnswer:
    """Train a policy with one reward program and score it by the task's metric."""
    from reward_agent.cli.display import RunDisplay
    from reward_agent.run.single import train

    source = _read_source(str(reward)) if reward is not None else None
    with RunDisplay() as display:
        show = partial(display.show_row, "training")
        trained = train(
            env, task, source, metric=metric, folder=output, on_progress=show, **settings
        )
    result, evaluation, folder = trained.result, trained.evaluation, trained.folder / "evaluation"
    lines = [
        f"{result.total_timesteps:,} steps with {trained.algo} at {result.steps_per_s:,.0f}/s",
        _describe_both(evaluation),
        f"policy  {folder / evaluation.best_file}",
    ]
    if evaluation.video_file:
        lines.append(f"video   {folder / evaluation.video_file}")
    elif evaluation.video_note:
        lines.append(f"no video: {evaluation.video_note}")
    told = TrainAnswer(
        folder=str(trained.folder), algo=trained.algo, training=result, evaluation=evaluation
    )
    return CommandAnswer(told, "\n".join(lines))


@answers("records.scoring_jobs:EvaluateResult")
@add_settings(*_OF_A_SCORE)
def evaluate_command(
    policy: Annotated[
        Path, typer.Argument(help="A policy: .safetensors, or a zip of Stable-Baselines3's.")
    ],
    env: Env,
    task: Task,
    metric: MetricOption = None,
    output: Folder = None,
    activation: Annotated[
        Activation | None, typer.Option(help="Of a zip's layers, where it cannot be read.")
    ] = None,
    statistics: Annotated[
        Path | None, typer.Option(help="A zip's VecNormalize, as .npz \\[default: one beside it].")
    ] = None,
    **settings: Any,
) -> CommandAnswer:
    """Score a policy on fresh episodes by the task's metric."""
    from reward_agent.run.single import evaluate

    result = evaluate(
        policy,
        env,
        task,
        metric=metric,
        folder=output,
        activation=activation,
        statistics=statistics,
        tell=lambda note: progress_console.print(f"note: {note}"),
        **settings,
    )
    return CommandAnswer(result, _describe_both(result))


def _describe_both(result: EvaluateResult) -> str:
    """Say what an evaluation found with the model's own physics and with randomised ones."""
    text = _describe(result.best)
    if result.randomised is None:
        return text
    return f"{text}\nwith randomised physics: {_describe(result.randomised)}"


def _describe(evaluation: Evaluation) -> str:
    """Say what an evaluation found, with its intervals."""
    if evaluation.task_score is None:
        return f"not scored: no metric; {evaluation.episode_length:.0f} steps an episode"
    text = f"task score {evaluation.task_score:.3g}"
    if evaluation.task_score_interval is not None:
        low, high = evaluation.task_score_interval
        text += f" [{low:.3g}, {high:.3g}]"
    if evaluation.success_rate is not None:
        text += f", success {evaluation.success_rate:.0%} of {evaluation.n_episodes} episodes"
    parts = ", ".join(f"{name} {value:.3g}" for name, value in evaluation.parts.items())
    return f"{text}\n{parts}" if parts else text


@answers("cli.single:CheckAnswer")
def check_command(
    file: Annotated[str, typer.Argument(help="A reward program; '-' reads standard input.")],
    env: Env,
    task: Annotated[
        str | None, typer.Option(help="What it is for: its metric scores what takes no skill.")
    ] = None,
    probe: Annotated[bool, typer.Option("--probe", help="Also dry-run it in the sandbox.")] = False,
) -> CommandAnswer:
    """Check a reward program: findings at their lines, exit code 1 if it is refused."""
    from reward_agent.rewards.pay import tell_pay
    from reward_agent.run.single import check

    data = _read_data(file)
    examined = check(data, env, task=task, probe=probe, name=file)
    told = CheckAnswer(
        accepted=examined.is_accepted,
        check=examined.check,
        probe=examined.probe,
        says=tuple(tell_pay(examined.probe)) if examined.probe else (),
        taken=examined.taken,
    )
    words = _render(examined, data.decode("utf-8", "replace"))
    return CommandAnswer(told, words, None if examined.is_accepted else typer.Exit(1))


def _read_source(file: str) -> str:
    return decode_text(_read_data(file), "replace")


def _read_data(file: str) -> bytes:
    try:
        data = sys.stdin.buffer.read() if file == "-" else read_bytes(find_real(Path(file)))
    except DataError as error:
        raise UsageError(error.message, "name a file, or -") from error
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}", "name a file, or -") from error
    return data


def _render_taken(taken: TranslateResult) -> list[str]:
    """Say what a file was taken as, and what both pay."""
    lines = [f"taken as {taken.form}: {taken.entry}", *taken.notes]
    if taken.parity:
        rows = [
            (row.steps, f"{row.n_steps}", f"{row.original:.4g}", f"{row.ours:.4g}",
             f"{row.difference:.2g} at most")
            for row in taken.parity
        ]  # fmt: skip
        head = ("pay of a step", "steps", taken.original, "program", "differ by")
        lines.append(render_table(head, rows))
    if taken.form != "as it is":
        lines.append(f"the program:\n{taken.program}")
    return lines


def _render(examined: Examined, source: str) -> str:
    from reward_agent.rewards.checks import render_findings
    from reward_agent.rewards.pay import list_pay, tell_pay

    findings = examined.check.findings + (examined.probe.findings if examined.probe else ())
    verdict = "accepted" if examined.is_accepted else "refused"
    taken = examined.taken
    is_translated = taken is not None and taken.form in ("arrays", "rows")
    shown = taken.program if taken is not None and is_translated else None
    lines = [render_findings(shown or source, findings)] if findings else []
    if taken is not None and (is_translated or taken.notes):
        lines = [*_render_taken(taken), *lines] if taken.form else [*taken.notes, *lines]
    if examined.probe is not None:
        lines += [
            f"{term.name}: {term.mean:.3g} ± {term.std:.3g}, "
            f"{term.minimum:.3g} … {term.maximum:.3g} a step"
            for term in examined.probe.terms
        ]
        if table := list_pay(examined.probe):
            lines.append("pay of an episode of what takes no skill:")
            lines += [render_table(table[0], table[1:]), *tell_pay(examined.probe)]
        lines += [f"start from {trial}" for trial in examined.probe.starts]
        if examined.probe.call_us is not None:
            lines.append(f"{examined.probe.call_us:.0f} µs a call at 64 simulations")
    return "\n".join([*lines, verdict])
