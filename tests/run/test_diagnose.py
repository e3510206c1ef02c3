"""One diagnosis from the file to the page, with a training of a few steps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from reward_agent.cli.app import app
from reward_agent.definitions.card import load_env
from reward_agent.definitions.task import load_task
from reward_agent.designers.brief import DesignBrief, DesignIdea, HistoryEntry
from reward_agent.designers.offline.designer import OfflineDesigner
from reward_agent.errors import RefusedError
from reward_agent.records.outcomes import TRAINED
from reward_agent.records.store import Candidate
from reward_agent.rewards.terms import read_terms
from reward_agent.run.diagnose import Diagnosed, diagnose
from reward_agent.summary.diagnosis import render_diagnosis
from reward_agent.types import ProbeReport, RewardProgram

OWN = """\
def reward(obs, action, next_obs, info):
    upright = 1.0 if abs(next_obs[1]) < 0.2 else 0.0
    effort = -0.1 * float(action[0]) ** 2
    return upright + effort, {"upright": upright, "effort": effort}
"""
SMALL = {"steps": 2048, "eval_episodes": 2}


@pytest.fixture(scope="module")
def diagnosed(tmp_path_factory: pytest.TempPathFactory) -> Diagnosed:
    folder = tmp_path_factory.mktemp("diagnose")
    (folder / "mine.py").write_text(OWN)
    return diagnose(
        folder / "mine.py", "inverted_pendulum", task="balance", folder=folder / "d", **SMALL
    )


ANALYSIS = {
    "failure_mode": "balance is not learnt",
    "evidence": ["episodes are short"],
    "next_change": "train longer",
    "keep": True,
}


def test_a_model_that_is_named_says_what_to_change_beside_the_rules(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(OWN)
    (tmp_path / "said.md").write_text(f"--- reply analyzer ---\n{json.dumps(ANALYSIS)}\n")
    provider = f"scripted:{tmp_path / 'said.md'}"
    done = diagnose(
        tmp_path / "mine.py", "inverted_pendulum", folder=tmp_path / "d", provider=provider,
        environ={}, **SMALL,
    )  # fmt: skip
    assert done.diagnosis.analysis.next_change == "train longer"
    assert "the model's opinion: train longer" in render_diagnosis(done.diagnosis)
    assert "balance is not learnt" in done.page.read_text()
    assert done.diagnosis.task_score is None


def test_each_term_is_told_in_training_and_without_noise(diagnosed: Diagnosed) -> None:
    diagnosis = diagnosed.diagnosis
    assert diagnosis.reward.form == "arrays"
    assert {term.name for term in diagnosis.terms} == {"upright", "effort"}
    assert all(term.pay_in_training is not None for term in diagnosis.terms)
    assert {row.name for row in diagnosis.probe.behaviours} >= {"start pose held", "limp"}
    assert diagnosis.task_score is not None
    assert diagnosis.faults == ()


def test_the_page_is_one_file_with_the_table_of_terms(diagnosed: Diagnosed) -> None:
    page = diagnosed.page.read_text()
    assert diagnosed.diagnosis.headline in page
    assert "<code>upright</code>" in page
    assert "http" not in page.replace("http-equiv", "")
    assert (
        json.loads((diagnosed.folder / "diagnosis.json").read_text())["env"] == "inverted_pendulum"
    )


def test_the_command_prints_what_broke_first_and_trains_nothing(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "def compute_reward(state, action, next_state):\n"
        "    terms = {'up': 1.0 * next_state.pole_angle, 'ratio': np.log(-1.0 - 0.0 * state.pole_angle)}\n"
        "    return sum(terms.values()), terms\n"
    )
    arguments = ["diagnose", str(tmp_path / "mine.py"), "--env", "inverted_pendulum"]
    done = CliRunner().invoke(
        app, [*arguments, "-o", str(tmp_path / "d"), "--out", str(tmp_path / "p.html")]
    )
    assert done.stdout.splitlines()[0].startswith("a term is not a number: ratio")
    assert not (tmp_path / "d" / "training").exists()
    assert (tmp_path / "p.html").is_file()


def test_what_cannot_be_taken_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("print('no reward')\n")
    with pytest.raises(RefusedError):
        diagnose(tmp_path / "mine.py", "inverted_pendulum", folder=tmp_path / "d")
    assert not (tmp_path / "d").exists()


def test_the_offline_designer_keeps_a_persons_terms_and_changes_a_weight() -> None:
    source = (
        "def compute_reward(state, action, next_state):\n"
        "    terms = {'up': 1.0 * next_state.pole_angle, 'effort': -0.1 * np.square(action[:, 0])}\n"
        "    return sum(terms.values()), terms\n"
    )
    program = RewardProgram(source)
    own = Candidate(
        id="own", index=0, idea="x", iteration=0, outcome=TRAINED, origin="mine.py", task_score=1.0
    )
    probe = ProbeReport(program_sha256=program.sha256, is_additive=True)
    entry = HistoryEntry(own, program, probe=probe)
    card = load_env("inverted_pendulum")
    brief = DesignBrief(
        card, load_task(card, "balance"), DesignIdea("x", "x", "own"), 1, index=3, history=(entry,)
    )
    proposal = OfflineDesigner().propose(brief)
    assert proposal.program is not None
    before = {term.name: term.weight for term in read_terms(source)}
    after = {term.name: term.weight for term in read_terms(proposal.program.source)}
    assert before.keys() == after.keys()
    assert before != after
    assert "whose terms it keeps" in proposal.reply
