"""Rules on calls: keywords of the list. What a call gives is decided when it is made."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from reward_agent.rewards import language
from reward_agent.rewards.rules.context import Context
from reward_agent.rewards.rules.foreign import find_root, list_foreign, rewrite_words
from reward_agent.types import Finding

# These take names of the program's own, or have a rule of their own.
_OPEN_METHODS = frozenset({"errstate", "format", "update"})
_FIELD = re.compile(r"(\w+)(\[\d+\])?")  # NAME, or an entry of a vector


def check_keywords(context: Context) -> Iterator[Finding]:
    """Refuse keywords of functions of NumPy and of methods that are not on the list."""
    foreign = list_foreign(context)
    for call in context.source.find(ast.Call):
        function = call.func
        if not isinstance(function, ast.Attribute) or function.attr in _OPEN_METHODS:
            continue
        if find_root(context, function, foreign) or context.is_in_class(call):
            continue  # refused as a whole
        for keyword in call.keywords:
            if keyword.arg is None:
                yield context.refuse(
                    "calls/keyword",
                    keyword.value,
                    "hands unknown keywords to a function of the language",
                    "write the keywords out",
                    name="**",
                )
            elif keyword.arg not in language.KEYWORDS and not (
                keyword.arg in language.RANDOM_KEYWORDS and context.is_generator(function.value)
            ):
                yield context.refuse(
                    "calls/keyword",
                    keyword.value,
                    f"is not a keyword of the language in {context.text(function)}(…)",
                    rewrite_words(context, keyword.value)
                    or context.suggest(keyword.arg, language.KEYWORDS, other="leave it out"),
                    name=f"{keyword.arg}=",
                )


def check_named_fields(context: Context) -> Iterator[Finding]:
    """Refuse names of fields that the card lacks, in ``travel("forward_velocity", 0.8)``."""
    for call in context.source.find(ast.Call):
        if not context.is_builtin(call.func, context.dialect.metrics):
            continue
        given = [*call.args, *(keyword.value for keyword in call.keywords)]
        for item in [part for value in given for part in (*getattr(value, "elts", ()), value)]:
            if not isinstance(item, ast.Constant) or not isinstance(item.value, str):
                continue
            match = _FIELD.fullmatch(item.value)
            name = match[1] if match else item.value
            if name not in context.fields:
                yield context.refuse(
                    "calls/field",
                    item,
                    f"is not a field of {context.card.name}",
                    context.suggest(name, context.fields, other="name a field of the card"),
                )
