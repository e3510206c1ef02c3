"""A card as text: for a person and for a language model."""

from __future__ import annotations

import textwrap
from itertools import pairwise

from reward_agent.definitions.card import EnvCard, StateField


def render_card(card: EnvCard) -> str:
    """Write a card as a person reads it, in Markdown, with the source of each field."""
    same = card.gymnasium_id or card.model.twin
    lines = [f"# {card.name}", "", card.title, "", *_wrap(card.description), ""]
    lines += [
        f"- model: {_render_model(card)}" + (f"; the same as {same}" if same else ""),
        f"- control step: {card.control_dt:g} s{_render_physics_steps(card)}",
        f"- episode: at most {card.max_episode_steps} steps "
        f"({card.max_episode_steps * card.control_dt:g} s); {_render_termination(card)}",
        f"- actions: {_render_actions(card)}. {card.action_doc}".rstrip(),
        f"- observation: {', '.join(card.observation)} ({card.observation_size} numbers)",
        *(f"- {note}" for note in card.notes),
    ]
    rows = [(f.name, _render_shape(f), f.unit, _render_range(f), f.source) for f in card.state]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for field, row, is_first in zip(card.state, rows, _find_group_starts(card), strict=True):
        lines += ["", f"## {field.group}", ""] if is_first else []
        cells = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        notes = [" of ".join(filter(None, field.plays)) if field.plays[0] else ""]
        notes += ["not for designers"] if field.people_only else []
        note = "".join(f" ({note})" for note in notes if note)
        lines += [f"    {cells.rstrip()}", f"        {field.doc}{note}"]
    return "\n".join(lines) + "\n"


def render_card_as_prompt(card: EnvCard) -> str:
    """Write a card as a language model reads it: a compact Python class and the action.

    Source: Text2Reward (Xie et al., ICLR 2024), for the Pythonic class.
    """
    card = card.for_designer
    episode_s = card.max_episode_steps * card.control_dt
    lines = [*_comment(f"{card.title}. {card.description}"), ""]
    lines += ["class State:", '    """N parallel simulations; each field is an array of floats."""']
    for field, is_first in zip(card.state, _find_group_starts(card), strict=True):
        lines += ["", f"    # {field.group}"] if is_first else []
        facts = [_render_shape(field), "" if field.unit == "1" else field.unit]
        facts.append("" if field.unit == "0/1" else _render_range(field))
        what = " ".join(filter(None, facts))
        lines.append(f"    {field.name}: np.ndarray  # {what}: {field.doc}")
    lines += ["", "", f"action: np.ndarray  # (N, {card.n_actions}) {_render_kind(card)}"]
    choices = card.choices or [()] * card.n_actions
    lines += [
        f"# [:, {i}] {name}{': ' if names else ''}{_render_choices(names)}"
        for i, (name, names) in enumerate(zip(card.actions, choices, strict=True))
    ]
    lines += _comment(card.action_doc)
    lines += ["", f"control_dt = {card.control_dt:g}  # s from state to next_state"]
    lines += [f"max_episode_steps = {card.max_episode_steps}  # {episode_s:g} s"]
    lines += _comment(f"An episode {_render_termination(card)}.")
    return "\n".join(lines) + "\n"


def _render_model(card: EnvCard) -> str:
    if card.model.id:
        return f"{card.model.id} of {card.model.backend}, or the one that a task names"
    return card.model.file or f"{card.model.gymnasium} of Gymnasium"


def _render_physics_steps(card: EnvCard) -> str:
    return f", of {card.model.frame_skip} physics steps" if card.model.frame_skip > 1 else ""


def _render_actions(card: EnvCard) -> str:
    if not card.choices:
        return f"{', '.join(card.actions)}; each {_render_kind(card)}"
    pairs = zip(card.actions, card.choices, strict=True)
    return "; ".join(f"{name}, one of {_render_choices(names)}" for name, names in pairs)


def _render_kind(card: EnvCard) -> str:
    """Say what the numbers of an action are."""
    low, high = card.action_range
    return "numbers of choices" if card.choices else f"{low:g}..{high:g}"


def _render_choices(names: tuple[str, ...]) -> str:
    if names == tuple(map(str, range(len(names)))):
        return f"0..{len(names) - 1}" if names else ""
    return ", ".join(f"{i} {name}" for i, name in enumerate(names))


def _find_group_starts(card: EnvCard) -> list[bool]:
    """Return for each field whether it is the first of its group."""
    groups = ["", *(field.group for field in card.state)]
    return [before != group for before, group in pairwise(groups)]


def _render_shape(field: StateField) -> str:
    return "(N,)" if field.size is None else f"(N, {field.size})"


def _render_range(field: StateField) -> str:
    return f"{field.range[0]:g}..{field.range[1]:g}"


def _render_termination(card: EnvCard) -> str:
    if not card.termination:
        return "ends early only by the environment itself" if card.model.id else "never ends early"
    fields: dict[tuple[float | None, float | None], list[str]] = {}
    for bounds in card.termination:
        fields.setdefault((bounds.min, bounds.max), []).append(bounds.field)
    ranges = [_render_bounds(", ".join(names), *bounds) for bounds, names in fields.items()]
    return f"ends early unless {'; '.join(ranges)}"


def _render_bounds(name: str, low: float | None, high: float | None) -> str:
    if low is None:
        return f"{name} < {high:g}"
    if high is None:
        return f"{name} > {low:g}"
    return f"{low:g} < {name} < {high:g}"


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in _wrap(text)]


def _wrap(text: str) -> list[str]:
    return textwrap.wrap(text, 98)
