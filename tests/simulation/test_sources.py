"""The words of a field's source are parsed, or refused with what was expected."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_agent.definitions.sources import (
    Array,
    Attribute,
    Call,
    Indexed,
    Measure,
    Source,
    find_measures,
    parse_source,
)
from reward_agent.errors import DataError

GOOD: list[tuple[str, Source]] = [
    ("qpos", Array("qpos")),
    ("qpos[1:]", Indexed(Array("qpos"), slice(1, None))),
    ("qvel[-2]", Indexed(Array("qvel"), -2)),
    (" qvel [ :3 ] ", Indexed(Array("qvel"), slice(None, 3))),
    ("joint:rooty.qpos", Attribute("joint", "rooty", "qpos")),
    ("body:torso.xmat[8]", Indexed(Attribute("body", "torso", "xmat"), 8)),
    ("geom:tip.point(0, -.5, 1e-3)", Attribute("geom", "tip", "point", (0.0, -0.5, 0.001))),
    ("body:'left foot.2'.xpos", Attribute("body", "left foot.2", "xpos")),
    ("body:walker/torso.xpos", Attribute("body", "walker/torso", "xpos")),
    ("contact:foot", Measure("contact", "geom", "foot")),
    ("contact:body:foot", Measure("contact", "body", "foot")),
    ("contact:body", Measure("contact", "geom", "body")),
    ("lowest:torso", Measure("lowest", "body", "torso")),
    ("lowest:geom:foot", Measure("lowest", "geom", "foot")),
    ("com:torso[2]", Indexed(Measure("com", "body", "torso"), 2)),
    ("sensor:gyro", Measure("sensor", "sensor", "gyro")),
    ("clip(qvel, -10, 10)", Call("clip", (Array("qvel"),), (-10.0, 10.0))),
    ("cos(qpos[:2])", Call("cos", (Indexed(Array("qpos"), slice(None, 2)),))),
    ("subtract(qpos, qvel)[0]", Indexed(Call("subtract", (Array("qpos"), Array("qvel"))), 0)),
    ("concat(qpos)", Call("concat", (Array("qpos"),))),
]
BAD = [
    ("", "expected a name, found the end"),
    ("qpos[1", "expected ']', found the end"),
    ("qpos[]", "expected an index"),
    ("qpos[1.5]", "expected a whole number, found '1.5'"),
    ("qpos[1] qvel", "expected nothing more, found 'qvel'"),
    ("joint:rooty", "expected '.', found the end"),
    ("joint:.qpos", "expected the name of a joint, found '.'"),
    ("jiont:rooty.qpos", "unknown kind of object 'jiont'; did you mean 'joint'"),
    ("clamp(qvel, -1, 1)", "unknown function 'clamp'"),
    ("clip(qvel, -1)", "expected ',', found ')'"),
    ("subtract(qpos)", "expected 2 sources in subtract"),
    ("geom:tip.point(1, 2)", "expected ',', found ')'"),
    ("qpos + qvel", "unexpected '+'"),
    ("__import__('os').system", "unknown function '__import__'"),
]


@pytest.mark.parametrize(("text", "expected"), GOOD)
def test_a_source_is_parsed(text: str, expected: Source) -> None:
    assert parse_source(text) == expected


@pytest.mark.parametrize(("text", "message"), BAD)
def test_a_bad_source_says_what_was_expected(text: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        parse_source(text)
    assert message in str(caught.value)
    assert caught.value.remedy


def test_measures_are_found_at_any_depth() -> None:
    source = parse_source("concat(clip(contact:foot, 0, 1), com_velocity:torso[:2], qpos)")
    assert find_measures(source) == {
        Measure("contact", "geom", "foot"),
        Measure("com_velocity", "body", "torso"),
    }


@given(st.text(alphabet="aqpos:.,()[]' -01xclip", max_size=30))
def test_any_text_is_parsed_or_refused_with_our_error(text: str) -> None:
    with contextlib.suppress(DataError):
        parse_source(text)
