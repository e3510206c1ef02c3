"""What a stranger's run puts into an exported file is words and numbers, never code."""

from __future__ import annotations

import ast
import contextlib
import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from reward_agent.cli.app import app
from reward_agent.definitions.card import EnvCard, load_env
from reward_agent.errors import DataError, RewardAgentError, UsageError
from reward_agent.export.compose import compose_reward
from reward_agent.export.package import export_run
from reward_agent.records.store import RunStore
from reward_agent.types import RewardProgram

SOURCE = """\
def compute_reward(state, action, next_state):
    # A comment in a program that was checked.
    return next_state.torso_height, {"height": next_state.torso_height}
"""
CARD = load_env("hopper")
PAYLOAD = "__import__('os').system('touch pwned')"
ATTACKS = [
    f'"""\n{PAYLOAD}\n"""', f"'''\n{PAYLOAD}\n'''", f"\n{PAYLOAD}\n", f"\r{PAYLOAD}\r", f"\r\n{PAYLOAD}",
    f"\f{PAYLOAD}", f"\v{PAYLOAD}", f"\x1c{PAYLOAD}", f"\x85{PAYLOAD}", f"\u2028{PAYLOAD}",
    f"\u2029{PAYLOAD}", f"\\\n{PAYLOAD}", "\\", "\\\\", '\\"""', '"', "'", '"\'', "\\'", '\\"', '"""', "'''",
    "\x00", "\ud800", "\udcff\udcfe", "\u202e", "\u2066", "\u200b", "\ufeff", "\N{DELETE}", "{{ 1 }}", "{% raw %}",
    "{# #}", "%s %(a)s {0} {a!r}", f"{{{PAYLOAD}}}", "\\N{DASH}", "\\x", "\\u", "\\U0010ffff", "\\\r", "#", "é跳🤖",
    f")\n{PAYLOAD}\n(", f"', {PAYLOAD}, '", f'", {PAYLOAD}, "', " " * 200, "x" * 3000, "a\\", 'a"', 'a\\"', "",
]  # fmt: skip
TEXTS = st.one_of(
    st.sampled_from(ATTACKS),
    st.text(),
    st.text(alphabet="\\\"'\n\r\f #{}%\u2028\ud800a", max_size=30),
    st.lists(st.sampled_from(ATTACKS), max_size=4).map("".join),
)


def make_metadata(words: Callable[[], str]) -> dict[str, Any]:
    """Return what ``package`` writes of card, task, run and winner."""
    return {
        "task": words(), "criterion": words(), "environment": words(), "gymnasium_id": words(),
        "run": words(), "candidate": words(), "program_sha256": words(), "designer": words(),
        "judged_by": words(), "task_score": 1.5, "task_scores_of_fresh_seeds": [1.0, 2.0],
        "unit": words(), "has_memory": False, "fields": [words()], "actions": [words(), words()],
        "learner": {"algo": words(), "policy_kwargs": {"net_arch": words()}},
        "versions": {"numpy": words()}, "exported_by": words(),
    }  # fmt: skip


def make_card(words: Callable[[], str]) -> EnvCard:
    """Return a card with words where a card has any, not validated."""
    state = tuple(
        field.model_copy(update={"unit": words(), "doc": words(), "group": words()})
        for field in CARD.state
    )
    model = CARD.model.model_copy(update={"floor": words(), "id": words(), "file": words()})
    changes = {
        "state": state, "model": model, "title": words(), "description": words(),
        "notes": (words(),), "action_doc": words(), "actions": (words(), words(), words()),
        "gymnasium_id": words(), "gymnasium_kwargs": {"a": words()}, "name": words(),
        "folder": words(),
    }  # fmt: skip
    return CARD.model_copy(update=changes)


class _Blank(ast.NodeTransformer):
    """Leaves the form of a file: every text in it is the same."""

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        return ast.Constant("") if isinstance(node.value, str) else node


def find_form(text: str) -> str:
    return ast.dump(_Blank().visit(ast.parse(text)))


PLAIN = compose_reward(make_card(lambda: "x"), SOURCE, make_metadata(lambda: "x"), True)
# Letters in the comments of this project.
OURS = {char for char in PLAIN if not char.isascii()}


def check(text: str) -> None:
    assert all(char.isascii() or char in OURS for char in text)
    assert all(char.isprintable() or char == "\n" for char in text)
    assert find_form(text) == find_form(PLAIN)


@settings(max_examples=10)
@given(st.data())
def test_any_words_anywhere_leave_the_form_of_the_file(data: st.DataObject) -> None:
    chosen = data.draw(st.lists(TEXTS, min_size=40, max_size=40))
    number = iter(range(10**9))

    def words() -> str:
        return chosen[next(number) % len(chosen)]

    text = compose_reward(make_card(words), SOURCE, make_metadata(words), True)
    check(text)


@pytest.mark.parametrize("first", range(0, len(ATTACKS), 3))
def test_all_attacks_at_once_each_at_many_places(first: int) -> None:
    words = itertools.cycle(ATTACKS[first:] + ATTACKS[:first]).__next__
    metadata = make_metadata(words)
    text = compose_reward(make_card(words), SOURCE, metadata, True)
    check(text)
    tree = ast.parse(text)
    assigned = {n.targets[0].id: n.value for n in tree.body if isinstance(n, ast.Assign)}
    assert ast.literal_eval(assigned["METADATA"]) == metadata
    assert (ast.get_docstring(tree, clean=False) or "").startswith(" ".join(ATTACKS[first].split()))


def test_only_known_modules_are_imported_and_only_definitions_stand_in_the_file() -> None:
    tree = ast.parse(PLAIN)
    imports = [n for n in ast.walk(tree) if isinstance(n, ast.Import | ast.ImportFrom)]
    named = {getattr(n, "module", None) or n.names[0].name for n in imports}
    assert named <= {
        "__future__", "collections.abc", "dataclasses", "difflib", "gymnasium", "inspect", "math",
        "mujoco", "numpy", "numpy.typing", "re", "types", "typing",
    }  # fmt: skip
    kinds = {type(node).__name__ for node in tree.body}
    assert kinds <= {
        "Expr", "Import", "ImportFrom", "Assign", "AnnAssign", "FunctionDef", "ClassDef", "Try",
    }  # fmt: skip


def test_importing_it_runs_nothing_else(tmp_path: Path) -> None:
    attack = "".join(ATTACKS)
    text = compose_reward(make_card(lambda: attack), SOURCE, make_metadata(lambda: attack), True)
    (tmp_path / "reward.py").write_text(text)
    code = (
        "import sys, numpy, gymnasium, mujoco, difflib, inspect, dataclasses\n"
        "seen = []\n"
        "sys.addaudithook(lambda name, a: seen.append((name, str(a)[:200])))\n"
        "import reward\n"
        "bad = ('os.', 'subprocess', 'socket', 'shutil', 'ctypes')\n"
        "bad = [e for e in list(seen) if e[0].startswith(bad) and 'listdir' not in e[0]]\n"
        "imported = {e[1].split(\"'\")[1] for e in seen if e[0] == 'import'}\n"
        "print(bad, imported)\n"
    )
    said = subprocess.run(
        [sys.executable, "-B", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert said.stdout.startswith("[] ")
    assert [path.name for path in tmp_path.iterdir()] == ["reward.py"]


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), {"a": float("-inf")}, object(), b"x" * 10**6]
)
def test_what_has_no_literal_is_refused(value: Any) -> None:
    with pytest.raises(DataError, match="cannot stand in the exported file"):
        compose_reward(CARD, SOURCE, {"task": "x", "score": value}, False)


def test_a_source_of_a_field_is_of_a_closed_set() -> None:
    for source in ("qpos-x", "body:a.__class__", "joint:a.qpos-b", "__builtins__", "qpos/1", "s"):
        strange = CARD.state[0].model_copy(update={"source": source})
        card = CARD.model_copy(update={"state": (strange, *CARD.state[1:])})
        program = SOURCE.replace("torso_height", CARD.state[0].name)
        with pytest.raises(DataError, match="cannot be had outside"):
            compose_reward(card, program, {"task": "x"}, False)
    program = SOURCE.replace("torso_height", CARD.state[0].name)

    def compose(source: str) -> str:
        field = CARD.state[0].model_copy(update={"source": source})
        card = CARD.model_copy(update={"state": (field, *CARD.state[1:])})
        return find_form(compose_reward(card, program, {"task": "x"}, False))

    plain = compose("body:'x'.xpos[2]")
    for name in ATTACKS:
        if "'" not in name and name:  # such a source is none
            assert compose(f"body:'{name}'.xpos[2]") == plain


CLASHES = '''\
State = 2.0
FIELDS = "a"
METADATA = 1.0
def make_env(value, State=1.0):
    # State in a comment
    return value * State + FIELDS.count(f"{FIELDS}{'FIELDS'}") + METADATA
def compute_reward(state, action, next_state):
    """State and FIELDS."""
    note = f"{State}'" + f'{FIELDS!r:>10}' + f"""
{State} {make_env(1.0, State=3.0)}"""
    height = make_env(next_state.torso_height, State=State) + 0.0 * len(note)
    return height, {"FIELDS": height, "State": height}
'''


def test_names_that_clash_are_others_in_the_file_and_pay_the_same(load_exported) -> None:
    from reward_agent.rewards.program import CompiledReward, load_functions

    module = load_exported(CARD, CLASHES)
    assert module.METADATA == {"task": "try"}
    height = np.array([1.0, 2.0])
    states = {"torso_height": height}
    ours = CompiledReward(load_functions(CLASHES), 0.99)
    theirs = module.make_reward()
    state = module.make_state(states)
    ours.begin(state)
    theirs.begin(state)
    arguments = (state, np.zeros((2, 3)), state, np.zeros(2, bool))
    paid, terms = theirs.step(*arguments)
    expected = ours.step(*arguments)
    np.testing.assert_array_equal(paid, expected.reward)
    assert list(terms) == list(expected.terms)


@pytest.mark.parametrize(
    "head",
    [
        "from __future__ import annotations", "from __future__ import (\n    annotations,\n)",
        '"""from __future__ import annotations"""\nfrom __future__ import annotations; import math',
        "from __future__ import annotations  # first", "# from __future__ import annotations\nx = 1",
    ],
)  # fmt: skip
def test_a_future_import_goes_and_nothing_else(head: str) -> None:
    text = compose_reward(CARD, f"{head}\n{SOURCE}", {"task": "x"}, False)
    tree = ast.parse(text)
    future = [n for n in tree.body if isinstance(n, ast.ImportFrom) and n.module == "__future__"]
    assert len(future) == 1
    compile(text, "reward.py", "exec")


# --- a run of a stranger --------------------------------------------------------------------------


@pytest.fixture
def run(run_dir: Path, tmp_path: Path) -> RunStore:
    """A copy of a real run, to be tampered with."""
    return RunStore(shutil.copytree(run_dir, tmp_path / "run"))


def change(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def find_winner(run: RunStore) -> Path:
    winner = run.read_run().winner
    assert winner is not None
    return run.candidate_dir(winner.iteration, winner.candidate)


def assert_refused(
    run: RunStore, folder: Path, match: str, kind: type = DataError, **options: Any
) -> None:
    with pytest.raises(kind, match=match):
        export_run(run.dir, folder / "out", **options)
    assert not (folder / "out").exists(), "nothing is written where something is refused"


def set_digest(run: RunStore, digest: str) -> None:
    """Say of the winner that it is another program, wherever the run says which it is."""
    winner = run.read_run().winner
    assert winner is not None
    for path in run.dir.rglob("*.json"):
        data = json.loads(path.read_text())
        items = [data, *data.get("candidates", ())] if isinstance(data, dict) else []
        for item in items:
            if item.get("id") == winner.candidate and "program_sha256" in item:
                item["program_sha256"] = digest
        path.write_text(json.dumps(data))


def test_a_program_that_was_changed_is_refused(run: RunStore, tmp_path: Path) -> None:
    program = find_winner(run) / "reward.py"
    program.write_text("import os\n" + program.read_text())
    assert_refused(run, tmp_path, "is not the one that was trained")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("import os", "line 1: os cannot be imported"),
        ("X = __import__('os')", "__import__ begins with two underscores"),
        ("X = ().__class__", "__class__ begins with an underscore"),
        ("X = open('x', 'w')", "open is not part of the language"),
        ("X = 1\r__import__('os').system('true')", "line 2: __import__ begins with two"),
        ("X = 1\f", "holds U\\+000C"),
        ("X = 1  # \u202e", "holds U\\+202E"),
        ("X = 1 # \x1b[2J", "holds U\\+001B"),
        ("# -*- coding: utf-7 -*-\n# +AAo-import os", "declares another encoding than UTF-8"),
    ],
)
def test_a_program_that_breaks_the_rules_is_refused_whatever_the_run_says(
    run: RunStore, tmp_path: Path, line: str, why: str
) -> None:
    program = find_winner(run) / "reward.py"
    source = f"{line}\n{program.read_text()}"
    program.write_bytes(source.encode())
    source = program.read_text()
    set_digest(run, RewardProgram(source).sha256)
    assert_refused(run, tmp_path, why)


def test_a_policy_of_another_program_is_refused(run: RunStore, tmp_path: Path) -> None:
    program = find_winner(run) / "reward.py"
    program.write_text(program.read_text() + "\n# another\n")
    set_digest(run, RewardProgram(program.read_text()).sha256)
    assert_refused(run, tmp_path, "was trained with another program")


@pytest.mark.parametrize("gymnasium_id", ["antigravity:Hopper-v5", "a.b:ns/X-v0"])
def test_an_id_that_names_a_module_needs_the_persons_word(
    run: RunStore, tmp_path: Path, gymnasium_id: str
) -> None:
    module = gymnasium_id.partition(":")[0]
    data = json.loads((run.dir / "run.json").read_text())
    change(run.dir / "run.json", card={**data["card"], "gymnasium_id": gymnasium_id})
    assert_refused(run, tmp_path, f"import '{module}'", UsageError)
    assert_refused(run, tmp_path, f"import '{module}'", UsageError, allow_import="other")
    arguments = ["export", str(run.dir), "-o", str(tmp_path / "out"), "--allow-import", module]
    CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert f"gymnasium.make('{gymnasium_id}'" in (tmp_path / "out" / "reward.py").read_text()


def test_an_argument_that_names_a_module_needs_it_too(run: RunStore, tmp_path: Path) -> None:
    data = json.loads((run.dir / "run.json").read_text())
    card = {**data["card"], "gymnasium_id": "GymV26Environment-v0"}
    change(run.dir / "run.json", card={**card, "gymnasium_kwargs": {"env_id": "evil:X-v0"}})
    assert_refused(run, tmp_path, "import 'evil'", UsageError)


@pytest.mark.parametrize(
    "gymnasium_id", ['x"""\nimport os-v0', "x\\", "X-v0; import os", "../X-v0:", "X", "a:b:X-v0"]
)
def test_an_id_of_another_form_is_no_id(run: RunStore, tmp_path: Path, gymnasium_id: str) -> None:
    data = json.loads((run.dir / "run.json").read_text())
    change(run.dir / "run.json", card={**data["card"], "gymnasium_id": gymnasium_id})
    assert_refused(run, tmp_path, "gymnasium_id")


def test_a_policy_outside_of_the_run_is_refused(run: RunStore, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    record = json.loads((run.dir / "run.json").read_text())
    place = Path(record["winner"]["policy_file"]).parent
    shutil.copytree(run.dir / place, outside)
    winner = record["winner"]
    for name in ("../outside/x.safetensors", str(outside / "x.safetensors")):
        change(run.dir / "run.json", winner={**winner, "policy_file": name})
        assert_refused(run, tmp_path, ".", RewardAgentError)
    change(run.dir / "run.json", winner=winner)
    result = run.dir / place / "result.json"
    best = json.loads(result.read_text())["best_file"]
    for name in (f"../../../../../../../outside/{best}", str(outside / best)):
        change(result, best_file=name)
        assert_refused(run, tmp_path, ".", RewardAgentError)
    change(result, best_file=best)
    (run.dir / place / best).unlink()
    (run.dir / place / best).symlink_to(outside / best)
    assert_refused(run, tmp_path, "plain file|cannot be read|link", RewardAgentError)


def test_files_are_written_in_place_of_links_in_the_folder(run: RunStore, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / "out").mkdir()
    export = export_run(run.dir, tmp_path / "first")
    for name in export.files:
        (tmp_path / "out" / name).symlink_to(victim)
    export_run(run.dir, tmp_path / "out")
    assert victim.read_text() == "mine"
    for name in export.files:
        assert not (tmp_path / "out" / name).is_symlink()


@pytest.fixture(scope="module")
def plain(run_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    return (export_run(run_dir, tmp_path_factory.mktemp("plain")).folder / "reward.py").read_text()


@settings(
    max_examples=15,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_any_words_in_a_runs_record_are_data_or_refused(
    run_dir: Path, plain: str, tmp_path: Path, data: st.DataObject
) -> None:
    folder = tmp_path / os.urandom(4).hex()
    run = RunStore(shutil.copytree(run_dir, folder / "run"))
    record = json.loads((run.dir / "run.json").read_text())
    places = [
        (record, "id"), (record, "designer"), (record, "note"), (record, "sandbox_level"),
        (record["task"], "description"), (record["task"], "criterion"), (record["task"], "unit"),
        (record["card"], "title"), (record["card"], "description"), (record["card"], "action_doc"),
        (record["card"]["state"][1], "unit"), (record["card"]["state"][1], "doc"),
        (record["versions"], "numpy"), (record["card"]["learner"], "extra"),
    ]  # fmt: skip
    for place, key in data.draw(st.lists(st.sampled_from(places), min_size=1, max_size=4)):
        place[key] = data.draw(TEXTS)
    (run.dir / "run.json").write_text(json.dumps(record))
    text = ""
    with contextlib.suppress(RewardAgentError):
        text = (export_run(run.dir, folder / "out").folder / "reward.py").read_text()
    if not text:
        return
    assert all(char.isascii() or char in OURS for char in text)
    [metadata] = [
        n for n in ast.parse(text).body if isinstance(n, ast.Assign) and "METADATA" in ast.dump(n)
    ]
    assert ast.literal_eval(metadata.value)["run"] == record["id"]
    own = [n for n in ast.parse(text).body if not isinstance(n, ast.Assign)]
    theirs = [n for n in ast.parse(plain).body if not isinstance(n, ast.Assign)]
    for ours, expected in zip(own, theirs, strict=True):
        assert ast.dump(_Blank().visit(ours)) == ast.dump(_Blank().visit(expected))


def test_the_recording_holds_numbers_and_words_alone(run: RunStore, tmp_path: Path) -> None:
    export_run(run.dir, tmp_path / "out")
    with np.load(tmp_path / "out" / "recorded.npz", allow_pickle=False) as arrays:
        assert all(arrays[name].dtype.kind in "biuf" for name in arrays.files)
