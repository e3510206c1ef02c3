"""An MJCF of a stranger leads nowhere outside of its folder and asks for no more than there is."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_agent.definitions.card import load_env
from reward_agent.errors import DataError
from reward_agent.simulation.mjcf import check_model
from reward_agent.simulation.mujoco_model import make_model

# What MuJoCo's compiler hangs in ends only so.
pytestmark = pytest.mark.timeout(120, method="thread")
MODEL = """\
<mujoco>
  <worldbody>
    <geom name="floor" type="plane" size="1 1 1"/>
    <body><joint name="x" type="slide"/><geom size="0.1"/></body>
  </worldbody>
  <actuator><motor joint="x" ctrlrange="-1 1" ctrllimited="true"/></actuator>
</mujoco>
"""
CARD = """\
title = "A puck"
description = "It slides."
control_dt = 0.02
max_episode_steps = 100
actions = ["push"]
observation = ["qpos", "qvel"]
observation_size = 2
model = { file = "puck.xml", frame_skip = 10 }
[state]
x = { source = "qpos[0]", unit = "m", range = [-1.0, 1.0], doc = "along the track" }
"""


@pytest.fixture
def env(tmp_path: Path) -> Path:
    folder = tmp_path / "puck"
    folder.mkdir()
    (folder / "env.toml").write_text(CARD)
    (folder / "puck.xml").write_text(MODEL)
    (tmp_path / "secret.xml").write_text(MODEL)
    (tmp_path / "secret.obj").write_text("v 0 0 0")
    return folder


def put(env: Path, text: str, at: str = "<worldbody>") -> None:
    (env / "puck.xml").write_text(MODEL.replace(at, f"{text}{at}"))


def refuse(env: Path, message: str | None = None) -> None:
    with pytest.raises(DataError, match=message) as caught:
        make_model(load_env(env))
    assert "\n" not in caught.value.message
    assert "puck" in caught.value.message


def test_a_model_with_its_files_beside_it_is_compiled(env: Path) -> None:
    (env / "parts").mkdir()
    (env / "meshes").mkdir()
    (env / "meshes" / "m.obj").write_text(
        "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 2 3\nf 1 2 4\nf 1 3 4\nf 2 3 4\n"
    )
    (env / "parts" / "more.xml").write_text(
        '<mujoco><compiler meshdir="meshes"/><asset><mesh name="m" file="m.obj"/></asset></mujoco>'
    )
    put(env, '<include file="parts/more.xml"/>')
    assert make_model(load_env(env)).nmesh == 1
    (env / "parts" / "puck.xml").write_text(MODEL)
    (env / "env.toml").write_text(CARD.replace("puck.xml", "parts/puck.xml"))
    assert make_model(load_env(env)).njnt == 1


@pytest.mark.parametrize(
    "text",
    [
        '<include file="../secret.xml"/>', '<include file="{up}/secret.xml"/>',
        '<include file="a/../../secret.xml"/>', '<asset><mesh file="../secret.obj"/></asset>',
        '<asset><mesh file="{up}/secret.obj"/></asset>', '<asset><mesh file="&#46;&#46;/secret.obj"/></asset>',
        '<compiler meshdir=".."/><asset><mesh file="secret.obj"/></asset>',
        '<compiler meshdir="{up}"/><asset><mesh file="secret.obj"/></asset>',
        '<compiler assetdir="a/../.."/><asset><mesh file="secret.obj"/></asset>',
        '<asset><texture type="2d" file="../x.png"/></asset>',
        '<asset><texture type="cube" fileright="../x.png" fileleft="/etc/passwd"/></asset>',
        '<asset><hfield name="h" file="/etc/passwd" size="1 1 1 1"/></asset>',
        '<asset><skin file="../x.skn"/></asset>', '<asset><model name="m" file="../secret.xml"/></asset>',
        '<asset><mesh file="package:x/m.obj"/></asset>', '<asset><mesh file="..\\\\secret.obj"/></asset>',
        '<include file="~/../../secret.xml"/>',
    ],
)  # fmt: skip
def test_a_file_outside_of_the_folder_is_refused(env: Path, text: str) -> None:
    put(env, text.replace("{up}", str(env.parent)))
    refuse(env, "not in the card's folder")


def test_a_file_is_seen_from_the_folder_that_it_is_meant_for(env: Path) -> None:
    (env / "looks").mkdir()
    (env / "a" / "b").mkdir(parents=True)
    (env / "looks" / "m.obj").write_text(
        "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 2 3\nf 1 2 4\nf 1 3 4\nf 2 3 4\n"
    )
    put(env, '<compiler meshdir="a/b"/><asset><mesh file="../../looks/m.obj"/></asset>')
    assert make_model(load_env(env)).nmesh == 1


@pytest.mark.parametrize("name", ["../secret.xml", "{up}/secret.xml", "a/../../secret.xml", "."])
def test_a_model_outside_of_the_folder_is_refused(env: Path, name: str) -> None:
    name = name.replace("{up}", str(env.parent))
    (env / "env.toml").write_text(CARD.replace("puck.xml", name))
    refuse(env)


def test_links_are_refused(env: Path) -> None:
    (env / "link.xml").symlink_to(env.parent / "secret.xml")
    put(env, '<include file="link.xml"/>')
    refuse(env, "through a link")
    (env / "folder").symlink_to(env.parent)
    put(env, '<asset><mesh file="folder/secret.obj"/></asset>')
    refuse(env, "through a link")
    put(env, '<compiler meshdir="folder"/><asset><mesh file="secret.obj"/></asset>')
    refuse(env, "through a link")
    (env / "puck.xml").unlink()
    (env / "puck.xml").symlink_to(env.parent / "secret.xml")
    refuse(env, "through a link")


def test_pipes_and_folders_are_refused(env: Path) -> None:
    os.mkfifo(env / "pipe.obj")
    (env / "folder.obj").mkdir()
    for name in ("pipe.obj", "folder.obj"):
        put(env, f'<asset><mesh file="{name}"/></asset>')
        refuse(env, name)


LAUGHS = "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 10))


@pytest.mark.parametrize(
    "text",
    [
        f'<!DOCTYPE mujoco [<!ENTITY a0 "ha">{LAUGHS}]><mujoco model="&a9;"/>',
        '<!DOCTYPE mujoco SYSTEM "file:///etc/passwd"><mujoco/>',
        '<!DOCTYPE m [<!ENTITY x SYSTEM "file:///etc/passwd">]><mujoco model="&x;"/>',
        "<mujoco>" + "<a>" * 100_000, "<mujoco>" + "<a>" * 500 + "</a>" * 500 + "</mujoco>",
        "<mujoco>" + "<a/>" * 200_000 + "</mujoco>", "<mujoco", "", "\0", "not XML",
        "<mujoco>" + " " * (17 * 2**20) + "</mujoco>",
        '<?xml version="1.0" encoding="utf-16"?><mujoco model="\xff"/>',
        '<mujoco><include file="puck.xml"/><include file="puck.xml" file="../secret.xml"/></mujoco>',
    ],
    ids=range(13),
)  # fmt: skip
def test_what_is_no_model_is_refused_soon(env: Path, text: str) -> None:
    (env / "puck.xml").write_bytes(text.encode("latin-1"))
    refuse(env)


@pytest.mark.parametrize(
    "text",
    [
        '<worldbody><replicate count="1000000000"><geom size="1"/></replicate></worldbody>',
        '<worldbody>' + '<replicate count="1000">' * 4 + '<geom size="1"/>' + "</replicate>" * 4 + "</worldbody>",
        '<asset><texture type="2d" builtin="flat" width="100000" height="100000"/></asset>',
        '<asset><hfield name="h" nrow="100000000" ncol="100000000" size="1 1 1 1"/></asset>',
        '<worldbody><flexcomp name="f" type="grid" count="10000 10000 10000" radius="1"/></worldbody>',
        '<worldbody><body><composite prefix="c" type="cable" count="100000000 1 1" size="1"/></body></worldbody>',
        '<size memory="100T"/>', '<size njmax="1000000000"/>', '<size nuserdata="1e12"/>',
        '<custom><numeric name="n" size="1000000000"/></custom>', '<size nuser_geom="100000000"/>',
        '<sensor><user dim="1000000000"/></sensor>', '<worldbody><replicate count="nan"/></worldbody>',
    ],
)  # fmt: skip
def test_a_model_that_asks_for_too_much_is_refused(env: Path, text: str) -> None:
    put(env, text)
    refuse(env)


def test_a_picture_that_unpacks_to_gigabytes_is_refused(env: Path) -> None:
    header = b"\x89PNG\r\n\x1a\n" + struct.pack(">L4sLL", 13, b"IHDR", 60_000, 60_000)
    (env / "t.png").write_bytes(header + bytes(100))
    put(env, '<asset><texture type="2d" file="t.png"/></asset>')
    refuse(env, "60000 x 60000")


def test_a_mesh_of_gigabytes_is_refused(env: Path) -> None:
    with (env / "m.stl").open("wb") as file:
        file.truncate(2**33)
    put(env, '<asset><mesh file="m.stl"/></asset>')
    refuse(env, "bytes, at most")


def test_a_model_that_includes_itself_ends(env: Path) -> None:
    put(env, '<include file="puck.xml"/>')
    refuse(env)


@given(st.text(alphabet="./\\:a~%&\0 ", max_size=12))
def test_no_name_leads_outside(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    folder = tmp_path_factory.mktemp("env", numbered=True)
    from xml.sax.saxutils import quoteattr

    text = quoteattr(name.replace("\0", ""))
    (folder / "m.xml").write_text(f"<mujoco><asset><mesh file={text}/></asset></mujoco>")
    place = os.path.normpath(folder / name.replace("\0", ""))
    try:
        check_model(folder, "m.xml")
    except DataError:
        return
    assert place.startswith(str(folder))
