"""The part of job ``draft`` that makes an environment of Gymnasium's, and writes a card for it."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from reward_agent.definitions.card import CARD_FILE, EnvCard, ModelSource, find_env_dir, load_env
from reward_agent.drafts.columns import find_rates
from reward_agent.drafts.env_card import EnvPlan, plan_env, write_env_draft
from reward_agent.drafts.env_ids import find_id
from reward_agent.drafts.pool_env import PoolEnv
from reward_agent.drafts.survey import Survey, read_survey, survey_env, survey_named
from reward_agent.errors import DataError
from reward_agent.records.drafting_jobs import DraftJob, DraftResult
from reward_agent.simulation.backends import ENVPOOL, GYMNASIUM, find_python, prepare_simulation
from reward_agent.simulation.gymnasium_host import EnvError
from reward_agent.simulation.gymnasium_process import find_host

# EnvPool is taken where it is so much faster: it says less, and needs a package more.
_FASTER = 1.5
_SAME_RATES = 0.8  # of the rates that EnvPool's and Gymnasium's have both
_INSTALL = re.compile(r"pip3? install [^`.\s][^`\n]*?(?=`|\.?\s|\.?$)")


def prepare(job: DraftJob) -> None:
    """Before the seal: import what registers the id, which may start processes."""
    with suppress(EnvError):  # said when it is made
        if job.may_change and not ENVPOOL.missing:
            pooled = ModelSource(backend=ENVPOOL.name, id=job.card.model.id)
            prepare_simulation(job.card.model_copy(update={"model": pooled}))
        if find_python(job.card):
            find_host().ask("find", name=str(job.card.model.id))
        else:
            find_id(str(job.card.model.id))


def run(job: DraftJob, job_dir: Path) -> DraftResult:
    """Make, watch, move, hold the docstring against that, write."""
    model, folder = job.card.model, find_env_dir(job.card)
    try:
        survey = _survey(job.card, str(folder))
        plan = plan_env(model.model_copy(update={"id": survey.name}), survey)
        draft = write_env_draft(plan, job.options, folder)
        (job_dir / CARD_FILE).write_text(draft.files[CARD_FILE], encoding="utf-8")
        card = load_env(job_dir / CARD_FILE)
        plan, is_new = _hold_twins(job, plan, card)
        if is_new:
            draft = write_env_draft(plan, job.options, folder)
            (job_dir / CARD_FILE).write_text(draft.files[CARD_FILE], encoding="utf-8")
            card = load_env(job_dir / CARD_FILE)
    except EnvError as error:
        return _refuse(error, find_python(job.card))
    except DataError as error:
        return DraftResult(refusal=error.message, remedy=error.remedy)
    return DraftResult(draft=draft, said=plan.said, facts=_list_facts(plan, card))


def _survey(card: EnvCard, folder: str) -> Survey:
    """Return what an environment is, watched where it is to run.

    Raises:
        EnvError: it cannot be made, or is none of numbers.
    """
    name, options = str(card.model.id), dict(card.model.options)
    if card.model.backend == ENVPOOL.name:
        return _learn_from_twin(survey_env(PoolEnv(name, options), name))
    if find_python(card):
        return read_survey(find_host().ask("survey", name=name, options=options, folder=folder))
    return survey_named(name, options, folder)


def _learn_from_twin(survey: Survey) -> Survey:
    """Return what is known of EnvPool's environment, with what Gymnasium's own of the id tells.

    Its state can be set; what it observes must be the same numbers, with the same rates.
    """
    try:
        twin = survey_named(survey.name, {}, "")
    except EnvError:
        return survey
    rates = [find_rates(one.watched.episodes) for one in (survey, twin)]
    both = [i for i in rates[0] if i in rates[1]]
    n_same = sum(rates[0][i][0] == rates[1][i][0] for i in both)
    if survey.names != twin.names or n_same < _SAME_RATES * len(both):
        return survey
    if not survey.dt_source:
        survey = replace(survey, dt=twin.dt, dt_source=twin.dt_source)
    return replace(
        survey,
        scattered=twin.scattered,
        sampled=twin.sampled,
        model=twin.model,
        twin=True,
    )


def _hold_twins(job: DraftJob, plan: EnvPlan, card: EnvCard) -> tuple[EnvPlan, bool]:
    """Compare EnvPool's and Gymnasium's environments of one id; say which simulates the card.

    Returns:
        The plan with what was found, and whether that changes the draft.
    """
    is_pooled, model = plan.model.backend == ENVPOOL.name, plan.model
    if not (is_pooled or job.may_change) or ENVPOOL.missing or model.options or find_python(card):
        return plan, False
    from reward_agent.simulation.envpool import import_envpool
    from reward_agent.simulation.twins import compare_twins

    bare = str(model.id).rpartition(":")[2]
    try:
        twin = find_id(bare)
    except EnvError:
        return plan, False
    if bare not in import_envpool(card).list_all_envs():
        return plan, False
    like = compare_twins(card.model_copy(update={"name": job.options.name}), twin)
    rates = "{:,.0f} and {:,.0f} env steps/s".format(*like.speeds)
    is_same, is_faster = like.is_same, like.speeds[0] >= _FASTER * like.speeds[1]
    if is_pooled and like.differs:
        word = (
            f"an exported reward comes without an environment: Gymnasium's differs, {like.differs}"
        )
    elif is_pooled:
        word = f"an exported reward wraps Gymnasium's own, which is the same {like.compared}"
    elif not is_same:
        word = f"Gymnasium simulates it, not EnvPool: {like.tell_difference()}"
    elif not is_faster:
        word = f"Gymnasium simulates it: EnvPool does the same, and is not much faster ({rates})"
    else:
        word = (
            f"EnvPool simulates it, as it is faster ({rates}) and the same {like.compared}; "
            f"--backend {GYMNASIUM.name} takes Gymnasium"
        )
    is_other = (is_pooled and not like.differs) or (is_same and is_faster)
    if not is_other and not is_pooled:
        word += f"; --backend {ENVPOOL.name} takes EnvPool"
    if is_other:
        model = model.model_copy(update={"backend": ENVPOOL.name, "id": bare, "twin": twin})
    return replace(plan, model=model, said=(*plan.said, word)), True


def _refuse(error: EnvError, python: str) -> DraftResult:
    """Say why an environment cannot be used, and what installs what it lacks."""
    install = _INSTALL.search(error.message)
    lacks = re.search(r"No module named '([\w.]+)'", error.message)
    remedy = error.remedy
    if install:
        remedy = install[0]
    elif lacks:
        remedy = (
            f"install the package that has {lacks[1]} in {python or 'this Python'}, name a Python "
            "that has it with --python, or a function of yours that makes the environment: "
            "my_file.py:make_env"
        )
    is_ours = error.message.startswith(("its", "actions of")) or "image" in error.message
    return DraftResult(
        refusal=error.message[:900], remedy=remedy[:500], may_be_elsewhere=not is_ours
    )


def _list_facts(plan: EnvPlan, card: EnvCard) -> dict[str, str]:
    survey = plan.survey
    actions = survey.actions
    kind = (
        f"choices of {actions.n_choices}" if actions.n_choices else f"{actions.n_actions} numbers"
    )
    shapes = ", ".join(f"{leaf.key or 'observation'} {leaf.size}" for leaf in plan.leaves)
    return {
        "environment": str(plan.model.id),
        "simulated by": plan.model.backend,
        "observation": shapes[:300],
        "actions": kind,
        "fields": str(len(card.state)),
    }
