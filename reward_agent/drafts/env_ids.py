"""Ids of environments that a package registers when it is imported."""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass
from importlib.util import find_spec

import gymnasium

from reward_agent.errors import hint_closest
from reward_agent.simulation.gymnasium_host import EnvError


@dataclass(frozen=True)
class Family:
    """Environments that a package registers when it is imported.

    Args:
        module: to be imported.
        ids: what its ids begin with.
        package: to be installed.
    """

    module: str
    ids: str
    package: str


_FAMILIES = (
    Family(
        "gymnasium_robotics",
        r"Fetch|Hand(Reach|Manip)|AdroitHand|FrankaKitchen|PointMaze|AntMaze",
        "gymnasium-robotics",
    ),
    Family("ale_py", r"ALE/", "ale-py"),
    Family("minigrid", r"MiniGrid-|BabyAI-", "minigrid"),
    Family(
        "highway_env", r"(highway|merge|roundabout|parking|intersection|racetrack)-", "highway-env"
    ),
    Family("panda_gym", r"Panda(Reach|Push|Slide|Pick|Stack|Flip)", "panda-gym"),
    Family("metaworld", r"Meta-World/", "metaworld"),
    Family("shimmy", r"dm_control/", "'shimmy[dm-control]'"),
    Family("crafter", r"Crafter", "crafter"),
    Family("myosuite", r"myo", "myosuite"),
)


def find_id(name: str) -> str:
    """Return an id with the module that registers it, if that must be imported.

    Raises:
        EnvError: there is no such id, or its package is not installed.
    """
    if ":" in name:
        return name
    for family in _FAMILIES:
        if not re.match(family.ids, name):
            continue
        if find_spec(family.module) is None:
            raise EnvError(
                f"{name} comes with {family.package}, which is not installed",
                f"pip install {family.package}",
            )
        _register(family, name)
        if name in gymnasium.registry:
            return f"{family.module}:{name}"
    if name in gymnasium.registry:
        return name
    others = sorted(_list_versions(name), key=lambda one: int(one.rpartition("v")[2]))
    if others:
        raise EnvError(f"there is no {name}", f"of that name there is {', '.join(others)}")
    raise EnvError(
        f"Gymnasium knows no environment {name!r}{hint_closest(name, list(gymnasium.registry))}",
        "give an id of its registry; one of another package with its module in front: "
        "package:Name-v0",
    )


def _register(family: Family, name: str) -> None:
    try:
        module = importlib.import_module(family.module)
        gymnasium.register_envs(module)
    except Exception as error:  # of whoever wrote the package
        words = f"{type(error).__name__}: {error}"
        raise EnvError(
            f"{family.module}, which brings {name}, cannot be imported ({words[:200]})",
            f"see that `python -c 'import {family.module}'` works",
        ) from error


def _list_versions(name: str) -> list[str]:
    stem = re.sub(r"-v\d+$", "", name)
    return [one for one in gymnasium.registry if re.sub(r"-v\d+$", "", one) == stem]
