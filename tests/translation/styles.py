"""Rewards in the styles that people write them in, beside the thirty in ``people``.

Each is an environment, how plain Python pays one step with it (empty: not without its libraries), and
the text; what is refused has words that its remedy must hold instead.
"""

from __future__ import annotations

# Name -> environment, call, text.
TAKEN: dict[str, tuple[str, str, str]] = {
    "legged_other": (
        "ant",
        "",
        """\
import torch
from legged_gym.envs.base.legged_robot import LeggedRobot

class AntRough(LeggedRobot):
    def __init__(self, cfg):
        self.cfg = cfg
        self.reward_scales = {"lin_vel_x": 1.0, "ang_vel": -0.05, "torques": -0.0002, "height": -2.0}

    def compute_reward(self):
        self.rew_buf[:] = 0.
        for i in range(len(self.reward_functions)):
            name = self.reward_names[i]
            rew = self.reward_functions[i]() * self.reward_scales[name]
            self.rew_buf += rew
            self.episode_sums[name] += rew

    def _reward_lin_vel_x(self):
        return torch.clip(self.torso_velocity[:, 0], min=-1., max=2.)

    def _reward_ang_vel(self):
        return torch.sum(torch.square(self.torso_angular_velocity[:, :2]), dim=1)

    def _reward_torques(self):
        return torch.sum(torch.square(self.actions), dim=1)

    def _reward_height(self):
        return torch.square(self.torso_height - 0.6)
""",
    ),
    "isaac_objects": (
        "half_cheetah",
        "reward(obs, action, next_obs, info)",
        """\
import numpy as np

class RewTerm:
    def __init__(self, func, weight, params=None):
        self.func = func
        self.weight = weight
        self.params = params or {}

def forward(obs, cap):
    return min(obs[8], cap)

def upright(obs):
    return np.exp(-abs(obs[1]))

def action_l2(action):
    return np.sum(np.square(action))

TERMS = {
    "forward": RewTerm(func=forward, weight=1.5, params={"cap": 3.0}),
    "upright": RewTerm(func=upright, weight=0.2),
}

def reward(obs, action, next_obs, info):
    total = 0.0
    for name, term in TERMS.items():
        total += term.weight * term.func(next_obs, **term.params)
    return total - 0.1 * action_l2(action)
""",
    ),
    "wrapper_chain": (
        "hopper",
        "",
        """\
import gymnasium as gym
import numpy as np

class Base(gym.Wrapper):
    def __init__(self, env):
        super().__init__(env)

    def shape(self, obs, action):
        raise NotImplementedError

    def step(self, action):
        obs, reward, terminated, truncated, info = self.env.step(action)
        return obs, self.shape(obs, action), terminated, truncated, info

class Hop(Base):
    weight = 2.0

    def shape(self, obs, action):
        return self.weight * float(obs[5]) - 0.001 * float(np.dot(action, action))
""",
    ),
    "dmc_task": (
        "walker2d",
        "",
        """\
from dm_control.utils import rewards
import numpy as np

_STAND_HEIGHT = 1.2
_RUN_SPEED = 8

class PlanarWalker:
    def __init__(self, move_speed=1, random=None):
        self._move_speed = move_speed

    def get_reward(self, physics):
        '''Returns a reward to the agent.'''
        standing = rewards.tolerance(physics.torso_height(),
                                     bounds=(_STAND_HEIGHT, float('inf')),
                                     margin=_STAND_HEIGHT/2)
        upright = (1 + physics.torso_upright()) / 2
        stand_reward = (3*standing + upright) / 4
        if self._move_speed == 0:
            return stand_reward
        else:
            move_reward = rewards.tolerance(physics.horizontal_velocity(),
                                            bounds=(self._move_speed, float('inf')),
                                            margin=self._move_speed/2,
                                            value_at_margin=0.5,
                                            sigmoid='linear')
            return stand_reward * (5*move_reward + 1) / 6
""",
    ),
    "jax_lax": (
        "hopper",
        "",
        """\
import jax
import jax.numpy as jnp
from jax import lax

@jax.jit
def reward_fn(obs, action, next_obs):
    v = next_obs[5]
    healthy = jnp.logical_and(next_obs[0] > 0.8, jnp.abs(next_obs[1]) < 0.2)
    r = jnp.where(healthy, 1.0 + v, -1.0)
    ctrl = jnp.sum(action ** 2)
    bonus = lax.cond(v > 1.0, lambda x: 2.0 * x, lambda x: 0.0, v)
    return r + bonus - 1e-3 * ctrl
""",
    ),
    "torch_batch1": (
        "hopper",
        "",
        """\
import torch

def compute_reward(obs, action, next_obs):
    obs = torch.as_tensor(next_obs, dtype=torch.float32).unsqueeze(0)
    act = torch.as_tensor(action, dtype=torch.float32).unsqueeze(0)
    vel = obs[:, 5]
    up = torch.exp(-torch.abs(obs[:, 1]))
    cost = torch.sum(act * act, dim=-1)
    return (vel * up - 0.01 * cost).item()
""",
    ),
    "dataclass_cfg": (
        "walker2d",
        "reward(obs, action, next_obs, info)",
        """\
from dataclasses import dataclass, field

@dataclass
class RewardConfig:
    speed: float = 1.0
    alive: float = 0.5
    target: float = 1.5
    ctrl: float = 1e-3
    limits: tuple = (0.8, 2.0)
    gains: list = field(default_factory=lambda: [1.0, 0.5])

cfg = RewardConfig(target=2.0)

def reward(obs, action, next_obs, info):
    lo, hi = cfg.limits
    alive = cfg.alive if lo < next_obs[0] < hi else 0.0
    speed = cfg.speed * max(0.0, 1.0 - abs(next_obs[8] - cfg.target) / cfg.target)
    return cfg.gains[0] * speed + cfg.gains[1] * alive - cfg.ctrl * sum(a * a for a in action)
""",
    ),
    "deque": (
        "hopper",
        "kept(lambda: SmoothReward())(obs, action, next_obs, info)",
        """\
from collections import deque
import numpy as np

class SmoothReward:
    def __init__(self, size=3):
        self.size = size
        self.reset()

    def reset(self):
        self.speeds = deque([0.0] * self.size, maxlen=self.size)

    def __call__(self, obs, action, next_obs, info):
        self.speeds.append(next_obs[5])
        return float(np.mean(self.speeds))
""",
    ),
    "eureka_jit": (
        "ant",
        "",
        """\
import torch
import math
from typing import Tuple, Dict
from torch import Tensor

@torch.jit.script
def compute_reward(torso_velocity: Tensor, torso_height: Tensor, actions: Tensor, torso_up: Tensor) -> Tuple[Tensor, Dict[str, Tensor]]:
    vel_temp = 0.1
    forward = torso_velocity[:, 0]
    forward_reward = torch.exp(vel_temp * forward) - 1.0
    height_reward = -torch.square(torso_height - 0.55)
    penalty = torch.where(torso_up < 0.5, torch.full_like(torso_up, -1.0), torch.zeros_like(torso_up))
    act = torch.mean(torch.pow(actions, 2), dim=-1)
    reward = forward_reward + height_reward + penalty - 0.05 * act
    reward_components = {"forward": forward_reward, "height": height_reward, "penalty": penalty, "action": -0.05 * act}
    return reward, reward_components
""",
    ),
    "partial2": (
        "hopper",
        "reward_function(obs, action, next_obs)",
        """\
import functools
import math

def gauss(x, mu, sigma):
    return math.exp(-0.5 * ((x - mu) / sigma) ** 2)

up = functools.partial(gauss, mu=0.0, sigma=0.2)
fast = functools.partial(gauss, mu=2.0, sigma=1.0)

def reward_function(state, action, next_state):
    return 0.3 * up(next_state[1]) + 0.7 * fast(next_state[5])
""",
    ),
    "match_number": (
        "hopper",
        "reward(obs, action, next_obs, info)",
        """\
def stage(z):
    if z < 0.9:
        return 0
    elif z < 1.2:
        return 1
    return 2

def reward(obs, action, next_obs, info):
    match stage(next_obs[0]):
        case 0:
            return -1.0
        case 1:
            return 0.1 * next_obs[5]
        case _:
            return next_obs[5]
""",
    ),
    "walrus": (
        "hopper",
        "reward(obs, action, next_obs, info)",
        """\
def reward(obs, action, next_obs, info):
    if (v := next_obs[5]) > 1.0:
        return 1.0 + 0.1 * v
    return v
""",
    ),
    "while_count": (
        "hopper",
        "reward(obs, action, next_obs, info)",
        """\
def reward(obs, action, next_obs, info):
    i, total = 0, 0.0
    while i < len(action):
        total += action[i] ** 2
        i += 1
    return next_obs[5] - 0.1 * total
""",
    ),
    "early_returns": (
        "hopper",
        "reward(obs, action, next_obs, info)",
        """\
def reward(obs, action, next_obs, info):
    if next_obs[0] < 0.7:
        return -10.0
    if abs(next_obs[1]) > 0.5:
        return -5.0
    for a in action:
        if abs(a) > 0.95:
            return -1.0
    if next_obs[5] < 0:
        return 0.0
    return next_obs[5]
""",
    ),
    "inner_reward_bonus": (
        "hopper",
        "",
        """\
import gymnasium as gym

class Bonus(gym.Wrapper):
    def step(self, action):
        obs, reward, terminated, truncated, info = self.env.step(action)
        reward += 0.5 * info["x_velocity"]
        return obs, reward, terminated, truncated, info
""",
    ),
    "gym_step_full": (
        "half_cheetah",
        "",
        """\
import numpy as np
from gymnasium import utils
from gymnasium.envs.mujoco import MujocoEnv

class MyCheetah(MujocoEnv, utils.EzPickle):
    def __init__(self, forward_reward_weight=1.0, ctrl_cost_weight=0.1, **kwargs):
        self._forward_reward_weight = forward_reward_weight
        self._ctrl_cost_weight = ctrl_cost_weight
        MujocoEnv.__init__(self, "half_cheetah.xml", 5, **kwargs)

    def control_cost(self, action):
        control_cost = self._ctrl_cost_weight * np.sum(np.square(action))
        return control_cost

    def step(self, action):
        x_position_before = self.data.qpos[0]
        self.do_simulation(action, self.frame_skip)
        x_position_after = self.data.qpos[0]
        x_velocity = (x_position_after - x_position_before) / self.dt

        observation = self._get_obs()
        reward, reward_info = self._get_rew(x_velocity, action)
        info = {"x_position": x_position_after, "x_velocity": x_velocity, **reward_info}
        if self.render_mode == "human":
            self.render()
        return observation, reward, False, False, info

    def _get_rew(self, x_velocity, action):
        forward_reward = self._forward_reward_weight * x_velocity
        ctrl_cost = self.control_cost(action)
        reward = forward_reward - ctrl_cost
        reward_info = {"reward_forward": forward_reward, "reward_ctrl": -ctrl_cost}
        return reward, reward_info
""",
    ),
    "hopper_v4": (
        "hopper",
        "",
        """\
import numpy as np
from gym.envs.mujoco import mujoco_env

class HopperEnv(mujoco_env.MujocoEnv):
    def step(self, a):
        posbefore = self.sim.data.qpos[0]
        self.do_simulation(a, self.frame_skip)
        posafter, height, ang = self.sim.data.qpos[0:3]
        alive_bonus = 1.0
        reward = (posafter - posbefore) / self.dt
        reward += alive_bonus
        reward -= 1e-3 * np.square(a).sum()
        s = self.state_vector()
        done = not (np.isfinite(s).all() and (np.abs(s[2:]) < 100).all() and (height > .7) and (abs(ang) < .2))
        ob = self._get_obs()
        return ob, reward, done, {}
""",
    ),
    "ant_v5_like": (
        "ant",
        "",
        """\
import numpy as np
from gymnasium.envs.mujoco.ant_v5 import AntEnv

class MyAnt(AntEnv):
    def step(self, action):
        xy_before = self.data.body(self._main_body).xpos[:2].copy()
        self.do_simulation(action, self.frame_skip)
        xy_after = self.data.body(self._main_body).xpos[:2].copy()
        vx, vy = (xy_after - xy_before) / self.dt
        reward = vx - 0.5 * np.square(action).sum() + self.healthy_reward
        return self._get_obs(), reward, self.terminated, False, {}
""",
    ),
    "get_body_com": (
        "ant",
        "",
        """\
import numpy as np
class AntDir(AntEnv):
    def step(self, a):
        torso_before = self.get_body_com("torso")[:2]
        self.do_simulation(a, self.frame_skip)
        torso_after = self.get_body_com("torso")[:2]
        direct = np.array([1.0, 0.5])
        v = np.dot(torso_after - torso_before, direct) / self.dt
        return self._get_obs(), v, False, {}
""",
    ),
    "stateful_global": (
        "hopper",
        "reward(obs, action, next_obs, info)",
        """\
import numpy as np
prev_x = None
def reward(obs, action, next_obs, info):
    global prev_x
    x = info["x_position"]
    dx = 0.0 if prev_x is None else x - prev_x
    prev_x = x
    return 10 * dx
""",
    ),
    "ema": (
        "hopper",
        "kept(lambda: EMA())(obs, action, next_obs, info)",
        """\
class EMA:
    def __init__(self, alpha=0.1):
        self.alpha = alpha
        self.avg = 0.0
    def reset(self):
        self.avg = 0.0
    def __call__(self, obs, action, next_obs, info=None):
        self.avg += self.alpha * (next_obs[5] - self.avg)
        return self.avg - 0.01 * sum(abs(x) for x in action)
""",
    ),
    "milestones": (
        "hopper",
        "kept(lambda: Milestones())(obs, action, next_obs, info)",
        """\
class Milestones:
    def __init__(self):
        self.reset()
    def reset(self):
        self.reached = [False, False, False]
    def __call__(self, obs, action, next_obs, info):
        r = 0.0
        for i, goal in enumerate([0.5, 1.0, 2.0]):
            if not self.reached[i] and info["x_position"] > goal:
                self.reached[i] = True
                r += 10.0
        return r
""",
    ),
    "np_fancy": (
        "hopper",
        "reward(obs, action, next_obs, info)",
        """\
import numpy as np
def reward(obs, action, next_obs, info):
    j = next_obs[[8, 9, 10]]
    m = np.mean(np.abs(j))
    big = np.any(np.abs(action) > 0.9)
    mx = np.max(j)
    return float(next_obs[5]) - 0.1 * m - (1.0 if big else 0.0) + 0.01 * mx - np.std(action)
""",
    ),
    "np_mask": (
        "hopper",
        "reward(obs, action, next_obs, info)",
        """\
import numpy as np
def reward(obs, action, next_obs, info):
    over = np.abs(action) > 0.5
    return next_obs[5] - np.sum(np.abs(action)[over])
""",
    ),
    "np_inplace": (
        "hopper",
        "reward(obs, action, next_obs, info)",
        """\
import numpy as np
def reward(obs, action, next_obs, info):
    parts = np.zeros(3)
    parts[0] = next_obs[5]
    parts[1] = -abs(next_obs[1])
    parts[2] = -0.01 * np.sum(action ** 2)
    return parts.sum()
""",
    ),
    "terms_append_if": (
        "hopper",
        "reward(obs, action, next_obs, info)",
        """\
def reward(obs, action, next_obs, info):
    rewards = []
    rewards.append(next_obs[5])
    if next_obs[0] > 1.2:
        rewards.append(0.2)
    return sum(rewards)
""",
    ),
    "type_hints": (
        "hopper",
        "reward(obs, action, next_obs, info)",
        """\
from __future__ import annotations
from typing import TYPE_CHECKING, NamedTuple, Optional, Protocol
import numpy as np
import numpy.typing as npt
if TYPE_CHECKING:
    from torch import Tensor
Obs = np.ndarray

class Terms(NamedTuple):
    speed: float
    lean: float

def terms(o: Obs) -> Terms:
    return Terms(speed=o[5], lean=-abs(o[1]))

def reward(obs: Obs, action: npt.NDArray[np.float32], next_obs: Obs, info: Optional[dict] = None) -> float:
    t = terms(next_obs)
    return t.speed + 0.5 * t.lean
""",
    ),
    "namedtuple": (
        "hopper",
        "reward(obs, action, next_obs, info)",
        """\
from collections import namedtuple, defaultdict, OrderedDict
W = namedtuple("W", ["speed", "lean"])
w = W(1.0, 0.5)
def reward(obs, action, next_obs, info):
    parts = defaultdict(float)
    parts["speed"] += w.speed * next_obs[5]
    parts["lean"] -= w.lean * abs(next_obs[1])
    return sum(parts.values())
""",
    ),
    "staticmethod": (
        "hopper",
        "Reward().get_reward(obs, action, next_obs)",
        """\
class Reward:
    W = {"v": 1.0, "p": 0.1}
    @staticmethod
    def bell(x, s):
        import math
        return math.exp(-(x / s) ** 2)
    @classmethod
    def weight(cls, k):
        return cls.W[k]
    @property
    def gain(self):
        return 2.0
    def get_reward(self, obs, action, next_obs):
        return self.gain * self.weight("v") * next_obs[5] + self.weight("p") * self.bell(next_obs[1], 0.2)
""",
    ),
    "step_after": (
        "hopper",
        "",
        """\
import gymnasium as gym
class W(gym.Wrapper):
    def __init__(self, env):
        super().__init__(env)
        self.steps = 0
        self.last_obs = None
    def reset(self, **kwargs):
        obs, info = self.env.reset(**kwargs)
        self.steps = 0
        self.last_obs = obs
        return obs, info
    def step(self, action):
        obs, r, term, trunc, info = self.env.step(action)
        self.steps += 1
        new_r = (obs[5] - self.last_obs[5]) + (0.01 if self.steps > 10 else 0.0)
        self.last_obs = obs
        return obs, new_r, term, trunc, info
""",
    ),
    "multi_dim": (
        "humanoid",
        "",
        """\
import numpy as np
def compute_reward(state, action, next_state):
    vel = next_state["torso_velocity"]
    up = next_state["torso_up"]
    return vel[0] + 0.5 * up - 0.1 * np.square(action).sum()
""",
    ),
    "interp": (
        "hopper",
        "reward(obs, action, next_obs, info)",
        """\
import numpy as np
def reward(obs, action, next_obs, info):
    h = np.interp(next_obs[0], [0.7, 1.2, 1.4], [0.0, 1.0, 0.5])
    return h * np.tanh(next_obs[5])
""",
    ),
    "einsum_cross": (
        "ant",
        "reward(obs, action, next_obs, info)",
        """\
import numpy as np
def reward(obs, action, next_obs, info):
    w, x, y, z = next_obs[1:5]
    R = np.array([[1-2*(y*y+z*z), 2*(x*y-z*w), 2*(x*z+y*w)],
                  [2*(x*y+z*w), 1-2*(x*x+z*z), 2*(y*z-x*w)],
                  [2*(x*z-y*w), 2*(y*z+x*w), 1-2*(x*x+y*y)]])
    up = R[2, 2]
    body_v = R.T @ next_obs[13:16]
    return body_v[0] + 0.1 * up
""",
    ),
    "isaaclab_fn": (
        "half_cheetah",
        "",
        """\
from __future__ import annotations
import torch
from isaaclab.managers import RewardTermCfg as RewTerm

def forward_velocity(env, std: float) -> torch.Tensor:
    return torch.tanh(env.forward_velocity / std)

def joint_vel_l2(env):
    return torch.sum(torch.square(env.joint_velocities), dim=1)

class RewardsCfg:
    speed = RewTerm(func=forward_velocity, weight=1.0, params={"std": 2.0})
    smooth = RewTerm(func=joint_vel_l2, weight=-0.001)
""",
    ),
    "playground2": (
        "hopper",
        "",
        """\
import jax.numpy as jp
class Hop:
    def _get_reward(self, data, action, info, metrics):
        standing = self._standing(data)
        ctrl = jp.sum(jp.square(action))
        return {"standing": standing * 1.0, "ctrl": -0.01 * ctrl}
    def _standing(self, data):
        return jp.where(data.qpos[1] > 1.0, 1.0, 0.0)
    def step(self, state, action):
        rewards = self._get_reward(data, action, info, metrics)
""",
    ),
    "clip_nested": (
        "hopper",
        "reward(obs, action, next_obs, info)",
        """\
from numpy import *
def reward(obs, action, next_obs, info):
    return clip(next_obs[5], 0, 2) * exp(-abs(next_obs[1])) - 0.01 * sum(action ** 2)
""",
    ),
    "vector_terms": (
        "hopper",
        "reward(obs, action, next_obs, info)[0]",
        """\
import numpy as np
WEIGHTS = {"vel": 1.0, "up": 0.3, "ctrl": -1e-3}
def reward(obs, action, next_obs, info):
    r = {}
    r["vel"] = next_obs[5]
    r["up"] = float(abs(next_obs[1]) < 0.1)
    r["ctrl"] = np.sum(action ** 2)
    total = sum(WEIGHTS[k] * v for k, v in r.items())
    return total, {k: WEIGHTS[k] * v for k, v in r.items()}
""",
    ),
    "or_value": (
        "hopper",
        "reward(obs, action, next_obs, info)",
        """\
def reward(obs, action, next_obs, info):
    v = next_obs[5] or 0.1
    bonus = (next_obs[0] > 1.2) and 2.0
    return v + bonus
""",
    ),
    "int_cond": (
        "hopper",
        "reward(obs, action, next_obs, info)",
        """\
def reward(obs, action, next_obs, info):
    return int(next_obs[5] * 10) % 3 + (next_obs[0] > 1.2) * 1 + round(next_obs[5], 1) + next_obs[5] // 0.1
""",
    ),
    "break_continue": (
        "hopper",
        "reward(obs, action, next_obs, info)",
        """\
def reward(obs, action, next_obs, info):
    total = 0.0
    for x in next_obs[5:]:
        if x < 0:
            continue
        total += x
        if total > 1.0:
            break
    else:
        total -= 0.5
    return total
""",
    ),
    "minmax_list": (
        "hopper",
        "reward(obs, action, next_obs, info)",
        """\
def reward(obs, action, next_obs, info):
    xs = [next_obs[5], next_obs[6], 0.1]
    return max(xs) - min(xs) + sorted(xs)[1] + max(0.2, *action)
""",
    ),
    "any_all": (
        "hopper",
        "reward(obs, action, next_obs, info)",
        """\
def reward(obs, action, next_obs, info):
    ok = all(abs(a) < 0.9 for a in action) and any(j > 0 for j in next_obs[2:5])
    return 1.0 if ok else -1.0
""",
    ),
    "numpy_stats": (
        "hopper",
        "reward(obs, action, next_obs, info)",
        """\
import numpy as np
def reward(obs, action, next_obs, info):
    j = next_obs[8:11]
    return np.var(j) + np.median(j) + np.ptp(action) + np.prod(action) + np.argmax(action) + np.linalg.norm(j, 1) + np.linalg.norm(j, np.inf)
""",
    ),
    "numpy_concat": (
        "hopper",
        "reward(obs, action, next_obs, info)",
        """\
import numpy as np
def reward(obs, action, next_obs, info):
    x = np.concatenate([next_obs[:2], action, [1.0]])
    w = np.arange(6) * 0.1
    y = np.hstack((x, 2.0))
    return np.dot(x, w) + y[-1] + np.diff(x).sum() + np.cumsum(action)[-1] + x[::2].sum() + x[-3:].mean()
""",
    ),
    "np_where_nested": (
        "hopper",
        "reward(obs, action, next_obs, info)",
        """\
import numpy as np
def reward(obs, action, next_obs, info):
    v = next_obs[5]
    r = np.where(v > 0, np.where(v > 1, 2.0, v), -0.1)
    s = np.select([v < 0, v < 0.5], [-1.0, 0.0], 1.0)
    return float(r + s + np.sign(v) + np.heaviside(v, 0.5) + np.clip(action, -0.2, 0.3).sum())
""",
    ),
    "math_all": (
        "hopper",
        "reward(obs, action, next_obs, info)",
        """\
import math
from math import sqrt, atan2, pi
def reward(obs, action, next_obs, info):
    v = next_obs[5]
    return sqrt(v * v + 1) + atan2(v, 1.0) / pi + math.hypot(v, 2) + math.log(1 + abs(v)) + math.copysign(1, v) + math.floor(v) + math.ceil(v) + math.degrees(0.01) + math.log(8, 2) + math.pow(v, 2) + math.fabs(v)
""",
    ),
    "dict_terms_update": (
        "hopper",
        "reward(obs, action, next_obs, info)",
        """\
def reward(obs, action, next_obs, info):
    t = {"a": next_obs[5]}
    t.update(b=0.5 * next_obs[1])
    t["c"] = t["a"] * 2 if next_obs[0] > 1.2 else 0.0
    if next_obs[5] > 0.1:
        t["a"] += 1.0
    return sum(t.values())
""",
    ),
    "hasattr_prev": (
        "hopper",
        "kept(lambda: R()).compute_reward(obs, action, next_obs)",
        """\
class R:
    def compute_reward(self, obs, action, next_obs):
        if not hasattr(self, "prev"):
            self.prev = next_obs[0]
        d = next_obs[0] - self.prev
        self.prev = next_obs[0]
        return 10 * d
""",
    ),
    "getattr_prev": (
        "hopper",
        "kept(lambda: R()).compute_reward(obs, action, next_obs)",
        """\
class R:
    def compute_reward(self, obs, action, next_obs):
        last = getattr(self, "last", None)
        self.last = action
        if last is None:
            return 0.0
        return -sum((action - last) ** 2)
""",
    ),
    "composition": (
        "hopper",
        "reward(obs, action, next_obs, info)",
        """\
class Term:
    weight = 1.0
    def __call__(self, o, a): raise NotImplementedError
class Speed(Term):
    def __init__(self, cap): self.cap = cap
    def __call__(self, o, a): return min(o[5], self.cap)
class Energy(Term):
    weight = -0.01
    def __call__(self, o, a): return sum(x ** 2 for x in a)
class Total:
    def __init__(self, *terms): self.terms = terms
    def __call__(self, obs, action, next_obs, info):
        return sum(t.weight * t(next_obs, action) for t in self.terms)
reward = Total(Speed(1.5), Energy())
""",
    ),
    "decorator": (
        "hopper",
        "reward(obs, action, next_obs, info)",
        """\
import functools
def clipped(f):
    @functools.wraps(f)
    def g(*args, **kwargs):
        return max(-1.0, min(1.0, f(*args, **kwargs)))
    return g
@clipped
def reward(obs, action, next_obs, info):
    return 5 * next_obs[5]
""",
    ),
    "comprehension_matrix": (
        "hopper",
        "reward(obs, action, next_obs, info)",
        """\
W = [[0.1, 0.2], [0.3, 0.4]]
def reward(obs, action, next_obs, info):
    v = [next_obs[5], next_obs[6]]
    out = [sum(W[i][j] * v[j] for j in range(2)) for i in range(2)]
    return sum(o for i, o in enumerate(out) if i % 2 == 0) + len(out)
""",
    ),
    "zip_names": (
        "hopper",
        "reward(obs, action, next_obs, info)",
        """\
NAMES = ["z", "pitch", "thigh", "leg", "foot", "vx", "vz", "w", "dt", "dl", "df"]
def reward(obs, action, next_obs, info):
    s = dict(zip(NAMES, next_obs))
    return s["vx"] - 0.1 * abs(s["pitch"]) + (s["z"] - 1.0)
""",
    ),
    "namespace": (
        "hopper",
        "reward(obs, action, next_obs, info)",
        """\
from types import SimpleNamespace as NS
cfg = NS(w=1.5, lim=NS(lo=-1.0, hi=1.0))
def reward(obs, action, next_obs, info):
    return cfg.w * min(max(next_obs[5], cfg.lim.lo), cfg.lim.hi)
""",
    ),
    "nonlocal_closure": (
        "hopper",
        "reward(obs, action, next_obs, info)",
        """\
def make():
    last = 0.0
    def reward(obs, action, next_obs, info):
        nonlocal last
        d = next_obs[5] - last
        last = next_obs[5]
        return d
    return reward
reward = make()
""",
    ),
    "del_pop": (
        "hopper",
        "reward(obs, action, next_obs, info)",
        """\
def reward(obs, action, next_obs, info):
    t = {"a": next_obs[5], "b": 1.0}
    b = t.pop("b")
    return sum(t.values()) + 2 * b
""",
    ),
    "string_keys": (
        "hopper",
        "reward(obs, action, next_obs, info)",
        """\
def reward(obs, action, next_obs, info):
    out = {}
    for i, n in enumerate(("thigh", "leg", "foot")):
        out[f"{n}_cost"] = action[i] ** 2
    keys = [k for k in out if k.startswith("leg") or k.endswith("_cost")]
    return -sum(out[k] for k in keys)
""",
    ),
    "bool_arith": (
        "hopper",
        "reward(obs, action, next_obs, info)",
        """\
import numpy as np
def reward(obs, action, next_obs, info):
    a = next_obs[0] > 1.2
    b = next_obs[5] > 0
    return float(a) + 2 * b - (a and not b) + (a & b) + (a ^ b) * 0.5 + np.logical_or(a, b) * 0.25 + sum([a, b])
""",
    ),
    "none_default": (
        "hopper",
        "reward(obs, action, next_obs, info)",
        """\
def reward(obs, action, next_obs, info, target=None, weights=None):
    target = target if target is not None else 1.0
    weights = weights or {"v": 2.0}
    return -weights.get("v", 1.0) * abs(next_obs[5] - target) + weights.get("x", 0.5)
""",
    ),
    "unpack_star": (
        "hopper",
        "reward(obs, action, next_obs, info)",
        """\
def reward(obs, action, next_obs, info):
    z, pitch, *joints, vx, vz, w = next_obs[:8]
    first, *_, last = action
    return vx + first * last - sum(abs(j) for j in joints) * 0.1 + w * 0
""",
    ),
    "np_maximum_reduce": (
        "hopper",
        "reward(obs, action, next_obs, info)",
        """\
import numpy as np
def reward(obs, action, next_obs, info):
    return np.maximum.reduce(np.abs(action)) + np.add.reduce(action)
""",
    ),
    "float32": (
        "hopper",
        "reward(obs, action, next_obs, info)",
        """\
import numpy as np
def reward(obs, action, next_obs, info):
    a = np.asarray(action, dtype=np.float64)
    return np.float64(next_obs[5]) + a.sum().item() + np.squeeze(next_obs[6:7]) + a.max().astype(float)
""",
    ),
    "tuple_return_terms": (
        "hopper",
        "reward(obs, action, next_obs, info).reward",
        """\
from typing import NamedTuple
class Out(NamedTuple):
    reward: float
    terms: dict
def reward(obs, action, next_obs, info):
    t = {"v": next_obs[5], "c": -0.1 * sum(action ** 2)}
    return Out(sum(t.values()), t)
""",
    ),
    "while_pid": (
        "hopper",
        "reward(obs, action, next_obs, info)",
        """\
def reward(obs, action, next_obs, info):
    x, n = abs(next_obs[5]) + 0.01, 0
    while x < 1.0 and n < 20:
        x *= 1.5
        n += 1
    return n - x
""",
    ),
    "index_dyn": (
        "hopper",
        "reward(obs, action, next_obs, info)",
        """\
import numpy as np
TABLE = [0.0, 0.5, 1.0, 2.0]
def reward(obs, action, next_obs, info):
    i = int(np.clip(next_obs[5] * 4, 0, 3))
    return TABLE[i] + action[int(np.argmax(action))]
""",
    ),
    "assert_isinst": (
        "hopper",
        "reward(obs, action, next_obs, info)",
        """\
import numpy as np
def reward(obs, action, next_obs, info):
    if isinstance(obs, dict):
        obs = obs["observation"]
    if not isinstance(action, np.ndarray):
        action = np.array([action])
    if len(next_obs) > 5 and next_obs.ndim == 1:
        return float(next_obs[5])
    return 0.0
""",
    ),
    "brax_like": (
        "half_cheetah",
        "",
        """\
import jax
from jax import numpy as jnp
class Env:
    def __init__(self, w=0.1):
        self._w = w
        self._vel = 1.5
    def _reward(self, data, action):
        v = data.qvel[0]
        r = jnp.exp(-jnp.abs(v - self._vel)) - self._w * jnp.dot(action, action)
        return jnp.nan_to_num(r)
""",
    ),
    "playground_terms": (
        "half_cheetah",
        "",
        """\
from ml_collections import config_dict
import jax.numpy as jp
def default_config():
    return config_dict.create(
        ctrl_dt=0.02,
        reward_config=config_dict.create(scales=config_dict.create(run=1.0, pitch=-0.5, torque=-0.01)),
    )
class Run:
    def __init__(self, config=default_config()):
        self._config = config
    def _get_reward(self, data, action, info, metrics, done):
        return {"run": self._reward_run(data), "pitch": self._cost_pitch(data), "torque": jp.sum(jp.square(action))}
    def _reward_run(self, data):
        return jp.clip(data.qvel[0], 0.0, 5.0) / 5.0
    def _cost_pitch(self, data):
        return jp.square(data.qpos[2])
    def step(self, state, action):
        rewards = self._get_reward(data, action, state.info, state.metrics, done)
        rewards = {k: v * self._config.reward_config.scales[k] for k, v in rewards.items()}
        return sum(rewards.values())
""",
    ),
    "wrapper_old_gym": (
        "hopper",
        "",
        """\
import gym
class W(gym.Wrapper):
    def step(self, action):
        obs, rew, done, info = self.env.step(action)
        new = obs[5] - 0.01 * (action ** 2).sum()
        return obs, new, done, info
""",
    ),
    "reward_wrapper_clip": (
        "hopper",
        "",
        """\
import gymnasium as gym
import numpy as np
class ClipReward(gym.RewardWrapper):
    def __init__(self, env, lo=-1, hi=1):
        super().__init__(env)
        self.lo, self.hi = lo, hi
    def reward(self, r):
        return np.clip(r, self.lo, self.hi)
""",
    ),
    "mujoco_py": (
        "hopper",
        "",
        """\
import numpy as np
class HopperEnv(mujoco_env.MujocoEnv, utils.EzPickle):
    def __init__(self):
        mujoco_env.MujocoEnv.__init__(self, 'hopper.xml', 4)
        utils.EzPickle.__init__(self)
    def step(self, a):
        posbefore = self.sim.data.qpos[0]
        self.do_simulation(a, self.frame_skip)
        posafter, height, ang = self.sim.data.qpos[0:3]
        reward = (posafter - posbefore) / self.dt + 1.0 - 1e-3 * np.square(a).sum()
        done = height < 0.7
        return self._get_obs(), reward, done, {}
    def _get_obs(self):
        return np.concatenate([self.sim.data.qpos.flat[1:], np.clip(self.sim.data.qvel.flat, -10, 10)])
""",
    ),
    "reacher_gym": (
        "reacher",
        "",
        """\
import numpy as np
class R(ReacherEnv):
    def _get_rew(self, action):
        vec = self.get_body_com("fingertip") - self.get_body_com("target")
        dist = np.linalg.norm(vec)
        return -dist - np.square(action).sum(), {}
""",
    ),
    "torch_policy_reward": (
        "hopper",
        "",
        """\
import torch
import torch.nn.functional as F
def reward_fn(obs, act, next_obs):
    next_obs = torch.tensor(next_obs)
    v = next_obs[..., 5]
    up = F.relu(1.0 - next_obs[..., 1].abs() / 0.2)
    ctrl = act.pow(2).sum(-1) if torch.is_tensor(act) else (act ** 2).sum()
    return (v * up - 0.001 * ctrl)
""",
    ),
    "mbpo_batch": (
        "hopper",
        "",
        """\
import numpy as np
def termination_fn(obs, act, next_obs):
    height = next_obs[:, 0]
    angle = next_obs[:, 1]
    not_done = np.isfinite(next_obs).all(axis=-1) * (height > .7) * (np.abs(angle) < .2)
    return (~not_done)[:, None]
def reward_fn(obs, act, next_obs):
    v = next_obs[:, 5]
    return v + 1.0 - 1e-3 * np.sum(np.square(act), axis=-1)
""",
    ),
    "mbpo_col": (
        "hopper",
        "",
        """\
import numpy as np
def reward_fn(obs, act, next_obs):
    v = next_obs[:, 5:6]
    return v - 1e-3 * np.sum(np.square(act), axis=-1, keepdims=True)
""",
    ),
    "metaworld_like": (
        "reacher",
        "",
        """\
import numpy as np
from metaworld.envs import reward_utils
def compute_reward(self, action, obs):
    d = np.linalg.norm(self.fingertip_position - self.target_position)
    return reward_utils.tolerance(d, bounds=(0, 0.02), margin=0.2, sigmoid="long_tail")
""",
    ),
    "obs_dict": (
        "reacher",
        "",
        """\
import numpy as np
def compute_reward(achieved_goal, desired_goal, info):
    d = np.linalg.norm(achieved_goal - desired_goal, axis=-1)
    return -(d > 0.05).astype(np.float32)
""",
    ),
    "goal_env": (
        "reacher",
        "",
        """\
import numpy as np
def compute_reward(achieved_goal, desired_goal, info):
    return -np.linalg.norm(achieved_goal - desired_goal, axis=-1)
""",
    ),
    "brax": (
        "half_cheetah",
        "",
        """\
import jax.numpy as jnp
class Cheetah:
    def step(self, state, action):
        pipeline_state0 = state.pipeline_state
        pipeline_state = self.pipeline_step(pipeline_state0, action)
        x_velocity = (pipeline_state.x.pos[0, 0] - pipeline_state0.x.pos[0, 0]) / self.dt
        forward_reward = self._forward_reward_weight * x_velocity
        ctrl_cost = self._ctrl_cost_weight * jnp.sum(jnp.square(action))
        reward = forward_reward - ctrl_cost
        return state.replace(reward=reward)
""",
    ),
}
# Name -> environment, words of the message or the remedy, text.
REFUSED: dict[str, tuple[str, tuple[str, ...], str]] = {
    "random": (
        "hopper",
        ("chance",),
        """\
import numpy as np
def reward(obs, action, next_obs, info):
    return next_obs[5] + 0.01 * np.random.randn()
""",
    ),
    "time": (
        "hopper",
        ("count steps in memory",),
        """\
import time
def reward(obs, action, next_obs, info):
    return next_obs[5] * (1 + 0.1 * time.time())
""",
    ),
    "file": (
        "hopper",
        ("write the numbers",),
        """\
import json
CFG = json.load(open("weights.json"))
def reward(obs, action, next_obs, info):
    return CFG["w"] * next_obs[5]
""",
    ),
    "sb3_callback": (
        "hopper",
        ("write the numbers",),
        """\
import argparse, yaml, os
import gym
parser = argparse.ArgumentParser()
parser.add_argument("--w", type=float, default=1.0)
args = parser.parse_args()

class MyEnv(gym.Env):
    def compute_reward(self, obs, action):
        return args.w * obs[5]
""",
    ),
    "string_return": (
        "hopper",
        ("a text",),
        """\
def reward(obs, action, next_obs, info):
    return "good"
""",
    ),
    "no_reward": (
        "hopper",
        ("reward(obs",),
        """\
import numpy as np
print("hello")
""",
    ),
    "alias_array": (
        "hopper",
        ("np.array(u)",),
        """\
import numpy as np
def reward(obs, action, next_obs, info):
    w = np.zeros(2)
    u = w
    u[0] = next_obs[5]
    return w[0] + w[1]
""",
    ),
    "isaacgym_reset": (
        "ant",
        ("potentials",),
        """\
import torch
@torch.jit.script
def compute_ant_reward(obs_buf, reset_buf, progress_buf, actions, up_weight, heading_weight, potentials, prev_potentials, max_episode_length):
    # type: (Tensor, Tensor, Tensor, Tensor, float, float, Tensor, Tensor, float) -> Tuple[Tensor, Tensor]
    return potentials - prev_potentials, reset_buf
""",
    ),
    "humanoid_mass": (
        "humanoid",
        ("com_position",),
        """\
import numpy as np
def mass_center(model, data):
    mass = np.expand_dims(model.body_mass, axis=1)
    xpos = data.xipos
    return (np.sum(mass * xpos, axis=0) / np.sum(mass))[0:2].copy()
class H(HumanoidEnv):
    def step(self, action):
        before = mass_center(self.model, self.data)
        self.do_simulation(action, self.frame_skip)
        after = mass_center(self.model, self.data)
        return self._get_obs(), (after[0] - before[0]) / self.dt, False, False, {}
""",
    ),
    "dmc_suite": (
        "hopper",
        ("hopping=1.0",),
        """\
import collections
from dm_control import mujoco
from dm_control.rl import control
from dm_control.suite import base
from dm_control.utils import containers, rewards
_STAND_HEIGHT = 0.6
_HOP_SPEED = 2
class Hopper(base.Task):
    def __init__(self, hopping, random=None):
        self._hopping = hopping
        super().__init__(random=random)
    def get_reward(self, physics):
        standing = rewards.tolerance(physics.height(), (_STAND_HEIGHT, 2))
        if self._hopping:
            hopping = rewards.tolerance(physics.speed(), bounds=(_HOP_SPEED, float('inf')), margin=_HOP_SPEED/2, value_at_margin=0.5, sigmoid='linear')
            return standing * hopping
        small_control = rewards.tolerance(physics.control(), margin=1, value_at_margin=0, sigmoid='quadratic').mean()
        small_control = (small_control + 4) / 5
        return standing * small_control
""",
    ),
    "isaaclab_direct": (
        "half_cheetah",
        ("self.cfg",),
        """\
import torch
class CheetahEnv(DirectRLEnv):
    def _get_rewards(self) -> torch.Tensor:
        return compute_rewards(self.forward_velocity, self.actions, self.cfg.w_v)
@torch.jit.script
def compute_rewards(v, actions, w_v: float):
    return w_v * v - torch.sum(actions ** 2, dim=-1)
""",
    ),
    "rllib_callback": (
        "hopper",
        ("reward(obs",),
        """\
from ray.rllib.algorithms.callbacks import DefaultCallbacks
class C(DefaultCallbacks):
    def on_episode_step(self, *, episode, **kwargs):
        episode.user_data["r"] = 1
""",
    ),
    "legged_real": (
        "ant",
        (
            "torques",
            "action",
        ),
        """\
import torch
class Cfg:
    class rewards:
        class scales:
            tracking = 1.0
            torques = -0.00001
            action_rate = -0.01
            up = 0.5
        tracking_sigma = 0.25
        only_positive_rewards = False
class Robot:
    def __init__(self, cfg=Cfg()):
        self.cfg = cfg
        self.target = 1.0
    def _reward_tracking(self):
        err = torch.square(self.target - self.torso_velocity[:, 0])
        return torch.exp(-err / self.cfg.rewards.tracking_sigma)
    def _reward_torques(self):
        return torch.sum(torch.square(self.torques), dim=1)
    def _reward_up(self):
        return (self.torso_up > 0.9).float()
""",
    ),
}

TAKEN["Gymnasium's own weights and methods"] = (
    "hopper",
    "",
    """\
def _get_rew(self, x_velocity, action):
    forward = self._forward_reward_weight * x_velocity
    bonus = max(self.data.qpos[1] - 1.2, 0) * 3
    return forward + self.healthy_reward - self.control_cost(action) + bonus, {"f": forward}
""",
)

TAKEN["a subclass that changes what the base class pays"] = (
    "ant",
    "",
    """\
from gymnasium.envs.mujoco.ant_v5 import AntEnv

class Upright(AntEnv):
    def __init__(self, **kwargs):
        super().__init__(healthy_reward=0.5, **kwargs)

    @property
    def healthy_reward(self):
        return self._healthy_reward * (1.0 if self.is_healthy else -1.0)

    def _get_rew(self, x_velocity, action):
        reward, info = super()._get_rew(x_velocity, action)
        w, x, y, z = self.data.qpos[3:7]
        return reward - 0.1 * (x * x + y * y), info
""",
)

TAKEN["info asked with a default, and spaces"] = (
    "half_cheetah",
    "",
    """\
import gymnasium as gym
import numpy as np

class W(gym.Wrapper):
    def __init__(self, env):
        super().__init__(env)
        self.before = np.zeros(env.action_space.shape)

    def step(self, action):
        obs, reward, terminated, truncated, info = self.env.step(action)
        jerk = np.sum((action - self.before) ** 2)
        self.before = np.array(action)
        known = info["x_velocity"] if "x_velocity" in info else 0.0
        paid = known + info.get("reward_ctrl", 0.0) + info.get("bonus", 0) - 0.1 * jerk
        return obs, paid, terminated, truncated, info
""",
)

TAKEN["Isaac Lab's scene, terms and weights"] = (
    "ant",
    "",
    """\
import torch
from isaaclab.managers import RewardTermCfg as RewTerm, SceneEntityCfg
from isaaclab.utils import configclass
import isaaclab.envs.mdp as mdp

def joint_vel_l1(env, asset_cfg=SceneEntityCfg("robot")):
    asset = env.scene[asset_cfg.name]
    return torch.sum(torch.abs(asset.data.joint_vel[:, asset_cfg.joint_ids]), dim=1)

def track_x(env, std: float, target: float = 1.0):
    v = env.scene["robot"].data.root_lin_vel_b[:, 0]
    return torch.exp(-torch.square(v - target) / std**2)

@configclass
class RewardsCfg:
    track = RewTerm(func=track_x, weight=1.5, params={"std": 0.5})
    jv = RewTerm(func=joint_vel_l1, weight=-1e-3)
    alive = RewTerm(func=mdp.is_alive, weight=0.5)
    flat = RewTerm(func=mdp.flat_orientation_l2, weight=-1.0)
""",
)

TAKEN["Isaac Lab's direct environment"] = (
    "hopper",
    "",
    """\
import torch
from isaaclab.envs import DirectRLEnv

class Cfg:
    up_scale = 0.5

class Env(DirectRLEnv):
    cfg: Cfg

    def _pre_physics_step(self, actions):
        self._actions = actions.clone()

    def _get_rewards(self) -> torch.Tensor:
        data = self._robot.data
        rewards = {
            "vel": data.root_lin_vel_b[:, 0] * self.step_dt,
            "up": -data.projected_gravity_b[:, 2] * self.cfg.up_scale,
            "effort": -torch.sum(torch.square(self._actions), dim=1) * 0.01,
        }
        return torch.sum(torch.stack(list(rewards.values())), dim=0)
""",
)

TAKEN["legged_gym's names of motion"] = (
    "ant",
    "",
    """\
import torch

class Robot:
    class scales:
        lin_vel_z = -2.0
        spin = -0.05

    def _reward_lin_vel_z(self):
        return torch.square(self.base_lin_vel[:, 2])

    def _reward_spin(self):
        return torch.sum(torch.square(self.base_ang_vel[:, :2]), dim=1) + self.root_states[:, 2]
""",
)

TAKEN["a list that is cleared where the episode ends"] = (
    "hopper",
    "",
    """\
import numpy as np

class Window:
    def __init__(self):
        self.seen = []

    def __call__(self, obs, action, next_obs, info, terminated):
        self.seen.append(float(next_obs[5]))
        self.seen = self.seen[-4:]
        paid = np.mean(self.seen)
        if terminated:
            self.seen = []
            paid -= 1.0
        return paid
""",
)

TAKEN["a parameter that nothing reads, and a function that begins an episode"] = (
    "hopper",
    "",
    """\
_last = None

def reset_reward():
    global _last
    _last = None

def hopper_reward(obs, action, next_obs, targets):
    global _last
    rise = 0.0 if _last is None else next_obs[0] - _last
    _last = next_obs[0]
    return next_obs[5] + rise
""",
)

TAKEN["a reward made of objects, and a function with some arguments given"] = (
    "walker2d",
    "",
    """\
from functools import partial

class Forward:
    weight = 1.0

    def __call__(self, obs, action, next_obs):
        return next_obs[8]

class Effort:
    weight = -0.01

    def __call__(self, obs, action, next_obs):
        return (action ** 2).sum()

class Total:
    terms = (Forward(), Effort())

    def compute(self, scale, obs, action, next_obs):
        return scale * sum(t.weight * t(obs, action, next_obs) for t in self.terms)

def total(scale, obs, action, next_obs):
    return Total().compute(scale, obs, action, next_obs)

reward_fn = partial(total, 0.5)
""",
)

TAKEN["a wrapper whose step fills a deque"] = (
    "ant",
    "",
    """\
import gymnasium as gym
from collections import deque
import numpy as np

class Smooth(gym.RewardWrapper):
    def __init__(self, env, window=3, k=0.05):
        super().__init__(env)
        self.hist = deque(maxlen=window)
        self.k = k

    def step(self, action):
        obs, rew, term, trunc, info = self.env.step(action)
        self.hist.append(np.asarray(action))
        return obs, self.reward(rew, info), term, trunc, info

    def reward(self, rew, info):
        jitter = 0.0
        for a, b in zip(list(self.hist)[:-1], list(self.hist)[1:]):
            jitter += float(np.sum((a - b) ** 2))
        return info["x_velocity"] - self.k * jitter
""",
)
TAKEN["a list that grows to a window"] = (
    "hopper",
    "kept(R).compute(obs, action, next_obs)",
    """\
import numpy as np
class R:
    def __init__(self):
        self.h = []
    def compute(self, obs, action, next_obs):
        self.h.append(action)
        self.h = self.h[-3:]
        if len(self.h) < 3:
            return next_obs[0]
        return next_obs[0] - np.linalg.norm(self.h[-1] - 2 * self.h[-2] + self.h[0])
""",
)
REFUSED["memory that another function writes"] = (
    "hopper",
    ("HIST", "observe", "reward"),
    """\
from collections import deque
HIST = deque([0.0] * 3, maxlen=3)
def observe(a):
    HIST.append(a[0])
def reward(obs, action, next_obs):
    return next_obs[0] - sum(HIST)
""",
)
REFUSED["a counter that another method writes"] = (
    "hopper",
    ("self.n", "update"),
    """\
class R:
    def __init__(self):
        self.n = 0
    def update(self, action):
        self.n += 1
    def __call__(self, obs, action, next_obs):
        return next_obs[0] - self.n
""",
)
TAKEN["a parameter that only its place explains"] = (
    "hopper",
    "reward(obs, action, next_obs, info, done)",
    "def reward(obs, a, nobs, info, done):\n    return -1 + 100 * (nobs[0] > 1.3)\n",
)
TAKEN["a pasted snippet with a name of its own"] = (
    "hopper",
    "",
    "def fun(obs, info):\n    return np.exp(-abs(obs[1])) + math.tanh(info['x_velocity'])\n",
)
TAKEN["a reward of no usual name, with memory of the file"] = (
    "hopper",
    "",
    """\
import math
STATE = {"best": 0.0}
def r(env):
    x = env.unwrapped.data.qpos[0]
    gain = max(0, x - STATE["best"])
    STATE["best"] = max(STATE["best"], x)
    return {"progress": 10 * gain, "height": math.tanh(env.unwrapped.data.qpos[1])}
""",
)
