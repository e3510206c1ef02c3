"""A GGUF file of the user's, served on loopback by a process of ours: ``--provider local:FILE``.

llama.cpp runs in a process of its own (``serve``), so that its log does not run over the screen and
its end, for want of memory say, is not ours. From there on it is a server like any other.

    LLAMA_ARG_CTX_SIZE, LLAMA_ARG_THREADS, LLAMA_ARG_N_GPU_LAYERS    as for llama.cpp's own server
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from reward_agent.errors import ModelError, UnreachableError, UsageError
from reward_agent.files import open_plain, remove
from reward_agent.llm.chat import ALL_AGENTS, ChatRequest, Completion
from reward_agent.llm.failures import Endpoint
from reward_agent.llm.openai import OpenAIChatModel
from reward_agent.llm.provider import ProviderOptions

_LOG_FILE = "local.log"
# Enough for the longest prompt with four rounds of history and the reply to it.
_CONTEXT_TOKENS = 16_384
_STOP_S = 5.0
# A connection is lost a moment before the process at its other end is gone.
_NOTICE_S = 1.0
# Nothing that could be a key; the prefixes are llama.cpp's settings.
_ALLOWED = ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES")
_ALLOWED_PREFIXES = ("LLAMA_ARG_", "GGML_")


def make_model(options: ProviderOptions) -> LocalChatModel:
    """Return the model of ``local:<file.gguf>``; it is loaded at the first call.

    Raises:
        UsageError: there is no file.
    """
    if not options.argument:
        raise UsageError("local needs a model file", "give --provider local:path/to/model.gguf")
    path = Path(options.argument).expanduser()
    if not path.is_file():
        raise UsageError(f"there is no model file {path}", "give the path of a GGUF file")
    return LocalChatModel(path, options)


class LocalChatModel:
    """A model file behind llama.cpp."""

    provider = "local"
    agents = ALL_AGENTS
    # One conversation at a time: the cores are shared with the trainings.
    max_concurrency = 1

    def __init__(self, path: Path, options: ProviderOptions) -> None:
        self.name = options.model or path.stem
        self._path = path
        self._options = options
        self._server: Server | None = None
        self._model: OpenAIChatModel | None = None
        self._lock = threading.Lock()

    def complete(self, request: ChatRequest) -> Completion:
        """Answer one request; the first one waits for the model to load.

        Raises:
            ModelError: the file cannot be loaded, the server has ended, or what else a server of
                this kind may say.
        """
        model = self._load()
        try:
            return model.complete(request)
        except UnreachableError as error:
            raise self._explain_end(error) from None

    def close(self) -> None:
        """Stop the server."""
        with self._lock:
            if self._server is not None:
                self._server.stop()
            self._server = None

    def _load(self) -> OpenAIChatModel:
        with self._lock:
            if self._server is None or self._server.process.poll() is not None:
                self._server = Server(self._path, self._options)
                address, key = self._server.url, self._server.key
                endpoint = Endpoint(self.provider, self.name, f"{address}/v1", "", key)
                self._model = OpenAIChatModel(endpoint, self._options)
            assert self._model is not None
            return self._model

    def _explain_end(self, error: UnreachableError) -> ModelError:
        server = self._server
        try:
            code = None if server is None else server.process.wait(_NOTICE_S)
        except subprocess.TimeoutExpired:
            code = None
        if server is None or code is None:
            return error
        return UnreachableError(
            f"llama.cpp ended with exit code {code} while it answered: {server.read_complaint()}",
            "free memory, lower LLAMA_ARG_CTX_SIZE, or use a smaller model; the run can be resumed",
            is_transient=True,
        )


class Server:
    """The process; it ends when it is stopped, when nobody refers to it, or with us.

    Raises:
        ModelError: the file cannot be loaded.
    """

    def __init__(self, path: Path, options: ProviderOptions) -> None:
        # Others on this machine can reach the port, too.
        self.key = secrets.token_urlsafe(16)
        self._log = _open_log(options.folder)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "reward_agent.llm.local", str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=_choose_environment(os.environ) | _choose_environment(options.environ),
        )
        self._finalizer = weakref.finalize(self, _stop, self.process, self._log)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(self.key.encode() + b"\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            complaint = self.read_complaint()
            self.stop()
            raise ModelError(
                f"the model file {path} cannot be loaded: {complaint}",
                "check that it is a GGUF file of a chat model, and that memory is free",
            )
        self.url: str = json.loads(line)["url"]

    def stop(self) -> None:
        """End the process and close its log."""
        self._finalizer()

    def read_complaint(self) -> str:
        """Return the first line of the log that llama.cpp marks as an error."""
        self._log.seek(0)
        lines = self._log.read().decode("utf-8", "replace").splitlines()
        errors = [line.partition(" E ")[2].strip() for line in lines if " E " in line]
        # The first says what failed, the later ones who noticed.
        return errors[0] if errors else "it gave no reason"


def _open_log(folder: Path | None) -> IO[bytes]:
    if folder is None:
        return tempfile.TemporaryFile()
    remove(folder / _LOG_FILE)
    return os.fdopen(open_plain(folder / _LOG_FILE, os.O_RDWR | os.O_CREAT), "w+b")


def _choose_environment(environ: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in environ.items()
        if name in _ALLOWED or name.startswith(_ALLOWED_PREFIXES)
    }


def _stop(process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.close()  # what it waits for
        process.wait(_STOP_S)
    except (OSError, subprocess.TimeoutExpired):
        process.kill()
        process.wait()
    process.stdout.close()
    log.close()


# --- the child: ``python -m reward_agent.llm.local FILE`` ----------------------------------------


def make_params(path: str, key: str, environ: Mapping[str, str]) -> Any:
    """Return llama.cpp's settings."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = path
    params.api_keys = [key]
    params.n_ctx = int(environ.get("LLAMA_ARG_CTX_SIZE", _CONTEXT_TOKENS))
    params.n_parallel = 1
    # A thread a hyper-thread was ten times slower than one a core.
    threads = int(environ.get("LLAMA_ARG_THREADS", max(1, (os.cpu_count() or 2) // 2)))
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    if "LLAMA_ARG_N_GPU_LAYERS" in environ:
        params.n_gpu_layers = int(environ["LLAMA_ARG_N_GPU_LAYERS"])
    return params


def serve(path: str) -> None:
    """Load a model and serve it until standard input, its parent's hand, ends.

    The key is the first line of standard input; the address goes to standard output once the model
    is loaded.
    """
    import xllamacpp

    key = sys.stdin.readline().strip()
    try:
        server = xllamacpp.Server(make_params(path, key, os.environ))
    except RuntimeError:
        # llama.cpp has said why in its log.
        os._exit(1)
    print(json.dumps({"url": server.listening_address}), flush=True)
    sys.stdin.read()
    # The server's threads do not have to be waited for.
    os._exit(0)


if __name__ == "__main__":
    serve(sys.argv[1])
