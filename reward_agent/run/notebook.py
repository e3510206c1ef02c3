"""A run's progress in a notebook: who listens to a run where nobody said who should."""

from __future__ import annotations

import sys
import time
from html import escape
from typing import Any

from reward_agent.records import events
from reward_agent.text import name_round

# A page that is drawn anew more often than this is slower than the run.
_PAUSE_S = 0.3


def choose_listener(listen: events.Listener | None) -> events.Listener:
    """Return who listens to a run: in a notebook a progress bar, elsewhere nobody, by default."""
    if listen is not None:
        return listen
    return NotebookProgress().listen if is_notebook() else events.ignore


def is_notebook() -> bool:
    """Whether this process is the kernel of a notebook; a terminal's IPython is none."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return getattr(shell, "kernel", None) is not None


class NotebookProgress:
    """What a notebook shows of a run that is under way, in one place that changes."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._trainings: dict[str, tuple[float, float]] = {}
        self._best: float | None = None
        self._unit = ""
        self._display: Any = None
        self._drawn_s = 0.0

    def listen(self, event: events.Event) -> None:
        """Show one event; kinds without a line of their own are passed over."""
        match event:
            case events.TrainingProgress():
                done = event.row.get("total_timesteps", 0.0)
                self._trainings[f"{event.candidate} seed {event.seed}"] = done, float(event.total)
                self._draw(is_due=time.monotonic() - self._drawn_s > _PAUSE_S)
                return
            case events.RunStarted():
                self._unit = event.unit
                self._lines = [f"{event.env}: {event.task}", event.designer]
            case events.IterationStarted():
                self._lines.append(name_round(event.iteration))
            case events.Confirming():
                self._lines.append(f"confirming with fresh seed {event.seed}")
            case events.TrainedUntil():
                self._trainings.pop(f"{event.candidate} seed {event.seed}", None)
            case events.Concluded():
                self._conclude(event)
            case events.Warned():
                self._lines.append(f"warning: {event.reason}")
            case _:
                return
        self._draw()

    def _conclude(self, event: events.Concluded) -> None:
        score = "no score"
        if event.task_score is not None:
            score = f"search score {event.task_score:.3g} {self._unit}".strip()
            known = event.task_score if self._best is None else self._best
            self._best = max(known, event.task_score)
        self._lines.append(f"  {event.candidate}: {score}, {event.outcome}")

    def _draw(self, is_due: bool = True) -> None:
        if not is_due:
            return
        from IPython.display import HTML, display

        page = HTML(self._render())
        if self._display is None:
            self._display = display(page, display_id=True)
        else:
            self._display.update(page)
        self._drawn_s = time.monotonic()

    def _render(self) -> str:
        bars = [
            f"<div><progress value='{done:.0f}' max='{max(total, 1.0):.0f}'></progress> "
            f"{escape(name)}: {done:,.0f} of {total:,.0f} env steps</div>"
            for name, (done, total) in self._trainings.items()
        ]
        best = (
            []
            if self._best is None
            else [f"<b>best search score {self._best:.3g} {escape(self._unit)}</b>"]
        )
        return f"<pre>{escape(chr(10).join(self._lines))}</pre>{''.join([*bars, *best])}"
