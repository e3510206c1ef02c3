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
