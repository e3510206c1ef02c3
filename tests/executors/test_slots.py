"""What slots do whatever the place: a job that something outside ended is run again."""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from support.processes import list_descendants
from support.trainings import make_request

from reward_agent.executors import JobRequest
from reward_agent.executors.slots import LocalPlace, SlotExecutor, reach_as_begun
from reward_agent.records.outcomes import KILLED_FROM_OUTSIDE, OK, JobOutcome
from reward_agent.sandbox.runner import JobExit
from reward_agent.types import TrainingResult


class UnluckyPlace(LocalPlace):
    """A real place, whose children are killed while they train: so many of them."""

    def __init__(self, n_losses: int) -> None:
        super().__init__(1, "default")
        self.n_losses, self.outcomes = n_losses, list[JobOutcome]()

    def run(self, request: JobRequest, on_progress, cancel: threading.Event) -> JobExit:
        is_lost = len(self.outcomes) < self.n_losses

        def report(row: dict[str, float]) -> None:
            if is_lost:
                for child in list_descendants(os.getpid()):
                    os.kill(child, signal.SIGKILL)

        job_exit = super().run(request, report, cancel)
        self.outcomes.append(job_exit.outcome)
        return job_exit


@pytest.mark.parametrize(("n_losses", "ends"), [(1, OK), (5, KILLED_FROM_OUTSIDE)])
def test_a_training_that_is_killed_is_run_again_but_not_for_ever(
    tmp_path: Path, n_losses: int, ends: JobOutcome
) -> None:
    # Some 3 s of training: a row of progress comes every few hundredths.
    request = make_request(tmp_path / "job", steps=40_000)
    place = UnluckyPlace(n_losses)
    executor = SlotExecutor(place)
    [job_exit] = executor.map([request], lambda request, row: None)
    executor.close()
    assert place.outcomes[0] == KILLED_FROM_OUTSIDE
    assert job_exit.outcome == ends
    if ends.is_ok:
        assert isinstance(job_exit.result, TrainingResult)
        assert job_exit.result.total_timesteps >= 40_000
    else:
        assert len(place.outcomes) == 3
    assert job_exit.level == "full"


def test_a_training_cut_off_in_a_later_slice_goes_on_from_there(tmp_path: Path) -> None:
    request = make_request(tmp_path / "job", steps=4_096)
    ask = {n: replace(request, job=request.job.go_on(n)) for n in (1_024, 2_048)}
    executor = SlotExecutor(LocalPlace(1, "default"))
    for until in (1_024, 2_048):
        executor.map([ask[until]], lambda request, row: None)
    # Whoever asked was killed in the second slice: it left no result, and no word of its end.
    for name in ("result.json", "exit.json"):
        (request.job_dir / name).unlink()
    [again] = executor.map([ask[1_024]], lambda request, row: None)
    executor.close()
    assert again.outcome == OK
    assert isinstance(again.result, TrainingResult)
    assert again.result.total_timesteps == 2_048


def test_a_strangers_folder_makes_no_training_longer(tmp_path: Path) -> None:
    request = make_request(tmp_path / "job", steps=4_096)
    request.job_dir.mkdir(exist_ok=True)
    for until, reaches in ((4_096, 4_096), (10**9, 1_024)):
        begun = request.job.go_on(until)
        (request.job_dir / "job.json").write_text(begun.model_dump_json())
        assert reach_as_begun(request.job.go_on(1_024), request.job_dir).until == reaches
    (request.job_dir / "job.json").write_text("{")
    assert reach_as_begun(request.job.go_on(1_024), request.job_dir).until == 1_024
