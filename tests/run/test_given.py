"""A run that starts from a person's reward: a candidate of the first round beside the designer's."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.runs import PROGRAM, SMALL, write_script

import reward_agent
from reward_agent.definitions.card import load_env
from reward_agent.designers.ideas import choose_ideas, find_lineage
from reward_agent.errors import RefusedError
from reward_agent.export.bundle import pack_run
from reward_agent.export.unpack import open_bundle
from reward_agent.records.outcomes import ACCEPTED
from reward_agent.records.settings import RunSettings
from reward_agent.records.store import Candidate, RunStore
from reward_agent.report.given import trace_given
from reward_agent.run.given import take_rewards

OWN = """\
def compute_reward(state, action, next_state):
    terms = {
        "alive": 1.0 * np.ones_like(next_state.pole_angle),
        "effort": -0.1 * np.sum(np.square(action), axis=-1),
    }
    return sum(terms.values()), terms
"""


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a finished run of one scripted program and a person's."""
    folder = tmp_path_factory.mktemp("given")
    (folder / "mine.py").write_text(OWN)
    design(folder, "runs", write_script(folder, PROGRAM % 0.3))
    return folder


def design(folder: Path, runs: str, provider: str, **options) -> RunStore:
    start_from = [folder / "mine.py"] if provider.startswith("scripted") else []
    run = reward_agent.design(
        "inverted_pendulum", "balance", provider=provider, start_from=start_from,
        runs_dir=folder / runs, environ={}, **({"candidates": 1, "critic": False} | SMALL | options),
    )  # fmt: skip
    return RunStore(folder / runs / run.id)


def test_it_is_a_candidate_of_the_first_round_whose_origin_is_its_file(started: Path) -> None:
    [path] = (started / "runs").iterdir()
    store = RunStore(path)
    scripted, own = store.read_iteration(0).candidates
    assert (scripted.origin, own.origin) == ("", "mine.py")
    assert own.outcome.kind == "trained"
    assert store.read_program(0, own.id) == OWN
    [trace] = trace_given(store, store.read_run())
    assert trace.candidate == own
    assert [fate.name for fate in trace.fates][:2] == ["alive", "effort"]
    assert "What became of your reward" in (path / "report.html").read_text()


def test_a_run_that_is_repeated_or_handed_over_has_it_too(started: Path) -> None:
    [path] = (started / "runs").iterdir()
    (started / "opened").mkdir()
    opened = open_bundle(pack_run(RunStore(path), started), started / "opened")
    repeated = design(started, "again", f"replay:{opened.dir}")
    own = repeated.read_iteration(0).candidates[-1]
    assert (own.origin, own.id) == ("mine.py", RunStore(path).read_iteration(0).candidates[-1].id)


def test_a_run_that_goes_on_does_not_train_it_again(started: Path) -> None:
    [path] = (started / "runs").iterdir()
    before = RunStore(path).read_iteration(0)
    provider = write_script(started, PROGRAM % 0.3, PROGRAM % 0.2)
    reward_agent.resume_run(str(path), provider=provider, iterations=2, environ={})
    assert RunStore(path).read_iteration(0) == before
    assert [c.origin for c in RunStore(path).read_iteration(1).candidates] == [""]


def test_what_is_refused_ends_before_the_run_begins_with_its_findings(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(OWN.replace("pole_angle", "pole_angel"))
    with pytest.raises(RefusedError, match="is not taken") as raised:
        design(tmp_path, "runs", write_script(tmp_path, PROGRAM % 0.3))
    assert "pole_angel" in raised.value.findings
    assert not (tmp_path / "runs").exists()


def make(name: str, *, score: float, parent: str | None = None, origin: str = "") -> Candidate:
    return Candidate(
        id=name, index=0, idea="x", iteration=0, outcome=ACCEPTED, parent=parent, origin=origin,
        task_score=score,
    )  # fmt: skip


def test_the_search_departs_from_it_where_others_score_more(entry_of) -> None:
    own = make("own", score=1.0, origin="mine.py")
    others = [make("best", score=9.0), make("next", score=5.0), make("late", score=2.0)]
    entries = [entry_of(candidate) for candidate in (*others, own)]
    lineage = find_lineage([own, *others, make("child", score=0.0, parent="own")])
    assert lineage == {"own", "child"}
    ideas = choose_ideas(1, 3, best=entries[0], history=entries, lineage=lineage)
    assert [idea.parent for idea in ideas] == ["best", "own", None]
    ideas = choose_ideas(1, 3, best=entries[0], history=entries)
    assert [idea.parent for idea in ideas] == ["best", "best", None]


@pytest.fixture
def entry_of():
    from reward_agent.designers.brief import HistoryEntry
    from reward_agent.types import RewardProgram

    return lambda candidate: HistoryEntry(candidate, RewardProgram("x = 1"))


def test_another_style_is_translated_first_and_the_record_says_how(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "def reward(obs, action, next_obs, info):\n"
        "    return 1.0 if abs(next_obs[1]) < 0.2 else 0.0\n"
    )
    card = load_env("inverted_pendulum")
    [taken] = take_rewards([tmp_path / "mine.py"], card, RunSettings())
    assert taken.record.form == "arrays"
    assert taken.record.parity
    assert "np.where" in taken.program.source
    assert taken.original.startswith("def reward(obs")


def test_a_program_of_ours_that_breaks_is_refused_by_its_term(tmp_path: Path) -> None:
    broken = OWN.replace(
        "1.0 * np.ones_like(next_state.pole_angle)", "np.log(-1.0 - 0.0 * action[:, 0])"
    )
    (tmp_path / "mine.py").write_text(broken)
    with pytest.raises(RefusedError, match="term 'alive' is nan"):
        take_rewards([tmp_path / "mine.py"], load_env("inverted_pendulum"), RunSettings())
