"""The commands: what they print where, and what an error looks like."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.commands import run_command as run
from typer.main import get_command
from typer.testing import CliRunner, Result

import reward_agent
from reward_agent.cli import app, design, output
from reward_agent.sandbox import doctor

GOOD = """
def compute_reward(state, action, next_state):
    speed = next_state.forward_velocity
    return speed, {"speed": speed}
"""
BAD = GOOD.replace("forward_velocity", "forward_velocty")


def call(*arguments: str, text: str | None = None) -> Result:
    """Run a command in this process, whose jobs are forked."""
    return CliRunner().invoke(app.app, arguments, input=text)


def test_unknown_environment_is_one_line_with_the_closest_name(tmp_path: Path) -> None:
    done = run("design", "--env", "hoper", "--task", "hop_forward", cwd=tmp_path)
    assert done.returncode == 2
    assert "error: unknown environment 'hoper'; did you mean 'hopper'?" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not (tmp_path / "runs").exists()


def test_unknown_task_is_one_line_with_the_closest_name(tmp_path: Path) -> None:
    done = run("design", "--env", "hopper", "--task", "hop_foward", cwd=tmp_path)
    assert done.returncode == 2
    assert "did you mean 'hop_forward'?" in done.stderr


def test_a_missing_key_names_its_variable(tmp_path: Path) -> None:
    arguments = ("design", "--env", "hopper", "--task", "hop_forward", "--provider", "anthropic")
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 1
    assert "ANTHROPIC_API_KEY" in done.stderr
    assert not list((tmp_path / "runs").iterdir())


def test_alone_it_shows_how_to_begin(tmp_path: Path) -> None:
    done = run(cwd=tmp_path)
    assert done.returncode == 0
    assert "reward-agent demo" in done.stdout
    assert max(map(len, done.stdout.splitlines()[1:])) <= 80


def test_the_demo_designs_and_ends_with_what_to_try_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    designed: list[tuple[tuple[object, ...], dict[str, object]]] = []
    monkeypatch.setattr(design, "design_command", lambda *a, **k: designed.append((a, k)))
    design.demo_command(runs_dir=tmp_path, seed=3)
    assert designed == [
        (
            ("hopper", "hop_forward"),
            {"runs_dir": tmp_path, "preset": "quick", "yes": False, "seed": 3},
        )
    ]
    shown = capsys.readouterr().out.splitlines()
    commands = [line.split("   ")[0].split() for line in shown if line.startswith("  reward-agent")]
    assert [words[1] for words in commands] == ["design", "feedback", "export"]


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    done = run("--debug", "design", "--env", "hoper", "--task", "x y", cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" in done.stderr


def test_setting_out_of_range_names_the_setting(tmp_path: Path) -> None:
    arguments = ("design", "--env", "hopper", "--task", "hop_forward", "--candidates", "0")
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert "candidates = 0 (from command line)" in done.stderr


def test_design_without_a_task_shows_an_example(tmp_path: Path) -> None:
    done = run("design", "--env", "hopper", cwd=tmp_path)
    assert done.returncode == 2
    assert "reward-agent design --env hopper --task" in done.stderr


def test_unknown_run_is_refused(tmp_path: Path) -> None:
    assert run("runs", "show", "nothing", cwd=tmp_path).returncode == 2
    assert run("design", "--resume", "nothing", cwd=tmp_path).returncode == 2


@pytest.mark.parametrize(("source", "code"), [(GOOD, 0), (BAD, 1)])
def test_check_reads_standard_input_and_answers_in_json(source: str, code: int) -> None:
    done = call("check", "-", "--env", "hopper", "--json", text=source)
    answer = json.loads(done.stdout)
    assert done.exit_code == code
    assert answer["accepted"] is (code == 0)
    assert answer["schema_version"] == 1


def test_answer_of_check_has_the_schema_that_it_prints() -> None:
    from reward_agent.cli.single import CheckAnswer

    schema = json.loads(call("check", "-", "--env", "hopper", "--json-schema").stdout)
    assert schema == CheckAnswer.model_json_schema(mode="serialization")
    done = call("check", "-", "--env", "hopper", "--json", text=BAD)
    answer = json.loads(done.stdout)
    assert set(answer) == set(schema["properties"])
    [finding] = [item for item in answer["check"]["findings"] if item["rule"] == "attributes/field"]
    assert set(finding) == set(schema["$defs"]["Finding"]["properties"])
    assert finding["line"] > 0
    assert finding["column"] > 0
    assert CheckAnswer.model_validate_json(done.stdout).accepted is False


@pytest.mark.parametrize(
    ("file", "env", "word"),
    [
        ("nothing.py", "hopper", "nothing.py"),
        (".", "hopper", "not a plain file"),
        ("-", "hoper", "'hopper'"),
    ],
)
def test_check_of_nothing_is_a_usage_error(file: str, env: str, word: str, tmp_path: Path) -> None:
    done = run("check", file, "--env", env, cwd=tmp_path, text=GOOD)
    assert done.returncode == 2
    assert word in done.stderr


KILLER = """
def compute_reward(state, action, next_state):
    deep = ()
    for _ in range(15000):
        deep = (((((((((deep,),),),),),),),),)
    table = {deep: 1.0}
    return next_state.torso_height * len(table), {}
"""


def test_a_reward_in_another_style_is_checked_as_the_program_that_it_is() -> None:
    text = "def reward(obs, action, next_obs, info):\n    return max(0.0, next_obs[5])\n"
    done = call("check", "-", "--env", "hopper", "--json", text=text)
    taken = json.loads(done.stdout)["taken"]
    assert done.exit_code == 0
    assert (taken["form"], taken["entry"]) == ("arrays", "reward")
    assert "np.maximum(0.0, next_state.observation[:, 5])" in taken["program"]
    assert max(row["difference"] for row in taken["parity"]) == 0.0


def test_program_that_kills_the_probe_is_refused() -> None:
    done = call("check", "-", "--env", "hopper", "--probe", "--json", text=KILLER)
    answer = json.loads(done.stdout)
    assert done.exit_code == 1
    assert answer["accepted"] is False
    assert [item["rule"] for item in answer["probe"]["findings"]] == ["probe/child-ended"]
    assert "SIGSEGV" in answer["probe"]["findings"][0]["message"]


def test_check_shows_the_finding_under_its_line() -> None:
    done = call("check", "-", "--env", "hopper", text=BAD)
    assert done.exit_code == 1
    assert "forward_velocty" in done.stdout
    assert "forward_velocity" in done.stdout


def test_envs_list_and_show_answer_in_json(tmp_path: Path) -> None:
    listed = json.loads(run("envs", "list", "--json", cwd=tmp_path).stdout)
    hopper = next(item for item in listed if item["name"] == "hopper")
    assert {"hop_forward", "front_flip", "back_flip"} <= set(hopper["tasks"])
    shown = json.loads(run("envs", "show", "hopper", "--json", cwd=tmp_path).stdout)
    assert shown["name"] == "hopper"


def test_the_prompt_view_is_a_python_class() -> None:
    done = call("envs", "show", "hopper", "--as-prompt")
    assert "class State" in done.stdout
    assert "torso_pitch" in done.stdout
    assert "torso_height 1.25" in done.stdout.partition("Measured on the robot itself")[2]


def test_runs_list_is_empty_without_runs(tmp_path: Path) -> None:
    assert json.loads(run("runs", "list", "--json", cwd=tmp_path).stdout) == []


def count_lines(text: str) -> int:
    return len(text.strip().splitlines())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("bogus",), "No such command 'bogus'."),
        (("train", "--env", "hopper", "--task", "hop_forward", "--steps", "x"), "'--steps'"),
        (("train", "--env", "hopper", "--taks", "hop_forward"), "No such option: --taks"),
        (("runs", "show"), "Missing argument"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_a_remedy(
    arguments: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    done = run(*arguments, cwd=tmp_path, environ={"COLUMNS": "30"})
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert "--help` shows" in done.stderr
    assert count_lines(done.stderr) == 2
    assert done.stdout == ""


def test_version_needs_no_command(tmp_path: Path) -> None:
    done = run("--version", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"reward-agent {reward_agent.__version__}\n")


def test_a_reader_that_goes_away_early_sees_no_traceback(tmp_path: Path) -> None:
    done = subprocess.run(
        f"{sys.executable} -m reward_agent prompts list --json | head -n 1",
        shell=True, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "["
    assert done.stderr == ""


def test_a_terminal_without_unicode_gets_question_marks_not_a_traceback(tmp_path: Path) -> None:
    environ = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "reward_agent", "design", "--env", "hoper", "--task", "x y"],
        cwd=tmp_path, capture_output=True, text=True, env=os.environ | environ, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "error: unknown environment" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_fault_of_ours_is_one_line_that_asks_for_a_report(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_: object) -> None:
        raise TypeError("two\nlines")

    def leave(code: int) -> None:
        raise SystemExit(code)

    monkeypatch.setattr(app, "app", fail)
    monkeypatch.setattr(app.os, "_exit", leave)
    monkeypatch.delenv("REWARD_AGENT_DEBUG", raising=False)
    with pytest.raises(SystemExit) as caught:
        app.run()
    assert caught.value.code == 1
    shown = capsys.readouterr().err
    assert "internal error: TypeError: two lines" in shown
    assert "--debug" in shown


def test_a_run_that_cannot_be_read_does_not_hide_the_others(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "run.json").write_text("{")
    done = run("runs", "list", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.startswith("run")
    assert done.stderr.count("error: ") == 2
    shown = run("runs", "show", "a", cwd=tmp_path)
    assert shown.returncode == 1
    assert "run.json is no RunRecord" in shown.stderr


def test_a_narrow_terminal_folds_a_table_and_cuts_nothing(tmp_path: Path) -> None:
    shown = run("envs", "list", cwd=tmp_path, environ={"COLUMNS": "30"}).stdout
    assert "…" not in shown


def test_envs_check_says_each_finding_with_its_remedy_and_exits_1(tmp_path: Path) -> None:
    folder = tmp_path / "cart"
    folder.mkdir()
    motor = '<motor name="push" joint="slide" ctrlrange="-1 1" ctrllimited="true" gear="0"/>'
    (folder / "cart.xml").write_text(
        '<mujoco><worldbody><body><joint name="slide" type="slide" axis="1 0 0"/>'
        f'<geom size="0.1"/></body></worldbody><actuator>{motor}</actuator></mujoco>'
    )
    (folder / "env.toml").write_text(
        'title = "Cart"\ndescription = "A cart."\ncontrol_dt = 0.004\nmax_episode_steps = 20\n'
        'actions = ["push"]\nobservation = ["qpos"]\nobservation_size = 1\n'
        '[model]\nfile = "cart.xml"\nframe_skip = 2\n[reset]\nqpos_uniform = 0.1\n'
        '[state]\nx = { source = "qpos[0]", unit = "m", range = [-1.0, 1.0], doc = "along x" }\n'
    )
    done = call("envs", "check", str(folder))
    assert done.exit_code == 1
    assert "error: action 'push' changes no velocity: the gear of its actuator is 0" in done.stdout
    assert "→ correct gear in the MJCF" in done.stdout
    told = json.loads(call("envs", "check", str(folder), "--json").stdout)
    assert [finding["rule"] for finding in told["findings"]] == ["card/dead-motor"]


def test_an_error_under_json_is_one_line_of_data(tmp_path: Path) -> None:
    done = run("runs", "show", "nothing", "--json", cwd=tmp_path)
    told = json.loads(done.stderr)
    assert done.stdout == ""
    assert told == {
        "code": "unknown_name", "message": "unknown run 'nothing'", "exit": 2,
        "remedy": f"`reward-agent runs list` shows those in {tmp_path / 'runs'}",
    }  # fmt: skip
    assert done.returncode == 2
    done = run("envs", "list", "--json", "--bogus", cwd=tmp_path)
    assert json.loads(done.stderr)["code"] == "usage"


INTERRUPTED = """
import os, signal, sys
from reward_agent.cli import main

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "reward_agent.cli.app":
            os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Finder())
main()
"""


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ((), "error: stopped"),
        (("--json",), '{"code": "interrupted", "message": "stopped", "remedy": "", "exit": 130}'),
    ],
)
def test_ctrl_c_while_it_starts_is_one_line(words: tuple[str, ...], line: str) -> None:
    command = [sys.executable, "-c", INTERRUPTED, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", f"{line}\n")


def test_ctrl_c_in_a_command_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    ends: list[str] = []
    monkeypatch.setattr(app, "app", lambda **options: 130)  # what typer makes of it
    monkeypatch.setattr(app, "_listen_for_ends", list)
    monkeypatch.setattr(app, "_end", lambda error, ended_by: ends.append(error.message))
    with pytest.raises(SystemExit):
        app.run()
    assert ends == ["stopped"]


@pytest.mark.parametrize(
    "words",
    [
        ("doctor",), ("envs", "list"), ("prompts", "list"), ("runs", "list"), ("runs", "du"),
        ("runs", "compare", "last", "last"), ("runs", "costs", "last"), ("runs", "replies", "last"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_tables_fit_60_columns_and_keep_their_words(
    words: tuple[str, ...], judged_run: Path
) -> None:
    wide = run(*words, cwd=judged_run, environ={"COLUMNS": "300"}).stdout
    narrow = run(*words, cwd=judged_run, environ={"COLUMNS": "60"}).stdout
    assert max(map(len, narrow.splitlines())) <= 60
    short = {word for word in wide.split() if len(word) <= 40}
    assert short - set(narrow.split()) == set()


def list_commands(command: Any, words: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    found = [(words, command)]
    for name, one in getattr(command, "commands", {}).items():
        found += list_commands(one, (*words, name))
    return found


def test_no_help_loses_what_stands_in_brackets() -> None:
    for words, command in list_commands(get_command(app.app)):
        texts = [
            command.help or "",
            *(getattr(param, "help", "") or "" for param in command.params),
        ]
        shown = CliRunner().invoke(app.app, [*words, "--help"], env={"COLUMNS": "400"}).output
        for part in re.findall(r"\[[^\[\]\\]+", " ".join(texts)):
            assert part in shown, (words, part)


def test_doctor_names_extras_whole(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "_find_version", lambda name: None)
    monkeypatch.setenv("COLUMNS", "60")
    app.app(["doctor"], standalone_mode=False)
    assert "pip install 'reward-agent[video]'" in capsys.readouterr().out


def test_a_run_that_is_resumed_has_its_name(tmp_path: Path) -> None:
    done = run("design", "--resume", "last", "--name", "mine", cwd=tmp_path)
    assert "a run that is resumed has its --name" in done.stderr
    assert done.returncode == 2


def test_a_table_in_text_fits_its_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    head = ("what it does", "task score", "steps", "pay")
    rows = [("start pose held", "0.175", "51 (ended)", "23.2"), ("limp", "–", "1000", "6.26")]
    for width in (60, 30, 26):
        monkeypatch.setattr(output.answer_console, "width", width)
        lines = output.render_table(head, rows).splitlines()
        assert max(map(len, lines)) <= width
        assert set(" ".join((*head, *rows[0])).split()) <= set(" ".join(lines).split())
    assert lines[2:4] == ["task score   0.175", "steps        51 (ended)"]
    assert capsys.readouterr().out == ""
