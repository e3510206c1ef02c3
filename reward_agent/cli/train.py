"""``reward-agent train`` and ``reward-agent evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reward_agent.cli.settings import add_settings
from reward_agent.errors import UsageError

if TYPE_CHECKING:
    from reward_agent.types import Evaluation

Env = Annotated[str, typer.Option(help="Environment: a name or a folder.")]
Task = Annotated[str, typer.Option(help="A task's name, or a sentence with --metric.")]
MetricOption = Annotated[Path | None, typer.Option(help="Your own metric.py.")]
Folder = Annotated[Path | None, typer.Option("--output", "-o", help="Folder for the results.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@add_settings("preset", "steps", "seed", "eval_episodes", "sandbox", "memory_mib", "video")
def train_command(
    env: Env,
    task: Task,
    reward: Annotated[
        Path | None, typer.Option(help="A reward program \\[default: the task's reference].")
    ] = None,
    metric: MetricOption = None,
    output: Folder = None,
    as_json: Json = False,
    **settings: Any,
) -> None:
    """Train a policy with one reward program and score it by the task's metric."""
    from reward_agent.cli.display import TrainingBar
    from reward_agent.cli.output import print_json, print_text
    from reward_agent.run.single import train

    source = _read_program(reward) if reward is not None else None
    with TrainingBar() as bar:
        trained = train(
            env, task, source, metric=metric, folder=output, on_progress=bar.update, **settings
        )
    if as_json:
        print_json(
            {
                "folder": str(trained.folder),
                "training": trained.result.model_dump(mode="json"),
                "evaluation": trained.evaluation.model_dump(mode="json"),
            }
        )
        return
    print_text(f"{trained.result.total_timesteps:,} steps at {trained.result.steps_per_s:,.0f}/s")
    print_text(_describe(trained.evaluation.best))
    print_text(f"policy  {trained.folder / 'evaluation' / trained.evaluation.best_file}")
    if trained.evaluation.video_file:
        print_text(f"video   {trained.folder / 'evaluation' / trained.evaluation.video_file}")
    elif trained.evaluation.video_note:
        print_text(f"no video: {trained.evaluation.video_note}")


@add_settings("seed", "eval_episodes", "sandbox", "memory_mib", "video")
def evaluate_command(
    policy: Annotated[Path, typer.Argument(help="A policy .safetensors file.")],
    env: Env,
    task: Task,
    metric: MetricOption = None,
    output: Folder = None,
    as_json: Json = False,
    **settings: Any,
) -> None:
    """Score a policy on fresh episodes by the task's metric."""
    from reward_agent.cli.output import print_json, print_text
    from reward_agent.run.single import evaluate

    result = evaluate(policy, env, task, metric=metric, folder=output, **settings)
    if as_json:
        print_json(result.model_dump(mode="json"))
    else:
        print_text(_describe(result.best))


def _read_program(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8", "replace")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", "name a file") from error


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
