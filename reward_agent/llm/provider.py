"""The providers: who can answer, one row each, and what a factory of theirs is handed.

A provider of ours and a third party's are the same: a ``Provider`` record, whose factory is
``make_model(options: ProviderOptions) -> ChatModel``, or makes a ``designers.roles.Designer`` where
the record says so. A third party's is an entry point of the group ``reward_agent.providers``, for
the record or, of a chat model, for the factory alone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from reward_agent.llm.chat import ALL_AGENTS
from reward_agent.plugins import Plugin, Seam
from reward_agent.text import hide_credentials


@dataclass(frozen=True)
class Provider(Plugin):
    """Who answers, and the facts about it.

    Args:
        argument: what may follow its name, as the help writes it.
        needs: what a user has to give, in words.
        makes: what its factory makes: a chat model that the agents ask, or a designer that asks
            no model, so that there is nothing to pay, to bound or to store.
        agents: the agents that it can play.
        key_variable: environment variable of the key that it cannot do without; where it is set,
            one of ours is the default.
        address_variable: environment variable of another address.
        base_url: its address; where calls go is shown before the first one.
        default_model: model that is asked where the user names none.
        is_free: whether it asks no money, whatever the model is called.
        is_patient: whether it takes the time that a person takes or answers from data of its own,
            so that a call has no deadline and is not tried again.
        is_replay: whether it repeats the replies of a run.
        sees_whole_card: whether a chat model's programs may be a person's, who knows every field;
            a designer says so itself.
        disclosure: what a report says where no language model took part; '' where one did, and
            where a designer's help says enough.
    """

    argument: str = ""
    needs: str = "nothing"
    makes: Literal["chat model", "designer"] = "chat model"
    agents: frozenset[str] = ALL_AGENTS
    key_variable: str = ""
    address_variable: str = ""
    base_url: str = ""
    default_model: str = ""
    is_free: bool = False
    is_patient: bool = False
    is_replay: bool = False
    sees_whole_card: bool = False
    disclosure: str = ""

    def choose_url(self, given: str | None, environ: Mapping[str, str]) -> str:
        """Return the address that is called, with its credentials; '' if there is none."""
        return given or environ.get(self.address_variable) or self.base_url

    @property
    def stands_in(self) -> str:
        """What a report says in place of a language model; '' where one took part."""
        is_model = self.makes == "chat model"
        return self.disclosure or ("" if is_model else f"{self.name}: {self.help or 'no model'}.")


PROVIDERS = Seam(
    "provider",
    "reward_agent.providers",
    Provider,
    (
        # Of several keys the first one's provider is the default.
        Provider(
            "anthropic",
            "reward_agent.llm.anthropic:make_model",
            "Anthropic's models, streamed",
            needs="a key; `--model` for another than the default",
            key_variable="ANTHROPIC_API_KEY",
            address_variable="ANTHROPIC_BASE_URL",
            base_url="https://api.anthropic.com",
            default_model="claude-sonnet-5-5",
        ),
        Provider(
            "openai",
            "reward_agent.llm.openai:make_model",
            "OpenAI's models, streamed",
            needs="a key; `--model` for another than the default",
            key_variable="OPENAI_API_KEY",
            address_variable="OPENAI_BASE_URL",
            base_url="https://api.openai.com/v1",
            default_model="gpt-6.2-sol",
        ),
        Provider(
            "openai-compatible",
            "reward_agent.llm.openai:make_compatible_model",
            "Ollama, vLLM, LM Studio, llama.cpp, a gateway",
            needs="`--base-url`, `--model`; a key is optional",
            address_variable="OPENAI_BASE_URL",
        ),
        Provider(
            "local",
            "reward_agent.llm.local:make_model",
            "a model file, served by llama.cpp in a process of its own",
            package="xllamacpp",
            extra="local",
            argument=":FILE.gguf",
            needs="`pip install 'reward-agent[local]'`",
            is_free=True,
        ),
        Provider(
            "manual",
            "reward_agent.llm.manual:make_model",
            "you, with any chat window",
            argument="[:FOLDER]",
            is_free=True,
            is_patient=True,
        ),
        Provider(
            "scripted",
            "reward_agent.llm.scripted:make_model",
            "replies from a file, in order",
            argument=":FILE",
            is_free=True,
            is_patient=True,
            sees_whole_card=True,
            disclosure="Scripted replies: the programs were read from a file; no language model "
            "took part in this run.",
        ),
        Provider(
            "replay",
            "reward_agent.llm.replay:make_model",
            "the replies of an earlier run",
            argument=":RUN",
            needs="its directory",
            is_free=True,
            is_patient=True,
            is_replay=True,
            disclosure="Replayed replies: recorded in an earlier run and repeated; no language "
            "model took part in this run.",
        ),
        Provider(
            "offline",
            "reward_agent.designers.offline:make_designer",
            "the built-in designer, no model",
            makes="designer",
            agents=frozenset({"designer"}),
            is_free=True,
            is_patient=True,
            disclosure="Offline designer: no language model. Keyword goals and seeded search over "
            "reward terms; the baseline that a language model must beat.",
        ),
        Provider(
            "given",
            "reward_agent.designers.given:make_designer",
            "a reward of yours, trained and scored as it is",
            makes="designer",
            argument=":FILE",
            needs="a `reward.py`",
            agents=frozenset({"designer"}),
            is_free=True,
            is_patient=True,
            disclosure="A given program: it was there before the run, and nobody designed it in "
            "this run.",
        ),
    ),
)


def find_provider(spec: str) -> Provider:
    """Return the record of ``name`` or ``name:argument``.

    Raises:
        UnknownNameError: there is no such provider.
        UsageError: it is a third party's and cannot be loaded.
    """
    return PROVIDERS.find(spec.partition(":")[0])


def find_address(spec: str, base_url: str | None, environ: Mapping[str, str]) -> str:
    """Return where a provider's calls go, without credentials; '' if to nobody that is known."""
    row, argument = find_provider(spec), spec.partition(":")[2]
    asks_another = bool(row.base_url or row.address_variable)
    given = base_url or ("" if row.base_url else argument)
    return hide_credentials(row.choose_url(given, environ)).rstrip("/") if asks_another else ""


@dataclass(frozen=True)
class ProviderChoice:
    """A provider and the sentence that says why it was chosen."""

    spec: str
    sentence: str


def choose_provider(environ: Mapping[str, str]) -> ProviderChoice:
    """Choose the provider whose key is set, else the offline designer.

    Returns:
        The choice, with the sentence for the first line of output.
    """
    with_key = [row for row in PROVIDERS.own if row.key_variable]
    ready = [row for row in with_key if environ.get(row.key_variable, "").strip()]
    if not ready:
        keys = " or ".join(row.key_variable for row in with_key)
        return ProviderChoice(
            "offline",
            "offline: no language model (keyword goals and seeded search over reward terms); "
            f"set {keys}, or give --provider, for a real one",
        )
    row = ready[0]
    others = f" (also set: {ready[1].key_variable}; --provider chooses)" if ready[1:] else ""
    why = f"because {row.key_variable} is set{others}"
    return ProviderChoice(row.name, f"{row.name}: {row.default_model}, {why}")


@dataclass(frozen=True)
class ProviderOptions:
    """What a factory is handed.

    Args:
        argument: what follows the colon in ``--provider name:argument``.
        model: the model asked for, or None for the provider's default.
        base_url: address of the API, or None for the provider's own.
        timeout_s: how long a connection may stay silent.
        environ: where keys are looked up; never recorded.
        deadline_s: how long one call may take in all.
        cancel: set when the run is stopped; whoever waits gives up.
        folder: where a provider may keep files of the run, or None.
        warn: is told what a user should know, in one line.
        answered: how many replies of each agent the run holds already, where it is taken up again.
    """

    argument: str = ""
    model: str | None = None
    base_url: str | None = None
    timeout_s: float = 600.0
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    deadline_s: float = 900.0
    cancel: threading.Event = field(default_factory=threading.Event)
    folder: Path | None = None
    warn: Callable[[str], None] = lambda _: None
    answered: Mapping[str, int] = field(default_factory=dict)
