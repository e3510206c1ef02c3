"""A record as a JSON schema in the strict form that servers accept for structured replies."""

from __future__ import annotations

from typing import Any

from reward_agent.types import Record

# Filled in by the record itself; asking a model for it wastes tokens.
_NOT_ASKED = frozenset({"schema_version"})
_NOT_SENT = frozenset({"title", "default"})


def make_reply_schema(kind: type[Record]) -> dict[str, Any]:
    """Return the schema of a record: every key is required, no other is allowed.

    Source: https://platform.openai.com/docs/guides/structured-outputs (supported schemas)
    """
    schema = kind.model_json_schema()
    for name in _NOT_ASKED:
        schema.get("properties", {}).pop(name, None)
    tightened: dict[str, Any] = _tighten(schema)
    return tightened


def _tighten(node: Any) -> Any:
    if isinstance(node, list):
        return [_tighten(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {key: _tighten(value) for key, value in node.items() if key not in _NOT_SENT}
    if "properties" in node:
        # Its keys are names of fields, which may be any word.
        kept["properties"] = {name: _tighten(item) for name, item in node["properties"].items()}
        kept |= {"required": list(node["properties"]), "additionalProperties": False}
    return kept
