"""Drafts of small models of every kind, made once."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import gymnasium
import mujoco
import pytest
from support.kinds import KINDS

from reward_agent.definitions.card import EnvCard, load_env
from reward_agent.drafts.card import write_draft
from reward_agent.records.draft import Draft, DraftOptions

ASSETS = Path(gymnasium.__file__).parent / "envs/mujoco/assets"
GYMNASIUM = ("ant", "humanoid", "walker2d", "reacher", "pusher")


class Drafted:
    """A draft, with the card that its files are."""

    def __init__(self, name: str, folder: Path) -> None:
        text = KINDS.get(name) or (ASSETS / f"{name}.xml").read_text()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "robot.xml").write_text(text)
        self.model = mujoco.MjModel.from_xml_path(str(folder / "robot.xml"))
        self.options = DraftOptions(name=name, source=f"{name}.xml")
        self.draft: Draft = write_draft(self.model, "robot.xml", self.options, folder)
        for path, file in self.draft.files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(file)
        self.card: EnvCard = load_env(folder)

    @property
    def tasks(self) -> list[str]:
        """Names of its tasks, the one to try first in front."""
        return [path.split("/")[1] for path in self.draft.files if path.endswith("metric.py")]

    def metric(self, task: str) -> str:
        """The text of a task's metric."""
        return self.draft.files[f"tasks/{task}/metric.py"]


@pytest.fixture(scope="session")
def draft(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Drafted]:
    """Return a draft of a model by name."""
    root = tmp_path_factory.mktemp("drafts")
    made: Any = cache(lambda name: Drafted(name, root / name))
    return made
