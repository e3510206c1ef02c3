"""What a user can set for a run, and what is true of each setting."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, field_validator
from pydantic.config import JsonDict

from reward_agent.errors import UnknownNameError
from reward_agent.types import Record, VideoQuality

CONFIG_FILE = "reward-agent.toml"

DEFAULT_REPLY_TOKENS = 16_000
Preset = Literal["quick", "standard", "thorough"]
Judged = Literal["none", "film", "all"]
Recall = Literal["rounds", "terms", "score"]

PRESETS: dict[str, dict[str, int]] = {
    "quick": {"candidates": 3, "iterations": 2, "winner_seeds": 1},
    "standard": {"candidates": 6, "iterations": 4, "winner_seeds": 2},
    "thorough": {"candidates": 16, "iterations": 5, "winner_seeds": 5},
}


def setting(
    default: Any,
    description: str,
    *,
    is_personal: bool = False,
    from_run: str = "",
    taken_as: JsonDict | None = None,
    is_said_again: bool = False,
    in_folder: str = "",
    changes_on_resume: bool = True,
    in_digest: bool = True,
    **bounds: Any,
) -> Any:
    """Declare a setting with what others have to know of it; ``list_settings`` asks for that.

    A setting is of the search, and a run that is taken up or repeated has it, or it is of this
    person and machine (isolation, addresses, files, keys, money): then no run decides it.

    Args:
        default: its value where nobody says anything.
        description: what it is, for ``--help`` and for messages.
        is_personal: whether it is of this person and machine.
        from_run: of a personal one, a pattern of the values that a run that is taken up keeps where
            the person says none, since they harm nobody; by default none.
        taken_as: of these, what one counts as there.
        is_said_again: whether a run that is taken up must not have another than it was made with
            unless the person says so.
        in_folder: of a personal one, a pattern of the values that the file of a working directory,
            which may be a stranger's, gives without ``--trust-config``; by default any.
        changes_on_resume: whether a run that is taken up again may have another value.
        in_digest: whether it decides what comes out of a run, and with it the identity of a job of
            a sweep; if not, only how and where it runs.
        bounds: limits of the value, as pydantic's ``Field`` takes them.
    """
    facts: JsonDict = {
        "is_personal": is_personal,
        "from_run": from_run,
        "taken_as": taken_as or {},
        "is_said_again": is_said_again,
        "in_folder": in_folder,
        "changes_on_resume": changes_on_resume,
        "in_digest": in_digest,
    }
    return Field(default, description=description, json_schema_extra=facts, **bounds)


def place_setting(default: Any, description: str, **facts: Any) -> Any:
    """Declare a setting of this machine: it decides how and where jobs run, not what they find."""
    return setting(default, description, is_personal=True, in_digest=False, **facts)


# A limit can only forbid.
_ANY = ".+"
# No key leaves the machine for such an address.
_HERE = r"(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?"
_ADDRESS_HERE = rf"https?://{_HERE}(/[\w./-]*)?"


# What another provider's model is not asked with.
_OF_A_PROVIDER = frozenset(
    {"model", "base_url", "effort", "temperature", "context_tokens", "headers", "body", "prices"}
)
_OURS_IN_A_BODY = frozenset({"model", "messages", "system", "stream"})


def read_words(given: Any) -> Any:
    """Read a table that is written as words, ``a=1 b.c=text``, or as JSON.

    Raises:
        ValueError: it is neither.
    """
    if not isinstance(given, str):
        return given
    if given.lstrip().startswith("{"):
        return json.loads(given)
    told: dict[str, Any] = {}
    for word in shlex.split(given):
        path, is_pair, value = word.partition("=")
        if not is_pair:
            raise ValueError(f"{word!r:.100} is no name=value")
        *folders, last = path.split(".")
        place = told
        for folder in folders:
            place = place.setdefault(folder, {})
        try:
            place[last] = json.loads(value)
        except ValueError:
            place[last] = value
    return told


def render_words(table: Mapping[str, Any]) -> str:
    """Return a table as ``read_words`` reads it."""
    if all(isinstance(value, str | int | float) for value in table.values()):
        text = " ".join(f"{name}={_render_value(value)}" for name, value in table.items())
        if text and read_words(text) == table:
            return text
    return json.dumps(table, ensure_ascii=False)


def _render_value(value: str | int | float) -> str:
    return shlex.quote(value) if isinstance(value, str) else json.dumps(value)


Words = Annotated[dict[str, Any], BeforeValidator(read_words)]


class PriceTable(Record):
    """US dollars per million tokens; those of a prompt cache are those of input by default."""

    input: float = Field(ge=0, le=10**6)
    output: float = Field(ge=0, le=10**6)
    cached_input: float | None = Field(None, ge=0, le=10**6)
    cache_write: float | None = Field(None, ge=0, le=10**6)


Prices = Annotated[PriceTable, BeforeValidator(read_words)]


class SearchSettings(Record):
    """How programs are looked for: they decide what a run finds."""

    title: ClassVar[str] = "Search"

    preset: Preset = setting(
        "standard",
        "size of the run: candidates, iterations, steps and winner seeds at once",
        changes_on_resume=False,
    )
    candidates: int = setting(6, "programs an iteration", changes_on_resume=False, ge=1, le=64)
    iterations: int = setting(4, "rounds of design", ge=1, le=100)
    steps: int = setting(1_000_000, "env steps of one training", changes_on_resume=False, ge=1)
    algo: str | None = setting(
        None,
        "learner: ppo, sb3:SAC, sb3:TD3, …, or an installed one; the card's by default",
        changes_on_resume=False,
        pattern=r"^[\w:.+-]{1,100}$",
    )
    winner_seeds: int = setting(2, "fresh seeds for each of the two best", ge=0, le=50)
    seed: int = setting(0, "seed of the run", changes_on_resume=False, ge=0, lt=2**63)
    racing: Literal["none", "halving", "bandit"] = setting(
        "halving", "which trainings go on after each slice"
    )
    warm_start: bool = setting(False, "trainings of later rounds begin with the best policy so far")
    reward_only: bool = setting(
        False, "a program decides what is paid, not how its policy learns: TRAINING is left out"
    )
    eval_episodes: int = setting(16, "fresh episodes of the final score", ge=1, le=1024)
    target_score: float | None = setting(
        None,
        "stop a training that holds this task score; with a fresh seed that does, the run",
        allow_inf_nan=False,
    )
    early_stop: bool = setting(
        True,
        "so end a task that can be done, at its own target with every episode a success; end one "
        "without an upper end when a round improves nothing",
    )
    own_reward: bool | None = setting(
        None,
        "train Gymnasium's own reward once as well, to hold the result against; by default where "
        "that is a tenth of the run's env steps or less",
        in_digest=False,
    )
    max_repairs: int = setting(2, "repairs of one program after findings", ge=0, le=10)
    adversary_steps: int | None = setting(
        None,
        "env steps of each of two trainings on a proposed metric itself; 0: none, by default a "
        "tenth of a training, none where that is below 10,000",
        ge=0,
        le=10**9,
    )
    critic: bool = setting(True, "let the Critic review programs")
    analyzer: bool = setting(True, "let the Analyzer explain trainings")
    judge: Judged = setting(
        "none",
        "films that a model that sees judges, beside the metric: film is the best of each round "
        "and the winner, and every one where nothing is ranked; all; none",
    )
    recall: Recall = setting(
        "rounds",
        "what the Designer is told of earlier programs: the last rounds, or of the last round's "
        "best only its terms, or only its score",
    )
    screens: bool = setting(
        True, "refuse programs that pay what earlier ones pay, try them on old episodes"
    )


class EndpointSettings(Record):
    """Whom one role asks, and how."""

    provider: str | None = setting(
        None,
        "who answers, one of these or an installed one",
        is_personal=True,
        is_said_again=True,
        # The others send a key of this person's to their address, or open a file.
        in_folder="offline|manual|agent|openai-compatible|ollama|lmstudio|vllm",
        from_run="offline",
    )
    model: str | None = setting(
        None,
        "model name; a provider has a default, or its server's only one is taken",
        is_personal=True,
        is_said_again=True,
    )
    base_url: str | None = setting(
        None,
        "another address than the provider's",
        is_personal=True,
        is_said_again=True,
        in_folder=_ADDRESS_HERE,
    )
    effort: str | None = setting(
        None,
        "how much it reasons: low, medium, high, … as the model names it; by default its own",
        pattern=r"^[a-z]{1,20}$",
    )
    temperature: float | None = setting(
        None, "of sampling, where the endpoint takes one; by default its own", ge=0, le=2
    )
    reply_tokens: int = setting(
        DEFAULT_REPLY_TOKENS, "longest reply, reasoning included", ge=16, le=10**7
    )
    silence_timeout_s: float = place_setting(
        600, "how long a model may say nothing", gt=0, le=10**6
    )
    call_timeout_s: float = place_setting(900, "how long one call may take in all", gt=0, le=10**6)
    attempts: int = place_setting(5, "calls for one reply, while they fail in passing", ge=1, le=50)
    concurrency: int | None = place_setting(
        None, "calls at the same time; by default as the provider bears", ge=1, le=64
    )
    context_tokens: int | None = place_setting(
        None, "the model's context window; by default what is known of it", ge=512, le=10**8
    )
    headers: Words = setting(
        {},
        "further headers, X-Title=name; ${NAME} is a variable's value, which no record holds",
        is_personal=True,
        is_said_again=True,
        # Not what a variable of this person's holds.
        in_folder=r"[^$]*",
    )
    body: Words = setting(
        {},
        "further fields of each call, options.num_ctx=16384 or as JSON",
        is_personal=True,
        is_said_again=True,
    )
    prices: Prices | None = setting(
        None,
        "US dollars per million tokens, input=2 output=10, in place of the kept ones",
        is_personal=True,
        in_folder="None",
    )

    @field_validator("headers")
    @classmethod
    def _check_headers(cls, given: dict[str, Any]) -> dict[str, Any]:
        for name, value in given.items():
            if not re.fullmatch(r"[\w-]{1,100}", name, re.ASCII) or not isinstance(value, str):
                raise ValueError(f"{name!r:.100} is no header with a text")
        return given

    @field_validator("body")
    @classmethod
    def _check_body(cls, given: dict[str, Any]) -> dict[str, Any]:
        taken = sorted(given.keys() & _OURS_IN_A_BODY)
        if taken:
            raise ValueError(f"{taken[0]} is for the program to say")
        return given


def read_role(given: Any) -> Any:
    """Read what is said of one role; a single word is the model's name."""
    if isinstance(given, str) and "=" not in given and not given.lstrip().startswith("{"):
        given = {"model": given}
    told = read_words(given)
    for name in told if isinstance(told, dict) else ():
        if name not in EndpointSettings.model_fields:
            raise UnknownNameError("setting of a role", str(name), EndpointSettings.model_fields)
    return told


# What one role says for itself; the rest is said for all.
RoleSettings = Annotated[
    EndpointSettings,
    BeforeValidator(read_role),
    PlainSerializer(lambda told: told.model_dump(exclude_unset=True)),
]


def _role(who: str) -> Any:
    return setting(
        None,
        f"of {who} alone: its model, or settings, provider=gemini model=NAME effort=low",
        is_personal=True,
        is_said_again=True,
    )


# The roles that may have an endpoint of their own, and what says so.
ROLES = {role: f"{role}_model" for role in ("critic", "analyzer", "judge")}


class ModelSettings(EndpointSettings):
    """Who writes, reviews and explains programs: one for all roles, or of a role its own."""

    title: ClassVar[str] = "Language model"

    pictures: bool = setting(
        True,
        "send pictures, of films to who judges them, of a robot to who describes it",
        is_personal=True,
        from_run="False",
        in_digest=False,
    )
    critic_model: RoleSettings | None = _role("the Critic")
    analyzer_model: RoleSettings | None = _role("the Analyzer")
    judge_model: RoleSettings | None = _role("who judges films, and sees,")

    def choose_endpoint(self, role: str) -> EndpointSettings:
        """Return whom a role asks: what is said of it goes before what is said for all.

        Model, address and what belongs to them are those of the provider that they are said with.
        """
        common = {name: getattr(self, name) for name in EndpointSettings.model_fields}
        own: EndpointSettings | None = getattr(self, f"{role}_model", None)
        if own is None:
            return EndpointSettings.model_construct(**common)
        told = {name: getattr(own, name) for name in own.model_fields_set}
        if own.provider not in (None, self.provider):
            common = {name: common[name] for name in common if name not in _OF_A_PROVIDER}
        return EndpointSettings.model_construct(**{**common, **told})


class MoneySettings(Record):
    """What a language model may cost, and which of its replies are paid for again."""

    title: ClassVar[str] = "Money and cache"

    max_usd: float | None = setting(
        None, "hard limit of the run in US dollars", is_personal=True, from_run=_ANY, gt=0
    )
    max_tokens: int | None = setting(
        None, "hard limit of the run in tokens", is_personal=True, from_run=_ANY, gt=0
    )
    max_calls: int | None = setting(
        None, "hard limit of the run in model calls", is_personal=True, from_run=_ANY, gt=0
    )
    cache: Literal["read-write", "read-only", "refresh", "off"] = place_setting(
        "read-write", "whether replies of the run are used again, the new ones too"
    )


class ClusterSettings(Record):
    """Which machines run trainings, and what a job takes of them."""

    executor: str = place_setting(
        "local",
        "where trainings run: local, ray, slurm, or an installed one",
        is_said_again=True,
        in_folder="local|ray|slurm",
    )
    ray_address: str | None = place_setting(
        None,
        "Ray cluster, host:port or auto; without it one starts on this machine",
        is_said_again=True,
        in_folder=rf"auto|{_HERE}",
    )
    job_cpus: int = place_setting(1, "processors reserved for a job on a cluster", ge=1)
    job_gpus: float = place_setting(0.0, "accelerators reserved for a job on a cluster", ge=0)


class PlaceSettings(ClusterSettings):
    """Where jobs run, behind which border, within which limits, and what is filmed."""

    title: ClassVar[str] = "Place and sandbox"

    slots: int = place_setting(
        0, "trainings side by side; 0: cores minus one, or all of a cluster", ge=0, le=10_000
    )
    device: Literal["cpu", "gpu", "auto", "warp-cpu"] = place_setting(
        "cpu",
        "what trains; gpu, experimental: a round as one batch; warp-cpu: the same without one",
        from_run="cpu|gpu|auto|warp-cpu",
        # Which machine a run was begun on is no demand on this one.
        taken_as={"gpu": "auto"},
        in_folder="cpu|gpu|auto",
    )
    sandbox: Literal["strict", "default", "any", "off"] = place_setting(
        "default",
        "isolation of generated code; any: whatever is to be had",
        in_folder="strict|default",
    )
    trust_config: bool = place_setting(
        False,
        f"let {CONFIG_FILE} of the working directory say where keys go and how code is isolated",
        in_folder="False",
    )
    training_timeout_s: float = place_setting(7200, "wall-clock limit of one job", gt=0, le=10**7)
    python: str | None = place_setting(
        None,
        "the Python in which plain Gymnasium environments run; by default this one",
        in_folder="None",
        max_length=1000,
    )
    memory_mib: int = place_setting(4096, "memory limit of one child", ge=256, le=2**24)
    video: bool = setting(True, "render a video of the best policies", in_digest=False)
    video_quality: VideoQuality = setting(
        "normal", "size of the video; high shows four episodes side by side"
    )


# The last base comes first in pydantic's order of fields.
class RunSettings(PlaceSettings, MoneySettings, ModelSettings, SearchSettings):
    """Every number and switch behind a run: all four groups, each name once.

    What needs one group takes that group; the settings of a run are one of each.
    """

    title: ClassVar[str] = "Settings"


GROUPS = (SearchSettings, ModelSettings, MoneySettings, PlaceSettings)


def find_group(name: str) -> str:
    """Return the title of the group that a setting is in."""
    return next(group.title for group in GROUPS if name in group.model_fields)


def list_settings(**facts: bool) -> tuple[str, ...]:
    """Return the settings of which all these facts are told, such as ``is_personal=False``."""
    return tuple(
        name
        for name in RunSettings.model_fields
        if all(find_fact(name, fact) is told for fact, told in facts.items())
    )


def find_fact(name: str, fact: str) -> object:
    """Return what is said of a setting where it is declared."""
    facts = RunSettings.model_fields[name].json_schema_extra
    assert isinstance(facts, dict)
    return facts[fact]
