"""Settings are of two sorts: a run carries those of the search; those of the person it never does."""

from __future__ import annotations

import json
import shlex
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import runs
from support.commands import run_command

import reward_agent
from reward_agent.definitions.card import find_env_dir, load_env
from reward_agent.definitions.task import make_task
from reward_agent.errors import DataError, RewardAgentError, UsageError
from reward_agent.feedback.session import open_session
from reward_agent.records.layers import find_own_config, render_option, resolve_settings
from reward_agent.records.settings import RunSettings, list_settings
from reward_agent.records.store import RunRecord, RunStore
from reward_agent.run.repeat import find_repeated, tell_differences
from reward_agent.run.resume import take_up

# What a stranger would have a run decide.
HOSTILE: dict[str, Any] = {
    "provider": "openai", "model": "dear", "base_url": "http://127.0.0.1:9/v1", "cache": "off",
    "executor": "slurm", "ray_address": "evil:10001", "python": "/tmp/evil/python", "job_cpus": 99, "job_gpus": 8.0, "slots": 64, "device": "cuda:7",
    "sandbox": "off", "training_timeout_s": 1e9, "memory_mib": 10**9, "trust_config": True,
    "critic_model": {"provider": "openai"}, "analyzer_model": {"base_url": "http://127.0.0.1:9/v1"},
    "judge_model": {"model": "dear"}, "headers": {"X-To": "evil"}, "body": {"tools": "all"},
    "prices": {"input": 0.0, "output": 0.0}, "context_tokens": 999, "attempts": 50, "concurrency": 64,
    "silence_timeout_s": 1e5, "call_timeout_s": 1e5,
    "max_usd": None, "max_tokens": None, "max_calls": None, "pictures": True,
}  # fmt: skip
KEYS = {"OPENAI_API_KEY": "sk-canary", "ANTHROPIC_API_KEY": "sk-canary"}


def make_store(folder: Path, **config: object) -> RunStore:
    store = RunStore(folder / "runs" / "a_run")
    card = load_env("inverted_pendulum")
    store.write_run(
        RunRecord(
            id="a_run", created="2026-11-22T23:41:05Z", status="interrupted", card=card,
            task=make_task(card.name, "balance the pole"), metric_origin="none",
            config=RunSettings(provider="offline").model_dump() | config, config_sources={},
            designer="x", sandbox_level="unknown", versions={},
        )
    )  # fmt: skip
    return store


def change_run(store: RunStore, **changes: Any) -> None:
    """Change ``run.json`` as a stranger would."""
    path = store.dir / "run.json"
    record = json.loads(path.read_text())
    for key, value in changes.items():
        place = record
        *folders, last = key.split("__")
        for folder in folders:
            place = place[folder]
        place[last] = value
    path.write_text(json.dumps(record))


def decide(store: RunStore, environ: dict[str, str] | None = None, **options: Any) -> RunSettings:
    taken = take_up(str(store.dir), None, None, options, environ or {})
    return taken.resolved.settings


# --- a run's directory ----------------------------------------------------------------------------


def test_every_personal_setting_is_tried_here() -> None:
    assert set(HOSTILE) == set(list_settings(is_personal=True))


@pytest.mark.parametrize("name", set(HOSTILE) - set(list_settings(is_said_again=True)))
def test_no_setting_of_the_person_comes_from_a_run(name: str, tmp_path: Path) -> None:
    settings = decide(make_store(tmp_path, **{name: HOSTILE[name]}))
    assert getattr(settings, name) == getattr(RunSettings(), name)


@pytest.mark.parametrize(
    ("made_with", "options", "device"),
    [
        ("auto", {}, "auto"),
        ("gpu", {}, "auto"),  # it need not be on this machine
        ("gpu", {"device": "gpu"}, "gpu"),
        ("gpu", {"device": "cpu"}, "cpu"),
        ("warp-cpu", {}, "warp-cpu"),
    ],
)
def test_what_a_run_trained_on_goes_on_where_it_is_there(
    made_with: str, options: dict[str, Any], device: str, tmp_path: Path
) -> None:
    assert decide(make_store(tmp_path, device=made_with), **options).device == device


@pytest.mark.parametrize("name", list_settings(is_said_again=True))
def test_who_answers_and_where_jobs_run_has_to_be_said(name: str, tmp_path: Path) -> None:
    store = make_store(tmp_path, **{name: HOSTILE[name]})
    said = render_option(name, HOSTILE[name])
    with pytest.raises(UsageError, match="is for you to say") as caught:
        decide(store)
    assert said in caught.value.message
    assert said in caught.value.remedy
    again = decide(store, **{name: HOSTILE[name]}).model_dump()[name]
    assert again == HOSTILE[name]


def test_all_at_once_a_run_is_refused_before_anything_is_sent_or_run(tmp_path: Path) -> None:
    store = make_store(tmp_path, **HOSTILE)
    (store.dir / "metric.py").write_text("import os\nos.system('touch /tmp/owned')\n")
    before = (store.dir / "run.json").read_bytes()
    for work in (
        lambda: reward_agent.resume_run(str(store.dir), environ=KEYS),
        lambda: open_session(str(store.dir), environ=KEYS).__enter__(),
    ):
        with pytest.raises(UsageError, match="who answers and where jobs run is for you to say"):
            work()
    assert (store.dir / "run.json").read_bytes() == before
    assert sorted(path.name for path in store.dir.iterdir()) == ["metric.py", "run.json"]


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A server of a stranger's; whoever connects to it leaves it readable."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        yield server


@pytest.mark.parametrize("said", [{}, {"provider": "openai"}, {"model": "gpt-6.2-sol"}])
def test_a_key_goes_to_no_address_that_a_run_names(
    said: dict[str, str], listener: socket.socket, tmp_path: Path
) -> None:
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    store = make_store(tmp_path, provider="openai", base_url=url)
    with pytest.raises(UsageError, match="--base-url"):
        reward_agent.resume_run(str(store.dir), environ=KEYS, **said)
    with pytest.raises(TimeoutError):
        listener.accept()


def test_another_provider_that_the_person_says_is_taken_at_its_own_address(tmp_path: Path) -> None:
    store = make_store(tmp_path, provider="openai", base_url="http://evil/v1", model="dear")
    settings = decide(store, provider="anthropic")
    assert (settings.provider, settings.base_url, settings.model) == ("anthropic", None, None)


def test_what_the_environment_says_is_the_person(tmp_path: Path) -> None:
    store = make_store(tmp_path, provider="openai", base_url="http://a/v1")
    environ = {"REWARD_AGENT_PROVIDER": "openai", "REWARD_AGENT_BASE_URL": "http://a/v1"}
    assert decide(store, environ).base_url == "http://a/v1"


def test_limits_of_money_stay_and_the_offline_designer_stays(tmp_path: Path) -> None:
    store = make_store(tmp_path, max_usd=2.5, max_calls=7)
    settings = decide(store, KEYS)
    assert (settings.max_usd, settings.max_calls, settings.provider) == (2.5, 7, "offline")
    assert decide(store, max_calls=9).max_calls == 9


def test_of_the_search_is_what_the_run_says(tmp_path: Path) -> None:
    settings = decide(make_store(tmp_path, steps=77, racing="bandit", seed=5, recall="score"))
    assert (settings.steps, settings.racing, settings.seed) == (77, "bandit", 5)


@pytest.mark.parametrize("spec", ["scripted:/etc/passwd", "manual:/tmp/elsewhere", "local:/x.gguf",
                                  "given:/etc/passwd", "replay:/other"])  # fmt: skip
def test_no_file_or_folder_is_named_by_a_run(spec: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is for you to say") as caught:
        decide(make_store(tmp_path, provider=spec))
    assert shlex.quote(spec) in caught.value.remedy


# --- the card of a run ------------------------------------------------------------------------------


def test_the_folder_of_a_card_is_the_persons(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    change_run(store, card__folder=str(Path.home()), card__gymnasium_id="evil:Evil-v0",
               card__gymnasium_kwargs={"xml_file": "/etc/passwd"})  # fmt: skip
    card, own = (
        take_up(str(store.dir), None, None, {}, {}).read().card,
        load_env("inverted_pendulum"),
    )
    assert (card.folder, card.gymnasium_id) == (own.folder, own.gymnasium_id)
    assert card.gymnasium_kwargs == own.gymnasium_kwargs


@pytest.mark.parametrize(
    "model",
    [
        {"gymnasium": None, "file": "../../etc/passwd"},
        {"gymnasium": None, "id": "evil:Evil-v0", "backend": "gymnasium"},
        {"backend": "envpool"},
        {"options": {"python": "/tmp/evil"}},
    ],
)
def test_a_model_of_a_run_that_is_not_the_persons_is_refused(
    model: dict[str, Any], tmp_path: Path
) -> None:
    store = make_store(tmp_path)
    for key, value in model.items():
        change_run(store, **{f"card__model__{key}": value})
    for work in (decide, lambda store: open_session(str(store.dir), environ={}).__enter__()):
        with pytest.raises((UsageError, DataError)):
            work(store)


def test_a_simulation_that_a_runs_task_names_is_refused(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    change_run(store, task__simulation="evil:Evil-v0")
    assert take_up(str(store.dir), None, None, {}, {}).read().card.model.id is None


@pytest.mark.parametrize("name", ["theirs", "../theirs", "/etc"])
def test_an_environment_that_is_none_of_the_persons_is_looked_for_nowhere(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store(tmp_path)
    shutil.copytree(find_env_dir("inverted_pendulum"), tmp_path / "theirs")
    change_run(store, card__name=name, task__env=name)
    monkeypatch.chdir(tmp_path)
    with pytest.raises((UsageError, DataError)):
        decide(store)
    with pytest.raises((UsageError, DataError)):
        reward_agent.design(
            provider="replay:a_run", runs_dir=tmp_path / "runs", environ={}, video=False
        )


def test_a_folder_that_the_person_names_again_is_taken(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    shutil.copytree(find_env_dir("inverted_pendulum"), mine)
    text = (mine / "env.toml").read_text().replace('name = "inverted_pendulum"', 'name = "mine"')
    (mine / "env.toml").write_text(text)
    store = make_store(tmp_path)
    store.write_run(store.read_run().model_copy(update={"card": load_env(mine)}))
    with pytest.raises(UsageError, match="none of those here"):
        decide(store)
    taken = take_up(str(store.dir), None, str(mine), {}, {})
    assert taken.read().card.folder == str(mine)
    assert f"--env {mine}" in store.resume_command


# --- a run that is repeated -------------------------------------------------------------------------


def test_a_replay_takes_nothing_of_the_person_over(tmp_path: Path) -> None:
    make_store(tmp_path, **HOSTILE)
    repeated = find_repeated("replay:a_run", tmp_path / "runs")
    assert repeated is not None
    assert not set(repeated.settings) & set(HOSTILE) - {"provider"}
    assert repeated.settings["provider"] == "replay:a_run"


# --- the file of a working directory ----------------------------------------------------------------


def resolve(
    folder: Path, text: str, options: dict[str, Any] | None = None, **environ: str
) -> RunSettings:
    (folder / "reward-agent.toml").write_text(text)
    budget = load_env("hopper").budget
    return resolve_settings(options or {}, budget, "hopper", environ, folder).settings


@pytest.mark.parametrize(
    "line",
    [
        'sandbox = "off"', 'sandbox = "any"', 'base_url = "http://evil/v1"', "trust_config = true",
        'base_url = "http://localhost@evil/v1"', 'base_url = "http://localhost.evil.com/v1"',
        'base_url = "http://127.0.0.1:1@evil"', 'base_url = "http://localhost:1/v1?to=http://evil"',
        'provider = "openai"', 'provider = "anthropic"', 'provider = "openai-compatible:http://evil"',
        'provider = "scripted:/etc/passwd"', 'provider = "manual:/tmp/elsewhere"', 'provider = "local:x"',
        'provider = "a-strangers"', 'ray_address = "evil:10001"', 'executor = "a-strangers"',
        'provider = "offline\\n"',
    ],
)  # fmt: skip
def test_a_file_of_the_folder_lets_no_key_leave_and_weakens_no_isolation(
    line: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="for you to say") as caught:
        resolve(tmp_path, line)
    assert "--trust-config" in caught.value.remedy
    name = line.partition(" ")[0]
    if name != "trust_config":
        assert getattr(resolve(tmp_path, line, {"trust_config": True}), name) is not None
        assert resolve(tmp_path, line, REWARD_AGENT_TRUST_CONFIG="1") is not None


@pytest.mark.parametrize(
    "line",
    [
        'sandbox = "strict"', 'provider = "offline"', 'provider = "manual"', "slots = 3",
        'provider = "openai-compatible"', 'base_url = "http://localhost:11434/v1"',
        'base_url = "http://[::1]:8000/v1"', 'executor = "slurm"', 'ray_address = "auto"',
        'preset = "quick"', "max_usd = 2.0", 'model = "mine"', "memory_mib = 8192",
    ],
)  # fmt: skip
def test_what_harms_nobody_is_taken_from_it(line: str, tmp_path: Path) -> None:
    assert resolve(tmp_path, line) != RunSettings()


def test_what_is_said_elsewhere_goes_first_and_nothing_is_asked(tmp_path: Path) -> None:
    line = 'base_url = "http://evil/v1"'
    assert resolve(tmp_path, line, {"base_url": "http://mine/v1"}).base_url == "http://mine/v1"
    own = tmp_path / "config"
    path = find_own_config({"XDG_CONFIG_HOME": str(own)})
    path.parent.mkdir(parents=True)
    path.write_text('sandbox = "any"\nbase_url = "http://mine/v1"\nprovider = "openai"\n')
    settings = resolve(tmp_path, line, XDG_CONFIG_HOME=str(own))
    assert (settings.base_url, settings.sandbox) == ("http://mine/v1", "any")


# --- one's own run stays one command ----------------------------------------------------------------

PROGRAM = runs.PROGRAM % 0.2


def test_the_command_that_is_printed_says_all_that_the_run_does_not_decide(tmp_path: Path) -> None:
    script = tmp_path / "it's a script.md"
    script.write_text(f"--- reply ---\n{PROGRAM}\n")
    settings = {"steps": 1024, "candidates": 1, "winner_seeds": 0, "eval_episodes": 1, "slots": 1,
                "memory_mib": 5000, "max_calls": 9, "sandbox": "any"}  # fmt: skip
    run = reward_agent.design(
        "inverted_pendulum", "balance", provider=f"scripted:{script}", iterations=1, video=False,
        critic=False, analyzer=False, runs_dir=tmp_path / "runs", environ={}, **settings,
    )  # fmt: skip
    store = RunStore(tmp_path / "runs" / run.id)
    words = shlex.split(store.resume_command)
    assert words[:3] == ["reward-agent", "design", "--resume"]
    said = dict(zip(words[4::2], words[5::2], strict=True))
    assert said == {"--provider": f"scripted:{script}", "--slots": "1", "--memory-mib": "5000",
                    "--max-calls": "9"}  # fmt: skip
    with pytest.raises(RewardAgentError, match="is for you to say") as caught:
        reward_agent.resume_run(str(store.dir), environ={})
    assert shlex.quote(f"scripted:{script}") in caught.value.remedy
    again = json.loads(run_command(*words[1:], "--json", cwd=tmp_path).stdout)
    assert again["status"] == "finished"
    assert store.read_run().config["memory_mib"] == 5000


def test_what_is_not_used_is_not_asked_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "reward-agent.toml").write_text('provider = "openai"\nbase_url = "http://evil"\n')
    monkeypatch.chdir(tmp_path)
    source = (
        "def reward(obs, action, next_obs):\n    return next_obs[5] if next_obs[0] > 1 else 0.0\n"
    )
    taken = reward_agent.check(source, "hopper").taken
    assert taken is not None
    assert taken.form == "arrays"
    (tmp_path / "reward-agent.toml").write_text('sandbox = "off"\n')
    with pytest.raises(UsageError, match="sandbox = 'off'"):
        reward_agent.check(source, "hopper")


def test_a_replay_says_which_settings_its_replies_were_not_made_with(tmp_path: Path) -> None:
    store = make_store(
        tmp_path, effort="low", body={"options": {"num_ctx": 1}, "api_key": "s3cret"}
    )
    repeated = find_repeated(f"replay:{store.dir}")
    assert repeated is not None
    same = RunSettings(effort="low", body={"options": {"num_ctx": 1}, "api_key": "s3cret"})
    assert tell_differences(repeated, same) == ""
    told = tell_differences(repeated, RunSettings(effort="high", candidates=2))
    assert "effort high (it had low)" in told
    assert "candidates 2 (it had 6)" in told
    assert "s3cret" not in told
