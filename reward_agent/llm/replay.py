"""A run repeated without a model: ``--provider replay:<run>`` answers from the replies of a run.

A prompt that was sent before gets the reply that it got then. Where the prompts differ, because
trainings on this machine come out differently in the last digits, the reply of the same place is
taken (agent, template, round, candidate and turn) and the difference is told: the programs are
those of the run, the numbers are this machine's.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

from reward_agent.errors import BudgetError, ReplayError, UsageError
from reward_agent.llm.chat import ChatRequest, Completion
from reward_agent.llm.provider import ProviderOptions
from reward_agent.llm.replies import CallPlace, StoredReply, digest_request, read_replies
from reward_agent.records.store import load_run
from reward_agent.types import Usage


def make_model(options: ProviderOptions) -> ReplayChatModel:
    """Return the model of ``replay:<run>``.

    Raises:
        UsageError: no run is named, or there is none of that name.
        DataError: the run holds no replies.
    """
    if not options.argument:
        raise UsageError("replay needs a run", "give --provider replay:RUN, such as replay:last")
    # The run in progress lies beside the one that it repeats, unless a path is given.
    store = load_run(options.argument, options.folder.parent if options.folder else None)
    replies = read_replies(store.dir)
    return ReplayChatModel(replies, store.dir.name, store.read_run().limit, options.warn)


class ReplayChatModel:
    """Answers with the replies of a run.

    Args:
        replies: what the run was answered, oldest first.
        run: its id.
        limit: the limit of money at which it stopped asking, if it did.
        warn: is told where a prompt differs from the run's.
    """

    provider = "replay"
    max_concurrency = 8

    def __init__(
        self,
        replies: tuple[StoredReply, ...],
        run: str,
        limit: str = "",
        warn: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.name = run
        self.agents = frozenset({"designer", *(reply.place.agent for reply in replies)})
        self._limit = limit
        self._warn = warn
        self._lock = threading.Lock()
        self._by_request = {reply.request: reply for reply in replies}
        self._by_place: dict[CallPlace, list[StoredReply]] = {}
        for reply in replies:
            self._by_place.setdefault(reply.place, []).append(reply)
        self._turns: Counter[CallPlace] = Counter()

    def complete(self, request: ChatRequest) -> Completion:
        """Return the reply of the run; it costs nothing.

        Raises:
            ReplayError: the run holds none for the prompt or its place.
            BudgetError: likewise, and the run stopped asking at a limit.
        """
        place = CallPlace(request.agent, request.template, request.iteration, request.sample_index)
        with self._lock:
            turn = self._turns[place]
            self._turns[place] += 1
        stored = self._by_request.get(digest_request(request)) or self._find(request, place, turn)
        # What the run paid is in its own record; nothing new is paid here.
        update = {"provider": self.provider, "usage": Usage(), "is_cached": False, "wall_s": 0.0}
        return stored.completion.model_copy(update=update)

    def _find(self, request: ChatRequest, place: CallPlace, turn: int) -> StoredReply:
        """Return the reply of the same place, and tell how the prompts differ."""
        candidates = self._by_place.get(place, [])
        if turn >= len(candidates) and self._limit:
            raise BudgetError(f"the run stopped asking here: {self._limit}", "replay another run")
        if turn >= len(candidates):
            raise ReplayError(
                f"the run {self.name} holds no reply to {place}, turn {turn + 1}",
                "replay with the settings of the run: the same task, candidates, iterations, "
                "steps, repairs and seed",
            )
        stored = candidates[turn]
        self._warn(
            f"the prompt of {place} is not that of the run "
            f"({describe_difference(stored.prompt, request.prompt)}); its reply is used anyway"
        )
        return stored


def describe_difference(then: str, now: str) -> str:
    """Say where two prompts part."""
    pairs = zip(then.split("\n"), now.split("\n"), strict=False)
    for number, (old, new) in enumerate(pairs, start=1):
        if old != new:
            at = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), 0)
            begin = max(at - 30, 0)
            return f"line {number}: {old[begin : at + 30]!r} then, {new[begin : at + 30]!r} now"
    return "one goes on where the other ends"
