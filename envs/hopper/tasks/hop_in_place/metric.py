"""Metres that the hopper climbs in hops on the spot."""

import numpy as np

from reward_agent.types import Score

MIN_RISE = 0.02  # m; lower flights are chatter of the contact
MAX_RISE = 0.2  # m that count of one hop: many hops are asked for, not a high one
FULL_DRIFT, NO_DRIFT = 0.3, 1.0  # m from where it began: full credit up to, none from
MIN_HOPS = 8
SUCCESS_M = 0.5


def score(episode):
    """Height climbed in hops near the place where the episode began, in m.

    A *hop* is a flight that begins and ends with the foot on the floor and whose top (the largest
    ``lowest_point``) is at least ``MIN_RISE``. ``task_score`` is the sum of their tops, each at
    most ``MAX_RISE``, times 1 where the landing is within ``FULL_DRIFT`` of the start, falling
    linearly to 0 at ``NO_DRIFT``: hopping away is worth a few hops, rocking on the foot none, one
    great leap no more than a small one. ``success``: ``MIN_HOPS`` hops within ``FULL_DRIFT``,
    ``SUCCESS_M``, and no early end.

    Parts: ``hops``; ``hops_in_place`` of them; ``highest`` m; ``drift`` m, the largest;
    ``duration`` s; ``fell`` 0/1.
    """
    x = episode.x_position - episode.x_position[0]
    flights = find_flights(episode.foot_floor_contact > 0.5)
    tops = np.array([np.max(episode.lowest_point[a : b + 1]) for a, b in flights])
    drifts = np.array([np.abs(x[b]) for _, b in flights])
    is_hop = tops >= MIN_RISE
    credit = np.clip((NO_DRIFT - drifts) / (NO_DRIFT - FULL_DRIFT), 0.0, 1.0)
    climbed = float(np.sum(np.minimum(tops, MAX_RISE) * credit * is_hop))
    parts = {
        "hops": np.sum(is_hop),
        "hops_in_place": np.sum(is_hop & (drifts <= FULL_DRIFT)),
        "highest": np.max(tops, initial=0.0),
        "drift": np.max(np.abs(x)),
        "duration": episode.n_steps * episode.control_dt,
        "fell": float(episode.terminated),
    }
    is_enough = parts["hops_in_place"] >= MIN_HOPS and climbed >= SUCCESS_M
    return Score(climbed, is_enough and not episode.terminated, parts)


def find_flights(contact):
    """Return (last row on the floor, first row on it again) for every flight."""
    rows = np.flatnonzero(contact)
    return [(a, b) for a, b in zip(rows[:-1], rows[1:], strict=True) if b > a + 1]
