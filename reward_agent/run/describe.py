"""Describe: a language model says what a robot's parts mean, and the live model decides.

It fills a form, of which each claim is tried, and may answer once more.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Unpack

from reward_agent.definitions.card import EnvCard, find_env_dir, load_env
from reward_agent.definitions.meaning import ClaimTest, Meaning, TriedMeaning
from reward_agent.definitions.paths import find_runs_dir
from reward_agent.designers.model import ask_for_record
from reward_agent.designers.preview import estimate_tokens
from reward_agent.designers.prompts import make_meaning_repair_request, make_meaning_request
from reward_agent.designers.team import open_model
from reward_agent.errors import DataError, ModelError, UsageError
from reward_agent.files import make_scratch, read_capped
from reward_agent.llm.chat import MAX_REPLY_CHARS, ChatModel, ChatRequest
from reward_agent.llm.provider import choose_provider, find_address, find_provider
from reward_agent.records.drafting_jobs import TryMeaningJob, TryMeaningResult
from reward_agent.records.layers import resolve_settings
from reward_agent.records.options import RunOptions
from reward_agent.records.settings import RunSettings
from reward_agent.records.store import make_run_dir
from reward_agent.run.active import Lab
from reward_agent.run.estimate import expect_calls
from reward_agent.run.single import open_lab
from reward_agent.run.spending import Agree, agree_to_spend
from reward_agent.simulation.backends import find_backend
from reward_agent.types import Usage

# A form and its correction; of each another where it is none, and a longer one where it is cut.
_CALLS = (2, 8)
Try = Callable[[Meaning], tuple[ClaimTest, ...]]
PICTURE_FILE, _MOST_PICTURE_BYTES, _PNG = "model.png", 4 * 2**20, b"\x89PNG\r\n\x1a\n"


def describe_env(
    env: str,
    *,
    tell: Callable[[str], None] = lambda line: None,
    runs_dir: Path | None = None,
    agree: Agree | None = None,
    environ: Mapping[str, str] | None = None,
    **options: Unpack[RunOptions],
) -> TriedMeaning:
    """Ask a language model what the parts of an environment's model mean, and try what it says.

    Its replies and what they cost are recorded in a folder of their own beside the runs.

    Args:
        env: name or folder of the environment.
        tell: is told, in a line, who is asked where, of calls that are tried again, and the cost.
        runs_dir: where runs lie; ``./runs`` by default.
        agree: asked before calls that may cost money without a limit; by default nobody is.
        environ: where keys are looked up; the process's own by default.
        options: settings by the names of ``RunSettings``.

    Raises:
        UsageError: the provider asks no language model, or nothing of MuJoCo simulates the card.
        DataError: no form came.
    """
    card = load_env(env)
    if not find_backend(card).is_mujoco:
        raise UsageError(
            f"{card.name} is simulated by {find_backend(card).label}: it has no model to look at",
            "describe an environment whose card names an MJCF",
        )
    environ = os.environ if environ is None else environ
    settings = resolve_settings(options, card.budget, card.name, environ).settings
    with (
        _open_model(settings, card.name, runs_dir, environ, tell) as model,
        open_lab(card, settings) as lab,
    ):

        def try_claims(meaning: Meaning) -> tuple[ClaimTest, ...]:
            return _try(lab, card, meaning).verdicts

        picture = _read_picture(card) if settings.pictures else b""
        if not picture and settings.pictures:
            tell(f"there is no {PICTURE_FILE} beside the card: the model is shown as text alone")
        request = make_meaning_request(_try(lab, card, Meaning()).outline, picture)
        expect = partial(
            expect_calls, settings, environ, "designer", _CALLS, estimate_tokens(request.prompt)
        )
        agree_to_spend(settings, environ, agree, expect, {"designer"})
        return describe(model, request, try_claims)


def _read_picture(card: EnvCard) -> bytes:
    """Return the picture that lies beside a card; nothing if there is none."""
    try:
        data = read_capped(find_env_dir(card) / PICTURE_FILE, _MOST_PICTURE_BYTES)
    except (OSError, DataError):
        return b""
    return data if data.startswith(_PNG) else b""


@contextlib.contextmanager
def _open_model(
    settings: RunSettings,
    env: str,
    runs_dir: Path | None,
    environ: Mapping[str, str],
    tell: Callable[[str], None],
) -> Iterator[ChatModel]:
    spec = settings.provider or choose_provider(environ).spec
    if find_provider(spec).makes == "designer":
        raise UsageError(
            f"{spec} asks no language model", "give --provider, such as anthropic, or set its key"
        )
    folder = make_run_dir(find_runs_dir(runs_dir), env, "describe")
    cancel = threading.Event()
    model, budget = open_model(settings, spec, folder, environ, cancel, tell, tell)
    address = find_address(spec, settings.base_url, environ)
    sent = " with the outline of the model" + (" and its picture" if settings.pictures else "")
    tell(f"{model.provider}: {model.name}" + (f"; asked at {address}{sent}" if address else ""))
    try:
        yield model
    finally:
        cancel.set()
        budget.close()
        if budget.usage.n_calls:
            tell(_tell_cost(budget.usage))


def _tell_cost(usage: Usage) -> str:
    cost = "" if usage.usd is None else f", {usage.usd:.4f} USD"
    tokens = usage.input_tokens + usage.output_tokens
    return f"{usage.n_calls} calls, {tokens:,} tokens{cost}"


def _try(lab: Lab, card: EnvCard, meaning: Meaning) -> TryMeaningResult:
    with make_scratch() as scratch:
        job_exit = lab.run_job(TryMeaningJob(card=card, meaning=meaning), scratch)
    if not isinstance(job_exit.result, TryMeaningResult):
        raise DataError(f"the claims could not be tried: {job_exit.outcome}", "see the error above")
    return job_exit.result


def describe(model: ChatModel, request: ChatRequest, try_claims: Try) -> TriedMeaning:
    """Ask what a robot's model means, try each claim, and let it answer once more.

    Args:
        model: who is asked.
        request: the question, by ``make_meaning_request``.
        try_claims: returns what came of each claim of a form.

    Returns:
        The form of which more claims hold.

    Raises:
        DataError: no form came, in one line.
        ModelError: no reply arrived.
    """
    first, reply = _ask(model, request, try_claims)
    if not first.refused:
        return first
    again = make_meaning_repair_request(request, reply, first.refused, first.n_held)
    try:
        second, _ = _ask(model, again, try_claims)
    except (DataError, ModelError):  # what holds of the first stays
        return first
    return max(second, first, key=lambda tried: tried.n_held)


def _ask(model: ChatModel, request: ChatRequest, try_claims: Try) -> tuple[TriedMeaning, str]:
    opinion = ask_for_record(model, request, Meaning)
    if opinion.record is None:
        raise DataError(
            f"{model.name} filled no form: {opinion.reason}", "try again, or use another model"
        )
    reply = opinion.completions[-1].reply[:MAX_REPLY_CHARS]
    verdicts = try_claims(opinion.record)
    return TriedMeaning(claimed=opinion.record, verdicts=verdicts), reply
