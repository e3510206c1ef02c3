"""The report: ``report.html``, one self-contained file that a stranger can read."""

from __future__ import annotations

import base64
import hashlib
import re
import shlex
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reward_agent.definitions.card_text import render_card
from reward_agent.designers.brief import HistoryEntry
from reward_agent.records.disk import write_text
from reward_agent.records.layers import render_option
from reward_agent.records.settings import RunSettings
from reward_agent.records.store import RunRecord
from reward_agent.records.timing import find_waste
from reward_agent.report import figures, verdict
from reward_agent.report.beside import find_width, read_units, say_fresh
from reward_agent.report.charts import shorten
from reward_agent.report.view import PNG, CandidateView, RunView, is_mp4, load_run_view
from reward_agent.rewards.pay import list_shown
from reward_agent.summary.diagnosis import RewardDiagnosis
from reward_agent.text import hide_in_words, show_hidden

if TYPE_CHECKING:
    from jinja2 import Environment

REPORT_FILE = "report.html"
# Origins of settings that the same command finds again by itself.
_IMPLIED = ("default", "card ", "preset ")


def write_report(run_dir: Path) -> Path:
    """Write a run's ``report.html`` from its directory; nothing else is changed.

    Args:
        run_dir: folder of the run, finished or not.

    Returns:
        Path of the page.

    Raises:
        DataError: the folder is not a run, or a record in it is not valid.
    """
    path = run_dir / REPORT_FILE
    write_text(path, render_report(load_run_view(run_dir)))
    return path


def render_report(view: RunView) -> str:
    """Return the page of a run.

    A strict content security policy keeps it from loading or running anything that is not in it.
    """
    beside = verdict.list_beside(view)
    return make_page(
        "page.html.j2",
        view=view,
        run=view.run,
        best=view.best,
        verdict=verdict.find_verdict(view),
        pay_checks=[check for check in map(verdict.check_pay, view.trained) if check],
        beside=[(item, find_width(beside, item)) for item in beside],
        units=read_units(view.metric_source),
        designer_words=view.stand_in.stands_in if view.stand_in else verdict.MODEL_WORDS,
        metric_words=verdict.METRIC_WORDS[view.run.metric_origin],
        card_text=render_card(view.run.card),
        command=_make_command(view),
        next_steps=list_next_steps(view.run),
    )


def render_diagnosis_page(diagnosis: RewardDiagnosis, entry: HistoryEntry) -> str:
    """Return the page of a diagnosis.

    Args:
        diagnosis: what is said.
        entry: the program with what was measured of it.
    """
    item = CandidateView(entry, number=1, parent=None, is_best=True, folder=".")
    rows = list_shown(diagnosis.probe.behaviours) if diagnosis.probe else []
    return make_page("diagnosis.html.j2", d=diagnosis, item=item, rows=rows)


def render_summary(view: RunView) -> str:
    """Return a run as a notebook shows it: the verdict, the film, the candidates, the curve."""
    template = _make_environment().get_template("summary.html.j2")
    shown = {"view": view, "run": view.run, "verdict": verdict.find_verdict(view)}
    return scope_style() + template.render(**shown)


def scope_style() -> str:
    """Return the page's style for what lies in an element of class ``reward-agent`` alone."""
    css = re.sub(r"(?m)^(\s*)(?::root|html|body)(?=[ ,{])", r"\1&", _read_asset("page.css"))
    return f"<style>.reward-agent {{ {css} }}</style>"


def render_svg(chart: str) -> str:
    """Return a chart of the page as an SVG file that stands by itself."""
    style = f"><style><![CDATA[{_read_asset('page.css')}]]></style>"
    named = chart.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    return named.replace(">", style, 1)


def make_page(template: str, **shown: Any) -> str:
    """Return a self-contained page: with its style and its one script, which its policy names."""
    script = _read_asset("page.js") + _read_asset("film.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        _make_environment()
        .get_template(template)
        .render(
            style=_read_asset("page.css"), script=script, script_hash=f"sha256-{digest}", **shown
        )
    )


def _make_uri(picture: bytes) -> str:
    kind = "image/png" if picture.startswith(PNG) else "image/webp"
    if is_mp4(picture):
        kind = "video/mp4"
    return f"data:{kind};base64,{base64.b64encode(picture).decode()}"


def _make_command(view: RunView) -> str:
    """Return the command that repeats the run; a shell runs nothing else that the run says."""
    run = view.run
    task = run.task.name if run.metric_origin == "task" else hide_in_words(run.task.description)
    env = run.card.folder or run.card.name
    words = ["reward-agent design", f"--env {shlex.quote(env)}", f"--task {shlex.quote(task)}"]
    for name, value in run.config.items():
        is_chosen = not run.config_sources.get(name, "default").startswith(_IMPLIED)
        if (
            value is not None
            and name in RunSettings.model_fields
            and (name == "preset" or is_chosen)
        ):
            words.append(render_option(name, value))
    words += [f"--from {shlex.quote(item.file)}" for item in run.given]
    if run.is_unranked:
        words.append("--unranked")
    if run.metric_origin == "proposed: accepted unseen":
        words.append("--yes")
    if run.config.get("provider") is None and view.stand_in:
        words.append(f"--provider {view.stand_in.name}")
    return " ".join(words)


def list_next_steps(run: RunRecord) -> list[tuple[str, str]]:
    """Return what to do with a run, as commands with what each is for."""
    steps = [
        (f"reward-agent feedback {run.id}", "say in words what is wrong, or compare films"),
        (f"reward-agent film {run.id} --episode worst", "watch where it fails"),
        (f"reward-agent design --resume {run.id}", "let the search go on"),
    ]
    if run.winner is not None:
        take = "take the reward and the policy with you"
        steps[2] = (f"reward-agent export {run.id} -o {run.card.name}", take)
    return steps


def _read_asset(name: str) -> str:
    return (Path(__file__).parent / name).read_text("utf-8")


def make_templates(folder: Path) -> Environment:
    """Return the templates of a folder: what they are given is escaped, what they lack refused.

    Nothing in it hides or reorders what is read, whoever wrote it: such characters are written out.
    """
    import jinja2
    from markupsafe import Markup

    def finalize(value: object) -> object:
        if isinstance(value, jinja2.Undefined):
            return value
        shown = show_hidden(str(value))
        return Markup(shown) if hasattr(value, "__html__") else shown

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        finalize=finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "hide": hide_in_words,
        "number": lambda value: "–" if value is None else shorten(value),
        "percent": lambda value: "–" if value is None else f"{value:.0%}",
        "steps": lambda value: f"{value:,}",
        "duration": _format_duration,
    }
    environment.filters |= {"data_uri": _make_uri, "is_mp4": is_mp4}
    environment.globals["draw"] = figures
    return environment


@cache
def _make_environment() -> Environment:
    # Here, not above: they cost 0.1 s that the command line's other commands do not need.
    from reward_agent.report.code import highlight_program, render_diff

    environment = make_templates(Path(__file__).parent)
    environment.globals |= {
        "highlight_program": highlight_program,
        "render_diff": render_diff,
        "describe_choice": verdict.describe_choice,
        "describe_robustness": verdict.describe_robustness,
        "describe_ends": verdict.describe_ends,
        "say_fresh": say_fresh,
        "find_waste": find_waste,
    }
    return environment


def _format_duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
