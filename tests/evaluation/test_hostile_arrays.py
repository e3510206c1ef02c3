"""Arrays of a stranger: whatever lies in a zip or in a header is refused before room is made."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reward_agent.definitions.card import load_env
from reward_agent.errors import DataError
from reward_agent.evaluation.arrays import read_arrays
from reward_agent.evaluation.metrics import Episode
from reward_agent.evaluation.trajectories import Trajectories, make_trajectories
from reward_agent.film.footage import load_footages

FEW = 64 * 2**20  # bytes that a refusal may take


def make_header(shape: str, dtype: str = "'<f4'", order: str = "False") -> bytes:
    text = f"{{'descr': {dtype}, 'fortran_order': {order}, 'shape': {shape}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def write_zip(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return path


def refuse(path: Path, load: Callable[[Path], object] = read_arrays) -> str:
    tracemalloc.start()
    try:
        with pytest.raises(DataError) as caught:
            load(path)
        assert tracemalloc.get_traced_memory()[1] < FEW
    finally:
        tracemalloc.stop()
    assert "\n" not in caught.value.message
    return caught.value.message


LIES = {
    "more than there is": make_header("(1000000000000,)"),
    "more than memory": make_header("(10000000000000000000000000,)"),
    "an overflow": make_header("(4294967296, 4294967296)") + bytes(8),
    "less than there is": make_header("(1,)") + bytes(400),
    "below nothing": make_header("(-1,)") + bytes(4),
    "two minus signs": make_header("(-2, -2)") + bytes(16),
    "nothing without end": make_header("(1000000000000,)", "'<U0'"),
    "empty without end": make_header("(0, 1000000000000)", "'V0'"),
    "objects": make_header("(1,)", "'|O'") + bytes(8),
    "records": make_header("(1,)", "[('a', '<f4'), ('b', '<f8')]") + bytes(12),
    "dates": make_header("(1,)", "'<M8[s]'") + bytes(8),
    "code": make_header("(__import__('os').system('true'),)") + bytes(4),
    "depth": make_header("(" * 3000 + ")" * 3000),
    "no header": b"\x93NUMPY\x01\x00\xff\xff",
    "another version": b"\x93NUMPY\x09\x00" + bytes(100),
    "nothing": b"",
}  # fmt: skip


WHY = {
    "more than there is": "has 128 bytes, as float32(1000000000000,) it has 4000000000000",
    "more than memory": "has 128 bytes",
    "an overflow": "has 136 bytes, as float32(4294967296, 4294967296)",
    "less than there is": "has 528 bytes, as float32(1,) it has 4",
    "below nothing": "'a' is float32(-1,)",
    "two minus signs": "'a' is float32(-2, -2)",
    "nothing without end": "'a' is <U0",
    "empty without end": "'a' is |V0",
    "objects": "'a' is object(1,)",
    "records": "'a' is [('a', '<f4'), ('b', '<f8')](1,)",
    "dates": "'a' is datetime64",
    "code": "malformed node",
    "depth": "not a file of arrays",
    "no header": "EOF",
    "another version": "header",
    "nothing": "EOF",
}


@pytest.mark.parametrize("lie", LIES)
def test_a_header_that_lies_is_refused_before_room_is_made(tmp_path: Path, lie: str) -> None:
    message = refuse(write_zip(tmp_path / "a.npz", a=LIES[lie]))
    assert WHY[lie] in message
    assert len(message) < len(str(tmp_path)) + 300


def test_a_directory_that_says_less_than_a_member_unpacks_to_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.npz", a=make_header("(1000000,)") + bytes(4_000_000))
    data = bytearray(path.read_bytes())
    size = struct.pack("<L", len(make_header("(1000000,)")) + 4_000_000)
    assert data.count(size) == 2
    short = struct.pack("<L", len(make_header("(1,)")) + 4)
    path.write_bytes(bytes(data.replace(size, short)))
    refuse(path)


def test_a_directory_of_many_or_of_another_form_is_refused(tmp_path: Path) -> None:
    many = {f"a{i}": make_header("(1,)") + bytes(4) for i in range(2500)}
    assert "2500 arrays" in refuse(write_zip(tmp_path / "many.npz", **many))
    path = write_zip(tmp_path / "a.npz", a=make_header("(1,)") + bytes(4))
    data = path.read_bytes()
    end = data.rfind(b"PK\x05\x06")
    large = data[: end + 12] + struct.pack("<L", 2**31) + data[end + 16 :]
    (tmp_path / "large.npz").write_bytes(large)
    assert "directory" in refuse(tmp_path / "large.npz")
    locator = b"PK\x06\x07" + struct.pack("<LQL", 0, 0, 1)
    (tmp_path / "zip64.npz").write_bytes(data[:end] + locator + data[end:])
    assert "directory" in refuse(tmp_path / "zip64.npz")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_another_compression_is_refused(tmp_path: Path, method: int) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w", method) as archive:
        archive.writestr("a.npy", make_header("(1,)") + bytes(4))
    assert "compressed in another way" in refuse(tmp_path / "a.npz")


def test_two_arrays_of_one_name_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", make_header("(1,)") + bytes(4))
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a.npy", make_header("(1,)") + bytes(4))
    assert "two arrays" in refuse(tmp_path / "a.npz")


def test_what_is_no_plain_file_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.npz", a=make_header("(1,)") + bytes(4))
    (tmp_path / "link.npz").symlink_to(path)
    assert "cannot be read" in refuse(tmp_path / "link.npz")
    os.mkfifo(tmp_path / "pipe.npz")
    assert "not a plain file" in refuse(tmp_path / "pipe.npz")
    assert "not a plain file" in refuse(tmp_path)


@settings(max_examples=300)
@given(st.data())
def test_a_file_with_some_bytes_changed_is_read_or_refused(data: st.DataObject) -> None:
    content = io.BytesIO()
    np.savez_compressed(content, a=np.arange(6.0).reshape(2, 3), b=np.array(["x", "yz"]))
    damaged = bytearray(content.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path = Path(f"/tmp/hostile-{os.getpid()}.npz")
    path.write_bytes(damaged[: data.draw(st.integers(0, len(damaged)))])
    found: dict[str, Any] = {}
    message = ""
    try:
        found = read_arrays(path)
    except DataError as error:
        message = error.message
    finally:
        path.unlink()
    assert len(message) < 400
    assert all(values.dtype.kind in "biufU" for values in found.values())
    assert sum(values.nbytes for values in found.values()) <= len(damaged)


def test_arrays_come_back_as_they_were_and_may_be_written(tmp_path: Path) -> None:
    given = {
        "a": np.asfortranarray(np.arange(6.0).reshape(2, 3)), "b": np.array(["x", "yz"]),
        "c": np.array(3, np.int64), "d": np.zeros((0, 4), np.float32), "e": np.array([True]),
    }  # fmt: skip
    np.savez(tmp_path / "a.npz", **given)
    found = read_arrays(tmp_path / "a.npz")
    for name, values in given.items():
        np.testing.assert_array_equal(found[name], values)
        assert found[name].dtype == values.dtype
    found["a"][0, 0] = 5.0


# --- recordings ---------------------------------------------------------------------------------


def make_arrays(**changes: Any) -> dict[str, Any]:
    return {
        "starts": np.array([0, 3], np.int64),
        "columns": np.zeros((1, 4, 3), np.uint8),
        "field.height": np.array(0, np.int64),
        "action": np.zeros((2, 1), np.float32),
        "terminated": np.array([True]),
        "end": np.array(["height"]),
        "control_dt": np.array(0.02),
        **changes,
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"field.height": np.zeros(10**7, np.int64), "columns": np.zeros((1, 4, 10**4), np.uint8)}, "bytes"),
        ({"field.a b": np.array(0, np.int64)}, "names that no field has"),
        ({"field.../../x": np.array(0, np.int64)}, "names that no field has"),
        ({"end": np.array(["\x1b[2J"])}, "list of words"),
        ({"end": np.array(["x" * 1000])}, "list of words"),
        ({"end": np.array(["\u202e"])}, "list of words"),
        ({"starts": np.array([0, 2**62], np.int64)}, "rows"),
        ({"starts": np.array([0, -3], np.int64)}, "starts"),
        ({"field.height": np.array(7, np.int64)}, "beyond"),
        ({"columns": np.zeros((0, 4, 3), np.uint8)}, "beyond"),
        ({"control_dt": np.array(np.nan)}, "control_dt"),
        ({"action": np.zeros((10**6, 0), np.float32)}, "action"),
    ],
)  # fmt: skip
def test_a_recording_that_does_not_fit_together_is_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    np.savez_compressed(tmp_path / "t.npz", **make_arrays())
    assert Trajectories.load(tmp_path / "t.npz").n_episodes == 1
    np.savez_compressed(tmp_path / "t.npz", **make_arrays(**changes))
    with pytest.raises(DataError, match=message):
        Trajectories.load(tmp_path / "t.npz")


def test_a_recording_of_something_else_than_the_card_is_told() -> None:
    card = load_env("inverted_pendulum")
    fields = {f.name: np.zeros((2, f.size) if f.size else 2) for f in card.fields}
    make_trajectories([Episode(fields, np.zeros((1, 1)), 0.02)], ["truncated"]).check_card(card)
    name = card.state[0].name
    for changed in ({name: np.zeros((2, 7))}, {"observation": np.zeros(2)}):
        other = make_trajectories([Episode(fields | changed, np.zeros((1, 1)), 0.02)], ["x"])
        with pytest.raises(DataError, match=next(iter(changed))):
            other.check_card(card)
    del fields[name]
    with pytest.raises(DataError, match=f"{name!r} is missing"):
        make_trajectories([Episode(fields, np.zeros((1, 1)), 0.02)], ["x"]).check_card(card)


@pytest.mark.parametrize("words", ["[1]", "{}", "[" * 5000, '[{"caption": 1}]', "nan"])
def test_footage_with_other_words_is_refused(tmp_path: Path, words: str) -> None:
    np.savez_compressed(tmp_path / "f.npz", words=np.array(words), qpos_0=np.zeros((1, 1)))
    with contextlib.suppress(DataError):
        assert load_footages(tmp_path / "f.npz") == []
