"""A provider's chat model, and what happens to a call of it.

make_chat_model from ``--provider name[:argument]`` to a model that is ready to use
complete        the record first: what was asked before is answered and paid already
_Prefixes       the first call of a round goes ahead, so that the others hit the prompt cache
_try            again after a passing failure, with growing pauses
_pay            within the limits of money; what it cost is recorded with the reply
_send           within a deadline, unless the provider is patient
"""

from __future__ import annotations

import hashlib
import queue
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace

from reward_agent.errors import ContextTooLongError, Interrupted, ModelError
from reward_agent.llm.budget import (
    Budget,
    count_least_tokens,
    count_prompt_tokens,
    count_tokens,
    estimate_worst_case,
    explain_no_price,
)
from reward_agent.llm.chat import ChatModel, ChatRequest, Completion
from reward_agent.llm.failures import explain_deadline
from reward_agent.llm.models import name_source, price_usage
from reward_agent.llm.provider import PROVIDERS, Provider, ProviderOptions, find_provider
from reward_agent.llm.replies import CallRecord, make_cache_key, make_call_record
from reward_agent.records.settings import DEFAULT_REPLY_TOKENS, EndpointSettings
from reward_agent.text import hide_credentials
from reward_agent.types import Usage

_POLL_S = 0.1
# Providers keep a prefix at least so long after its last use.
_KEPT_S = 240.0


@dataclass(frozen=True)
class CallPolicy:
    """How calls are made, whatever the provider.

    Args:
        n_attempts: calls for one reply, when they fail for a passing reason.
        first_pause_s: the pause before the second; it doubles, unless the provider names one.
        max_pause_s: up to this.
        max_wait_s: a pause of the provider's that is longer is not waited for.
        give_up_after_s: no further call begins so long after the first.
        lead_s: how long others wait for the first call with their prefix: its reply has begun then.
        max_concurrency: calls at the same time; None leaves it to the provider.
        reply_tokens: longest reply, reasoning included.
    """

    n_attempts: int = 5
    first_pause_s: float = 1.0
    max_pause_s: float = 60.0
    max_wait_s: float = 300.0
    give_up_after_s: float = 1800.0
    lead_s: float = 5.0
    max_concurrency: int | None = None
    reply_tokens: int = DEFAULT_REPLY_TOKENS


def make_chat_model(
    spec: str,
    options: ProviderOptions | None = None,
    policy: CallPolicy = CallPolicy(),
    budget: Budget | None = None,
    on_retry: Callable[[str], None] = lambda _: None,
) -> ChatModel:
    """Return the chat model of ``name`` or ``name:argument``, ready to use.

    Of the options, its argument and the replies so far are filled in here.

    Raises:
        UnknownNameError: no such provider.
        MissingKeyError: the provider's key is not set.
        UsageError: something that the provider needs is missing, or a limit cannot be held.
    """
    row, options = find_provider(spec), options or ProviderOptions()
    budget = budget or Budget(cancel=options.cancel)
    answered = budget.replies.count_by_agent()
    options = replace(
        options, argument=spec.partition(":")[2], answered=answered, provider=row.name
    )
    plain: ChatModel = PROVIDERS.load(row.name)(options)
    if not row.is_free and options.find_card(row, plain.name) is None:
        options.warn(
            f"no price is known for {plain.name} ({name_source()}): its tokens are counted, its "
            "cost is not; --prices says it"
        )
    return CalledChatModel(plain, row, options, policy, budget, on_retry)


def connect(
    asked: EndpointSettings,
    spec: str,
    around: ProviderOptions,
    budget: Budget | None = None,
    on_retry: Callable[[str], None] = lambda _: None,
) -> ChatModel:
    """Return the chat model of a provider as the settings ask for it; raises as above.

    Args:
        asked: the settings.
        spec: the provider, ``name`` or ``name:argument``.
        around: what they do not say: keys, folder, who is told.
        budget: what may be spent.
        on_retry: is told why we wait.
    """
    policy = CallPolicy(
        asked.attempts, max_concurrency=asked.concurrency, reply_tokens=asked.reply_tokens
    )
    return make_chat_model(spec, around.ask(asked, spec), policy, budget, on_retry)


class CalledChatModel:
    """A provider's model with all that is done around a call.

    Args:
        plain: the provider's; its SDK's own retries are off.
        row: the provider; by default one that asks money and answers at once.
        options: its options; ``cancel`` ends waiting calls and pauses.
        policy: attempts, concurrency, the room of a reply.
        budget: what may be spent, and the record of what was; by default there is no limit and no
            record on disk.
        on_retry: is told why we wait, and for how long.

    Raises:
        UsageError: a limit in USD for a model without a price.
    """

    def __init__(
        self,
        plain: ChatModel,
        row: Provider | None = None,
        options: ProviderOptions | None = None,
        policy: CallPolicy = CallPolicy(),
        budget: Budget | None = None,
        on_retry: Callable[[str], None] = lambda _: None,
    ) -> None:
        row, options = row or Provider(plain.provider, ""), options or ProviderOptions()
        self.provider, self.name, self.agents = plain.provider, plain.name, plain.agents
        limit = plain.max_concurrency
        wished = policy.max_concurrency or limit
        self.max_concurrency = min(wished, limit) if row.is_patient else wished
        self._plain, self._row, self._policy, self._on_retry = plain, row, policy, on_retry
        self._cancel, self._deadline_s = options.cancel, options.deadline_s
        self._budget = budget or Budget(cancel=self._cancel)
        self._card = options.find_card(row, plain.name)
        self._context = options.context_tokens or (self._card.context if self._card else None)
        # What is sent beside the request, of which the answer depends.
        sent = {"effort": options.effort, "temperature": options.temperature}
        self._sent = {k: v for k, v in sent.items() if v is not None} | dict(options.body)
        self._places = threading.BoundedSemaphore(self.max_concurrency)
        # A model with a price has a prompt cache that makes it lower.
        self._prefixes = _Prefixes(policy.lead_s, self._cancel) if self._card else None
        if self._budget.limits.usd is not None and self._card is None and not row.is_free:
            raise explain_no_price(plain.name, row.vendor)

    def complete(self, request: ChatRequest) -> Completion:
        """Answer from the record what was asked before, else call.

        Raises:
            ModelError: the model could not be used.
            BudgetError: the call may pass a limit.
            Interrupted: the run was stopped.
        """
        request = replace(request, max_output_tokens=self._measure_room(request))
        key = make_cache_key(self, request, self._sent)
        stored = self._budget.replies.find(key)
        if stored is not None:
            self._budget.replies.note(make_call_record(request, stored, "cache"), key)
            return stored
        with self._prefixes.hold(request) if self._prefixes else nullcontext(), self._places:
            return self._try(request)

    def _measure_room(self, request: ChatRequest) -> int:
        """Return the tokens of the longest reply that is asked for and that the window leaves.

        Raises:
            ContextTooLongError: the prompt alone is longer than the window.
        """
        room = request.max_output_tokens * self._policy.reply_tokens / DEFAULT_REPLY_TOKENS
        if self._context is not None:
            least = count_least_tokens(request)
            if least >= self._context:
                raise ContextTooLongError(
                    f"the prompt has at least {least:,} tokens, and the window of {self.name} "
                    f"{self._context:,}",
                    "use a model with a larger window, or say its true one with --context-tokens",
                )
            room = min(room, self._context - least)
        return max(1, round(room))

    def _try(self, request: ChatRequest) -> Completion:
        """Call until it succeeds, fails for good, or the attempts are used up."""
        failures: list[str] = []
        end = time.monotonic() + self._policy.give_up_after_s
        while True:
            try:
                return self._pay(request).model_copy(update={"retries": tuple(failures)})
            except ModelError as error:
                failures.append(error.message)
                pause_s = self._choose_pause(error, len(failures))
                if pause_s is None or time.monotonic() + pause_s > end:
                    raise _tell_attempts(error, len(failures)) from None
                self._on_retry(f"{error.message}; trying again in {pause_s:.0f} s")
            if self._cancel.wait(pause_s):
                raise Interrupted("stopped while waiting for the model", "use --resume")

    def _choose_pause(self, error: ModelError, n_failures: int) -> float | None:
        """Return the seconds to wait, or None if another call makes no sense."""
        policy = self._policy
        if not error.is_transient or n_failures >= policy.n_attempts or self._row.is_patient:
            return None
        if error.retry_after_s is not None:
            return error.retry_after_s if error.retry_after_s <= policy.max_wait_s else None
        pause_s = min(policy.first_pause_s * 2.0 ** (n_failures - 1), policy.max_pause_s)
        # Jitter keeps parallel calls from coming back at the same instant.
        return pause_s * random.uniform(0.75, 1.25)

    def _pay(self, request: ChatRequest) -> Completion:
        """Reserve the worst case, call, settle; each attempt is a call that may cost."""
        budget = self._budget
        worst = estimate_worst_case(request, self._card)
        budget.reserve(worst, request.template)
        try:
            completion = self._count(request, self._send(request))
        except BaseException as error:
            if isinstance(error, ModelError):  # another package's may quote an address
                error.message = hide_credentials(error.message)
                error.args = (error.message,)
            failure = self._describe_failure(request, worst, error)
            budget.replies.note(failure)
            budget.settle(worst, failure)
            raise
        call = make_call_record(request, completion, "replay" if self._row.is_replay else "model")
        budget.replies.note(call, make_cache_key(self, request, self._sent), request, completion)
        budget.settle(worst, call)
        return completion

    def _count(self, request: ChatRequest, completion: Completion) -> Completion:
        """Return the completion with the tokens and the price that its provider did not tell."""
        usage = completion.usage
        if not usage.n_calls or self._row.is_free:
            return completion
        if not usage.input_tokens:
            counts = {
                "input_tokens": count_prompt_tokens(request),
                "output_tokens": count_tokens(completion.reply),
                "is_estimated": True,
            }
            usage = usage.model_copy(update=counts)
        if usage.usd is None and self._card is not None:
            usage = usage.model_copy(update={"usd": price_usage(usage, self._card)})
        return completion.model_copy(update={"usage": usage})

    def _describe_failure(
        self, request: ChatRequest, worst: Usage, error: BaseException
    ) -> CallRecord:
        """Return the record of a call without a reply, with the most that it can cost.

        One that broke off, or was cut off by the end of the run, may be billed; what comes with an
        error status is not.
        """
        is_billed = not self._row.is_free
        if isinstance(error, ModelError):
            is_billed = error.may_be_billed
        usage = worst.model_copy(update={"is_estimated": True}) if is_billed else Usage(n_calls=1)
        nothing = Completion(
            reply="", stop_reason="stop", model=self.name, provider=self.provider, usage=usage
        )
        reason = error.message if isinstance(error, ModelError) else type(error).__name__
        call = make_call_record(request, nothing)
        return call.model_copy(update={"outcome": reason, "is_failed": True})

    def _send(self, request: ChatRequest) -> Completion:
        """Call; give up waiting after the deadline, or at once when cancelled.

        A read timeout alone does not bound a call: a server that sends a byte now and then resets
        it. The call is left behind in a daemon thread, which ends with its connection.
        """
        if self._row.is_patient:
            return self._plain.complete(request)
        box: queue.Queue[Completion | BaseException] = queue.Queue(maxsize=1)

        def call() -> None:
            try:
                box.put(self._plain.complete(request))
            except BaseException as error:
                box.put(error)

        threading.Thread(target=call, name="chat-call", daemon=True).start()
        result = self._wait(box)
        if isinstance(result, BaseException):
            raise result
        return result

    def _wait(self, box: queue.Queue[Completion | BaseException]) -> Completion | BaseException:
        end = time.monotonic() + self._deadline_s
        while not self._cancel.is_set():
            remaining_s = end - time.monotonic()
            if remaining_s <= 0:
                return explain_deadline(self.provider, self._deadline_s)
            try:
                return box.get(timeout=min(_POLL_S, remaining_s))
            except queue.Empty:
                continue
        return Interrupted("stopped while waiting for the model", "resume the run with --resume")


class _Prefixes:
    """Holds back calls whose prefix is on its way for the first time.

    A provider's cache holds a prefix only once the reply to the first prompt with it has begun.
    Calls that are sent at the same instant would all pay the full price for what they share.
    """

    def __init__(self, lead_s: float, cancel: threading.Event) -> None:
        self._lead_s, self._cancel = lead_s, cancel
        self._lock = threading.Lock()
        self._ready_at: dict[str, float] = {}
        self._used_at: dict[str, float] = {}

    @contextmanager
    def hold(self, request: ChatRequest) -> Iterator[None]:
        """Lead, or wait for the call that leads."""
        prefix = digest_prefix(request)
        leads = self._enter(prefix)
        while not leads and time.monotonic() < self._ready_at[prefix]:
            if self._cancel.wait(_POLL_S / 2):
                break
        try:
            yield
        finally:
            with self._lock:
                self._used_at[prefix] = time.monotonic()
                if leads:
                    self._ready_at[prefix] = 0.0

    def _enter(self, prefix: str) -> bool:
        """Tell whether a call is the first with its prefix for as long as caches keep one."""
        with self._lock:
            now = time.monotonic()
            if now - self._used_at.get(prefix, -_KEPT_S) < _KEPT_S:
                return False
            self._used_at[prefix] = now
            self._ready_at[prefix] = now + self._lead_s
            return True


def digest_prefix(request: ChatRequest) -> str:
    """Return the identity of what a request shares with the others of its round."""
    shared = [turn.content if turn.role == "system" else turn.content[: turn.n_shared]
              for turn in request.messages]  # fmt: skip
    return hashlib.sha256("\0".join(shared).encode("utf-8", "replace")).hexdigest()


def _tell_attempts(error: ModelError, n_attempts: int) -> ModelError:
    if n_attempts > 1:
        error.message = f"{error.message} (after {n_attempts} attempts)"
        error.args = (error.message,)
    return error
