"""Environments of a person's own, of every kind of space."""

import os

import gymnasium
import numpy as np
from gymnasium import spaces


class Odd(gymnasium.Env):
    """Counts its steps; ends by itself at ``length``."""

    def __init__(self, length=5, reward=2.0):
        self.observation_space = spaces.Dict(
            {
                "goal": spaces.Box(-1.0, 1.0, (2, 2), np.float64),
                "place": spaces.Discrete(3, start=1),
                "flags": spaces.MultiBinary(2),
                "pair": spaces.Tuple(
                    (spaces.Box(0.0, 9.0, (), np.float64), spaces.MultiDiscrete([2, 3]))
                ),
            }
        )
        self.action_space = spaces.MultiDiscrete([3, 2])
        self._length, self._reward = length, reward

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._n = 0
        self._goal = self.np_random.uniform(-1, 1, (2, 2))
        self._action = np.array([0, 0])
        return self._observe(), {"drawn": float(self._goal[0, 0])}

    def step(self, action):
        assert self.action_space.contains(action), action
        self._n += 1
        self._action = action
        info = {"is_success": np.bool_(self._n == 3), "n": self._n, "why": "words",
                "place": {"xy": np.array([1.0, 2.0])}, "part/n": {"of/all": self._n}}  # fmt: skip
        if self._n >= self._length:
            info["at_end"], info["row"] = 1, np.array([3.0, 4.0])
        return self._observe(), self._reward, self._n >= self._length, False, info

    def _observe(self):
        return {
            "goal": self._goal,
            "place": 1 + self._n % 3,
            "flags": np.array([self._n % 2, 1]),
            "pair": (np.float32(self._n), np.array([self._action[1], self._action[0]])),
        }


def make_odd(length=5, reward=2.0):
    return Odd(length, reward)


def make_limited():
    return gymnasium.wrappers.TimeLimit(Odd(length=9), 4)


def make_autoreset():
    return gymnasium.wrappers.Autoreset(Odd())


class Scaled(gymnasium.ActionWrapper):
    """A person's own wrapper, which is kept."""

    def action(self, action):
        return 10.0 * action


class Plain(gymnasium.Env):
    """Observes the action it was given."""

    observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float64)
    action_space = spaces.Box(np.array([-1.0, 0.0]), np.array([1.0, 4.0]), dtype=np.float64)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(2), {}

    def step(self, action):
        if action[0] == 1.0:
            raise RuntimeError("a bolt came loose")
        return np.asarray(action, dtype=float), 0.0, False, False, {}


def make_plain():
    return Scaled(Plain())


class Picture(gymnasium.Env):
    observation_space = spaces.Box(0, 255, (64, 64, 3), np.uint8)
    action_space = spaces.Discrete(2)


class Two:
    possible_agents = ("a", "b")


def make_nothing():
    return 3


class Forking(Plain):
    def step(self, action):
        os._exit(0) if os.fork() == 0 else os.wait()
        return super().step(action)


def make_forking():
    return Forking()
