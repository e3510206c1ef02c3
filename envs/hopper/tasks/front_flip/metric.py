"""A clean front flip of the hopper: turned in the air, landed on the foot, stayed up."""

import numpy as np

from reward_agent.types import Score

DIRECTION = 1.0  # sign of torso_pitch when the top of the torso goes forward
UPRIGHT = 30 / 360  # turns away from vertical that still count as standing
FALLEN = 60 / 360  # turns away from vertical that count as fallen
STAND_S = 0.5  # seconds that make a landing
EPISODE_S = 3.2  # seconds that it must have stayed up to; the card ends the episode at a fall

TURN_WEIGHT, LANDING_WEIGHT, STAND_WEIGHT, STAY_WEIGHT = 0.5, 0.1, 0.2, 0.2

NO_ATTEMPT = {
    "clean_turn": 0.0,
    "any_turn": 0.0,
    "landed": 0.0,
    "stood": 0.0,
    "stayed": 0.0,
    "stayed_up": 0.0,
    "fell_after_landing": 0.0,
    "flight": 0.0,
}


def score(episode):
    """Best attempt at the flip in the episode, 0 to 1.

    An *attempt* begins when the robot leaves a *stance* (foot on the floor, no other part on it,
    torso within ``UPRIGHT`` of vertical) and lasts until the next stance. It goes *unclean* once a
    part other than the foot touches the floor, or anything at all while the torso is inverted.

    ``task_score`` = 0.5 turn + 0.1 landed + 0.2 stood + 0.2 stayed, all in 0..1:

    - turn: the largest turn (in turns, unwrapped, in the flip's direction, counted from the
      vertical of the last stance) at an instant in the air before the attempt went unclean; that
      of the torso or of the foot, whichever has turned less;
    - landed: the attempt ended, clean, in a stance exactly one turn further;
    - stood: the longest stance after that and before a fall, as a share of ``STAND_S``;
    - stayed: time from the landing to the first fall, as a share of what was left until
      ``EPISODE_S``, or of ``STAND_S`` if less was left. A fall is any part but the foot on the
      floor, or the torso beyond ``FALLEN``.

    ``success`` is a score of 1 in an episode that did not end early. Why the cheats stay below an
    honest try: a turn is worth nothing on the floor, so rolling, a headstand and getting up again
    are worth what was turned in the air before the first wrong contact; folding the torso over at
    the hip swings the legs the other way and turns nothing (a policy paid for the torso's turn
    alone learned just that); a collapse resets the stance, so half turns never add up; the later
    terms are zero without a whole clean turn. Every step of a real flip (leave the floor, turn
    further, come down on the foot, stand, stay) raises the score and none lowers it. Torques that
    pass it in MuJoCo are among the tests: the strict form is within this robot's reach.

    Parts: ``clean_turn`` (turns), ``any_turn`` (largest turn of the torso since a stance, on the
    ground or not), ``landed`` 0/1, ``stood`` s, ``stayed_up`` s after landing,
    ``fell_after_landing`` 0/1, ``flight`` s in the air in the best attempt, ``inverted_on_floor`` s
    and ``other_part_on_floor`` s in the whole episode.
    """
    turn = DIRECTION * episode.torso_pitch / (2 * np.pi)
    foot_turn = DIRECTION * find_foot_pitch(episode) / (2 * np.pi)
    foot = episode.foot_floor_contact > 0.5
    other = find_other_contact(episode)
    inverted = np.cos(2 * np.pi * turn) < 0
    motion = {
        "turn": turn,
        "counted_turn": np.minimum(turn, foot_turn),
        "in_air": ~foot & ~other,
        "stance": foot & ~other & (np.abs(turn - np.round(turn)) <= UPRIGHT),
        "unclean": other | (foot & inverted),
        "control_dt": episode.control_dt,
    }
    attempts = [judge_attempt(start, end, motion) for start, end in find_attempts(motion["stance"])]
    best = max(attempts, key=lambda parts: (add_up(parts), parts["any_turn"]), default=NO_ATTEMPT)
    parts = {name: value for name, value in best.items() if name != "stayed"}
    parts["any_turn"] = max((attempt["any_turn"] for attempt in attempts), default=0.0)
    parts["inverted_on_floor"] = np.sum(inverted & (foot | other)) * episode.control_dt
    parts["other_part_on_floor"] = np.sum(other) * episode.control_dt
    is_complete = add_up(best) > 1 - 1e-9 and not episode.terminated
    return Score(add_up(best), is_complete, parts)


def find_foot_pitch(episode):
    """Return the pitch of the foot, (T,) rad: the joints' axes are opposite to the torso's."""
    return episode.torso_pitch - episode.thigh_angle - episode.leg_angle - episode.foot_angle


def find_other_contact(episode):
    """Return where any part but the foot touches the floor, (T,) bool."""
    parts = (
        episode.leg_floor_contact,
        episode.thigh_floor_contact,
        episode.torso_floor_contact,
    )
    return np.max(np.stack(parts), axis=0) > 0.5


def find_attempts(stance):
    """Return (last row of a stance, first row of the next one or T) for every time it is left."""
    rows = np.flatnonzero(stance)
    followers = np.append(rows, len(stance))[1:]
    return [(a, b) for a, b in zip(rows, followers, strict=True) if b > a + 1]


def judge_attempt(start, end, motion):
    """Return the parts of one attempt, between the stances at ``start`` and ``end``."""
    base = np.round(motion["turn"][start])
    dirty = np.flatnonzero(motion["unclean"][start + 1 : end])
    clean_end = start + 1 + dirty[0] if len(dirty) else end
    in_air = motion["in_air"][start + 1 : clean_end]
    turned = motion["counted_turn"][start + 1 : clean_end][in_air] - base
    parts = {
        **NO_ATTEMPT,
        "clean_turn": float(np.clip(np.max(turned, initial=0.0), 0.0, 1.0)),
        "any_turn": float(np.max(motion["turn"][start : end + 1] - base, initial=0.0)),
        "flight": float(np.sum(in_air)) * motion["control_dt"],
    }
    is_clean = clean_end == end < len(motion["turn"])
    if is_clean and np.round(motion["turn"][end]) == base + 1:
        parts |= judge_landing(end, motion)
    return parts


def judge_landing(landing, motion):
    """Return the parts of what follows the stance at row ``landing``."""
    tilt = motion["turn"][landing:] - np.round(motion["turn"][landing])
    fallen = motion["unclean"][landing:] | (np.abs(tilt) > FALLEN)
    falls = np.flatnonzero(fallen)
    n_up = int(falls[0]) if len(falls) else len(fallen)
    left = EPISODE_S - (landing - 1) * motion["control_dt"]
    n_stood = find_longest_run(motion["stance"][landing : landing + n_up])
    return {
        "clean_turn": 1.0,
        "landed": 1.0,
        "stood": n_stood * motion["control_dt"],
        "stayed": min(n_up * motion["control_dt"] / max(left, STAND_S), 1.0),
        "stayed_up": n_up * motion["control_dt"],
        "fell_after_landing": float(len(falls) > 0),
    }


def find_longest_run(flags):
    """Return the length of the longest run of true flags."""
    breaks = np.flatnonzero(~np.concatenate([[False], flags, [False]]))
    return int(np.max(np.diff(breaks), initial=1)) - 1


def add_up(parts):
    """Return the score of an attempt, 0 to 1."""
    stood = min(parts["stood"] / STAND_S, 1.0)
    return (
        TURN_WEIGHT * parts["clean_turn"]
        + LANDING_WEIGHT * parts["landed"]
        + STAND_WEIGHT * stood
        + STAY_WEIGHT * parts["stayed"]
    )
