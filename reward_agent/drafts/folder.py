"""``init_env``: from what a person names to the folder of an environment.

The folder is made beside its place and put there whole: what stops on the way leaves nothing.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from reward_agent.definitions.card import (
    CARD_FILE,
    MOST_NAME_CHARS,
    EnvCard,
    TrainingBudget,
    find_env_dir,
    list_envs,
    load_env,
    make_identifier,
)
from reward_agent.definitions.meaning import TriedMeaning
from reward_agent.definitions.start import Keyframe
from reward_agent.definitions.tables import make_plain
from reward_agent.definitions.task import list_tasks
from reward_agent.drafts.env_source import VERSION, EnvSource
from reward_agent.drafts.source import Source, find_source, let_float
from reward_agent.errors import DataError, JobError, UsageError
from reward_agent.files import make_scratch, read_capped, write_atomic
from reward_agent.records.draft import DRAFTED, Draft, DraftOptions
from reward_agent.records.drafting_jobs import DraftJob, DraftResult
from reward_agent.records.job import Limits
from reward_agent.records.layers import resolve_settings
from reward_agent.records.settings import RunSettings
from reward_agent.sandbox.runner import run_job
from reward_agent.simulation.backends import (
    ENVPOOL,
    GYMNASIUM,
    MUJOCO,
    find_backend,
    require_backend,
    use_python,
)
from reward_agent.text import count

MODEL_FOLDER, PICTURE_FILE, TASKS_FOLDER = "model", "model.png", "tasks"
_MOST_PICTURE_BYTES = 4 * 2**20
_OURS = "this is a fault of reward-agent: report the model and what it says"
_THEIRS = (
    "see that the environment's own code does not end its process; if it does not, "
    "this is a fault of reward-agent: report it"
)
_SLOW = "see that each reset and step of an environment returns, and a model is not too large"
_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class NewEnv:
    """An environment that was drafted.

    Args:
        folder: where it lies.
        model: the model's file, seen from there; of an environment its id and what simulates it.
        n_files: how many files the model has.
        n_bytes: their size.
        facts: of the model.
        said: what was chosen, what stood in the way and what was done about it.
        guesses: what a person should confirm.
        warnings: what will not go well as it is.
        tasks: their names, what to try first in front.
        picture: its file's name; '' if there is none.
        picture_note: why there is none.
        claims: what a language model said of the parts, and what came of each.
        python: the interpreter that was named for it; '' if none was.
    """

    folder: Path
    model: str
    n_files: int
    n_bytes: int
    facts: dict[str, str]
    said: tuple[str, ...]
    guesses: tuple[str, ...]
    warnings: tuple[str, ...]
    tasks: tuple[str, ...]
    picture: str
    picture_note: str
    claims: tuple[str, ...] = ()
    python: str = ""

    def render(self) -> str:
        """Return it as a person reads it, with the commands that come next."""
        place = self._name_folder()
        command = shlex.quote(place)
        size = f"{self.n_bytes / 2**20:.1f} MiB" if self.n_bytes >= 2**20 else f"{self.n_bytes} B"
        lines = [f"{name}: {text}" for name, text in self.facts.items()]
        if self.n_files:
            is_model = self.model.startswith(f"{MODEL_FOLDER}/")
            copied, to = count(self.n_files, "file"), f"/{self.model}" if is_model else ""
            lines += [f"copied: {copied}, {size}, to {place}{to}"]
        lines += self.said
        lines += [f"warning: {text}" for text in self.warnings]
        lines += ["", "said of its parts, and tried:", *self.claims] if self.claims else []
        if self.guesses:
            lines += ["", "guessed, to be confirmed:", *(f"- {text}" for text in self.guesses)]
        lines += ["", f"wrote {place}: {CARD_FILE}, {count(len(self.tasks), 'task')}"]
        lines[-1] += f" ({', '.join(self.tasks)})" if self.tasks else ""
        seen = f"look at {place}/{self.picture}" if self.picture else self.picture_note
        lines += [seen] if seen else []
        task = self.tasks[0] if self.tasks else "…"
        where = f" --python {shlex.quote(self.python)}" if self.python else ""
        lines += ["", "next:", f"  reward-agent envs check {command}{where}"]
        lines += [f'  reward-agent design --env {command} --task "{task}"{where}']
        return "\n".join(lines)

    def _name_folder(self) -> str:
        here = Path.cwd()
        path = self.folder.relative_to(here) if self.folder.is_relative_to(here) else self.folder
        # A name alone would be looked for among the environments that are known.
        return str(path) if path.is_absolute() else f"./{path}"


@dataclass(frozen=True)
class Wishes:
    """What a person may say of a draft.

    Args:
        python: the interpreter that runs a function, and in which an environment runs; None: the
            person's own setting, else this one.
        home: keyframe to start from; None: the draft chooses.
        servos: whether to add servos; None: where the model has no actuators.
        floating: whether the base of a URDF moves freely.
        force: whether to write over an environment that is there.
        backend: what is to simulate an environment; None: Gymnasium, where that can make it here,
            else EnvPool; 'mujoco': the robot in it is drafted.
    """

    python: str | None = None
    home: Keyframe | None = None
    servos: bool | None = None
    floating: bool = False
    force: bool = False
    backend: str | None = None


def init_env(
    source: str,
    output: Path | None = None,
    wishes: Wishes | None = None,
    tell: Callable[[str], None] = print,
) -> NewEnv:
    """Draft an environment for a model, or for an environment of Gymnasium's or EnvPool's.

    Args:
        source: an MJCF or URDF, a folder with one, ``menagerie:NAME``, an id, or
            ``module:function``.
        output: the environment's folder; by default ``./<name>``.
        wishes: what else was said.
        tell: receives what is said before it is done.

    Raises:
        UsageError: there is no such source, or the folder is taken.
        DataError: the model is none, or lacks what cannot be added.
    """
    wishes = wishes or Wishes()
    if output is not None:
        _check_place(output, wishes.force)
    with make_scratch() as scratch:
        (scratch / "found").mkdir()
        is_robot = wishes.backend == MUJOCO.name
        python = wishes.python or (None if is_robot else _resolve("").python)
        found = find_source(source, scratch / "found", python, tell, wishes.backend)
        if isinstance(found, Source) and wishes.floating:
            found = let_float(found)
        folder = (output or Path(found.name)).absolute()
        _check_place(folder, wishes.force)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with make_scratch(folder.parent) as beside:
            if isinstance(found, EnvSource):
                use_python(python)
                for word in _tell_shipped(found):
                    tell(word)
                tell(f"{found.given} is made, watched and moved, which may take a minute")
                env = _draft_env(found, beside / folder.name, scratch / "job", folder, wishes)
            else:
                tell(f"{found.given} is compiled, measured and drawn, which may take a minute")
                env = _draft(found, beside / folder.name, scratch / "job", folder, wishes)
            _publish(beside / folder.name, folder)
    return env


def take_meaning(env: NewEnv, meaning: TriedMeaning) -> NewEnv:
    """Return an environment, drafted anew with what its model means."""
    draft = redraft_env(str(env.folder), meaning)
    return replace(
        env,
        guesses=draft.guesses,
        warnings=draft.warnings,
        tasks=_list_tasks(draft),
        claims=meaning.render(),
    )


def _list_tasks(draft: Draft) -> tuple[str, ...]:
    """Return the names of a draft's tasks, the one to try first in front."""
    names = (Path(path).parent.name for path in draft.files if path.endswith("metric.py"))
    return tuple(names)


def redraft_env(env: str, meaning: TriedMeaning) -> Draft:
    """Write a drafted environment's card and tasks anew, with what its model means.

    Changes that a person has made to them are lost; its other tasks stay.

    Args:
        env: the environment's folder.
        meaning: what somebody said of the model, tried on it.

    Raises:
        UsageError: it was not drafted.
        DataError: it cannot be drafted any more.
    """
    card = load_env(env)
    folder, source = find_env_dir(card), read_drafted_source(card)
    options = DraftOptions(name=card.name, source=source, home=card.home.keyframe, meaning=meaning)
    with make_scratch() as scratch, make_scratch(folder.parent) as beside:
        draft_dir = beside / folder.name
        shutil.copytree(folder / MODEL_FOLDER, draft_dir / MODEL_FOLDER, symlinks=True)
        (draft_dir / CARD_FILE).touch()
        job = DraftJob(
            card=_make_empty_card(card.name, {"file": str(card.model.file)}, draft_dir),
            options=options,
            lacks_servos=True if card.model.add_servos else None,
        )
        result = _run(job, scratch / "job", source)
        draft = _write(result, draft_dir, scratch / "job", source)
        _publish(draft_dir, folder)
    return draft


def read_drafted_source(card: EnvCard) -> str:
    """Return what an environment was drafted from.

    Raises:
        UsageError: it was not drafted.
    """
    with (find_env_dir(card) / CARD_FILE).open(encoding="utf-8") as file:
        first = file.readline(1000).strip()
    if not first.startswith(DRAFTED) or not str(card.model.file).startswith(f"{MODEL_FOLDER}/"):
        raise UsageError(
            f"{card.name} was not drafted by `envs init`: its card is a person's",
            "write into it what holds, or draft another environment from its model",
        )
    return first.removeprefix(DRAFTED).removesuffix(".")


def _check_place(folder: Path, force: bool) -> None:
    """Refuse to write over what is there, but for an environment and by force.

    Raises:
        UsageError: something is there.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not (folder / CARD_FILE).is_file() or folder.is_symlink():
        raise UsageError(f"{folder} is there and no environment", "name a new folder with -o")
    if not force:
        raise UsageError(
            f"{folder} is there already", "name another with -o, or write over it with --force"
        )


def _draft(found: Source, draft_dir: Path, job_dir: Path, folder: Path, wishes: Wishes) -> NewEnv:
    n_bytes = found.copy_to(draft_dir / MODEL_FOLDER)
    # A job takes a folder with a card for an environment's.
    (draft_dir / CARD_FILE).touch()
    file = f"{MODEL_FOLDER}/{found.file}"
    name = make_identifier(folder.name, "env", MOST_NAME_CHARS)
    job = DraftJob(
        card=_make_empty_card(name, {"file": file}, draft_dir),
        options=DraftOptions(name=name, source=make_plain(found.given, 500), home=wishes.home),
        originals=tuple(map(str, found.closure.files)) if found.is_verbatim else (),
        lacks_servos=wishes.servos,
    )
    result = _run(job, job_dir, found.given)
    draft = _write(result, draft_dir, job_dir, found.given)
    return NewEnv(
        folder=folder,
        model=file,
        n_files=len(found.closure.files),
        n_bytes=n_bytes,
        facts=dict(result.facts),
        said=(*found.said, *result.said),
        guesses=draft.guesses,
        warnings=draft.warnings,
        tasks=_list_tasks(draft),
        picture=PICTURE_FILE if (draft_dir / PICTURE_FILE).exists() else "",
        picture_note=result.picture_note,
    )


def _draft_env(
    found: EnvSource, draft_dir: Path, job_dir: Path, folder: Path, wishes: Wishes
) -> NewEnv:
    draft_dir.mkdir()
    n_bytes = found.copy_to(draft_dir)
    (draft_dir / CARD_FILE).touch()
    name = make_identifier(folder.name, "env", MOST_NAME_CHARS)
    tried, first = _list_backends(found, wishes), None
    for number, backend in enumerate(tried):
        model = {"backend": backend, "id": found.id}
        job = DraftJob(
            card=_make_empty_card(name, model, draft_dir),
            options=DraftOptions(name=name, source=make_plain(found.given, 500)),
            may_change=len(tried) > 1,
        )
        require_backend(job.card)
        result = _run(job, job_dir / backend, found.given)
        if not result.refusal or number + 1 == len(tried) or not result.may_be_elsewhere:
            break
        first = result
    if first is not None and result.refusal:
        # What the second has not, either, is no answer to why the first could not.
        words = f"{first.refusal}; {result.refusal}"[:900]
        result = first.model_copy(update={"refusal": words})
    draft = _write(result, draft_dir, job_dir / backend, found.given)
    return NewEnv(
        folder=folder,
        model=f"{found.id} of {result.facts['simulated by']}",
        n_files=len(found.files),
        n_bytes=n_bytes,
        facts=dict(result.facts),
        said=(*found.said, *result.said),
        guesses=draft.guesses,
        warnings=draft.warnings,
        tasks=_list_tasks(draft),
        picture="",
        picture_note="",
        python=wishes.python or "",
    )


def _tell_shipped(found: EnvSource) -> Iterator[str]:
    """Say which environment that ships with this program is of an id, or of its family."""
    bare = found.id.rpartition(":")[2]
    family, _, stem = VERSION.sub("", bare).rpartition("/")
    for name in [] if found.files else list_envs():
        card = load_env(name)
        own = str(card.gymnasium_id or card.model.id or "").rpartition(":")[2]
        own_family, _, own_stem = VERSION.sub("", own).rpartition("/")
        package = find_backend(card).package
        if (family, stem) == (own_family, own_stem) or (
            family == own_family and (family or (package and stem.lower().startswith(package)))
        ):
            n_tasks = count(len(list_tasks(card)), "task")
            yield f"{bare}: an environment with {n_tasks} ships with this program: --env {name}"


def _list_backends(found: EnvSource, wishes: Wishes) -> list[str]:
    """Return what may simulate an environment, the first to try in front."""
    if wishes.backend is not None or wishes.python or found.files or ":" in found.id:
        return [wishes.backend or GYMNASIUM.name]
    return [GYMNASIUM.name, *([] if ENVPOOL.missing else [ENVPOOL.name])]


def _run(job: DraftJob, job_dir: Path, given: str) -> DraftResult:
    settings = _resolve(job.card.name)
    limits = job.limit(Limits(memory_mib=settings.memory_mib))
    try:
        done = run_job(job, job_dir, limits=limits, mode=settings.sandbox)
    except JobError as error:
        # The job's folder goes with it: what it says must do.
        is_gone, ours = str(job_dir) in error.remedy, _OURS if job.card.model.file else _THEIRS
        raise type(error)(f"{given}: {error.message}", ours if is_gone else error.remedy) from error
    if done.outcome.kind == "timeout":
        raise DataError(f"{given}: no draft within {limits.wall_s:.0f} s", _SLOW)
    if not isinstance(done.result, DraftResult):
        raise DataError(f"{given} could not be drafted: {done.outcome}", f"see {given}")
    return done.result


def _resolve(name: str) -> RunSettings:
    """Return what this person and machine say of one job."""
    used = {"sandbox", "memory_mib", "python"}
    return resolve_settings({}, TrainingBudget(), name, used=used).settings


def _write(result: DraftResult, draft_dir: Path, job_dir: Path, given: str) -> Draft:
    """Write the files of a job's draft, and its picture; read the card as anybody would."""
    if result.refusal or result.draft is None:
        raise DataError(f"{given}: {result.refusal}", result.remedy)
    for name, text in result.draft.files.items():
        write_atomic(draft_dir / name, text.encode())
    _take_picture(result, job_dir, draft_dir)
    load_env(draft_dir / CARD_FILE)
    return result.draft


def _make_empty_card(name: str, model: dict[str, str], folder: Path) -> EnvCard:
    """Return a card that says no more than which model it is of."""
    return EnvCard.model_validate(
        {
            "name": name,
            "title": name,
            "description": name,
            "folder": str(folder),
            "model": {**model, "frame_skip": 1},
            "control_dt": 1.0,
            "max_episode_steps": 1,
            "actions": ["none"],
            "state": [],
            "observation": ["qpos"],
            "observation_size": 1,
        }
    )


def _take_picture(result: DraftResult, job_dir: Path, draft_dir: Path) -> None:
    """Keep the picture of a job, if there is one."""
    if result.picture_file is None:
        return
    data = read_capped(job_dir / result.picture_file, _MOST_PICTURE_BYTES)
    if not data.startswith(_PNG):
        raise DataError("the child's picture is no PNG", "run it again")
    write_atomic(draft_dir / PICTURE_FILE, data)


def _publish(draft_dir: Path, folder: Path) -> None:
    """Put a finished folder at its place; of an environment that is there, take the place.

    What else a person has put there stays, other tasks among it.
    """
    if not folder.exists():
        os.replace(draft_dir, folder)
        return
    shutil.rmtree(folder / MODEL_FOLDER, ignore_errors=True)
    for path in sorted(draft_dir.iterdir()):
        if path.name != TASKS_FOLDER:
            if (folder / path.name).is_dir():
                shutil.rmtree(folder / path.name)
            os.replace(path, folder / path.name)
    for task in sorted((draft_dir / TASKS_FOLDER).glob("*")):
        place = folder / TASKS_FOLDER / task.name
        place.parent.mkdir(exist_ok=True)
        shutil.rmtree(place, ignore_errors=True)
        os.replace(task, place)
