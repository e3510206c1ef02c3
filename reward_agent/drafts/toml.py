"""A card's table as TOML, with what was guessed, or tested, in a comment at its line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

# Begins what is said of a claim that was tried on the model.
TESTED = "tested: "


def write_table(key: str, table: dict[str, Any], guesses: dict[str, str]) -> Iterator[str]:
    """Yield the lines of a table; tables in it come after its own keys."""
    inner = {k: v for k, v in table.items() if isinstance(v, dict) and k not in ("goal",)}
    mark = guesses.get(key, "")
    if len(inner) < len(table) or not inner:
        yield f"[{key}]" + _comment(mark)
    for name, value in table.items():
        if name not in inner:
            yield write_line(name, value, guesses.get(name, "") if key == "roles" else "")
    for name, value in inner.items():
        yield from ("", f"[{key}.{write_key(name)}]" + _comment(guesses.get(f"{key}.{name}", "")))
        for k, v in value.items():
            yield write_line(k, v)


def write_line(key: str, value: Any, guess: str = "") -> str:
    """Return a key with its value, and what of it was guessed."""
    return f"{write_key(key)} = {write_value(value)}{_comment(guess)}"


def _comment(guess: str) -> str:
    if guess.startswith(TESTED):
        return f"  # {guess}"
    return f"  # guessed: {guess}" if guess else ""


def write_key(key: str) -> str:
    """Return a key, in quotes where it must be."""
    is_bare = key and all(char.isascii() and (char.isalnum() or char in "_-") for char in key)
    return key if is_bare else json.dumps(key, ensure_ascii=False)


def write_value(value: Any) -> str:
    """Return a value as TOML has it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, dict):
        return (
            "{ " + ", ".join(f"{write_key(k)} = {write_value(v)}" for k, v in value.items()) + " }"
        )
    if isinstance(value, Iterable):
        return "[" + ", ".join(map(write_value, value)) + "]"
    return (
        f"{value:.10g}"
        if isinstance(value, float) and abs(value) < 1e15 and value != int(value)
        else repr(value)
    )
