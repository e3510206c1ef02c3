"""The process that serves a GGUF file: ``python -m reward_agent.llm.gguf FILE``.

Reads its key from the first line of standard input, writes ``{"url": …}`` to standard output once
the model is loaded, and ends with standard input, which is its parent's hand.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import Any

# Enough for the longest prompt with four rounds of history and the reply to it.
_CONTEXT_TOKENS = 16_384


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
    """Load a model and serve it until standard input ends."""
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
