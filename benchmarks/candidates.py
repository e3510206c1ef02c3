"""Eight reward programs for a runner, good and bad ones mixed as language models write them.

They read only fields that the cards of hopper and half_cheetah share.
"""

from __future__ import annotations

_TEMPLATE = """
def compute_reward(state, action, next_state):
    velocity = next_state.forward_velocity
    effort = np.sum(np.square(action), axis=-1)
    terms = {{{terms}}}
    return sum(terms.values()), terms
"""

_TERMS = {
    # Pay for what is asked, in three ways.
    "speed": '"speed": velocity, "alive": np.ones_like(velocity), "effort": -1e-3 * effort',
    "bounded": '"speed": np.clip(velocity, -1.0, 4.0), "effort": -0.01 * effort',
    "upright": '"speed": velocity * np.exp(-4.0 * np.square(next_state.torso_pitch)), '
    '"alive": 0.5 * np.ones_like(velocity)',
    # Half of it: a slow target, and a safe term that drowns the goal.
    "slow": '"track": np.exp(-4.0 * np.square(velocity - 0.5))',
    "flooded": '"alive": 10.0 * np.ones_like(velocity), "speed": 0.1 * velocity, '
    '"effort": -0.5 * effort',
    # Wrong: a sign, a quantity, a goal that standing still fulfils.
    "backward": '"speed": -velocity, "alive": np.ones_like(velocity)',
    "height": '"height": next_state.com_height, "effort": -0.01 * effort',
    "still": '"rest": np.exp(-np.sum(np.square(next_state.joint_velocities), axis=-1))',
}

PROGRAMS = {name: _TEMPLATE.format(terms=terms).lstrip() for name, terms in _TERMS.items()}
