"""A model file of the user's: what is said before it is loaded. See test_local_llm for the rest."""

from __future__ import annotations

import pytest

from reward_agent.errors import ModelError, UsageError
from reward_agent.llm import local
from reward_agent.llm.registry import make_chat_model


@pytest.mark.parametrize(
    ("spec", "says"),
    [("local", "needs a model file"), ("local:/nowhere/m.gguf", "no model file /nowhere/m.gguf")],
)
def test_missing_file_is_named(spec, says):
    with pytest.raises(UsageError, match=says):
        make_chat_model(spec)


def test_missing_package_names_the_command_that_installs_it(tmp_path, monkeypatch):
    path = tmp_path / "m.gguf"
    path.write_bytes(b"GGUF")
    monkeypatch.setattr(local, "find_spec", lambda name: None)
    with pytest.raises(UsageError) as caught:
        make_chat_model(f"local:{path}")
    assert "xllamacpp" in caught.value.message
    assert caught.value.remedy == "pip install 'reward-agent[local]'"


def test_model_is_named_after_its_file_and_nothing_is_loaded_yet(tmp_path, monkeypatch):
    path = tmp_path / "qwen-7b.gguf"
    path.write_bytes(b"GGUF")
    monkeypatch.setattr(local, "find_spec", lambda name: object())
    model = make_chat_model(f"local:{path}")
    assert (model.provider, model.name, model.max_concurrency) == ("local", "qwen-7b", 1)


def test_server_that_does_not_start_is_told_with_its_reason(tmp_path, monkeypatch, request_):
    path = tmp_path / "m.gguf"
    path.write_bytes(b"GGUF")
    package = tmp_path / "xllamacpp.py"
    package.write_text(
        "import os, sys\n"
        "class CommonParams:\n"
        "    class model: path = ''\n"
        "    class cpuparams: n_threads = 1\n"
        "    class cpuparams_batch: n_threads = 1\n"
        "class Server:\n"
        "    def __init__(self, params):\n"
        "        keys = [name for name in os.environ if 'KEY' in name]\n"
        "        print('0.00.1 E load: not a model', keys, file=sys.stderr, flush=True)\n"
        "        print('0.00.2 E init: exiting', file=sys.stderr, flush=True)\n"
        "        raise RuntimeError\n"
    )
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-for-a-child")
    monkeypatch.setattr(local, "find_spec", lambda name: object())
    monkeypatch.setattr(local, "_ALLOWED", (*local._ALLOWED, "PYTHONPATH"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    model = make_chat_model(f"local:{path}", folder=tmp_path / "run")
    with pytest.raises(ModelError, match=r"cannot be loaded: load: not a model \[\]"):
        model.complete(request_)
    assert (tmp_path / "run" / "local.log").is_file()
