"""The whole road, for real: replies from a script, MuJoCo, PPO, the sandbox, the run directory."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support.runs import PROPOSAL, SMALL, WITH_EFFORT, write_script

import reward_agent
from reward_agent.definitions.card import load_env
from reward_agent.errors import RewardAgentError, UndecidedError, UsageError
from reward_agent.feedback.session import open_session
from reward_agent.records.disk import read_record
from reward_agent.records.events import Event, Warned
from reward_agent.records.outcomes import TRAINED
from reward_agent.records.store import Candidate, RunRecord, RunStore, load_run
from reward_agent.records.trial import MetricTrial, list_retrials, read_trial
from reward_agent.report.verdict import find_verdict
from reward_agent.report.view import MAX_STRIP_BYTES, load_run_view
from reward_agent.run.metric import ProposedMetric
from reward_agent.simulation.backends import find_backend, find_graphics

PROSE = "I would reward the pole for staying upright, but I will not write code today."
SYNTAX_ERROR = "```python\ndef compute_reward(state, action, next_state)\n    return 1\n```"
UNKNOWN_FIELD = """```python
def compute_reward(state, action, next_state):
    upright = tolerance(next_state.pole_angel, bounds=(-0.05, 0.05), margin=0.2)
    return upright, {"upright": upright}
```"""
NOT_FINITE = """```python
def compute_reward(state, action, next_state):
    upright = np.log(-1.0 - np.abs(next_state.pole_angle))
    return upright, {"upright": upright}
```"""
GOOD = f"Pay for an upright pole.\n\n{WITH_EFFORT}"
OTHER_GOOD = GOOD.replace("0.001", "0.01")


def design(folder: Path, provider: str, **options: Any) -> RunRecord:
    return reward_agent.design(
        "inverted_pendulum",
        "balance",
        provider=provider,
        runs_dir=folder / "runs",
        environ={},
        **(SMALL | options),
    )


def read_candidates(folder: Path, run: RunRecord) -> list[Candidate]:
    store = load_run(run.id, folder / "runs")
    return [c for i in store.list_iterations() for c in store.read_iteration(i).candidates]


def test_bad_replies_have_named_outcomes_and_the_good_one_is_trained(tmp_path: Path) -> None:
    provider = write_script(tmp_path, PROSE, SYNTAX_ERROR, UNKNOWN_FIELD, NOT_FINITE, GOOD)
    run = design(tmp_path, provider, candidates=5, max_repairs=0)
    outcomes = [str(candidate.outcome) for candidate in read_candidates(tmp_path, run)]
    assert outcomes[0].startswith("no program: ")
    assert outcomes[1].startswith("rejected: check: line 1: ")
    assert "pole_angel" in outcomes[2]
    assert "pole_angle" in outcomes[2]
    assert outcomes[3].startswith("rejected: probe: ")
    assert outcomes[4] == "trained"
    assert run.status == "finished"
    assert run.winner is not None
    store = load_run(run.id, tmp_path / "runs")
    assert "margin=0.2" in (store.dir / "reward.py").read_text()
    assert (store.dir / "report.html").stat().st_size > 5_000
    assert (store.dir / run.winner.policy_file).is_file()
    folder = store.candidate_dir(0, read_candidates(tmp_path, run)[4].id)
    assert "What exploration met" in (folder / "summary.md").read_text()
    assert not [*folder.rglob("episodes_*.npz")]


def test_findings_are_repaired_within_bounds(tmp_path: Path) -> None:
    provider = write_script(tmp_path, PROSE, SYNTAX_ERROR, UNKNOWN_FIELD, NOT_FINITE, GOOD)
    run = design(tmp_path, provider, candidates=2, max_repairs=2)
    first, second = read_candidates(tmp_path, run)
    assert str(first.outcome).startswith("rejected: check: ")
    assert [attempt.outcome.label for attempt in first.attempts] == [
        "no program",
        "rejected",
    ]
    assert second.outcome == TRAINED
    assert str(second.attempts[0].outcome).startswith("rejected: probe: ")


def test_a_script_that_ends_is_an_outcome_not_the_end_of_the_run(tmp_path: Path) -> None:
    run = design(tmp_path, write_script(tmp_path, GOOD), candidates=2, iterations=2)
    outcomes = [str(candidate.outcome) for candidate in read_candidates(tmp_path, run)]
    assert outcomes[0] == "trained"
    assert all(outcome.startswith("no program: ") for outcome in outcomes[1:])
    assert run.winner is not None


def test_all_candidates_rejected_is_said_and_the_run_can_go_on(tmp_path: Path) -> None:
    provider = write_script(tmp_path, PROSE, GOOD)
    with pytest.raises(RewardAgentError, match="no candidate passed") as caught:
        design(tmp_path, provider, candidates=1, max_repairs=0)
    assert "--resume" in caught.value.remedy
    run = reward_agent.resume_run(
        "last", runs_dir=tmp_path / "runs", iterations=2, environ={}, provider=provider
    )
    assert run.winner is not None


def test_the_two_best_are_confirmed_with_a_fresh_seed(tmp_path: Path) -> None:
    provider = write_script(tmp_path, GOOD, OTHER_GOOD)
    run = design(tmp_path, provider, candidates=2, winner_seeds=1, own_reward=True)
    assert run.winner is not None
    assert run.winner.is_confirmed
    own = load_run_view(tmp_path / "runs" / run.id).own
    assert own is not None
    steps = [c.total_timesteps for c in (*read_candidates(tmp_path, run), *run.confirmations)]
    assert run.total_timesteps == sum(filter(None, steps)) + run.config["steps"]
    assert {item.candidate for item in run.confirmations} == {
        candidate.id for candidate in read_candidates(tmp_path, run)
    }
    assert all(item.seed != run.config["seed"] for item in run.confirmations)


METRIC = '''
import numpy as np

from reward_agent.types import Score


def score(episode):
    """Share of the time near the middle of the rail."""
    share = float(np.mean(np.abs(episode.cart_position) < 0.1))
    return Score(share, share > 0.9, {"share": share})
'''


def test_a_sentence_is_judged_by_a_metric_of_the_user(tmp_path: Path) -> None:
    metric = tmp_path / "mine.py"
    metric.write_text(METRIC)
    told: list[Event] = []
    run = reward_agent.design(
        "inverted_pendulum",
        "move to the right end of the rail",
        metric=metric,
        provider=write_script(tmp_path, GOOD),
        runs_dir=tmp_path / "runs",
        environ={},
        candidates=1,
        listen=told.append,
        **SMALL,
    )
    assert run.metric_origin == "file"
    warned = [event.reason for event in told if isinstance(event, Warned)]
    assert any("your metric: " in reason and "scores" in reason for reason in warned)
    assert any("| start pose held |" in reason for reason in warned)
    store = load_run("last", tmp_path / "runs")
    trial = read_trial(store)
    assert trial is not None
    assert any(finding.message in reason for finding in trial.findings for reason in warned)
    assert "start pose held" in [row.behaviour for row in trial.rows]
    assert trial == load_run_view(store.dir).trial
    [candidate] = read_candidates(tmp_path, run)
    assert candidate.evaluation is not None
    assert set(candidate.evaluation.parts) == {"share"}


def design_sentence(folder: Path, **options: Any) -> RunRecord:
    return reward_agent.design(
        "inverted_pendulum",
        "stay in the middle of the rail",
        provider=write_script(folder, PROPOSAL, GOOD),
        runs_dir=folder / "runs",
        environ={},
        candidates=1,
        **(SMALL | options),
    )


def test_a_proposed_metric_is_shown_with_scores_and_judges_when_accepted(tmp_path: Path) -> None:
    shown = []
    run = design_sentence(tmp_path, accept_metric=lambda proposed: not shown.append(proposed))
    rows = {row.behaviour: row for row in shown[0].trial.rows}
    assert {"start pose held", "limp", "random actions"} < set(rows)
    assert rows["limp"].parts["share"] == rows["limp"].task_score
    assert shown[0].trial.has_passed
    store = load_run("last", tmp_path / "runs")
    assert read_trial(store) == shown[0].trial
    assert run.metric_origin == "proposed: accepted"
    assert run.task.criterion == "within 0.1 m"
    assert run.winner is not None
    assert run.winner.task_score is not None


def test_what_a_metric_was_tried_on_is_drawn_once_and_shown(tmp_path: Path) -> None:
    shown: list[ProposedMetric] = []
    with pytest.raises(UndecidedError):
        design_sentence(tmp_path, video=True, accept_metric=shown.append)
    store = load_run("last", tmp_path / "runs")
    drawn = [path for title, path in shown[0].pictures if title == "without training"]
    if find_graphics(find_backend(load_env("inverted_pendulum"))).backend:
        [sheet] = drawn
        assert sheet == store.dir / "behaviours" / "strip.webp"
        with Image.open(sheet) as picture:  # pose held, limp, random: each in a row
            assert picture.height % 3 == 0
            assert picture.width > picture.height
        assert sheet.stat().st_size < MAX_STRIP_BYTES
        assert not (store.dir / "behaviours" / "film").exists()
        [(title, _), *_] = load_run_view(store.dir).climbs
        assert title == "without training"
    else:
        assert drawn == []


PAYS_IDLE = PROPOSAL.replace("share = n_near / max(1000.0, float(episode.n_steps))", "share = 1.0")
PAYS_IDLE = PAYS_IDLE.replace("share > 0.9, {", 'share > 0.9, {"near": n_near, ')


def test_a_metric_that_pays_a_fall_goes_back_with_the_table_that_shows_it(tmp_path: Path) -> None:
    run = reward_agent.design(
        "inverted_pendulum",
        "move to the right end of the rail",
        provider=write_script(tmp_path, PAYS_IDLE, PROPOSAL, GOOD),
        runs_dir=tmp_path / "runs",
        environ={},
        candidates=1,
        accept_unseen=True,
        **SMALL,
    )
    store = load_run("last", tmp_path / "runs")
    first = read_record(store.dir / "metric/0/trial.json", MetricTrial)
    assert "metric/succeeds-idle" in [finding.rule for finding in first.findings]
    second = read_record(store.dir / "metric/1/trial.json", MetricTrial)
    assert (first.has_passed, second.has_passed) == (False, True)
    assert run.metric_origin == "proposed: accepted unseen"


def test_the_cheapest_way_to_a_metrics_score_stands_beside_it_and_its_steps_are_counted(
    tmp_path: Path,
) -> None:
    run = design_sentence(tmp_path, accept_unseen=True, adversary_steps=2000)
    trial = read_trial(load_run("last", tmp_path / "runs"))
    assert trial is not None
    rows = [row for row in trial.rows if row.kind == "adversary"]
    assert [row.behaviour.split()[-1] for row in rows] == ["score", "success"]
    assert all(row.task_score is not None for row in rows)
    assert trial.total_timesteps >= 4000
    assert run.total_timesteps >= trial.total_timesteps + sum(
        candidate.total_timesteps for candidate in read_candidates(tmp_path, run)
    )


OPINION = """```json
{"agrees": %s, "reason": "the rail has a middle", "missing": []}
```"""


@pytest.mark.parametrize("agrees", [True, False])
def test_a_second_reading_without_the_code_may_send_a_metric_back(
    agrees: bool, tmp_path: Path
) -> None:
    run = reward_agent.design(
        "inverted_pendulum",
        "stay in the middle of the rail",
        provider=write_script(
            tmp_path,
            *(PROPOSAL, PROPOSAL, GOOD),
            before=f"--- reply critic ---\n{OPINION % str(agrees).lower()}\n",
        ),
        runs_dir=tmp_path / "runs",
        environ={},
        candidates=1,
        accept_unseen=True,
        **(SMALL | {"critic": True}),
    )
    trial = read_trial(load_run("last", tmp_path / "runs"))
    assert trial is not None
    assert (trial.agrees, trial.opinion) == (agrees, "the rail has a middle")
    assert [item.rule for item in trial.findings] == ([] if agrees else ["metric/disagrees"])
    assert run.metric_origin == "proposed: accepted unseen"  # an opinion is no verdict


# It pays a moment, and calls nothing a success.
LEADS_NOWHERE = (
    PROPOSAL.replace("n_near / max(1000.0, float(episode.n_steps))", "min(n_near, 12.0) / 30.0")
    .replace("share > 0.9", "share > 0.9 and n_near < 5")
    .replace('"unit": "1"', '"unit": "share, 0 to 1"')
)


def test_a_metric_on_which_two_rounds_lead_nowhere_is_replaced_once_another_is_accepted(
    tmp_path: Path,
) -> None:
    asked: list[ProposedMetric] = []
    folder = tmp_path / "runs"
    provider = write_script(
        tmp_path, LEADS_NOWHERE, LEADS_NOWHERE, GOOD, OTHER_GOOD, PROPOSAL, PROPOSAL, GOOD
    )
    options: dict[str, Any] = {"runs_dir": folder, "environ": {}, "provider": provider}

    def accept(proposed: ProposedMetric) -> bool:
        asked.append(proposed)
        return len(asked) == 1

    sentence = "stay in the middle of the rail"
    with pytest.raises(UndecidedError, match="is paused: nobody accepted") as caught:
        reward_agent.design(
            "inverted_pendulum",
            sentence,
            candidates=1,
            accept_metric=accept,
            **(SMALL | options | {"iterations": 3}),
        )
    store = load_run("last", folder)
    [doubted] = [item for item in list_retrials(store) if item.iteration == 1]
    assert "metric/empty-plateau" in [finding.rule for finding in doubted.findings]
    assert "no better than that of the rounds before" in doubted.doubt
    [policy] = [row for row in doubted.rows if row.kind == "policy"]
    assert (policy.task_score, policy.success_rate) == (0.4, 0.0)
    assert "The metric may be at fault" in (store.dir / "report.html").read_text()
    assert set(caught.value.commands) == {"accept", "keep", "own"}
    assert store.read_run().status == "paused"

    run = reward_agent.resume_run("last", accept_unseen=True, **options)
    assert (store.dir / "metric.py").read_text() == asked[1].proposal.source
    assert run.metric_origin == "proposed: accepted unseen"
    assert len(store.list_iterations()) == 3
    # Every policy is scored by the metric that the run has now.
    assert all(item.task_score != 0.4 for item in read_candidates(tmp_path, run))


def test_a_metric_that_a_person_keeps_is_doubted_no_more(tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    provider = write_script(
        tmp_path, LEADS_NOWHERE, LEADS_NOWHERE, GOOD, OTHER_GOOD, LEADS_NOWHERE, GOOD
    )
    options: dict[str, Any] = {"runs_dir": folder, "environ": {}, "provider": provider}
    with pytest.raises(UndecidedError, match="no other metric was proposed") as caught:
        reward_agent.design(
            "inverted_pendulum",
            "stay in the middle of the rail",
            candidates=1,
            accept_metric=lambda _: True,
            **(SMALL | options | {"iterations": 3}),
        )
    assert set(caught.value.commands) == {"keep", "own"}
    assert "--accept-metric && " in caught.value.commands["keep"]
    with open_session("last", **options) as session:
        session.accept_metric()
    run = reward_agent.resume_run("last", **options)
    assert run.winner is not None
    assert len(load_run("last", folder).list_iterations()) == 3


def test_a_metric_that_is_at_fault_to_the_last_is_not_taken_unseen(tmp_path: Path) -> None:
    shown = []
    options: dict[str, Any] = {
        "provider": write_script(tmp_path, PAYS_IDLE, PAYS_IDLE),
        "runs_dir": tmp_path / "runs",
        "environ": {},
        "accept_unseen": True,
        "accept_metric": shown.append,
        **SMALL,
    }
    with pytest.raises(UndecidedError, match="scores 1, success in 100% of episodes"):
        reward_agent.design("inverted_pendulum", "move to the right end", **options)
    assert not shown[0].trial.has_passed


def test_a_metric_that_nobody_accepts_pauses_the_run_before_a_training(tmp_path: Path) -> None:
    refusing = {"accept_metric": lambda proposed: False}
    for options in ({}, refusing):
        with pytest.raises(UndecidedError) as caught:
            design_sentence(tmp_path, **options)
        error, store = caught.value, load_run("last", tmp_path / "runs")
        assert Path(error.run) == store.dir
        assert set(error.commands) == {"accept", "own", "unranked"}
        assert error.commands["accept"].endswith("--yes")
        assert f"--resume {store.dir}" in error.commands["accept"]
        run = store.read_run()
        assert (run.status, run.metric_origin, run.winner) == ("paused", "none", None)
        assert not store.list_iterations()
        assert not list(store.dir.glob("iterations/*"))


def test_a_paused_run_goes_on_with_an_answer_and_asks_the_designer_nothing_twice(
    tmp_path: Path,
) -> None:
    with pytest.raises(UndecidedError):
        design_sentence(tmp_path)
    folder = tmp_path / "runs"
    provider = str(load_run("last", folder).read_run().config["provider"])
    options = {"runs_dir": folder, "environ": {}, "provider": provider}
    run = reward_agent.resume_run("last", accept_unseen=True, **options)
    assert run.metric_origin == "proposed: accepted unseen"
    assert run.winner is not None
    with pytest.raises(UsageError, match="has its metric"):
        reward_agent.resume_run("last", unranked=True, **options)


def test_a_run_without_a_metric_says_why_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(UndecidedError, match=r"no metric: .* cannot measure") as caught:
        reward_agent.design("inverted_pendulum", "跳", provider="offline", environ={},
                            runs_dir=tmp_path, **SMALL)  # fmt: skip
    assert set(caught.value.commands) == {"own", "unranked"}


def test_unranked_is_no_way_to_do_without_a_metric_that_is_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--unranked"):
        reward_agent.design("inverted_pendulum", "balance", provider="offline", environ={},
                            runs_dir=tmp_path, unranked=True, **SMALL)  # fmt: skip
    assert not list(tmp_path.iterdir())


def test_without_a_metric_on_purpose_nothing_is_ranked(tmp_path: Path) -> None:
    run = design_sentence(tmp_path, unranked=True)
    assert run.metric_origin == "none"
    assert run.is_unranked
    assert run.winner is None
    assert "no metric" in run.note
    [candidate] = read_candidates(tmp_path, run)
    assert candidate.outcome == TRAINED
    assert candidate.task_score is None


def list_trainings(store: RunStore) -> dict[str, int]:
    """Return when each finished training was finished, in ns, by its folder."""
    found = store.dir.glob("iterations/*/candidates/*/training/*/exit.json")
    return {str(path.parent): path.stat().st_mtime_ns for path in found}


def count_files(folder: Path) -> int:
    """Count what a run has written; what is renamed meanwhile may be missed."""
    return sum(len(names) for _, _, names in os.walk(folder / "runs"))


@pytest.mark.slow
def test_killed_at_random_points_it_repeats_no_finished_training(tmp_path: Path) -> None:
    provider = write_script(tmp_path, GOOD, OTHER_GOOD, GOOD.replace("0.001", "0.1"))
    options = [
        f"--{key.replace('_', '-')}={value}" for key, value in SMALL.items() if value is not False
    ]
    start = ["--env", "inverted_pendulum", "--task", "balance", "--candidates", "3", "--no-video",
             "--no-early-stop", "--provider", provider, *options]  # fmt: skip
    finished: dict[str, int] = {}
    generator = random.Random(3)
    for attempt in range(4):
        arguments = start if attempt == 0 else ["--resume", "last", "--provider", provider]
        n_files = count_files(tmp_path) + generator.randint(5, 25)
        process = subprocess.Popen(
            [sys.executable, "-m", "reward_agent", "design", *arguments],
            cwd=tmp_path,
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env={k: v for k, v in os.environ.items() if not k.endswith("_API_KEY")},
        )
        # The last attempt may run to the end.
        while process.poll() is None and (attempt == 3 or count_files(tmp_path) < n_files):
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        code = process.wait()
        store = load_run("last", tmp_path / "runs")
        known = list_trainings(store)
        assert finished.items() <= known.items(), "a finished training was repeated"
        finished = known
        if code == 0:
            break
    assert code == 0
    run = store.read_run()
    assert run.status == "finished"
    outcomes = [c.outcome for c in read_candidates(tmp_path, run)]
    assert outcomes == [TRAINED] * 3
    lines = (store.dir / "events.jsonl").read_text().splitlines()
    events = [json.loads(line)["kind"] for line in lines]
    # More than one where the kill met a process that had just finished.
    assert events[-1] == "finished"


@pytest.mark.parametrize(
    ("number", "code"),
    [pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow), (signal.SIGTERM, 143)],
)
def test_a_signal_ends_with_its_code_and_leaves_the_run_resumable(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    provider = write_script(tmp_path, GOOD)
    process = subprocess.Popen(
        [sys.executable, "-m", "reward_agent", "design", "--env", "inverted_pendulum",
         "--task", "balance", "--steps", "1000000", "--candidates", "1", "--provider", provider],
        cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    while process.poll() is None and not list(
        tmp_path.glob("runs/*/iterations/*/*/*/training/*/progress.csv")
    ):
        time.sleep(0.1)
    process.send_signal(number)
    _, shown = process.communicate(timeout=30)
    assert process.returncode == code
    assert "design --resume" in shown
    assert "Traceback" not in shown
    assert load_run("last", tmp_path / "runs").read_run().status == "interrupted"


DEEP = """```python
def init_memory(state):
    return {"age": np.zeros(state.pole_angle.shape[0])}


def compute_reward(state, action, next_state, memory):
    upright = tolerance(next_state.pole_angle, bounds=(-0.05, 0.05), margin=0.2)
    age = memory["age"] + 1.0
    if np.max(age) > OLD:
        LINES
    return upright, {"upright": upright}, {"age": age}
```"""
DEEP_LINES = {
    "iterators": ["deep = iter([0])", "for _ in range(300000): deep = zip(deep)", "next(deep)"],
    "tuples": ["deep = ()", "for _ in range(400000): deep = (deep,)", "deep in {(): 0}"],
}


@pytest.mark.parametrize("kind", DEEP_LINES)
def test_a_program_that_crashes_the_interpreter_ends_itself_alone(
    kind: str, tmp_path: Path
) -> None:
    deep = DEEP.replace("LINES", "\n        ".join(DEEP_LINES[kind]))
    # The dry run has 40 steps.
    at_once, later = (deep.replace("OLD", str(age)) for age in (0.0, 45.0))
    provider = write_script(tmp_path, at_once, later, GOOD)
    run = design(tmp_path, provider, candidates=3, max_repairs=0, steps=4096)
    first, second, third = (str(c.outcome) for c in read_candidates(tmp_path, run))
    crash = "crashed: the program crashed the interpreter (SIGSEGV): are tuples or iterators nested"
    assert first.startswith(f"rejected: probe: the dry run ended without a result: {crash}")
    assert second.startswith(f"failed: training: {crash}")
    assert third == "trained"
    assert (run.status, run.note) == ("finished", "")


def test_a_metric_that_leaves_words_out_is_taken_by_who_has_looked(tmp_path: Path) -> None:
    folder, own = tmp_path / "runs", {"provider": "offline", "environ": {}}
    sentence = "keep the pole upright gracefully for 45 s"
    with pytest.raises(UndecidedError, match="does not measure 'gracefully'") as caught:
        reward_agent.design(
            "inverted_pendulum", sentence, runs_dir=folder, accept_unseen=True, **own, **SMALL
        )
    accept = caught.value.commands["accept"]
    assert "--yes" not in accept
    assert f"feedback {caught.value.run} --provider offline --accept-metric && " in accept
    assert find_verdict(load_run_view(Path(caught.value.run))).word == "paused"
    with open_session("last", runs_dir=folder, **own) as session:
        session.accept_metric()
    run = load_run("last", folder).read_run()
    assert (run.status, run.metric_origin) == ("paused", "proposed: accepted")
    # What was said beside the code holds from the first training on.
    assert run.card.max_episode_steps * run.card.control_dt >= 45
    assert run.task.max_episode_steps == run.card.max_episode_steps
    assert (run.task.target_score, run.task.is_bounded) == (42.8, True)


@pytest.mark.slow
def test_a_sentence_ends_when_its_winner_is_confirmed(tmp_path: Path) -> None:
    run = reward_agent.design(
        "inverted_pendulum",
        "keep the pole upright for 5 s",
        provider="offline",
        environ={},
        runs_dir=tmp_path,
        accept_unseen=True,
        candidates=1,
        adversary_steps=0,
        steps=16_384,
        iterations=2,
        winner_seeds=1,
        eval_episodes=2,
        video=False,
    )
    assert run.task.target_score == 4.75
    assert run.winner is not None
    assert run.winner.is_confirmed
    assert run.note.startswith("done after round 1 of 2")
