"""The providers: who can answer, one row each, and what a factory of theirs is handed.

A provider of ours and a third party's are the same: a ``Provider`` record, whose factory is
``make_model(options: ProviderOptions) -> ChatModel``, or makes a ``designers.roles.Designer`` where
the record says so. A third party's is an entry point of the group ``reward_agent.providers``, for
the record or, of a chat model, for the factory alone.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from reward_agent.errors import UsageError
from reward_agent.llm.address import CorrectedAddress, correct_address
from reward_agent.llm.chat import ALL_AGENTS
from reward_agent.llm.keys import find_key
from reward_agent.llm.models import ModelCard, find_model
from reward_agent.plugins import Plugin, Seam
from reward_agent.records.settings import ROLES, EndpointSettings, ModelSettings, PriceTable
from reward_agent.text import hide_credentials

# What bounds a wait.
_OF_WAITING = frozenset({"silence_timeout_s", "call_timeout_s", "attempts"})


@dataclass(frozen=True)
class Provider(Plugin):
    """Who answers, and the facts about it.

    Args:
        argument: what may follow its name, as the help writes it.
        needs: what a user has to give, in words.
        makes: what its factory makes: a chat model that the agents ask, or a designer that asks
            no model, so that there is nothing to pay, to bound or to store.
        agents: the agents that it can play.
        key_variables: variables of its key, the first that is set, or kept; where one is, one
            of ours with a model of its own is the default.
        needs_key: whether it cannot do without a key.
        address_variable: environment variable of another address.
        base_url: its address; where calls go is shown before the first one.
        usual_path: what an address without a path lacks.
        default_model: model that is asked where the user names none.
        lists_models: whether it can be asked for the models that it has, where none is named.
        vendor: whose prices are those of its models, in the words of ``genai-prices``; '' where
            the address tells.
        effort_field: where a call says how much is to be reasoned, such as ``reasoning.effort``.
        limit_field: where it says the longest reply.
        takes_temperature: whether a call may say one.
        takes_cache_key: whether a call may say which others begin as it does (`prompt_cache_key`).
        max_concurrency: how many calls it bears at the same time.
        start: what starts its server on this machine.
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
    key_variables: tuple[str, ...] = ()
    needs_key: bool = False
    address_variable: str = ""
    base_url: str = ""
    usual_path: str = ""
    default_model: str = ""
    lists_models: bool = False
    vendor: str = ""
    effort_field: str = "reasoning_effort"
    limit_field: str = "max_tokens"
    takes_temperature: bool = True
    takes_cache_key: bool = False
    max_concurrency: int = 8
    start: str = ""
    is_free: bool = False
    is_patient: bool = False
    is_replay: bool = False
    sees_whole_card: bool = False
    disclosure: str = ""

    def choose_url(self, given: str | None, environ: Mapping[str, str]) -> str:
        """Return the address that is called, with its credentials; '' if there is none."""
        region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or "REGION"
        usual = self.base_url.replace("{region}", region)
        return self.read_url(given or environ.get(self.address_variable) or usual).url

    def read_url(self, given: str) -> CorrectedAddress:
        """Return an address as it was meant, and what was corrected in it."""
        return correct_address(given, self.usual_path)

    def choose_key(self, environ: Mapping[str, str]) -> tuple[str, str]:
        """Return the first of its variables that is set or kept, and the key; '' if none is."""
        found = [(name, *find_key(name, environ)) for name in self.key_variables]
        found.sort(key=lambda item: item[2] != "environment")
        name, key = next(((name, key) for name, key, _ in found if key), ("", ""))
        return name or next(iter(self.key_variables), ""), key

    @property
    def stands_in(self) -> str:
        """What a report says in place of a language model; '' where one took part."""
        is_model = self.makes == "chat model"
        return self.disclosure or ("" if is_model else f"{self.name}: {self.help or 'no model'}.")

    @property
    def unused_settings(self) -> frozenset[str]:
        """The settings of a model that have no effect on this one."""
        if self.makes == "designer":
            return frozenset(ModelSettings.model_fields) - {"provider", *ROLES.values()}
        return _OF_WAITING if self.is_patient else frozenset()


_OPENAI = "reward_agent.llm.openai:make_model"
_by_key = partial(
    Provider, factory=_OPENAI, needs="a key, `--model`", needs_key=True, lists_models=True
)
_on_this_machine = partial(
    Provider, factory=_OPENAI, usual_path="/v1", lists_models=True, is_free=True
)
_unpaid = partial(Provider, is_free=True, is_patient=True)
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
            key_variables=("ANTHROPIC_API_KEY",),
            needs_key=True,
            address_variable="ANTHROPIC_BASE_URL",
            base_url="https://api.anthropic.com",
            default_model="claude-sonnet-5-5",
            vendor="anthropic",
            effort_field="output_config.effort",
            takes_temperature=False,
        ),
        Provider(
            "openai",
            "reward_agent.llm.openai:make_model",
            "OpenAI's models, streamed",
            needs="a key; `--model` for another than the default",
            key_variables=("OPENAI_API_KEY",),
            needs_key=True,
            address_variable="OPENAI_BASE_URL",
            base_url="https://api.openai.com/v1",
            usual_path="/v1",
            default_model="gpt-6.2-sol",
            vendor="openai",
            # The name that it has left is the one that other servers know.
            limit_field="max_completion_tokens",
            takes_cache_key=True,
        ),
        _by_key(
            "openrouter",
            help="OpenRouter: the models of many vendors behind one key",
            key_variables=("OPENROUTER_API_KEY",),
            base_url="https://openrouter.ai/api/v1",
            vendor="openrouter",
            effort_field="reasoning.effort",
        ),
        _by_key(
            "gemini",
            help="Google's Gemini models",
            key_variables=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
            base_url="https://generativelanguage.googleapis.com/v1beta/openai",
            vendor="google",
        ),
        _by_key(
            "groq",
            help="open models, fast, at Groq",
            key_variables=("GROQ_API_KEY",),
            base_url="https://api.groq.com/openai/v1",
            vendor="groq",
        ),
        Provider(
            "github",
            "reward_agent.llm.openai:make_model",
            "GitHub Models, by a token of one's account",
            needs="a token with the scope `models`, `--model` such as openai/gpt-5",
            key_variables=("GITHUB_TOKEN", "GH_TOKEN"),
            needs_key=True,
            base_url="https://models.github.ai/inference",
            max_concurrency=2,
        ),
        Provider(
            "azure",
            "reward_agent.llm.openai:make_azure_model",
            "OpenAI's models on Azure",
            needs="AZURE_OPENAI_ENDPOINT, OPENAI_API_VERSION, a key or an Entra token, `--model` "
            "for the deployment",
            key_variables=("AZURE_OPENAI_AD_TOKEN", "AZURE_OPENAI_API_KEY"),
            needs_key=True,
            address_variable="AZURE_OPENAI_ENDPOINT",
            vendor="azure",
            limit_field="max_completion_tokens",
        ),
        Provider(
            "bedrock",
            "reward_agent.llm.anthropic:make_bedrock_model",
            "Anthropic's models on Amazon Bedrock",
            package="boto3",
            extra="bedrock",
            needs="AWS_REGION, AWS_BEARER_TOKEN_BEDROCK or AWS's own credentials, `--model` such "
            "as us.anthropic.claude-sonnet-5-5",
            key_variables=("AWS_BEARER_TOKEN_BEDROCK",),
            address_variable="ANTHROPIC_BEDROCK_BASE_URL",
            base_url="https://bedrock-runtime.{region}.amazonaws.com",
            vendor="aws",
            effort_field="output_config.effort",
            takes_temperature=False,
        ),
        Provider(
            "vertex",
            "reward_agent.llm.anthropic:make_vertex_model",
            "Anthropic's models on Google's Vertex AI",
            package="google.auth",
            extra="vertex",
            needs="ANTHROPIC_VERTEX_PROJECT_ID, CLOUD_ML_REGION, `gcloud auth "
            "application-default login`, `--model`",
            key_variables=("CLOUDSDK_AUTH_ACCESS_TOKEN",),
            address_variable="ANTHROPIC_VERTEX_BASE_URL",
            base_url="https://aiplatform.googleapis.com/v1",
            vendor="google",
            effort_field="output_config.effort",
            takes_temperature=False,
        ),
        _on_this_machine(
            "ollama",
            help="Ollama on this machine",
            needs="its server; `--model` where it has several",
            key_variables=("OLLAMA_API_KEY",),
            address_variable="OLLAMA_BASE_URL",
            base_url="http://localhost:11434/v1",
            max_concurrency=2,
            start="ollama serve",
        ),
        _on_this_machine(
            "lmstudio",
            help="LM Studio on this machine",
            needs="its server; `--model` where it has several",
            key_variables=("LM_API_TOKEN",),
            address_variable="LMSTUDIO_BASE_URL",
            base_url="http://localhost:1234/v1",
            max_concurrency=2,
            start="lms server start",
        ),
        _on_this_machine(
            "vllm",
            help="vLLM on this machine",
            needs="its server",
            key_variables=("VLLM_API_KEY",),
            address_variable="VLLM_BASE_URL",
            base_url="http://localhost:8000/v1",
            start="vllm serve MODEL",
        ),
        Provider(
            "openai-compatible",
            "reward_agent.llm.openai:make_compatible_model",
            "any other server that speaks Chat Completions: llama.cpp, a gateway",
            needs="`--base-url`; `--model` where it has several; a key is optional",
            key_variables=("OPENAI_COMPATIBLE_API_KEY",),
            address_variable="OPENAI_BASE_URL",
            usual_path="/v1",
            lists_models=True,
            max_concurrency=2,
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
        _unpaid(
            "manual",
            "reward_agent.llm.manual:make_model",
            "you, with any chat window",
            argument="[:FOLDER]",
        ),
        _unpaid(
            "agent",
            "reward_agent.llm.manual:make_agent_model",
            "the coding agent that started the run, by `runs answer` or MCP",
        ),
        _unpaid(
            "scripted",
            "reward_agent.llm.scripted:make_model",
            "replies from a file, in order",
            argument=":FILE",
            sees_whole_card=True,
            disclosure="Scripted replies: the programs were read from a file; no language model "
            "took part in this run.",
        ),
        _unpaid(
            "replay",
            "reward_agent.llm.replay:make_model",
            "the replies of an earlier run",
            argument=":RUN",
            needs="its directory",
            is_replay=True,
            disclosure="Replayed replies: recorded in an earlier run and repeated; no language "
            "model took part in this run.",
        ),
        _unpaid(
            "offline",
            "reward_agent.designers.offline:make_designer",
            "the built-in designer, no model",
            makes="designer",
            agents=frozenset({"designer"}),
            disclosure="Offline designer: no language model. Keyword goals and seeded search over "
            "reward terms; the baseline that a language model must beat.",
        ),
        _unpaid(
            "given",
            "reward_agent.designers.given:make_designer",
            "a reward of yours, trained and scored as it is",
            makes="designer",
            argument=":FILE",
            needs="a `reward.py`",
            agents=frozenset({"designer"}),
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
    usual = [row for row in PROVIDERS.own if row.default_model]
    ready = [(row, row.choose_key(environ)[0]) for row in usual if row.choose_key(environ)[1]]
    if not ready:
        keys = " or ".join(name for row in usual for name in row.key_variables)
        others = [row for row in PROVIDERS.own if row.needs_key and row.choose_key(environ)[1]]
        hint = f"; --provider {others[0].name} --model … has its key" if others else ""
        return ProviderChoice(
            "offline",
            "offline: no language model (keyword goals and seeded search over reward terms); "
            f"set {keys} (or `reward-agent keys set` it), or give --provider, for a real one{hint}",
        )
    row, variable = ready[0]
    also = f" (also set: {ready[1][1]}; --provider chooses)" if ready[1:] else ""
    why = f"because {variable} is set{also}"
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
        provider: its name.
        effort: how much is to be reasoned; None leaves it to the model.
        temperature: of sampling; None leaves it to the endpoint.
        context_tokens: the model's window, where the person says it.
        headers: further headers; ``${NAME}`` is the value of a variable.
        body: further fields of each call.
        prices: US dollars per million tokens, where the person says them.
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
    provider: str = ""
    effort: str | None = None
    temperature: float | None = None
    context_tokens: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: Mapping[str, Any] = field(default_factory=dict)
    prices: PriceTable | None = None

    def ask(self, asked: EndpointSettings, spec: str) -> ProviderOptions:
        """Return the options of a provider, ``name:argument``, as the settings ask for it."""
        return replace(
            self,
            argument=spec.partition(":")[2],
            model=asked.model,
            base_url=asked.base_url,
            timeout_s=asked.silence_timeout_s,
            deadline_s=asked.call_timeout_s,
            effort=asked.effort,
            temperature=asked.temperature,
            context_tokens=asked.context_tokens,
            headers=asked.headers,
            body=asked.body,
            prices=asked.prices,
        )

    def find_card(self, row: Provider, model: str) -> ModelCard | None:
        """Return what is known of a model of a provider; None of one without a price."""
        if row.is_free and self.prices is None:
            return None
        base_url = "" if row.vendor else row.choose_url(self.base_url, self.environ)
        return find_model(model, row.vendor, base_url, self.prices)

    def fill_headers(self) -> tuple[dict[str, str], tuple[str, ...]]:
        """Return the further headers, and what stands in them for variables, which is secret.

        Raises:
            UsageError: a variable is not set.
        """
        secrets: list[str] = []

        def fill(found: re.Match[str]) -> str:
            value = find_key(found[1], self.environ)[0]
            if not value:
                raise UsageError(
                    f"a header names the variable {found[1]}, which is not set",
                    f"export {found[1]}=…, or keep it: `reward-agent keys set {found[1]}`",
                )
            secrets.append(value)
            return value

        filled = {name: re.sub(r"\$\{(\w+)\}", fill, text) for name, text in self.headers.items()}
        return filled, tuple(secrets)
