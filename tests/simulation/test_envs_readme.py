"""The environment that envs/README.md shows works as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from reward_agent.definitions.card import load_env
from reward_agent.definitions.paths import find_envs_dir
from reward_agent.definitions.sources import FUNCTIONS, MEASURES
from reward_agent.worker.check_env import check_card

README = (find_envs_dir() / "README.md").read_text(encoding="utf-8")


def test_the_example_describes_its_model(tmp_path: Path) -> None:
    for language, name in (("xml", "pole.xml"), ("toml", "env.toml")):
        block = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)[0]
        (tmp_path / "pole").mkdir(exist_ok=True)
        (tmp_path / "pole" / name).write_text(block)
    assert check_card(load_env(tmp_path / "pole")).findings == ()


@pytest.mark.parametrize("word", [*FUNCTIONS, *MEASURES])
def test_every_word_of_the_language_is_told(word: str) -> None:
    assert re.search(rf"`{word}[:(]", README)
