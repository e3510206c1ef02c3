"""Parcels: what goes to a node and back, and what is refused at the border."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import pytest
from support.trainings import make_request

from reward_agent.errors import DataError, SandboxError, UsageError
from reward_agent.executors import node, parcel
from reward_agent.records.job import CHECKPOINT_FILE, Limits


def make_archive(name: str, data: bytes = b"x", compress: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compress) as archive:
        archive.writestr(name, data)
    return buffer.getvalue()


@pytest.mark.parametrize("name", ["../reward.py", "/etc/x", "a/b", ".hidden", "x" * 200, "a\nb"])
def test_names_that_no_job_has_are_refused(name: str) -> None:
    with pytest.raises(DataError, match="expected the name of a plain file"):
        parcel.unpack(make_archive(name), 100)


def test_bombs_and_spoilt_parcels_are_refused() -> None:
    bomb = make_archive("zeros", bytes(10**6), zipfile.ZIP_DEFLATED)
    for data, words in [
        (bomb, "compressed"),
        (b"PK", "spoilt"),
        (make_archive("a", bytes(99)), "up to 50"),
    ]:
        with pytest.raises(DataError, match=words):
            parcel.unpack(data, 50)


def test_an_order_has_the_inputs_alone_and_one_identity(tmp_path: Path) -> None:
    request = make_request(tmp_path / "job")
    (request.job_dir / CHECKPOINT_FILE).write_bytes(b"state")
    for name in ("exit.json", "result.json", "output.txt"):
        (request.job_dir / name).write_text("old")
    (request.job_dir / "link").symlink_to("/etc/passwd")
    os.mkfifo(request.job_dir / "pipe")
    packed = parcel.pack_order(request, "default")
    order, files, env = parcel.unpack_order(packed)
    assert (order.job, order.limits, env) == (request.job, request.limits, b"")
    assert sorted(files) == [CHECKPOINT_FILE, "reward.py"]
    assert parcel.digest_order(packed) == parcel.digest_order(parcel.pack_order(request, "default"))


def test_a_reply_larger_than_the_limits_of_the_job_is_refused(tmp_path: Path) -> None:
    request = make_request(tmp_path / "job", limits=Limits(disk_mib=1))
    reply = parcel.pack_reply(parcel.Reply(node="n"), {"a": bytes(2 * 2**20)})
    with pytest.raises(DataError, match="expected up to"):
        parcel.accept_reply(reply, request)


def test_any_number_of_files_that_a_program_leaves_makes_a_parcel(tmp_path: Path) -> None:
    request = make_request(tmp_path / "job")
    for number in range(1200):
        (request.job_dir / f"file{number}").touch()
    files = parcel.read_files(request.job_dir, request.limits)
    packed = parcel.pack_reply(parcel.Reply(node="n"), files)
    assert len(parcel.unpack(packed, len(packed))) == len(files) + 1


def test_a_failure_of_the_node_keeps_its_kind_and_names_the_node(tmp_path: Path) -> None:
    request = make_request(tmp_path / "job")
    told = parcel.Reply(
        node="n7", error="SandboxError", message="no Landlock", remedy="newer kernel"
    )
    with pytest.raises(SandboxError, match=r"no Landlock.*n7"):
        parcel.accept_reply(parcel.pack_reply(told, {}), request)


def test_a_node_of_another_version_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    request = make_request(tmp_path / "job")
    packed = parcel.pack_order(request, "default")
    monkeypatch.setattr(node, "__version__", "9.9")
    with pytest.raises(UsageError, match=r"the node has reward-agent 9\.9"):
        parcel.accept_reply(node.work(packed), request)
