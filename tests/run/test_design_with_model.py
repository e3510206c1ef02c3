"""The same road with a language model behind the wire: real SDKs, all three agents."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.runs import SMALL, WITH_EFFORT

import reward_agent
from reward_agent.errors import RejectedKeyError
from reward_agent.llm.models import find_model
from reward_agent.llm.provider import find_provider
from reward_agent.llm.replies import read_calls, read_replies
from reward_agent.records.events import Event
from reward_agent.records.outcomes import TRAINED
from reward_agent.records.store import list_runs, load_run
from reward_agent.testing import (
    BreakStream,
    DropConnection,
    FakeLLMServer,
    HttpFault,
    RawBody,
    ReceivedRequest,
    Say,
    Stall,
    Step,
)

PROGRAM = WITH_EFFORT
REVISED = PROGRAM.replace("0.001", "0.0005")
RISK = {"kind": "flooding", "line": 3, "evidence": "effort is small", "remedy": "lower it"}
CRITIQUE = json.dumps({"verdict": "revise", "summary": "effort fights balance", "risks": [RISK]})
ACCEPTED = json.dumps({"verdict": "accept", "summary": "sound", "risks": []})
ANALYSIS = json.dumps(
    {
        "failure_mode": "drift",
        "evidence": ["cart_position reaches 1.0"],
        "next_change": "pay for the middle of the rail",
        "keep": True,
    }
)
KEY = "sk-test-4f7b2c9e1a"
VARIABLES = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY"}
PROVIDERS = sorted(VARIABLES)
# How each is told of a fault or a refusal is tried in tests/llm.
ONE_AND_ANOTHER = ["anthropic", pytest.param("openai", marks=pytest.mark.slow)]
OPENINGS = {"You design": "designer", "You review": "critic", "You explain": "analyzer"}


def get_url(provider: str, server: FakeLLMServer) -> str:
    return server.anthropic_url if provider == "anthropic" else server.openai_url


def design(folder: Path, provider: str, server: FakeLLMServer, **options: Any) -> Any:
    return reward_agent.design(
        "inverted_pendulum",
        "balance",
        provider=provider,
        base_url=get_url(provider, server),
        environ={VARIABLES[provider]: KEY},
        runs_dir=folder / "runs",
        **{"candidates": 1} | SMALL | options,
    )


class Model:
    """A model that plays all agents, with a fault now and then.

    The first prompt with a history does not fit into its context.

    Args:
        faults: what is answered in place of the n-th request, from 0.
        odd: what an agent says in its n-th reply in place of a good one.
    """

    def __init__(
        self, faults: Mapping[int, Step] = {}, odd: Mapping[tuple[str, int], Say] = {}
    ) -> None:
        self.n_requests = 0
        self.said: list[tuple[ReceivedRequest, Say]] = []
        self.too_long: ReceivedRequest | None = None
        self._faults = faults
        self._odd = odd
        self._counts: Counter[str] = Counter()

    def __call__(self, request: ReceivedRequest) -> Step:
        self.n_requests += 1
        fault = self._faults.get(self.n_requests - 1)
        if fault is not None:
            return fault
        if self.too_long is None and "Diagnosis:" in request.text:
            self.too_long = request
            text = "prompt is too long: maximum context length is 8192 tokens"
            return HttpFault(400, "invalid_request_error", text)
        return self.answer(request)

    def answer(self, request: ReceivedRequest) -> Say:
        agent = find_agent(request)
        number = self._counts[agent]
        self._counts[agent] += 1
        texts = {
            "designer": PROGRAM.replace("0.001", f"0.00{number + 1}"),
            "critic": ACCEPTED,
            "analyzer": ANALYSIS,
        }
        say = self._odd.get((agent, number)) or Say(
            texts[agent], input_tokens=1000 + number, cached_tokens=600, output_tokens=70 + number
        )
        say = replace(say, input_tokens=say.input_tokens or 100)
        self.said.append((request, say))
        return say


def find_agent(request: ReceivedRequest) -> str:
    return next(agent for words, agent in OPENINGS.items() if words in request.text)


def price(says: list[Say], provider: str) -> float:
    card = find_model(find_provider(provider).default_model, provider).rates[0]
    return (
        sum(
            (say.input_tokens - say.cached_tokens) * card.input
            + say.cached_tokens * card.cached_input
            + say.output_tokens * card.output
            for say in says
        )
        / 1e6
    )


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_model_designs_reviews_and_analyses_and_nobody_sees_the_key(
    provider: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLES[provider], KEY)
    events: list[str] = []
    environments: dict[int, bytes] = {}

    def listen(event: Event) -> None:
        events.append(json.dumps(event.to_dict(), default=str))
        environments.update(read_environments_of_descendants())

    quoting = HttpFault(529, "overloaded", f"key {KEY} failed", {"retry-after": "0.01"})
    steps = [Say(PROGRAM), Say(CRITIQUE), Say(REVISED), quoting, Say(ANALYSIS)]
    with FakeLLMServer(steps) as server:
        run = design(tmp_path, provider, server, listen=listen)
        assert server.n_requests == len(steps)
    store = load_run(run.id, tmp_path / "runs")
    [candidate] = store.read_iteration(0).candidates
    folder = store.candidate_dir(0, candidate.id)
    assert candidate.is_revised
    assert candidate.usage.n_calls == 4
    assert "0.0005" in (folder / "reward.py").read_text()
    assert json.loads((folder / "analysis.json").read_text())["failure_mode"] == "drift"
    assert run.designer.startswith(f"{provider}: ")
    assert run.usage.output_tokens == 40

    written = [path for path in store.dir.rglob("*") if path.is_file()]
    assert len(written) > 20
    assert [path for path in written if KEY.encode() in path.read_bytes()] == []
    assert any('"retry"' in event for event in events)
    assert KEY not in "".join(events)
    assert environments
    assert [pid for pid, text in environments.items() if KEY.encode() in text] == []


@pytest.mark.parametrize("named", ["base_url", "provider"])
def test_credentials_in_the_address_are_used_and_seen_nowhere(named: str, tmp_path: Path) -> None:
    secrets = ("hunter2-s3cret", "q-k3y-0123456789", "frag-0123456")
    events: list[str] = []
    with FakeLLMServer([Say(f"{secrets[0]} {secrets[1]}"), Say(PROGRAM)]) as server:
        shown = server.openai_url
        address = shown.replace("//", f"//walter:{secrets[0]}@") + f"?key={secrets[1]}#{secrets[2]}"
        given = {"provider": "openai-compatible", "base_url": address}
        if named == "provider":
            given = {"provider": f"openai-compatible:{address}"}
        run = reward_agent.design(
            "inverted_pendulum", "balance", **given, model="m", environ={}, critic=False,
            analyzer=False, candidates=1, runs_dir=tmp_path / "runs", **SMALL,
            listen=lambda event: events.append(json.dumps(event.to_dict(), default=str)),
        )  # fmt: skip
        assert [request.path.partition("?")[2] for request in server.requests] == [
            f"key={secrets[1]}"
        ] * 2
    assert f"openai-compatible: m; asked at {shown}" in "".join(events)
    assert run.config[named].endswith(shown)
    written = [path for path in (tmp_path / "runs").rglob("*") if path.is_file()]
    leaks = [
        (path.name, secret)
        for path in written
        for secret in secrets
        if secret.encode() in path.read_bytes()
    ]
    assert leaks == []
    assert [secret for secret in secrets if secret in "".join(events)] == []


@pytest.mark.parametrize("provider", ONE_AND_ANOTHER)
def test_faults_in_the_middle_change_neither_result_nor_cost(provider: str, tmp_path: Path) -> None:
    faults = {
        1: HttpFault(529, "overloaded_error", headers={"retry-after": "0.01"}),
        3: BreakStream("```python\ndef comp", by="end"),
        5: HttpFault(429, "rate_limit_error", "slow down", {"retry-after": "0.01"}),
        8: DropConnection(),
        9: RawBody("<html>busy</html>", "text/html", 503),
        11: BreakStream(by=HttpFault(500, "api_error", "oops")),
    }
    odd = {
        ("designer", 1): Say("```python\ndef compute_rew", "length", output_tokens=500),
        ("critic", 0): Say("I would accept it.", output_tokens=5),
    }
    model = Model(faults, odd)
    with FakeLLMServer(model) as server:
        run = design(tmp_path, provider, server, candidates=2, iterations=2)
        n_requests = server.n_requests
    says = [say for _, say in model.said]
    store = load_run(run.id, tmp_path / "runs")
    candidates = [c for index in (0, 1) for c in store.read_iteration(index).candidates]
    calls = read_calls(store.dir)
    assert [candidate.outcome for candidate in candidates] == [TRAINED] * 4
    assert run.winner is not None
    # Two odd replies cost a call more each; a fault costs a request and no call, and so does the
    # prompt that was too long, whose history was shortened.
    assert model.too_long is not None
    assert model.too_long.text not in [request.text for request, _ in model.said]
    assert len(says) == 4 * 3 + 2
    assert n_requests == len(says) + len(faults) + 1
    assert len(read_replies(store.dir)) == run.usage.n_calls == len(says)
    assert run.usage.output_tokens == sum(say.output_tokens for say in says)
    assert run.usage.usd == pytest.approx(price(says, provider))
    # Beside the faults the prompt that was too long.
    assert sum(call.is_failed for call in calls) == len(faults) + 1


@pytest.mark.parametrize("provider", ONE_AND_ANOTHER)
def test_a_refusal_ends_one_candidate_by_name(provider: str, tmp_path: Path) -> None:
    odd = {("designer", 0): Say("", "refusal", "frontier_llm")}
    with FakeLLMServer(Model(odd=odd)) as server:
        run = design(tmp_path, provider, server, candidates=2)
    store = load_run(run.id, tmp_path / "runs")
    outcomes = sorted(str(candidate.outcome) for candidate in store.read_iteration(0).candidates)
    assert outcomes == ["no program: the model refused (frontier_llm)", "trained"]
    assert run.winner is not None


def test_a_rejected_key_stops_the_run_and_resuming_pays_for_nothing_twice(tmp_path: Path) -> None:
    with FakeLLMServer([Say(PROGRAM), HttpFault(401)]) as server:
        with pytest.raises(RejectedKeyError):
            design(tmp_path, "openai", server)
        assert server.n_requests == 2
    [store] = list_runs(tmp_path / "runs")
    assert store.read_run().status == "failed"
    with FakeLLMServer([Say(CRITIQUE), Say(REVISED), Say(ANALYSIS)]) as server:
        environ = {"OPENAI_API_KEY": KEY}
        run = reward_agent.resume_run(
            "last", runs_dir=tmp_path / "runs", environ=environ, base_url=server.openai_url
        )
        assert server.n_requests == 3
    assert run.winner is not None


class StallingModel(Model):
    """Leaves one request hanging, so that the run can be killed while it waits."""

    def __init__(self, agent: str, number: int) -> None:
        super().__init__()
        self.is_stalled = threading.Event()
        self._place = (agent, number)

    def __call__(self, request: ReceivedRequest) -> Step:
        agent = find_agent(request)
        if not self.is_stalled.is_set() and self._place == (agent, self._counts[agent]):
            self.is_stalled.set()
            return Stall(60)
        return super().__call__(request)


def wait_until_quiet(model: Model) -> None:
    """Wait for what the other candidate still asks, and for its replies to be stored."""
    n_said = -1
    while n_said != len(model.said):
        n_said = len(model.said)
        time.sleep(0.5)


@pytest.mark.parametrize(
    ("provider", "agent", "number"),
    [
        pytest.param("openai", "designer", 1, marks=pytest.mark.slow),
        ("anthropic", "analyzer", 1),
    ],
)
def test_killed_run_pays_for_nothing_twice(
    provider: str, agent: str, number: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = [
        f"--{name.replace('_', '-')}={value}" for name, value in SMALL.items() if value is not False
    ]
    task = ["--env=inverted_pendulum", "--task=balance", "--candidates=2", "--no-early-stop"]
    command = [sys.executable, "-m", "reward_agent", "design", f"--runs-dir={tmp_path}/runs", *task]
    model = StallingModel(agent, number)
    with FakeLLMServer(model) as server:
        # The SDKs' own logs, at their most talkative, are looked through for the key.
        environ = {VARIABLES[provider]: KEY, "OPENAI_LOG": "debug", "ANTHROPIC_LOG": "debug"}
        where = [f"--provider={provider}", f"--base-url={get_url(provider, server)}"]
        with (tmp_path / "log").open("wb") as log_file:
            first = subprocess.Popen(
                [*command, *settings, "--no-video", *where],
                env={**os.environ, **environ},
                stderr=log_file,
            )
        try:
            assert model.is_stalled.wait(60)
            wait_until_quiet(model)
        finally:
            first.send_signal(signal.SIGKILL)
            first.wait(30)
        run = reward_agent.resume_run(
            "last", runs_dir=tmp_path / "runs", environ=environ, provider=provider,
            base_url=get_url(provider, server),
        )  # fmt: skip
    log = (tmp_path / "log").read_bytes()
    bodies = Counter(json.dumps(request.body, sort_keys=True) for request, _ in model.said)
    assert run.status == "finished"
    assert max(bodies.values()) == 1
    assert len(model.said) == 6
    assert run.usage.n_calls == 6
    assert run.usage.usd == pytest.approx(price([say for _, say in model.said], provider))
    assert b"HTTP Re" in log  # they did talk
    assert KEY not in log.decode("utf-8", "replace") + "".join(capfd.readouterr())


def read_environments_of_descendants() -> dict[int, bytes]:
    """Return the environment with which each process below this one was started."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            continue
    found = {os.getpid()}
    for _ in range(4):
        found |= {pid for pid, parent in parents.items() if parent in found}
    texts = {}
    for pid in found - {os.getpid()}:
        try:
            texts[pid] = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            continue
    return texts
