"""A run as one file: ``runs pack`` writes it, ``runs open`` reads a stranger's (``unpack.py``).

A zip. ``bundle.json`` names the run and every other member with its sha256; these are the files of
a run that others have a use for: records, programs, replies, pictures, the winner's policy. What a
member may be called, and what it then holds, is one closed table, for both directions.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field

from reward_agent.definitions.task import METRIC_FILE
from reward_agent.designers.history import PLAN_FILE, PlanRecord
from reward_agent.designers.roles import MetricWords
from reward_agent.errors import DataError, RewardAgentError, UsageError
from reward_agent.export.anonymous import Cleaner
from reward_agent.files import list_names, read_bytes, read_text, write_atomic
from reward_agent.learning.policy import MAX_POLICY_BYTES
from reward_agent.llm.replies import REPLIES_FILE as DATABASE_FILE
from reward_agent.llm.replies import read_calls, read_replies
from reward_agent.records.disk import read_record, refuse_odd_numbers
from reward_agent.records.job import PROGRAM_FILE, RESULT_FILE
from reward_agent.records.judgement import FRAMES_FILE, JUDGEMENT_FILE, SHOWN, Judgement, name_shown
from reward_agent.records.scoring_jobs import EvaluateResult
from reward_agent.records.settings import list_settings
from reward_agent.records.steering import STEERING_FILE
from reward_agent.records.store import SESSION_FILE, Iteration, RunRecord, RunStore
from reward_agent.summary.summary import TrajectorySummary
from reward_agent.types import (
    Analysis,
    CheckReport,
    Critique,
    FileName,
    FileRecord,
    ProbeReport,
    Sha256,
    TrainingResult,
)

BUNDLE_FILE = "bundle.json"
CALLS_FILE, REPLIES_FILE = "calls.jsonl", "replies.jsonl"
SUFFIX = ".run.zip"
MAX_FILES = 10_000
_MAX_FILE_BYTES = 64 * 2**20

_ROUND = r"iterations/[0-9]{1,4}"
_CANDIDATE = _ROUND + r"/candidates/[A-Za-z0-9_-]{1,64}"
_GIVEN = r"given/[0-9]{1,4}"
_POLICIES = _CANDIDATE + r"/(?:evaluation|training)/seed_[0-9]{1,10}"


@dataclass(frozen=True)
class Kind:
    """What a member holds.

    Args:
        pattern: what it may be called.
        form: a record's class, or what else it is.
        max_bytes: how large it may be.
    """

    pattern: str
    form: type[BaseModel] | Literal["program", "text", "lines", "film", "sheet", "policy"]
    max_bytes: int = 4 * 2**20


_KINDS = (
    Kind(r"run\.json", RunRecord),
    Kind(_ROUND + r"/iteration\.json", Iteration, 16 * 2**20),
    Kind(_CANDIDATE + r"/check\.json", CheckReport),
    Kind(_CANDIDATE + r"/probe\.json", ProbeReport),
    Kind(_CANDIDATE + r"/critique\.json", Critique),
    Kind(_CANDIDATE + r"/training\.json", TrainingResult),
    Kind(_CANDIDATE + r"/evaluation\.json", EvaluateResult, 16 * 2**20),
    Kind(_CANDIDATE + r"/summary\.json", TrajectorySummary),
    Kind(_CANDIDATE + r"/analysis\.json", Analysis),
    Kind(_CANDIDATE + "/" + re.escape(PLAN_FILE), PlanRecord),
    Kind(_CANDIDATE + r"/evaluation/seed_[0-9]{1,10}/" + RESULT_FILE, EvaluateResult, 16 * 2**20),
    Kind(r"metric/[0-9]{1,4}/words\.json", MetricWords),
    Kind(rf"(?:{_CANDIDATE}/|{_GIVEN}/)?{PROGRAM_FILE}", "program"),
    Kind(_GIVEN + r"/original\.txt", "text"),
    Kind(rf"(?:metric/[0-9]{{1,4}}/)?{METRIC_FILE}", "program"),
    Kind(rf"(?:{_CANDIDATE}|metric/[0-9]{{1,4}})/reply\.md", "text"),
    Kind(_CANDIDATE + r"/summary\.md", "text"),
    Kind(re.escape(SESSION_FILE), "lines", 16 * 2**20),
    Kind(re.escape(STEERING_FILE), "lines", 16 * 2**20),
    Kind(re.escape(CALLS_FILE), "lines", _MAX_FILE_BYTES),
    Kind(re.escape(REPLIES_FILE), "lines", _MAX_FILE_BYTES),
    Kind(_POLICIES + r"/[A-Za-z0-9_-]{1,64}\.(?:webp|mp4)", "film", _MAX_FILE_BYTES),
    *(Kind(f"{_POLICIES}/{re.escape(name_shown(JUDGEMENT_FILE, s))}", Judgement) for s in SHOWN),
    *(Kind(f"{_POLICIES}/{re.escape(name_shown(FRAMES_FILE, s))}", "sheet") for s in SHOWN),
    Kind(_POLICIES + r"/[A-Za-z0-9_.-]{1,99}\.safetensors", "policy", MAX_POLICY_BYTES),
)


class Bundle(FileRecord):
    """``bundle.json``: whose run it is, and what it is made of."""

    kind: Literal["reward-agent run"] = "reward-agent run"
    run: FileName
    files: dict[str, Sha256] = Field(max_length=MAX_FILES)


def find_kind(name: str) -> Kind | None:
    """Return what a member of this name holds; None if none is called so."""
    return next((kind for kind in _KINDS if re.fullmatch(kind.pattern, name, re.ASCII)), None)


def pack_run(store: RunStore, output: Path | None = None) -> Path:
    """Write a run as one file that can be handed over.

    Args:
        store: the run.
        output: the file, or the folder that it goes to; ``<run>.run.zip`` here by default.

    Returns:
        Where it lies.

    Raises:
        UsageError: the run is being worked on, or the file is there already.
        DataError: a record of it is not valid, or a program holds what must not be handed over.
    """
    if store.is_locked():
        raise UsageError(f"run {store.dir.name} is being worked on", "pack it when it has ended")
    path = output or Path(".")
    path = path / f"{store.dir.name}{SUFFIX}" if path.is_dir() else path
    if path.exists() or path.is_symlink():
        raise UsageError(f"{path} is there already", "name another file with --output")
    members = dict(_collect(store, Cleaner((store.dir, store.dir.parent))))
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in members.items()}
    bundle = Bundle(run=store.read_run().id, files=digests)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in {BUNDLE_FILE: _write_json(bundle), **members}.items():
            # Without the time and the rights that a file had on this machine.
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    try:
        write_atomic(path, stream.getvalue())
    except OSError as error:
        raise RewardAgentError(
            f"cannot write {path}: {error.strerror}", "name another file with --output"
        ) from error
    return path


def _collect(store: RunStore, cleaner: Cleaner) -> Iterator[tuple[str, bytes]]:
    """Yield the members of a run's file, cleaned."""
    winner = store.read_run().winner
    policy = winner.policy_file if winner else ""
    for name in list_files(store.dir):
        kind = find_kind(name)
        is_other_policy = kind is not None and kind.form == "policy" and name != policy
        if kind is None or is_other_policy or name in (CALLS_FILE, REPLIES_FILE):
            continue
        try:
            yield name, _clean(store, name, kind, cleaner)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{store.dir / name}: {error}", "restore the file") from error
    calls = [call.model_dump(mode="json") for call in read_calls(store.dir)]
    replies = []
    if (store.dir / DATABASE_FILE).is_file():
        replies = [reply.model_dump(mode="json") for reply in read_replies(store.dir)]
    for reply in replies:
        reply["prompt"] = cleaner.clean_prose(reply["prompt"])
        reply["completion"] = cleaner.clean_data(reply["completion"], cleaner.clean_code)
    for name, rows in ((CALLS_FILE, cleaner.clean_data(calls)), (REPLIES_FILE, replies)):
        if rows:
            yield name, _write_lines(rows)


def list_files(folder: Path, above: str = "") -> Iterator[str]:
    """Yield the files of a run by their names below it; what is reached by a link is left out."""
    for own in list_names(folder):
        name, path = f"{above}{own}", folder / own
        if path.is_dir() and not path.is_symlink() and name.count("/") < 8:
            yield from list_files(path, f"{name}/")
        elif path.is_file() and not path.is_symlink():
            yield name


def _clean(store: RunStore, name: str, kind: Kind, cleaner: Cleaner) -> bytes:
    path, form = store.dir / name, kind.form
    if form in ("film", "sheet", "policy"):
        return read_bytes(path, kind.max_bytes)
    if isinstance(form, str):
        text = read_text(path, max_bytes=kind.max_bytes)
        if form == "lines":
            whole = text[: text.rfind("\n") + 1].encode()
            return _write_lines([_clean_entry(row, cleaner) for row in parse_lines(whole)])
        cleaned = cleaner.clean_code(text)
        if form == "program" and cleaned != text:
            raise DataError(
                f"{name} names a path, a person or a key of this machine, and a program is known "
                "by its digest: it is not handed over with them, nor changed",
                "hand over a run whose programs do without",
            )
        return cleaned.encode("utf-8", "replace")
    if form is RunRecord:
        return _write_json(_clean_run(store.read_run(), cleaner))
    record = read_record(path, form)
    data = record.model_dump(mode="json")
    return _write_json(form.model_validate(cleaner.clean_data(data)))


def _clean_entry(entry: dict[str, Any], cleaner: Cleaner) -> dict[str, Any]:
    """Clean an entry of a session, or what was steered; a program in it stays a program."""
    if isinstance(entry.get("act"), dict):
        nobody = {**entry["act"], "user": ""}
        return {**cleaner.clean_data(entry), "act": _clean_entry(nobody, cleaner)}
    program = {key: cleaner.clean_code(entry[key]) for key in ("program",) if key in entry}
    return {**cleaner.clean_data(entry), **program}


def _clean_run(run: RunRecord, cleaner: Cleaner) -> RunRecord:
    """Return ``run.json`` with the settings of the search alone, and no folder of this machine."""
    data = run.model_dump(mode="json")
    # What they say is shown to models and compared by its digest: it stays but for what is private.
    said = {name: cleaner.clean_data(data[name], cleaner.clean_code) for name in ("card", "task")}
    data = cleaner.clean_data(data) | said | {"id": run.id}
    return keep_search(RunRecord.model_validate(data))


def keep_search(run: RunRecord) -> RunRecord:
    """Return a run's record without what only the person and the machine of a run decide."""
    known = set(list_settings(is_personal=False))
    changes: dict[str, Any] = {
        name: {key: value for key, value in getattr(run, name).items() if key in known}
        for name in ("config", "config_sources")
    }
    return run.model_copy(update=changes | {"card": run.card.model_copy(update={"folder": None})})


def _write_json(record: BaseModel) -> bytes:
    return (record.model_dump_json(indent=2) + "\n").encode("utf-8", "replace")


def _write_lines(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def parse_lines(content: bytes) -> list[dict[str, Any]]:
    """Parse JSON objects, one a line.

    Raises:
        ValueError: a line is none.
    """
    rows = []
    for line in content.splitlines():
        refuse_odd_numbers(line)
        rows.append(json.loads(line))
        if not isinstance(rows[-1], dict):
            raise ValueError("a line is no object")
    return rows
