"""Does the ant stand on three legs and wave the fourth?"""

import itertools

import numpy as np

from reward_agent.types import Score

LEGS = ("front_left", "back_left", "back_right", "front_right")
JOINTS = ("hip", "ankle")

FOOT_UP, FOOT_LOW = 0.15, 0.05  # m above the floor (0.02 when it stands): full credit, none
LEVEL, TILTED = 0.9, 0.7  # torso_up: full credit, none
TWO_FEET_CREDIT = 0.3  # when only two of the other three carry
POISED_S = 5.0
SWING = 0.35  # rad
POISED_SHARE_OF_SWING = 0.8
MIN_SWINGS = 6
SETTLE_S = 1.0  # the episode begins with a drop from 0.75 m
DOWN = 0.5  # torso_up


def score(episode):
    """Best leg of the episode: half for holding it up, half for swinging it, 0 to 1.

    For each leg, ``credit`` of an instant = lift (1 from ``FOOT_UP``, 0 from ``FOOT_LOW``)
    times carried (1 when the three other feet are on the floor, ``TWO_FEET_CREDIT`` when two are,
    else 0) times level (1 from ``LEVEL``, 0 from ``TILTED``), and 0 while torso or an upper leg
    touches the floor; *poised* is a credit of 1. ``held`` = sum of the credit in s, at most
    ``POISED_S``. A *swing* is a turn of the hip or the ankle (the one that swings more often
    counts) by ``SWING`` between two reversals, poised for ``POISED_SHARE_OF_SWING`` of the time
    (the others' contacts flicker when the swing is stopped).

    ``task_score`` = 0.5 held / POISED_S + 0.5 min(swings / MIN_SWINGS, 1).

    On its back (legs free to wave) and sitting on a thigh there is no credit; jumping, bucking and
    trotting lift a foot while too few others carry; lifting without waving, or shuffling a foot on
    the floor, gets at most half; changing legs starts again, since the best single leg counts.
    ``success``: 5 s poised in all, 6 swings, and never down after ``SETTLE_S``.

    Parts: ``leg`` (0 front left, 1 back left, 2 back right, 3 front right; -1 none), ``held`` s,
    ``poised`` s, ``swings``, ``largest_foot_height`` m of that leg, ``down`` s with torso or an
    upper leg on the floor or torso_up below ``DOWN``, after ``SETTLE_S``.
    """
    resting = find_resting(episode)
    judged = [judge_leg(episode, leg, resting) for leg in range(len(LEGS))]
    best = max(judged, key=lambda parts: (add_up(parts), parts["largest_foot_height"]))
    n_settle = round(SETTLE_S / episode.control_dt)
    down = (resting | (episode.torso_up < DOWN))[n_settle:]
    parts = {**best, "down": np.sum(down) * episode.control_dt}
    if best["held"] == 0.0:
        parts["leg"] = -1.0
    is_waving = best["poised"] >= POISED_S - 1e-9 and best["swings"] >= MIN_SWINGS
    return Score(add_up(best), is_waving and not np.any(down), parts)


def add_up(parts):
    """Return the score of one leg, 0 to 1."""
    held = min(parts["held"] / POISED_S, 1.0)
    return 0.5 * held + 0.5 * min(parts["swings"] / MIN_SWINGS, 1.0)


def find_resting(episode):
    """Return where torso or an upper leg is on the floor, (T,) bool."""
    contacts = [episode.fields[f"{leg}_leg_floor_contact"] for leg in LEGS]
    return np.max(np.stack([*contacts, episode.torso_floor_contact]), axis=0) > 0.5


def judge_leg(episode, leg, resting):
    """Return the parts of one leg as the waving one."""
    others = [episode.fields[f"{name}_foot_floor_contact"] for name in LEGS if name != LEGS[leg]]
    n_carrying = np.sum(np.stack(others) > 0.5, axis=0)
    carried = np.select([n_carrying == 3, n_carrying == 2], [1.0, TWO_FEET_CREDIT], 0.0)
    foot_height = episode.fields[f"{LEGS[leg]}_foot_height"]
    lift = np.clip((foot_height - FOOT_LOW) / (FOOT_UP - FOOT_LOW), 0.0, 1.0)
    level = np.clip((episode.torso_up - TILTED) / (LEVEL - TILTED), 0.0, 1.0)
    credit = np.where(resting, 0.0, lift * carried * level)
    poised = credit >= 1.0
    swings = max(
        count_swings(episode.fields[f"{LEGS[leg]}_{joint}_angle"], poised) for joint in JOINTS
    )
    return {
        "leg": float(leg),
        "held": np.sum(credit) * episode.control_dt,
        "poised": np.sum(poised) * episode.control_dt,
        "swings": float(swings),
        "largest_foot_height": np.max(foot_height),
    }


def count_swings(angle, poised):
    """Count the turns by at least SWING between reversals that are done while poised."""
    ends = find_reversals(angle)
    return sum(
        np.mean(poised[a : b + 1]) >= POISED_SHARE_OF_SWING for a, b in itertools.pairwise(ends)
    )


def find_reversals(angle):
    """Return the rows where the angle turns back, ignoring turns of less than SWING.

    The first and the last extreme count as reversals, so that n swings have n + 1 of them.
    """
    low = high = 0
    ends, direction = [], 0
    for row, value in enumerate(angle):
        low = row if value < angle[low] else low
        high = row if value > angle[high] else high
        if direction >= 0 and angle[high] - value >= SWING:
            ends, direction, low = [*ends, high], -1, row
        elif direction <= 0 and value - angle[low] >= SWING:
            ends, direction, high = [*ends, low], 1, row
    return [*ends, high if direction > 0 else low] if direction else []
