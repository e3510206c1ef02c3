"""A run as a person holds it in Python: its record, and what lies in its folder."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import PrivateAttr

from reward_agent.errors import UsageError
from reward_agent.records.film_jobs import FilmStyle
from reward_agent.records.store import RunRecord, RunStore
from reward_agent.records.store import load_run as open_store
from reward_agent.types import EpisodeName, FilmFormat, FilmSize

GET_PANDAS = "pip install 'reward-agent[notebook]'"
_KINDS = {"mp4": "video/mp4", "gif": "image/gif", "webp": "image/webp"}


class Run(RunRecord):
    """A run: all that its record says, where its files lie, and what they show.

    In a notebook it is shown as film, table and curve. Every path is absolute.
    """

    _dir: Path = PrivateAttr()

    @staticmethod
    def read(store: RunStore) -> Run:
        """Return a run as its folder has it now."""
        run = Run.model_construct(**dict(store.read_run()))
        run._dir = Path(store.dir).absolute()
        return run

    @property
    def dir(self) -> Path:
        """Its folder."""
        return self._dir

    @property
    def report_file(self) -> Path:
        """Its report, a page that a browser opens."""
        return self._dir / "report.html"

    @property
    def policy_file(self) -> Path | None:
        """The policy that it ends with; None where it has no winner."""
        return self._dir / self.winner.policy_file if self.winner else None

    @property
    def reward(self) -> str:
        """The text of its best program; '' where there is none."""
        path = self._dir / "reward.py"
        return path.read_text("utf-8") if path.is_file() else ""

    def plot(self, what: Literal["learning", "scores"] = "learning") -> Chart:
        """Draw the task score over each training, or of each program with its interval."""
        from reward_agent.report import figures
        from reward_agent.report.view import load_run_view

        view = load_run_view(self._dir)
        return Chart(figures.draw_scores(view) if what == "scores" else figures.draw_learning(view))

    def dataframe(self) -> Any:
        """Return the course of every training as a pandas table, a row for each slice of it.

        Raises:
            UsageError: pandas is not installed.
        """
        from reward_agent.report.curves import list_curve_rows

        try:
            import pandas
        except ImportError as error:
            raise UsageError("a table needs pandas, which is not installed", GET_PANDAS) from error
        return pandas.DataFrame(list_curve_rows(RunStore(self._dir)))

    def film(
        self,
        episode: EpisodeName = "median",
        *,
        candidates: tuple[str, ...] = (),
        format: FilmFormat | None = None,
        size: FilmSize = "270p",
        slow: float = 1.0,
        output: Path | None = None,
        env: str | None = None,
    ) -> Film:
        """Film an episode of its policies, side by side; takes some seconds.

        Args:
            episode: which of the episodes that were scored.
            candidates: whose policies; without any, that with which the run ends.
            format: mp4 where it can be written, else webp, by default.
            size: its height.
            slow: how many times slower than it happened.
            output: the file; in the run's ``films`` by default.
            env: folder of the run's environment, unless it is one of those known by name.

        Raises:
            DataError: such an episode was not kept, or nothing here draws.
        """
        from reward_agent.run.film import choose_format, draw_film

        chosen = choose_format(format)
        name = "_".join((episode.replace(" ", "-"), *candidates, size))
        drawn = draw_film(
            str(self._dir),
            FilmStyle(
                size=size,
                formats=(chosen,),
                slow=slow,
                # An animated picture is some ten times as large as an mp4.
                frames_per_s=25.0 if chosen == "mp4" else 12.5,
            ),
            candidates=candidates,
            episode=episode,
            env=env,
            output=output or self._dir / "films" / f"{name}.{chosen}",
        )
        return Film(drawn.file.absolute())

    def __repr__(self) -> str:
        """Return in a line what it is and what came of it."""
        told = "no score"
        if self.winner and self.winner.task_score is not None:
            score = f"{self.winner.task_score:.3g} {self.task.unit}".strip()
            told = f"{self.winner.score_name} {score}"
        return f"<Run {self.id}: {self.status}, {told}>"

    __str__ = __repr__

    def _repr_html_(self) -> str:
        """Return what a notebook shows: film, candidates, curve."""
        from reward_agent.report.page import render_summary
        from reward_agent.report.view import load_run_view

        return render_summary(load_run_view(self._dir))


@dataclass(frozen=True)
class Chart:
    """A chart as SVG; shown by a notebook as it is."""

    svg: str = field(repr=False)

    def save(self, path: Path | str) -> Path:
        """Write it to an ``.svg`` file that stands by itself."""
        from reward_agent.report.page import render_svg

        path = Path(path).absolute()
        path.write_text(render_svg(self.svg), "utf-8")
        return path

    def _repr_html_(self) -> str:
        from reward_agent.report.page import scope_style

        return f'{scope_style()}<div class="reward-agent">{self.svg}</div>'


@dataclass(frozen=True, repr=False)
class Film:
    """A film on disk; shown by a notebook as it is."""

    file: Path

    def __repr__(self) -> str:
        """Return its name alone: what is shown of a notebook is shared."""
        return f"<Film {self.file.name}>"

    def _repr_html_(self) -> str:
        kind = _KINDS[self.file.suffix.removeprefix(".")]
        data = base64.b64encode(self.file.read_bytes()).decode()
        source = f'src="data:{kind};base64,{data}"'
        if kind.startswith("video"):
            return f"<video {source} controls muted loop playsinline></video>"
        return f"<img {source} alt='film'>"


def load_run(name: str | Path, runs_dir: Path | None = None) -> Run:
    """Read a run by path, by id, by its name, by the start of its id, or ``last``.

    Raises:
        UnknownNameError: there is none, or several begin so.
    """
    return Run.read(open_store(str(name), runs_dir))
