"""A state is a read-only view with helpful errors."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from reward_agent.simulation.state import State


@pytest.fixture
def state() -> State:
    return State({"torso_height": np.arange(4.0), "com_position": np.zeros((4, 3))})


def test_fields_are_attributes(state: State) -> None:
    assert state.n_sims == 4
    assert state.torso_height.tolist() == [0.0, 1.0, 2.0, 3.0]
    assert set(state.fields) == {"torso_height", "com_position"}
    assert "torso_height" in dir(state)


def test_an_unknown_field_is_answered_with_the_closest(state: State) -> None:
    with pytest.raises(AttributeError, match="no field 'torso_hight'; did you mean 'torso_height'"):
        _ = state.torso_hight


def test_arrays_cannot_be_written(state: State) -> None:
    with pytest.raises(ValueError, match="read-only"):
        state.torso_height[0] = 1.0


def test_fields_cannot_be_set_or_exchanged(state: State) -> None:
    with pytest.raises(AttributeError, match="read-only"):
        state.torso_height = np.zeros(4)
    with pytest.raises(TypeError):
        state.fields["torso_height"] = np.zeros(4)  # type: ignore[index]


def test_some_simulations_are_taken_as_a_copy(state: State) -> None:
    taken = state.take(np.array([False, True, False, True]))
    assert taken.torso_height.tolist() == [1.0, 3.0]
    assert not np.shares_memory(taken.torso_height, state.torso_height)


def test_a_state_survives_pickle(state: State) -> None:
    again = pickle.loads(pickle.dumps(state))
    assert again.torso_height.tolist() == state.torso_height.tolist()


def test_fields_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="one number of simulations"):
        State({"a": np.zeros(2), "b": np.zeros(3)})
