"""Which tests the fast loop leaves out."""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
# What trains, films, starts children or commands, opens a browser or simulates for seconds:
# `scripts/test --fast` leaves it out. A folder counts for all in it but what is in QUICK.
LONG = (
    "agents", "bench", "cli", "export", "feedback", "film", "run", "sandbox", "tasks", "trackers", "web",
    "worker", "benchmarks/test_against.py", "benchmarks/test_sides.py", "designers/test_given.py",
    "evaluation/test_evaluate_job.py", "executors/test_contract.py", "executors/test_slots.py",
    "executors/test_slurm.py", "learning/test_sb3.py", "llm/test_local.py",
    "records/test_new_job.py", "report/test_report_in_browser.py",
    "rewards/test_checker_properties.py", "simulation/test_check.py", "simulation/test_parity.py",
    "test_docs_site.py", "test_one_place.py", "test_wheel.py",
)  # fmt: skip
QUICK = (
    "agents/test_tools.py", "feedback/test_ratings.py", "run/test_racing.py", "run/test_shown_card.py",
    "sandbox/test_docs.py", "sandbox/test_files.py", "sandbox/test_progress.py",
    "sandbox/test_reads.py", "tasks/test_episode_and_metric.py", "tasks/test_task_spec.py",
)  # fmt: skip


def is_long(path: Path) -> bool:
    """Whether a test file is left out by `scripts/test --fast`."""
    place = path.relative_to(TESTS)
    return place.as_posix() not in QUICK and bool({place.parts[0], place.as_posix()} & set(LONG))
