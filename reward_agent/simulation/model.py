"""The MuJoCo model of a card: its MJCF with the sensors that its measurements need.

Sensors only observe: the simulated motion is that of the MJCF, to the last bit.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Collection
from pathlib import Path

import mujoco

from reward_agent.definitions.card import EnvCard, find_env_dir
from reward_agent.definitions.sources import Measure, find_measures, parse_source
from reward_agent.errors import DataError, find_closest_name
from reward_agent.simulation.expressions import blame_field

_OBJECTS = {"body": mujoco.mjtObj.mjOBJ_BODY, "geom": mujoco.mjtObj.mjOBJ_GEOM}
# Contact sensor: report how many contacts were found, of all of them, in one slot.
_FOUND_ALL_ONE = [1, 0, 1]


def make_model(card: EnvCard, fields: Collection[str] | None = None) -> mujoco.MjModel:
    """Compile the card's MJCF with a sensor for each contact and velocity that is measured.

    Args:
        card: the environment.
        fields: names of the fields that will be read; None for all.

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
        DataError: the file is not there.
    """
    if card.model.gymnasium is None:
        path = find_env_dir(card) / (card.model.file or "")
        remedy = "put the file beside env.toml, or correct model.file"
    else:
        path = _find_gymnasium_assets() / card.model.gymnasium
        remedy = "correct model.gymnasium, or install another gymnasium"
    if not path.is_file():
        raise DataError(f"environment {card.name!r}: {path} does not exist", remedy)
    return path


def get_sensor_name(measure: Measure) -> str:
    """Return the name of the sensor that serves a measure."""
    return f"reward_agent.{measure.measure}.{measure.kind}.{measure.name}"


def check_object(known: Collection[str], kind: str, name: str) -> None:
    """Raise a DataError with the closest name unless ``name`` is one of the model's objects."""
    if name in known:
        return
    closest = find_closest_name(name, known)
    hint = f"; did you mean {closest!r}?" if closest else ""
    listing = ", ".join(sorted(filter(None, known))) or "none"
    raise DataError(f"the model has no {kind} named {name!r}{hint}", f"its {kind} names: {listing}")


def _find_gymnasium_assets() -> Path:
    spec = importlib.util.find_spec("gymnasium")
    if spec is None or spec.origin is None:
        raise DataError("gymnasium is not installed", "pip install 'gymnasium[mujoco]'")
    return Path(spec.origin).parent / "envs" / "mujoco" / "assets"


def _add_sensors(spec: mujoco.MjSpec, card: EnvCard, names: Collection[str]) -> None:
    added: set[Measure] = set()
    for name in names:
        measures = find_measures(parse_source(card.field(name).source)) - added
        try:
            for measure in sorted(measures, key=get_sensor_name):
                _add_sensor(spec, measure, card)
        except DataError as error:
            raise blame_field(card, name, error) from error
        added |= measures


def _add_sensor(spec: mujoco.MjSpec, measure: Measure, card: EnvCard) -> None:
    name = get_sensor_name(measure)
    if measure.measure == "contact":
        if card.model.floor is None:
            raise DataError(
                "contacts are measured, but the card names no floor",
                "set model.floor to the name of the floor's geom",
            )
        check_object([geom.name for geom in spec.geoms], "geom", card.model.floor)
        _check_measured(spec, measure)
        spec.add_sensor(
            name=name,
            type=mujoco.mjtSensor.mjSENS_CONTACT,
            objtype=_OBJECTS[measure.kind],
            objname=measure.name,
            reftype=mujoco.mjtObj.mjOBJ_GEOM,
            refname=card.model.floor,
            intprm=_FOUND_ALL_ONE,
        )
    elif measure.measure == "com_velocity":
        _check_measured(spec, measure)
        spec.add_sensor(
            name=name,
            type=mujoco.mjtSensor.mjSENS_SUBTREELINVEL,
            objtype=mujoco.mjtObj.mjOBJ_BODY,
            objname=measure.name,
        )


def _check_measured(spec: mujoco.MjSpec, measure: Measure) -> None:
    objects = spec.bodies if measure.kind == "body" else spec.geoms
    check_object([each.name for each in objects], measure.kind, measure.name)
