"""The words of a field's source are parsed, or refused with what was expected."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_agent.definitions.sources import (
    Array,
    Attribute,
    Call,
    Drawn,
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
    ("contact:subtree:leg", Measure("contact", "subtree", "leg")),
    ("contact(body:a, geom:b)", Measure("contact", "body", "a", "geom", "b")),
    ("contact_force:body:foot", Measure("contact_force", "body", "foot")),
    ("contact_force(subtree:a, body:b)", Measure("contact_force", "subtree", "a", "body", "b")),
    ("velocity:torso", Measure("velocity", "body", "torso")),
    ("angular_velocity:site:tip", Measure("angular_velocity", "site", "tip")),
    ("draw:target[:2]", Indexed(Drawn("target"), slice(None, 2))),
    ("scale(qpos, -2)", Call("scale", (Array("qpos"),), (-2.0,))),
    ("add(qpos, qvel)", Call("add", (Array("qpos"), Array("qvel")))),
    ("roll(body:x)", Call("roll", (Attribute("body", "x", "xmat"),), (1.0, 3.0))),
    ("yaw(site:x, -y, +x)", Call("yaw", (Attribute("site", "x", "xmat"),), (-2.0, 1.0))),
    (
        "level(body:x, velocity:x)",
        Call(
            "level",
            (Attribute("body", "x", "xmat"), Measure("velocity", "body", "x")),
            (1.0, 3.0),
        ),
    ),
    (
        "local(geom:x, +z, +y, qvel)",
        Call("local", (Attribute("geom", "x", "xmat"), Array("qvel")), (3.0, 2.0)),
    ),
    (
        "relative(body:a, body:b)",
        Call("relative", (Attribute("body", "a", "xmat"), Attribute("body", "b", "xmat"))),
    ),
    (
        "distance(body:a, draw:goal)",
        Call("norm", (Call("subtract", (Attribute("body", "a", "xpos"), Drawn("goal"))),)),
    ),
    ("geom:#12.xpos", Attribute("geom", "#12", "xpos")),
    ("contact:#3", Measure("contact", "geom", "#3")),
    ("body:'it''s'.xpos", Attribute("body", "it's", "xpos")),
    ("body:''''.xpos", Attribute("body", "'", "xpos")),
    ("joint:колено.qpos", Attribute("joint", "колено", "qpos")),
    ("geom:'robot0:hand mount'.xpos", Attribute("geom", "robot0:hand mount", "xpos")),
    ("sensor:左足", Measure("sensor", "sensor", "左足")),
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
    ("subtract(qpos)", "expected ',', found ')'"),
    ("contact(a, geom:b)", "expected geom:NAME or body:NAME or subtree:NAME, found 'a'"),
    ("contact(body:a)", "expected ',', found ')'"),
    ("roll(joint:a)", "expected body:NAME or geom:NAME or site:NAME, found 'joint'"),
    ("roll(body:a, +x)", "expected ',', found ')'"),
    ("roll(body:a, +x, -x)", "expected an up axis across the forward one, found '-x'"),
    ("pitch(body:a, +w, +z)", "unexpected '+'"),
    ("level(body:a)", "expected ',', found ')'"),
    ("distance(body:a, joint:b)", "expected '.', found ')'"),
    ("scale(qpos, 1e999)", "expected a finite number"),
    ("geom:robot0:hand.xpos", "expected '.', found ':'"),
    ("geom:''.xpos", "expected the name of a geom"),
    ("geom:12.xpos", "expected the name of a geom, found '12.'"),
    ("#12", "expected a name, found '#12'"),
    ("draw:", "expected the name of a draw"),
    ("distanse(body:a, body:b)", "unknown function 'distanse'; did you mean 'distance'"),
    ("contct:a", "unknown kind of object 'contct'; did you mean 'contact'"),
    ("geom:tip.point(1, 2)", "expected ',', found ')'"),
    ("joint:a.point(0, 0, 1)", "unknown kind of object with points 'joint'"),
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


WORDS = [
    "a", "body:", "geom:", "draw:", "contact", "contact:", "roll(", "level(", "distance(", "clip(",
    "concat(", "relative(", "local(", "+x", "-z", ",", ", ", ")", "[", "]", "0", "-1.5", "'", "''",
    "#1", "#", ".xpos", ".point(", "qpos", ":", " ", "\u0301", "²", "1e9999",
]  # fmt: skip


def refuse(text: str) -> DataError | None:
    """Return the error that a text is refused with, None if it is a source."""
    try:
        parse_source(text)
    except DataError as error:
        return error
    return None


@given(st.lists(st.sampled_from(WORDS), max_size=12).map("".join) | st.text(max_size=30))
def test_any_text_is_parsed_or_refused_with_our_error(text: str) -> None:
    error = refuse(text)
    assert error is None or (error.remedy and "\n" not in error.message)


@pytest.mark.parametrize(
    "text", ["concat(" * 5000, "a:" * 50_000, "'" * 100_001, "qpos " * 50_000, "a " + "b" * 10**6]
)
def test_a_long_source_is_refused_at_once_and_shown_in_part(text: str) -> None:
    error = refuse(text)
    assert error is not None
    assert len(str(error)) < 500
