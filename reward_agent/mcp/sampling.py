"""The client's own model in the model's place: what a run asks for is asked by the protocol."""

from __future__ import annotations

import mcp_types as types
from mcp.server.session import ServerSession
from mcp.shared.exceptions import MCPError
from mcp.shared.message import ServerMessageMetadata

from reward_agent.mcp.plain import MAX_REQUEST_CHARS, fence
from reward_agent.mcp.tools import Progress, Tools

_MAX_REPLY_TOKENS = 16_000
_ASKED = "Write the reply to this request, and nothing else. "


async def answer_by_client(
    tools: Tools,
    session: ServerSession,
    request_id: types.RequestId | None,
    params: types.CallToolRequestParams,
    status: types.CallToolResult,
    progress: Progress,
) -> types.CallToolResult | types.InputRequiredResult:
    """Let the client's model answer what a run waits for, where the client offers that.

    Args:
        tools: the tools.
        session: the client's.
        request_id: of the call.
        params: the call, with what the client's model replied to an earlier question of it.
        status: how far the run is.
        progress: is told how long it takes.

    Returns:
        How far the run is then, or what the client is to ask its model.
    """
    for _ in range(20):
        asked = await _find_request(tools, session, status, progress)
        if asked is None:
            return status
        request = asked.structured_content
        key, message = f"request_{request['number']}", _make_message(asked)
        given = (params.input_responses or {}).get(key)
        if given is None and not session.can_send_request:
            return types.InputRequiredResult(input_requests={key: message})
        try:
            reply = given or await session.send_request(
                message, types.CreateMessageResult, metadata=ServerMessageMetadata(request_id)
            )
        except MCPError:  # its person said no: the agent answers by a tool
            return status
        text = getattr(getattr(reply, "content", None), "text", "")
        answer = {"run": request["run"], "answer": f"{text}\n", "request": request["number"]}
        answered = await tools.call("runs_answer", answer, progress)
        if answered.is_error:
            return answered
        status = await tools.call(params.name, params.arguments or {}, progress)
    return status


async def _find_request(
    tools: Tools, session: ServerSession, status: types.CallToolResult, progress: Progress
) -> types.CallToolResult | None:
    """Return what a run asks for, if the client's model may answer it."""
    capabilities = session.client_capabilities
    told = status.structured_content or {}
    if status.is_error or not told.get("requests") or not (capabilities and capabilities.sampling):
        return None
    asked = await tools.call("runs_request", {"run": told["id"]}, progress)
    return None if asked.is_error else asked


def _make_message(asked: types.CallToolResult) -> types.CreateMessageRequest:
    """Return the request as the client's model is asked it, with its picture."""
    prompt = asked.structured_content["prompt"]
    text = types.TextContent(type="text", text=_ASKED + fence(prompt, MAX_REQUEST_CHARS))
    pictures = [item for item in asked.content if isinstance(item, types.ImageContent)]
    turns = [types.SamplingMessage(role="user", content=item) for item in (text, *pictures)]
    return types.CreateMessageRequest(
        params=types.CreateMessageRequestParams(messages=turns, max_tokens=_MAX_REPLY_TOKENS)
    )
