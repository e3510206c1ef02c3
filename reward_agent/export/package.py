"""``export``: a candidate of a run as a folder that needs nothing of this project."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reward_agent.definitions.card import EnvCard
from reward_agent.definitions.tables import OF_PROSE, find_odd_character
from reward_agent.designers.brief import HistoryEntry
from reward_agent.designers.history import read_history
from reward_agent.errors import DataError, UnknownNameError, UsageError
from reward_agent.evaluation.arrays import read_arrays
from reward_agent.evaluation.trajectories import Trajectories
from reward_agent.export.compose import (
    compose_reward,
    describe_control,
    find_hindrance,
    has_memory,
    is_markov,
)
from reward_agent.files import read_capped, write_atomic
from reward_agent.learning.policy import MAX_POLICY_BYTES, parse_policy
from reward_agent.records.disk import read_record
from reward_agent.records.job import RESULT_FILE, TRAJECTORIES_FILE
from reward_agent.records.scoring_jobs import EvaluateResult, RelabelResult
from reward_agent.records.store import RunRecord, find_candidate, load_run
from reward_agent.rewards.checks import check_program
from reward_agent.rewards.source import find_read_fields
from reward_agent.version import __version__

REWARD_FILE, TEST_FILE, RECORD_FILE = "reward.py", "test_reward.py", "recorded.npz"
POLICY_FILE, LOADER_FILE = "policy.safetensors", "policy.py"
CONTRACT_FILE, CONVERTER_FILE = "policy.json", "convert.py"
TORCH_FILE = "torch_terms.py"
_HERE = Path(__file__).resolve().parent
# Of the recorded episodes, as many as have this many steps together; one at least.
_MAX_STEPS = 3000
_N_POLICY_ROWS = 256
_DISTRUST = "take the run from where it was made, or export another candidate"


# What a policy is also written as, and what that needs.
FORMS = {
    "onnx": "pip install 'reward-agent[onnx]'",
    "torch": "pip install torch",
    "sb3": "pip install stable-baselines3",
}


@dataclass(frozen=True)
class Export:
    """What was written: names of files in a folder, whose program it is, and whose policy.

    A note says why the reward comes without an environment, if it does.
    """

    folder: Path
    candidate: str
    files: tuple[str, ...]
    policy: str
    note: str


def export_run(
    run: str | Path,
    output: Path,
    candidate: str | None = None,
    runs_dir: Path | None = None,
    allow_import: str | None = None,
) -> Export:
    """Write the winning reward of a run, its policy, and a test of both.

    What is written is run outside of any sandbox, and a run may be another person's: the program
    is checked once more, and is that which the policy was trained with.

    Args:
        run: a run's path, id, start of its id, or ``last``.
        output: folder to write into; files of the same names in it are replaced.
        candidate: whose program, by its id or the start of it; the winner's by default.
        runs_dir: where runs lie; ``./runs`` by default.
        allow_import: a module that Gymnasium may import, where the environment's id names one.

    Raises:
        UsageError: the run has no winner, or no such candidate; or the environment's id names a
            module that was not allowed.
        DataError: the candidate was not trained, its program is not the one that was, or breaks
            the rules, or a field that it reads cannot be had outside of this project.
    """
    store = load_run(str(run), runs_dir)
    record = store.read_run()
    _check_imports(record.card, allow_import)
    entries = read_history(store)
    entry = _find_candidate(record, entries, candidate)
    source = _read_source(entry, record.card)
    candidate_id, winner = entry.candidate.id, record.winner
    seed = entry.training.seed if entry.training else int(record.config["seed"])
    search_dir = store.evaluation_dir(entry.candidate.iteration, candidate_id, seed)
    policy_dir = search_dir
    if winner is not None and winner.candidate == candidate_id:
        policy_dir = store.dir / Path(winner.policy_file).parent
    evaluated = read_record(policy_dir / RESULT_FILE, EvaluateResult)
    trained_by = _find_trainer(record, entries, entry)
    policy = _read_policy(policy_dir / evaluated.best_file, record.card, trained_by)
    relabel_dir = store.candidate_dir(entry.candidate.iteration, candidate_id) / "relabel"
    paid = read_record(relabel_dir / RESULT_FILE, RelabelResult)
    metadata = _describe(record, entry, evaluated, source) | {"terms": list(paid.term_pay)}
    text = compose_reward(record.card, source, metadata, record.task.termination is not None)
    if output.exists() and not output.is_dir():
        raise UsageError(f"{output} is a file", "name a folder with -o")
    fields = find_read_fields(source, record.card)
    files = {
        REWARD_FILE: text.encode(),
        POLICY_FILE: policy,
        LOADER_FILE: (_HERE / "policy.py").read_bytes(),
        CONTRACT_FILE: _write_contract(record.card, parse_policy(policy).repeat),
        CONVERTER_FILE: (_HERE / "convert.py").read_bytes(),
        RECORD_FILE: _make_recording(fields, search_dir, relabel_dir, policy_dir),
        TEST_FILE: (_HERE / "exported_test.py.txt").read_bytes(),
    }
    if is_markov(source):
        files[TORCH_FILE] = (_HERE / TORCH_FILE).read_bytes()
    for name, content in files.items():
        write_atomic(output / name, content)
    return Export(
        output, candidate_id, tuple(files), metadata["policy"], find_hindrance(record.card)
    )


def check_form(form: str) -> None:
    """Raise UnknownNameError of a form of a policy that there is not."""
    if form not in FORMS:
        raise UnknownNameError("form of a policy", form, list(FORMS))


def convert_policy(folder: Path, form: str) -> tuple[str, ...]:
    """Write an exported policy in another of ``FORMS``, in a process of its own.

    Returns:
        Names of the files.

    Raises:
        UsageError: there is no such form, or a package that it needs is missing.
    """
    check_form(form)
    command = [sys.executable, str(folder / CONVERTER_FILE), form]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        [*_, last] = done.stderr.strip().splitlines() or ["it said nothing"]
        remedy = "use policy.py, or onnx" if done.returncode == 2 else FORMS[form]
        raise UsageError(f"the policy could not be written as {form}: {last}", remedy)
    return tuple(Path(line).name for line in done.stdout.splitlines())


def _check_imports(card: EnvCard, allowed: str | None) -> None:
    """Refuse words at which Gymnasium imports a module, such as the id ``module:Name-v0``."""
    words = [card.gymnasium_id, *card.gymnasium_kwargs.values()]
    words += (
        [card.model.twin or card.model.id, *card.model.options.values()] if card.model.id else []
    )
    for word in words:
        module, colon, _ = str(word).partition(":")
        if colon and module != allowed:
            raise UsageError(
                f"the environment {word!r} makes Gymnasium import {module!r} outside of any "
                "sandbox",
                f"if you know that module, say --allow-import {module}",
            )


def _find_candidate(
    run: RunRecord, entries: list[HistoryEntry], wanted: str | None
) -> HistoryEntry:
    if wanted is None:
        if run.winner is None:
            names = ", ".join(e.candidate.id for e in entries if e.candidate.evaluation)
            note = f" ({run.note})" if run.note else ""
            raise UsageError(
                f"run {run.id} has no winner: it is {run.status}{note}",
                f"name a program with --candidate; trained were: {names or 'none'}",
            )
        wanted = run.winner.candidate
    found = find_candidate(wanted, [entry.candidate.id for entry in entries])
    return [entry for entry in entries if entry.candidate.id == found][-1]


def _find_trainer(run: RunRecord, entries: list[HistoryEntry], entry: HistoryEntry) -> HistoryEntry:
    """Return the program that the exported policy was trained with: the winner's may be another."""
    winner = run.winner
    if winner is None or winner.policy is None or winner.candidate != entry.candidate.id:
        return entry
    return next(e for e in entries if e.candidate.id == winner.policy.candidate)


def _read_source(entry: HistoryEntry, card: EnvCard) -> str:
    """Return the program of a candidate that was trained, if it may run without a sandbox."""
    if entry.program is None or entry.candidate.evaluation is None:
        raise DataError(
            f"candidate {entry.candidate.id} has no policy: {entry.candidate.outcome}",
            "export one that was trained; the run's report lists them",
        )
    program, name = entry.program, entry.candidate.id
    if program.sha256 != entry.candidate.program_sha256:
        raise DataError(f"the program of {name} is not the one that was trained", _DISTRUST)
    if odd := find_odd_character(program.source, OF_PROSE):
        raise DataError(f"the program of {name} holds {odd}", _DISTRUST)
    for error in check_program(program, card).errors:
        place = f", line {error.line}" if error.line else ""
        raise DataError(f"the program of {name}{place}: {error.message}", _DISTRUST)
    return program.source


def _describe(
    run: RunRecord, entry: HistoryEntry, evaluated: EvaluateResult, source: str
) -> dict[str, Any]:
    candidate, card = entry.candidate, run.card
    winner = run.winner if run.winner and run.winner.candidate == candidate.id else None
    handed = winner.policy if winner else None
    policy = handed.evaluation if handed else evaluated.best
    return {
        "task": run.task.description,
        "criterion": run.task.criterion,
        "environment": card.name,
        "gymnasium_id": card.gymnasium_id,
        "twin_of": str(card.model.id) if card.model.twin else "",
        "run": run.id,
        "candidate": candidate.id,
        "program_sha256": candidate.program_sha256,
        "designer": run.designer,
        "judged_by": run.metric_origin,
        "task_score": winner.task_score if winner else candidate.task_score,
        "task_scores_of_fresh_seeds": list(winner.task_scores) if winner else [],
        "unit": run.task.unit,
        "policy": handed.describe(run.task.unit) if handed else f"of {candidate.id}",
        "policy_candidate": handed.candidate if handed else candidate.id,
        "policy_timesteps": evaluated.best.total_timesteps,
        "policy_task_score": policy.task_score,
        "policy_success_rate": policy.success_rate,
        "has_memory": has_memory(source),
        "fields": find_read_fields(source, card),
        "control_dt": card.control_dt,
        "max_episode_steps": card.max_episode_steps,
        "actions": list(card.actions),
        "control": describe_control(card),
        "no_environment": find_hindrance(card),
        "learner": card.learner.model_dump(mode="json"),
        "versions": run.versions,
        "exported_by": f"reward-agent {__version__}",
    }


def _read_policy(path: Path, card: EnvCard, entry: HistoryEntry) -> bytes:
    """Return the content of a policy file, which a child wrote."""
    content = read_capped(path, MAX_POLICY_BYTES)
    header = parse_policy(content).header
    header.check_card(card)
    if header.program_sha256 not in ("", entry.candidate.program_sha256):
        raise DataError(f"{path.name} was trained with another program", _DISTRUST)
    return content


def _write_contract(card: EnvCard, action_repeat: int) -> bytes:
    """Say what goes into the policy and what comes out of it."""
    contract = {
        "environment": card.name,
        "observation": {
            "size": card.observation_size,
            "parts": list(card.observation),
            "units": "of MuJoCo's arrays m, rad and these per s, in the model's order of joints",
            "normalised": "inside of the policy: give it as the environment does",
        },
        "action": {"names": list(card.actions), "range": list(card.action_range)},
        "control": describe_control(card),
        "control_dt": card.control_dt,
        "action_repeat": action_repeat,
    }
    return (json.dumps(contract, indent=2) + "\n").encode()


def _make_recording(
    fields: list[str], search_dir: Path, relabel_dir: Path, policy_dir: Path
) -> bytes:
    """Return recorded states, actions and what they were paid, and what the policy did."""
    recorded = Trajectories.load(search_dir / TRAJECTORIES_FILE)
    paid = read_record(relabel_dir / RESULT_FILE, RelabelResult)
    names = fields or [next(iter(recorded.fields))]
    n_steps = np.cumsum(recorded.lengths)
    kept = recorded.keep(max(1, int(np.searchsorted(n_steps, _MAX_STEPS, side="right"))))
    evaluated = read_record(search_dir / RESULT_FILE, EvaluateResult)
    played = Trajectories.load(policy_dir / TRAJECTORIES_FILE).episode(0)
    packed = io.BytesIO()
    np.savez_compressed(
        packed,
        allow_pickle=False,
        seed=np.int64(evaluated.best.seed),
        starts=kept.starts,
        action=kept.action,
        terminated=kept.terminated,
        **{f"field.{name}": kept.fields[name] for name in names},
        **{
            f"term.{name}": values[: len(kept.action)]
            for name, values in _read_terms(relabel_dir, paid, recorded).items()
        },
        **{"return": np.array(paid.generated_returns[: kept.n_episodes])},
        **{"policy.observation": played.fields["observation"][:-1][:_N_POLICY_ROWS]},
        **{"policy.action": played.action[:_N_POLICY_ROWS]},
    )
    return packed.getvalue()


def _read_terms(
    folder: Path, paid: RelabelResult, recorded: Trajectories
) -> dict[str, NDArray[np.float64]]:
    """Read what each term paid at each recorded step; a child that held the program wrote it."""
    path = folder / "terms.npz"
    remedy = "export another candidate, or run the design again"
    try:
        arrays = read_arrays(path)
        terms = {name: arrays[name] for name in paid.term_pay}
    except KeyError as error:
        raise DataError(f"{path} cannot be read: {error}", remedy) from error
    n_steps = int(recorded.lengths.sum())
    for name, values in terms.items():
        if values.shape != (n_steps,) or values.dtype != np.float64:
            raise DataError(f"{path}: {name} is {values.dtype}{values.shape}", remedy)
    return terms
