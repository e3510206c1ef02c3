"""A model that sees watches the films of a run: over the real SDKs, beside the metric."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image
from support import runs
from support.runs import PROPOSAL
from typer.testing import CliRunner

import reward_agent
from reward_agent.cli.app import app
from reward_agent.designers.history import list_judgements
from reward_agent.evaluation.trust import render_table
from reward_agent.export.bundle import pack_run
from reward_agent.export.unpack import open_bundle
from reward_agent.feedback.session import open_session
from reward_agent.feedback.state import describe_session
from reward_agent.llm.replies import read_calls, read_replies
from reward_agent.records.events import Event, FilmJudged, RunStarted, Warned
from reward_agent.records.judgement import FRAMES_FILE, SHOWN, make_code
from reward_agent.records.store import RunStore, load_run
from reward_agent.records.trial import read_trial
from reward_agent.run.estimate import estimate_design
from reward_agent.testing import FakeLLMServer, HttpFault, ReceivedRequest, Say, Step
from reward_agent.web.parts import Parts

PROGRAM = runs.PROGRAM % 0.2
ANALYSIS = json.dumps(
    {"failure_mode": "drift", "evidence": ["x"], "next_change": "y", "keep": True}
)
KEY = "sk-test-4f7b2c9e1a"
VARIABLES = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY"}
# How each is sent a picture, and refuses one: tests/llm/test_pictures.py.
ONE_AND_ANOTHER = ["anthropic", pytest.param("openai", marks=pytest.mark.slow)]
WATCHING = "You watch a film"
SMALL: dict[str, Any] = runs.SMALL | {"candidates": 1, "critic": False, "eval_episodes": 1}


class Model:
    """Writes the program, explains it, and judges as it is told.

    Args:
        runs_dir: where the run lies, of whose candidate the sheet's code is.
        answers: what the judge says of each criterion; of all others, that it cannot see.
        blind: what is answered to a picture instead.
        codes: what it reads in the corner at first; then what stands there.
        program_tokens: what it says that the program cost.
        has_ends: whether it is shown best and worst episode, too.
    """

    def __init__(
        self,
        runs_dir: Path,
        answers: Mapping[int, str] = {},
        blind: Step | None = None,
        codes: tuple[str, ...] = (),
        program_tokens: int = 100,
        has_ends: bool = False,
    ) -> None:
        self.seen: list[bytes] = []
        self.told: list[str] = []
        self._runs_dir, self._answers, self._blind = runs_dir, answers, blind
        self._codes, self._program_tokens = list(codes), program_tokens
        self._has_ends = has_ends

    def __call__(self, request: ReceivedRequest) -> Step:
        if WATCHING in request.text:
            self.seen += request.pictures
            return self._blind or Say(self._judge(request), input_tokens=3000, output_tokens=90)
        if "You explain" in request.text:
            self.told.append(request.text)
            return Say(ANALYSIS)
        return Say(PROGRAM, input_tokens=self._program_tokens)

    def _judge(self, request: ReceivedRequest) -> str:
        code = self._codes.pop(0) if self._codes else self._find_code()
        n_criteria = request.text.count("\\n2. ") and request.text.rsplit("Is it met?", 1)[1]
        numbers = [n for n in range(1, 13) if f"\\n{n}. " in str(n_criteria)]
        answers = [
            {
                "number": n,
                "answer": self._answers.get(n, "cannot see"),
                "frame": n + 1 if n in self._answers else None,
                "reason": f"the pole, as criterion {n} asks ``` \u202e",
            }
            for n in numbers
        ]
        return json.dumps({"code": code, "seen": "a pole falls over", "answers": answers})

    def _find_code(self) -> str:
        [folder] = self._runs_dir.glob("*/iterations/0/candidates/*")
        if len(self.seen) == 1 or not self._has_ends:
            return make_code(f"{folder.name} 0")
        return make_code(f"{folder.name} 0 {SHOWN[len(self.seen) - 1]}")


def design(
    folder: Path, server: FakeLLMServer, provider: str = "openai", **options: Any
) -> tuple[RunStore, list[Event]]:
    events: list[Event] = []
    url = server.anthropic_url if provider == "anthropic" else server.openai_url
    run = reward_agent.design(
        "inverted_pendulum",
        options.pop("task", "balance"),
        provider=provider,
        base_url=url,
        environ={VARIABLES[provider]: KEY},
        runs_dir=folder / "runs",
        listen=events.append,
        **{"judge": "film"} | SMALL | options,
    )
    return load_run(run.id, folder / "runs"), events


def list_warnings(events: list[Event]) -> list[str]:
    return [
        event.reason for event in events if isinstance(event, Warned) and "judge" in event.reason
    ]


@pytest.mark.parametrize("provider", ONE_AND_ANOTHER)
def test_the_film_goes_to_the_judge_as_a_picture_and_its_answers_stand_beside_the_metric(
    provider: str, tmp_path: Path
) -> None:
    model = Model(tmp_path / "runs", {1: "yes", 2: "yes", 3: "yes"})
    with FakeLLMServer(model) as server:
        store, events = design(tmp_path, server, provider)
    [judgement] = list_judgements(store)
    [sheet] = model.seen
    folder = store.evaluation_dir(0, judgement.candidate, 0)
    assert sheet == (folder / FRAMES_FILE).read_bytes()
    with Image.open(io.BytesIO(sheet)) as picture:
        assert picture.size == (1280, 936)
    assert len(sheet) < 300_000
    assert judgement.criteria[1:] == ("it never does",)
    assert [item.answer for item in judgement.answers] == ["yes", "yes"]
    assert (judgement.times[0], len(judgement.times)) == (0.0, 16)
    # The policy is trained for a second: the metric counts no success.
    assert judgement.success is False
    assert "sees the task done" in judgement.conflict
    [judged] = [event for event in events if isinstance(event, FilmJudged)]
    assert judged.conflict == judgement.conflict
    # The Analyzer is told, behind a fence that the judge's words cannot close.
    [told] = model.told
    assert "````text" in told
    assert "DISAGREEMENT" in told
    assert "\u202e" not in told
    # Its price is in the candidate's and in the run's; the picture is in no database.
    [candidate] = store.read_iteration(0).candidates
    assert candidate.usage.input_tokens >= 3000
    assert [call.agent for call in read_calls(store.dir)] == ["designer", "judge", "analyzer"]
    [reply] = [item for item in read_replies(store.dir) if item.agent == "judge"]
    assert f"sha256 {hashlib.sha256(sheet).hexdigest()[:16]}" in reply.prompt
    assert (store.dir / "replies.sqlite").stat().st_size < 100_000
    written = [path for path in store.dir.rglob("*") if path.is_file()]
    assert [path for path in written if KEY.encode() in path.read_bytes()] == []
    # It is shown, loudly.
    page = (store.dir / "report.html").read_text()
    assert "Judge and metric disagree" in page
    assert "data:image/png;base64," in page
    shown = show(store)
    assert "DISAGREEMENT" in shown
    assert "frame 2 at " in shown
    opened = open_bundle(pack_run(store, tmp_path / "a.run.zip"), tmp_path / "other")
    assert list_judgements(opened) == [judgement]
    assert (opened.evaluation_dir(0, judgement.candidate, 0) / FRAMES_FILE).read_bytes() == sheet
    told_json = CliRunner().invoke(app, ["runs", "show", str(store.dir), "--json", "--full"]).stdout
    assert json.loads(told_json)["judgements"][0]["conflict"] == judgement.conflict


def show(store: RunStore) -> str:
    result = CliRunner().invoke(app, ["runs", "show", str(store.dir)])
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def test_best_and_worst_episode_are_watched_where_they_differ_from_the_median(
    tmp_path: Path,
) -> None:
    model = Model(tmp_path / "runs", {1: "yes", 2: "yes"}, has_ends=True)
    with FakeLLMServer(model) as server:
        store, events = design(tmp_path, server, eval_episodes=5)
    assert not list_warnings(events)
    judgements = list_judgements(store)
    assert [item.shown for item in judgements] == ["median", "best", "worst"]
    scores = [item.task_score or 0.0 for item in judgements]
    assert scores[1] > scores[0] > scores[2]
    sheets = [
        (store.evaluation_dir(0, item.candidate, 0) / item.frames_file).read_bytes()
        for item in judgements
    ]
    assert sheets == model.seen
    # Each stands in what the Analyzer is told, in the report and on screen.
    [told] = model.told
    page, shown = (store.dir / "report.html").read_text(), show(store)
    for name in ("median", "best", "worst"):
        assert f"frames of the {name} episode" in told
        assert f"{name} episode <span" in page
        assert f"frames of the {name} episode" in shown
    opened = open_bundle(pack_run(store, tmp_path / "a.run.zip"), tmp_path / "other")
    assert list_judgements(opened) == judgements


def test_agreement_is_told_too(tmp_path: Path) -> None:
    with FakeLLMServer(Model(tmp_path / "runs", {1: "no", 2: "no"})) as server:
        store, events = design(tmp_path, server)
    [judgement] = list_judgements(store)
    assert (judgement.verdict, judgement.agreement) == ("no", "they agree")
    assert "DISAGREEMENT" not in show(store)
    assert "Judge and metric disagree" not in (store.dir / "report.html").read_text()
    assert not list_warnings(events)


@pytest.mark.parametrize("provider", ONE_AND_ANOTHER)
def test_a_model_that_takes_no_pictures_costs_one_sentence(provider: str, tmp_path: Path) -> None:
    blind = HttpFault(400, "invalid_request_error", "image input is not supported by this model")
    model = Model(tmp_path / "runs", blind=blind)
    with FakeLLMServer(model) as server:
        store, events = design(tmp_path, server, provider, judge="all", winner_seeds=1)
    assert store.read_run().status == "finished"
    [warning] = list_warnings(events)
    assert "takes no pictures: image input is not supported" in warning
    assert "--judge-model" in warning
    assert len(model.seen) == 1
    assert not list_judgements(store)


def test_a_model_that_answers_without_seeing_is_found_out(tmp_path: Path) -> None:
    model = Model(tmp_path / "runs", {1: "yes"}, codes=("1", "0000"))
    with FakeLLMServer(model) as server:
        store, events = design(tmp_path, server)
    [warning] = list_warnings(events)
    assert "does not see the picture" in warning
    assert len(model.seen) == 2, "it was shown the picture again, once"
    assert not list_judgements(store)
    assert store.read_run().status == "finished"


def test_a_bad_reply_is_repaired_once(tmp_path: Path) -> None:
    model = Model(tmp_path / "runs", {1: "yes"}, codes=("12 34",))
    with FakeLLMServer(model) as server:
        store, _ = design(tmp_path, server)
    [judgement] = list_judgements(store)
    assert judgement.verdict == "yes"
    [candidate] = store.read_iteration(0).candidates
    assert candidate.usage.n_calls == 4  # program, judgement twice, analysis


def test_the_judge_keeps_within_the_limits_of_money(tmp_path: Path) -> None:
    # 7,700 tokens are left: enough for the question and the longest answer, not for the picture.
    model = Model(tmp_path / "runs", {1: "yes"}, program_tokens=20_300)
    with FakeLLMServer(model) as server:
        store, events = design(
            tmp_path, server, max_tokens=28_000, reply_tokens=16_000, analyzer=False
        )
    assert model.seen == []
    [warning] = list_warnings(events)
    assert "--max-tokens 28,000 is reached" in warning
    assert store.read_run().status == "finished"
    assert sum(call.usage.input_tokens + call.usage.output_tokens
               for call in read_calls(store.dir)) <= 28_000  # fmt: skip


def test_a_designer_without_a_model_says_that_no_film_is_judged(tmp_path: Path) -> None:
    events: list[Event] = []
    reward_agent.design(
        "inverted_pendulum", "balance", provider="offline", judge="film", environ={},
        runs_dir=tmp_path / "runs", listen=events.append, **SMALL,
    )  # fmt: skip
    [warning] = list_warnings(events)
    assert "offline asks no language model" in warning
    assert "--judge-model" in warning


def test_a_model_of_its_own_judges_what_the_offline_designer_made(tmp_path: Path) -> None:
    events: list[Event] = []
    model = Model(tmp_path / "runs", {1: "yes", 2: "yes"})
    with FakeLLMServer(model) as server:
        run = reward_agent.design(
            "inverted_pendulum", "balance", provider="offline", judge="film",
            judge_model=f"provider=openai-compatible model=sees-7b base_url={server.openai_url}",
            environ={}, runs_dir=tmp_path / "runs",
            listen=events.append, **SMALL,
        )  # fmt: skip
        assert server.requests[0].body["model"] == "sees-7b"
    [judgement] = list_judgements(load_run(run.id, tmp_path / "runs"))
    assert (judgement.provider, judgement.model) == ("openai-compatible", "sees-7b")
    assert run.usage.n_calls == 1
    [started] = [event for event in events if isinstance(event, RunStarted)]
    assert f"judged by openai-compatible: sees-7b, asked at {server.openai_url}" in started.designer


def test_a_scripted_judge_answers_and_a_replay_repeats_it(tmp_path: Path) -> None:
    model = Model(tmp_path / "runs", {1: "no", 2: "no"})
    with FakeLLMServer(model) as server:
        store, _ = design(tmp_path, server)
    run = reward_agent.design(
        provider=f"replay:{store.dir}", environ={}, runs_dir=tmp_path / "again", video=False
    )
    [first], [second] = (
        list_judgements(item) for item in (store, load_run(run.id, tmp_path / "again"))
    )
    assert second.answers == first.answers
    assert second.provider == "replay"
    script = tmp_path / "replies.md"
    script.write_text(f"--- reply ---\n{PROGRAM}\n")
    events: list[Event] = []
    reward_agent.design(
        "inverted_pendulum", "balance", provider=f"scripted:{script}", judge="film", environ={},
        runs_dir=tmp_path / "scripted", listen=events.append, **SMALL,
    )  # fmt: skip
    [warning] = list_warnings(events)
    assert "holds no reply of a judge" in warning


def test_the_cheapest_way_to_a_proposed_metrics_score_is_judged_beside_it(tmp_path: Path) -> None:
    codes = tuple(make_code(f"adversary_0_{pays} 0") for pays in ("score", "success"))
    model = Model(tmp_path / "runs", {1: "yes", 2: "yes"}, codes=codes)

    def answer(request: ReceivedRequest) -> Step:
        is_metric = "we need a metric" in request.text
        return Say(PROPOSAL) if is_metric else model(request)

    with FakeLLMServer(answer) as server:
        store, events = design(
            tmp_path, server, task="stay in the middle of the rail", adversary_steps=1024,
            max_repairs=0, accept_unseen=True,
        )  # fmt: skip
    trial = read_trial(store)
    assert trial is not None
    rows = [row for row in trial.rows if row.kind == "adversary"]
    assert [row.judged.startswith("yes; it saw: a pole falls over; ") for row in rows] == [True] * 2
    assert all("the metric counts no success" in row.conflict for row in rows)
    found = [finding for finding in trial.findings if finding.rule == "metric/judged"]
    assert len(found) == 2
    assert render_table(rows).count("a model that watched its film says yes; it saw: ") == 2
    assert "adversary_0_score" in [
        event.candidate for event in events if isinstance(event, FilmJudged)
    ]
    # What the metric says of a candidate's film is known, too, though it is no trusted one.
    [judgement] = list_judgements(store)
    assert judgement.success is False


def test_a_run_without_a_metric_has_every_film_judged_and_ratings_start_there(
    tmp_path: Path,
) -> None:
    def answer(request: ReceivedRequest) -> Step:
        if WATCHING not in request.text:
            n_programs = sum("You design" in item.text for item in server.requests)
            return Say(PROGRAM.replace("0.2)", f"0.{n_programs + 1})"))
        folders = sorted((tmp_path / "runs").glob("*/iterations/0/candidates/*"))
        [code] = [make_code(f"{f.name} 0") for f in folders if (f / "evaluation/seed_0/frames.png").
                  is_file() and (f / "evaluation/seed_0/frames.png").read_bytes()
                  == request.pictures[0]]  # fmt: skip
        verdict = "yes" if code == make_code(f"{folders[0].name} 0") else "no"
        item = {"number": 1, "answer": verdict, "frame": 3, "reason": "so it looks"}
        return Say(json.dumps({"code": code, "seen": "it sways", "answers": [item]}))

    with FakeLLMServer(answer) as server:
        store, _ = design(
            tmp_path, server, task="sway gently", candidates=2, analyzer=False, unranked=True,
        )  # fmt: skip
        with open_session(
            str(store.dir), environ={"OPENAI_API_KEY": KEY}, provider="openai",
            base_url=server.openai_url,
        ) as session:  # fmt: skip
            ratings = session.rate()
            described = describe_session(session)
            parts = Parts(SimpleNamespace(session=session, is_working=False))  # type: ignore[arg-type]
            compare, candidate = (
                parts.render_compare(),
                parts.render_candidate(ratings[0].candidate),
            )
            session.prefer(ratings[1].candidate, ratings[0].candidate, "a")
            after = session.rate()
    assert [item.agreement for item in list_judgements(store)] == ["there is no metric"] * 2
    first = min(item.candidate for item in ratings)
    assert [round(rating.mean, 1) for rating in ratings] == [1.6, -1.6]
    assert ratings[0].candidate == first
    assert [rating.n_answers for rating in ratings] == [0, 0]
    assert described.candidates[0].judgements[0].seen == "it sways"
    assert "they start from what a model saw in the films" in compare
    assert "What a model saw that watched the film" in candidate
    assert "so it looks" in candidate
    assert sum(WATCHING in request.text for request in server.requests) == 2, "once each"
    # A person's answer moves them.
    assert after[0].mean < ratings[0].mean


def test_an_estimate_counts_the_films_and_their_pictures() -> None:
    def estimate(**options: Any) -> Any:
        return estimate_design(
            "hopper", "back_flip", environ={"ANTHROPIC_API_KEY": KEY}, provider="anthropic",
            candidates=3, iterations=2, **options,
        )  # fmt: skip

    without, film, every = estimate(), estimate(judge="film"), estimate(judge="all")
    assert film.calls.likely - without.calls.likely == 3  # two rounds, and the winner
    assert every.calls.likely - without.calls.likely == 7
    assert film.input_tokens.high - without.input_tokens.high > 6 * 3000
    assert film.usd.high > without.usd.high
    assert any("films are judged by claude-sonnet-5-5" in note for note in film.notes)
    own = estimate(judge="film", judge_model="provider=openai-compatible model=sees-7b")
    assert own.usd is None
    assert any("sees-7b: no price is known" in note for note in own.notes)
