"""Exported files, imported as a stranger would: from a folder, without this project."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from reward_agent.definitions.card import EnvCard
from reward_agent.export.compose import compose_reward

Load = Callable[[EnvCard, str], ModuleType]


def import_file(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"exported_{path.parent.name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def import_exported() -> Callable[[Path], ModuleType]:
    return import_file


@pytest.fixture
def load_exported(tmp_path: Path) -> Load:
    def load(card: EnvCard, source: str, has_own_termination: bool = False) -> ModuleType:
        path = tmp_path / "reward.py"
        path.write_text(compose_reward(card, source, {"task": "try"}, has_own_termination))
        return import_file(path)

    return load
