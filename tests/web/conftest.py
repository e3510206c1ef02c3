from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.runs import SMALL
from support.served import STEPS, Server, clean_environment, wait_until_up, write_script

import reward_agent

pytest.importorskip("starlette", reason="the page needs pip install 'reward-agent[web]'")
pytest.importorskip("uvicorn", reason="the page needs pip install 'reward-agent[web]'")


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run of two filmed candidates."""
    folder = tmp_path_factory.mktemp("page")
    reward_agent.design(
        "inverted_pendulum", "balance", provider=write_script(folder / "replies.md"), environ={},
        runs_dir=folder / "runs",
        **SMALL | {"candidates": 2, "steps": STEPS, "video": True, "video_quality": "low"},
    )  # fmt: skip
    return folder


@pytest.fixture(scope="session")
def server(run_folder: Path) -> Iterator[Server]:
    """Serve the page of a session over the run; all tests of the page share it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "reward_agent", "feedback", "last", "--web", "--no-browser",
         "--candidates", "1", "--provider", f"scripted:{run_folder / 'replies.md'}"],
        cwd=run_folder, env=clean_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    url = process.stdout.readline().strip()
    assert url.startswith("http://127.0.0.1:"), process.stderr.read()
    server = Server(url, run_folder)
    drain = threading.Thread(target=lambda: server.lines.extend(process.stderr or ()), daemon=True)
    drain.start()
    wait_until_up(server)
    yield server
    process.send_signal(signal.SIGINT)
    assert process.wait(40) == 0
    drain.join(5)
    process.stdout.close()
    process.stderr.close()
    assert "Traceback" not in "".join(server.lines), "".join(server.lines)
