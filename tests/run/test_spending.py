"""Money and replay over whole runs: real SDK, fake server, real trainings."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from support import runs
from support.runs import WITH_EFFORT

import reward_agent
from reward_agent.designers.preview import estimate_tokens
from reward_agent.errors import BudgetError, ReplayError, UsageError
from reward_agent.llm.budget import summarise_costs
from reward_agent.llm.replies import read_calls, read_replies
from reward_agent.records.events import Warned
from reward_agent.records.outcomes import TRAINED
from reward_agent.records.store import Candidate, RunRecord, RunStore, load_run
from reward_agent.run.estimate import estimate_design
from reward_agent.testing import FakeLLMServer, ReceivedRequest, Say, Step

ACCEPTED = json.dumps({"verdict": "accept", "summary": "sound", "risks": []})
ANALYSIS = json.dumps(
    {"failure_mode": "none", "evidence": ["it holds"], "next_change": "less effort", "keep": True}
)
KEY = {"OPENAI_API_KEY": "sk-test-0123456789"}
SMALL: dict[str, Any] = runs.SMALL | {"candidates": 2, "slots": 1}


class Model:
    """Plays all agents; every program differs from the others."""

    def __init__(self) -> None:
        self.n_programs = 0

    def __call__(self, request: ReceivedRequest) -> Step:
        if "You review" in request.text:
            return Say(ACCEPTED, input_tokens=800, output_tokens=30)
        if "You explain" in request.text:
            return Say(ANALYSIS, input_tokens=900, output_tokens=40)
        self.n_programs += 1
        text = WITH_EFFORT.replace("0.001", f"0.00{self.n_programs}")
        return Say(text, input_tokens=5000, cached_tokens=3000, output_tokens=300)


def design(folder: Path, server: FakeLLMServer, **options: Any) -> RunRecord:
    return reward_agent.design(
        "inverted_pendulum",
        "balance",
        provider="openai",
        base_url=server.openai_url,
        environ=KEY,
        runs_dir=folder / "runs",
        **(SMALL | options),
    )


def resume(folder: Path, server: FakeLLMServer, **options: Any) -> RunRecord:
    return reward_agent.resume_run(
        "last", runs_dir=folder / "runs", environ=KEY, base_url=server.openai_url, **options
    )


def read_candidates(store: RunStore) -> list[Candidate]:
    return [c for i in store.list_iterations() for c in store.read_iteration(i).candidates]


def read_all(store: RunStore, pattern: str) -> dict[str, str]:
    found = sorted(store.dir.glob(f"iterations/*/candidates/*/{pattern}"))
    return {str(path.relative_to(store.dir)): path.read_text("utf-8") for path in found}


def read_prompts(store: RunStore) -> list[tuple[str, str]]:
    """Return every prompt that was sent, with its template."""
    return sorted((stored.place.template, stored.prompt) for stored in read_replies(store.dir))


def test_a_limit_keeps_what_is_trained_names_a_winner_and_can_be_raised(tmp_path: Path) -> None:
    with FakeLLMServer(Model()) as server:
        run = design(tmp_path, server, iterations=2, max_calls=4, critic=False)
        assert server.n_requests == 4
        store = load_run(run.id, tmp_path / "runs")
        assert run.limit == "--max-calls 4 is reached: 4 calls were made"
        assert run.status == "finished"
        assert run.winner is not None
        assert store.list_iterations() == [0]
        assert (store.dir / "report.html").is_file()
        before = {path: path.stat().st_mtime_ns for path in store.dir.rglob("training/*/exit.json")}
        again = resume(tmp_path, server, max_calls=20)
        assert server.n_requests == 8
    assert again.limit == ""
    assert store.list_iterations() == [0, 1]
    assert all(path.stat().st_mtime_ns == then for path, then in before.items())
    assert [candidate.outcome for candidate in read_candidates(store)] == [TRAINED] * 4


def test_a_limit_in_the_middle_of_a_round_trains_what_there_is_and_takes_the_rest_up_later(
    tmp_path: Path,
) -> None:
    with FakeLLMServer(Model()) as server:
        run = design(tmp_path, server, candidates=3, max_calls=2, critic=False)
        assert server.n_requests == 2
        store = load_run(run.id, tmp_path / "runs")
        outcomes = sorted(str(candidate.outcome) for candidate in read_candidates(store))
        assert outcomes[0].startswith("no program: limit: --max-calls 2 is reached")
        assert outcomes[1:] == ["trained"] * 2
        assert run.winner is not None
        resume(tmp_path, server, max_calls=20)
        # One program and three analyses, no call twice.
        assert server.n_requests == 6
    outcomes = [candidate.outcome for candidate in read_candidates(store)]
    assert outcomes == [TRAINED] * 3
    assert len(read_all(store, "analysis.json")) == 3


def test_a_limit_before_the_first_program_is_a_named_error(tmp_path: Path) -> None:
    with FakeLLMServer(Model()) as server:
        with pytest.raises(BudgetError, match="no program was trained") as caught:
            design(tmp_path, server, max_usd=0.001, candidates=1, critic=False)
        assert server.n_requests == 0
        assert "--resume" in caught.value.remedy
        run = resume(tmp_path, server, max_usd=5.0)
    assert run.winner is not None
    assert run.usage.usd is not None
    assert run.usage.usd < 5.0


def test_a_limit_in_usd_without_a_price_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    with FakeLLMServer(Model()) as server:
        with pytest.raises(UsageError, match="--max-usd needs the price"):
            design(tmp_path, server, model="my-own-model", max_usd=1.0)
        assert server.n_requests == 0
    assert not list((tmp_path / "runs").iterdir())


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunStore:
    """A run of two rounds, whose directory was moved elsewhere."""
    folder = tmp_path_factory.mktemp("here")
    with FakeLLMServer(Model()) as server:
        run = design(
            folder, server, iterations=2, reply_tokens=9000, racing="halving", early_stop=True
        )
    moved = tmp_path_factory.mktemp("there") / "given"
    shutil.copytree(load_run(run.id, folder / "runs").dir, moved)
    shutil.rmtree(folder)
    return RunStore(moved)


def test_costs_add_up_by_agent_by_round_and_to_the_run(finished: RunStore) -> None:
    summary = summarise_costs(read_calls(finished.dir))
    assert summary.total == finished.read_run().usage
    calls = {name: usage.n_calls for name, usage in summary.by_agent.items()}
    assert calls == {"designer": 4, "critic": 4, "analyzer": 4}
    calls = {name: usage.n_calls for name, usage in summary.by_round.items()}
    assert calls == {"round 1": 6, "round 2": 6}
    for index in (0, 1):
        iteration = finished.read_iteration(index)
        assert iteration.usage.n_calls == 6
        assert iteration.usage.usd == pytest.approx(summary.by_round[f"round {index + 1}"].usd)
    assert summary.by_agent["designer"].cached_input_tokens == 4 * 3000


def test_estimate_holds_for_a_run(finished: RunStore) -> None:
    run = finished.read_run()
    settings = {name: run.config[name] for name in ("candidates", "iterations", "steps")}
    estimate = estimate_design(
        run.card.name,
        run.task.name,
        provider="openai",
        environ={},
        winner_seeds=0,
        runs_dir=finished.dir.parent,
        **settings,
    )
    assert estimate.calls.likely / 2 <= run.usage.n_calls <= estimate.calls.high
    assert estimate.env_steps.likely / 2 <= run.total_timesteps <= estimate.env_steps.high
    sent = sum(estimate_tokens(prompt) for _, prompt in read_prompts(finished))
    assert estimate.input_tokens.likely / 2 <= sent <= estimate.input_tokens.high


def test_a_moved_run_is_replayed_to_the_byte_without_a_model_and_without_cost(
    finished: RunStore, tmp_path: Path
) -> None:
    warnings: list[str] = []
    again = reward_agent.design(
        provider=f"replay:{finished.dir}",
        runs_dir=tmp_path / "runs",
        environ={},
        slots=1,
        listen=lambda event: warnings.append(event.reason) if isinstance(event, Warned) else None,
    )
    replayed = load_run(again.id, tmp_path / "runs")
    assert warnings == []
    assert len(read_prompts(finished)) == 12
    assert read_prompts(replayed) == read_prompts(finished)
    for name in ("reply.md", "reward.py", "critique.json", "analysis.json"):
        assert read_all(replayed, name) == read_all(finished, name)
    assert (replayed.dir / "reward.py").read_text() == (finished.dir / "reward.py").read_text()
    assert again.usage.n_calls == 0
    assert again.usage.usd is None
    summary = summarise_costs(read_calls(replayed.dir))
    assert summary.n_replayed == 12
    assert summary.total.n_calls == 0
    assert again.config_sources["reply_tokens"] == f"run {finished.read_run().id}"
    assert again.designer.startswith("replay: ")


def test_a_reply_that_the_run_does_not_hold_is_a_named_error(
    finished: RunStore, tmp_path: Path
) -> None:
    with pytest.raises(ReplayError, match="no reply to designer/first, round 1, candidate 2"):
        reward_agent.design(
            provider=f"replay:{finished.dir}",
            runs_dir=tmp_path / "runs",
            environ={},
            candidates=3,
        )
