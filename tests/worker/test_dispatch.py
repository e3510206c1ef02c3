import json
import subprocess
import sys

import pytest

from reward_agent.definitions.card import load_env
from reward_agent.records.drafting_jobs import CheckEnvJob


@pytest.fixture
def run_by_hand(tmp_path):
    def run():
        return subprocess.run(
            [sys.executable, "-m", "reward_agent.worker", str(tmp_path)],
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run


def test_job_can_be_run_again_by_hand(run_by_hand, tmp_path):
    """Without a parent the worker isolates itself by default, and says how well."""
    job = CheckEnvJob(card=load_env("inverted_pendulum"))
    (tmp_path / "job.json").write_text(job.model_dump_json())
    done = run_by_hand()
    assert done.returncode in {0, 77}, done.stderr
    assert '"level":' in done.stderr
    if done.returncode == 0:
        assert json.loads((tmp_path / "result.json").read_text())["schema_version"] == 1


@pytest.mark.parametrize(
    ("job", "error"),
    [
        ("{", "ValidationError"),
        ('{"kind": "dance"}', "ValidationError"),
        (None, "FileNotFoundError"),
    ],
)
def test_folder_without_a_good_job_leaves_a_record_of_the_failure(
    run_by_hand, tmp_path, job, error
):
    if job is not None:
        (tmp_path / "job.json").write_text(job)
    assert run_by_hand().returncode == 70
    record = json.loads((tmp_path / "error.json").read_text())
    assert record["error"] == error
    assert "Traceback" in record["traceback"]
