"""Rules on calls: keywords of the list. What a call gives is decided when it is made."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from reward_agent.rewards import language
from reward_agent.rewards.rules.context import Context
from reward_agent.types import Finding

# These take names of the program's own, or have a rule of their own.
_OPEN_METHODS = frozenset({"errstate", "format", "update"})


def check_keywords(context: Context) -> Iterator[Finding]:
    """Refuse keywords of functions of NumPy and of methods that are not on the list."""
    for call in context.source.find(ast.Call):
        function = call.func
        if not isinstance(function, ast.Attribute) or function.attr in _OPEN_METHODS:
            continue
        for keyword in call.keywords:
            if keyword.arg is None:
                yield context.refuse(
                    "calls/keyword",
                    keyword.value,
                    "hands unknown keywords to a function of the language",
                    "write the keywords out",
                    name="**",
                )
            elif keyword.arg not in language.KEYWORDS:
                yield context.refuse(
                    "calls/keyword",
                    keyword.value,
                    f"is not a keyword of the language in {context.text(function)}(…)",
                    context.suggest(keyword.arg, language.KEYWORDS, other="leave it out"),
                    name=f"{keyword.arg}=",
                )
