"""Events: each has its kind, its JSON, and listeners that pass over what they do not know."""

import asyncio
import json
from dataclasses import fields
from pathlib import Path

import pytest

from reward_agent.cli.display import RunDisplay
from reward_agent.records import events
from reward_agent.records.events import Concluded, Event, TrainedUntil, TrainingProgress
from reward_agent.records.outcomes import TRAINED
from reward_agent.records.store import RunStore
from reward_agent.trackers.follow import TrackedRun
from reward_agent.web.live import EventHub

KINDS = [
    kind for kind in vars(events).values() if isinstance(kind, type) and kind.__base__ is Event
]
VALUES = {
    "Outcome": TRAINED,
    "str": "a",
    "int": 1,
    "float | None": 0.5,
    "str | None": "a",
    "tuple[str, ...]": ("a",),
}


def make(kind: type[Event]) -> Event:
    """Return an event of a kind, with a value in each field."""
    values = {field.name: VALUES.get(field.type, {"steps_per_s": 7.0}) for field in fields(kind)}
    return kind(**values)


def test_no_two_events_have_the_same_name_in_a_file() -> None:
    names = [kind.kind for kind in KINDS]
    assert len(names) > 20
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_event_becomes_json_with_its_kind_first(kind: type[Event]) -> None:
    written = json.loads(json.dumps(make(kind).to_dict()))
    assert next(iter(written)) in ("kind", "steps_per_s")
    assert written["kind"] == kind.kind


def test_the_row_of_a_training_lies_beside_its_facts_and_cannot_replace_them() -> None:
    row = {"total_timesteps": 10.0, "candidate": 3.0, "kind": 4.0}
    assert TrainingProgress("a", 0, 100, 200, row).to_dict() == {
        "kind": "training_progress", "candidate": "a", "seed": 0, "until": 100, "total": 200,
        "total_timesteps": 10.0, "in_race": True,
    }  # fmt: skip


def test_progress_alone_is_not_worth_a_line() -> None:
    assert [kind for kind in KINDS if not kind.is_recorded] == [TrainingProgress]
    assert TrainedUntil.is_news
    assert not TrainingProgress.is_news


def test_an_event_is_a_line_of_the_runs_file(tmp_path: Path) -> None:
    RunStore(tmp_path).append_event(Concluded(0, "a", TRAINED, 1.5))
    written = json.loads((tmp_path / "events.jsonl").read_text())
    assert written.pop("time").endswith("Z")
    assert written == {
        "kind": "concluded", "iteration": 0, "candidate": "a", "outcome": {"kind": "trained", "text": "trained"},
        "task_score": 1.5,
    }  # fmt: skip


class Surprise(Event, kind="surprise"):
    """A kind that was added in one place."""

    n_doves: int


@pytest.mark.parametrize("kind", [*KINDS, Surprise], ids=lambda kind: kind.__name__)
def test_every_listener_takes_every_event(kind: type[Event]) -> None:
    event = Surprise(3) if kind is Surprise else make(kind)
    tracked = TrackedRun((), lambda name: pytest.fail("nothing is tracked"))
    listeners = (RunDisplay().listen, EventHub().listen, tracked.listen_with(events.ignore))
    for listen in listeners:
        listen(event)


def test_the_page_is_told_of_an_event_that_it_does_not_know() -> None:
    hub = EventHub()

    async def read_first() -> str:
        following = hub.follow()
        first = asyncio.ensure_future(anext(following))
        await asyncio.sleep(0)
        hub.listen(Surprise(3))
        told = await first
        await following.aclose()
        return told

    assert asyncio.run(read_first()) == 'data: {"kind": "surprise", "n_doves": 3}\n\n'
