"""From a model to an environment's folder: what it holds, what was added, what is left alone."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from drafts.models import ARM, BALL, LEG, URDF, write, write_stl

from reward_agent.definitions.card import load_env
from reward_agent.drafts import folder
from reward_agent.drafts.folder import NewEnv, Wishes, init_env
from reward_agent.errors import DataError, JobError, UsageError
from reward_agent.records.drafting_jobs import DraftJob
from reward_agent.sandbox.runner import run_job
from reward_agent.sandbox.warm import WarmServer, make_warm_server
from reward_agent.simulation.mujoco_model import make_model


@pytest.fixture(scope="module")
def server() -> Iterator[WarmServer | None]:
    """A process that forks the children: its imports are done once."""
    server = make_warm_server()
    yield server
    if server is not None:
        server.close()


@pytest.fixture(autouse=True)
def without_pictures(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: WarmServer | None
) -> None:
    """Look for no renderer, which takes seconds; work in a folder of its own."""
    monkeypatch.setenv("MUJOCO_GL", "disable")
    monkeypatch.setattr(DraftJob, "starts_warm", True)
    monkeypatch.setattr(folder, "run_job", partial(run_job, warm=server))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


def draft(tmp_path: Path, text: str, name: str = "robot.xml", **wishes: object) -> NewEnv:
    return init_env(str(write(tmp_path / "given" / name, text)), None, Wishes(**wishes))


def list_files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_same_source_gives_the_same_bytes(tmp_path: Path) -> None:
    given = str(write(tmp_path / "leg.xml", LEG))
    first = init_env(given, Path("a/leg"))
    second = init_env(given, Path("b/leg"))
    assert list_files(first.folder) == list_files(second.folder)
    assert first.folder == Path("a/leg").absolute()
    assert (first.folder / "model" / "leg.xml").read_bytes() == LEG.encode()
    assert sorted(path.name for path in Path("a").iterdir()) == ["leg"]


def test_without_graphics_the_picture_is_left_out_and_that_is_said(tmp_path: Path) -> None:
    env = draft(tmp_path, LEG, "leg.xml")
    assert env.picture == ""
    assert "no picture" in env.picture_note
    assert not (env.folder / "model.png").exists()
    assert env.picture_note in env.render()
    assert env.model == "model/leg.xml"


def test_a_picture_is_drawn_where_something_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MUJOCO_GL")
    monkeypatch.setattr(DraftJob, "starts_warm", False)
    env = draft(tmp_path, LEG, "leg.xml")
    if env.picture_note and "Error" not in env.picture_note:
        pytest.skip(env.picture_note)
    assert (env.folder / "model.png").read_bytes().startswith(b"\x89PNG")


def test_what_is_there_is_written_over_by_force_alone(tmp_path: Path) -> None:
    env = draft(tmp_path, LEG, "leg.xml")
    before = list_files(env.folder)
    with pytest.raises(UsageError, match="is there already") as caught:
        draft(tmp_path, LEG, "leg.xml")
    assert "--force" in caught.value.remedy
    assert list_files(env.folder) == before
    write(env.folder / "model" / "old.stl", "old")
    write(env.folder / "env.toml", "title = 3")
    write(env.folder / "tasks" / "mine" / "task.toml", "mine")
    write(env.folder / "notes.txt", "mine")
    draft(tmp_path, LEG, "leg.xml", force=True)
    after = list_files(env.folder)
    assert after.pop("notes.txt") == b"mine"
    assert after.pop("tasks/mine/task.toml") == b"mine"
    assert after == before


def test_a_folder_that_is_no_environment_is_never_written_over(tmp_path: Path) -> None:
    write(Path("things/photo.txt"), "mine")
    given = str(write(tmp_path / "leg.xml", LEG))
    with pytest.raises(UsageError, match="is there and no environment"):
        init_env(given, Path("things"), Wishes(force=True))
    assert list_files(Path("things")) == {"photo.txt": b"mine"}


def test_a_model_that_mujoco_refuses_leaves_nothing(tmp_path: Path) -> None:
    write(
        tmp_path / "given" / "part.xml",
        "<mujocoinclude>\n<worldbody>\n<geom sizee='1'/>\n</worldbody></mujocoinclude>",
    )
    with pytest.raises(
        DataError, match=r"unrecognized attribute: 'sizee'.*model/part\.xml:3"
    ) as caught:
        draft(tmp_path, '<mujoco>\n<include file="part.xml"/>\n<worldbody/></mujoco>')
    assert "\n" not in caught.value.message
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    "body",
    [
        "",
        '<body name="can"><freejoint/><geom size="0.1"/></body>',
        '<body><geom size="0.1"/></body>',
    ],
)
def test_what_nothing_can_drive_is_told_in_one_line(tmp_path: Path, body: str) -> None:
    text = (
        f'<mujoco><worldbody><geom name="f" type="plane" size="1 1 1"/>{body}</worldbody></mujoco>'
    )
    with pytest.raises(DataError, match=r"robot\.xml: nothing in it can be driven"):
        draft(tmp_path, text)
    assert list_files(tmp_path / "work") == {}


def test_a_fault_of_ours_names_no_folder_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(job: object, job_dir: Path, **options: object) -> None:
        raise JobError("the draft job crashed: KeyError: 'a'", f"see {job_dir}/error.json")

    monkeypatch.setattr("reward_agent.drafts.folder.run_job", crash)
    with pytest.raises(JobError, match=r"leg\.xml: the draft job crashed") as caught:
        draft(tmp_path, LEG, "leg.xml")
    assert "report the model" in caught.value.remedy
    assert list(Path().iterdir()) == []


def test_a_keyframe_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"leg\.xml: the model has no keyframe.*'crouch'") as caught:
        draft(tmp_path, LEG, "leg.xml", home="crouch")
    assert "MuJoCo" not in caught.value.message


def test_a_person_may_say_which_keyframe_is_home(tmp_path: Path) -> None:
    keys = '<keyframe><key qpos="0 0 .5 1 0 0 0 0"/><key name="bent" qpos="0 0 .5 1 0 0 0 0.3"/></keyframe>'
    env = draft(tmp_path, LEG.replace("</mujoco>", f"{keys}</mujoco>"), "leg.xml", home="bent")
    assert load_env(env.folder).home.keyframe == "bent"


def test_servos_hold_a_robot_that_has_no_actuators(tmp_path: Path) -> None:
    env = draft(tmp_path, ARM, "arm.xml")
    assert any("it has no actuators: position servos are proposed" in text for text in env.said)
    servos = load_env(env.folder).model.add_servos
    assert list(servos) == ["shoulder", "elbow"]
    assert hold(env.folder) < 0.1


def hold(folder: Path) -> float:
    """Return how far the joints of one number go in a second in which servos hold them, rad."""
    import mujoco

    model = make_model(load_env(folder), fields=())
    data = mujoco.MjData(model)
    rows = model.jnt_qposadr[model.jnt_type > 1]
    for _ in range(round(1 / model.opt.timestep)):
        mujoco.mj_step(model, data)
    return float(np.abs(data.qpos[rows] - model.qpos0[rows]).max())


def test_servos_stay_within_the_forces_that_a_urdf_gives(tmp_path: Path) -> None:
    write_stl(tmp_path / "given" / "base.stl")
    env = draft(tmp_path, URDF.format(mesh="base.stl"), "lever.urdf")
    [servo] = load_env(env.folder).model.add_servos.values()
    assert servo.force == 20.0
    assert any("fixed to the world" in text for text in env.said)
    assert hold(env.folder) < 0.1


@pytest.mark.filterwarnings("ignore:Attaching a spec")
def test_the_base_of_a_urdf_floats_when_it_is_told_to(tmp_path: Path) -> None:
    write_stl(tmp_path / "given" / "base.stl")
    env = draft(tmp_path, URDF.format(mesh="base.stl"), "lever.urdf", floating=True)
    assert env.model == "model/lever_floating.xml"
    model = make_model(load_env(env.folder), fields=())
    assert (model.nq, model.nu) == (8, 1)


def test_servos_are_left_out_where_they_are_not_wanted(tmp_path: Path) -> None:
    with_motor = LEG.replace("</body>\n    </body>", BALL + "</body>\n    </body>", 0)
    env = draft(tmp_path, with_motor, "leg.xml", servos=False)
    assert load_env(env.folder).model.add_servos == {}


def test_a_floor_is_added_at_the_lowest_point(tmp_path: Path) -> None:
    env = draft(tmp_path, ARM, "arm.xml")
    assert load_env(env.folder).model.add_floor == -0.1
    assert any("it has no floor: a plane at z = -0.1 m is added" in text for text in env.said)
    assert load_env(draft(tmp_path, LEG, "leg.xml").folder).model.add_floor is None


def test_of_several_free_bodies_the_robot_is_told_by_its_motors(tmp_path: Path) -> None:
    env = draft(tmp_path, LEG.replace("  </worldbody>", f"{BALL}  </worldbody>"), "leg.xml")
    assert "2 bodies move freely; trunk is the robot: it has the motors; ball: objects" in env.said


def test_the_copy_is_the_model_though_its_files_lie_elsewhere(tmp_path: Path) -> None:
    write_stl(tmp_path / "assets" / "a.stl")
    mesh = '<compiler meshdir="../assets"/><asset><mesh name="a" file="a.stl"/></asset>'
    text = LEG.replace("<worldbody>", f"{mesh}<worldbody>", 1).replace(
        '<geom type="box" size="0.2 0.1 0.05" mass="3"/>', '<geom type="mesh" mesh="a" mass="3"/>'
    )
    env = draft(tmp_path, text, "leg.xml")
    assert env.model == "model/given/leg.xml"
    assert set(list_files(env.folder / "model")) == {"assets/a.stl", "given/leg.xml"}
    assert make_model(load_env(env.folder), fields=()).nmesh == 1


def test_names_of_any_script_are_read(tmp_path: Path) -> None:
    text = LEG.replace('"trunk"', '"Тело робота"').replace('"hip"', '"Hüfte 1"')
    env = draft(tmp_path, "\ufeff" + text.replace("\n", "\r\n"), "Мой робот.xml")
    assert env.folder.name.isascii()
    card = load_env(env.folder)
    assert make_model(card, fields=()).nu == 1


def test_a_draft_is_checked_and_asks_for_no_more_than_a_look(tmp_path: Path) -> None:
    env = draft(tmp_path, LEG, "leg.xml")
    assert f"reward-agent envs check ./{env.folder.name}" in env.render()
    assert load_env(env.folder).name == "leg"
