"""A card's MJCF, compiled with what its fields measure beyond what the file has."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Collection
from pathlib import Path
from typing import Any

import mujoco

from reward_agent.definitions.card import EnvCard, find_env_dir
from reward_agent.definitions.sources import Measure, find_measures, parse_source
from reward_agent.errors import DataError, hint_closest
from reward_agent.simulation.mjcf import check_model
from reward_agent.simulation.simulation import blame_field

_OBJECTS = {"body": mujoco.mjtObj.mjOBJ_BODY, "geom": mujoco.mjtObj.mjOBJ_GEOM}
# Contact sensor: report how many contacts were found, of all of them, in one slot.
_FOUND_ALL_ONE = [1, 0, 1]


def make_model(card: EnvCard, fields: Collection[str] | None = None) -> mujoco.MjModel:
    """Compile the card's MJCF with a sensor for each contact and velocity that is measured.

    Sensors only observe: the simulated motion is that of the MJCF, to the last bit. Only ``fields``
    will be read; None for all.

    Raises:
        DataError: the MJCF is missing or wrong, or the card names something it does not have.
    """
    path = find_model_path(card)
    names = [field.name for field in card.fields] if fields is None else fields
    try:
        spec = mujoco.MjSpec.from_file(str(path))
        _add_sensors(spec, card, names)
        # A simulation that diverges must come back with finite numbers, not stay at NaN.
        spec.option.disableflags &= ~int(mujoco.mjtDisableBit.mjDSBL_AUTORESET)
        with warnings.catch_warnings():
            # Gymnasium's half_cheetah.xml has an attribute that MuJoCo will drop.
            warnings.filterwarnings("ignore", ".*deprecated", UserWarning)
            return spec.compile()
    except (ValueError, mujoco.FatalError) as error:
        raise DataError(f"{path}: {error}", "correct the MJCF, or the card's names") from error


def find_model_path(card: EnvCard) -> Path:
    """Return the path of the card's MJCF.

    Raises:
        DataError: the file is not there, or the card names none.
    """
    model = card.model
    if model.gymnasium is not None:
        package = importlib.util.find_spec("gymnasium")
        assert package is not None
        path = Path(package.origin or "").parent / "envs/mujoco/assets" / model.gymnasium
        remedy = "correct model.gymnasium, or install another gymnasium"
    elif model.file is not None:
        path = find_env_dir(card) / model.file
        remedy = "put the file beside env.toml, or correct model.file"
        if path.is_file():
            check_model(find_env_dir(card), model.file)
    else:
        raise DataError(
            f"environment {card.name!r} gives model.id = {model.id!r}, MuJoCo simulates an MJCF",
            "give model.file, or the model.backend that knows this id",
        )
    if not path.is_file():
        raise DataError(f"environment {card.name!r}: {path} does not exist", remedy)
    return path


def _add_sensors(spec: mujoco.MjSpec, card: EnvCard, names: Collection[str]) -> None:
    added: set[Measure] = set()
    for name in names:
        measures = find_measures(parse_source(card.field(name).source)) - added
        try:
            for measure in sorted(measures, key=name_sensor):
                _add_sensor(spec, measure, card)
        except DataError as error:
            raise blame_field(card, name, error) from error
        added |= measures


def _add_sensor(spec: mujoco.MjSpec, measure: Measure, card: EnvCard) -> None:
    if measure.measure not in ("contact", "com_velocity"):
        return
    geoms = [geom.name for geom in spec.geoms]
    known = [body.name for body in spec.bodies] if measure.kind == "body" else geoms
    what: dict[str, Any] = {"type": mujoco.mjtSensor.mjSENS_SUBTREELINVEL}
    if measure.measure == "contact":
        if not card.model.floors:
            raise DataError(
                "contacts are measured, but the card names no floor",
                "set model.floor to the name of the floor's geom",
            )
        what = {
            "type": mujoco.mjtSensor.mjSENS_CONTACT,
            "reftype": mujoco.mjtObj.mjOBJ_GEOM,
            "refname": check_object(geoms, "geom", card.model.floors[0]),
            "intprm": _FOUND_ALL_ONE,
        }
    spec.add_sensor(
        name=name_sensor(measure),
        objtype=_OBJECTS[measure.kind],
        objname=check_object(known, measure.kind, measure.name),
        **what,
    )


def name_sensor(measure: Measure) -> str:
    """Return the name of the sensor that is added for a measure."""
    return f"reward_agent.{measure.measure}.{measure.kind}.{measure.name}"


def check_object(known: Collection[str], kind: str, name: str) -> str:
    """Return the name, or raise a DataError with the closest one that the model has."""
    if name in known:
        return name
    raise DataError(
        f"the model has no {kind} named {name!r}{hint_closest(name, known)}",
        f"its {kind} names: {', '.join(sorted(filter(None, known))) or 'none'}",
    )


def list_names(model: mujoco.MjModel, kind: str) -> list[str]:
    """Return the names of all objects of a kind in their order, '' for those without."""
    attribute = {"joint": "njnt", "actuator": "nu"}.get(kind, f"n{kind}")
    count: int = getattr(model, attribute)
    return [getattr(model, kind)(i).name for i in range(count)]
