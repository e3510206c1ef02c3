"""Which episode is shown to a person, and what is written on its pictures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from reward_agent.definitions.card import EnvCard
from reward_agent.errors import DataError
from reward_agent.evaluation.arrays import read_arrays
from reward_agent.evaluation.scoring import rank_episodes
from reward_agent.simulation.backends import Footage
from reward_agent.simulation.state import FloatArray
from reward_agent.summary.samples import choose_steps
from reward_agent.types import EpisodeScore, Evaluation

if TYPE_CHECKING:
    from reward_agent.evaluation.rollout import Rollout

_N_MOMENTS = 7
# Of an episode: what is shown of a behaviour beside others.
_SHEET_MOMENTS = (0.0, 0.01, 0.04, 0.2, 1.0)


def save_footages(footages: Sequence[Footage], path: Path) -> None:
    """Write ``footage.npz``: words, and in single precision poses and actions of each episode."""
    words = [
        {
            "caption": f.caption,
            "verdict": f.verdict,
            "moments": list(f.moments.items()),
            "seed": f.seed,
            "name": f.name,
        }
        for f in footages
    ]
    arrays = {"words": np.array(json.dumps(words))}
    for number, footage in enumerate(footages):
        arrays[f"qpos_{number}"] = footage.pose.astype(np.float32)
        # Poses are enough where there are any.
        if footage.action is not None and not footage.pose.size:
            arrays[f"action_{number}"] = footage.action.astype(np.float32)
    np.savez_compressed(path, allow_pickle=False, **arrays)


def load_footages(path: Path) -> list[Footage]:
    """Read what ``save_footages`` wrote.

    Raises:
        DataError: the file is missing or something else.
    """
    try:
        arrays = read_arrays(path)
        return [
            Footage(
                pose=arrays[f"qpos_{number}"].astype(np.float64),
                caption=words["caption"],
                verdict=words["verdict"],
                moments=dict(words["moments"]),
                action=arrays.get(f"action_{number}"),
                seed=words["seed"],
                # Older ones begin with the median and do not say so.
                name=words.get("name", "" if number else "median"),
            )
            for number, words in enumerate(json.loads(str(arrays["words"])))
        ]
    except (DataError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{path}: no footage: {error}", "evaluate the policy again") from error


def choose_episodes(footages: Sequence[Footage], names: Sequence[str]) -> list[Footage]:
    """Return the episodes of these names, as far as there are any.

    Raises:
        DataError: there is none of them.
    """
    chosen = [footage for name in names for footage in footages if footage.name == name]
    if not chosen:
        kept = ", ".join(footage.name or "one without a name" for footage in footages)
        raise DataError(
            f"no {' or '.join(names)} episode was kept, but: {kept}", "evaluate the policy again"
        )
    return chosen


def make_footages(
    card: EnvCard, rollout: Rollout, best: Evaluation, caption: str, n_episodes: int
) -> list[Footage]:
    """Return the median episode, for the best one would flatter the policy; then others.

    These are best, worst, upper quartile and the rest, as far as they are there. Which one it is
    completes the first line of the caption.
    """
    order = rank_episodes(best)
    places = {
        "median": len(order) // 2,
        "best": len(order) - 1,
        "worst": 0,
        "upper quartile": len(order) - 1 - len(order) // 4,
    }
    chosen: dict[int, str] = {}
    for name, place in places.items():
        chosen.setdefault(order[place], name)
    for index in order:
        chosen.setdefault(index, "one")
    first, _, rest = caption.partition("\n")
    footages = []
    for index, name in list(chosen.items())[:n_episodes]:
        shown = f"{name} of {len(order)} episodes"
        title = f"{first}, {shown}" if first else shown
        footages.append(
            Footage(
                pose=rollout.pose[index],
                action=rollout.trajectories.episode(index).action,
                seed=best.seed + index,
                name=name,
                caption=f"{title}\n{rest}" if rest else title,
                verdict=_describe(best.episodes[index]),
                moments=choose_steps(
                    card, rollout.trajectories.episode(index), best.episodes[index], _N_MOMENTS
                ),
            )
        )
    return footages


def make_behaviour_footage(name: str, pose: FloatArray) -> Footage:
    """Return an episode of a behaviour; more of its moments are early, for a fall is soon over.

    Args:
        name: what the robot does, written beneath each moment.
        pose: ``(T, n)``.
    """
    steps = sorted({round(share * (len(pose) - 1)) for share in _SHEET_MOMENTS})
    return Footage(pose, name, "", dict.fromkeys(steps, name), name=name)


def _describe(score: EpisodeScore) -> str:
    if score.task_score is None:
        return ""
    return f"episode score {score.task_score:.3g}" + (", success" if score.success else "")
