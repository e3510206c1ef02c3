"""What a person names becomes the files that its model reads, no more and no fewer."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from drafts.models import ARM, LEG, URDF, write, write_png, write_stl

from reward_agent.drafts.source import find_source, let_float
from reward_agent.errors import DataError, RewardAgentError, UnknownNameError, UsageError

MESH = '<asset><mesh name="part" file="{file}"/></asset>'


def name_files(given: Path | str, scratch: Path) -> set[str]:
    source = find_source(str(given), scratch)
    return {path.relative_to(source.root).as_posix() for path in source.closure.files}


def assert_refused(given: Path | str, scratch: Path, message: str) -> RewardAgentError:
    with pytest.raises(RewardAgentError, match=message) as caught:
        find_source(str(given), scratch)
    assert "\n" not in caught.value.message
    return caught.value


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    (tmp_path / "scratch").mkdir()
    return tmp_path / "scratch"


def test_only_the_files_that_a_model_reads_are_its_files(tmp_path: Path, scratch: Path) -> None:
    robot = tmp_path / "robot"
    write(
        robot / "parts" / "legs.xml",
        f"<mujocoinclude>{MESH.format(file='leg.stl')}</mujocoinclude>",
    )
    write_stl(robot / "meshes" / "leg.stl")
    write_stl(robot / "meshes" / "unused.stl")
    write_png(robot / "looks" / "skin.png")
    for side in ("left", "right"):
        write_png(robot / "looks" / f"{side}.png")
    write(robot / "other.xml", LEG)
    write(robot / "terrain" / "hills.png", write_png(tmp_path / "h.png").read_bytes())
    write(
        robot / "hand" / "hand.xml",
        f'<mujoco><compiler meshdir="m"/>{MESH.format(file="f.stl")}</mujoco>',
    )
    write_stl(robot / "hand" / "m" / "f.stl")
    main = write(
        robot / "robot.xml",
        '<mujoco><compiler meshdir="meshes" texturedir="looks"/><include file="parts/legs.xml"/><asset>'
        '<texture name="a" type="2d" file="skin.png"/>'
        '<texture name="b" type="cube" fileleft="left.png" fileright="right.png"/>'
        '<texture name="c" type="2d" builtin="flat" width="8" height="8"/>'
        '<hfield name="h" file="../terrain/hills.png" size="1 1 1 1"/>'
        '<model name="hand" file="hand/hand.xml"/></asset></mujoco>',
    )
    assert name_files(main, scratch) == {
        "robot.xml", "parts/legs.xml", "meshes/leg.stl", "looks/skin.png", "looks/left.png",
        "looks/right.png", "terrain/hills.png", "hand/hand.xml", "hand/m/f.stl",
    }  # fmt: skip


def test_of_several_mesh_folders_the_last_holds(tmp_path: Path, scratch: Path) -> None:
    write_stl(tmp_path / "r" / "right" / "a.stl")
    write(tmp_path / "r" / "part.xml", '<mujoco><compiler meshdir="wrong"/></mujoco>')
    text = f'<mujoco>{MESH.format(file="a.stl")}<include file="part.xml"/><compiler meshdir="right"/></mujoco>'
    main = write(tmp_path / "r" / "r.xml", text)
    assert name_files(main, scratch) == {"r.xml", "part.xml", "right/a.stl"}


def test_files_beside_the_models_folder_keep_their_tree(tmp_path: Path, scratch: Path) -> None:
    write_stl(tmp_path / "robots" / "assets" / "a.stl")
    main = write(
        tmp_path / "robots" / "dog" / "dog.xml",
        f'<mujoco><compiler meshdir="../assets"/>{MESH.format(file="a.stl")}</mujoco>',
    )
    source = find_source(str(main), scratch)
    assert source.file == "dog/dog.xml"
    assert source.name == "dog"
    source.copy_to(tmp_path / "copy")
    assert (tmp_path / "copy" / "dog" / "dog.xml").read_bytes() == main.read_bytes()
    assert (tmp_path / "copy" / "assets" / "a.stl").is_file()


def test_names_with_backslashes_a_bom_and_crlf_are_read(tmp_path: Path, scratch: Path) -> None:
    write_stl(tmp_path / "r" / "Meshes" / "A.stl")
    text = (
        f'<mujoco>\r\n<compiler meshdir=".\\Meshes\\"/>\r\n{MESH.format(file="A.stl")}\r\n</mujoco>'
    )
    main = write(tmp_path / "r" / "Mein Roboter 3.XML", b"\xef\xbb\xbf" + text.encode())
    source = find_source(str(main), scratch)
    assert source.name == "mein_roboter_3"
    source.copy_to(tmp_path / "copy")
    assert (tmp_path / "copy" / "Mein Roboter 3.XML").read_bytes() == main.read_bytes()


def test_a_path_may_have_either_slash(
    tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "robots" / "leg.xml", LEG)
    monkeypatch.chdir(tmp_path)
    assert find_source("robots\\leg.xml", scratch).name == "leg"


def test_the_folder_that_one_is_in_and_the_one_above_may_be_named(
    tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "dog" / "scene.xml", LEG)
    (tmp_path / "dog" / "meshes").mkdir()
    monkeypatch.chdir(tmp_path / "dog")
    assert find_source(".", scratch).name == "dog"
    monkeypatch.chdir(tmp_path / "dog" / "meshes")
    assert find_source("..", scratch).name == "dog"


def test_a_windows_path_is_no_function(scratch: Path) -> None:
    error = assert_refused("C:\\robots\\dog.xml", scratch, "is not there")
    assert "/mnt/c/robots/dog.xml" in error.remedy or os.name == "nt"


def test_what_is_not_there_is_told_with_the_closest_name(tmp_path: Path, scratch: Path) -> None:
    write(tmp_path / "leg.xml", LEG)
    error = assert_refused(tmp_path / "legg.xml", scratch, "did you mean 'leg.xml'")
    assert isinstance(error, UnknownNameError)
    assert isinstance(assert_refused("no such thing", scratch, "is not there"), UsageError)


# --- which file of a folder ----------------------------------------------------------------------


def test_of_a_folder_the_scene_is_taken(tmp_path: Path, scratch: Path) -> None:
    folder = tmp_path / "go9"
    write(folder / "go9.xml", LEG)
    write(folder / "scene.xml", '<mujoco><include file="go9.xml"/></mujoco>')
    write(folder / "scene_stairs.xml", '<mujoco><include file="go9.xml"/></mujoco>')
    source = find_source(str(folder), scratch)
    assert source.file == "scene.xml"
    assert source.name == "go9"
    assert "scene.xml is taken; go9.xml, scene_stairs.xml may be named instead" in source.said[0]


def test_of_a_folder_with_several_scenes_one_must_be_named(tmp_path: Path, scratch: Path) -> None:
    for name in ("scene_flat.xml", "scene_stairs.xml"):
        write(tmp_path / "dog" / name, LEG)
    error = assert_refused(
        tmp_path / "dog", scratch, "holds 2 models: scene_flat.xml, scene_stairs.xml"
    )
    assert str(tmp_path / "dog" / "scene_flat.xml") in error.remedy


def test_a_folder_without_a_model_is_refused(tmp_path: Path, scratch: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert_refused(tmp_path / "empty", scratch, "holds no MJCF and no URDF")


def test_a_scene_beside_a_robot_is_told(tmp_path: Path, scratch: Path) -> None:
    main = write(tmp_path / "dog" / "dog.xml", LEG)
    write(tmp_path / "dog" / "scene.xml", '<mujoco><include file="dog.xml"/></mujoco>')
    assert "scene.xml beside it includes dog.xml" in find_source(str(main), scratch).said[0]


# --- what stands in the way ----------------------------------------------------------------------


def test_a_part_of_a_model_names_the_model_that_includes_it(tmp_path: Path, scratch: Path) -> None:
    part = write(tmp_path / "dog" / "parts" / "leg.xml", "<!-- a <mujoco> --><mujocoinclude/>")
    assert "none lies beside it" in assert_refused(part, scratch, "is a part of a model").remedy
    scene = write(tmp_path / "dog" / "dog.xml", '<mujoco><include file="parts/leg.xml"/></mujoco>')
    assert str(scene) in assert_refused(part, scratch, "is a part of a model").remedy


def test_missing_files_are_named(tmp_path: Path, scratch: Path) -> None:
    assets = "".join(f'<mesh file="{name}.stl"/>' for name in "abcde")
    main = write(tmp_path / "dog.xml", f"<mujoco><asset>{assets}</asset></mujoco>")
    error = assert_refused(
        main, scratch, "needs 5 files that are not there: a.stl, b.stl, c.stl and 2 more"
    )
    assert "menagerie" in error.remedy
    one = write(tmp_path / "one.xml", '<mujoco><include file="gone.xml"/></mujoco>')
    assert_refused(one, scratch, "needs 1 file that is not there: gone.xml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<html/>", "it begins with <html>"),
        ("no XML at all", "syntax error"),
        ("", "no element found"),
        ('<!DOCTYPE m [<!ENTITY x SYSTEM "file:///etc/passwd">]><mujoco model="&x;"/>', "document type"),
        (f"<mujoco>{MESH.format(file='/etc/passwd')}</mujoco>", "a place on one machine alone"),
        (f"<mujoco>{MESH.format(file='C:/meshes/a.stl')}</mujoco>", "a place on one machine alone"),
        ('<mujoco><compiler meshdir="/etc"/><asset><mesh file="passwd"/></asset></mujoco>', "far from it"),
        (f"<mujoco>{MESH.format(file='../../secrets/key.stl')}</mujoco>", "far from it"),
        (f"<mujoco>{MESH.format(file='.ssh/id_rsa')}</mujoco>", "is hidden"),
        (f"<mujoco>{MESH.format(file='link.stl')}</mujoco>", "reached through a link"),
        (f"<mujoco>{MESH.format(file='pipe.stl')}</mujoco>", "is not a plain file|cannot be read"),
        (f"<mujoco>{MESH.format(file='folder.stl')}</mujoco>", "is not a plain file|cannot be read"),
        (f"<mujoco>{MESH.format(file='huge.stl')}</mujoco>", "bytes, at most"),
        ('<mujoco><asset><texture type="2d" file="huge.png"/></asset></mujoco>', "is a picture of"),
        ('<mujoco><worldbody><replicate count="1e9"><geom size="1"/></replicate></worldbody></mujoco>', "asks for too much"),
        ('<mujoco><include file="bad.xml"/></mujoco>', "bad.xml: more than"),
    ],
)  # fmt: skip
def test_a_hostile_model_is_refused_in_one_line(
    tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    home = tmp_path / "home"
    folder = home / "downloads" / "dog"
    monkeypatch.setenv("HOME", str(home))
    write_stl(home / "secrets" / "key.stl")
    write(folder / ".ssh" / "id_rsa", "secret")
    (folder / "link.stl").symlink_to(home / "secrets" / "key.stl")
    os.mkfifo(folder / "pipe.stl")
    (folder / "folder.stl").mkdir()
    with (folder / "huge.stl").open("wb") as file:
        file.truncate(200 * 2**20)
    write(folder / "huge.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + b"\0\1\0\0" * 2)
    write(folder / "bad.xml", "<mujoco>" + "<a>" * 500)
    assert_refused(write(folder / "dog.xml", text), scratch, message)


def test_files_that_include_one_another_end(tmp_path: Path, scratch: Path) -> None:
    write(tmp_path / "b.xml", '<mujocoinclude><include file="a.xml"/></mujocoinclude>')
    main = write(
        tmp_path / "a.xml", '<mujoco><include file="b.xml"/><include file="b.xml"/></mujoco>'
    )
    assert name_files(main, scratch) == {"a.xml", "b.xml"}


# --- URDF ----------------------------------------------------------------------------------------


def test_meshes_of_a_package_are_found_and_named_by_path(tmp_path: Path, scratch: Path) -> None:
    package = tmp_path / "lever_description"
    write_stl(package / "meshes" / "base.stl")
    mesh = "package://lever_description/meshes/base.stl"
    main = write(package / "urdf" / "lever.urdf", URDF.format(mesh=mesh))
    source = find_source(str(main), scratch)
    assert source.file == "urdf/lever.urdf"
    source.copy_to(tmp_path / "copy")
    assert 'filename="../meshes/base.stl"' in (tmp_path / "copy/urdf/lever.urdf").read_text()
    assert (tmp_path / "copy" / "meshes" / "base.stl").is_file()
    assert "fixed to the world" in " ".join(source.said)


def test_a_package_that_is_not_there_is_told(tmp_path: Path, scratch: Path) -> None:
    main = write(tmp_path / "lever.urdf", URDF.format(mesh="package://elsewhere/a.stl"))
    assert_refused(main, scratch, "needs 1 file that is not there: package://elsewhere/a.stl")


LOOKS = '<visual><geometry><mesh filename="package://gone/looks.dae"/></geometry></visual>'


def test_what_a_urdf_shows_is_read_where_it_says_so(tmp_path: Path, scratch: Path) -> None:
    write_stl(tmp_path / "base.stl")
    text = URDF.format(mesh="base.stl").replace("</inertial>", f"</inertial>{LOOKS}", 1)
    main = write(tmp_path / "lever.urdf", text)
    assert name_files(main, scratch) == {"lever.urdf", "base.stl"}
    keeps = '<mujoco><compiler discardvisual="false"/></mujoco></robot>'
    write(main, text.replace("</robot>", keeps))
    assert_refused(main, scratch, "needs 1 file that is not there: package://gone/looks.dae")


def test_a_model_may_say_that_only_the_last_part_of_a_name_counts(
    tmp_path: Path, scratch: Path
) -> None:
    write_stl(tmp_path / "meshes" / "base.stl")
    compiler = '<compiler strippath="true" meshdir="meshes"/>'
    text = URDF.format(mesh="package://elsewhere/parts/base.stl")
    main = write(
        tmp_path / "a.urdf", text.replace("</robot>", f"<mujoco>{compiler}</mujoco></robot>")
    )
    source = find_source(str(main), scratch)
    source.copy_to(tmp_path / "copy")
    assert 'filename="meshes/base.stl"' in (tmp_path / "copy" / "a.urdf").read_text()
    named = write(
        tmp_path / "a.xml", f"<mujoco>{compiler}{MESH.format(file='gone/base.stl')}</mujoco>"
    )
    assert name_files(named, scratch) == {"a.xml", "meshes/base.stl"}


def test_only_a_urdf_is_let_float(tmp_path: Path, scratch: Path) -> None:
    write_stl(tmp_path / "base.stl")
    urdf = find_source(str(write(tmp_path / "lever.urdf", URDF.format(mesh="base.stl"))), scratch)
    floating = let_float(urdf)
    assert floating.file == "lever_floating.xml"
    assert not any("fixed" in text for text in floating.said)
    with pytest.raises(UsageError, match="is an MJCF"):
        let_float(find_source(str(write(tmp_path / "leg.xml", LEG)), scratch))


# --- a function of the person's own --------------------------------------------------------------

FUNCTIONS = f'''
import pathlib
import mujoco

HERE = pathlib.Path(__file__).parent
ARM = """{ARM}"""

def from_file():
    return mujoco.MjModel.from_xml_path(str(HERE / "leg.xml"))

def spec_with_a_floor():
    spec = mujoco.MjSpec.from_file(str(HERE / "meshed.xml"))
    spec.worldbody.add_geom(name="floor", type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0, 0, 1])
    return spec

def compiled():
    return spec_with_a_floor().compile()

def from_text():
    with open(HERE / "meshes" / "a.stl", "rb") as file:
        assets = {{"there/a.stl": file.read()}}
    text = (HERE / "meshed.xml").read_text().replace('"meshes"', '"there"')
    return mujoco.MjModel.from_xml_string(text, assets)

class Environment:
    def __init__(self):
        self._physics = mujoco.MjModel.from_xml_string(ARM)

    @property
    def mj_model(self):
        return self._physics

class Configuration:
    def spec_fn(self):
        raise RuntimeError("build says more")

    def build(self):
        class Entity:
            spec = mujoco.MjSpec.from_string(ARM)
        return Entity()

def make_config():
    return Configuration()

def fails():
    raise RuntimeError("no robot today")

def wants(something):
    return something

def nothing():
    print("noise")
    return {{}}
'''
MESHED = (
    '<mujoco model="meshed"><compiler meshdir="meshes"/><asset><mesh name="a" file="a.stl"/></asset>'
    '<worldbody><body><freejoint/><geom type="mesh" mesh="a" mass="1"/></body></worldbody></mujoco>'
)


@pytest.fixture
def robots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write(tmp_path / "my_robots.py", FUNCTIONS)
    write(tmp_path / "leg.xml", LEG)
    write(tmp_path / "meshed.xml", MESHED)
    write_stl(tmp_path / "meshes" / "a.stl")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_function_that_reads_a_file_is_that_file(robots: Path, scratch: Path) -> None:
    told: list[str] = []
    source = find_source("my_robots:from_file", scratch, tell=told.append)
    assert source.closure.main == robots / "leg.xml"
    assert source.name == "leg"
    assert told == [
        f"my_robots:from_file runs in {sys.executable}, not confined: it is your own code"
    ]


@pytest.mark.parametrize("name", ["spec_with_a_floor", "compiled"])
def test_what_a_function_made_is_written_with_its_assets(
    robots: Path, scratch: Path, name: str
) -> None:
    source = find_source(f"my_robots:{name}", scratch)
    assert source.name == "meshed"
    assert {path.name for path in source.closure.files} == {"model.xml", "a.stl"}
    assert 'name="floor"' in source.closure.main.read_text()
    assert "six digits" in source.said[1]


def test_a_model_of_text_keeps_its_numbers(robots: Path, scratch: Path) -> None:
    source = find_source(str(robots / "my_robots.py:from_text"), scratch)
    assert source.given == "my_robots.py:from_text"
    assert {path.name for path in source.closure.files} == {"model.xml", "a.stl"}
    assert source.said[1] == "its model is written as XML, with six digits"


@pytest.mark.parametrize("name", ["Environment", "make_config"])
def test_a_model_is_found_in_what_libraries_return(robots: Path, scratch: Path, name: str) -> None:
    assert "elbow" in find_source(f"my_robots:{name}", scratch).closure.main.read_text()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fails", "RuntimeError: no robot today"),
        ("wants", "missing 1 required positional argument"),
        ("nothing", "it returned dict: no gymnasium.Env, and nothing with an MjSpec"),
        ("gone", "my_robots has no 'gone'; it has "),
    ],
)
def test_what_a_function_meets_is_told_in_one_line(
    robots: Path, scratch: Path, name: str, message: str
) -> None:
    assert_refused(f"my_robots:{name}", scratch, message)


def test_a_module_or_a_python_that_is_not_there_is_told(robots: Path, scratch: Path) -> None:
    assert_refused("other_robots:make", scratch, "No module named 'other_robots'")
    with pytest.raises(UsageError, match=r"is not there|cannot be run"):
        find_source("my_robots:from_file", scratch, str(robots / "python"))
    (scratch / "handover.json").unlink()
    with pytest.raises(DataError, match="ended: "):
        find_source("my_robots:from_file", scratch, "/bin/false")


# --- the menagerie -------------------------------------------------------------------------------

PACKAGE = """
import os, pathlib
class MenagerieError(Exception): pass
class Robot:
    display_name, license, entry_names = "Little Leg", "MIT", ("leg", "scene")
    def xml(self, entry):
        if entry not in (None, *self.entry_names): raise MenagerieError(f"no entry point {entry!r}")
        return pathlib.Path(os.environ["MENAGERIE_ROOT"]) / "little_leg" / f"{entry or 'scene'}.xml"
def names(): return ["little_leg"]
def get(name): return Robot()
"""


@pytest.fixture
def menagerie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a collection, with a package that reads it as the real one does."""
    write(tmp_path / "collection" / "little_leg" / "leg.xml", LEG)
    write(
        tmp_path / "collection" / "little_leg" / "scene.xml",
        '<mujoco><include file="leg.xml"/></mujoco>',
    )
    write(tmp_path / "package" / "mujoco_menagerie.py", PACKAGE)
    monkeypatch.syspath_prepend(tmp_path / "package")
    monkeypatch.setenv("MENAGERIE_ROOT", str(tmp_path / "collection"))
    monkeypatch.delitem(sys.modules, "mujoco_menagerie", raising=False)
    return tmp_path / "collection"


def test_a_robot_of_the_menagerie_is_its_scene(menagerie: Path, scratch: Path) -> None:
    source = find_source("menagerie:little_leg", scratch)
    assert (source.name, source.file) == ("little_leg", "scene.xml")
    assert source.said == (
        "Little Leg of the menagerie, license MIT: scene.xml; menagerie:little_leg/leg names another",
    )
    assert find_source("menagerie:little_leg/leg", scratch).file == "leg.xml"


def test_a_robot_that_the_menagerie_lacks_is_told(menagerie: Path, scratch: Path) -> None:
    assert_refused("menagerie:little_legs", scratch, "did you mean 'little_leg'")
    assert_refused("menagerie:little_leg/arm", scratch, "no entry point 'arm'")


def test_without_the_package_the_command_that_installs_it_is_named(
    scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reward_agent.drafts.source.find_spec", lambda name: None)
    assert (
        "reward-agent[menagerie]"
        in assert_refused("menagerie:go2", scratch, "mujoco-menagerie").remedy
    )
