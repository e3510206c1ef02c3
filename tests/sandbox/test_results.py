"""A child's result is a reply of a stranger: what a hostile one may write, and what comes of it."""

import json

import pytest
from conftest import said

from reward_agent.sandbox.limits import Limits

# Writes a result by hand and leaves before the honest one is written.
FORGE = """
import json, os
from reward_agent.jobs import RESULT_FILE
def forge(**changes):
    honest = {"schema_version": 1, "program_sha256": job.program_sha256, "findings": []}
    text = json.dumps(honest | changes)
    (job_dir / RESULT_FILE).write_text(text)
    os._exit(0)
"""


def test_honest_form_is_accepted(run_hostile):
    assert run_hostile(FORGE + "forge(call_us=3.5)").outcome == "ok"


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ("call_us=float('inf')", "Infinity is not a number of JSON"),
        ("call_us=float('nan')", "NaN is not a number of JSON"),
        ("call_us=1e300", "expected a number up to 1e+15"),
        ("call_us=10**400", "expected a number up to 1e+15"),
        ("rank_agreement=7", "rank_agreement"),
        ("program_sha256='0' * 64", "expected the job's"),
        ("schema_version=2", "schema_version"),
        ("extra=1", "extra"),
        ("findings=[{'rule': 'x', 'severity': 'fine', 'message': ''}]", "severity"),
        ("findings='x' * 2**21", "larger than"),
    ],
)
def test_forged_result_is_refused(run_hostile, changes, complaint):
    job_exit = run_hostile(f"{FORGE}forge({changes})", limits=Limits(result_mib=1))
    assert job_exit.outcome.startswith("invalid: ")
    assert complaint in job_exit.outcome
    assert job_exit.result is None


@pytest.mark.parametrize(
    "source",
    [
        "import os; os._exit(0)",
        "import os; (job_dir / 'result.json').write_text('not json'); os._exit(0)",
        "import os; (job_dir / 'result.json').write_text('[' * 100_000); os._exit(0)",
        "import os; (job_dir / 'result.json').write_bytes(bytes([255, 254])); os._exit(0)",
        "import os; (job_dir / 'result.json').mkdir(); os._exit(0)",
    ],
)
def test_broken_result_is_refused(run_hostile, source):
    job_exit = run_hostile(source)
    assert job_exit.outcome.startswith("invalid: ")
    assert job_exit.result is None


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
        assert job_exit.outcome.startswith("invalid: "), mischief
        (job_dir / "result.json").unlink()


def test_what_an_earlier_job_left_does_not_stand_in_for_a_result(run_hostile):
    said(run_hostile("report = 'first'"))
    assert run_hostile("import os; os._exit(0)").outcome.startswith("invalid: ")


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


def test_text_of_a_child_cannot_steer_a_terminal(run_hostile):
    job_exit = run_hostile(
        "print('\\x1b[2J\\x07\\u202eevil', flush=True); raise KeyError('\\x1b[1m')"
    )
    assert "\x1b" not in job_exit.stderr_tail + job_exit.outcome
    assert "\u202e" not in job_exit.stderr_tail
