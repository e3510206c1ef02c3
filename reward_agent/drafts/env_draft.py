"""The part of job ``draft`` that makes an environment of Gymnasium's, and writes a card for it."""

from __future__ import annotations

import importlib
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gymnasium

from reward_agent.definitions.card import CARD_FILE, ModelSource, find_env_dir, load_env
from reward_agent.drafts.columns import find_rates
from reward_agent.drafts.env_card import EnvPlan, plan_env, write_env_draft
from reward_agent.drafts.pool_env import PoolEnv
from reward_agent.drafts.survey import Survey, survey_env
from reward_agent.errors import DataError, hint_closest
from reward_agent.records.jobs import DraftJob, DraftResult
from reward_agent.simulation.backends import ENVPOOL
from reward_agent.simulation.gymnasium_host import EnvError, make_env


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
_SAME_RATES = 0.8  # of the rates that EnvPool's and Gymnasium's have both
_INSTALL = re.compile(r"pip3? install [^`.\s][^`\n]*?(?=`|\.?\s|\.?$)")


class UndraftableError(Exception):
    """An id that cannot be made here; ``is_elsewhere``: another back end may have it."""

    def __init__(self, message: str, remedy: str, *, is_elsewhere: bool = True) -> None:
        super().__init__(message)
        self.message, self.remedy, self.is_elsewhere = message, remedy, is_elsewhere


def run(job: DraftJob, job_dir: Path) -> DraftResult:
    """Make, watch, move, hold the docstring against that, write."""
    model, folder = job.card.model, find_env_dir(job.card)
    try:
        env, model = _make(model, str(folder))
        survey = survey_env(env, str(model.id))
        if model.backend == ENVPOOL.name:
            survey = _learn_from_twin(survey, str(model.id))
        plan = plan_env(model, survey)
        draft = write_env_draft(plan, job.options, folder)
        (job_dir / CARD_FILE).write_text(draft.files[CARD_FILE], encoding="utf-8")
        load_env(job_dir / CARD_FILE)
    except UndraftableError as error:
        return DraftResult(
            refusal=error.message, remedy=error.remedy, may_be_elsewhere=error.is_elsewhere
        )
    except EnvError as error:
        return _refuse(error)
    except DataError as error:
        return DraftResult(refusal=error.message, remedy=error.remedy)
    return DraftResult(draft=draft, said=plan.said, facts=_list_facts(plan))


def _make(model: ModelSource, folder: str) -> tuple[Any, ModelSource]:
    """Return an environment, with the id that makes it again."""
    name, options = str(model.id), dict(model.options)
    if model.backend == ENVPOOL.name:
        with suppress(UndraftableError):  # only its docstring is wanted
            find_id(name, model)
        return PoolEnv(name, options), model
    model = model.model_copy(update={"id": find_id(name, model)})
    return make_env(str(model.id), options, folder), model


def _learn_from_twin(survey: Survey, name: str) -> Survey:
    """Return what is known of EnvPool's environment, with what Gymnasium's own of the id tells.

    Its state can be set; what it observes must be the same numbers, with the same rates.
    """
    try:
        twin = survey_env(make_env(find_id(name, ModelSource(id=name)), {}, ""), name)
    except (UndraftableError, EnvError):
        return survey
    rates = [find_rates(one.watched.episodes) for one in (survey, twin)]
    both = [i for i in rates[0] if i in rates[1]]
    n_same = sum(rates[0][i][0] == rates[1][i][0] for i in both)
    is_same = survey.columns.names == twin.columns.names and n_same >= _SAME_RATES * len(both)
    if not is_same:
        return survey
    if not survey.dt_source:
        survey = replace(survey, dt=twin.dt, dt_source=twin.dt_source)
    return replace(
        survey,
        scattered=twin.scattered,
        sampled=twin.sampled,
        model=twin.model,
        objects=twin.objects,
        twin=True,
    )


def _refuse(error: EnvError) -> DraftResult:
    """Say why an environment cannot be used, and what installs what it lacks."""
    install = _INSTALL.search(error.message)
    lacks = re.search(r"No module named '([\w.]+)'", error.message)
    remedy = error.remedy
    if install:
        remedy = install[0]
    elif lacks:
        remedy = (
            f"install the package that has {lacks[1]} in this Python, or name a function of yours "
            "that makes the environment: my_file.py:make_env"
        )
    is_ours = error.message.startswith(("its", "actions of")) or "image" in error.message
    return DraftResult(
        refusal=error.message[:900], remedy=remedy[:500], may_be_elsewhere=not is_ours
    )


def _list_facts(plan: EnvPlan) -> dict[str, str]:
    survey = plan.survey
    actions = survey.actions
    kind = (
        f"choices of {actions.n_choices}" if actions.n_choices else f"{actions.n_actions} numbers"
    )
    shapes = ", ".join(f"{leaf.key or 'observation'} {leaf.size}" for leaf in plan.leaves)
    return {
        "environment": str(plan.model.id),
        "observation": shapes[:300],
        "actions": kind,
        "fields": str(len(plan.made.fields)),
    }


def find_id(name: str, model: ModelSource) -> str:
    """Return an id with the module that registers it, if that must be imported.

    Raises:
        UndraftableError: there is no such id, or its package is not installed.
    """
    if model.function is not None or ":" in name or name in gymnasium.registry:
        return name
    for family in _FAMILIES:
        if not re.match(family.ids, name):
            continue
        if find_spec(family.module) is None:
            raise UndraftableError(
                f"{name} comes with {family.package}, which is not installed",
                f"pip install {family.package}",
            )
        _register(family, name)
        if name in gymnasium.registry:
            return f"{family.module}:{name}"
    others = sorted(_list_versions(name), key=lambda one: int(one.rpartition("v")[2]))
    if others:
        raise UndraftableError(f"there is no {name}", f"of that name there is {', '.join(others)}")
    raise UndraftableError(
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
        raise UndraftableError(
            f"{family.module}, which brings {name}, cannot be imported ({words[:200]})",
            f"see that `python -c 'import {family.module}'` works",
        ) from error


def _list_versions(name: str) -> list[str]:
    stem = re.sub(r"-v\d+$", "", name)
    return [one for one in gymnasium.registry if re.sub(r"-v\d+$", "", one) == stem]
