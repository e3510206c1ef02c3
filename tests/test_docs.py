"""What is written about the files is so."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from support.loops import LONG, QUICK

ROOT = Path(__file__).resolve().parents[1]


def list_paths(text: str) -> list[str]:
    """Return what stands in backticks and looks like a path of one file or folder."""
    words = re.findall(r"`([^`\s]+)`", text)
    return [word for word in words if re.fullmatch(r"[\w.][\w./-]*(/|\.(py|md|toml|txt|j2))", word)]


def test_every_path_in_contributing_exists() -> None:
    paths = list_paths((ROOT / "CONTRIBUTING.md").read_text())
    assert len(paths) > 25
    places = (
        ROOT,
        ROOT / "reward_agent",
        ROOT / "tests" / "rewards",
        ROOT / "envs/hopper/tasks/hop_forward",
    )
    missing = [path for path in paths if not any((place / path).exists() for place in places)]
    assert missing == []


@pytest.mark.parametrize("place", [*LONG, *QUICK])
def test_what_the_fast_loop_leaves_out_exists(place: str) -> None:
    assert (ROOT / "tests" / place).exists()


def test_hooks_and_scripts_use_tools_of_dev() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    dev = {re.match(r"[\w-]+", name).group() for name in extras["dev"]}
    hooks = (ROOT / ".pre-commit-config.yaml").read_text()
    assert {entry.split()[0] for entry in re.findall(r"entry: (.+)", hooks)} <= dev
