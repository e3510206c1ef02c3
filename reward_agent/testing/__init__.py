"""``FakeLLMServer``: a language model's HTTP server on loopback, for tests of providers.

It speaks OpenAI's Chat Completions and Anthropic's Messages, streamed or whole as the client asks,
plays a script of replies and faults, and keeps every request, so that a test can count what was
really sent.

    with FakeLLMServer([HttpFault(529), Say("hello")]) as server:
        openai.OpenAI(base_url=server.openai_url, api_key="test")
        anthropic.Anthropic(base_url=server.anthropic_url, api_key="test")

A script is a list with one step a request, or a function from the request to its step, for clients
whose calls overtake each other:

    def answer(request: ReceivedRequest) -> Step:
        return Say(CRITIQUE) if "review" in request.text else Say(PROGRAM)
"""

from reward_agent.testing.server import FakeLLMServer, ReceivedRequest, Script
from reward_agent.testing.wires import (
    BreakStream,
    DropConnection,
    HttpFault,
    RawBody,
    Say,
    Stall,
    Step,
)

__all__ = [
    "BreakStream", "DropConnection", "FakeLLMServer", "HttpFault", "RawBody", "ReceivedRequest",
    "Say", "Script", "Stall", "Step",
]  # fmt: skip
