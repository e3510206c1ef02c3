"""A sweep: the queue, its records and its numbers; design runs are played where they do not matter."""

import csv
import io
import itertools
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from support.browser import find_breaches

from reward_agent.bench import page as page_module
from reward_agent.bench import sweep as sweep_module
from reward_agent.bench.page import (
    render_csv,
    render_latex,
    render_markdown,
    render_number,
    write_results,
)
from reward_agent.bench.plan import Choices, plan_jobs
from reward_agent.bench.results import compare_sweeps, summarise_sweep
from reward_agent.bench.suite import METHODS, list_suites, load_suite, make_suite
from reward_agent.bench.sweep import N_ATTEMPTS, find_sweep, forecast_jobs, run_sweep
from reward_agent.definitions.card import load_env
from reward_agent.definitions.task import load_task
from reward_agent.errors import (
    BudgetError,
    DataError,
    Interrupted,
    JobError,
    RateLimitError,
    RewardAgentError,
    UnknownNameError,
    UnreachableError,
    UsageError,
)
from reward_agent.records.outcomes import TRAINED
from reward_agent.records.store import Confirmation, RunRecord, RunStore, Winner, make_run_dir
from reward_agent.types import Evaluation, Usage

TINY = {
    "name": "tiny",
    "tasks": ["inverted_pendulum/balance", "reacher/reach"],
    "methods": ["reference", "sparse", "offline"],
    "seeds": 2,
    "budget": 2048,
    "candidates": 1,
    "iterations": 1,
    "winner_seeds": 2,
    "eval_episodes": 4,
}
PAID = Usage(n_calls=3, usd=0.25)
SCORES = {"reference": 3.0, "sparse": 1.0, "offline": 2.0}


def make_run(env, task, settings, scores):
    evaluations = [
        Evaluation(
            total_timesteps=2048, seed=100 + number, n_episodes=4, task_score=score,
            success_rate=0.5, episode_length=10,
        )
        for number, score in enumerate(scores)
    ]  # fmt: skip
    return {
        "created": "2026-11-23T00:00:00Z",
        "status": "finished",
        "card": load_env(env),
        "task": load_task(env, task),
        "metric_origin": "task",
        "config": settings,
        "config_sources": {},
        "designer": "played",
        "sandbox_level": "full",
        "versions": {"reward-agent": "0"},
        "usage": Usage() if settings["provider"].startswith("given:") else PAID,
        "total_timesteps": 6144,
        "confirmations": [
            Confirmation(candidate="a", seed=e.seed, evaluation=e, outcome=TRAINED)
            for e in evaluations
        ],
        "winner": Winner(
            candidate="a", iteration=0, seed=100, task_score=scores[0], is_confirmed=True,
            policy_file="p",
        ) if scores else None,
    }  # fmt: skip


class Player:
    """Plays design runs: counts them, and raises what a test says."""

    def __init__(self, monkeypatch):
        self.played = []
        self.errors = {}
        self.n_scores = 2
        monkeypatch.setattr(sweep_module, "design", self.design)
        monkeypatch.setattr(sweep_module, "resume_run", self.resume)

    def design(self, env, task, *, runs_dir, environ, **settings):
        store = RunStore(make_run_dir(runs_dir, env, task))
        program = settings["provider"].partition(":")[2]
        method = "offline"
        if program:
            assert "def compute_reward(" in Path(program).read_text()
            method = json.loads((runs_dir.parent / "job.json").read_text())["method"]
        self.played.append((env, method, settings["seed"]))
        error = self.errors.pop((env, method, settings["seed"], len(self.played)), None)
        error = error or self.errors.get((env, method, settings["seed"]))
        scores = [SCORES[method] + settings["seed"] + 0.1 * n for n in range(self.n_scores)]
        run = RunRecord(id=store.dir.name, **make_run(env, task, settings, scores))
        if error is not None:
            store.write_run(run.model_copy(update={"status": "interrupted"}))
            raise error
        store.write_run(run)
        return run

    def resume(self, name, *, environ, **changes):
        store = RunStore(sweep_module.Path(name))
        run = store.read_run().model_copy(update={"status": "finished"})
        self.played.append(("resumed", run.card.name, run.config["seed"]))
        error = self.errors.get(("resumed", run.card.name))
        if error is not None:
            raise error
        store.write_run(run)
        return run


@pytest.fixture
def player(monkeypatch):
    return Player(monkeypatch)


@pytest.fixture
def suite():
    return make_suite(TINY)


def test_every_job_runs_once_and_a_second_call_repeats_none(player, suite, tmp_path):
    store = run_sweep(suite, folder=tmp_path)
    assert len(player.played) == 12
    assert len(store.read_results()) == 12
    run_sweep(suite, folder=tmp_path)
    assert len(player.played) == 12


def test_several_slots_run_the_same_jobs(player, suite, tmp_path):
    run_sweep(suite, folder=tmp_path / "two", slots=3)
    assert len(set(player.played)) == len(player.played) == 12
    ids = {job.id for job in run_sweep(suite, folder=tmp_path / "one").read().jobs}
    assert ids == {path.name for path in (tmp_path / "two" / "jobs").iterdir()}


def test_a_sweep_holds_its_cluster_until_the_last_job(player, suite, tmp_path, monkeypatch):
    told = []

    class Held:
        n_slots = 2

        def close(self):
            told.append(f"closed after {len(player.played)} jobs")

    def make_places(name, options, mode, *, is_warm):
        told.append(f"{name} at {options.address}, {options.slots} slots")
        return Held(), Held()

    monkeypatch.setattr(sweep_module, "make_places", make_places)
    place = {"executor": "ray", "ray_address": "head:6379"}
    store = run_sweep(suite, Choices(place=place), tmp_path)
    assert told == ["ray at head:6379, 0 slots", *["closed after 12 jobs"] * 2]
    assert all(place.items() <= job.settings.items() for job in store.read().jobs)


def test_where_a_job_runs_is_not_in_its_name(suite):
    elsewhere = Choices(place={"executor": "ray", "job_cpus": 2})
    assert [job.id for job in plan_jobs(suite, elsewhere)] == [job.id for job in plan_jobs(suite)]


def test_more_seeds_add_jobs_and_keep_those_that_are_over(player, suite, tmp_path):
    run_sweep(suite, folder=tmp_path)
    run_sweep(make_suite(TINY | {"seeds": 3}), folder=tmp_path)
    assert len(player.played) == 18
    assert {seed for *_, seed in player.played[12:]} == {2}


def test_methods_run_by_themselves_stay_in_one_report(player, suite, tmp_path):
    run_sweep(make_suite(TINY | {"methods": ["reference"]}), folder=tmp_path)
    store = run_sweep(make_suite(TINY | {"methods": ["offline"], "seeds": 1}), folder=tmp_path)
    assert len(player.played) == 6
    results = summarise_sweep(store)
    assert [(column.label, column.n_runs) for column in results.columns] == [
        ("reference", 4),
        ("offline", 2),
    ]
    assert results.settings["seeds"] == 2
    again = run_sweep(make_suite(TINY | {"methods": ["reference"]}), folder=tmp_path)
    assert [column.label for column in summarise_sweep(again).columns] == ["reference", "offline"]
    assert len(player.played) == 6


def test_a_job_that_was_only_planned_is_forgotten_with_its_method(player, suite, tmp_path):
    player.errors["reacher", "reference", 0] = UsageError("no key")
    with pytest.raises(UsageError):
        run_sweep(suite, folder=tmp_path)
    store = run_sweep(make_suite(TINY | {"methods": ["offline"]}), folder=tmp_path)
    columns = {column.label: column for column in summarise_sweep(store).columns}
    assert [column.n_missing for column in columns.values()] == [0, 0, 0]


def test_numbers_that_cannot_be_compared_never_share_a_folder(player, suite, tmp_path):
    run_sweep(suite, folder=tmp_path)
    other = make_suite(TINY | {"methods": ["offline"], "budget": 4096})
    with pytest.raises(UsageError, match="budget 2048, not 4096"):
        run_sweep(other, folder=tmp_path)
    assert len(summarise_sweep(find_sweep(str(tmp_path))).columns) == 3


def test_what_decides_a_result_is_in_the_jobs_name(suite, monkeypatch):
    names = {job.id for job in plan_jobs(suite)}
    assert len(names) == 12
    for change in ({"budget": 4096}, {"winner_seeds": 1}, {"eval_episodes": 5}):
        assert names.isdisjoint(job.id for job in plan_jobs(make_suite(TINY | change)))
    monkeypatch.setenv("REWARD_AGENT_STEPS", "7")
    assert names == {job.id for job in plan_jobs(suite)}, "settings of the machine do not count"


def test_an_interrupted_sweep_goes_on_with_the_run_that_was_begun(player, suite, tmp_path):
    player.errors["inverted_pendulum", "offline", 0, 3] = Interrupted("stopped")
    with pytest.raises(Interrupted, match="was stopped"):
        run_sweep(suite, folder=tmp_path)
    assert len(player.played) == 3
    store = run_sweep(suite, folder=tmp_path)
    assert player.played[3] == ("resumed", "inverted_pendulum", 0)
    assert len(player.played) == 3 + 1 + 9
    assert all(result.status == "finished" for result in store.read_results().values())


def test_a_job_that_failed_once_is_tried_again(player, suite, tmp_path):
    player.errors["reacher", "sparse", 1] = JobError("a child died")
    store = run_sweep(suite, folder=tmp_path)
    [result] = [r for r in store.read_results().values() if r.n_attempts > 1]
    assert (result.status, result.n_attempts) == ("finished", 2)
    assert ("resumed", "reacher", 1) in player.played


def test_a_job_that_fails_is_recorded_as_failed_and_never_as_zero(player, suite, tmp_path):
    player.errors["reacher", "sparse", 1] = JobError("once more")
    player.errors["resumed", "reacher"] = JobError("again")
    store = run_sweep(suite, folder=tmp_path)
    [result] = [r for r in store.read_results().values() if r.status == "failed"]
    assert (result.n_attempts, result.scores, result.outcome) == (
        N_ATTEMPTS, (), "failed: once more",
    )  # fmt: skip
    played = [call for call in player.played if call[0] != "inverted_pendulum" and call[2] == 1]
    assert played[1:4] == [
        ("reacher", "sparse", 1), ("resumed", "reacher", 1), ("reacher", "sparse", 1),
    ], "it goes on, then it begins anew"  # fmt: skip
    cell = summarise_sweep(store).find_cell("reacher/reach", "sparse")
    assert (cell.n_failed, cell.mean) == (1, pytest.approx(1.05))
    assert "1.05 (1 failed)" in render_markdown(summarise_sweep(store))
    [row] = [
        r for r in csv.DictReader(io.StringIO(render_csv(summarise_sweep(store)))) if r["outcome"]
    ]
    assert row["score"] == ""
    player.errors.clear()
    assert len(run_sweep(suite, folder=tmp_path).read_results()) == 12
    retried = run_sweep(suite, folder=tmp_path, retry_failed=True).read_results()
    assert all(item.status == "finished" for item in retried.values())


def test_what_given_up_attempts_took_is_recorded_apart(player, suite, tmp_path):
    player.errors["reacher", "offline", 1] = JobError("once more")
    player.errors["resumed", "reacher"] = JobError("again")
    store = run_sweep(suite, folder=tmp_path)
    [failed] = [r for r in store.read_results().values() if r.status == "failed"]
    assert (failed.env_steps, failed.abandoned_env_steps) == (0, 2 * 6144), "two runs, no score"
    assert (failed.abandoned_usage.n_calls, failed.abandoned_usage.usd) == (6, 0.5)
    player.errors.clear()
    store = run_sweep(suite, folder=tmp_path, retry_failed=True)
    mended = store.read_result(failed.job)
    assert (mended.status, mended.env_steps, mended.abandoned_env_steps) == ("finished", 6144, 6144)
    columns = {column.label: column for column in summarise_sweep(store).columns}
    assert (columns["offline"].n_calls, columns["offline"].usd) == (3 * 4 + 3, pytest.approx(1.25))
    assert (columns["offline"].env_steps, columns["sparse"].abandoned_env_steps) == (4 * 6144, 0)
    assert "given up took 6,144 env steps more" in render_markdown(summarise_sweep(store))


@pytest.mark.parametrize(
    "error",
    [
        UsageError("no key"),
        BudgetError("limit reached"),
        UnreachableError("the network is down"),
        RateLimitError("slow down"),
    ],
)
def test_what_would_meet_every_job_stops_the_sweep(error, player, suite, tmp_path):
    player.errors["inverted_pendulum", "reference", 0] = error
    with pytest.raises(RewardAgentError, match=error.message):
        run_sweep(suite, folder=tmp_path)
    assert len(player.played) == 1
    assert find_sweep(str(tmp_path)).read_results() == {}
    player.errors.clear()
    assert len(run_sweep(suite, folder=tmp_path).read_results()) == 12


def test_a_winner_without_all_its_fresh_seeds_is_a_failure(player, suite, tmp_path):
    player.n_scores = 1
    store = run_sweep(suite, folder=tmp_path)
    assert {result.status for result in store.read_results().values()} == {"failed"}
    assert all(not result.scores for result in store.read_results().values())
    assert all(column.iqm is None for column in summarise_sweep(store).columns)


def test_numbers_are_those_of_the_runs(player, suite, tmp_path):
    results = summarise_sweep(run_sweep(suite, folder=tmp_path))
    cell = results.find_cell("reacher/reach", "offline")
    assert [run.score for run in cell.runs] == pytest.approx([2.05, 3.05])
    assert cell.mean == pytest.approx(2.55)
    assert (cell.n_successes, cell.n_episodes) == (8, 16)
    # sparse is 1.55 on average, reference 3.55
    assert [run.normalised for run in cell.runs] == pytest.approx([0.25, 0.75])
    columns = {column.label: column for column in results.columns}
    assert columns["offline"].iqm == pytest.approx(0.5)
    assert columns["reference"].iqm == pytest.approx(1.0)
    assert columns["sparse"].iqm == pytest.approx(0.0)
    assert columns["sparse"].improvement == 0.0
    assert columns["reference"].improvement is None
    assert columns["offline"].improvement == pytest.approx(0.125)  # one tie in four pairs
    assert (columns["offline"].n_calls, columns["offline"].usd) == (12, 1.0)
    assert columns["reference"].n_calls == 0, "a program of the task's folder costs no call"


def test_every_number_of_the_page_leads_to_its_run(player, suite, tmp_path):
    store = run_sweep(suite, folder=tmp_path)
    results = write_results(store)
    page = (tmp_path / "report.html").read_text()
    for cell in results.cells:
        for run in cell.runs:
            assert f'href="{run.run}/report.html"' in page
            assert (tmp_path / run.run / "run.json").is_file()
    assert page.count("<svg") == 2
    for name in ("results.md", "results.csv", "results.json", "results.tex", "profile.svg"):
        assert (tmp_path / name).stat().st_size > 100
    assert r"inverted\_pendulum/balance" in render_latex(results)


def test_the_page_passes_the_accessibility_check(player, suite, tmp_path, browser):
    write_results(run_sweep(suite, folder=tmp_path))
    page = browser.new_page(bypass_csp=True)
    page.goto((tmp_path / "report.html").as_uri())
    assert find_breaches(page) == []


def test_a_profile_as_a_file_names_its_lines(player, suite, tmp_path):
    write_results(run_sweep(suite, folder=tmp_path))
    picture = ElementTree.parse(tmp_path / "profile.svg")
    words = [item.text for item in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert words[-3:] == ["reference", "sparse", "offline"]


def test_a_profile_falls_in_steps_at_the_scores(player, suite, tmp_path):
    profile = page_module.draw_charts(summarise_sweep(run_sweep(suite, folder=tmp_path)))["profile"]
    lines = re.findall(r'points="([^"]+)"', profile)
    assert len(lines) == 3
    for line in lines:
        points = [tuple(map(float, point.split(","))) for point in line.split()]
        pairs = itertools.pairwise(points)
        assert all(a[0] == b[0] or a[1] == b[1] for a, b in pairs), "each part is level or upright"


def test_what_rounding_leaves_of_a_zero_is_shown_as_zero():
    assert render_number(9.62e-19, (-1e-12, 0.5)) == "0 [0, 0.5]"


def test_a_sweep_that_has_just_begun_has_a_page(player, suite, tmp_path):
    player.errors["inverted_pendulum", "reference", 0] = UsageError("no key")
    with pytest.raises(UsageError):
        run_sweep(suite, folder=tmp_path)
    results = write_results(find_sweep(str(tmp_path)))
    assert all(cell.n_missing == 2 and cell.mean is None for cell in results.cells)
    assert "– (2 open)" in render_markdown(results)


def test_two_sweeps_are_compared_where_they_meet(player, suite, tmp_path):
    first = run_sweep(suite, folder=tmp_path / "a")
    second = run_sweep(
        make_suite(TINY | {"methods": ["offline"], "budget": 4096}), folder=tmp_path / "b"
    )
    rows = compare_sweeps(first, second)
    assert [(row.task, row.label, row.improvement) for row in rows] == [
        ("inverted_pendulum/balance", "offline", 0.5), ("reacher/reach", "offline", 0.5),
    ]  # fmt: skip


def test_a_method_of_a_language_model_refuses_without_one():
    suite = make_suite(TINY | {"methods": ["full"]})
    for choices in (None, Choices(provider="offline")):
        with pytest.raises(UsageError, match="'full' needs a language model"):
            plan_jobs(suite, choices)


def test_results_of_different_designers_are_never_in_one_column():
    suite = make_suite(TINY | {"methods": ["full", "offline"]})
    labels, ids = set(), set()
    for choices in (
        Choices("scripted:a.md"), Choices("openai", "big"), Choices("openai", "small"),
    ):  # fmt: skip
        jobs = plan_jobs(suite, choices)
        labels |= {job.label for job in jobs}
        ids |= {job.id for job in jobs if job.method == "full"}
    assert labels == {
        "offline",
        "full (scripted:a.md)",
        "full (openai: big)",
        "full (openai: small)",
    }
    assert len(ids) == 12


def test_every_search_has_the_same_number_of_trainings():
    methods = [name for name in METHODS if METHODS[name].program not in ("recorded", "named")]
    suite = make_suite(TINY | {"methods": methods, "candidates": 3, "iterations": 2})
    for job in plan_jobs(suite, Choices("scripted:a.md")):
        n_trainings = job.settings["candidates"] * job.settings["iterations"]
        is_alone = METHODS[job.method].rounds == "one training"
        assert n_trainings == (1 if is_alone else 6)
        assert job.settings["steps"] == 2048
        assert job.settings["winner_seeds"] == 2


@pytest.mark.parametrize("name", list_suites())
def test_suites_that_come_with_it_can_be_planned(name):
    suite = load_suite(name)
    jobs = plan_jobs(suite)
    of_tasks = [suite.choose(task) for task in suite.tasks]
    assert len(jobs) == sum(item.seeds * len(item.methods) for item in of_tasks)
    assert len({job.id for job in jobs}) == len(jobs)


def test_a_task_may_have_settings_of_its_own():
    of_task = {"reacher/reach": {"seeds": 3, "budget": 4096, "methods": ["sparse", "offline"]}}
    jobs = plan_jobs(make_suite(TINY | {"of_task": of_task}))
    assert len(jobs) == 6 + 6
    reach = [job for job in jobs if job.task == "reach"]
    assert {job.method for job in reach} == {"sparse", "offline"}
    assert {job.settings["steps"] for job in reach} == {4096}
    assert {job.settings["steps"] for job in jobs if job not in reach} == {2048}


@pytest.mark.parametrize(
    ("of_task", "message"),
    [
        ({"reacher/rech": {}}, "unknown task of the suite 'reacher/rech'"),
        ({"reacher/reach": {"seed": 2}}, "unknown setting of reacher/reach 'seed'"),
        ({"reacher/reach": {"seeds": 0}}, "reacher/reach, seeds: Input should be greater"),
    ],
)
def test_what_a_suite_says_of_a_task_is_checked(of_task, message):
    with pytest.raises(RewardAgentError, match=message):
        make_suite(TINY | {"of_task": of_task})


def test_a_recorded_program_is_that_of_the_runs_winner():
    tasks = ["hopper/back_flip", "ant/lie_down"]
    jobs = plan_jobs(make_suite(TINY | {"tasks": tasks, "methods": ["recorded"], "seeds": 1}))
    assert [job.label for job in jobs] == ["recorded", "recorded"]
    assert all("def compute_reward(" in (job.program or "") for job in jobs)
    assert "lying_quietly" in (jobs[1].program or "")
    with pytest.raises(UsageError, match="no recorded run that ships"):
        plan_jobs(make_suite(TINY | {"methods": ["recorded"]}))


def test_a_program_by_hand_is_the_file_that_the_suite_names(tmp_path):
    file = tmp_path / "mine.py.txt"
    source = "def compute_reward(state, action, next_state): ...\n"
    file.write_text(source)
    suite = TINY | {"seeds": 1, "methods": ["by_hand", "by_hand_reward_only"]}
    table = suite | {"of_task": {task: {"program": str(file)} for task in TINY["tasks"]}}
    whole, plain = plan_jobs(make_suite(table))[:2]
    assert whole.program == plain.program == source
    assert (whole.settings["reward_only"], plain.settings["reward_only"]) == (False, True)
    with pytest.raises(UsageError, match="has no program '' of the suite"):
        plan_jobs(make_suite(suite))
    with pytest.raises(UsageError, match=r"has no program 'lost\.py' of the suite"):
        plan_jobs(make_suite(suite | {"program": "lost.py"}))


def test_gym_mujoco_asks_at_least_fifteen_behaviours_of_all_seven_robots():
    tasks = load_suite("gym_mujoco").tasks
    assert len(tasks) >= 15
    assert len({task.partition("/")[0] for task in tasks}) == 7


def test_forecast_counts_what_is_left(player, suite, tmp_path):
    store = run_sweep(make_suite(TINY | {"seeds": 1}), folder=tmp_path)
    rows = forecast_jobs(plan_jobs(suite), store)
    assert {(row.n_jobs, row.n_over) for row in rows} == {(2, 1)}
    [reference] = [r for r in rows if (r.task, r.label) == ("reacher/reach", "reference")]
    assert reference.env_steps == 3 * 2048  # one training, two with fresh seeds
    assert reference.usd == 0.0


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("tasks = []", DataError, r"tasks = \[\]: List should have at least 1"),
        ("seeds = 1", DataError, "has no 'tasks'"),
        ('tasks = ["a/b"]\nseeds = "three"', DataError, "seeds = 'three': .* integer"),
        ('tasks = ["a/b"]\nbudget = 1.5', DataError, "budget = 1.5: it is .* whole number"),
        ('tasks = ["hopper"]', DataError, "env/task"),
        ('tasks = ["a/b", "a/b"]', DataError, "named twice"),
        ('tasks = ["a/b"]\nseed = 3', UnknownNameError, "did you mean 'seeds'"),
        ('tasks = ["a/b"]\nmethods = ["ful"]', UnknownNameError, "did you mean 'full'"),
        ('tasks = ["a/b"]\nbudget = "quik"', UnknownNameError, "did you mean 'quick'"),
        ("tasks = [", DataError, "not TOML"),
    ],
)
def test_a_suite_that_is_none_is_a_clear_error(text, error, message, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(error, match=message):
        load_suite(str(path))


def test_unknown_suites_and_sweeps_are_named(tmp_path):
    with pytest.raises(UnknownNameError, match="did you mean 'smoke'"):
        load_suite("smok")
    with pytest.raises(DataError, match=r"no file lost\.toml"):
        load_suite("lost.toml")
    (tmp_path / "binary.toml").write_bytes(b"\x80\x81")
    with pytest.raises(DataError, match=r"is no text in UTF-8"):
        load_suite(str(tmp_path / "binary.toml"))
    with pytest.raises(DataError, match="no sweep at"):
        find_sweep(str(tmp_path))


def test_a_small_sweep_runs_for_real(tmp_path):
    tiny = {"tasks": ["inverted_pendulum/balance"], "methods": ["reference"], "seeds": 1}
    suite = make_suite(TINY | tiny | {"winner_seeds": 1, "eval_episodes": 2})
    store = run_sweep(suite, folder=tmp_path)
    [result] = store.read_results().values()
    assert result.status == "finished", result.outcome
    assert len(result.scores) == 1
    assert result.env_steps == 4096
    assert result.versions["mujoco"]
    assert (tmp_path / result.run / "report.html").is_file()
