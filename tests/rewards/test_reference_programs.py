"""People's own reference rewards are in the language."""

from pathlib import Path

import pytest

from reward_agent.definitions.card import load_env
from reward_agent.definitions.paths import find_envs_dir
from reward_agent.rewards.checks import check_program
from reward_agent.types import RewardProgram

REFERENCES = sorted(find_envs_dir().glob("*/tasks/*/reference_reward.py"))


def name(path: Path) -> str:
    return f"{path.parents[2].name}-{path.parent.name}"


@pytest.mark.parametrize("path", REFERENCES, ids=name)
def test_reference_reward_is_accepted(path):
    report = check_program(
        RewardProgram(path.read_text(encoding="utf-8")), load_env(path.parents[2].name)
    )
    assert report.is_accepted, report.findings
