"""A feedback session without a person at the prompt: what the options ask for, in one order."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from reward_agent.cli.output import answer_console, make_table, print_text, show_number
from reward_agent.definitions.tables import read_text
from reward_agent.designers.history import read_entry
from reward_agent.errors import DataError, UsageError
from reward_agent.feedback.records import RoundStarted
from reward_agent.feedback.state import read_rationale, render_change
from reward_agent.rewards.checks import render_findings
from reward_agent.text import name_round

if TYPE_CHECKING:
    from reward_agent.cli.feedback import Script
    from reward_agent.feedback.records import Choice, RoundEnded, ShownCandidate
    from reward_agent.feedback.session import Session
    from reward_agent.feedback.wishes import Question

_PREFERENCE = re.compile(r"^\s*([\w-]+)\s*([:=!])\s*([\w-]+)\s*$")
_CHOICES: dict[str, Choice] = {":": "a", "=": "same", "!": "both bad"}
FRONT = "front"


def run_script(session: Session, script: Script) -> None:
    """Do what a script asks for and say what came of it.

    Raises:
        UsageError: something in it cannot be done.
        DataError: a program or a metric in it is refused.
    """
    work(session)  # what an earlier session left open
    _change_metric(session, script)
    for text in script.note or ():
        session.note(text)
    for text in script.prefer or ():
        session.prefer(*parse_preference(text))
    for name in script.reject or ():
        session.reject(name)
    if script.edit is not None:
        _train_edit(session, script.edit, script.about)
    for text in script.say or ([""] if script.wish else []):
        session.remark(text, script.wish, script.about)
        work(session)
        while session.questions:
            take_usual(session, session.questions[0])
            work(session)
    if script.accept is not None:
        accept(session, "" if script.accept == FRONT else script.accept)
    show_standings(session)


def parse_preference(text: str) -> tuple[str, str, Choice]:
    """Read ``A:B``, ``A=B`` or ``A!B``.

    Raises:
        UsageError: it is none of these.
    """
    match = _PREFERENCE.match(text)
    if match is None:
        raise UsageError(
            f"{text!r} is no preference",
            "A:B prefers A to B, A=B finds them the same, A!B finds both bad",
        )
    return match[1], match[3], _CHOICES[match[2]]


def accept(session: Session, name: str) -> None:
    """Make a candidate the run's result and say where it lies."""
    winner = session.accept(name)
    print_text(f"accepted {winner.candidate}\nreward   {session.store.dir / 'reward.py'}")


def take_usual(session: Session, question: Question) -> None:
    """Answer a question where nobody is there to answer it, and say so."""
    usual = question.options[0]
    print_text(f"{question.text}\n  taken: {question.show_option(usual)}")
    session.mean(question, usual.name)


def _change_metric(session: Session, script: Script) -> None:
    if script.metric is not None:
        session.replace_metric(script.metric)
    if script.edit_metric is not None:
        trial = session.edit_metric(read_program(script.edit_metric))
        if trial.refusal:
            raise DataError(f"the metric is refused: {trial.refusal}", "correct it")
    if script.accept_metric:
        session.accept_metric()
    if script.reject_metric:
        session.reject_metric()


def _train_edit(session: Session, path: Path, about: str) -> None:
    parent = session.find(about) if about else session.need_current()
    source = read_program(path)
    report = session.edit(parent.candidate.id, source)
    if not report.is_accepted:
        print_text(render_findings(source, report.findings))
        raise DataError(f"{path} is refused", "correct what is shown at its lines")
    work(session)


def read_program(path: Path) -> str:
    """Read a text that a person hands in."""
    try:
        return read_text(path)
    except DataError as error:
        raise UsageError(error.message, "name a text file") from error


def work(session: Session) -> None:
    """Run what waits and show each round's end."""
    for ended in session.work():
        show_round(session, ended)


def show_round(session: Session, ended: RoundEnded) -> None:
    """Write what a round changed: the Designer's words, the program's diff, before and after."""
    if ended.outcome.kind != "finished":
        print_text(f"{name_round(ended.iteration)} {ended.outcome}")
        return
    started = [e for e in session.log.list(RoundStarted) if e.iteration == ended.iteration][-1]
    before = started.before
    if before is not None:
        print_text(f"\nbefore  {_describe(session, before)}")
    for shown in ended.after:
        print_text(f"after   {_describe(session, shown)}")
        if shown.verdict:
            _show_wish(session, shown)
    current = session.current
    if current is None or before is None or current.candidate.id == before.candidate:
        return
    print_text(f"\n{read_rationale(session.store, current.candidate)}\n")
    print_text(render_change(session.store, before, current.candidate))
    if current.wish is not None and current.wish.verdict != "better":
        name = before.candidate
        print_text(f"\nNo answer is better in all. To go on from {name}: /choose {name}")


def _show_wish(session: Session, shown: ShownCandidate) -> None:
    """Write before and after by the person's wish and the task score, and the verdict."""
    wish = read_entry(session.store, session.find(shown.candidate).candidate).wish
    if wish is None:
        return
    table = make_table("", ">before", ">after", "change", "wished", "verdict")
    for row in (*wish.rows, *([wish.task] if wish.task else ())):
        measure, unit = row.measure, f" [{row.measure.unit}]" if row.measure.unit else ""
        change = f"{row.change[0]:+.2g} … {row.change[1]:+.2g}" if row.change else ""
        most = "at most" if measure.wanted == "less" else "at least"
        asked = "" if measure.enough is None else f"{most} {measure.enough:.3g}"
        values = show_number(row.before), show_number(row.after)
        table.add_row(f"{measure.says}{unit}", *values, change, asked, row.verdict)
    answer_console.print(table)
    print_text(
        f"        means of {wish.n_episodes} episodes from the same starts, change with 95 %; "
        f"both trained for {wish.total_timesteps:,} env steps"
    )
    if session.find(wish.before).candidate.total_timesteps != wish.total_timesteps:
        print_text(f"        for that {wish.before} was trained again; its film is as you saw it")


def _describe(session: Session, shown: ShownCandidate) -> str:
    video = f"\n        {session.store.dir / shown.video_file}" if shown.video_file else ""
    return f"{shown.describe(session.run.task.unit)}{video}"


def show_standings(session: Session) -> None:
    """Write every candidate with its score and its rating, the best first."""
    has_metric = session.has_metric
    scores = [f">search score [{session.run.task.unit}]"] if has_metric else []
    table = make_table("", "candidate", *scores, ">rating", ">95 %", ">answers", "from")
    current = session.current
    for item in session.rank():
        candidate, rating = item.candidate, item.rating
        is_front = current is not None and current.candidate.id == candidate.id
        score = [show_number(candidate.task_score)] if has_metric else []
        table.add_row(
            "▶" if is_front else ("✗" if item.is_rejected else ""),
            candidate.id,
            *score,
            show_number(rating.mean if rating else None),
            f"{rating.low:.2g} … {rating.high:.2g}" if rating else "",
            str(rating.n_answers) if rating else "0",
            candidate.parent or "",
            style="dim" if item.is_rejected else "",
        )
    answer_console.print(table)
    if not has_metric:
        print_text("the task has no metric: ratings by your preferences are the only score")
