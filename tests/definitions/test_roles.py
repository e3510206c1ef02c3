"""Who plays which role: said by the card, or by a usual name; and nobody else reads names."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError
from support.cards import field, make_dog, make_robot

import reward_agent
from reward_agent.definitions.card import StateField, list_envs, load_env
from reward_agent.definitions.paths import find_envs_dir
from reward_agent.definitions.roles import COMMANDS, ENTRIES, OTHER_UNITS, ROLES, find_usual_role

PACKAGE = Path(reward_agent.__file__).parent


def test_an_entry_of_a_vector_plays_a_scalar_role_where_no_field_does() -> None:
    dog = make_dog()
    velocity = dog.field("trunk_v")
    assert dog.find_quantity("forward_velocity") == (velocity, 0)
    assert dog.find_quantity("sideways_velocity") == (velocity, 1)
    assert dog.find_quantity("height") == (dog.field("trunk_z"), None)
    own = field("speed", "m/s", "forward_velocity")
    more = dog.model_copy(update={"state": (*dog.state, own)})
    assert more.find_quantity("forward_velocity") == (own, None)
    assert dog.find_quantity("pole_angle") is None


def test_a_limb_has_its_own_quantity() -> None:
    card = make_robot(
        "biped",
        field("a", "m", "foot_position", 3, limb="left_foot"),
        field("b", "m", "foot_height", limb="right_foot"),
    )
    assert card.find_quantity("foot_height", "left_foot") == (card.field("a"), 2)
    assert card.find_quantity("foot_height", "right_foot") == (card.field("b"), None)


@pytest.mark.parametrize("scalar", ENTRIES)
def test_an_entry_has_the_unit_of_its_role(scalar: str) -> None:
    vector, index = ENTRIES[scalar]
    row = ROLES[vector]
    assert (ROLES[scalar].unit, ROLES[scalar].size) == (row.unit, None)
    assert row.size is not None
    assert index < row.size


def test_a_command_has_the_unit_of_what_it_asks_for() -> None:
    assert [ROLES[a].unit for a in COMMANDS] == [ROLES[b].unit for b in COMMANDS.values()]


@pytest.mark.parametrize(
    ("name", "unit", "size", "plays"),
    [
        ("torso_height", "m", None, ("height", "")),
        ("front_left_foot_floor_contact", "0/1", None, ("foot_contact", "front_left_foot")),
        ("torso_floor_contact", "0/1", None, ("body_contact", "torso")),
        ("torso_velocity", "m/s", 3, ("velocity", "")),
        ("joint_angles", "rad", 12, ("joint_angles", "")),
        ("back_left_ankle_angle", "rad", None, ("joint_angle", "back_left_foot")),
        ("right_hip_x_angle", "rad", None, ("joint_angle", "right_foot")),
        ("elbow_velocity", "rad/s", None, ("joint_velocity", "elbow")),
        ("cart_velocity", "m/s", None, ("forward_velocity", "")),
        ("toe_front_left", "0/1", None, None),
        ("trunk_height", "m", None, None),
        ("torso_height", "rad", None, None),
    ],
)
def test_a_usual_name_is_read_letter_for_letter(name, unit, size, plays) -> None:
    assert find_usual_role(name, unit, size) == plays


def test_a_role_that_is_said_counts_more_than_the_name() -> None:
    given = {"source": "qpos[0]", "unit": "m", "range": (0, 1), "doc": "a"}
    assert StateField(name="height", **given).plays == ("height", "")
    assert StateField(name="height", role="", **given).plays == ("", "")
    assert StateField(name="height", role="com_height", **given).plays == ("com_height", "")
    with pytest.raises(ValidationError, match="role 'up' is in 1, the field in m"):
        StateField(name="height", role="up", **given)


@pytest.mark.parametrize("env", list_envs())
def test_a_shipped_card_says_its_roles(env: str) -> None:
    card = load_env(env)
    silent = [f.name for f in card.state if f.role is None and f.plays[0]]
    assert silent == []
    assert any(f.role is not None for f in card.state)
    heights = card.list_roles("height")
    assert all(height.rest is not None for height in heights)


def render_roles() -> str:
    """Return the table of envs/README.md."""
    lines = ["| role | unit | what it measures | usual name |", "|---|---|---|---|"]
    for role, row in ROLES.items():
        unit = " or ".join((row.unit, *OTHER_UNITS.get(role, ())))
        size = "" if row.size is None else f", {row.size or 'k'} of them"
        plain = [name for name in row.names if "|" not in name]
        names = ", ".join(f"`{re.sub(r'[(]?.w[*+]', '*', n).replace(')', '')}`" for n in plain)
        lines.append(f"| `{role}` | {unit}{size} | {row.doc} | {names} |")
    return "\n".join(lines)


def test_the_readme_lists_the_roles() -> None:
    text = (find_envs_dir() / "README.md").read_text(encoding="utf-8")
    assert render_roles() in text, render_roles()


_WORDS = {
    word
    for role, row in ROLES.items()
    for text in (role, *row.names)
    for word in re.findall(r"[a-z]{2,}", text)
} | {"feet", "toe", "paw", "heel", "ankle", "leg", "standing"}
_TESTS = {"startswith", "endswith", "removesuffix", "removeprefix", "find", "count", "split"}
_SEARCHES = {"search", "match", "fullmatch"}


def find_guesses(source: str) -> Iterator[str]:
    """Yield what compares the name or the doc of something with a word of the roles."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Compare():
                parts = [node.left, *node.comparators]
            case ast.Call(func=ast.Attribute(attr=attr, value=value)) if attr in _TESTS:
                parts = [value, *node.args]
            case ast.Call(func=ast.Attribute(attr=attr)) if attr in _SEARCHES:
                # What is searched for is a constant somewhere: any pattern counts.
                parts = [*node.args, ast.Constant("foot")]
            case _:
                continue
        texts = [part.value for part in parts if isinstance(part, ast.Constant)]
        words = {word for text in texts for word in re.findall(r"[a-z]{2,}", str(text))}
        names = [
            part
            for part in parts
            if isinstance(part, ast.Attribute) and ast.unparse(part.value) != "path"
        ]
        if words & _WORDS and any(name.attr in ("name", "doc") for name in names):
            yield f"line {node.lineno}: {ast.unparse(node)}"


@pytest.mark.parametrize(
    "source",
    [
        '"foot" in f.name',
        'f.name.endswith("_up")',
        'field.name == "torso_height"',
        "_STANDING.search(height.doc)",
        '"belly" not in up.doc or "up" in up.doc',
    ],
)
def test_a_guess_is_recognised(source: str) -> None:
    assert list(find_guesses(source))


def test_nobody_reads_roles_from_the_names_of_fields() -> None:
    """Parts of a model are named by its author: drafts read those, once, to write roles."""
    files = [
        path
        for path in PACKAGE.rglob("*.py")
        if path != PACKAGE / "definitions/roles.py" and "drafts" not in path.parts
    ]
    found = {
        str(path.relative_to(PACKAGE)): guesses
        for path in files
        if (guesses := list(find_guesses(path.read_text(encoding="utf-8"))))
    }
    assert found == {}
