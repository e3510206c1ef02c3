"""Memory of a program: code that remembers progress, so that each bit of it is paid once."""

from __future__ import annotations

from dataclasses import dataclass

from reward_agent.designers.offline.body import Body, Measure


@dataclass(frozen=True)
class Machine:
    """Memory, and the lines that read and renew it.

    Args:
        name: which one; a program has at most one.
        initial: each entry with its expression (N,) of ``state``.
        lines: statements at the top of ``compute_reward``; they define ``next_memory``.
        doc: what is remembered.
    """

    name: str
    initial: tuple[tuple[str, str], ...]
    lines: tuple[str, ...]
    doc: str


def make_distance_machine(body: Body, direction: int) -> Machine | None:
    """Return the memory of new ground (``gained``, m/s); None without a position along x."""
    if body.x_position is None:
        return None
    sign = _write_sign(direction)
    before, now = body.x_position.read("state"), body.x_position.read()
    lines = (
        f'farthest = np.maximum(memory["farthest"], {sign}{now})  # (N,) m',
        f'gained = (farthest - memory["farthest"]) / {body.card.control_dt:g}  # (N,) m/s',
        'next_memory = {"farthest": farthest}',
    )
    return Machine(
        "new_ground", (("farthest", f"{sign}{before}"),), lines, "The farthest point, m."
    )


# A turn begins at the last stance and is lost with the first wrong touch of the floor: what is
# rolled on the ground pays nothing.
_TURN_LINES = """\
angle = {angle}  # (N,) rad, growing the way of the flip
foot = {foot}
other = {other}
airborne = (1.0 - foot) * (1.0 - other)
standing = foot * (1.0 - other) * (np.cos(angle) > 0.85)
turn = angle - memory["start"]
is_landed = standing * memory["clean"] * (np.abs(turn - 2 * np.pi) < 0.6)
done = np.maximum(memory["done"], is_landed)
is_new = standing * (1.0 - done) > 0.5
upright_angle = 2 * np.pi * np.round(angle / (2 * np.pi))
start = np.where(is_new, upright_angle, memory["start"])
touched = np.maximum(other, foot * (np.cos(angle) < 0.0))
clean = np.where(is_new, 1.0, memory["clean"] * (1.0 - touched))
flown = np.clip(angle - start, 0.0, 2 * np.pi) * clean * airborne
best = np.maximum(memory["best"], flown)
turned = best - memory["best"]  # (N,) rad of new turn, paid once
peak = np.maximum(memory["peak"], {height} * clean * airborne)
next_memory = {"start": start, "clean": clean, "best": best, "done": done, "peak": peak}
"""


def make_turn_machine(body: Body, direction: int) -> Machine | None:
    """Return the memory of a flip: ``turned``, ``peak``, ``done``, ``standing`` and others.

    None if the card has no unwrapped pitch, no height or no contact of a foot.
    """
    if body.pitch is None or body.com_height is None or not body.foot_contacts:
        return None
    sign = _write_sign(direction)
    before = body.pitch.read("state")
    lines = (
        _TURN_LINES.replace("{angle}", f"{sign}{body.pitch.read()}")
        .replace("{foot}", write_largest(body.foot_contacts))
        .replace("{other}", write_largest(body.body_contacts))
        .replace("{height}", body.com_height.read())
    )
    initial = {
        "start": f"2 * np.pi * np.round({sign}{before} / (2 * np.pi))",
        "clean": f"np.ones_like({before})",
        "best": f"np.zeros_like({before})",
        "done": f"np.zeros_like({before})",
        "peak": body.com_height.read("state"),
    }
    doc = "Angle of the last stance, clean since then, turn paid, flip done, height paid."
    return Machine("turn", tuple(initial.items()), tuple(lines.splitlines()), doc)


def write_largest(measures: tuple[Measure, ...]) -> str:
    """Return the code of the largest of measures read from ``next_state``; 0 without any."""
    if not measures:
        return "np.zeros(len(action))"
    if len(measures) == 1:
        return measures[0].read()
    return f"np.max(np.stack([{', '.join(measure.read() for measure in measures)}]), axis=0)"


def _write_sign(direction: int) -> str:
    return "" if direction > 0 else "-"
