"""``reward-agent envs``, ``prompts`` and ``doctor``: what there is to work with."""

from __future__ import annotations

import os
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import Field
from rich.text import Text

from reward_agent.cli.answers import CommandAnswer, answers
from reward_agent.cli.output import Yes, ask_about_money, make_table, print_text, progress_console
from reward_agent.cli.settings import RunsDir, add_settings, note_folder
from reward_agent.definitions.meaning import ClaimTest, Meaning
from reward_agent.errors import RewardAgentError
from reward_agent.llm.provider import PROVIDERS
from reward_agent.text import show_hidden
from reward_agent.trackers.registry import TRACKERS
from reward_agent.types import Record

if TYPE_CHECKING:
    from reward_agent.definitions.card import EnvCard
    from reward_agent.definitions.meaning import TriedMeaning

envs_app = typer.Typer(help="Show, check and draft environments.", no_args_is_help=True)
EnvName = Annotated[
    str, typer.Argument(help="An environment: a name or a folder.", callback=note_folder)
]


class EnvRow(Record):
    """An environment in the list."""

    name: str
    title: str
    tasks: tuple[str, ...]


@envs_app.command("list")
@answers("cli.inventory:EnvRow[]")
def list_envs_command() -> CommandAnswer:
    """List the environments and their tasks."""
    from reward_agent.definitions.card import list_envs, load_env
    from reward_agent.definitions.task import list_tasks

    cards = [load_env(name) for name in list_envs()]
    rows = [EnvRow(name=c.name, title=c.title, tasks=tuple(list_tasks(c.name))) for c in cards]
    shown = ((row.name, row.title, ", ".join(row.tasks)) for row in rows)
    return CommandAnswer(rows, make_table("environment", "what it is", "tasks", rows=shown))


def _tell(line: str) -> None:
    progress_console.print(line, style="dim")


def _measure(card: EnvCard) -> str:
    """Say what is measured on the robot itself; '' where it cannot be simulated, and why not."""
    from reward_agent.run.single import measure_robot

    try:
        return measure_robot(card)
    except RewardAgentError as error:
        _tell(f"the robot was not measured: {error.message}")
        return ""


class EnvPrompt(Record):
    """An environment as a language model is told of it, with --as-prompt."""

    name: str
    tasks: tuple[str, ...]
    prompt: str


@envs_app.command("show")
@answers("definitions.card:EnvCard", "cli.inventory:EnvPrompt")
def show_env_command(
    env: EnvName,
    as_prompt: Annotated[
        bool, typer.Option("--as-prompt", help="Show what the language model sees.")
    ] = False,
) -> CommandAnswer:
    """Show an environment's card."""
    from reward_agent.definitions.card import load_env
    from reward_agent.definitions.card_text import render_card, render_card_as_prompt
    from reward_agent.definitions.task import list_tasks

    card = load_env(env)
    if not as_prompt:
        return CommandAnswer(card, lambda: print_text(_add_measures(render_card(card), card)))
    text = _add_measures(render_card_as_prompt(card), card)
    return CommandAnswer(
        EnvPrompt(name=card.name, tasks=tuple(list_tasks(card)), prompt=text), text
    )


def _add_measures(text: str, card: EnvCard) -> str:
    standing = _measure(card)
    return f"{text}\n\nMeasured on the robot itself:\n{standing}" if standing else text


@envs_app.command("check")
@answers("records.drafting_jobs:CheckEnvResult")
@add_settings("python")
def check_env_command(env: EnvName, **settings: Any) -> CommandAnswer:
    """Compare a card with the live model; exit code 1 if they disagree."""
    from reward_agent.run.single import check_env

    result = check_env(env, **settings)
    lines = [f"{fact}: {value}" for fact, value in result.facts.items()]
    lines += [f"note: {note}" for note in result.notes]
    lines += [f"{one.severity}: {one.message}\n  → {one.remedy}" for one in result.findings]
    if result.findings:
        return CommandAnswer(result, "\n".join(lines), typer.Exit(1))
    return CommandAnswer(result, "\n".join([*lines, f"{env}: the card describes the model"]))


# Whom to ask what a model means, and what that may cost.
_ASKING = (
    "provider", "model", "base_url", "reply_tokens", "max_usd", "max_tokens", "max_calls",
    "pictures", "sandbox", "trust_config",
)  # fmt: skip


class DescribedEnv(Record):
    """What a language model said of a robot's parts, and what came of it."""

    meaning: Meaning = Field(description="what is not refused")
    verdicts: tuple[ClaimTest, ...]


@envs_app.command("describe")
@answers("cli.inventory:DescribedEnv")
@add_settings(*_ASKING)
def describe_env_command(
    env: EnvName,
    write: Annotated[
        bool,
        typer.Option("--write", help="Draft card and tasks anew with what holds; edits are lost."),
    ] = False,
    yes: Yes = False,
    runs_dir: RunsDir = None,
    **settings: Any,
) -> CommandAnswer:
    """Ask a language model what a robot's parts mean; what fails on the live model is refused."""
    from reward_agent.definitions.card import load_env
    from reward_agent.drafts.folder import read_drafted_source, redraft_env

    if write:  # before anything is paid
        read_drafted_source(load_env(env))
    described = _describe(env, runs_dir, yes, settings)
    if write:
        redraft_env(env, described)
    told = DescribedEnv(meaning=described.meaning, verdicts=described.verdicts)
    return CommandAnswer(told, "\n".join(described.render()))


def _describe(
    name: str, runs_dir: Path | None, yes: bool, settings: dict[str, Any]
) -> TriedMeaning:
    """Ask what a model means and try it; say meanwhile who is asked and what it cost."""
    from reward_agent.run.describe import describe_env

    agree = ask_about_money(yes)
    return describe_env(name, tell=_tell, runs_dir=runs_dir, agree=agree, **settings)


@envs_app.command("init")
@answers("drafts.folder:NewEnv")
@add_settings(*_ASKING)
def init_env_command(
    source: Annotated[
        str,
        typer.Argument(
            help="An MJCF or URDF, a folder with one, menagerie:NAME, an id of Gymnasium's or "
            "EnvPool's, or module:function that returns an environment, an MjSpec or an MjModel."
        ),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Its folder \\[default: ./NAME].")
    ] = None,
    python: Annotated[
        str | None, typer.Option(help="The Python that runs what is named \\[default: this one].")
    ] = None,
    home: Annotated[
        str | None, typer.Option(help="Keyframe to start from, by name or number.")
    ] = None,
    servos: Annotated[
        bool | None,
        typer.Option(help="Add position servos \\[default: where the model has no actuators]."),
    ] = None,
    floating: Annotated[
        bool, typer.Option("--floating", help="Let the base of a URDF move freely.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Write over an environment that is there.")
    ] = False,
    backend: Annotated[
        str | None,
        typer.Option(
            help="Of an environment: gymnasium, envpool, or mujoco for its robot \\[default: "
            "gymnasium, else envpool]."
        ),
    ] = None,
    describe: Annotated[
        bool,
        typer.Option(
            "--describe", help="Ask a language model what the parts mean, and try what it says."
        ),
    ] = False,
    yes: Yes = False,
    runs_dir: RunsDir = None,
    **settings: Any,
) -> CommandAnswer:
    """Draft card and tasks for a robot's model, or for an environment of Gymnasium's."""
    from reward_agent.control.folders import note_known
    from reward_agent.drafts.folder import Wishes, init_env, take_meaning

    keyframe = int(home) if home is not None and home.isdecimal() else home
    wishes = Wishes(python, keyframe, servos, floating, force, backend)
    env = init_env(source, output, wishes, lambda text: progress_console.print(f"note: {text}"))
    if not force:
        note_known(env.folder)
    if describe:
        progress_console.print(f"note: wrote {env.folder}; asking what its parts mean")
        try:
            env = take_meaning(env, _describe(str(env.folder), runs_dir, yes, settings))
        except RewardAgentError as error:
            goes_on = f"`reward-agent envs describe {shlex.quote(str(env.folder))} --write`"
            error.remedy = f"{error.remedy}; {env.folder} is there: {goes_on} goes on with it"
            raise
    return CommandAnswer(env, env.render())


prompts_app = typer.Typer(help="Show what language models are sent.", no_args_is_help=True)


class PromptRow(Record):
    """A prompt in the list."""

    name: str
    asks_for: str


class Turn(Record):
    """One message of a prompt."""

    role: str
    content: str


class ShownPrompt(Record):
    """A prompt, word for word."""

    name: str
    sha256: str = Field(description="of all that would be sent")
    tokens: int = Field(description="about so many")
    messages: tuple[Turn, ...]


@prompts_app.command("list")
@answers("cli.inventory:PromptRow[]")
def list_prompts_command() -> CommandAnswer:
    """List the prompts: what each asks for, and its parts."""
    from reward_agent.designers.preview import PREVIEWS

    rows = [PromptRow(name=name, asks_for=item.asks_for) for name, item in PREVIEWS.items()]
    shown = ((row.name, row.asks_for) for row in rows)
    return CommandAnswer(rows, make_table("prompt", "asks for", rows=shown))


@prompts_app.command("show")
@answers("cli.inventory:ShownPrompt")
def show_prompt_command(
    name: Annotated[str, typer.Argument(help="A prompt, such as designer/first.")],
    env: Annotated[str, typer.Option(help="Environment: a name or a folder.")] = "hopper",
    task: Annotated[str | None, typer.Option(help="A task's name, or any sentence.")] = None,
    run: Annotated[
        str | None, typer.Option(help="Take programs and trainings of this run.")
    ] = None,
    candidate: Annotated[int, typer.Option(min=0, help="Which idea of the round.")] = 0,
    runs_dir: RunsDir = None,
) -> CommandAnswer:
    """Show a prompt word for word, as it would be sent."""
    from reward_agent.designers.preview import estimate_tokens, load_subject, preview_prompt
    from reward_agent.records.store import load_run
    from reward_agent.run.behaviours import read_robot

    subject = load_subject(env, task, run, runs_dir, candidate)
    standing = read_robot(load_run(run, runs_dir)) if run else _measure(subject.card)
    request = preview_prompt(name, replace(subject, standing=standing))
    n_tokens = estimate_tokens(request.prompt)
    turns = tuple(Turn(role=turn.role, content=turn.content) for turn in request.messages)
    shown = ShownPrompt(name=name, sha256=request.sha256, tokens=n_tokens, messages=turns)

    def show() -> None:
        print_text(request.prompt)
        what = "of the run" if run else "an example; --run RUN shows a real one"
        _tell(
            f"about {n_tokens:,} tokens ({len(request.prompt):,} characters), at most "
            f"{request.max_output_tokens:,} for the reply; programs and trainings: {what}"
        )

    return CommandAnswer(shown, show, is_verbatim=True)


@answers("sandbox.doctor:Mechanism[]", "llm.checkup:Fact[]")
@add_settings("provider", "model", "base_url", "effort", "context_tokens", "pictures")
def doctor_command(**settings: Any) -> CommandAnswer:
    """Say what this machine offers; with --provider, try that model for a few cents at most."""
    from reward_agent.definitions.learner import LEARNERS
    from reward_agent.executors.device_survey import describe_survey, survey_device
    from reward_agent.executors.registry import EXECUTORS
    from reward_agent.sandbox.doctor import Mechanism, survey, survey_members
    from reward_agent.simulation.backends import BACKENDS

    if settings.get("provider"):
        return _try_provider(settings)
    mechanisms = survey()
    for row in PROVIDERS.own:
        if row.needs_key:
            variable, key = row.choose_key(os.environ)
            detail = "set" if os.environ.get(variable) else "kept"
            detail += f", not tried: doctor --provider {row.name} does"
            if not key:
                detail = f"not set: export it, or `reward-agent keys set {variable}`"
            mechanisms.append(Mechanism(variable, f"provider {row.name}", False, detail))
    gpu = survey_device()
    mechanisms.append(Mechanism("GPU", "--device gpu", not gpu.lacks, describe_survey(gpu)))
    for seam in (LEARNERS, BACKENDS, PROVIDERS, EXECUTORS, TRACKERS):
        mechanisms += survey_members(seam)
    rows = ((_MARKS[one.available or None], one.name, one.covers, one.detail) for one in mechanisms)
    return CommandAnswer(mechanisms, make_table("", "mechanism", "covers", "detail", rows=rows))


_MARKS = {True: Text("✓", "green"), False: Text("✗", "red"), None: Text("–", "yellow")}


def _try_provider(settings: dict[str, Any]) -> CommandAnswer:
    """Make a call or two; the answer tells of them, and ends with what ended them."""
    from reward_agent.llm.checkup import try_endpoint
    from reward_agent.records.settings import EndpointSettings

    has_picture = settings.pop("pictures") is not False
    said = {name: value for name, value in settings.items() if value is not None}
    tried = try_endpoint(EndpointSettings.model_validate(said), os.environ, has_picture, _tell)
    rows = ((_MARKS[fact.holds], fact.name, show_hidden(fact.detail)) for fact in tried.facts)
    return CommandAnswer(tried.facts, make_table("", "what", "detail", rows=rows), tried.error)
