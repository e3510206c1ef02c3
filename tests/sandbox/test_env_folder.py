"""What a job can read and how it is isolated is the person's choice and the machine's, whatever
lies in a run's directory."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from support.hostile import make_card, run_hostile_job, said

from reward_agent.definitions.card import find_env_dir, load_env
from reward_agent.errors import DataError, UsageError
from reward_agent.executors import JobRequest
from reward_agent.executors.parcel import pack_order, unpack_order
from reward_agent.files import guard
from reward_agent.records.drafting_jobs import CheckEnvJob
from reward_agent.records.job import JOB_FILE, Limits
from reward_agent.records.training_jobs import ProbeJob
from reward_agent.sandbox.filter import find_architecture
from reward_agent.sandbox.isolation import ISOLATION_FILE
from reward_agent.sandbox.landlock import READ_FILE, find_file_rules, read_abi
from reward_agent.sandbox.runner import run_job

needs_walls = pytest.mark.skipif(
    not read_abi() or find_architecture() is None, reason="this machine has no full sandbox"
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "people" / "ada"
    (folder / ".ssh").mkdir(parents=True)
    (folder / ".ssh" / "id_ed25519").write_text("private")
    monkeypatch.setenv("HOME", str(folder))
    return folder


def make_job(folder: Path) -> ProbeJob:
    card = make_card().model_copy(update={"folder": str(folder)})
    return ProbeJob(card=card, program_sha256="0" * 64)


@pytest.mark.parametrize("has_card", [False, True])
@pytest.mark.parametrize("where", [".", "..", "../..", "/", "linked"])
def test_a_home_is_never_an_environment(
    home: Path, tmp_path: Path, where: str, has_card: bool
) -> None:
    (tmp_path / "link").symlink_to(home)
    folder = tmp_path / "link" if where == "linked" else home / where
    if has_card and where != "/":
        (folder.resolve() / "env.toml").write_text("")
    with pytest.raises(UsageError, match="not the folder of an environment alone"):
        run_job(make_job(folder), tmp_path / "job")
    assert not (tmp_path / "job").exists()


@pytest.mark.parametrize("where", [".ssh", ".config"])
def test_a_folder_without_a_card_is_never_an_environment(
    home: Path, tmp_path: Path, where: str
) -> None:
    (home / where).mkdir(exist_ok=True)
    with pytest.raises(UsageError, match="not the folder of an environment alone"):
        run_job(make_job(home / where), tmp_path / "job")


def test_an_environments_own_folder_serves(tmp_path: Path) -> None:
    own = tmp_path / "own"
    shutil.copytree(find_env_dir("inverted_pendulum"), own)
    job = CheckEnvJob(card=load_env(own))
    assert run_job(job, tmp_path / "job").outcome.is_ok


READ = """
found = []
for path in {paths!r}:
    try:
        found.append(open(path).read())
    except OSError as error:
        found.append(type(error).__name__)
report = found
"""


@needs_walls
def test_what_a_run_directory_holds_lifts_no_isolation(home: Path, tmp_path: Path) -> None:
    job_dir, elsewhere = tmp_path / "job", tmp_path / "elsewhere.json"
    job_dir.mkdir()
    elsewhere.write_text('{"mode": "off"}')
    (job_dir / ISOLATION_FILE).symlink_to(elsewhere)
    (job_dir / JOB_FILE).write_text('{"kind": "film", "card": {}}')
    secret = str(home / ".ssh" / "id_ed25519")
    job_exit = run_hostile_job(job_dir, READ.format(paths=[secret, str(elsewhere)]))
    assert said(job_exit) == "['PermissionError', 'PermissionError']"
    assert job_exit.level == "full"
    assert elsewhere.read_text() == '{"mode": "off"}'
    assert not (job_dir / ISOLATION_FILE).is_symlink()


@needs_walls
def test_links_of_an_environments_folder_lead_nowhere(home: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    shutil.copytree(find_env_dir("inverted_pendulum"), own)
    (own / "notes.txt").write_text("the environment's")
    (own / "key").symlink_to(home / ".ssh" / "id_ed25519")
    (own / "home").symlink_to(home)
    card = make_card().model_copy(update={"folder": str(own)})
    paths = [str(own / name) for name in ("notes.txt", "key", "home/.ssh/id_ed25519")]
    source = READ.format(paths=paths)
    job_exit = run_hostile_job(tmp_path / "job", source, card=card)
    assert said(job_exit) == str(["the environment's", "PermissionError", "PermissionError"])


def test_no_link_of_an_environments_folder_travels_to_a_node(home: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    shutil.copytree(find_env_dir("inverted_pendulum"), own)
    (own / "model.xml").write_text("<mujoco/>")
    (own / "key").symlink_to(home / ".ssh" / "id_ed25519")
    (own / "home").symlink_to(home)
    os.mkfifo(own / "pipe")
    card = load_env(own)
    model = card.model.model_copy(update={"gymnasium": None, "file": "model.xml"})
    job = CheckEnvJob(card=card.model_copy(update={"model": model}))
    _, _, env = unpack_order(pack_order(JobRequest(job, tmp_path / "job", Limits()), "default"))
    assert b"model.xml" in env
    assert b"private" not in env
    assert b"pipe" not in env


@pytest.mark.parametrize("place", ["training", "training/seed_0"])
def test_a_link_of_a_run_leads_no_job_elsewhere(home: Path, tmp_path: Path, place: str) -> None:
    run_dir = guard(tmp_path / "run")
    run_dir.mkdir()
    (run_dir / "training").symlink_to(home)
    job = CheckEnvJob(card=load_env("inverted_pendulum"))
    with pytest.raises(DataError, match="link"):
        run_job(job, run_dir / place)
    assert [path.name for path in home.iterdir()] == [".ssh"]


def test_a_folder_that_is_a_link_is_no_jobs(home: Path, tmp_path: Path) -> None:
    (tmp_path / "job").symlink_to(home)
    with pytest.raises(DataError, match="is a link"):
        run_job(CheckEnvJob(card=load_env("inverted_pendulum")), tmp_path / "job")
    assert [path.name for path in home.iterdir()] == [".ssh"]


def test_a_job_may_read_single_files_elsewhere_and_what_no_link_leads_to(tmp_path: Path) -> None:
    (tmp_path / "model.xml").write_text("")
    (tmp_path / "beside.xml").write_text("")
    (tmp_path / "link.xml").symlink_to(tmp_path / "beside.xml")
    also = [tmp_path / name for name in ("model.xml", "link.xml", "gone.xml", ".")]
    rules = find_file_rules(tmp_path / "job", None, has_devices=False, also=also)
    there = {rule.path: rule.rights for rule in rules if rule.path.is_relative_to(tmp_path)}
    assert there.pop(tmp_path / "job")
    assert there == {tmp_path / "model.xml": READ_FILE}
