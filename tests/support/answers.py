"""Answers of commands, held against the schemas that the commands print."""

from __future__ import annotations

from typing import Any

import jsonschema

from scripts.docs_site.answers import list_schemas


def check_answer(words: tuple[str, ...], answer: Any) -> None:
    """Fail unless what a command printed is as its schema says."""
    schemas = list_schemas()
    name = next(" ".join(words[:n]) for n in (2, 1) if " ".join(words[:n]) in schemas)
    jsonschema.validate(answer, schemas[name])
