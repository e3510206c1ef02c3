"""A search that a person steers while it runs: one run, what it leaves, and its repetition."""

from __future__ import annotations

import hashlib
import json
import re
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import reward_agent
from reward_agent.control import steer
from reward_agent.errors import Interrupted, RefusedError, UsageError
from reward_agent.export.bundle import pack_run
from reward_agent.llm.replies import read_replies
from reward_agent.records.job import INITIAL_POLICY_FILE
from reward_agent.records.steering import (
    Edit,
    More,
    Pin,
    SteeringRemark,
    Stop,
    Taken,
    Unpin,
    read_steering,
)
from reward_agent.records.store import Candidate, RunStore, load_run
from reward_agent.run import race as race_module
from reward_agent.run import steering as steering_module
from reward_agent.run.active import ActiveRun
from reward_agent.run.racing import RungScore
from reward_agent.run.steering import Bounds, find_bounds, tell_words

PROGRAM = """
def compute_reward(state, action, next_state):
    upright = tolerance(next_state.pole_angle, bounds=(-0.05, 0.05), margin={margin})
    return upright, {{"upright": upright}}
"""
STEPS = 8_192
SLICE = STEPS // 8
ME = steer.Asker("terminal", "ada")
# Task scores after each slice, by the program's margin in tenths.
COURSES = {2: [1.0, 0.5], 3: [2.0, 3.0], 4: [1.9, 2.9]}


def read_margin(source: str) -> int:
    found = re.search(r"margin=([0-9.]+)", source)
    assert found is not None
    return round(10 * float(found[1]))


class Person:
    """Steers before given slices: by the margin of the program and the slice's end."""

    def __init__(self) -> None:
        self.acts: dict[tuple[int, int], Callable[[RunStore], object]] = {}
        self.runs: dict[tuple[int, int], Callable[[ActiveRun], object]] = {}
        self.ran: list[tuple[int, int]] = []

    def before(self, run: ActiveRun, entrants: Any, until: int) -> None:
        [entrant] = entrants
        slice_ = read_margin(entrant.program.source), until
        self.ran.append(slice_)
        if ask := self.acts.get(slice_):
            ask(run.store)
            run.steering.take(run.notify)
        if act := self.runs.get(slice_):
            act(run)


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch) -> Person:
    """A person at the run's side, and scores that are decided; the policies are real."""
    person, train_until = Person(), race_module.train_until

    def train(run: ActiveRun, entrants: Any, until: int, **given: bool) -> Any:
        person.before(run, entrants, until)
        return train_until(run, entrants, until, **given)

    def score(run: Any, entrant: Any, result: Any, stop: int, **_: bool) -> RungScore:
        course = COURSES.get(read_margin(entrant.program.source), [0.0])
        mean = course[min(stop // SLICE, len(course)) - 1]
        return RungScore(mean, mean, mean)

    monkeypatch.setattr(steering_module, "POLL_S", 600.0)
    monkeypatch.setattr(race_module, "train_until", train)
    monkeypatch.setattr(race_module, "evaluate_stop", score)
    return person


def design(folder: Path, **options: Any) -> RunStore:
    script = folder / "replies.md"
    replies = [f"```python{PROGRAM.format(margin=0.1 * k)}```" for k in (2, 3, 4)]
    replies += ["nothing comes to my mind"] * 3  # the second round trains nothing
    script.write_text("".join(f"--- reply ---\n{reply}\n" for reply in replies))
    settings = {
        "candidates": 3, "iterations": 1, "winner_seeds": 0, "steps": STEPS, "slots": 1,
        "eval_episodes": 2, "video": False, "critic": False, "analyzer": False,
        "early_stop": False, "max_repairs": 0, "provider": f"scripted:{script}",
    }  # fmt: skip
    run = reward_agent.design(
        "inverted_pendulum", "balance", runs_dir=folder / "runs", environ={}, **settings | options
    )
    return load_run(run.id, folder / "runs")


def by_margin(store: RunStore, iteration: int = 0) -> dict[int, Candidate]:
    candidates = store.read_iteration(iteration).candidates
    return {read_margin(store.read_program(iteration, c.id)): c for c in candidates}


def name(store: RunStore, margin: int) -> str:
    known = steer.list_training(store)
    return next(n for n in known if read_margin(store.read_program(0, n)) == margin)


def steer_much(store: RunStore) -> None:
    """Pin the worst, change its program, stop the second, give the best more."""
    steer.ask(store, Pin, name(store, 2), ME, "it hops", wait_s=0)
    steer.edit(store, name(store, 2), PROGRAM.format(margin=0.9), ME, wait_s=0)
    steer.ask(store, Stop, name(store, 4), ME, "it only stands", wait_s=0)
    steer.remark(store, "Stand still,\nwith the cart in the middle.", ME, wait_s=0)


def test_a_steered_run_and_its_repetition(tmp_path: Path, person: Person) -> None:
    person.acts[3, 3 * SLICE] = steer_much
    person.acts[3, STEPS] = lambda store: steer.ask(
        store, More, name(store, 3), ME, wait_s=0, steps=SLICE + 5
    )
    store = design(tmp_path)
    found = by_margin(store)
    worst, best, second, edited = (found[margin] for margin in (2, 3, 4, 9))

    # Racing would have stopped the worst; the second, which the person stopped, it would not.
    assert str(worst.outcome) == "trained: pinned by a person"
    assert worst.total_timesteps >= STEPS
    assert str(second.outcome) == (
        f"stopped: by a person at {second.outcome.at_steps:,} steps: it only stands"
    )
    assert second.total_timesteps < STEPS
    assert str(best.outcome) == f"trained: given {SLICE + 5:,} env steps more by a person"
    assert best.total_timesteps >= STEPS + SLICE + 5

    # The changed program began with its parent's policy, as it was then.
    journal = read_steering(store.dir)
    at = next(item.at_steps for item in journal if isinstance(item.act, Edit))
    assert at
    assert (edited.idea, edited.parent, edited.started_from) == ("edited", worst.id, worst.id)
    assert str(edited.outcome) == (
        f"trained: changed by a person, began with the policy of {worst.id} at {at:,} steps"
    )
    policy = store.training_dir(0, worst.id, 0) / f"policy_{at}.safetensors"
    given = store.candidate_dir(0, edited.id) / INITIAL_POLICY_FILE
    assert (
        hashlib.sha256(given.read_bytes()).digest() == hashlib.sha256(policy.read_bytes()).digest()
    )

    # Whoever reads the run is told, but for the person's name where it is handed over.
    assert "pinned at" in (store.dir / "report.html").read_text()
    with zipfile.ZipFile(pack_run(store, tmp_path)) as packed:
        handed = packed.read("steering.jsonl").decode()
    assert "Stand still" in handed
    assert "ada" not in handed

    # What was trained is counted, and the best by the task's metric wins.
    run = store.read_run()
    assert run.total_timesteps == sum(c.total_timesteps for c in found.values())
    assert run.winner is not None
    assert run.winner.candidate == store.read_iteration(0).best

    # Who, when, why and what came of it.
    assert [item.act.kind for item in journal] == ["pin", "edit", "stop", "remark", "more"]
    assert all((item.act.via, item.act.user) == ("terminal", "ada") for item in journal)
    assert journal[0].act.why == "it hops"
    assert journal[3].iteration == 1
    assert not list((store.dir / "steering").iterdir())
    lines = map(json.loads, (store.dir / "events.jsonl").read_text().splitlines())
    told = [event for event in lines if event["kind"] == "steered"]
    assert [event["act"] for event in told] == [item.act.kind for item in journal]
    assert told[0]["by"] == "ada, terminal"

    # The journal alone says what was done: nobody steers the run that repeats it.
    before, person.acts, person.ran = person.ran, {}, []
    again = design(tmp_path, provider=f"replay:{store.dir.name}", iterations=1)
    assert again.dir != store.dir
    assert set(person.ran) == set(before)
    repeated = by_margin(again)
    for margin, candidate in found.items():
        assert repeated[margin].outcome == candidate.outcome
        assert repeated[margin].started_from == candidate.started_from
        assert repeated[margin].task_score == candidate.task_score


def test_a_steered_run_that_was_cut_off_goes_on_as_it_was_steered(
    tmp_path: Path, person: Person
) -> None:
    def kill(store: RunStore) -> None:
        raise KeyboardInterrupt

    person.acts[3, 3 * SLICE] = steer_much
    person.acts[9, 2 * SLICE] = kill
    with pytest.raises(Interrupted):
        design(tmp_path, iterations=2)
    store = load_run("last", tmp_path / "runs")
    before = read_steering(store.dir)
    assert len(before) == 4
    person.acts, person.ran = {}, []
    replies = f"scripted:{tmp_path / 'replies.md'}"
    run = reward_agent.resume_run("last", runs_dir=tmp_path / "runs", environ={}, provider=replies)
    assert run.status == "finished"
    assert read_steering(store.dir) == before
    found = by_margin(store)
    assert [found[margin].outcome.kind for margin in (2, 9, 4)] == ["trained", "trained", "stopped"]
    assert found[9].started_from == found[2].id
    # The next round reads the remark, as the person's words.
    asked = [r.prompt for r in read_replies(store.dir) if r.place.iteration == 1]
    assert asked
    assert all("> with the cart in the middle." in prompt for prompt in asked)
    first = [r.prompt for r in read_replies(store.dir) if r.place.iteration == 0]
    assert not any("cart in the middle" in prompt for prompt in first)


def ask_what_cannot_be(store: RunStore) -> list[str]:
    own, told = name(store, 2), []
    for ask in (
        lambda: steer.ask(store, Pin, "nobody", ME),
        lambda: steer.edit(store, own, store.read_program(0, own), ME),
        lambda: steer.edit(store, own, "def compute_reward(state): open('x')", ME),
        lambda: steer.remark(store, "  ", ME),
        lambda: steer.ask(store, More, own, ME, steps=0),
    ):
        with pytest.raises((UsageError, RefusedError)) as caught:
            ask()
        told.append(f"{caught.value.code}: {caught.value.message}; {caught.value.remedy}")
    assert not (store.dir / "steering").exists()
    return told


def leave_odd_requests(run: ActiveRun) -> None:
    """Leave what other programs than this one may write."""
    own, folder = name(run.store, 2), run.store.dir / "steering"
    folder.mkdir()
    for number, text in enumerate(["{", "[]", '{"kind": "pin"}', '{"kind": NaN}', "0" * 99]):
        (folder / f"{number:032x}.json").write_text(text)
    (folder / f"{77:032x}.json").mkdir()
    (folder / "other.txt").write_text("kept")
    act = {"id": "a" * 32, "time": "x", "via": "terminal", "kind": "more", "steps": 1}
    lies = [{"candidate": "../../etc"}, {"steps": 2**70}, {"extra": 1}, {"id": "b" * 32}]
    # Well-formed, and there again for one that was cut off between taking and removing it.
    lies += [{"steps": 10**9}, {"steps": 10**9}]
    for lie in lies:
        text = json.dumps(act | {"candidate": own} | lie)
        (folder / f"{'a' * 32}.json").write_text(text)
        run.steering.take(run.notify)
    assert [path.name for path in folder.iterdir()] == ["other.txt"]


def press_buttons(run: ActiveRun) -> list[str]:
    """Steer from a session's page, whose requests the run takes meanwhile."""
    from reward_agent.web import app

    page = app._Page(SimpleNamespace(session=SimpleNamespace(store=run.store)))  # type: ignore[arg-type]
    own, told = name(run.store, 2), []
    for form in ({"act": "pin", "id": own}, {"act": "more", "id": own, "steps": "9"}):
        threading.Timer(0.3, run.steering.take, [run.notify]).start()
        told.append(page.steer(form))
    for wrong in ({"act": "more", "id": own, "steps": "-1"}, {"act": "leave"}, {}):
        with pytest.raises(UsageError, match="is no act"):
            page.steer(wrong)
    return told


def test_a_page_steers_as_the_terminal_does(tmp_path: Path, person: Person) -> None:
    pytest.importorskip("starlette", reason="the page needs pip install 'reward-agent[web]'")
    told: list[str] = []
    person.runs[2, STEPS // 8] = lambda run: told.extend(press_buttons(run))
    store = design(tmp_path, candidates=1, racing="halving", early_stop=True)
    own = by_margin(store)[2]
    assert told == [
        f"{own.id} pinned at {SLICE:,} env steps: racing does not stop it",
        f"{own.id} given 9 env steps more at {SLICE:,} env steps",
    ]
    assert [item.act.via for item in read_steering(store.dir)] == ["page", "page"]


def test_what_cannot_be_done_is_told_and_does_nothing(tmp_path: Path, person: Person) -> None:
    told: list[str] = []
    person.acts[2, SLICE] = lambda store: told.extend(ask_what_cannot_be(store))
    person.runs[2, 2 * SLICE] = leave_odd_requests
    store = design(tmp_path, candidates=1, racing="halving", early_stop=True)
    own = by_margin(store)[2].id
    assert told[0].startswith("unknown_name: unknown candidate 'nobody'")
    assert f"known candidate names: {own}" in told[0]
    assert "is unchanged" in told[1]
    assert told[2].startswith(f"refused: the changed program of {own} is refused; correct")
    assert told[3].startswith("usage: the remark is empty")
    assert told[4].startswith("usage: steps: ")
    [taken] = read_steering(store.dir)
    assert taken.refusal == f"a training has {10 * STEPS:,} env steps at most"
    assert str(by_margin(store)[2].outcome) == "trained"
    events = [json.loads(line) for line in (store.dir / "events.jsonl").read_text().splitlines()]
    warned = [event["reason"] for event in events if event["kind"] == "warning"]
    assert len([reason for reason in warned if "is no request" in reason]) == 8
    assert len([reason for reason in warned if "holds another request" in reason]) == 1
    with pytest.raises(UsageError, match="is not running: it is finished") as caught:
        steer.ask(store, Pin, own, ME)
    assert "reward-agent feedback" in caught.value.remedy
    # A line of the journal that is none is not passed over: the search follows it.
    (store.dir / "steering.jsonl").write_text("{}\n")
    with pytest.raises(reward_agent.errors.DataError, match=r"steering.jsonl, line 1"):
        reward_agent.resume_run(
            "last", runs_dir=tmp_path / "runs", environ={},
            provider=f"scripted:{tmp_path / 'replies.md'}",
        )  # fmt: skip


def take(act: Any, at: int | None, iteration: int = 0, refusal: str = "") -> Taken:
    return Taken(act=act, iteration=iteration, at_steps=at, refusal=refusal)


def make(kind: Any, number: int = 1, **facts: Any) -> Any:
    return kind(id=f"{number:032x}", time="now", via="mcp", **facts)


def test_the_last_word_on_a_training_counts() -> None:
    pin, unpin, stop = (make(kind, candidate="a") for kind in (Pin, Unpin, Stop))
    more = make(More, candidate="a", steps=50)
    taken = [take(pin, 10)]
    assert find_bounds(taken, 0, "a") == Bounds(is_pinned=True)
    assert find_bounds(taken, 1, "a") == find_bounds(taken, 0, "b") == Bounds()
    taken += [take(unpin, 30), take(stop, 40, refusal="no")]
    assert find_bounds(taken, 0, "a") == Bounds(least=30)
    taken += [take(stop, 60)]
    assert find_bounds(taken, 0, "a").most == 60
    taken += [take(more, 60)]
    assert find_bounds(taken, 0, "a") == Bounds(least=110, more=50)


def test_a_remark_is_new_once_and_told_from_then_on() -> None:
    taken = [take(make(SteeringRemark, k, words=f"words {k}"), None, k) for k in (1, 2)]
    assert not tell_words(taken, 0)
    assert tell_words(taken, 1).words == ("words 1",)
    told = tell_words(taken, 2)
    assert (told.words, told.earlier_words) == (("words 2",), ("words 1",))


def test_what_a_person_says_keeps_no_key() -> None:
    words = "use the key sk-ant-REDACTED and stand"
    act = make(SteeringRemark, words=words, why=words)
    assert "sk-ant" not in act.words + act.why
    assert "sk-ant" not in str(take(act, None))
