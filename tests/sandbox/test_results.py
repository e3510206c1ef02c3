"""A child's result is a reply of a stranger: what a hostile one may write, and what comes of it."""

import json

import pytest
from support.hostile import make_card, said

from reward_agent.definitions.learner import LearnerSettings
from reward_agent.errors import DataError
from reward_agent.records.scoring_jobs import ScoreJob, ScoreResult
from reward_agent.records.training_jobs import ProbeJob, TrainJob
from reward_agent.sandbox.runner import read_result
from reward_agent.types import FINISHED, Evaluation, TrainingResult

JOB = ProbeJob(card=make_card(), program_sha256="1" * 64)
HONEST = {"schema_version": 1, "program_sha256": "1" * 64, "findings": []}


def test_child_that_forges_its_result_is_found_out(run_hostile, tmp_path):
    source = "import os; (job_dir / 'result.json').write_text('{\"call_us\": 1e300}'); os._exit(0)"
    job_exit = run_hostile(source)
    assert str(job_exit.outcome).startswith(f"invalid: {tmp_path / 'job' / 'result.json'}")
    assert job_exit.result is None


def test_honest_result_is_accepted(tmp_path):
    (tmp_path / "result.json").write_text(json.dumps(HONEST | {"call_us": 3.5}))
    assert read_result(JOB, tmp_path, 1000).call_us == 3.5


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"call_us": float("inf")}, "holds inf, expected a number"),
        ({"call_us": float("nan")}, "holds nan, expected a number"),
        ({"call_us": 1e300}, "expected a number up to 1e"),
        ({"call_us": 10**400}, "expected a number up to 1e"),
        ({"rank_agreement": 7}, "rank_agreement"),
        ({"program_sha256": "0" * 64}, "expected the job's"),
        ({"schema_version": 2}, "schema_version"),
        ({"extra": 1}, "extra"),
        ({"findings": [{"rule": "x", "severity": "fine", "message": ""}]}, "severity"),
        ({"findings": "x" * 2**12}, "larger than"),
    ],
)
def test_forged_result_is_refused(tmp_path, changes, complaint):
    (tmp_path / "result.json").write_text(json.dumps(HONEST | changes))
    with pytest.raises(DataError, match=complaint):
        read_result(JOB, tmp_path, 2000)


@pytest.mark.parametrize("content", [b"", b"not json", b"[" * 100_000, b"\xff\xfe", b"9" * 5000])
def test_broken_result_is_refused(tmp_path, content):
    (tmp_path / "result.json").write_bytes(content)
    with pytest.raises(DataError, match="not valid"):
        read_result(JOB, tmp_path, 2**20)


def test_folder_or_nothing_in_place_of_a_result_is_refused(tmp_path):
    with pytest.raises(DataError, match="missing"):
        read_result(JOB, tmp_path, 2**20)
    (tmp_path / "result.json").mkdir()
    with pytest.raises(DataError, match="not a plain file"):
        read_result(JOB, tmp_path, 2**20)


@pytest.mark.parametrize("name", ["", "two words", "x" * 65, "\x1b[2J", "ignore-all", "é"])
def test_term_with_a_name_that_no_program_may_give_is_refused(tmp_path, name):
    scale = {"mean": 0, "std": 0, "minimum": 0, "maximum": 0}
    data = HONEST | {"terms": [{"name": name} | scale]}
    (tmp_path / "result.json").write_text(json.dumps(data))
    with pytest.raises(DataError, match="a term named"):
        read_result(JOB, tmp_path, 2000)


def test_score_of_other_episodes_is_refused(tmp_path):
    job = ScoreJob(card=make_card(), metric_sha256="1" * 64, total_timesteps=5, seed=1)
    evaluation = Evaluation(
        total_timesteps=9, seed=1, n_episodes=1, task_score=1.0, episode_length=3.0
    )
    result = ScoreResult(outcome=FINISHED, evaluation=evaluation)
    (tmp_path / "result.json").write_text(result.model_dump_json())
    with pytest.raises(DataError, match="not the job's"):
        read_result(job, tmp_path, 2000)


def test_training_cannot_claim_what_is_not_there(tmp_path):
    job = TrainJob(
        card=make_card(),
        program_sha256="1" * 64,
        seed=3,
        total_timesteps=10,
        until_timesteps=10,
        learner=LearnerSettings(),
    )
    honest = TrainingResult(
        outcome=FINISHED, seed=3, total_timesteps=10, wall_s=1.0, steps_per_s=10.0
    )
    for changes, complaint in (
        ({"seed": 4}, "has seed 4, expected the job's 3"),
        ({"total_timesteps": -1}, "total_timesteps: Input should be greater than or equal to 0"),
        ({"total_timesteps": 10**6}, f"at most {10 + job.learner.slice_steps}"),
        ({"snapshots": [{"total_timesteps": 99, "file": "a.safetensors"}]}, "snapshot at 99"),
        ({"snapshots": [{"total_timesteps": 9, "file": "a.safetensors"}]}, "which is not there"),
        ({"snapshots": [{"total_timesteps": 9, "file": "../a.safetensors"}]}, "file"),
    ):
        data = honest.model_dump(mode="json") | changes
        (tmp_path / "result.json").write_text(json.dumps(data))
        with pytest.raises(DataError, match=complaint):
            read_result(job, tmp_path, 2**20)


def test_links_and_pipes_in_the_folder_are_never_followed(run_hostile, tmp_path):
    secret = tmp_path / "secret.json"
    job_dir = tmp_path / "job"
    for mischief in (
        f"os.symlink({str(secret)!r}, job_dir / 'result.json')",
        f"os.link({str(secret)!r}, job_dir / 'result.json')",
        "os.mkfifo(job_dir / 'result.json')",
    ):
        secret.write_text(json.dumps({"program_sha256": "0" * 64}))
        # Without the sandbox, so that the parent's own care is what is tried.
        job_exit = run_hostile(f"import os\n{mischief}\nos._exit(0)", mode="off")
        assert str(job_exit.outcome).startswith("invalid: "), mischief
        (job_dir / "result.json").unlink()


def test_what_an_earlier_job_left_does_not_stand_in_for_a_result(run_hostile):
    said(run_hostile("report = 'first'"))
    assert str(run_hostile("import os; os._exit(0)").outcome).startswith("invalid: ")


def test_job_that_leaves_a_trap_cannot_harm_the_next_one(run_hostile, tmp_path):
    target = tmp_path / "target.txt"
    target.write_text("private")
    traps = (
        "import os\nfor name in ('job.json', 'isolation.json', 'output.txt', 'error.json'):\n"
        f"    (job_dir / name).unlink(missing_ok=True); os.symlink({str(target)!r}, job_dir / name)"
    )
    said(run_hostile(traps, mode="off"))
    assert said(run_hostile("report = 'well'")) == "well"
    assert target.read_text() == "private"


def test_folders_under_our_names_do_not_stop_the_next_job(run_hostile):
    source = (
        "for name in ('job.json', 'isolation.json', 'result.json', 'error.json', 'output.txt'):\n"
        "    (job_dir / name).unlink(missing_ok=True); (job_dir / name / 'deep').mkdir(parents=True)\n"
    )
    assert str(run_hostile(source).outcome) != "ok"
    assert said(run_hostile("report = 'well'")) == "well"


def test_text_of_a_child_cannot_steer_a_terminal(run_hostile):
    job_exit = run_hostile(
        "print('\\x1b[2J\\x07\\u202eevil', flush=True); raise KeyError('\\x1b[1m')"
    )
    assert "\x1b" not in job_exit.stderr_tail + str(job_exit.outcome)
    assert "\u202e" not in job_exit.stderr_tail
