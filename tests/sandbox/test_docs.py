import re
from pathlib import Path

import reward_agent.sandbox

HERE = Path(__file__).parent


def find_names(pattern, paths):
    return {name for path in paths for name in re.findall(pattern, path.read_text(), re.MULTILINE)}


def test_every_covered_property_names_tests_that_exist():
    text = reward_agent.sandbox.__doc__
    covered = text[text.index("\n- **") : text.index("\nNot covered")]
    properties = covered.split("\n- **")[1:]
    assert len(properties) == 13
    attacks = find_names(r"^@attack\ndef (\w+)", [HERE / "attacks.py"])
    tests = find_names(r"^def (test_\w+)", HERE.glob("test_*.py"))
    for words in properties:
        named = set(re.findall(r"``(\w+)``", words.split("Tried by")[1]))
        assert named, words
        assert named <= attacks | tests, named - attacks - tests


def test_every_line_of_the_readmes_table_names_files_that_exist():
    root = HERE.parents[1]
    safety = (root / "README.md").read_text().split("\n## Safety\n")[1].split("\n## ")[0]
    rows = [line.split("|")[1:-1] for line in safety.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == 6
    for held, _, tried in rows:
        named = re.findall(r"`((?:tests|scripts)/[\w/.]+)`", tried)
        assert named, held
        assert [name for name in named if not (root / name).is_file()] == []
