"""Exported files, imported as a stranger would: from a folder, without this project."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

import reward_agent
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


REPLIES = '''--- reply ---
```python
def init_memory(state):
    return {"best": state.x_position.copy()}

def potential(state):
    return 2.0 * state.torso_height

def compute_reward(state, action, next_state, memory):
    """Pay new ground once, and standing."""
    best = np.maximum(memory["best"], next_state.x_position)
    upright = tolerance(next_state.torso_pitch, bounds=(-0.2, 0.2), margin=0.6)
    down = next_state.foot_floor_contact * 0.1
    terms = {"new ground": 10.0 * (best - memory["best"]), "upright": upright, "down": down}
    return sum(terms.values()), terms, {"best": best}
```
--- reply ---
```python
def compute_reward(state, action, next_state):
    return next_state.torso_hight, {"height": next_state.torso_hight}
```
'''


@pytest.fixture(scope="session")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("design")
    (folder / "replies.md").write_text(REPLIES)
    run = reward_agent.design(
        "hopper", "hop_forward", provider=f"scripted:{folder / 'replies.md'}", environ={},
        runs_dir=folder / "runs", steps=4096, iterations=1, candidates=2, winner_seeds=0,
        eval_episodes=2, max_repairs=0, critic=False, analyzer=False, video=False,
    )  # fmt: skip
    return folder / "runs" / run.id
