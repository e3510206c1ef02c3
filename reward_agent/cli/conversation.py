"""A feedback session at the prompt: words are a remark, ``/commands`` are everything else."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.syntax import Syntax

from reward_agent.cli.feedback_script import accept, show_standings, work
from reward_agent.cli.output import ask, print_error, print_text, progress_console
from reward_agent.errors import RewardAgentError, UnknownNameError, UsageError
from reward_agent.feedback.wishes import suggest_words
from reward_agent.files import make_scratch
from reward_agent.rewards.checks import render_findings
from reward_agent.text import decode_text

if TYPE_CHECKING:
    from reward_agent.cli.display import RunDisplay
    from reward_agent.designers.brief import HistoryEntry
    from reward_agent.feedback.records import Choice
    from reward_agent.feedback.session import Session

_HELP = """\
Say in words what is wrong with the current policy;
the Designer answers with new programs.
  /watch [ID]   where its video lies; a viewer opens it
  /compare      two videos: a, b, s (same), n (neither), q
  /show [ID]    its program
  /edit [ID]    change it in $EDITOR, then train it
  /list         all candidates
  /choose ID    go on from another one
  /accept [ID]  make it the result
  /reject ID    leave it out from now on
  /note WORDS   keep a note
  /metric       how policies are scored
  /help         this
  /quit         end; it can be taken up again"""
_ANSWERS: dict[str, Choice] = {"a": "a", "b": "b", "s": "same", "n": "both bad"}
_UNDECIDED = {"proposed: accepted unseen": "nobody has read", "none": "was not taken"}
_METRIC_ANSWERS = "accept, edit, replace FILE, reject, or Enter to leave it"


class Conversation:
    """The prompt of a session."""

    def __init__(self, session: Session, display: RunDisplay, *, is_terminal: bool) -> None:
        self._session = session
        self._display = display
        self._is_terminal = is_terminal
        self._watched = ""  # a candidate of which the next words are; '' is the current one
        self._commands: dict[str, Callable[[str], object]] = {
            "watch": self._watch,
            "compare": self._compare,
            "show": self._show,
            "edit": self._edit,
            "list": lambda _: show_standings(session),
            "choose": self._choose,
            "reject": session.reject,
            "accept": lambda name: accept(session, name),
            "note": session.note,
            "metric": self._metric,
            "help": lambda _: print_text(_HELP),
        }

    def run(self) -> None:
        """Talk until the person is content."""
        self._answer_questions()
        show_standings(self._session)
        view = self._session.metric
        if view.is_proposed and view.origin in _UNDECIDED:
            print_text(f"The Designer proposed a metric that {_UNDECIDED[view.origin]}: /metric")
        seen, _ = suggest_words(self._session.run.card)
        print_text(f"{_HELP}\nFor example: {seen}\nAn answer is {self._session.describe_round()}.")
        while True:
            current = self._session.current
            front = current.candidate.id if current else "no policy"
            line = self._ask(f"\n{self._watched or front} > ")
            if line is None or line in ("/quit", "/q", "quit", "exit"):
                return
            try:
                if self._obey(line.strip()):
                    return
            except RewardAgentError as error:
                print_error(error)

    def _obey(self, line: str) -> bool:
        """Do what a line says; return whether the person is content."""
        if not line:
            return False
        if not line.startswith("/"):
            wish = self._ask("What do you want instead? (Enter leaves it to the Designer) ") or ""
            self._session.remark(line, wish, self._watched)
            self._answer_questions()
            return False
        name, _, rest = line[1:].partition(" ")
        if name not in self._commands:
            raise UnknownNameError("command", name, self._commands, "/help lists them")
        self._commands[name](rest.strip())
        return name == "accept"

    def _answer_questions(self) -> None:
        """Work on what waits, and ask which part is meant where words are not what is measured."""
        work(self._session)
        while self._session.questions:
            question = self._session.questions[0]
            print_text(question.text)
            for number, option in enumerate(question.options, start=1):
                print_text(f"  {number}  {question.show_option(option)}")
            answer = self._ask("A number, 0 for none of these, Enter for 1 > ")
            chosen = (answer or "").strip() or "1"
            if chosen not in map(str, range(len(question.options) + 1)):
                continue
            number = int(chosen)
            self._session.mean(question, question.options[number - 1].name if number else "")
            work(self._session)
        self._watched = ""

    def _ask(self, question: str) -> str | None:
        """Read a line; None at the end of the input."""
        with self._display.paused():
            try:
                return ask(question if self._is_terminal else "")
            except EOFError:
                return None

    def _find(self, name: str) -> HistoryEntry:
        return self._session.find(name) if name else self._session.need_current()

    def _choose(self, name: str) -> None:
        self._session.choose(name)
        self._watched = ""

    def _watch(self, name: str) -> None:
        self._watched = self._find(name).candidate.id
        print_text(f"{self._watched}  {self._film(self._watched)}")

    def _film(self, name: str) -> str:
        note = self._session.film(name)
        path = self._session.find_film(name)
        if path is None:
            return f"no film: {note}"
        return self._open(path)

    def _open(self, path: Path) -> str:
        if self._is_terminal:
            typer.launch(str(path))
        return str(path)

    def _compare(self, _: str) -> None:
        while True:
            pair = self._session.choose_pair()
            if pair is None:
                raise UsageError("there are no two policies to compare", "say what to change first")
            with make_scratch() as folder:
                for letter, name in zip("AB", pair, strict=True):
                    print_text(f"{letter}  {self._film_blind(name, folder / letter)}")
                answer = self._ask("Which is better? a, b, s (same), n (neither is good), q > ")
            if answer is None or answer.strip().lower() not in _ANSWERS:
                break
            self._session.prefer(*pair, _ANSWERS[answer.strip().lower()])
            best = self._session.rate()[0]
            print_text(f"   A was {pair[0]}, B was {pair[1]}")
            print_text(f"   most likely the best: {best.candidate}, with {best.p_best:.0%}")
        show_standings(self._session)

    def _film_blind(self, name: str, place: Path) -> str:
        """Open a film whose address says as little of whose it is as the film."""
        self._session.film(name)
        path = self._session.find_film(name, is_blind=True)
        if path is None:
            return "(it cannot be filmed here)"
        copy = place.with_suffix(path.suffix)
        copy.write_bytes(path.read_bytes())
        return self._open(copy)

    def _show(self, name: str) -> None:
        entry = self._find(name)
        source = entry.program.source if entry.program else ""
        progress_console.print(Syntax(source, "python", line_numbers=True))

    def _edit(self, name: str) -> None:
        entry = self._find(name)
        source = entry.program.source if entry.program else ""
        while True:
            changed = edit_text(source)
            if changed is None:
                print_text("not changed")
                return
            report = self._session.edit(entry.candidate.id, changed)
            if report.is_accepted:
                work(self._session)
                return
            print_text(render_findings(changed, report.findings))
            if (self._ask("Enter edits again, q gives up > ") or "q").strip() == "q":
                return
            source = changed

    def _metric(self, _: str) -> None:
        view = self._session.metric
        progress_console.print(f"metric    {view.origin}")
        if not view.source:
            print_text("no metric: ratings by your preferences are the only score")
        else:
            done = f"done      {view.words.done}" if view.words else ""
            print_text("\n".join(filter(None, [view.meaning, view.criterion, done])))
            progress_console.print(Syntax(view.source, "python", line_numbers=True))
        if not view.is_proposed:
            return
        self._show_scores(view.source)
        answer = (self._ask(f"{_METRIC_ANSWERS} > ") or "").strip()
        if answer:
            self._decide_metric(answer, view.source)

    def _show_scores(self, source: str) -> None:
        """Write what the metric says of each video, best first."""
        scores = self._session.try_metric(source).scores
        known = {name: item for name, item in scores.items() if item is not None}
        ranked = sorted(known, key=lambda name: -(known[name].task_score or 0.0))
        for name in ranked:
            path = self._session.find_film(name)
            print_text(f"{known[name].task_score:10.3g}  {name}  {path or '(no video: /watch)'}")

    def _decide_metric(self, answer: str, source: str) -> None:
        verb, *rest = shlex.split(answer)
        if verb == "accept":
            self._session.accept_metric()
        elif verb == "reject":
            self._session.reject_metric()
        elif verb == "replace" and rest:
            self._session.replace_metric(Path(rest[0]).expanduser())
        elif verb == "edit":
            self._edit_metric(source)
        else:
            raise UsageError(f"{answer!r} is no answer", _METRIC_ANSWERS)
        show_standings(self._session)

    def _edit_metric(self, source: str) -> None:
        changed = edit_text(source)
        if changed is None:
            return
        trial = self._session.edit_metric(changed)
        if trial.check.findings:
            print_text(render_findings(changed, trial.check.findings))
        if trial.refusal:
            raise UsageError("the metric was not taken: it cannot score what was recorded", "")


# --- a person's own editor ------------------------------------------------------------------------


_USUAL = ("nano", "vim", "vi", "notepad")


def edit_text(text: str) -> str | None:
    """Open Python text in ``$VISUAL``, ``$EDITOR`` or a usual editor; None if it is unchanged.

    Raises:
        UsageError: there is no editor, or it failed.
    """
    usual = next((name for name in _USUAL if shutil.which(name)), "")
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or usual
    if not editor:
        raise UsageError("there is no editor", "set EDITOR, or use --edit FILE")
    with make_scratch() as folder:
        path = folder / "program.py"
        path.write_text(text, "utf-8")
        try:
            subprocess.run([*shlex.split(editor), str(path)], check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise UsageError(f"the editor {editor!r} failed: {error}", "set EDITOR") from error
        changed = decode_text(path.read_bytes(), "replace")
    return None if changed == text else changed
