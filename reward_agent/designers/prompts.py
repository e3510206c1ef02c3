"""What a language model is sent: requests, made from templates ``prompts/<agent>/<name>.md.j2``.

An input that a template names and the caller does not give is an error, never an empty string.
What is the same for the whole run comes first in a conversation, what is the same for a round
next, what is asked of one candidate last, so that prompt caches hit.
"""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from reward_agent.definitions.card import EnvCard
from reward_agent.definitions.card_text import render_card_as_prompt
from reward_agent.definitions.paths import find_prompts_dir
from reward_agent.designers.brief import DesignBrief, HistoryEntry, WishBrief
from reward_agent.designers.roles import Examination, MetricProposal, MetricWords, WishProposal
from reward_agent.designers.worth import follow_risks
from reward_agent.errors import DataError, UnknownNameError
from reward_agent.llm.chat import AgentName, ChatMessage, ChatRequest
from reward_agent.rewards.choices import list_settable
from reward_agent.rewards.language import describe_language
from reward_agent.rewards.source import parse_source
from reward_agent.summary.course import render_course_line
from reward_agent.types import Critique, Finding, RewardProgram

if TYPE_CHECKING:
    from jinja2 import Environment

Conversation = tuple[ChatMessage, ...]

_SUFFIX = ".md.j2"
# Of an earlier candidate's changes: enough to see what was tried; the whole programs of four
# rounds would fill the prompt.
_MAX_LINES = 12
_MAX_CHARS = 110
_MAX_REASONING = 2500
_FENCED = re.compile(r"^(`{3,}|~{3,}).*?(?:^\1[ \t]*$|\Z)", re.DOTALL | re.MULTILINE)


def list_prompts() -> list[str]:
    """Return the names of all prompts, such as ``designer/first``; ``shared`` holds only parts."""
    folder = find_prompts_dir()
    names = (path.relative_to(folder).as_posix() for path in folder.rglob(f"*{_SUFFIX}"))
    return sorted(name.removesuffix(_SUFFIX) for name in names if not name.startswith("shared/"))


def render(name: str, **inputs: object) -> str:
    """Render one prompt.

    Args:
        name: ``<agent>/<name>``.
        inputs: what the template needs.

    Raises:
        UnknownNameError: no such prompt.
        DataError: the template has an error, or names an input that is not given.
    """
    import jinja2

    try:
        template = _make_environment(find_prompts_dir()).get_template(name + _SUFFIX)
        text = template.render(**inputs)
    except jinja2.TemplateNotFound as error:
        if error.name == name + _SUFFIX:
            raise UnknownNameError("prompt", name, list_prompts()) from None
        raise _explain(name, error) from error
    except jinja2.TemplateError as error:
        raise _explain(name, error) from error
    return text.strip() + "\n"


def _explain(name: str, error: Exception) -> DataError:
    line = getattr(error, "lineno", None)
    place = f", line {line}" if line else ""
    return DataError(
        f"the prompt {name}{_SUFFIX}{place} cannot be rendered: {error}",
        "correct the template, or unset REWARD_AGENT_PROMPTS_DIR",
    )


@lru_cache(maxsize=4)
def _make_environment(folder: Path) -> Environment:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # the text is markdown for a model, not HTML
    )
    environment.filters["number"] = _format_number
    environment.filters["fence"] = fence
    environment.filters["code"] = _quote_code
    environment.filters["quote"] = _quote
    environment.filters["line"] = _join_lines
    environment.filters["under"] = _put_under
    environment.filters["course"] = render_course_line
    environment.filters["risks"] = follow_risks
    return environment


def _format_number(value: float | None, digits: int = 3) -> str:
    """Return a number with so many significant digits, or a dash for None."""
    return "–" if value is None else f"{value:.{digits}g}"


_TICKS = re.compile("`+")


def fence(text: str, language: str = "") -> str:
    """Return a text as a fenced block of Markdown that nothing inside can close."""
    mark = "`" * max(3, 1 + _count_ticks(text))
    return f"{mark}{language}\n{text.strip(chr(10)).rstrip()}\n{mark}"


def _quote_code(line: str) -> str:
    """Return a line of code as Markdown's, whatever it holds."""
    mark = "`" * (1 + _count_ticks(line))
    space = " " if len(mark) > 1 else ""
    return f"{mark}{space}{line.strip()}{space}{mark}"


def _count_ticks(text: str) -> int:
    return max(map(len, _TICKS.findall(text)), default=0)


def _quote(text: str) -> str:
    """Return somebody's words as a quotation, line by line."""
    return "\n".join(f"> {line}" for line in text.strip().splitlines())


def _join_lines(text: str) -> str:
    """Return what a model said on one line, so that it begins no heading, list or fence."""
    return " ".join(text.split())


def _put_under(text: str) -> str:
    """Return lines as those of a list's entry, nothing of nothing."""
    return "".join(f"  {line}\n" for line in text.splitlines() if line.strip())


# --- the Designer ---------------------------------------------------------------------------------


def choose_template(brief: DesignBrief) -> str:
    """Return the template of a brief: the first round knows nothing of earlier ones."""
    return "designer/next" if brief.best or brief.history else "designer/first"


def make_program_request(brief: DesignBrief) -> ChatRequest:
    """Ask for a program."""
    return _address("designer", choose_template(brief), _open_conversation(brief), brief)


def make_repair_request(
    brief: DesignBrief, examination: Examination, number: int = 0
) -> ChatRequest:
    """Ask for the program again, without what was found wrong with it."""
    prompt = render(
        "designer/repair",
        outcome=examination.outcome,
        findings=_sort_findings(examination.findings),
        lines=examination.program.source.split("\n") if examination.program else [],
        number=number,
    )
    return _follow_up("designer/repair", brief, examination, prompt)


def make_revision_request(
    brief: DesignBrief, examination: Examination, critique: Critique
) -> ChatRequest:
    """Ask for a change of the program that answers a critique."""
    prompt = render("designer/revise", critique=critique, pay_table=examination.pay_table)
    return _follow_up("designer/revise", brief, examination, prompt)


def make_metric_request(
    card: EnvCard,
    description: str,
    previous: MetricProposal | None = None,
    findings: Sequence[Finding] = (),
) -> ChatRequest:
    """Ask for a metric of a behaviour; again, where an earlier one had findings."""
    prompt = render(
        "designer/metric",
        environment=describe_environment(card),
        rules=describe_rules(),
        description=description,
    )
    messages: Conversation = (ChatMessage("user", prompt),)
    if previous is not None:
        repair = render("designer/metric_repair", findings=findings, table=previous.table)
        messages = extend(messages, previous.reply, repair)
    return ChatRequest("designer", "designer/metric", messages)


def make_comparison_request(
    card: EnvCard, description: str, words: MetricWords, table: str, trained: str = ""
) -> ChatRequest:
    """Ask whether a sentence, a criterion and what a metric said of behaviours agree."""
    prompt = render(
        "critic/metric",
        card=card,
        description=description,
        criterion=words.criterion,
        unit=words.unit,
        table=table,
        trained=trained,
    )
    return ChatRequest("critic", "critic/metric", (ChatMessage("user", prompt),))


def make_wish_request(
    brief: WishBrief, previous: WishProposal | None = None, findings: Sequence[Finding] = ()
) -> ChatRequest:
    """Ask for measures of a person's wish; again, where earlier ones had findings."""
    prompt = render(
        "designer/wish",
        environment=describe_environment(brief.card),
        rules=describe_rules(),
        brief=brief,
    )
    messages: Conversation = (ChatMessage("user", prompt),)
    if previous is not None:
        repair = render("designer/metric_repair", findings=findings, table="")
        messages = extend(messages, previous.reply, repair)
    return ChatRequest("measurer", "designer/wish", messages, iteration=brief.iteration)


def make_meaning_request(outline: str, picture: bytes = b"") -> ChatRequest:
    """Ask what a model's parts and numbers mean.

    Args:
        outline: the model as text.
        picture: a PNG of it; a server that takes none is asked without.
    """
    user = render("designer/describe", outline=outline)
    return ChatRequest(
        "designer", "designer/describe", (ChatMessage("user", user, picture=picture),)
    )


def make_meaning_repair_request(
    request: ChatRequest, reply: str, refused: Sequence[str], n_held: int
) -> ChatRequest:
    """Ask for the form again, without what was refused."""
    prompt = render("designer/describe_repair", refused=refused, n_held=n_held)
    messages = extend(request.messages, reply, prompt)
    return replace(request, template="designer/describe_repair", messages=messages)


def _open_conversation(brief: DesignBrief) -> Conversation:
    """Return the opening of the conversation about one candidate."""
    # Of the best, too, that may be older than the history.
    known = (*([brief.best] if brief.best else []), *brief.history)
    changes = describe_changes(known)
    user = render(choose_template(brief), brief=brief, card=brief.card, changes=changes)
    # What stands before the idea is the same for a round.
    n_shared = user.rindex(_quote(brief.idea.text))
    return (_render_system("designer", brief), ChatMessage("user", user, n_shared))


def _follow_up(
    template: str, brief: DesignBrief, examination: Examination, prompt: str
) -> ChatRequest:
    # Only the last reply is kept: a long argument about earlier tries confuses more than it
    # helps, and the constant part stays in the provider's cache.
    messages = extend(_open_conversation(brief), examination.proposal.reply, prompt)
    return _address("designer", template, messages, brief)


def extend(messages: Sequence[ChatMessage], reply: str, prompt: str) -> Conversation:
    """Return the conversation with the reply and the next turn of ours."""
    # Providers refuse an empty turn of the assistant.
    turns = [ChatMessage("assistant", reply)] if reply.strip() else []
    return (*messages, *turns, ChatMessage("user", prompt))


def _address(
    agent: AgentName, template: str, messages: Conversation, brief: DesignBrief
) -> ChatRequest:
    return ChatRequest(
        agent, template, messages, sample_index=brief.index, iteration=brief.iteration
    )


def _sort_findings(findings: Sequence[Finding]) -> list[Finding]:
    """Return errors before warnings before hints, each by line."""
    order = ("error", "warning", "hint")
    return sorted(findings, key=lambda item: (order.index(item.severity), item.line or 0))


# --- the Critic and the Analyzer ------------------------------------------------------------------


def make_review_request(brief: DesignBrief, examination: Examination) -> ChatRequest:
    """Ask for the risks of a program."""
    assert examination.program is not None
    parent = brief.parent
    user = render(
        "critic/review",
        brief=brief,
        numbered_source=number_lines(examination.program.source),
        findings=examination.findings,
        pay_table=examination.pay_table,
        reasoning=_read_reasoning(examination.proposal.reply),
        difference=describe_difference(parent, examination.program) if parent else "",
    )
    messages = (_render_system("critic", brief), ChatMessage("user", user))
    return _address("critic", "critic/review", messages, brief)


def make_analysis_request(brief: DesignBrief, entry: HistoryEntry) -> ChatRequest:
    """Ask why a trained policy does what it does, and for the next change."""
    user = render("analyzer/analyse", entry=entry, brief=brief)
    messages = (_render_system("analyzer", brief), ChatMessage("user", user))
    return _address("analyzer", "analyzer/analyse", messages, brief)


def _read_reasoning(reply: str) -> str:
    """Return what a designer said beside its program."""
    prose = _FENCED.sub("", reply).strip()
    return prose if len(prose) <= _MAX_REASONING else prose[:_MAX_REASONING] + " …"


def describe_difference(parent: HistoryEntry, program: RewardProgram) -> str:
    """Return the parent's program: whole, or by the lines that differ where these are fewer."""
    if parent.program is None:
        return ""
    before, after = (
        source.strip().split("\n") for source in (parent.program.source, program.source)
    )
    changed = difflib.unified_diff(before, after, "parent", "program", lineterm="", n=0)
    lines = [line for line in changed if not line.startswith("@@")]
    return "\n".join(lines if len(lines) < len(before) else before)


def number_lines(source: str) -> str:
    """Return a source with its line numbers, so that a reply can name them."""
    lines = source.rstrip("\n").split("\n")
    width = len(str(len(lines)))
    return "\n".join(f"{number:>{width}}  {line}" for number, line in enumerate(lines, start=1))


# --- what they are shown of the world -------------------------------------------------------------


def _render_system(agent: AgentName, brief: DesignBrief) -> ChatMessage:
    text = render(
        f"{agent}/system",
        rules=describe_rules(),
        environment=describe_environment(brief.card),
        task=brief.task,
        card=brief.card,
        steps=brief.steps,
        standing=brief.standing,
        choices=brief.choices,
        settable=list_settable(brief.card),
    )
    return ChatMessage("system", text)


@dataclass(frozen=True)
class Rules:
    """The reward language in words; ``metrics``: what a metric may be composed of."""

    language: str
    helpers: str
    metrics: str


def describe_rules() -> Rules:
    """Return what a program may use."""
    # Here, not above: the library needs NumPy, which the commands that only list do not.
    from reward_agent.evaluation.generic import describe_metrics
    from reward_agent.rewards.library import describe_library

    return Rules(describe_language(), describe_library(), describe_metrics())


def describe_environment(card: EnvCard) -> str:
    """Return the card as the compact class that a model reads."""
    return render_card_as_prompt(card).strip()


def describe_changes(entries: Iterable[HistoryEntry]) -> dict[str, list[str]]:
    """Return, by candidate, the lines by which its program differs from its parent's.

    A line begins with ``+`` or ``-``; the longest changes are cut. A candidate without a program,
    or whose parent is not among the entries, has none.
    """
    known = {entry.candidate.id: entry for entry in entries}
    parents = {name: known.get(entry.candidate.parent or "") for name, entry in known.items()}
    return {name: _list_changes(parents[name], entry) for name, entry in known.items()}


def _list_changes(parent: HistoryEntry | None, entry: HistoryEntry) -> list[str]:
    if entry.program is None or parent is None or parent.program is None:
        return []
    lines = difflib.unified_diff(
        _list_code(parent.program.source), _list_code(entry.program.source), lineterm="", n=0
    )
    changed = [line for line in lines if not line.startswith(("---", "+++", "@@"))]
    shown = [line[:_MAX_CHARS] for line in changed[:_MAX_LINES]]
    n_more = len(changed) - len(shown)
    return shown + ([f"({n_more} more changed lines)"] if n_more else [])


def _list_code(source: str) -> Sequence[str]:
    """Return the lines that are code: what comments and docstrings say of a change is no change."""
    parsed = parse_source(source).source
    words = set(_find_docstring_lines(parsed.tree)) if parsed else set()
    lines = enumerate((line.strip() for line in source.split("\n")), start=1)
    return [line for n, line in lines if line and not line.startswith("#") and n not in words]


def _find_docstring_lines(tree: ast.Module) -> Iterator[int]:
    for node in [tree, *tree.body]:
        if not isinstance(node, ast.Module | ast.FunctionDef) or not node.body:
            continue
        first = node.body[0]
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
            yield from range(first.lineno, (first.end_lineno or first.lineno) + 1)
