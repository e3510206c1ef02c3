"""Names and texts of a stranger's run reach a tracker as plain ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_agent.errors import RewardAgentError
from reward_agent.trackers.follow import PlainTracker, clean_name


class Told:
    def __init__(self) -> None:
        self.said: list[tuple[object, ...]] = []

    def log_scalars(self, group: str, scalars: Mapping[str, float], step: int) -> None:
        self.said.append((group, *scalars))

    def log_text(self, name: str, text: str) -> None:
        self.said.append((name, text))

    def log_video(self, name: str, path: Path) -> None:
        self.said.append((name, path))

    def close(self) -> None:
        self.said.append(("closed",))


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("reward/upright", "reward/upright"),
        ("task/share of time", "task/share of time"),
        ("../../etc/passwd", "_/_/etc/passwd"),
        ("/etc/passwd", "_/etc/passwd"),
        ("a/./b", "a/_/b"),
        ("a\\..\\b", "a_.._b"),
        ("C:\\a", "C__a"),
        ("\u202ea\x1b[31m\n", "_a__31m_"),
        ("<img src=x>", "_img src_x_"),
        ("", "_"),
        ("...", "_"),
    ],
)
def test_a_name_leads_nowhere(name: str, plain: str) -> None:
    assert clean_name(name) == plain


@given(st.text())
def test_every_name_is_plain(name: str) -> None:
    plain = clean_name(name)
    assert plain.isascii()
    assert plain.isprintable()
    assert not {"", ".", ".."} & set(plain.split("/"))
    assert clean_name(plain) == plain


def test_what_a_tracker_is_told_is_plain(tmp_path: Path) -> None:
    told = Told()
    tracker = PlainTracker(told)
    tracker.log_scalars("../a", {"<b>": 1.0}, 1)
    tracker.log_text("a/../b", "\x1b[31m\u202ex")
    (tmp_path / "video.webp").write_bytes(b"RIFF")
    tracker.log_video("a", tmp_path / "video.webp")
    tracker.close()
    assert told.said == [
        ("_/a", "_b_"), ("a/_/b", r"\x1b[31m\u202ex"), ("a", tmp_path / "video.webp"), ("closed",),
    ]  # fmt: skip


def test_a_link_is_no_video(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("private")
    (tmp_path / "video.webp").symlink_to(tmp_path / "secret")
    told = Told()
    with pytest.raises(RewardAgentError):
        PlainTracker(told).log_video("a", tmp_path / "video.webp")
    assert told.said == []
