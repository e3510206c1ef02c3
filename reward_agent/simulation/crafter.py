"""Crafter as an environment of numbers: its own observation is an image.

What is observed is what the image shows, cell by cell. Ids, with this module in front:

    Crafter-v1         a world of its own for each episode; in its middle, on grass, with nothing
    CrafterLava-v1     underground, 2 to 4 cells from lava, with the tools of iron
    CrafterDiamond-v1  underground, 5 to 9 cells from a diamond, with the tools of iron

The game is the installed package's, with three differences: no picture is drawn in a step (at night
the game's own takes random numbers; a drawn episode is here the same as one that is not); creatures
that may vanish are looked through in the order of their places, not of their addresses in memory,
so that a seed repeats; and a world's noise is computed at once rather than cell by cell.
"""

from __future__ import annotations

import functools
import itertools
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

try:
    import crafter
    import opensimplex
    from crafter import constants, engine, worldgen
    from opensimplex.constants import (
        GRADIENTS3,
        NORM_CONSTANT3,
        SQUISH_CONSTANT3,
        STRETCH_CONSTANT3,
    )
except ImportError as error:
    raise gymnasium.error.DependencyNotInstalled(
        "Crafter is not installed: pip install 'reward-agent[crafter]'"
    ) from error

# Kinds of cells by their number in the map; 0 is beyond the world.
KINDS = (
    "nothing", *constants.materials, "player", "cow", "zombie", "skeleton", "arrow", "plant",
)  # fmt: skip
ITEMS = tuple(constants.items)
_N_COLUMNS, _N_ROWS = 9, 7
_SIDE, _HEIGHT = _N_COLUMNS // 2, _N_ROWS // 2
# More than to any cell in view: nothing of the kind is seen.
FAR = _SIDE + _HEIGHT + 1
_AREA = 64
_PIXELS = 9 * 48
_TOOLS = ("wood_pickaxe", "stone_pickaxe", "iron_pickaxe", "iron_sword")
# The nearest first.
_CELLS = sorted(
    itertools.product(range(-_SIDE, _SIDE + 1), range(-_HEIGHT, _HEIGHT + 1)),
    key=lambda cell: abs(cell[0]) + abs(cell[1]),
)
_OFFSETS = np.array(_CELLS)
_DISTANCES = np.abs(_OFFSETS).sum(axis=1)


class CrafterEnv(gymnasium.Env):  # type: ignore[misc]
    """Crafter's survival game; ``info`` tells of the score, which no picture shows.

    Args:
        near: material near which an episode starts, underground and with all tools; '' for
            Crafter's own start.
        least, most: how many steps from it.
        render_mode: ``rgb_array`` for pictures.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 5}

    def __init__(
        self, near: str = "", least: int = 0, most: int = 0, render_mode: str | None = None
    ) -> None:
        self.render_mode = render_mode
        self._near, self._least, self._most = near, least, most
        self._game = _Game(area=(_AREA, _AREA), length=0)
        n = len(KINDS)
        self.action_space = spaces.Discrete(len(constants.actions))
        self.observation_space = spaces.Dict(
            {
                "map": spaces.MultiDiscrete([n] * (_N_COLUMNS * _N_ROWS)),
                "faced": spaces.Discrete(n),
                "distance": spaces.Box(0, FAR, (n,)),
                "offset": spaces.Box(-_SIDE, _SIDE, (2 * n,)),
                "inventory": spaces.Box(0, 9, (len(ITEMS),)),
                "body": spaces.Box(-1, 1, (4,)),
            }
        )

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Make a new world, and begin in it."""
        super().reset(seed=seed)
        while not self._game.begin(
            int(self.np_random.integers(2**31 - 1)), self._near, self._least, self._most
        ):
            pass
        self._start = self._game.player.pos.copy()
        self._seen = np.zeros((_AREA, _AREA), dtype=bool)
        return self._observe(self._game.map_world())

    def step(self, action: Any) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Do one of the game's actions."""
        _, reward, is_over, told = self._game.step(int(action))
        observation, info = self._observe(told["semantic"])
        return observation, float(reward), bool(is_over), False, info

    def render(self) -> NDArray[np.uint8]:
        """Return the game's own picture, which changes nothing in the game."""
        random = self._game.world.random
        state = random.get_state()
        picture = self._game.render((_PIXELS, _PIXELS))
        random.set_state(state)
        return np.ascontiguousarray(picture)

    def _observe(self, kinds: NDArray[np.uint8]) -> tuple[dict[str, Any], dict[str, Any]]:
        player = self._game.player
        x, y = player.pos
        padded = np.zeros((_AREA + 2 * _SIDE, _AREA + 2 * _HEIGHT), dtype=np.uint8)
        padded[_SIDE:-_SIDE, _HEIGHT:-_HEIGHT] = kinds
        view = padded[x : x + _N_COLUMNS, y : y + _N_ROWS]
        nearest = view[_OFFSETS[:, 0] + _SIDE, _OFFSETS[:, 1] + _HEIGHT]
        hits = nearest == np.arange(len(KINDS))[:, None]
        first, is_seen = hits.argmax(axis=1), hits.any(axis=1)
        dx, dy = player.facing
        observation = {
            "map": view.T.ravel().astype(np.int64),
            "faced": int(view[_SIDE + dx, _HEIGHT + dy]),
            "distance": np.where(is_seen, _DISTANCES[first], FAR),
            "offset": np.where(is_seen[:, None], _OFFSETS[first], 0).ravel(),
            "inventory": np.array([player.inventory[item] for item in ITEMS]),
            "body": np.array([dx, dy, player.sleeping, self._game.world.daylight], np.float32),
        }
        self._seen[max(x - _SIDE, 0) : x + _SIDE + 1, max(y - _HEIGHT, 0) : y + _HEIGHT + 1] = True
        info = {
            "position": player.pos - self._start,
            "cells_seen": int(self._seen.sum()),
            "is_in_lava": self._game.world[player.pos][0] == "lava",
            "achievements": dict(player.achievements),
        }
        return observation, info


class _Game(crafter.Env):  # type: ignore[misc]
    """The package's game, drawn when it is asked to be."""

    def begin(self, seed: int, near: str, least: int, most: int) -> bool:
        """Make a world; return whether it has a place to start from."""
        self._seed, self._episode = seed, 0
        super().reset()
        return not near or self._go_near(near, least, most)

    @property
    def world(self) -> Any:
        """What is where."""
        return self._world

    @property
    def player(self) -> Any:
        """Who acts."""
        return self._player

    def map_world(self) -> NDArray[np.uint8]:
        """Return the kind of each cell ``(64, 64)``, by column and row."""
        return np.asarray(self._sem_view())

    def _go_near(self, material: str, least: int, most: int) -> bool:
        """Put the player, with all tools, so many steps from a material, underground."""
        kinds = self.map_world()
        wanted = np.argwhere(kinds == KINDS.index(material))
        rock = np.argwhere(np.isin(kinds, [KINDS.index("stone"), KINDS.index("path")]))
        steps = np.abs(rock[:, None] - wanted).sum(axis=-1).min(axis=1, initial=2 * _AREA)
        places = rock[(steps >= least) & (steps <= most)]
        if not len(places):
            return False
        place = places[self._world.random.randint(len(places))]
        self._world[place] = "path"
        self._world.move(self._player, place)
        for tool in _TOOLS:
            self._player.inventory[tool] = 1
        return True

    def _obs(self) -> None:
        """Draw nothing: this is asked for in each step."""

    def _balance_object(self, chunk: Any, objs: Any, *rest: Any) -> None:
        super()._balance_object(chunk, sorted(objs, key=lambda one: tuple(one.pos)), *rest)


# The places at which worlds ask for noise: z, and by what x and y are multiplied, then divided.
_LAYERS = (
    (8, 1, 1, 3), (3, 1, 1, 15), (3, 1, 1, 5), (0, 1, 1, 15), (0, 1, 1, 5), (6, 1, 1, 7),
    (7, 2, 0.2, 3), (7, 0.2, 2, 3), (1, 1, 1, 8), (2, 1, 1, 6), (6, 1, 1, 5), (4, 1, 1, 9),
    (5, 1, 1, 7),
)  # fmt: skip


class _Noise:
    """The noise of a world: what ``opensimplex`` computes point by point, of all points at once.

    It leaves out a few contributions, all smaller than 2e-4, which are summed here.
    """

    def __init__(self, seed: int) -> None:
        self._own = opensimplex.OpenSimplex(seed)
        places, lattice, weights, owners = _lay_lattice()
        order = self._own._perm.astype(np.uint8)  # which counts from 255 on to 0, as it must
        i, j, k = lattice
        gradients = np.reshape(GRADIENTS3, (-1, 3))[self._own._perm_grad_index3 // 3]
        shares = np.einsum("ij,ij->i", gradients[order[order[i] + j] + k], weights)
        self._places = places
        self._values: list[float] = np.bincount(owners, shares, len(places)).tolist()

    def noise3(self, x: float, y: float, z: float) -> float:
        """Return the noise at a place; elsewhere it is the package's own."""
        at = self._places.get((x, y, z))
        return float(self._own.noise3(x, y, z)) if at is None else self._values[at]


@functools.cache
def _lay_lattice() -> tuple[dict[Any, int], NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return what no seed changes: the places, and of each contribution cell, weight and place.

    Source: K. Spencer's OpenSimplex noise: a lattice point adds (2 - d²)⁴ of its gradient times
    the way from it, as far as d² < 2.
    """
    cells = itertools.product(_LAYERS, range(_AREA), range(_AREA))
    places: dict[tuple[float, ...], int] = {}
    for (z, by_x, by_y, size), x, y in cells:
        at = (_scale(x, by_x) / size, _scale(y, by_y) / size, z)
        places.setdefault(at, len(places))
    points = np.array([*places], dtype=float)
    base = np.floor(points + points.sum(axis=1, keepdims=True) * STRETCH_CONSTANT3).astype(int)
    lattice, weights, owners = [], [], []
    for corner in itertools.product((-1, 0, 1, 2), repeat=3):
        node = base + corner
        way = points - node - node.sum(axis=1, keepdims=True) * SQUISH_CONSTANT3
        near = np.maximum(2 - np.square(way).sum(axis=1), 0)
        (reached,) = np.nonzero(near)
        lattice.append(node[reached].T.astype(np.uint8))
        weights.append(way[reached] * (near[reached, None] ** 4 / NORM_CONSTANT3))
        owners.append(reached)
    return places, np.hstack(lattice), np.vstack(weights), np.hstack(owners)


def _scale(x: int, by: float) -> float:
    return x / 5 if by == 0.2 else by * x


class _NoiseMaker:
    """What the game's worlds take for the package ``opensimplex``."""

    OpenSimplex = _Noise


worldgen.opensimplex = _NoiseMaker
# Else each environment reads all the pictures anew.
engine.Textures = functools.cache(engine.Textures)

for _name, _given in {
    "Crafter-v1": {},
    "CrafterLava-v1": {"near": "lava", "least": 2, "most": 4},
    "CrafterDiamond-v1": {"near": "diamond", "least": 5, "most": 9},
}.items():
    gymnasium.register(_name, entry_point=CrafterEnv, kwargs=_given)
