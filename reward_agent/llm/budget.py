"""Money: hard limits, checked before each call with the most that it can cost.

Calls that run side by side reserve their worst cases, so that together they cannot pass a limit. A
call that fits only once others have ended waits for them; one that does not fit even then ends the
spending of the run, by name, and the run goes on with what it has.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from reward_agent.errors import BudgetError, Interrupted, ModelError, UsageError
from reward_agent.llm.chat import ChatModel, ChatRequest, Completion
from reward_agent.llm.costs import sum_charges, sum_usage
from reward_agent.llm.models import ModelCard, find_model, load_models, price_usage
from reward_agent.llm.replies import (
    CallRecord,
    Replies,
    Source,
    make_cache_key,
    make_call_record,
)
from reward_agent.llm.wrappers import ChatModelWrapper
from reward_agent.types import Usage

# English and code measure three to four bytes a token, other scripts two and more.
BYTES_PER_TOKEN = 2
# A turn of a conversation costs a few tokens beside its text.
_TOKENS_PER_TURN = 16
_POLL_S = 0.1


@dataclass(frozen=True)
class SpendingLimits:
    """What a run may spend at most; None is no limit.

    Args:
        usd: US dollars.
        tokens: input and output tokens.
        calls: calls that are sent, failed ones included.
    """

    usd: float | None = None
    tokens: int | None = None
    calls: int | None = None


class Budget:
    """What a run may spend, has spent, and has reserved for calls under way.

    Args:
        limits: hard limits.
        replies: the record of the calls so far; every further call is noted there.
        cancel: ends waiting.
    """

    def __init__(
        self,
        limits: SpendingLimits = SpendingLimits(),
        replies: Replies | None = None,
        cancel: threading.Event | None = None,
    ) -> None:
        self.limits = limits
        self.replies = replies or Replies()
        self.reached = ""
        self._cancel = cancel or threading.Event()
        self._spent = sum_charges(self.replies.calls)
        self._reserved: list[Usage] = []
        self._change = threading.Condition()

    @property
    def usage(self) -> Usage:
        """What the replies of the run have cost so far."""
        return sum_usage(self.replies.calls)

    def reserve(self, worst: Usage, what: str) -> None:
        """Set the worst case of a call aside.

        Args:
            worst: the most that the call can cost.
            what: name of the call, for the message.

        Raises:
            BudgetError: it does not fit, and no call under way will give anything back.
            Interrupted: the run was cancelled while waiting.
        """
        with self._change:
            while not self.reached:
                passed = self._explain_passed(worst, what)
                if not passed:
                    self._reserved.append(worst)
                    return
                if not self._reserved:
                    self.reached = passed
                elif self._cancel.is_set():
                    raise Interrupted("stopped while waiting for other calls", "use --resume")
                else:
                    self._change.wait(_POLL_S)
        raise BudgetError(self.reached, "go on with --resume and a higher limit")

    def settle(self, worst: Usage, record: CallRecord) -> None:
        """Replace a reservation by what the call has cost."""
        with self._change:
            self._reserved.remove(worst)
            self._spent = self._spent + sum_charges([record])
            self._change.notify_all()

    def _explain_passed(self, worst: Usage, what: str) -> str:
        """Say which limit a call may pass beside those under way; '' if none."""
        limits, spent = self.limits, self._spent
        total = sum(self._reserved, spent) + worst
        if limits.calls is not None and total.n_calls > limits.calls:
            return f"--max-calls {limits.calls} is reached: {spent.n_calls} calls were made"
        if limits.tokens is not None and _count_tokens(total) > limits.tokens:
            return (
                f"--max-tokens {limits.tokens:,} is reached: {_count_tokens(spent):,} are used, "
                f"and the next call ({what}) may take {_count_tokens(worst):,}"
            )
        if limits.usd is not None and (total.usd or 0.0) > limits.usd:
            return (
                f"--max-usd {limits.usd:g} is reached: {spent.usd or 0.0:.4g} USD are spent, "
                f"and the next call ({what}) may cost {worst.usd or 0.0:.2g}"
            )
        return ""


class BudgetedChatModel(ChatModelWrapper):
    """Makes a call only if its worst case fits, and notes what it has cost.

    Args:
        inner: the model; each of its calls is sent and paid.
        budget: the limits.
        is_free: whether it asks no money, whatever it is called.
        source: where its replies come from.

    Raises:
        UsageError: a limit in USD for a model without a price.
    """

    def __init__(
        self,
        inner: ChatModel,
        budget: Budget,
        *,
        is_free: bool = False,
        source: Source = "model",
    ) -> None:
        super().__init__(inner)
        self._budget = budget
        self._is_free, self._source = is_free, source
        self._card = find_model(inner.name)
        if budget.limits.usd is not None and self._card is None and not is_free:
            raise explain_no_price(inner.name)

    def complete(self, request: ChatRequest) -> Completion:
        """Reserve, call, settle.

        Raises:
            BudgetError: the call may pass a limit.
        """
        worst = estimate_worst_case(request, self._card)
        self._budget.reserve(worst, request.template)
        try:
            completion = self._count(request, self.inner.complete(request))
        except BaseException as error:
            failure = self._record_failure(request, worst, error)
            self._budget.replies.note(failure)
            self._budget.settle(worst, failure)
            raise
        call = make_call_record(request, completion, self._source)
        self._budget.replies.note(call, make_cache_key(self, request), request, completion)
        self._budget.settle(worst, call)
        return completion

    def _count(self, request: ChatRequest, completion: Completion) -> Completion:
        """Return the completion with the tokens and the price that its provider did not tell."""
        usage = completion.usage
        if not usage.n_calls or self._is_free:
            return completion
        if not usage.input_tokens:
            counts = {
                "input_tokens": count_prompt_tokens(request),
                "output_tokens": _count_text(completion.reply),
                "is_estimated": True,
            }
            usage = usage.model_copy(update=counts)
        if usage.usd is None and self._card is not None:
            usage = usage.model_copy(update={"usd": price_usage(usage, self._card)})
        return completion.model_copy(update={"usage": usage})

    def _record_failure(
        self, request: ChatRequest, worst: Usage, error: BaseException
    ) -> CallRecord:
        """Return the record of a call without a reply, with the most that it can cost.

        One that broke off may be billed; what comes with an error status is not.
        """
        is_billed = isinstance(error, ModelError) and error.may_be_billed
        usage = worst.model_copy(update={"is_estimated": True}) if is_billed else Usage(n_calls=1)
        nothing = Completion(
            reply="", stop_reason="stop", model=self.name, provider=self.provider, usage=usage
        )
        reason = error.message if isinstance(error, ModelError) else type(error).__name__
        call = make_call_record(request, nothing)
        return call.model_copy(update={"outcome": reason, "is_failed": True})


def estimate_worst_case(request: ChatRequest, card: ModelCard | None) -> Usage:
    """Return the most that a call can cost: the prompt counted high, the output at its limit."""
    usage = Usage(
        n_calls=1,
        input_tokens=count_prompt_tokens(request),
        output_tokens=request.max_output_tokens,
    )
    usd = None if card is None else price_usage(usage, card, usage.input_tokens)
    return usage.model_copy(update={"usd": usd})


def count_prompt_tokens(request: ChatRequest) -> int:
    """Return an upper bound of the prompt's tokens."""
    return sum(_count_text(turn.content) + _TOKENS_PER_TURN for turn in request.messages)


def explain_no_price(model: str) -> UsageError:
    """Return the error for a limit in USD that cannot be held."""
    table = load_models()
    return UsageError(
        f"--max-usd needs the price of the model, and none is known for {model!r} "
        f"(the table is of {table.checked})",
        f"give --max-tokens or --max-calls instead; priced: {', '.join(sorted(table.model))}",
    )


def _count_tokens(usage: Usage) -> int:
    return usage.input_tokens + usage.output_tokens


def _count_text(text: str) -> int:
    return -(-len(text.encode("utf-8", "replace")) // BYTES_PER_TOKEN)
