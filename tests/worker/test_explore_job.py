"""What a training records of its episodes, and what the metric says of it in a child of its own."""

from __future__ import annotations

from pathlib import Path

from support.trainings import make_request

from reward_agent.definitions.card import find_env_dir
from reward_agent.records.job import CHECKPOINT_FILE
from reward_agent.records.scoring_jobs import ExploreJob
from reward_agent.records.training_jobs import TrainJob
from reward_agent.summary.exploration import list_recorded
from reward_agent.types import RewardProgram, TrainingResult
from reward_agent.worker import explore, train

METRIC = (find_env_dir("inverted_pendulum") / "tasks/balance/metric.py").read_text()


def record(folder: Path, until: int = 1024, **changes: object) -> TrainingResult:
    job = make_request(folder, steps=1024, until=until).job
    assert isinstance(job, TrainJob)
    names = list_recorded(job.card, METRIC)
    return train.run(job.model_copy(update={"recorded": names, **changes}), folder)


def score(folder: Path, source: str, *, is_trusted: bool = True) -> explore.ExploreResult:
    (folder / "metric.py").write_text(source)
    job = ExploreJob(
        card=make_request(folder).job.card,
        metric_sha256=RewardProgram(source).sha256,
        is_trusted=is_trusted,
        recordings=tuple(path.name for path in sorted(folder.glob("episodes_*.npz"))),
    )
    return explore.run(job, folder)


def test_recorded_episodes_of_each_slice_are_scored_by_where_they_were(tmp_path: Path) -> None:
    assert record(tmp_path, 512).recordings == ("episodes_512.npz",)
    # A slice that was killed after its recording, before its checkpoint.
    (tmp_path / "episodes_768.npz").write_bytes(b"spoilt")
    assert record(tmp_path).recordings == ("episodes_512.npz", "episodes_1024.npz")
    seen = score(tmp_path, METRIC).exploration
    assert seen is not None
    assert seen.n_episodes > 10
    first, last = seen.parts[0].near_steps
    assert 0 < first <= last <= 1024
    assert seen.parts[0].name == "task_score"


def test_what_is_recorded_is_no_part_of_which_training_it_is(tmp_path: Path) -> None:
    plain, watched = (
        record(tmp_path / name, **changes)
        for name, changes in (("plain", {"recorded": ()}), ("watched", {}))
    )
    assert (plain.recordings, plain.snapshots) == ((), watched.snapshots)
    for snapshot in plain.snapshots:
        policies = [(tmp_path / n / snapshot.file).read_bytes() for n in ("plain", "watched")]
        assert policies[0] == policies[1]
    job = make_request(tmp_path / "plain").job
    assert job.digest() == job.model_copy(update={"recorded": ("pole_angle",)}).digest()
    (tmp_path / "watched" / CHECKPOINT_FILE).unlink()
    assert record(tmp_path / "watched", 256).recordings == ("episodes_256.npz",)


def test_a_metric_that_fails_or_is_against_the_rules_is_an_outcome(tmp_path: Path) -> None:
    record(tmp_path, 256)
    fails = score(tmp_path, "def score(episode):\n    return Score(1 / 0, False, {})\n")
    assert (fails.exploration, "division" in str(fails.outcome)) == (None, True)
    refused = score(tmp_path, "import os\n" + METRIC, is_trusted=False)
    assert refused.exploration is None
