"""Films: several episodes side by side, words on the pictures, mp4, and no wait for a driver."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.scene import write_scene

from reward_agent.definitions.card import load_env
from reward_agent.errors import DataError
from reward_agent.evaluation.rollout import roll_out
from reward_agent.evaluation.scoring import score_trajectories
from reward_agent.film.footage import load_footages, make_footages, save_footages
from reward_agent.film.formats import FilmFiles, has_mp4
from reward_agent.film.video import choose_frames, choose_video_steps
from reward_agent.simulation.backends import Footage, find_graphics


class Still:
    repeat = 1

    def act(self, observation):
        return np.zeros((len(observation), 3))


@pytest.fixture(scope="module")
def played():
    card = load_env("hopper").model_copy(update={"max_episode_steps": 60})
    [rollout] = roll_out(card, [Still()], n_episodes=5, seed=3)
    return card, rollout, score_trajectories(rollout.trajectories, None, 0, 3)


def test_the_median_comes_first_and_others_by_name(played) -> None:
    card, rollout, best = played
    [median] = make_footages(card, rollout, best, "abc\npay: alive 90%", 1)
    assert median.caption == "abc, median of 5 episodes\npay: alive 90%"
    four = make_footages(card, rollout, best, "", 4)
    names = [footage.caption.split(" of ")[0] for footage in four]
    assert names == ["median", "best", "worst", "upper quartile"]
    assert len({footage.pose.tobytes() for footage in four}) == 4


def test_of_one_episode_there_is_one(played) -> None:
    card, _, _ = played
    [rollout] = roll_out(card, [Still()], n_episodes=1, seed=3)
    best = score_trajectories(rollout.trajectories, None, 0, 3)
    assert len(make_footages(card, rollout, best, "", 4)) == 1


def test_footage_comes_back_from_its_file(played, tmp_path: Path) -> None:
    card, rollout, best = played
    given = make_footages(card, rollout, best, "abc\npay: alive 90%", 4)
    save_footages(given, tmp_path / "footage.npz")
    for saved, loaded in zip(given, load_footages(tmp_path / "footage.npz"), strict=True):
        np.testing.assert_allclose(loaded.pose, saved.pose, atol=1e-5)
        assert replace(loaded, pose=saved.pose, action=saved.action) == saved
        assert loaded.action is None, "positions are enough"


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 not an archive"])
def test_footage_that_cannot_be_read_is_told(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "footage.npz").write_bytes(content)
    with pytest.raises(DataError, match="no footage"):
        load_footages(tmp_path / "footage.npz")


def film(code: str, folder: Path) -> list[str]:
    """Run a program after the imports of films, in a process with a renderer; return its words."""
    graphics = find_graphics()
    if graphics.backend is None:
        pytest.skip("no OpenGL without a display on this machine")
    environment = os.environ | {"MUJOCO_GL": graphics.backend}
    said = subprocess.run(
        [sys.executable, "-c", PRELUDE + code], cwd=folder, env=environment, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    return said.stdout.split()


PRELUDE = """
import numpy as np
from reward_agent.definitions.card import load_env
from reward_agent.film.footage import Footage
from reward_agent.film.video import Quality, Studio
from reward_agent.records.film_jobs import FilmStyle
card = load_env("hopper")
qpos = np.tile([0, 1.25, 0, 0, 0, 0], (40, 1)).astype(float)
qpos[:, 0] = np.linspace(0, 3, 40)
def film(shots, style=FilmStyle(), **changes):
    model = card.model.model_copy(update=changes)
    with Studio(card.model_copy(update={"model": model}), Quality(160, 108, 12.5)) as studio:
        return list(studio.film(shots, style)), studio.frame_ms
"""


def test_four_episodes_lie_side_by_side(tmp_path: Path) -> None:
    said = film(
        "shots = [Footage(qpos[:n], 'one\\ntwo', 'good', {0: 'start'}) for n in (40, 20, 40)]\n"
        "pictures, frame_ms = film(shots)\n"
        "print(len(pictures), frame_ms, *pictures[0].size)\n"
        "for i in (0, -1):\n"
        "    pictures[i].save(f'picture{i}.png')\n",
        tmp_path,
    )
    # 39 steps of 8 ms at 12.5 pictures a second.
    assert said == ["4", "80", "320", "216"]
    first, last = (np.asarray(Image.open(tmp_path / f"picture{i}.png"), float) for i in (0, -1))
    ground = np.s_[60:108, :160]
    assert np.abs(first[ground] - last[ground]).mean() > 1, "the ground does not move"
    assert first[:20, :160].max() > 200, "there are no words"
    assert np.ptp(first[108:, 160:]) == np.ptp(last[108:, 160:]), "the fourth place stays empty"


def test_a_film_of_a_run_is_blind_and_one_with_words_is_not(tmp_path: Path) -> None:
    said = film(
        "def shoot(words, caption, verdict):\n"
        "    pictures, _ = film([Footage(qpos, caption, verdict, {0: 'start'})],\n"
        "                       FilmStyle(has_words=words))\n"
        "    return [np.asarray(picture) for picture in pictures]\n"
        "for words in (False, True):\n"
        "    a, b = shoot(words, 'abc', 'episode score 3'), shoot(words, 'xyz', 'success')\n"
        "    print(all(np.array_equal(x, y) for x, y in zip(a, b, strict=True)))\n",
        tmp_path,
    )
    assert said == ["True", "False"]


def test_slow_motion_draws_what_lies_between_two_states(tmp_path: Path) -> None:
    said = film(
        "shot = Footage(qpos, '', '', {0: 'start'})\n"
        "pictures, _ = film([shot], FilmStyle(slow=20))\n"
        "seen = {np.asarray(p)[30:].tobytes() for p in pictures}\n"
        "print(len(pictures), len(seen))\n",
        tmp_path,
    )
    assert int(said[0]) == 79
    assert int(said[1]) > 60, "the pictures between two states are alike"


def test_a_card_chooses_its_camera_and_turns_its_pictures(tmp_path: Path) -> None:
    film(
        "for name, changes in (('ours', {}), ('fixed', {'camera': 0}),\n"
        "                      ('turned', {'camera': 0, 'camera_is_upside_down': True})):\n"
        "    pictures, _ = film([Footage(qpos, '', '', {0: 'start'})], **changes)\n"
        "    pictures[0].save(f'{name}.png')\n",
        tmp_path,
    )
    ours, fixed, turned = (
        np.asarray(Image.open(tmp_path / f"{name}.png"), float)
        for name in ("ours", "fixed", "turned")
    )
    assert np.abs(ours - fixed).mean() > 5, "the model's camera stands elsewhere"
    plain = np.s_[20:-20]  # the time stands above
    assert np.array_equal(turned[plain], fixed[::-1, ::-1][plain])


def test_of_a_long_episode_the_stretch_is_shown_where_most_happens() -> None:
    moments = {0: "start", 400: "", 610: "", 620: "", 640: "", 999: "end"}
    footage = Footage(np.zeros((1000, 3)), "", "", moments)
    steps = np.array(choose_video_steps(footage, 0.05, 0.8))
    jumps = np.flatnonzero(np.diff(steps) > 2)
    assert len(jumps) == 2
    assert steps[0] == 0
    assert steps[-1] > 998
    assert np.median(np.diff(steps)) == pytest.approx(0.8), "25 pictures a second, smooth"
    assert all(np.abs(steps - step).min() < 1 for step in (610, 620, 640))
    assert len(steps) * 0.04 == pytest.approx(9, abs=0.3)
    whole = choose_video_steps(footage, 0.05, 0.8, is_whole=True)
    assert np.ptp(np.diff(whole)) < 1e-6


def make_pictures() -> list[Image.Image]:
    return [Image.new("RGB", (81, 61), (20 * k, 90, 140)) for k in range(12)]


@pytest.mark.parametrize("form", ["webp", "gif"])
def test_animations_play_in_real_time_and_hold_their_end(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"film.{form}"
    with FilmFiles({form: path}, 40) as files:
        files.add_all(make_pictures())
    with Image.open(path) as film:
        assert film.n_frames == 12
        film.seek(11)
        film.load()
        assert film.info["duration"] == 1000


def test_mp4_is_read_back_with_its_pictures_and_rate(tmp_path: Path) -> None:
    if not has_mp4():
        pytest.skip("no mp4: pip install 'reward-agent[video]'")
    import av

    paths = {"mp4": tmp_path / "film.mp4", "webp": tmp_path / "film.webp"}
    with FilmFiles(paths, 40) as files:
        files.add_all(make_pictures())
    with av.open(str(tmp_path / "film.mp4")) as film:
        stream = film.streams.video[0]
        pictures = [frame.to_ndarray(format="rgb24") for frame in film.decode(stream)]
        assert (stream.width, stream.height, stream.average_rate) == (80, 60, 25)
    assert len(pictures) == 12
    assert pictures[-1][..., 0].mean() > pictures[0][..., 0].mean() + 150
    content = paths["mp4"].read_bytes()
    assert content.index(b"moov") < content.index(b"mdat"), "it plays before it is loaded"
    with Image.open(paths["webp"]) as preview:
        assert preview.n_frames == 6


def test_pictures_show_things_where_they_were_drawn(tmp_path: Path) -> None:
    """A red marker is drawn in the left half of the picture, then in the right."""
    graphics = find_graphics()
    if graphics.backend is None:
        pytest.skip(graphics.note)
    code = (
        "import sys; from pathlib import Path; import numpy as np\n"
        "from reward_agent.definitions.card import load_env\n"
        "from reward_agent.simulation.backends import Footage, make_artist, make_simulation\n"
        "card = load_env(Path(sys.argv[1]))\n"
        "simulation = make_simulation(card, 40, seed=0)\n"
        "simulation.reset()\n"
        "artist = make_artist(card, 120, 80)\n"
        "for sim in range(40):\n"
        "    pose = simulation.pose[[sim, sim]]\n"
        "    [frame, _] = artist.draw(Footage(pose, '', '', {}), [0, 1])\n"
        "    red = (frame[..., 0] > 100) & (frame[..., 1:].max(axis=-1) < 60)\n"
        "    column = np.flatnonzero(red.any(axis=0)).mean()\n"
        "    print(simulation.draws['mark'][sim, 0], column)\n"
        "    assert frame[0].max() > 60, 'black behind a model that has no sky'\n"
        "artist.close()\n"
    )
    place = "what = 'site:target'\nsize = [0.8, 0.0, 0.0]\ncenter = [0.0, 0.0, 1.2]"
    write_scene(tmp_path, tables=f"[draws.mark]\n{place}")
    path = tmp_path / "scene.xml"
    red = '<site name="target" size="0.1" rgba="1 0 0 1"'
    path.write_text(path.read_text().replace('<site name="target"', red))
    output = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(tmp_path)],
        env=os.environ | {"MUJOCO_GL": graphics.backend},
        capture_output=True,
        text=True,
        check=True,
    )
    x, column = np.array([line.split() for line in output.stdout.splitlines()], float).T
    assert abs(np.corrcoef(x, column)[0, 1]) > 0.99


def test_frames_are_close_where_much_happens():
    pitch = np.zeros((400, 2))
    pitch[200:240, 1] = np.linspace(0, 6.28, 40)
    pitch[240:, 1] = 6.28
    steps = choose_frames(Footage(pitch, "", "", {}), 16)
    assert (steps[0], steps[-1], len(steps)) == (0, 399, 16)
    assert sum(200 <= step < 241 for step in steps) >= 10
    still = choose_frames(Footage(np.zeros((400, 2)), "", "", {}), 16)
    assert np.ptp(np.diff(still)) <= 1
    assert choose_frames(Footage(np.zeros((3, 0)), "", "", {}), 16) == [0, 1, 2]
