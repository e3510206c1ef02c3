"""A model file of the user's, with llama.cpp played by the fake server; the real: test_local_llm."""

from __future__ import annotations

import pytest
from support.chat import make_chat_model

from reward_agent import plugins
from reward_agent.errors import ModelError, UnreachableError, UsageError
from reward_agent.llm import local
from reward_agent.llm.provider import ProviderOptions

LLAMA = """
import os, pathlib, sys, types
from reward_agent.testing import FakeLLMServer, Say

LOG = pathlib.Path(__file__).with_name("starts")

def complain(text):
    print(f"0.00.1 E {text}", file=sys.stderr, flush=True)

class CommonParams:
    def __init__(self):
        self.model = types.SimpleNamespace()
        self.cpuparams = types.SimpleNamespace()
        self.cpuparams_batch = types.SimpleNamespace()

class Server:
    def __init__(self, params):
        n_starts = len(LOG.read_text()) if LOG.exists() else 0
        LOG.write_text("x" * (n_starts + 1))
        keys = [name for name in os.environ if "KEY" in name]
        text = pathlib.Path(params.model.path).read_text()
        if text == "broken":
            complain(f"load: not a model {keys}")
            complain("init: exiting")
            raise RuntimeError
        def answer(request):
            if request.headers["authorization"] != f"Bearer {params.api_keys[0]}":
                complain("wrong key")
                os._exit(3)
            if text == "dying" and n_starts == 0:
                complain("out of memory")
                os._exit(9)
            return Say(f"context {params.n_ctx}, {params.cpuparams.n_threads} threads")
        server = FakeLLMServer(answer).__enter__()
        self.listening_address = server.url
"""


@pytest.fixture
def make_file(tmp_path, monkeypatch):
    """Return a function that makes a model file, which llama.cpp's stand-in can load."""
    (tmp_path / "xllamacpp.py").write_text(LLAMA)
    monkeypatch.setattr(plugins, "find_spec", lambda name: object())
    monkeypatch.setattr(local, "_ALLOWED", (*local._ALLOWED, "PYTHONPATH"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-for-a-child")
    path = tmp_path / "qwen-7b.gguf"
    return lambda text: path.write_text(text) and path


@pytest.mark.parametrize(
    ("spec", "says"),
    [("local", "needs a model file"), ("local:/nowhere/m.gguf", "no model file /nowhere/m.gguf")],
)
def test_missing_file_is_named(spec, says, monkeypatch):
    monkeypatch.setattr(plugins, "find_spec", lambda name: object())
    with pytest.raises(UsageError, match=says):
        make_chat_model(spec)


def test_missing_package_names_the_command_that_installs_it(tmp_path, monkeypatch):
    path = tmp_path / "m.gguf"
    path.write_bytes(b"GGUF")
    monkeypatch.setattr(plugins, "find_spec", lambda name: None)
    with pytest.raises(UsageError) as caught:
        make_chat_model(f"local:{path}")
    assert "xllamacpp" in caught.value.message
    assert caught.value.remedy == "pip install 'reward-agent[local]'"


def test_model_is_named_after_its_file_and_loaded_at_the_first_call(make_file, tmp_path, request_):
    settings = {"LLAMA_ARG_CTX_SIZE": "2048", "LLAMA_ARG_THREADS": "3"}
    model = make_chat_model(f"local:{make_file('good')}", environ=settings)
    assert (model.provider, model.name, model.max_concurrency) == ("local", "qwen-7b", 1)
    assert not (tmp_path / "starts").exists()
    assert model.complete(request_).reply == "context 2048, 3 threads"
    assert model.complete(request_).provider == "local"
    assert (tmp_path / "starts").read_text() == "x"


def test_file_that_cannot_be_loaded_is_told_with_the_reason_of_the_log(
    make_file, tmp_path, request_
):
    model = make_chat_model(f"local:{make_file('broken')}", folder=tmp_path / "run")
    # The list is that of the keys in the environment of the process.
    with pytest.raises(ModelError, match=r"cannot be loaded: load: not a model \[\]"):
        model.complete(request_)
    assert (tmp_path / "run" / "local.log").is_file()


def test_process_that_ends_in_the_middle_is_told_and_started_again(make_file, request_):
    path = make_file("dying")
    model = local.make_model(ProviderOptions(argument=str(path)))
    with pytest.raises(UnreachableError, match=r"exit code 9 .*: out of memory") as caught:
        model.complete(request_)
    assert caught.value.is_transient
    assert model.complete(request_).reply.startswith("context 16384")
    process = model._server.process
    model.close()
    assert process.poll() == 0
