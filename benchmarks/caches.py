"""The share of a run's input that a provider's prompt cache would serve, by the providers' rules.

A run of 6 programs x 4 rounds asks the fake server, whose model answers with programs of a usual
length. What would be a token is four characters. No key, no money; the trainings are short.

OpenAI: the longest beginning that an earlier call had, from 1024 tokens on, in steps of 128.
Anthropic: up to the last mark that an earlier call had too, from 1024 tokens on.
Sources: https://developers.openai.com/api/docs/guides/prompt-caching,
https://platform.claude.com/docs/en/build-with-claude/prompt-caching
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import reward_agent
from reward_agent.testing import FakeLLMServer, ReceivedRequest, Say, Step

CHARS_A_TOKEN, LEAST_TOKENS, STEP_TOKENS = 4, 1024, 128
BAR = 0.6
_PROGRAM = '''The task asks for balance. {reasons}

```python
def compute_reward(state, action, next_state):
    """Hold the pole upright near the middle of the rail, gently."""
    upright = tolerance(next_state.pole_angle, bounds=(-0.02, 0.02), margin=0.{n:03d})
    middle = tolerance(next_state.cart_position, bounds=(-0.1, 0.1), margin=0.8)
    still = np.exp(-np.square(next_state.cart_velocity / 1.{n}))
    effort = np.sum(np.square(action), axis=-1)
    terms = {{"upright": upright, "middle": 0.3 * upright * middle, "still": 0.1 * still,
             "effort": -0.001 * effort}}
    return sum(terms.values()), terms
```'''
_REASONS = "Being upright pays most; the middle keeps the cart off the ends of its rail. " * 12
_CRITIQUE = {
    "verdict": "accept",
    "summary": "The terms follow the sentence, and none of them can be had without the others.",
    "risks": [],
}
_ANALYSIS = {
    "failure_mode": "the cart drifts",
    "evidence": ["the cart's position grows over the episode", "the pole stays upright"],
    "next_change": "pay more for the middle of the rail",
    "keep": True,
}


class Model:
    """Plays all agents; every program differs from the others, one in four is revised."""

    def __init__(self) -> None:
        self._numbers = itertools.count(100)
        self._reviews = itertools.count(1)

    def __call__(self, request: ReceivedRequest) -> Step:
        """Answer for the agent that asks."""
        if "You review" in request.text:
            verdict = "revise" if next(self._reviews) % 4 == 0 else "accept"
            risk = {"kind": "dear effort", "line": 3, "evidence": "it is paid", "remedy": "less"}
            risks = [risk] if verdict == "revise" else []
            return Say(json.dumps(_CRITIQUE | {"verdict": verdict, "risks": risks}))
        if "You explain" in request.text:
            return Say(json.dumps(_ANALYSIS))
        return Say(_PROGRAM.format(reasons=_REASONS, n=next(self._numbers)))


def record_requests(provider: str, candidates: int = 6, iterations: int = 4) -> list[Any]:
    """Return the bodies of a run's calls, in their order."""
    with FakeLLMServer(Model()) as server, tempfile.TemporaryDirectory() as folder:
        url = server.anthropic_url if provider == "anthropic" else server.openai_url
        reward_agent.design(
            "inverted_pendulum",
            "balance",
            provider=provider,
            base_url=url,
            environ={f"{provider.upper()}_API_KEY": "sk-test-0123456789"},
            runs_dir=Path(folder),
            candidates=candidates,
            iterations=iterations,
            steps=2048,
            winner_seeds=0,
            eval_episodes=2,
            racing="none",
            early_stop=False,
            screens=False,
            video=False,
        )
        return [request.body for request in server.requests]


@dataclass(frozen=True)
class Served:
    """What a cache would serve of one call, in tokens."""

    agent: str
    n_input: float
    n_cached: float


def serve_openai(bodies: Iterable[Any]) -> Iterator[Served]:
    """Serve each call by the longest beginning that an earlier one had."""
    earlier: list[str] = []
    for body in bodies:
        text = "\0".join(f"{turn['role']}\0{turn['content']}" for turn in body["messages"])
        longest = max((_measure_common(text, other) for other in earlier), default=0)
        n_common = longest // CHARS_A_TOKEN
        n_cached = n_common - n_common % STEP_TOKENS if n_common >= LEAST_TOKENS else 0
        yield Served(_name_agent(text), len(text) / CHARS_A_TOKEN, n_cached)
        earlier.append(text)


def serve_anthropic(bodies: Iterable[Any]) -> Iterator[Served]:
    """Serve each call up to the last of its marks that an earlier one wrote."""
    written: set[str] = set()
    for body in bodies:
        text, marked = "", list[str]()
        turns = [{"role": "system", "content": body.get("system", [])}, *body["messages"]]
        for turn in turns:
            given = turn["content"]
            for block in [{"text": given}] if isinstance(given, str) else given:
                text += f"{turn['role']}\0{block['text']}\0"
                if "cache_control" in block and len(text) >= LEAST_TOKENS * CHARS_A_TOKEN:
                    marked.append(text)
        n_cached = max((len(part) for part in marked if part in written), default=0)
        yield Served(_name_agent(text), len(text) / CHARS_A_TOKEN, n_cached / CHARS_A_TOKEN)
        written.update(marked)


SERVERS = {"openai": serve_openai, "anthropic": serve_anthropic}


def _measure_common(one: str, other: str) -> int:
    """Return how many characters two texts have in common at their start."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one[:middle] == other[:middle] else (low, middle - 1)
    return low


def _name_agent(text: str) -> str:
    head = text[:400]
    return next(
        (name for name in ("design", "review", "explain") if f"You {name}" in head), "other"
    )


def measure_share(served: Iterable[Served]) -> float:
    """Return the share of the input that came from the cache."""
    calls = list(served)
    return sum(call.n_cached for call in calls) / sum(call.n_input for call in calls)


def main(arguments: Sequence[str]) -> int:
    """Print the share of each provider, in all and by agent; 0 if both reach the bar."""
    argparse.ArgumentParser(prog="scripts/bench caches", description=__doc__).parse_args(arguments)
    shares = []
    for provider, serve in SERVERS.items():
        calls = list(serve(record_requests(provider)))
        shares.append(measure_share(calls))
        groups = defaultdict(list)
        for call in calls:
            groups[call.agent].append(call)
        print(f"{provider}: {shares[-1]:.0%} of the input of {len(calls)} calls (bar {BAR:.0%})")
        for agent, own in groups.items():
            mean = sum(call.n_input for call in own) / len(own)
            print(
                f"  {agent}: {measure_share(own):.0%} of {len(own)} calls, {mean:,.0f} tokens each"
            )
    return 0 if min(shares) >= BAR else 1
