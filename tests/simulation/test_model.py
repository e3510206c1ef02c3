"""The compiled model is the MJCF's, with sensors that change nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from reward_agent.definitions.card import list_envs, load_env
from reward_agent.errors import DataError
from reward_agent.simulation.mujoco_model import find_model_path, make_model


@pytest.mark.parametrize("name", [name for name in list_envs() if load_env(name).gymnasium_id])
def test_sensors_are_added_only_for_what_is_read(name: str) -> None:
    card = load_env(name)
    plain = make_model(card, fields=())
    full = make_model(card)
    assert plain.nsensor == 0
    assert (full.nq, full.nv, full.nu, full.ngeom) == (plain.nq, plain.nv, plain.nu, plain.ngeom)
    assert full.nsensor == sum(
        "contact:" in field.source or "com_velocity:" in field.source for field in card.state
    )


def test_a_missing_mjcf_is_named(slider_dir: Path) -> None:
    (slider_dir / "slider.xml").unlink()
    with pytest.raises(DataError, match=r"slider\.xml does not exist") as caught:
        find_model_path(load_env(slider_dir))
    assert "beside env.toml" in caught.value.remedy


def test_a_broken_mjcf_is_named(slider_dir: Path) -> None:
    (slider_dir / "slider.xml").write_text("<mujoco><worldbody><geom type='blob'/></worldbody>")
    with pytest.raises(DataError, match=r"slider\.xml"):
        make_model(load_env(slider_dir))
