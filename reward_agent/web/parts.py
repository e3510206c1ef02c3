"""What the page shows: the session's state, rendered by the templates beside this file."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reward_agent.designers.brief import HistoryEntry
from reward_agent.designers.history import read_history
from reward_agent.feedback.records import AnyEntry, RoundEnded, RoundStarted
from reward_agent.feedback.state import RatedCandidate, describe_film, read_rationale
from reward_agent.feedback.wishes import describe_entry, suggest_words
from reward_agent.records.store import Candidate
from reward_agent.report.code import highlight_program, render_diff
from reward_agent.report.page import make_templates
from reward_agent.report.view import CandidateView, load_run_view
from reward_agent.types import CheckReport, Finding
from reward_agent.web.live import LiveSession


@dataclass(frozen=True)
class PageTurn:
    """One entry of the chat, with what the round that answers it has come to."""

    entry: AnyEntry
    started: RoundStarted | None = None
    ended: RoundEnded | None = None
    rationale: str = ""
    lines: tuple[str, ...] = ()


class Parts:
    """Renders the parts of one session's page."""

    def __init__(self, live: LiveSession) -> None:
        self._live = live
        self._session = live.session
        # Candidates of a comparison, by what stands in the page in place of their names.
        self._hidden: dict[str, str] = {}
        self._environment = make_templates(Path(__file__).parent / "templates")
        self._environment.globals["film"] = self._describe_film
        self._environment.globals["film_note"] = self._note_film
        self._environment.globals["is_hidden"] = self._hidden.__contains__

    def render_page(self) -> str:
        """Return the whole page."""
        return self._render(
            "page",
            status=self.render_status(),
            tree=self.render_tree(),
            chat=self.render_chat(),
            stage=self.render_watch(),
            has_proposal=self._session.metric.is_proposed,
            examples=suggest_words(self._session.run.card),
            about_round=self._session.describe_round(),
        )

    def render_status(self) -> str:
        """Return the head: which policy words change, and whether something runs."""
        front = self._stand(self._session.current)
        return self._render(
            "status",
            front=front,
            n_waiting=len(self._session.waiting),
            has_question=bool(self._session.questions),
        )

    def render_tree(self) -> str:
        """Return every candidate of the run below the one that it departed from."""
        current = self._session.current
        candidates = [entry.candidate for entry in read_history(self._session.store)]
        known = {candidate.id for candidate in candidates}
        children: dict[str, list[Candidate]] = {}
        for item in candidates:
            is_root = item.parent not in known or item.parent == item.id
            children.setdefault("" if is_root else item.parent or "", []).append(item)
        return self._render(
            "tree",
            children=children,
            standings=self._map_standings(),
            front=current.candidate.id if current else "",
        )

    def render_chat(self) -> str:
        """Return what was said, and what came of it."""
        questions = self._session.questions
        return self._render("chat", turns=self._list_turns(), questions=questions)

    def render_watch(self) -> str:
        """Return the policy that words change beside the one that it departed from."""
        current = self._session.current
        parent = self._map_standings().get(current.candidate.parent or "") if current else None
        return self._render("watch", before=parent, after=self._stand(current))

    def render_compare(self) -> str:
        """Return the pair to be compared, and the ratings so far."""
        # Counted first: an answer that comes in between must not count twice.
        n_answers = len(self._session.list_answers())
        standings, pair = self._map_standings(), self._session.choose_pair()
        return self._render(
            "compare",
            pair=[self._hide(name) for name in pair or ()],
            ratings=self._session.rate(),
            standings=standings,
            n_answers=n_answers,
            seen=self._session.read_seen(),
        )

    def render_candidate(self, name: str) -> str:
        """Return a candidate: video, program with remarks at their lines, diff, curves."""
        entry = self._session.find(name)
        views = load_run_view(self._session.store.dir).candidates
        item = next(view for view in views if view.id == entry.candidate.id)
        return self._render(
            "candidate",
            standing=self._stand(entry),
            item=item,
            program=_highlight(entry),
            diff=_diff(item),
        )

    def render_editor(self, name: str) -> str:
        """Return the editor on a candidate's program."""
        entry = self._session.find(name)
        source = entry.program.source if entry.program else ""
        about = self._session.describe_round(1)
        return self._render("editor", entry=entry, source=source, about_edit=about)

    def render_findings(self, program: str, *, is_handed_in: bool = False) -> str:
        """Return a program with its findings at their lines."""
        report = self._session.check(program.replace("\r\n", "\n"))
        return self._render(
            "findings",
            report=report,
            errors=report.errors,
            code=highlight_program(program, report.findings),
            is_handed_in=is_handed_in and report.is_accepted,
        )

    def render_film(self, name: str, note: str) -> str:
        """Return a candidate's video, or why there is none."""
        return self._render("film_part", whose=name, note=note)

    def find_hidden(self, name: str) -> str:
        """Return the candidate that a word stands for; any other name is itself."""
        return self._hidden.get(name, name)

    def find_film(self, name: str) -> Path | None:
        """Return a candidate's video; of a hidden one, one that does not say whose it is."""
        return self._session.find_film(self.find_hidden(name), is_blind=name in self._hidden)

    def _hide(self, name: str) -> str:
        """Return a word for a candidate, another one each time."""
        word = secrets.token_hex(8)
        self._hidden[word] = name
        return word

    def render_metric(self, refusal: str = "", source: str = "") -> str:
        """Return the metric in words, as code and on the videos."""
        view = self._session.metric
        scores: dict[str, Any] = {}
        if view.is_proposed and not self._live.is_working:
            scores = self._session.try_metric(view.source).scores
        ranked = sorted(
            (standing for name, standing in self._map_standings().items() if scores.get(name)),
            key=lambda item: -(scores[item.candidate.id].task_score or 0.0),
        )
        return self._render(
            "metric",
            view=view,
            scores=scores,
            ranked=ranked,
            refusal=refusal,
            source=source or view.source,
            code=highlight_program(view.source) if view.source else "",
        )

    def _render(self, name: str, **inputs: Any) -> str:
        run = self._session.run
        known = {
            "run": run,
            "unit": run.task.unit,
            "has_metric": self._session.has_metric,
            "is_working": self._live.is_working,
        }
        return self._environment.get_template(f"{name}.html.j2").render(known | inputs)

    def _map_standings(self) -> dict[str, RatedCandidate]:
        return {item.candidate.id: item for item in self._session.list_standings()}

    def _stand(self, entry: HistoryEntry | None) -> RatedCandidate | None:
        return self._map_standings().get(entry.candidate.id) if entry else None

    def _describe_film(self, name: str) -> str:
        """Return the kind of a candidate's video: ``webp``, ``mp4``, or nothing."""
        path = self.find_film(name)
        return path.suffix[1:] if path else ""

    def _note_film(self, name: str) -> str:
        """Say whose policy a film shows if not that of the search; of a hidden one nothing."""
        if name in self._hidden:
            return ""
        candidate = self._session.find(name).candidate
        return describe_film(self._session.store, self._session.run, candidate)

    def _list_turns(self) -> list[PageTurn]:
        log = self._session.log
        started = {item.cause: item for item in log.list(RoundStarted)}
        ended = {item.iteration: item for item in log.list(RoundEnded)}
        turns = []
        for entry in log.entries:
            if isinstance(entry, RoundStarted | RoundEnded):
                continue
            begun = started.get(entry.number)
            over = ended.get(begun.iteration) if begun else None
            lines = tuple(describe_entry(log.entries, entry))
            turns.append(PageTurn(entry, begun, over, self._read_rationale(over), lines))
        return turns

    def _read_rationale(self, ended: RoundEnded | None) -> str:
        """Return what the Designer said with the best candidate of a round."""
        trained = [
            item for item in (ended.after if ended else ()) if item.outcome.kind == "trained"
        ]
        if not trained:
            return ""
        store = self._session.store
        known = {e.candidate.id: e for e in self._session.list_trained()}
        answers = [known[shown.candidate] for shown in trained if shown.candidate in known]
        best = min(answers, key=lambda e: e.wish.rank if e.wish else (9.0,), default=None)
        return read_rationale(store, best.candidate) if best else ""


def _highlight(entry: HistoryEntry) -> str:
    """Return the program with the findings and the critique at their lines."""
    if entry.program is None:
        return ""
    reports: list[CheckReport | Any] = [item for item in (entry.check, entry.probe) if item]
    findings = [finding for report in reports for finding in report.findings]
    risks = entry.critique.risks if entry.critique else ()
    findings += [
        Finding(
            rule=f"critic/{risk.kind}",
            severity="warning",
            message=risk.evidence,
            remedy=risk.remedy,
            line=risk.line,
        )
        for risk in risks
    ]
    return highlight_program(entry.program.source, findings)


def _diff(item: CandidateView) -> str:
    """Return what changed from the parent's program; empty without a parent."""
    parent = item.parent.program if item.parent else None
    own = item.entry.program
    if parent is None or own is None:
        return ""
    return render_diff(parent.source, own.source)
