"""A policy file of a stranger: what its header says is held against its bytes before any is used."""

from __future__ import annotations

import contextlib
import json
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from reward_agent.definitions.card import load_env
from reward_agent.errors import DataError
from reward_agent.learning.policy import (
    Layer,
    NumpyPolicy,
    PolicyHeader,
    check_policy,
    load_policy,
    parse_policy,
    save_policy,
)

CARD = load_env("inverted_pendulum")


def make_policy(n_hidden: int = 8) -> NumpyPolicy:
    rng = np.random.default_rng(0)
    header = PolicyHeader.for_card(CARD, net_arch=(n_hidden,), activation="tanh")
    layers = tuple(
        Layer(rng.normal(size=(a, b)).astype(np.float32), rng.normal(size=a).astype(np.float32))
        for a, b in ((n_hidden, 4), (1, n_hidden))
    )
    ones = np.ones(4, np.float32)
    return NumpyPolicy(header, layers, ones, ones, np.zeros(1, np.float32))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save_policy(tmp_path / "p.safetensors", make_policy())
    return tmp_path / "p.safetensors"


def split(path: Path) -> tuple[dict[str, Any], bytes]:
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + size]), data[8 + size :]


def join(header: dict[str, Any] | bytes, body: bytes) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def refuse(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=path.name) as caught:
            load_policy(path)
        assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    finally:
        tracemalloc.stop()
    assert "\n" not in caught.value.message
    return caught.value.message


def test_a_policy_comes_back_as_the_library_reads_it(path: Path) -> None:
    loaded, own = load_policy(path), make_policy()
    observation = np.random.default_rng(1).normal(size=(5, 4))
    np.testing.assert_array_equal(loaded.act(observation), own.act(observation))
    check_policy(path, CARD)


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("actor.0.weight", {"dtype": "F64"}),
        ("actor.0.weight", {"dtype": "BF16"}),
        ("actor.0.weight", {"dtype": "U8"}),
        ("actor.0.weight", {"dtype": None}),
        ("actor.0.weight", {"shape": [4, 8]}),
        ("actor.0.weight", {"shape": [10**9, 10**9]}),
        ("actor.0.weight", {"shape": [32]}),
        ("actor.0.weight", {"shape": "8"}),
        ("actor.0.weight", {"data_offsets": [0, 10**12]}),
        ("actor.0.weight", {"data_offsets": [-128, 0]}),
        ("actor.0.weight", {"data_offsets": [10**9, 10**9 + 128]}),
        ("actor.0.weight", {"data_offsets": [128, 0]}),
        ("actor.0.weight", {"data_offsets": [0.0, 128.0]}),
        ("actor.0.weight", {"data_offsets": [0]}),
        ("actor.0.weight", {"data_offsets": None}),
        ("log_std", {"shape": []}),
        ("another", {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}),
    ],
)
def test_a_header_that_lies_is_refused(path: Path, name: str, entry: dict[str, Any]) -> None:
    header, body = split(path)
    header[name] = {**header.get(name, {}), **entry}
    refuse(path, join(header, body))


@pytest.mark.parametrize(
    "change",
    [
        {"net_arch": [10**9]}, {"net_arch": [8] * 1000}, {"net_arch": [-8]}, {"net_arch": "8"},
        {"observation_size": 10**9}, {"n_actions": 10**9}, {"n_actions": 0}, {"activation": "exec"},
        {"action_range": [float("-inf"), 1.0]}, {"observation_clip": float("nan")},
        {"card": "\x1b[2J"}, {"card": "x" * 10**4}, {"algo": "\u202e"}, {"extra": 1},
    ],
)  # fmt: skip
def test_settings_that_no_policy_has_are_refused(path: Path, change: dict[str, Any]) -> None:
    header, body = split(path)
    own = json.loads(header["__metadata__"]["policy"])
    header["__metadata__"]["policy"] = json.dumps({**own, **change})
    refuse(path, join(header, body))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["actor.0.weight", "actor.1.bias", "observation.scale", "log_std"])
def test_weights_that_are_no_numbers_are_refused(path: Path, name: str, value: float) -> None:
    header, body = split(path)
    start = header[name]["data_offsets"][0]
    changed = bytearray(body)
    changed[start : start + 4] = struct.pack("<f", value)
    assert f"{name} is not finite" in refuse(path, join(header, bytes(changed)))


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\x00" * 7, struct.pack("<Q", 2**63), struct.pack("<Q", 10**9) + b"{}",
        struct.pack("<Q", 2**64 - 1) + b"{}", join(b"{}", b""), join(b"[]", b""), join(b"1", b""),
        join(b"null", b""), join(b"\xff\xfe", b""), join(b"[" * 60_000, b""),
        join(b'{"__metadata__": 3}', b""), join(b'{"__metadata__": {"policy": 3}}', b""),
        join(b'{"__metadata__": {"policy": "' + b"[" * 60_000 + b'"}}', b""),
        join(b" " * 10**6, b""),
    ],
    ids=range(15),
)  # fmt: skip
def test_what_is_no_policy_is_refused(path: Path, content: bytes) -> None:
    refuse(path, content)


def test_a_file_larger_than_any_policy_is_refused_unread(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(2**40)
    with pytest.raises(DataError, match="larger than"):
        load_policy(path)


def test_a_link_and_a_pipe_are_refused(path: Path, tmp_path: Path) -> None:
    import os

    (tmp_path / "link").symlink_to(path)
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe", "."):
        with pytest.raises(DataError):
            load_policy(tmp_path / name)
    with pytest.raises(DataError, match="does not exist"):
        load_policy(tmp_path / "missing")


def test_another_file_of_the_library_is_no_policy(path: Path) -> None:
    save_file({"a": np.zeros(3)}, path)
    refuse(path, path.read_bytes())


@settings(max_examples=400)
@given(st.data())
def test_a_policy_with_some_bytes_changed_is_read_or_refused(data: st.DataObject) -> None:
    content = bytearray(CONTENT)
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, 900))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(DataError):
        policy = parse_policy(bytes(content[: data.draw(st.integers(0, len(content)))]))
        assert np.isfinite(policy.layers[0].weight).all()


def _make_content() -> bytes:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        save_policy(Path(folder) / "p", make_policy())
        return (Path(folder) / "p").read_bytes()


CONTENT = _make_content()
