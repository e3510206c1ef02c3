"""An environment as data: the ``EnvCard`` read from ``envs/<env>/env.toml``.

Nothing here imports MuJoCo: the parent process reads cards, the child simulates them.
"""

from __future__ import annotations

import functools
import os
import re
import unicodedata
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from reward_agent.definitions.learner import LEARNERS, LearnerSettings, read_earlier_table
from reward_agent.definitions.paths import find_envs_dir
from reward_agent.definitions.roles import ENTRIES, OTHER_UNITS, ROLES, RobotRoles, find_usual_role
from reward_agent.definitions.sources import OWN_REWARD, find_draws, parse_source
from reward_agent.definitions.start import Draw, HomePose, Randomise, ResetNoise
from reward_agent.definitions.tables import (
    MOST_NUMBERS,
    MOST_TABLE_BYTES,
    Count,
    Limits,
    Line,
    Prose,
    Steps,
    Word,
    check_values,
    explain_invalid,
    find_odd_character,
    list_keys,
    parse_table,
    read_text,
)
from reward_agent.errors import DataError, UnknownNameError, UsageError, hint_closest
from reward_agent.files import find_real
from reward_agent.types import FileRecord, Finite, Record

CARD_FILE = "env.toml"

MOST_NAME_CHARS = 100
ADDED_FLOOR = "floor"
_MOST_FIELDS, _MOST_FLOORS = 500, 50
_MOST_EPISODE_STEPS, _MOST_PHYSICS_STEPS = 1_000_000, 10_000
# As Gymnasium's registry has them; a module in front is imported when the environment is made.
GYMNASIUM_ID = r"^(?:([A-Za-z_][\w.]*):)?((?:[\w-]+/)?[\w.-]+-v\d+)$"

_IDENTIFIER = re.compile(r"[a-z][a-z0-9_]*")


def _check_identifier(name: str) -> str:
    if _IDENTIFIER.fullmatch(name):
        return name
    odd = find_odd_character(name)
    written = f"holds {odd}" if odd else f"{name!r} is written {make_identifier(name, 'x')!r} here"
    raise ValueError(f"{written}: lower-case letters, digits and _")


Identifier = Annotated[str, Field(max_length=MOST_NAME_CHARS), AfterValidator(_check_identifier)]
Option: TypeAlias = bool | int | Finite | Line
Options = Annotated[
    dict[Word, Option | Annotated[tuple[Option, ...], Field(max_length=MOST_NUMBERS)]],
    AfterValidator(check_values),
]
EpisodeSteps = Annotated[int, Field(ge=1, le=_MOST_EPISODE_STEPS)]


def _spell(given: Any) -> Any:
    """Return a field's name as programs write it: ``FL_contact`` is ``fl_contact``."""
    if not isinstance(given, str) or len(given) > MOST_NAME_CHARS or find_odd_character(given):
        return given  # which is refused
    return given if _IDENTIFIER.fullmatch(given) else make_identifier(given, "field")


FieldName = Annotated[Identifier, BeforeValidator(_spell)]
_MOST_CHOICES = 500


def _name_choices(given: Any) -> Any:
    """Return names for a number of choices: their own numbers."""
    is_number = isinstance(given, int) and not isinstance(given, bool)
    return [str(i) for i in range(given)] if is_number and 0 < given <= _MOST_CHOICES else given


Choices = Annotated[
    tuple[Word, ...], Field(min_length=1, max_length=_MOST_CHOICES), BeforeValidator(_name_choices)
]


class Servo(Record):
    """A position actuator on a joint, with MuJoCo's ``kp`` and ``kv``."""

    kp: Finite = Field(gt=0, description="N m/rad, or N/m")
    kv: Finite = Field(0.0, ge=0, description="N m s/rad, or N s/m")
    range: Limits | None = Field(None, description="of its control; None: the joint's")
    force: Finite | None = Field(None, gt=0, description="greatest, N m or N")
    armature: Finite = Field(
        0.0, ge=0, description="inertia of its rotor, which the joint gets: kg m^2, or kg"
    )


class MocapAction(Record):
    """Actions that move a mocap body: one for each axis, after those of the actuators."""

    body: Word
    axes: str = Field("xyz", pattern=r"^x?y?z?$", min_length=1)
    step: Finite = Field(gt=0, description="m in one control step at action 1")


class ModelSource(Record):
    """What is simulated, and by which back end.

    One of three says what: an MJCF of Gymnasium's assets, a ``file``, or an ``id`` that the back
    end knows. ``envpool = ID`` is short for ``backend = "envpool"`` with this id.
    """

    backend: Word = Field("mujoco", description="what simulates it, by name")
    gymnasium: str | None = Field(
        None,
        pattern=r"^\w[\w.-]*$",
        max_length=MOST_NAME_CHARS,
        description="file name of an MJCF among its assets",
    )
    file: Annotated[Line, AfterValidator(lambda path: path.replace("\\", "/"))] | None = Field(
        None, description="an MJCF, or what the back end reads, in the card's folder"
    )
    id: Word | None = Field(
        None,
        description="name of an environment that the back end has; a task may name another. For "
        "'gymnasium' an id of its registry, or module:function, which makes the environment",
    )
    twin: Word | None = Field(
        None,
        description="id under which Gymnasium has the same environment, as EnvPool has it: what an "
        "exported reward wraps",
    )
    options: Options = Field({}, description="arguments for the back end, or of the function")
    camera: int = Field(
        -1,
        ge=-1,
        le=MOST_NUMBERS,
        description="number of the model's camera that films; -1: the back end's own",
    )
    camera_is_upside_down: bool = False
    frame_skip: int = Field(
        1, ge=1, le=_MOST_PHYSICS_STEPS, description="physics steps of one control step"
    )
    floor: Word | Annotated[tuple[Word, ...], Field(max_length=_MOST_FLOORS)] | None = Field(
        None, description="name of the geom that is the floor, or names of several"
    )
    add_floor: Finite | None = Field(
        None, description="m: height of a plane 'floor' that the model lacks"
    )
    add_servos: dict[Word, Servo] = Field(
        {}, max_length=_MOST_FIELDS, description="actuators that the model lacks, by joint"
    )
    control_ranges: dict[Word, Limits] = Field(
        {},
        max_length=_MOST_FIELDS,
        description="in place of the model's ctrlrange, by actuator; one that the model does not "
        "name goes by its name in the card's actions",
    )
    derived_fields: Literal["current", "lagged"] = Field(
        "current",
        description="'lagged': what MuJoCo derives from qpos and qvel (positions of bodies, "
        "contacts, sensors) is as mj_step leaves it, of a state within the last physics step, "
        "as Gymnasium's own environment reads it",
    )

    @property
    def function(self) -> tuple[str, str] | None:
        """Module and function that make the environment; None where an id names it."""
        module, colon, name = (self.id or "").partition(":")
        is_one = colon and not re.fullmatch(GYMNASIUM_ID, self.id or "")
        return (module, name) if is_one else None

    @property
    def is_in_folder(self) -> bool:
        """Whether what is simulated may lie beside the card."""
        return self.file is not None or self.function is not None

    @property
    def floors(self) -> tuple[str, ...]:
        """Names of the geoms that are the floor, the one that is added among them."""
        named = (self.floor,) if isinstance(self.floor, str) else self.floor or ()
        is_added = self.add_floor is not None and ADDED_FLOOR not in named
        return (*named, ADDED_FLOOR) if is_added else named

    @model_validator(mode="before")
    @classmethod
    def _read_short_form(cls, given: Any) -> Any:
        """Take ``envpool = ID`` and the keys that went with it, which older runs recorded."""
        if not isinstance(given, dict) or "envpool" not in given:
            return given
        keys = {key: value for key, value in given.items() if not key.startswith("envpool")}
        if given["envpool"] is None:
            return keys
        others = {
            key.removeprefix("envpool_"): value
            for key, value in given.items()
            if key.startswith("envpool_")
        }
        return {"backend": "envpool", "id": given["envpool"], **others, **keys}

    @model_validator(mode="after")
    def _check_one_place(self) -> Self:
        if [self.gymnasium, self.file, self.id].count(None) != 2:
            raise ValueError(
                "give one of gymnasium = 'FILE.xml', file = 'FILE.xml', and id = 'NAME' of "
                "something that the back end has"
            )
        return self


class StateField(Record):
    """One named measurement of the simulation.

    ``size`` is None for a scalar field, ``(N,)``, else the field is ``(N, size)``. A field for
    people only is read by metrics and by rewards that a person wrote, such as a verdict or a dense
    reward that comes with an environment: a designer is not shown it, nor may its programs read it.
    So is the environment's own ``reward``, unless the card says ``people_only = false``.
    """

    name: FieldName
    source: Line
    group: Word = ""
    size: Count | None = None
    unit: Word = Field(min_length=1)
    range: Limits
    doc: Line = Field(min_length=1)
    people_only: bool = False
    role: Word | None = Field(None, description="one of ROLES, '' none; None: by its usual name")
    limb: Word = Field("", description="which limb or part, where the role is of one")
    rest: Finite | None = Field(None, description="its value in the start pose, at rest")

    @model_validator(mode="before")
    @classmethod
    def _keep_reward(cls, given: Any) -> Any:
        is_reward = isinstance(given, dict) and str(given.get("source")).strip() == OWN_REWARD
        return {"people_only": True, **given} if is_reward else given

    @property
    def plays(self) -> tuple[str, str]:
        """The role that the field plays and its limb; '' for none."""
        if self.role is not None:
            return self.role, self.limb
        return find_usual_role(self.name, self.unit, self.size) or ("", "")

    @model_validator(mode="after")
    def _check_role(self) -> Self:
        if not self.role:
            return self
        row = ROLES.get(self.role)
        if row is None:
            raise ValueError(f"unknown role {self.role!r}{hint_closest(self.role, ROLES)}")
        if self.unit not in (row.unit, *OTHER_UNITS.get(self.role, ())):
            raise ValueError(f"role {self.role!r} is in {row.unit}, the field in {self.unit}")
        if row.size != self.size and not (row.size == 0 and self.size):
            shape = "a scalar" if row.size is None else f"a vector of {row.size or 'any size'}"
            raise ValueError(f"role {self.role!r} is {shape}, the field has size {self.size}")
        return self


class FieldRange(Record):
    """Healthy range of a field, exclusive; the episode terminates outside of it.

    A bound of None is open. Of a vector field every entry must be within.
    """

    field: FieldName
    min: Finite | None = None
    max: Finite | None = None

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        low, high = self.min, self.max
        if low is None and high is None:
            raise ValueError("give min, max or both")
        if low is not None and high is not None and low >= high:
            raise ValueError(f"min {low:g} must be below max {high:g}")
        return self


Termination = Annotated[tuple[FieldRange, ...], Field(max_length=_MOST_FIELDS)]


class TrainingBudget(Record):
    """Environment steps of one training under each preset."""

    quick: Steps = 200_000
    standard: Steps = 1_000_000
    thorough: Steps = 2_000_000


class EnvCard(FileRecord):
    """An environment: model, state fields, actions, observation, reset, termination, learner."""

    name: Identifier
    title: Line
    folder: str | None = Field(
        None, description="where the card and its model's file lie; None: by the name"
    )
    description: Prose
    notes: tuple[Line, ...] = Field((), max_length=_MOST_FIELDS)
    gymnasium_id: str | None = Field(None, pattern=GYMNASIUM_ID, max_length=MOST_NAME_CHARS)
    gymnasium_kwargs: Options = Field({})
    model: ModelSource
    control_dt: Finite = Field(gt=0, description="seconds of one control step")
    max_episode_steps: EpisodeSteps
    actions: tuple[Word, ...] = Field(
        min_length=1, max_length=_MOST_FIELDS, description="name of each action, in order"
    )
    choices: tuple[Choices, ...] = Field(
        (),
        max_length=_MOST_FIELDS,
        description="of each action, where actions are choices: their names, or how many there "
        "are; an action is the number of one, from 0. None: actions are numbers",
    )
    action_range: Limits = Field(
        (-1.0, 1.0), description="of every action; of choices their numbers"
    )
    action_mapping: Literal["direct", "rescaled", "around_home"] = Field(
        "direct",
        description="'direct': an action is MuJoCo's control; 'rescaled': action_range is "
        "stretched to the control range of each actuator; 'around_home': the control that holds "
        "the home pose, plus action_scale times the action",
    )
    action_scale: Finite | tuple[Finite, ...] = Field(
        1.0, description="for 'around_home': of every actuator, or of each in order"
    )
    mocap_actions: tuple[MocapAction, ...] = Field((), max_length=20)
    action_doc: Prose = ""
    state: tuple[StateField, ...] = Field(max_length=_MOST_FIELDS)
    observation: tuple[Line, ...] = Field(
        max_length=_MOST_FIELDS, description="sources, concatenated in this order"
    )
    observation_size: Count
    observation_range: Limits = (-10.0, 10.0)
    roles: RobotRoles | None = None
    home: HomePose = HomePose()
    reset: ResetNoise = ResetNoise()
    draws: dict[Word, Draw] = Field({}, max_length=50)
    randomise: Randomise | None = None
    termination: Termination = ()
    learner: LearnerSettings = LearnerSettings()
    other_learners: tuple[LearnerSettings, ...] = Field(
        (), max_length=20, description="what to train with where --algo names one of these"
    )
    budget: TrainingBudget = TrainingBudget()

    @property
    def n_actions(self) -> int:
        """How many numbers an action has."""
        return len(self.actions)

    @property
    def n_choices(self) -> tuple[int, ...]:
        """How many choices each action has; () where actions are numbers."""
        return tuple(map(len, self.choices))

    @property
    def n_outputs(self) -> int:
        """How many numbers a policy computes for an action: one, or one for each choice."""
        return sum(self.n_choices) or self.n_actions

    def choose_learner(self, algo: str | None) -> EnvCard:
        """Return the card with another learner; None, or its own, keeps what it says."""
        if algo is None:
            return self
        known = {settings.algo: settings for settings in (*self.other_learners, self.learner)}
        return self.model_copy(update={"learner": known.get(algo, LearnerSettings(algo=algo))})

    def check_learner(self) -> None:
        """Refuse a learner that cannot learn here, or does not know what it is given.

        Raises:
            UnknownNameError: there is no such learner, or it has no such hyper-parameter.
            UsageError: its hyper-parameters are not right, or actions are choices and it has none.
        """
        self.learner.check()
        if self.choices and not self.learner.kind.takes_choices:
            able = [row for row in LEARNERS.names if LEARNERS.find(row).takes_choices]
            raise UsageError(
                f"actions of {self.name} are choices, and {self.learner.algo} learns numbers alone",
                f"train with --algo {', '.join(able[:-1])} or {able[-1]}",
            )

    @property
    def fields(self) -> tuple[StateField, ...]:
        """Every field of a ``State``: those of the card and ``observation``."""
        observation = StateField.model_construct(
            name="observation",
            source=f"concat({', '.join(self.observation)})",
            group="observation",
            size=self.observation_size,
            unit="mixed",
            range=self.observation_range,
            doc="what the policy sees",
        )
        return (*self.state, observation)

    @property
    def additions(self) -> tuple[str, ...]:
        """What the card adds to the environment that its model alone would be, by its keys."""
        reset, model = self.reset, self.model
        tables = {
            "[home]": self.home != HomePose(),
            "action_mapping = 'around_home'": self.action_mapping == "around_home",
            "[[mocap_actions]]": self.mocap_actions,
            "[draws]": self.draws,
            "[reset] keyframes": reset.keyframes,
            "[reset] joints": reset.joints,
            "model.add_floor": model.add_floor is not None,
            "model.add_servos": model.add_servos,
            "model.control_ranges": model.control_ranges,
        }
        return tuple(name for name, is_given in tables.items() if is_given)

    @property
    def for_designer(self) -> EnvCard:
        """The card without the fields that are for people only."""
        shown = tuple(field for field in self.state if not field.people_only)
        return self.model_copy(update={"state": shown}) if shown != self.state else self

    def field(self, name: str) -> StateField:
        """Return the field of that name.

        Raises:
            UnknownNameError: the card has no such field.
        """
        for field in self.fields:
            if field.name == name:
                return field
        raise UnknownNameError("state field", name, [field.name for field in self.fields])

    def list_roles(self, role: str) -> list[StateField]:
        """Return the fields that play a role, in the card's order."""
        return [field for field in self.state if field.plays[0] == role]

    def find_role(self, role: str, limb: str = "") -> StateField | None:
        """Return the first field that plays a role, of that limb if one is named."""
        fields = self.list_roles(role)
        return next((field for field in fields if not limb or field.plays[1] == limb), None)

    def find_quantity(self, role: str, limb: str = "") -> tuple[StateField, int | None] | None:
        """Return what measures a scalar role: a field that plays it, else an entry of a vector.

        Of that limb, if one is named. None stands for the index where the field is a scalar.
        """
        field = self.find_role(role, limb)
        if field is not None or role not in ENTRIES:
            return None if field is None else (field, None)
        vector, index = ENTRIES[role]
        field = self.find_role(vector, limb)
        return None if field is None else (field, index)

    @model_validator(mode="before")
    @classmethod
    def _read_earlier_table(cls, given: Any) -> Any:
        return read_earlier_table(given, others="other_learners")

    @model_validator(mode="before")
    @classmethod
    def _number_choices(cls, given: Any) -> Any:
        """Let the range of choices be their numbers."""
        choices = given.get("choices") if isinstance(given, dict) else None
        if not choices or not isinstance(choices, list | tuple) or "action_range" in given:
            return given
        sizes = [item if isinstance(item, int) else len(item) for item in choices]
        return {**given, "action_range": (0.0, max(1.0, max(sizes) - 1.0))}

    @model_validator(mode="after")
    def _check_choices(self) -> Self:
        if not self.choices:
            return self
        if len(self.choices) != self.n_actions:
            raise ValueError(f"choices has {len(self.choices)} rows, actions {self.n_actions}")
        if self.action_mapping != "direct" or self.mocap_actions:
            raise ValueError("actions that are choices are passed on as they are")
        numbers = (0.0, max(1.0, max(self.n_choices) - 1.0))
        if self.action_range != numbers:
            raise ValueError("action_range of choices is their numbers: leave it out")
        return self

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        names = [field.name for field in self.state]
        repeated = {name for name in names if names.count(name) > 1 or name == "observation"}
        if repeated:
            raise ValueError(f"state field {min(repeated)!r} is named twice")
        for bounds in self.termination:
            self.field(bounds.field)
        for field in self.fields:
            for name in find_draws(parse_source(field.source)) - self.draws.keys():
                hint = hint_closest(name, self.draws)
                raise ValueError(f"field {field.name!r}: the card has no [draws.{name}]{hint}")
        return self


def list_envs() -> list[str]:
    """Return the names of the environments in the folder of environments."""
    return sorted(path.parent.name for path in find_envs_dir().glob(f"*/{CARD_FILE}"))


def load_env(name_or_path: str | Path) -> EnvCard:
    """Load a card by the name of its environment, or by the path of its folder or file.

    Raises:
        UnknownNameError: there is no environment of that name.
        DataError: the card is not right; the message names the file and the key.
    """
    text, known = str(name_or_path), list_envs()
    looks_like_path = isinstance(name_or_path, Path) or "/" in text or text.endswith(".toml")
    if looks_like_path or (text not in known and text and os.path.exists(text)):
        return _load_from_path(find_real(text))
    if text not in known:
        raise UnknownNameError("environment", text, known)
    folder = find_envs_dir() / text
    card = _read_card(folder / CARD_FILE)
    if not card.model.is_in_folder:
        return card
    # A child finds what belongs to a card by the card alone.
    return card.model_copy(update={"folder": str(folder.resolve())})


def _load_from_path(path: Path) -> EnvCard:
    file = path if path.suffix == ".toml" else path / CARD_FILE
    if not os.path.isfile(file):
        raise DataError(f"{file!s:.200} does not exist", f"give a folder with an {CARD_FILE} in it")
    card = _read_card(file).model_copy(update={"folder": str(file.parent)})
    _check_folder(card)
    return card


def _check_folder(card: EnvCard) -> None:
    """Refuse a model that no job will see: it may read the folder of its card alone.

    Raises:
        DataError: the model's file lies elsewhere.
    """
    folder = find_env_dir(card)
    words = os.path.normpath(folder / (card.model.file or ""))
    if Path(words).is_relative_to(folder):
        return
    raise DataError(
        f"{folder / CARD_FILE}, model.file: {card.model.file} is not in the folder of the card, "
        "and that is all that a sandboxed job may read",
        f"copy it to {folder}, with all that it includes, and name it from there",
    )


def find_env_dir(card: EnvCard | str) -> Path:
    """Return the folder of a card, where its model and its tasks lie."""
    known = card if isinstance(card, EnvCard) else load_env(card)
    return Path(known.folder) if known.folder else find_envs_dir() / known.name


def _read_card(path: Path) -> EnvCard:
    return _parse_card(read_text(path, MOST_TABLE_BYTES), path)


# A command asks for the same card in many places; the text says whether it still is the same.
@functools.lru_cache(maxsize=32)
def _parse_card(text: str, path: Path) -> EnvCard:
    data = parse_table(text, path)
    if isinstance(data.get("state"), dict):
        data["state"] = _flatten_groups(data["state"])
    try:
        name = make_identifier(path.parent.name, "env", MOST_NAME_CHARS)
        card = EnvCard.model_validate({"name": name, **data})
        for settings in (card.learner, *card.other_learners):
            settings.check()
    except ValidationError as error:
        raise _explain(path, error, data) from error
    except (DataError, UsageError) as error:
        raise DataError(f"{path}: {error.message}", error.remedy) from error
    return card


def make_identifier(text: str, kind: str, max_chars: int | None = None) -> str:
    """Return a name made of the first words of a text; its kind in front if no letter is."""
    plain = "".join(char if char.isascii() else _romanize(char) for char in text)
    name = "_".join(re.findall(r"[a-z0-9]+", plain.lower()))[:max_chars].strip("_")
    return name if name[:1].isalpha() else f"{kind}_{name}".strip("_")


def _romanize(char: str) -> str:
    """Return a letter of any script in ASCII: without its accent, or by what Unicode calls it."""
    bare = unicodedata.normalize("NFKD", char).encode("ascii", "ignore").decode()
    if bare or not char.isalnum():
        return bare or ("" if unicodedata.combining(char) else " ")
    return unicodedata.name(char, "").rsplit(maxsplit=1)[-1].rpartition("-")[2]


def _flatten_groups(groups: dict[str, Any]) -> list[Any]:
    """Turn ``[state.GROUP] name = {…}``, or ``name = {…}`` in no group, into a list of fields."""
    fields: list[Any] = []
    for group, members in groups.items():
        if not isinstance(members, dict) or isinstance(members.get("source"), str):
            group, members = "", {group: members}
        for name, keys in members.items():
            given = keys if isinstance(keys, dict) else {"source": keys}
            fields.append({"name": name, "group": group, **given})
    return fields


def _explain(path: Path, error: ValidationError, data: dict[str, Any]) -> DataError:
    """Say what is wrong at which key, a field by its name instead of its number."""
    wrong = error.errors(include_input=False, include_context=False)[0]
    keys = list_keys(wrong["loc"])
    hint = ""
    if wrong["type"] == "extra_forbidden":
        record = _RECORDS.get(str(keys[0]), EnvCard)
        hint = hint_closest(str(keys[-1])[:100], record.model_fields)
    if keys[:1] == ["state"] and len(keys) > 1 and isinstance(keys[1], int):
        field = data["state"][keys[1]]
        keys[1:2] = [word for word in (field["group"], field["name"]) if word]
    return explain_invalid(path, error, ".".join(map(str, keys)), hint)


_RECORDS: dict[str, type[Record]] = {
    "budget": TrainingBudget,
    "home": HomePose,
    "mocap_actions": MocapAction,
    "model": ModelSource,
    "randomise": Randomise,
    "reset": ResetNoise,
    "roles": RobotRoles,
    "state": StateField,
    "termination": FieldRange,
}
