"""Finished runs that a feedback session can be opened on."""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpcore2
import pytest
import typer.main
import typer.testing
from hypothesis import HealthCheck, settings
from support.browser import open_browser
from support.known import KnownJobs
from support.loops import is_long
from support.runs import PROGRAM, PROPOSAL, design, make_opener
from support.warm import WarmServers

import reward_agent
from reward_agent.errors import UndecidedError
from reward_agent.executors import node, slots
from reward_agent.feedback.session import Session
from reward_agent.records.film_jobs import FilmStyle
from reward_agent.run import drawing
from reward_agent.run import open as opening
from reward_agent.sandbox.runner import run_job

# A shell ignores Ctrl-C for what it starts in the background, and children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
# How long an example takes says how busy the machine is.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that the fast loop leaves out."""
    for item in items:
        if is_long(item.path):
            item.add_marker("long")


@pytest.fixture(scope="session", autouse=True)
def _waits_for_no_disk() -> Iterator[None]:
    """Files of tests are gone when the power is; what waits is tests/test_guarded_files.py."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def _makes_the_command_line_once() -> Iterator[None]:
    """It takes longer to make than most commands take; it holds nothing of a call."""
    make = functools.cache(typer.main.get_command)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typer.main, "get_command", make)
        patch.setattr(typer.testing, "_get_command", make)
        yield


@pytest.fixture(scope="session", autouse=True)
def _reads_the_certificates_of_the_machine_once() -> Iterator[None]:
    """It is most of what a call to a server of a test costs; others that the environment names are read."""
    read = httpcore2.default_ssl_context

    @functools.cache
    def keep(file: str | None, folder: str | None, **options: bool) -> Any:
        return read(**options)

    def find(**options: bool) -> Any:
        return keep(*map(os.environ.get, ("SSL_CERT_FILE", "SSL_CERT_DIR")), **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(httpcore2, "default_ssl_context", find)
        yield


@pytest.fixture(scope="session", autouse=True)
def _films_of_runs_have_few_pictures() -> Iterator[None]:
    """How a film looks is tried in tests/film."""
    with pytest.MonkeyPatch.context() as patch:
        for quality in drawing.STYLES:
            patch.setitem(drawing.STYLES, quality, FilmStyle(size="270p", frames_per_s=4.0))
        yield


@pytest.fixture(scope="session", autouse=True)
def _starts_children_from_one_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Jobs share a process that forks their children; runs, what these leave, and the isolation's trial.

    All are tried by themselves in tests/sandbox and tests/executors.
    """
    servers = WarmServers()
    known = KnownJobs(tmp_path_factory.mktemp("known"), servers.lend)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slots, "make_warm_server", servers.find)
        patch.setattr(slots, "run_job", known.run)
        patch.setattr(
            node, "run_job", lambda *job, **how: run_job(*job, warm=servers.lend(), **how)
        )
        patch.setattr(opening, "check_isolation", functools.cache(opening.check_isolation))
        yield
    servers.end()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A real browser, one for all tests of a file."""
    with open_browser() as browser:
        yield browser


@pytest.fixture(scope="session")
def judged_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of a task with a trusted metric: two candidates."""
    folder = tmp_path_factory.mktemp("judged")
    design(folder, "balance", PROGRAM % 0.2, PROGRAM % 0.5, candidates=2)
    return folder


@pytest.fixture(scope="session")
def unjudged_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of a sentence, unranked on purpose: two candidates.

    A metric was proposed before, and nobody accepted it.
    """
    folder = tmp_path_factory.mktemp("unjudged")
    programs = [PROGRAM % margin for margin in (0.2, 0.5)]
    with pytest.raises(UndecidedError):
        design(folder, "stay in the middle of the rail", PROPOSAL, *programs, candidates=2)
    reward_agent.resume_run(
        "last",
        runs_dir=folder / "runs",
        unranked=True,
        provider=f"scripted:{folder / 'replies.md'}",
        environ={},
    )
    return folder


@pytest.fixture
def open_judged(judged_run: Path, tmp_path: Path) -> Callable[..., AbstractContextManager[Session]]:
    """Open a session on a copy of the judged run; it is given the replies of its designer."""
    return make_opener(judged_run, tmp_path)


@pytest.fixture
def open_unjudged(
    unjudged_run: Path, tmp_path: Path
) -> Callable[..., AbstractContextManager[Session]]:
    """Open a session on a copy of the run without a metric."""
    return make_opener(unjudged_run, tmp_path)


@pytest.fixture
def program() -> str:
    """A reply of the Designer with a program that no run has seen."""
    return PROGRAM % 0.33
