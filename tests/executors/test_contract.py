"""What every executor holds, each on a real place: this machine, Ray, Slurm."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.places import SITES, Site
from support.trainings import ENDLESS, FAILS, make_request

from reward_agent.errors import Interrupted
from reward_agent.records.job import Limits
from reward_agent.types import TrainingResult


@pytest.fixture(
    scope="module",
    params=[
        pytest.param("local", marks=pytest.mark.slow),
        pytest.param("ray", marks=pytest.mark.ray),
        pytest.param("slurm", marks=pytest.mark.slurm),
    ],
)
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    made = SITES[request.param](tmp_path_factory.mktemp("site"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The last policy of the usual training in this process, without any executor."""
    from reward_agent.worker.train import run

    request = make_request(tmp_path_factory.mktemp("plain"))
    result = run(request.job, request.job_dir)
    return (request.job_dir / result.snapshots[-1].file).read_bytes()


def test_success_and_slices_leave_the_same_as_a_plain_training(
    site: Site, tmp_path: Path, plain: bytes
) -> None:
    rows: list[float] = []
    whole, begun = make_request(tmp_path / "whole"), make_request(tmp_path / "sliced", until=256)
    with site.open_executor() as executor:
        first, paused = executor.map(
            [whole, begun], lambda request, row: rows.append(row["total_timesteps"])
        )
        [ended] = executor.map([make_request(tmp_path / "sliced")])
        assert executor.map([whole])[0] == first
    assert isinstance(first.result, TrainingResult)
    assert (str(first.outcome), str(first.result.outcome)) == ("ok", "finished")
    assert (whole.job_dir / first.result.snapshots[-1].file).read_bytes() == plain
    assert isinstance(paused.result, TrainingResult)
    assert isinstance(ended.result, TrainingResult)
    assert (str(paused.result.outcome), str(ended.result.outcome)) == ("paused", "finished")
    assert ended.result.snapshots[0] == paused.result.snapshots[0]
    assert 512.0 in rows


def test_bad_ends_are_data_and_have_the_same_names(site: Site, tmp_path: Path) -> None:
    raises = make_request(tmp_path / "raises", source=FAILS)
    dies = make_request(tmp_path / "dies", steps=ENDLESS, limits=Limits(wall_s=240, cpu_s=12))
    late = make_request(tmp_path / "late", steps=ENDLESS, limits=Limits(wall_s=20))
    with site.open_executor() as executor:
        exits = executor.map([raises, dies, late])
    assert isinstance(exits[0].result, TrainingResult)
    assert str(exits[0].result.outcome).startswith("failed: ")
    assert [str(item.outcome) for item in exits[1:]] == ["killed: cpu", "timeout"]


def test_closing_cancels_and_leaves_nothing_running(site: Site, tmp_path: Path) -> None:
    request = make_request(tmp_path / "job", steps=ENDLESS)
    begun = threading.Event()
    with site.open_executor() as executor:
        closer = threading.Thread(target=lambda: (begun.wait(120), executor.close()))
        closer.start()
        with pytest.raises(Interrupted):
            executor.map([request], lambda *_: begun.set())
        closer.join()
    assert begun.is_set(), "it was closed before it trained: the test shows nothing"
    assert site.wait_for_quiet()


def test_a_driver_that_is_killed_comes_back_and_repeats_nothing_that_ended(
    site: Site, tmp_path: Path, plain: bytes
) -> None:
    site.kill_driver_after_first(tmp_path)
    ended = sorted(tmp_path.glob("*/exit.json"))
    assert ended
    before = {path: path.stat().st_mtime_ns for path in ended}
    with site.open_executor() as executor:
        exits = executor.map([make_request(tmp_path / f"job{number}") for number in range(3)])
    assert [str(item.outcome) for item in exits] == ["ok"] * 3
    assert {path: path.stat().st_mtime_ns for path in ended} == before
    for number, item in enumerate(exits):
        assert isinstance(item.result, TrainingResult)
        last = tmp_path / f"job{number}" / item.result.snapshots[-1].file
        assert last.read_bytes() == plain


def test_a_node_that_is_lost_in_a_training_loses_nothing(site: Site, tmp_path: Path) -> None:
    if not site.can_lose_a_node:
        pytest.skip("one machine: its loss is the driver's")
    requests = [make_request(tmp_path / f"job{number}", steps=60_000) for number in range(2)]
    has_both = threading.Event()
    seen = set()

    def watch(request, row) -> None:  # type: ignore[no-untyped-def]
        seen.add(request.job_dir)
        if len(seen) == 2:
            has_both.set()

    def lose() -> None:
        if has_both.wait(180):
            site.lose_node()

    loser = threading.Thread(target=lose)
    loser.start()
    with site.open_executor() as executor:
        exits = executor.map(requests, watch)
    loser.join()
    assert has_both.is_set()
    assert [str(item.outcome) for item in exits] == ["ok", "ok"]
    policies = {
        (item.job_dir / done.result.snapshots[-1].file).read_bytes()  # type: ignore[union-attr]
        for item, done in zip(requests, exits, strict=True)
    }
    assert len(policies) == 1, "a training that was run again differs from one that was not"
    assert site.losses, "no job was lost: the test shows nothing"
