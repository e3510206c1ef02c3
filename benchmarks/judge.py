"""How often a model that watches films says the right thing, on films whose truth is known.

    scripts/bench judge films -o FOLDER                     the films as sheets, to look at
    scripts/bench judge ask --provider NAME [--model NAME]  asks about each, and prints a table
        [--base-url URL] [--max-usd N] [--max-calls N] [--only WORD] [--record]

The truth is in ``films/films.toml``, what moves the robots in ``films/scripts.py``. ``--record``
adds a row to ``films/results.jsonl``; a fake server's replies, a script's and a replay's never
stand there.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
import tomllib
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field

from reward_agent.definitions.card import load_env
from reward_agent.definitions.task import TaskSpec
from reward_agent.designers.brief import FilmBrief
from reward_agent.designers.judge import FilmJudge, describe_view
from reward_agent.errors import DataError, ModelError, UsageError
from reward_agent.llm.budget import Budget, SpendingLimits
from reward_agent.llm.calls import make_chat_model
from reward_agent.llm.chat import ChatModel
from reward_agent.llm.provider import ProviderOptions, find_provider
from reward_agent.llm.replies import REPLIES_FILE, Replies
from reward_agent.records.film_jobs import FramesJob
from reward_agent.records.judgement import FilmAnswer, make_code
from reward_agent.records.store import now_utc
from reward_agent.simulation.backends import MUJOCO, Footage, find_graphics
from reward_agent.testing.server import FAKE_SERVER
from reward_agent.text import render_table
from reward_agent.types import Record, Usage

FOLDER = Path(__file__).parent / "films"
LABELS_FILE, RESULTS_FILE = FOLDER / "films.toml", FOLDER / "results.jsonl"
TIMES_FILE = "times.json"
_TRUTHS = {"y": "yes", "n": "no", "-": ""}
_PROBE_S = 5.0
# Who answers from a file: what a model would have said is not known from them.
_NO_MODEL = frozenset({"scripted", "replay"})


class LabelledFilm(Record):
    """A film, the letters of its truth, and what is measured on it."""

    name: str
    truth: str = Field(pattern="^[yn-]+$")
    turn: float | None = Field(None, description="degrees of the torso; backward is negative")
    travel: float | None = Field(None, description="m along x")
    lowest: float | None = Field(None, description="least cosine of the torso's tilt")


class FilmGroup(Record):
    """Films of one robot, of which the same is asked."""

    env: str
    statements: tuple[str, ...]
    film: tuple[LabelledFilm, ...]


class Labels(Record):
    """``films.toml``."""

    group: dict[str, FilmGroup]


class Row(Record):
    """What one model got right."""

    time: str
    provider: str
    model: str
    films: int
    unusable: int = Field(description="films of which nothing usable was said")
    right: int
    wrong: int
    cannot_see: int
    missed: int = Field(description="wrong ones that say no to what is so")
    invented: int = Field(description="wrong ones that say yes to what is not so")
    usd: float | None = None


@dataclass(frozen=True)
class Film:
    """One film with what is asked of it and the truth; '' where that is not counted."""

    env: str
    name: str
    statements: tuple[str, ...]
    truths: tuple[str, ...]

    @property
    def full_name(self) -> str:
        """Robot and film."""
        return f"{self.env}_{self.name}"

    @property
    def code(self) -> str:
        """What stands in the corner of its sheet."""
        return make_code(f"{self.env} {self.name}")


@dataclass(frozen=True)
class DrawnFilm:
    """A film's sheet, a PNG, and the times of its frames, s."""

    film: Film
    sheet: bytes
    times: tuple[float, ...]


@dataclass(frozen=True)
class Told:
    """What was said of a film; None if nothing usable."""

    film: Film
    answers: tuple[FilmAnswer, ...] | None
    usage: Usage


def load_labels() -> Labels:
    """Read the labels."""
    return Labels.model_validate(tomllib.loads(LABELS_FILE.read_text("utf-8")))


def list_films(only: str = "") -> list[Film]:
    """Return the films, those whose name holds a word."""
    return [
        Film(group.env, item.name, group.statements, tuple(_TRUTHS[it] for it in item.truth))
        for group in load_labels().group.values()
        for item in group.film
        if only in f"{group.env}_{item.name}"
    ]


def main(arguments: Sequence[str]) -> int:
    """Draw the films, or ask a model about them."""
    options = _parse(arguments)
    if options.what == "films":
        draw(list_films(options.only), options.output)
        print(options.output)
        return 0
    if options.record:
        refuse_stand_in(options.provider, options.base_url)
    told = ask(list_films(options.only), options)
    row = count(told, options.provider, options.model or find_provider(options.provider)
                .default_model)  # fmt: skip
    print(render(told, row))
    if options.record:
        with RESULTS_FILE.open("a", encoding="utf-8") as file:
            file.write(row.model_dump_json() + "\n")
    return 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("scripts/bench judge", description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=("films", "ask"))
    parser.add_argument("-o", "--output", type=Path, default=Path("films"))
    parser.add_argument("--only", default="", help="films whose name holds this")
    parser.add_argument("--provider", default="anthropic")
    parser.add_argument("--model")
    parser.add_argument("--base-url")
    parser.add_argument("--max-usd", type=float)
    parser.add_argument("--max-calls", type=int)
    parser.add_argument("--record", action="store_true", help="add a row to the table")
    return parser.parse_args(arguments)


def refuse_stand_in(provider: str, base_url: str | None) -> None:
    """Refuse to record what no model said.

    Raises:
        UsageError: a file answers, or a fake server.
    """
    name = provider.partition(":")[0]
    if name in _NO_MODEL or find_provider(name).makes == "designer":
        raise UsageError(f"{name} is no model that sees", "leave --record out")
    if base_url is not None and FAKE_SERVER in _read_server(base_url):
        raise UsageError(f"a fake server answers at {base_url}", "leave --record out")


def _read_server(base_url: str) -> str:
    """Return what a server calls itself; '' where none is to be reached."""
    parts = urlsplit(base_url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    try:
        with closing(kind(parts.hostname or "", parts.port, timeout=_PROBE_S)) as connection:
            connection.request("GET", parts.path or "/")
            return connection.getresponse().getheader("server") or ""
    except (OSError, http.client.HTTPException):
        return ""


def draw(films: Sequence[Film], folder: Path) -> None:
    """Write each film's sheet, a PNG, and the times of its frames; once in a process, and first.

    Raises:
        UsageError: nothing here can draw.
    """
    found = find_graphics(MUJOCO)
    if not found.backend:
        raise UsageError(found.note, "`reward-agent doctor` says what helps")
    os.environ["MUJOCO_GL"] = found.backend
    # Here, not above: MuJoCo chooses its renderer when it is imported.
    from benchmarks.films.scripts import make_poses
    from reward_agent.film.video import SHEET, Studio

    folder.mkdir(parents=True, exist_ok=True)
    times: dict[str, tuple[float, ...]] = {}
    n_frames = FramesJob.model_fields["n_frames"].default
    for env in dict.fromkeys(film.env for film in films):
        with Studio(load_env(env), SHEET) as studio:
            for film in (item for item in films if item.env == env):
                footage = Footage(make_poses(env, film.name), "", "", {})
                path = folder / f"{film.full_name}.png"
                times[film.full_name] = studio.draw_sheet(footage, path, film.code, n_frames)
    (folder / TIMES_FILE).write_text(json.dumps(times))


def draw_apart(films: Sequence[Film], only: str, folder: Path) -> list[DrawnFilm]:
    """Draw the films in a process of its own, and return them."""
    words = [sys.executable, "-m", "benchmarks", "judge", "films", "-o", str(folder)]
    subprocess.run([*words, "--only", only], check=True, stdout=subprocess.DEVNULL)
    times = json.loads((folder / TIMES_FILE).read_text())
    return [
        DrawnFilm(film, (folder / f"{film.full_name}.png").read_bytes(),
                  tuple(times[film.full_name]))
        for film in films
    ]  # fmt: skip


def ask(films: Sequence[Film], options: argparse.Namespace) -> list[Told]:
    """Ask a model about each film, as a run does, and keep its replies in a folder."""
    limits = SpendingLimits(usd=options.max_usd, calls=options.max_calls)
    with tempfile.TemporaryDirectory() as folder:
        replies, cancel = Replies(Path(folder, REPLIES_FILE)), threading.Event()
        budget = Budget(limits, replies, cancel)
        provided = ProviderOptions(
            model=options.model, base_url=options.base_url, environ=os.environ, cancel=cancel,
            folder=Path(folder), warn=print,
        )  # fmt: skip
        model = make_chat_model(options.provider, provided, budget=budget, on_retry=print)
        try:
            drawn = draw_apart(films, options.only, Path(folder))
            return [_ask(model, film) for film in drawn]
        finally:
            budget.close()


def _ask(model: ChatModel, drawn: DrawnFilm) -> Told:
    film = drawn.film
    card = load_env(film.env)
    task = TaskSpec(name="film", env=film.env, description="Whatever it does: see the statements.")
    n_steps = card.max_episode_steps
    brief = FilmBrief(card, task, film.statements, drawn.sheet, drawn.times, film.code, n_steps,
                      describe_view(card))  # fmt: skip
    try:
        opinion = FilmJudge(model).watch(brief)
    except (ModelError, DataError) as error:
        print(f"{film.env} {film.name}: {error.message}")
        return Told(film, None, Usage())
    usage = sum((item.usage for item in opinion.completions), Usage())
    return Told(film, opinion.record.answers if opinion.record else None, usage)


def count(told: Sequence[Told], provider: str, model: str) -> Row:
    """Count what was right."""
    pairs = [
        (answer.answer, truth)
        for item in told
        for answer, truth in zip(item.answers or (), item.film.truths, strict=False)
        if truth
    ]
    usage = sum((item.usage for item in told), Usage())
    decided = [(said, truth) for said, truth in pairs if said != "cannot see"]
    return Row(
        time=now_utc(),
        provider=provider,
        model=model,
        films=len(told),
        unusable=sum(item.answers is None for item in told),
        right=sum(said == truth for said, truth in decided),
        wrong=sum(said != truth for said, truth in decided),
        cannot_see=len(pairs) - len(decided),
        missed=sum((said, truth) == ("no", "yes") for said, truth in decided),
        invented=sum((said, truth) == ("yes", "no") for said, truth in decided),
        usd=usage.usd,
    )


def render(told: Sequence[Told], row: Row) -> str:
    """Return what was said film by film, and the sums."""
    lines = [
        [
            f"{item.film.env} {item.film.name}",
            " ".join(t[:1] or "-" for t in item.film.truths),
            " ".join(a.answer[0] for a in item.answers) if item.answers else "nothing usable",
        ]
        for item in told
    ]
    table = render_table(["film", "truth", "said"], lines)
    return f"{table}\n{render_results([row])}"


def render_results(rows: Sequence[Row]) -> str:
    """Return the table of results."""
    if not rows:
        return "No model that sees has answered yet."
    head = ["model", "films", "right", "wrong", "missed", "invented", "cannot see", "unusable"]
    return render_table(
        head,
        [
            [f"{r.provider}: {r.model}", *map(str, (r.films, r.right, r.wrong, r.missed,
             r.invented, r.cannot_see, r.unusable))]
            for r in rows
        ],
    )  # fmt: skip


def load_results() -> list[Row]:
    """Read the rows that were recorded."""
    lines = RESULTS_FILE.read_text("utf-8").splitlines() if RESULTS_FILE.is_file() else []
    return [Row.model_validate(json.loads(line)) for line in lines]
