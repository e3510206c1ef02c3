"""A session in plain data, for ``--json`` and for other programs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from reward_agent.feedback.rounds import make_shown
from reward_agent.feedback.state import SessionState


def describe_session(session: SessionState) -> dict[str, Any]:
    """Return candidates, ratings, what is in front and every entry, as JSON data."""
    current, run = session.current, session.run
    return {
        "schema_version": 1,
        "run": run.id,
        "metric_origin": run.metric_origin,
        "current": current.candidate.id if current else None,
        "accepted": run.winner.candidate if run.winner else None,
        "candidates": [
            make_shown(session.store, item.candidate).model_dump(mode="json")
            | {
                "is_rejected": item.is_rejected,
                "rating": asdict(item.rating) if item.rating else None,
            }
            for item in session.list_standings()
        ],
        "entries": [entry.model_dump(mode="json") for entry in session.log.entries],
    }
