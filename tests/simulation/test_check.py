"""``envs check`` passes the cards that ship, and finds what is wrong in others."""

from __future__ import annotations

from pathlib import Path

import pytest

from reward_agent.definitions.card import list_envs, load_env
from reward_agent.records.drafting_jobs import CheckEnvJob
from reward_agent.run.single import check_env
from reward_agent.worker.check_env import run


@pytest.mark.parametrize("name", [name for name in list_envs() if load_env(name).gymnasium_id])
def test_a_card_that_ships_describes_its_model(name: str, tmp_path: Path) -> None:
    card = load_env(name)
    result = run(CheckEnvJob(card=card), tmp_path)
    assert result.findings == ()
    if card.gymnasium_id:
        assert result.facts[f"parity with {card.gymnasium_id}"].endswith("largest difference 0")


def test_the_child_process_checks_a_card_in_its_sandbox() -> None:
    assert check_env("inverted_pendulum").findings == ()


def test_a_card_of_ones_own_describes_its_model(slider_dir: Path) -> None:
    assert run(CheckEnvJob(card=load_env(slider_dir)), slider_dir).findings == ()


@pytest.mark.parametrize(
    ("before", "after", "finding"),
    [
        ("control_dt = 0.02", "control_dt = 0.01", "control_dt is 0.01 s, but 2 physics steps"),
        ('action_mapping = "rescaled"', "", "its actuator's ctrlrange is 0..30"),
        ("range = [-5.0, 5.0], doc = \"along x", "range = [0.0, 0.1], doc = \"along x", "too narrow"),
        ("range = [-5.0, 5.0], doc = \"along x", "range = [0.0, 1e4], doc = \"along x", "too wide"),
        ("joint:run.qpos", "com:puck[1]", "always 0 in episodes"),
        ("qpos_uniform = 0.1", "", "every seed starts the same episode"),
        ("observation_size = 4", "observation_size = 5", "the card gives size 5"),
        ("joint:run.qpos", "joint:runs.qpos", "no joint named 'runs'; did you mean 'run'"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_card_is_found(
    slider_dir: Path, before: str, after: str, finding: str
) -> None:
    path = slider_dir / "env.toml"
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))
    findings = run(CheckEnvJob(card=load_env(slider_dir)), slider_dir).findings
    assert any(finding in each.message for each in findings), findings
    assert all(each.remedy for each in findings)
