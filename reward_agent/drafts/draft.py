"""Job ``draft``: write a card with tasks for a model, or an environment, that a person brings."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import resolve_name

from reward_agent.definitions.card import CARD_FILE, EnvCard, find_env_dir, load_env
from reward_agent.errors import DataError, UsageError
from reward_agent.records.draft import Draft
from reward_agent.records.drafting_jobs import DraftJob, DraftResult
from reward_agent.simulation.backends import GYMNASIUM, find_backend, find_graphics

PICTURE_FILE = "model.png"
_ELEMENT = re.compile(r"Element '(\w+)'.*?line (\d+)", re.DOTALL)


@dataclass
class _Graphics:
    """What ``prepare`` leaves for ``run``: whether something draws, or the reason why not."""

    draws: bool = False
    note: str = ""


_graphics = _Graphics()


def prepare(job: DraftJob) -> None:
    """Before the seal: find a renderer, which takes a process, and import MuJoCo with it."""
    if job.card.model.file is None:
        os.environ["MUJOCO_GL"] = "disable"  # no picture is drawn
        resolve_name(str(GYMNASIUM.prepare))(job.card)
        import_module("reward_agent.drafts.env_draft").prepare(job)
        return
    found = find_graphics(find_backend(job.card))
    _graphics.draws, _graphics.note = found.backend is not None, found.note
    # Unless told otherwise MuJoCo imports a window system, which starts a process of its own.
    os.environ["MUJOCO_GL"] = found.backend or "disable"
    for name in ("card", "parts", "picture"):
        import_module(f"reward_agent.drafts.{name}")


def run(job: DraftJob, job_dir: Path) -> DraftResult:
    """Compile, compare with the original, add what is missing, draft, draw."""
    if job.card.model.file is None:
        result: DraftResult = import_module("reward_agent.drafts.env_draft").run(job, job_dir)
        return result
    from reward_agent.drafts.card import write_draft
    from reward_agent.drafts.parts import add_parts, compare_with_original, describe_model

    try:
        parts = add_parts(job.card, job.options.home, job.lacks_servos)
        if job.originals:
            compare_with_original(job.card, Path(job.originals[0]))
        source = parts.card.model
        added = {"add_servos": source.add_servos, "add_floor": source.add_floor}
        options = job.options.model_copy(update=added)
        draft = write_draft(parts.model, str(source.file), options, find_env_dir(job.card))
        card = _load_card(draft, parts.card, job_dir)
    except (DataError, UsageError) as error:
        return DraftResult(refusal=explain(error.message, job.card), remedy=error.remedy)
    picture, note = _draw(card, job_dir)
    return DraftResult(
        draft=draft,
        said=parts.said,
        facts=describe_model(parts.model),
        picture_file=picture,
        picture_note=note,
    )


def _load_card(draft: Draft, card: EnvCard, job_dir: Path) -> EnvCard:
    """Read the drafted card, as anybody would who is given its folder."""
    (job_dir / CARD_FILE).write_text(draft.files[CARD_FILE], encoding="utf-8")
    return load_env(job_dir / CARD_FILE).model_copy(update={"folder": card.folder})


def _draw(card: EnvCard, job_dir: Path) -> tuple[str | None, str]:
    """Return the name of the picture, or why there is none."""
    from reward_agent.drafts.picture import draw_model

    if not _graphics.draws:
        return None, f"no picture: {_graphics.note.replace('video', 'picture')}"
    try:
        draw_model(card, job_dir / PICTURE_FILE)
    except Exception as error:  # a driver fails in many ways
        return None, f"no picture: {type(error).__name__}: {error}"
    return PICTURE_FILE, ""


def explain(message: str, card: EnvCard) -> str:
    """Return MuJoCo's words with the file and the line, seen from the environment's folder."""
    folder = find_env_dir(card)
    places = list(_find_places(sorted(folder.rglob("*")), message))
    words = message.replace(f"{folder}{os.sep}", "")
    if len(places) != 1:
        return words
    [(path, number)] = places
    return f"{words} ({path.relative_to(folder).as_posix()}:{number})"


def _find_places(files: Sequence[Path], message: str) -> Iterator[tuple[Path, int]]:
    """Yield the files and lines that may be meant; of what is included MuJoCo says line 0."""
    found = _ELEMENT.search(message)
    if found is None:
        return
    element, line = found[1], int(found[2])
    quoted = [word for word in re.findall(r"'([^']+)'", message) if word != element]
    for file in files:
        if file.suffix.lower() not in (".xml", ".mjcf", ".urdf") or not file.is_file():
            continue
        text = file.read_bytes().decode("utf-8", "replace")
        for number, words in enumerate(text.splitlines(), start=1):
            is_meant = number == line if line else any(word in words for word in quoted)
            if is_meant and re.search(rf"<{element}\b", words):
                yield file, number
