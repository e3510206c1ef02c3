"""Resources: cards, reports and pages of the docs, each as a command or its file shows it."""

from __future__ import annotations

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError

from reward_agent.definitions.card import list_envs
from reward_agent.definitions.paths import find_docs_dir
from reward_agent.errors import RewardAgentError
from reward_agent.files import read_text
from reward_agent.mcp.plain import MAX_REQUEST_CHARS, fence
from reward_agent.mcp.tools import Tools
from reward_agent.records.store import list_kept

_HOME = "reward-agent://"
_MOST_RUNS = 20
# Which tool says what stands under an address, and which argument the rest of it is.
_READERS = {"envs": ("envs_card", "env"), "runs": ("runs_report", "run")}
_TEMPLATES = {
    "envs/{env}": "The card of an environment: its fields with units, actions, reset, tasks.",
    "runs/{run}": "The report of a run: verdict, winner, candidates, programs.",
    "docs/{page}": "A page of the docs.",
}
Context = ServerRequestContext[dict[str, object], object]


class Resources:
    """What clients may read by its address, beside the tools."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    async def list(
        self, context: Context, params: types.PaginatedRequestParams | None
    ) -> types.ListResourcesResult:
        """List the cards, the newest runs and the pages."""
        runs = [folder.name for folder in list_kept(self._tools.runs_dir)][-_MOST_RUNS:]
        names = [f"envs/{name}" for name in list_envs()] + [f"runs/{name}" for name in runs]
        names += [f"docs/{name}" for name in _list_pages()]
        return types.ListResourcesResult(
            resources=[types.Resource(name=name, uri=f"{_HOME}{name}") for name in names]
        )

    async def list_templates(
        self, context: Context, params: types.PaginatedRequestParams | None
    ) -> types.ListResourceTemplatesResult:
        """List the kinds of addresses."""
        return types.ListResourceTemplatesResult(
            resource_templates=[
                types.ResourceTemplate(name=name, uri_template=f"{_HOME}{name}", description=text)
                for name, text in _TEMPLATES.items()
            ]
        )

    async def read(
        self, context: Context, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        """Read one."""
        uri = str(params.uri)
        kind, _, name = uri.removeprefix(_HOME).partition("/")
        if kind == "docs" and name in _list_pages():
            text = read_text(find_docs_dir() / f"{name}.md")
            return _show(uri, fence(text, MAX_REQUEST_CHARS))
        if kind not in _READERS or not name or not uri.startswith(_HOME):
            raise MCPError(types.INVALID_PARAMS, f"there is no resource {uri!r:.200}")
        tool, argument = _READERS[kind]
        answered = await self._tools.call(tool, {argument: name}, _tell_nobody)
        texts = [item.text for item in answered.content if isinstance(item, types.TextContent)]
        if answered.is_error:
            raise MCPError(types.INVALID_PARAMS, texts[0])
        return _show(uri, "\n".join(texts))


def _list_pages() -> list[str]:
    try:
        folder = find_docs_dir()
    except RewardAgentError:
        return []
    pages = [path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.md")]
    return sorted(pages)


def _show(uri: str, text: str) -> types.ReadResourceResult:
    contents = types.TextResourceContents(uri=uri, mime_type="text/markdown", text=text)
    return types.ReadResourceResult(contents=[contents])


async def _tell_nobody(passed: float, whole: float) -> None:
    """Progress of what nobody waits for by steps."""
