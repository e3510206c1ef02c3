"""Finished runs that a feedback session can be opened on."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from support.runs import PROGRAM, PROPOSAL, design, make_opener

from reward_agent.feedback.session import Session

TESTS = Path(__file__).resolve().parent
# What trains, films, starts children or commands, opens a browser or simulates for seconds:
# `scripts/test --fast` leaves it out. A folder counts for all in it but what is in QUICK.
LONG = (
    "bench", "cli", "export", "feedback", "film", "run", "sandbox", "tasks", "trackers", "web",
    "worker", "benchmarks/test_against.py", "benchmarks/test_sides.py", "designers/test_given.py",
    "evaluation/test_evaluate_job.py", "executors/test_contract.py", "executors/test_slots.py",
    "executors/test_slurm.py", "learning/test_sb3.py", "llm/test_local.py",
    "records/test_new_job.py", "report/test_report_in_browser.py",
    "rewards/test_checker_properties.py", "simulation/test_check.py", "simulation/test_parity.py",
    "test_one_place.py", "test_wheel.py",
)  # fmt: skip
QUICK = (
    "feedback/test_ratings.py", "run/test_racing.py", "run/test_shown_card.py",
    "sandbox/test_docs.py", "sandbox/test_files.py", "sandbox/test_progress.py",
    "sandbox/test_reads.py", "tasks/test_episode_and_metric.py", "tasks/test_task_spec.py",
)  # fmt: skip

# A shell ignores Ctrl-C for what it starts in the background, and children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that the fast loop leaves out."""
    for item in items:
        place = item.path.relative_to(TESTS)
        if place.as_posix() not in QUICK and {place.parts[0], place.as_posix()} & set(LONG):
            item.add_marker("long")


@pytest.fixture(scope="session")
def judged_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of a task with a trusted metric: two candidates."""
    folder = tmp_path_factory.mktemp("judged")
    design(folder, "balance", PROGRAM % 0.2, PROGRAM % 0.5, candidates=2)
    return folder


@pytest.fixture(scope="session")
def unjudged_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of a sentence whose proposed metric was not accepted: two candidates."""
    folder = tmp_path_factory.mktemp("unjudged")
    programs = [PROGRAM % margin for margin in (0.2, 0.5)]
    design(folder, "stay in the middle of the rail", PROPOSAL, *programs, candidates=2)
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
