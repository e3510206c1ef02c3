"""Text from outside, made fit to be shown on one line: of a terminal, a log, a prompt."""

from __future__ import annotations

import unicodedata

MAX_MESSAGE_CHARS = 500


def name_round(iteration: int) -> str:
    """Return what people call an iteration: they count rounds from 1, folders from 0."""
    return f"round {iteration + 1}"


def clean_text(text: str, limit: int = MAX_MESSAGE_CHARS) -> str:
    """Return text on one line, without control and format characters, at most ``limit`` long."""
    kept = "".join(
        " " if char in "\n\t\r" else char
        for char in text[: 4 * limit]
        if char in "\n\t\r" or unicodedata.category(char)[0] != "C"
    )
    return kept if len(kept) <= limit else kept[: limit - 1] + "…"
