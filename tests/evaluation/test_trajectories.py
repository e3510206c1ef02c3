import pickle

import numpy as np
import pytest

from reward_agent.errors import DataError
from reward_agent.evaluation import arrays
from reward_agent.evaluation.metrics import Episode
from reward_agent.evaluation.trajectories import Trajectories, join_trajectories, make_trajectories


@pytest.fixture
def stored(tmp_path, make_episode):
    """Two episodes of different length, each with numbers of its own, as a file."""
    first = make_episode(
        3, True, action=np.full((3, 1), 0.5), x_position=np.arange(4.0), torso_height=np.ones(4)
    )
    second = make_episode(1, x_position=np.array([10.0, 11.0]), action=np.full((1, 1), -1.0))
    path = tmp_path / "trajectories.npz"
    make_trajectories([first, second], ["torso_height", "truncated"]).save(path)
    return path


def rewrite(path, **changes):
    """Replace arrays of a file; None takes one away."""
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    arrays |= changes
    np.savez_compressed(path, **{name: a for name, a in arrays.items() if a is not None})


def test_file_gives_back_every_episode(stored):
    loaded = Trajectories.load(stored)
    assert loaded.n_episodes == 2
    assert loaded.lengths.tolist() == [3, 1]
    assert loaded.ends == ("torso_height", "truncated")
    first, second = loaded.episode(0), loaded.episode(1)
    assert first.x_position.tolist() == [0, 1, 2, 3]
    assert second.x_position.tolist() == [10, 11]
    assert first.action.tolist() == [[0.5]] * 3
    assert second.action.tolist() == [[-1.0]]
    assert (first.terminated, second.terminated) == (True, False)
    assert first.control_dt == 0.02
    assert second.com_position.shape == (2, 3)


def test_episode_beyond_the_last_is_refused(stored):
    with pytest.raises(IndexError, match="episode 2 of 2"):
        Trajectories.load(stored).episode(2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"starts": None}, "'starts' is missing"),
        ({"starts": np.array([0, 4, 4, 6])}, "starts must begin with 0 and rise"),
        ({"starts": np.array([1, 4, 6])}, "starts must begin with 0 and rise"),
        ({"starts": np.array([0.0, 4.0, 6.0])}, "starts is float64, expected int64"),
        ({"columns": np.zeros((9, 4, 5), "u1")}, "has shape .5,., expected 6 rows"),
        ({"columns": np.zeros((9, 5, 6), "u1")}, "columns has shape .9, 5, 6., expected"),
        ({"columns": np.zeros((9, 4, 6))}, "columns is float64, expected uint8"),
        ({"field.x_position": np.int64(9)}, "a field names a column beyond the"),
        ({"field.x_position": np.int64(-1)}, "a field names a column beyond the"),
        ({"field.x_position": np.zeros((1, 1, 1), "i8")}, "'x_position' has shape"),
        ({"action": np.zeros((6, 1), "f4")}, "action has shape .6, 1., expected 4 rows"),
        ({"terminated": np.zeros(3, bool)}, "one entry for each of 2 episodes"),
        ({"end": np.array(["truncated"])}, "one entry for each of 2 episodes"),
        ({"end": np.array([1, 2])}, "end a list of words"),
        ({"control_dt": np.float64(-1)}, "control_dt is -1.0 s"),
    ],
)
def test_inconsistent_file_is_refused_with_what_is_wrong(stored, changes, message):
    rewrite(stored, **changes)
    with pytest.raises(DataError, match=message) as raised:
        Trajectories.load(stored)
    assert str(stored) in raised.value.message


def test_pickled_array_is_refused_and_never_loaded(stored, tmp_path):
    class Touch:
        def __reduce__(self):
            return (open, (str(tmp_path / "touched"), "w"))

    rewrite(stored, end=np.array([Touch(), Touch()], dtype=object))
    with pytest.raises(DataError, match="not a file of arrays"):
        Trajectories.load(stored)
    assert not (tmp_path / "touched").exists()
    assert pickle.dumps(Touch())  # the trap itself is sound


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 half a zip", b"numbers"])
def test_file_that_is_no_archive_is_refused(tmp_path, content):
    path = tmp_path / "trajectories.npz"
    path.write_bytes(content)
    with pytest.raises(DataError, match="not a file of arrays"):
        Trajectories.load(path)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        Trajectories.load(tmp_path / "trajectories.npz")


def test_file_that_unpacks_to_too_much_is_refused_unread(stored, monkeypatch):
    monkeypatch.setattr(arrays, "MAX_UNPACKED_BYTES", 1000)
    with pytest.raises(DataError, match="at most 1000 are read"):
        Trajectories.load(stored)


def test_joined_recordings_keep_their_order(stored):
    part = Trajectories.load(stored)
    joined = join_trajectories([part, part])
    assert joined.ends == part.ends * 2
    assert joined.episode(3).x_position.tolist() == [10, 11]
    assert joined.episode(2).action.tolist() == [[0.5]] * 3


def test_first_episodes_are_kept_as_they_were(stored):
    whole = Trajectories.load(stored)
    whole.keep(1).save(stored)
    kept = Trajectories.load(stored)
    assert (kept.n_episodes, whole.n_episodes) == (1, 2)
    assert kept.ends == ("torso_height",)
    assert kept.episode(0).x_position.tolist() == [0, 1, 2, 3]
    assert kept.episode(0).action.tolist() == [[0.5]] * 3
    assert whole.keep(99).n_episodes == 2


def test_episodes_of_different_fields_do_not_join(make_episode):
    other = make_episode(2, wind=np.zeros(3))
    with pytest.raises(DataError, match="not every episode has the fields wind"):
        make_trajectories([make_episode(2), other], ["truncated", "truncated"])


def test_no_episode_is_no_recording():
    with pytest.raises(DataError, match="no episode"):
        make_trajectories([], [])


def test_columns_that_are_equal_are_kept_once(tmp_path):
    height = np.random.default_rng(0).normal(size=400)
    nans = np.full(400, np.nan)
    twice = {"height": height, "observation": np.stack([height, nans, height], axis=1)}
    make_trajectories([Episode(twice, np.zeros((399, 1)), 0.1, False)], ["truncated"]).save(
        tmp_path / "twice.npz"
    )
    with np.load(tmp_path / "twice.npz") as archive:
        assert archive["columns"].shape == (2, 4, 400)
    loaded = Trajectories.load(tmp_path / "twice.npz")
    for name, values in twice.items():
        np.testing.assert_array_equal(loaded.fields[name], values.astype(np.float32))
