"""A file's bytes, in whatever encoding, and what of a notebook is no Python."""

from __future__ import annotations

import json

import pytest
from support.people import make_ground

from reward_agent.translation.reading import read_file
from reward_agent.translation.translate import translate_file

TEXT = "def reward(obs, action, next_obs):\n    return next_obs[5]  # Größe\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1"])
def test_a_file_is_read_in_its_encoding(encoding: str) -> None:
    assert read_file(TEXT.encode(encoding)).text == TEXT


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_the_ends_of_lines_are_no_matter(end: str) -> None:
    assert read_file(TEXT.replace("\n", end).encode()).text == TEXT


def test_a_notebooks_lines_are_left_out_and_keep_their_numbers() -> None:
    reading = read_file(f"%matplotlib inline\n!pip install x\n{TEXT}".encode())
    assert reading.text.split("\n")[2] == TEXT.split("\n")[0]
    assert "line 1, 2" in reading.notes[0]


def test_a_line_that_begins_with_a_remainder_is_python() -> None:
    text = "x = (7\n  % 4)\n"
    assert read_file(text.encode()).text == text


def test_a_notebook_is_read_cell_by_cell() -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# Hopper"]},
        {"cell_type": "code", "source": ["%load_ext x\n", "import numpy as np\n"]},
        {"cell_type": "code", "source": TEXT},
    ]
    result = translate_file(json.dumps({"cells": cells}).encode(), make_ground("hopper"))
    assert result.program is not None
    assert "next_state.observation[:, 5]" in result.program


@pytest.mark.parametrize("data", [b"\x00\x01\x02", b"\xff\xd8\xff\xe0\x00\x10JFIF", b"", b"{"])
def test_what_is_no_program_is_refused_in_words(data: bytes) -> None:
    result = translate_file(data, make_ground("hopper"))
    assert result.program is None
    assert result.findings
