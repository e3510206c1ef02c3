"""What a user can set for a run, and what is true of each setting."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field
from pydantic.config import JsonDict

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


class ModelSettings(Record):
    """Who writes, reviews and explains programs."""

    title: ClassVar[str] = "Language model"

    provider: str | None = setting(
        None,
        "who answers, one of these or an installed one",
        is_personal=True,
        is_said_again=True,
        # The others send a key of this person's to their address, or open a file.
        in_folder="offline|manual|openai-compatible",
        from_run="offline",
    )
    model: str | None = setting(
        None, "model name; each provider has a default", is_personal=True, is_said_again=True
    )
    base_url: str | None = setting(
        None,
        "address of an OpenAI-compatible server",
        is_personal=True,
        is_said_again=True,
        in_folder=_ADDRESS_HERE,
    )
    judge_provider: str | None = setting(
        None,
        "who judges films; the provider by default",
        is_personal=True,
        is_said_again=True,
        in_folder="manual|openai-compatible",
    )
    judge_model: str | None = setting(
        None,
        "model that sees; the model, or the default of who judges",
        is_personal=True,
        is_said_again=True,
    )
    judge_base_url: str | None = setting(
        None,
        "address of the server of who judges",
        is_personal=True,
        is_said_again=True,
        in_folder=_ADDRESS_HERE,
    )
    reply_tokens: int = setting(DEFAULT_REPLY_TOKENS, "longest reply, reasoning included", ge=16)


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
