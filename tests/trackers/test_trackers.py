"""What trackers were told, read back with their own readers."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

CONFIG = {"env": "hopper", "steps": 4096}


def write_video(folder: Path) -> Path:
    frames = [Image.new("RGB", (80, 60), (40 * k, 90, 140)) for k in range(6)]
    path = folder / "video.webp"
    frames[0].save(path, "WEBP", save_all=True, append_images=frames[1:], duration=40)
    return path


def tell(tracker: Any, folder: Path) -> None:
    """Tell a tracker a little of everything."""
    for step in (1024, 2048):
        scalars = {"reward/upright": step / 1024, "train/generated_return": 3.0}
        tracker.log_scalars("abc/seed_0", scalars, step)
    tracker.log_text("abc/reward.py", "def compute_reward(<state>):\n    return 1")
    tracker.log_video("abc/video", write_video(folder))
    tracker.close()


def test_tensorboard_reads_what_was_told(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="pip install 'reward-agent[tensorboard]'")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from reward_agent.trackers.tensorboard import open_tracker

    tell(open_tracker("a run", tmp_path / "tb", CONFIG), tmp_path)
    training = EventAccumulator(str(tmp_path / "tb" / "abc" / "seed_0")).Reload()
    points = [(point.step, point.value) for point in training.Scalars("reward/upright")]
    assert points == [(1024, 1.0), (2048, 2.0)]
    whole = EventAccumulator(str(tmp_path / "tb" / "run")).Reload()
    [text] = whole.Tensors("abc/reward.py")
    assert b"    def compute_reward(<state>):" in text.tensor_proto.string_val[0]
    assert whole.Tags()["tensors"] == ["config", "abc/reward.py"]
    [picture] = whole.Images("abc/video")
    assert picture.encoded_image_string[:6] == b"GIF89a"
    assert (picture.width, picture.height) == (240, 180)


def test_mlflow_reads_what_was_told_and_a_resumed_run_goes_on(tmp_path, monkeypatch) -> None:
    pytest.importorskip("mlflow", reason="pip install 'reward-agent[mlflow]'")
    from mlflow import MlflowClient

    from reward_agent.trackers.mlflow import open_tracker

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    tell(open_tracker("a run", tmp_path / "ml", CONFIG), tmp_path)
    again = open_tracker("a run", tmp_path / "ml", CONFIG)
    again.log_scalars("abc/seed_0", {"reward/upright": 3.0}, 4096)
    again.close()
    client = MlflowClient(tracking_uri=(tmp_path / "ml").as_uri())
    experiment = client.get_experiment_by_name("reward-agent")
    [run] = client.search_runs([experiment.experiment_id])
    assert run.data.params == {"env": "hopper", "steps": "4096"}
    history = client.get_metric_history(run.info.run_id, "abc/seed_0/reward/upright")
    assert [(m.step, m.value) for m in history] == [(1024, 1.0), (2048, 2.0), (4096, 3.0)]
    folder = Path(run.info.artifact_uri.removeprefix("file://"))
    assert "compute_reward(<state>)" in (folder / "abc" / "reward.py").read_text()
    assert (folder / "abc" / "video" / "video.webp").is_file()
    assert run.info.status == "FINISHED"


def read_blocks(content: bytes) -> Iterator[bytes]:
    """Yield the records of W&B's file: LevelDB's log format, blocks of 32 KiB, a header of 7."""
    place, parts = 7, b""
    while place + 7 <= len(content):
        if 32768 - place % 32768 < 7:
            place += 32768 - place % 32768
            continue
        size, kind = int.from_bytes(content[place + 4 : place + 6], "little"), content[place + 6]
        parts += content[place + 7 : place + 7 + size]
        place += 7 + size
        if kind in (1, 4):  # whole, or the last of several parts
            yield parts
            parts = b""


def test_wandb_keeps_offline_what_was_told(tmp_path: Path, monkeypatch) -> None:
    pytest.importorskip("wandb", reason="pip install 'reward-agent[wandb]'")
    from wandb.proto.wandb_internal_pb2 import Record

    from reward_agent.trackers.wandb import open_tracker

    monkeypatch.setenv("WANDB_MODE", "offline")
    tell(open_tracker("2026-11-23T04-00_a run", tmp_path / "wb", CONFIG), tmp_path)
    [path] = (tmp_path / "wb").glob("wandb/offline-run-*/*.wandb")
    deadline = time.monotonic() + 10  # its service writes a moment after the run has finished
    while path.stat().st_size <= 7 and time.monotonic() < deadline:
        time.sleep(0.05)
    rows = []
    for data in read_blocks(path.read_bytes()):
        record = Record.FromString(data)
        if record.WhichOneof("record_type") == "history":
            items = record.history.item
            rows.append({i.key or "/".join(i.nested_key): json.loads(i.value_json) for i in items})
    named = [row for row in rows if "abc/seed_0/reward/upright" in row]
    assert [row["abc/seed_0/reward/upright"] for row in named] == [1.0, 2.0]
    assert [row["abc/seed_0/total_timesteps"] for row in named] == [1024, 2048]
    media = path.parent / "files" / "media"
    [html] = media.rglob("*.html")
    assert "compute_reward(&lt;state>)" in html.read_text()
    assert any(item.suffix == ".webp" for item in path.parent.rglob("*"))
    assert not any(math.isnan(row.get("_runtime", 0.0)) for row in rows)
