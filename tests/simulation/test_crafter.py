"""Crafter as an environment of numbers: what it shows, that it repeats, how its tasks begin."""

from __future__ import annotations

import numpy as np
import pytest

from reward_agent.definitions.card import load_env
from reward_agent.definitions.task import apply_task, list_tasks, load_task, read_task_metric
from reward_agent.errors import UsageError
from reward_agent.evaluation.metrics import compile_metric
from reward_agent.evaluation.rollout import roll_out
from reward_agent.simulation import backends
from reward_agent.simulation.backends import Footage, make_simulation, require_backend
from reward_agent.simulation.gymnasium_batch import GymnasiumArtist

CARD = load_env("crafter")
ACTIONS = CARD.choices[0]
MODULE = "reward_agent.simulation.crafter"


class Wanderer:
    """Random moves and deeds, the same for a seed."""

    repeat = 1

    def __init__(self, seed: int = 0) -> None:
        self._rng = np.random.default_rng(seed)

    def act(self, observation):
        return self._rng.integers(0, len(ACTIONS), (len(observation), 1))


@pytest.fixture
def crafter():
    pytest.importorskip("crafter", reason="pip install 'reward-agent[crafter]'")
    return pytest.importorskip(MODULE)


@pytest.fixture
def env(crafter):
    env = crafter.CrafterEnv(render_mode="rgb_array")
    env.reset(seed=4)
    return env


def put_before(env, kind):
    """Put something in front of the player, and return what is observed after a step of nothing."""
    player = env._game.player
    place = player.pos + player.facing
    env._game.world[place] = kind
    return env.step(ACTIONS.index("noop"))


def test_without_the_package_the_command_that_installs_it_is_said(monkeypatch):
    monkeypatch.setattr("reward_agent.plugins._has_module", lambda name: name != "crafter")
    with pytest.raises(UsageError, match="crafter is simulated by Crafter, which is not") as raised:
        require_backend(CARD)
    assert raised.value.remedy == "pip install 'reward-agent[crafter]'"


def test_the_card_names_the_games_own_kinds_things_and_actions(crafter):
    from crafter import constants

    assert list(ACTIONS) == constants.actions
    told = CARD.field("map").doc
    assert all(f"{number} {kind}" in told for number, kind in enumerate(crafter.KINDS) if number)
    sources = {field.name: field.source for field in CARD.state}
    for number, item in enumerate(crafter.ITEMS):
        assert sources[item] == f"observation/inventory[{number}]"
    for number, kind in enumerate(crafter.KINDS):
        for name, source in {
            f"{kind}_distance": f"observation/distance[{number}]",
            f"{kind}_offset": f"observation/offset[{2 * number}:{2 * number + 2}]",
            f"faces_{kind}": f"observation/faced[{number}]",
        }.items():
            assert sources.get(name, source) == source


def test_the_nearest_thing_and_what_is_faced_are_seen(crafter, env):
    observation, *_ = put_before(env, "diamond")
    diamond = crafter.KINDS.index("diamond")
    assert observation["faced"] == diamond
    assert observation["distance"][diamond] == 1
    facing = env._game.player.facing
    assert observation["offset"][2 * diamond : 2 * diamond + 2].tolist() == list(facing)
    assert observation["map"].reshape(7, 9)[3 + facing[1], 4 + facing[0]] == diamond
    assert observation["map"][31] == crafter.KINDS.index("player")
    assert observation["distance"][crafter.KINDS.index("furnace")] == crafter.FAR


def test_what_is_shown_lies_as_in_the_games_own_picture(crafter, env):
    put_before(env, "water")
    down = np.array(env._game.player.facing) * 48 + (4 * 48, 3 * 48)
    cell = env.render()[down[1] : down[1] + 48, down[0] : down[0] + 48]
    assert cell[..., 2].mean() > cell[..., 0].mean() + 30  # of water, blue


def test_beyond_the_world_there_is_nothing(crafter, env):
    player = env._game.player
    env._game.world.move(player, (0, 0))
    observation, *_ = env.step(ACTIONS.index("noop"))
    assert observation["map"].reshape(7, 9)[:3].max() == 0
    assert observation["map"].reshape(7, 9)[3, 4] == crafter.KINDS.index("player")


def test_lava_kills_and_is_told_of(crafter, env):
    *_, is_over, _, info = put_before(env, "lava")
    assert not is_over
    facing = {(-1, 0): "left", (1, 0): "right", (0, -1): "up", (0, 1): "down"}
    move = ACTIONS.index(f"move_{facing[tuple(env._game.player.facing)]}")
    *_, is_over, is_cut, info = env.step(move)
    assert (is_over, is_cut, info["is_in_lava"]) == (True, False, True)


def test_a_tree_gives_wood_which_only_people_see_counted(crafter, env):
    put_before(env, "tree")
    observation, _, _, _, info = env.step(ACTIONS.index("do"))
    assert observation["inventory"][crafter.ITEMS.index("wood")] == 1
    assert info["achievements"]["collect_wood"] == 1
    assert all(field.people_only for field in CARD.state if "achievements" in field.source)


def test_noise_is_the_packages_but_for_its_smallest_parts(crafter):
    ours, own = crafter._Noise(5), crafter.opensimplex.OpenSimplex(5)
    places = list(ours._places)[::101]
    errors = np.abs([ours.noise3(*place) - own.noise3(*place) for place in places])
    assert (errors > 1e-12).mean() < 0.05
    assert errors.max() < 2e-4
    assert ours.noise3(0.5, 0.25, 99) == own.noise3(0.5, 0.25, 99)


def test_worlds_ask_for_no_noise_but_what_was_prepared(crafter, env, monkeypatch):
    def refuse(self, *place):
        raise AssertionError(place)

    monkeypatch.setattr(crafter.opensimplex.OpenSimplex, "noise3", refuse)
    env.reset(seed=1)


@pytest.mark.parametrize("task", list_tasks("crafter"))
def test_an_episode_repeats_to_the_bit_from_its_seed_and_actions_and_is_scored(crafter, task):
    spec = load_task(CARD, task)
    card = apply_task(CARD, spec).model_copy(update={"max_episode_steps": 80})
    [rollout] = roll_out(card, [Wanderer()], n_episodes=1, seed=7)
    episode = rollout.trajectories.episode(0)
    again = make_simulation(card, 1, 7)
    again.reset()
    for step, action in enumerate(episode.action):
        again.step(action[None])
        np.testing.assert_array_equal(again.observation[0], episode.observation[step + 1])
    for field in CARD.state:
        low, high = field.range
        assert np.all(
            (getattr(episode, field.name) >= low) & (getattr(episode, field.name) <= high)
        )
    score = compile_metric(read_task_metric(CARD, spec))(episode)
    assert score.parts
    assert not score.success
    assert 0.0 <= score.task_score < spec.target_score


def test_drawing_changes_nothing_even_at_night(crafter):
    envs = [crafter.CrafterEnv() for _ in range(2)]
    rng = np.random.default_rng(0)
    for env in envs:
        env.reset(seed=2)
        env._game._step = 200  # at dusk
    for action in rng.integers(0, len(ACTIONS), 40):
        first, second = (env.step(action)[0] for env in envs)
        assert envs[1].render().shape == (432, 432, 3)
        for name in first:
            np.testing.assert_array_equal(first[name], second[name])
    assert first["body"][3] < 0.5


def test_creatures_are_looked_through_by_their_places(crafter, env, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "crafter.Env._balance_object", lambda self, chunk, objs, *rest: seen.append(objs)
    )
    env._game._balance_chunk((0, 12, 0, 12), set(env._game.world.objects))
    places = [tuple(one.pos) for one in seen[0]]
    assert len(places) > 5
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("task", "material", "least", "most"),
    [("avoid_lava", "lava", 2, 4), ("diamond", "diamond", 5, 9)],
)
def test_tasks_of_the_mountain_begin_in_it_with_tools(crafter, task, material, least, most):
    card = apply_task(CARD, load_task(CARD, task))
    simulation = make_simulation(card, 2, seed=0)
    simulation.reset()
    state = simulation.read_state()
    assert state.iron_pickaxe.tolist() == [1.0] * 2
    for wrapped in simulation.group.envs:
        game = wrapped.unwrapped._game
        cells = np.argwhere(game.map_world() == crafter.KINDS.index(material))
        assert least <= np.abs(cells - game.player.pos).sum(axis=1).min() <= most


def test_a_film_is_the_games_own_pictures_of_the_same_episode(crafter):
    artist = GymnasiumArtist(CARD, 216, 216)
    action = np.array([[ACTIONS.index("move_left")]] * 4)
    frames = list(artist.draw(Footage(np.zeros((5, 0)), "", "", {}, action, seed=9), range(5)))
    again = list(artist.draw(Footage(np.zeros((5, 0)), "", "", {}, action, seed=9), range(5)))
    assert frames[0].shape == (216, 216, 3)
    assert any((frames[0] != frame).any() for frame in frames)
    np.testing.assert_array_equal(frames[-1], again[-1])


def test_it_is_a_plain_gymnasium_environment_to_everybody_else():
    row = backends.find_backend(CARD)
    assert row.is_gymnasium
    assert not row.hosts
