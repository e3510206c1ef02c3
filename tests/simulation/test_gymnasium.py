"""Plain Gymnasium environments, as the simulations of a card."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from reward_agent.definitions.card import EnvCard, load_env
from reward_agent.errors import DataError, EnvironmentFailure
from reward_agent.simulation import gymnasium_batch
from reward_agent.simulation.backends import Footage, make_simulation
from reward_agent.simulation.gymnasium_batch import GymnasiumArtist
from reward_agent.simulation.gymnasium_host import (
    ActionForm,
    EnvError,
    call_reset,
    call_step,
    make_env,
    tell,
)
from reward_agent.worker import check_env
from reward_agent.worker.check_env import check_card

ENVS = Path(__file__).parents[1] / "support" / "envs"
CART_POLE = ENVS / "cart_pole"


def make_card(function: str, fields: dict[str, str] | None = None, **changes: Any) -> EnvCard:
    """Return a card of one of the environments beside it; fields are sources by their names."""
    options = changes.pop("options", {})
    sizes = changes.pop("sizes", {})
    state = [
        {"name": name, "source": source, "size": sizes.get(name), "unit": "1",
         "range": (-10, 10), "doc": name}
        for name, source in (fields or {}).items()
    ]  # fmt: skip
    plain = {
        "name": "odd", "title": "odd", "description": "odd", "folder": str(ENVS / "odd"),
        "control_dt": 0.1, "max_episode_steps": 50,
        "model": {"backend": "gymnasium", "id": f"odd_envs:{function}", "options": options},
        "actions": ["a", "b"], "choices": [3, 2], "state": state,
        "observation": ["observation"], "observation_size": 15,
    }  # fmt: skip
    return EnvCard.model_validate({**plain, **changes})


def test_observation_is_flat_in_the_order_of_gymnasium() -> None:
    card = make_card(
        "make_odd",
        {"place": "observation/place", "number": "observation/place/number",
         "pair": "observation/pair/1/number", "count": "observation/pair/0"},
        sizes={"place": 3, "pair": 2},
    )  # fmt: skip
    simulation = make_simulation(card, 2, seed=7)
    simulation.reset()
    simulation.step([[2, 1], [0, 0]])
    env = simulation.group.envs[0].unwrapped
    from gymnasium.spaces import flatten

    expected = flatten(env.observation_space, env._observe())
    np.testing.assert_allclose(simulation.observation[0], expected, rtol=1e-6)
    state = simulation.read_state()
    assert state.place[0].tolist() == [0.0, 1.0, 0.0]
    assert state.number[0] == 2
    assert state.pair.tolist() == [[1.0, 2.0], [0.0, 0.0]]
    assert state.count.tolist() == [1.0, 1.0]


def test_info_gives_numbers_and_flags_where_it_has_them() -> None:
    card = make_card(
        "make_odd",
        {"success": "info/is_success", "n": "info/n", "xy": "info/place/xy",
         "end": "info/at_end", "drawn": "info/drawn", "paid": "reward",
         "part": "info/part/n/of/all", "row": "info/row", "last": "info/row[1]"},
        sizes={"xy": 2, "row": 2},
    )  # fmt: skip
    simulation = make_simulation(card, 1, seed=0)
    simulation.reset()
    assert simulation.read_state().drawn[0] != 0.0
    seen = []
    for _ in range(5):
        simulation.step([[0, 0]])
        state = simulation.read_state()
        seen.append([state.success[0], state.n[0], state.end[0], state.drawn[0], state.paid[0]])
    assert seen[2] == [1.0, 3.0, 0.0, 0.0, 2.0]
    assert seen[4] == [0.0, 5.0, 1.0, 0.0, 2.0]
    assert state.xy[0].tolist() == [1.0, 2.0]
    assert state.part[0] == 5.0  # a key may have a slash of its own
    assert (state.row[0].tolist(), state.last[0]) == ([3.0, 4.0], 4.0)  # never seen before the end


def test_ended_episode_waits_for_its_reset() -> None:
    simulation = make_simulation(make_card("make_odd", {"n": "info/n"}), 2, seed=0)
    simulation.reset()
    for _ in range(7):
        simulation.step([[0, 0], [0, 0]])
    assert simulation.find_terminated().tolist() == [True, True]
    assert simulation.termination_reason(0) == "ended by the environment"
    assert simulation.read_state().n.tolist() == [5.0, 5.0]
    simulation.reset([1])
    assert simulation.find_terminated().tolist() == [True, False]


def test_own_time_limit_cuts_off_and_is_no_termination() -> None:
    simulation = make_simulation(make_card("make_limited"), 1, seed=0)
    simulation.reset()
    for _ in range(4):
        simulation.step([[0, 0]])
    assert simulation.find_truncated().tolist() == [True]
    assert simulation.find_terminated().tolist() == [False]
    assert simulation.termination_reason(0) is None


def test_seed_is_of_the_first_episode_alone() -> None:
    card = make_card("make_odd")
    first, again = (make_simulation(card, 2, seed=3) for _ in range(2))
    for simulation in (first, again):
        simulation.reset()
    np.testing.assert_array_equal(first.observation, again.observation)
    assert not np.array_equal(first.observation[0], first.observation[1])
    before = first.observation
    first.reset()
    assert not np.array_equal(first.observation, before)


def test_wrappers_and_arguments_of_a_person_are_kept() -> None:
    card = make_card(
        "make_plain", actions=["a", "b"], choices=(), action_range=(-0.5, 0.5),
        observation_size=2,
    )  # fmt: skip
    simulation = make_simulation(card, 1, seed=0)
    simulation.reset()
    simulation.step([[-0.3, 2.0]])
    np.testing.assert_allclose(simulation.observation, [[-3.0, 5.0]], rtol=1e-6)
    paid = make_card("make_odd", {"paid": "reward"}, options={"reward": 7.0})
    simulation = make_simulation(paid, 1, seed=0)
    simulation.reset()
    simulation.step([[0, 0]])
    assert simulation.read_state().paid[0] == 7.0


@pytest.mark.parametrize(
    ("space", "rows", "taken"),
    [
        (spaces.Box(0, 4, (1,), np.int32), [[3.6], [9.0], [-1.0]], [[4], [4], [0]]),
        (spaces.Box(-1.0, 1.0, (1,), np.float32), [[0.5], [9.0]], [[0.5], [1.0]]),
        (spaces.Discrete(3, start=-1), [[0.0], [2.0]], [-1, 1]),
        (spaces.MultiBinary((2, 2)), [[0, 1, 1, 0]], [[[0, 1], [1, 0]]]),
    ],
)
def test_actions_are_decoded_together(space: Any, rows: list[Any], taken: list[Any]) -> None:
    decoded = ActionForm("it", space).decode(np.array(rows, float))
    assert np.array(decoded).tolist() == taken
    assert all(space.contains(one) for one in decoded)


def test_rescaled_actions_reach_the_ends_of_the_environments_own() -> None:
    card = make_card(
        "Plain", actions=["a", "b"], choices=(), action_mapping="rescaled", observation_size=2
    )
    simulation = make_simulation(card, 1, seed=0)
    simulation.reset()
    simulation.step([[-1.0, 0.0]])
    np.testing.assert_allclose(simulation.observation, [[-1.0, 2.0]])


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("Picture", r"is an image \(64, 64, 3\): images are not observed here"),
        ("Two", "has several agents"),
        ("make_nothing", "makes a int, no gymnasium.Env"),
        ("make_autoreset", "begins its next episode by itself"),
        ("absent", "has no attribute 'absent'"),
    ],
)
def test_what_cannot_be_simulated_is_refused_with_a_sentence(function: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        make_simulation(make_card(function), 1, seed=0)


class Returning:
    """Returns what it is told to; a function is called."""

    def __init__(self, returned: Any) -> None:
        self._returned = returned

    def step(self, action: Any) -> Any:
        return self._returned() if callable(self._returned) else self._returned

    reset = step


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        ((0.0, 1.0, False, {}), "its step returned 4 values and not observation, reward, term"),
        (np.zeros(5), "its step returned one ndarray and not"),
        ((0.0, np.zeros(2), False, False, {}), "its step returned no number as reward"),
        ((0.0, None, False, False, {}), "its step returned no number as reward"),
        (lambda: sys.exit(3), "its step failed: SystemExit: 3"),
    ],
)
def test_what_a_step_may_not_return_is_said(returned: Any, words: str) -> None:
    with pytest.raises(EnvError, match=words):
        call_step("step", Returning(returned), 0)
    with pytest.raises(EnvError, match="its reset"):
        call_reset("reset", Returning(returned), action=0)


def test_arrays_of_one_number_are_numbers() -> None:
    returned = (0.0, np.array([1.5]), np.array([True]), np.bool_(False), {})
    assert call_step("step", Returning(returned), 0) == (0.0, 1.5, True, False, {})


def test_failure_of_the_environment_is_one_line() -> None:
    card = make_card("Plain", actions=["a", "b"], choices=(), observation_size=2)
    simulation = make_simulation(card, 1, seed=0)
    simulation.reset()
    with pytest.raises(EnvironmentFailure, match="its step failed: RuntimeError: a bolt"):
        simulation.step([[1.0, 0.0]])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"choices": [2, 2]}, r"are \[3, 2\]"),
        ({"choices": [3], "actions": ["a"]}, r"are \[3, 2\]"),
        ({"choices": ()}, "makes numbers of its actions"),
        ({"observation_size": 9}, "the model gives 15"),
        ({"fields": {"x": "observation/gaol"}}, "did you mean 'observation/goal'"),
        ({"reset": {"qpos_uniform": 0.1}}, r"does not know \[reset\]"),
    ],
)
def test_card_that_does_not_fit_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        make_simulation(make_card("make_odd", **changes), 1, seed=0)


def test_check_finds_nothing_wrong_with_cart_pole() -> None:
    found = check_card(load_env(CART_POLE))
    assert not [f.message for f in found.findings if f.severity == "error"]


def test_check_of_a_slow_environment_ends_and_says_what_was_not_watched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(check_env, "_MOST_S", 0.0)
    monkeypatch.setattr(check_env, "_SLOW_S", 0.0)
    [note] = [note for note in check_card(load_env(CART_POLE)).notes if "slow" in note]
    assert "1 of 400 steps" in note
    assert "in 2 simulations" in note


def test_check_names_a_key_that_the_info_never_has() -> None:
    found = check_card(make_card("make_odd", {"x": "info/is_sucess"}))
    [message] = [f.message for f in found.findings if f.rule == "card/info"]
    assert "did you mean 'info/is_success'" in message


class Painted:
    """Draws how often its environment was stepped, as a grey that many levels bright."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.group, self._n = self, 0

    def step(self, action: Any) -> None:
        self._n += 1

    def draw(self) -> np.ndarray:
        return np.full((20, 30, 3), self._n, np.uint8)

    def reset(self) -> None:
        self._n = 0

    close = reset


def test_an_episode_is_drawn_by_playing_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gymnasium_batch, "GymnasiumSimulation", Painted)
    artist = GymnasiumArtist(make_card("make_odd"), 16, 12)
    footage = Footage(np.zeros((9, 0)), "", "", {}, np.zeros((8, 2)), seed=3)
    frames = list(artist.draw(footage, [0, 2.5, 7]))
    assert [int(frame.max()) for frame in frames] == [0, 2, 7]
    assert {frame.shape for frame in frames} == {(12, 16, 3)}


def test_function_of_a_person_draws_nothing_before_the_seal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = []
    monkeypatch.setattr(
        gymnasium_batch, "GymnasiumSimulation", lambda *a, **k: made.append(a) or Painted()
    )
    GymnasiumArtist(make_card("make_odd"), 16, 12)
    assert made == []
    GymnasiumArtist(load_env(CART_POLE), 16, 12)
    assert len(made) == 1


def test_environment_that_draws_nothing_says_so() -> None:
    artist = GymnasiumArtist(make_card("make_odd"), 16, 12)
    footage = Footage(np.zeros((2, 0)), "", "", {}, np.zeros((1, 2)))
    with pytest.raises(DataError, match="its render failed: NotImplementedError"):
        list(artist.draw(footage, [0]))


def test_environments_of_mujocos_are_put_back_into_states_that_they_had() -> None:
    card = make_card(
        "",
        model={"backend": "gymnasium", "id": "InvertedPendulum-v5"},
        actions=["slide"],
        choices=(),
        observation_size=4,
    )
    simulation = make_simulation(card, 2, seed=0)
    simulation.reset()
    for _ in range(3):
        simulation.step(np.array([[0.4], [-0.4]]))
    physics, seen = simulation.physics, simulation.observation
    assert physics["qpos"].shape == (2, 2)
    simulation.reset()
    assert not np.allclose(simulation.observation, seen)
    simulation.put_fields(np.array([1], np.int32), {n: rows[1:] for n, rows in physics.items()})
    assert np.array_equal(simulation.observation[1], seen[1])
    assert not np.allclose(simulation.observation[0], seen[0])
    with pytest.raises(DataError, match="cannot begin in a state"):
        simulation.put_fields(np.array([1], np.int32), {"pole_angle": np.zeros((1, 1))})


def test_an_error_without_words_tells_where_it_was_raised() -> None:
    with pytest.raises(AssertionError) as caught:
        fail()
    assert "test_gymnasium.py" in tell(caught.value)
    assert "assert 1 == 2" in tell(caught.value)
    assert tell(ValueError("words")) == "ValueError: words"


def fail() -> None:
    raise AssertionError  # assert 1 == 2


def test_too_little_memory_is_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def make(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("gymnasium.make", make)
    with pytest.raises(EnvError) as caught:
        make_env("CartPole-v1", {}, "")
    assert "--memory-mib" in caught.value.remedy
