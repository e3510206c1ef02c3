"""Money: hard limits, checked before each call with the most that it can cost, and sums.

Calls that run side by side reserve their worst cases, so that together they cannot pass a limit. A
call that fits only once others have ended waits for them; one that does not fit even then ends the
spending of the run, by name, and the run goes on with what it has. Failed calls and those of rounds
that were interrupted count too; what was answered without a call costs nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pydantic import Field

from reward_agent.errors import BudgetError, Interrupted, UsageError, hint_closest
from reward_agent.llm.chat import ChatRequest
from reward_agent.llm.models import ModelCard, list_models, name_source, price_usage
from reward_agent.llm.replies import CallRecord, Replies
from reward_agent.text import name_round
from reward_agent.types import Record, Usage

# English and code measure three to four bytes a token, other scripts two and more.
BYTES_PER_TOKEN = 2
# Of no text that people or programs write has a token more.
_MOST_CHARS_PER_TOKEN = 6
# A turn of a conversation costs a few tokens beside its text.
_TOKENS_PER_TURN = 16
# Of a picture: anthropic counts its pixels by 750, openai tiles of 512 or patches of 32 pixels, at
# most 1536 of them, small models 2.46 tokens each. The most of these is taken.
# Sources: https://platform.claude.com/docs/en/build-with-claude/vision,
# https://developers.openai.com/api/docs/guides/images-vision (calculating costs)
_PIXELS_PER_TOKEN, _PATCH, _MOST_PATCHES, _TOKENS_PER_PATCH = 750, 32, 1536, 2.46
# Of one whose size cannot be read.
_UNREAD_SIZE = (1260, 600)
_POLL_S = 0.1
# A call that is cut off is noted in a moment; a model of one's own may not hear of it.
_NOTED_S = 5.0


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


NO_LIMITS = SpendingLimits()


class Budget:
    """What a run may spend, has spent, and has reserved for calls under way.

    Args:
        limits: hard limits.
        replies: the record of the calls so far; every further call is noted there.
        cancel: ends waiting; no call begins any more.
    """

    def __init__(
        self,
        limits: SpendingLimits = NO_LIMITS,
        replies: Replies | None = None,
        cancel: threading.Event | None = None,
    ) -> None:
        self.limits = limits
        self.replies = replies or Replies()
        self.reached = ""
        # Raises where what a call is about is not what it was: then nothing is paid for.
        self.guard: Callable[[], None] = lambda: None
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
            Interrupted: the run was cancelled.
            RewardAgentError: what the guard raises.
        """
        self.guard()
        with self._change:
            while not self.reached:
                if self._cancel.is_set():
                    raise Interrupted("stopped before a call of the model", "use --resume")
                passed = self._explain_passed(worst, what)
                if not passed:
                    self._reserved.append(worst)
                    return
                if not self._reserved:
                    self.reached = passed
                else:
                    self._change.wait(_POLL_S)
        raise BudgetError(self.reached, "go on with --resume and a higher limit")

    def settle(self, worst: Usage, record: CallRecord) -> None:
        """Replace a reservation by what the call has cost."""
        with self._change:
            self._reserved.remove(worst)
            self._spent = self._spent + sum_charges([record])
            self._change.notify_all()

    def close(self) -> None:
        """Close the record, once the calls that the end of the run cut off are noted there."""
        self._cancel.set()
        with self._change:
            self._change.wait_for(lambda: not self._reserved, _NOTED_S)
        self.replies.close()

    def _explain_passed(self, worst: Usage, what: str) -> str:
        """Say which limit a call may pass beside those under way; '' if none."""
        limits, spent = self.limits, self._spent
        total = sum(self._reserved, spent) + worst
        if limits.calls is not None and total.n_calls > limits.calls:
            return f"--max-calls {limits.calls} is reached: {spent.n_calls} calls were made"
        if limits.tokens is not None and _add_tokens(total) > limits.tokens:
            return (
                f"--max-tokens {limits.tokens:,} is reached: {_add_tokens(spent):,} are used, "
                f"and the next call ({what}) may take {_add_tokens(worst):,}"
            )
        if limits.usd is not None and (total.usd or 0.0) > limits.usd:
            return (
                f"--max-usd {limits.usd:g} is reached: {spent.usd or 0.0:.4g} USD are spent, "
                f"and the next call ({what}) may cost {worst.usd or 0.0:.2g}"
            )
        return ""


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
    words = sum(count_tokens(turn.content) + _TOKENS_PER_TURN for turn in request.messages)
    return words + sum(
        count_picture_tokens(*_read_size(turn.picture)) for turn in request.messages if turn.picture
    )


def count_least_tokens(request: ChatRequest) -> int:
    """Return a lower bound of the prompt's tokens, its pictures left out."""
    return sum(len(turn.content) for turn in request.messages) // _MOST_CHARS_PER_TOKEN


def count_picture_tokens(width: int, height: int) -> int:
    """Return an upper bound of a picture's tokens, whoever counts them."""
    n_patches = min(-(-width // _PATCH) * -(-height // _PATCH), _MOST_PATCHES)
    return max(-(-width * height // _PIXELS_PER_TOKEN), round(n_patches * _TOKENS_PER_PATCH))


def _read_size(png: bytes) -> tuple[int, int]:
    """Return width and height as the first chunk of a PNG names them."""
    width, height = int.from_bytes(png[16:20]), int.from_bytes(png[20:24])
    return (width, height) if width and height else _UNREAD_SIZE


def explain_no_price(model: str, vendor: str) -> UsageError:
    """Return the error for a limit in USD that cannot be held."""
    return UsageError(
        f"--max-usd needs the price of the model, and none is known for {model!r} "
        f"({name_source()}){hint_closest(model, list_models(vendor))}",
        "say it, US dollars per million tokens: --prices 'input=2 output=10'; or give "
        "--max-tokens or --max-calls instead",
    )


def _add_tokens(usage: Usage) -> int:
    return usage.input_tokens + usage.output_tokens


def count_tokens(text: str) -> int:
    """Return an upper bound of a text's tokens."""
    return -(-len(text.encode("utf-8", "replace")) // BYTES_PER_TOKEN)


# --- what calls have cost -------------------------------------------------------------------------


class CostSummary(Record):
    """What a run paid a language model, and what it did not have to pay.

    ``by_agent`` and ``by_round`` each add up to ``total``. A failed call may be billed all the
    same: ``may_add_usd`` is the most that all of them can cost.
    """

    total: Usage
    by_agent: dict[str, Usage]
    by_round: dict[str, Usage]
    n_failed: int
    may_add_usd: float
    n_from_cache: int
    n_replayed: int
    models_without_price: tuple[str, ...] = ()
    calls: tuple[CallRecord, ...] | None = Field(None, description="each of them, if asked for")


def summarise_costs(records: Iterable[CallRecord]) -> CostSummary:
    """Return what calls cost, by agent and by round."""
    calls = list(records)
    paid = [call for call in calls if call.source == "model" and not call.is_failed]
    failed = [call for call in calls if call.is_failed]
    unpriced = {call.model for call in paid if call.usage.usd is None and call.usage.input_tokens}
    return CostSummary(
        total=sum_usage(paid),
        by_agent=group_usage(paid, lambda call: call.agent),
        by_round=group_usage(paid, name_round_of),
        n_failed=len(failed),
        may_add_usd=sum_charges(failed).usd or 0.0,
        n_from_cache=sum(call.source == "cache" for call in calls),
        n_replayed=sum(call.source == "replay" for call in calls),
        models_without_price=tuple(sorted(unpriced)),
    )


def sum_usage(records: Iterable[CallRecord]) -> Usage:
    """Return what the replies cost; what was answered without a call cost nothing."""
    return sum_charges(record for record in records if not record.is_failed)


def sum_charges(records: Iterable[CallRecord]) -> Usage:
    """Return the most that the calls can have cost: failed ones, which may be billed, included."""
    return sum((record.usage for record in records if record.source == "model"), Usage())


def group_usage(
    records: Iterable[CallRecord], name: Callable[[CallRecord], str]
) -> dict[str, Usage]:
    """Return what the calls cost by a name of theirs, in the order of first use."""
    groups: dict[str, list[CallRecord]] = {}
    for record in records:
        groups.setdefault(name(record), []).append(record)
    return {key: sum_usage(items) for key, items in groups.items()}


def name_round_of(record: CallRecord) -> str:
    """Return the round of a call, for people."""
    return "before the rounds" if record.iteration is None else name_round(record.iteration)
