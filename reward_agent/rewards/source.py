"""Source text → syntax tree, with bounds that hold for any text whatsoever, and its scopes.

Cheap rules on the text come first (size, brackets, odd characters), then Python's own parser, then
bounds on the tree. Nothing here raises, recurses into the tree, or runs anything.
"""

from __future__ import annotations
import __future__

import ast
import re
import threading
import unicodedata
import warnings
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import CodeType
from typing import TypeVar

from reward_agent.definitions.card import EnvCard
from reward_agent.rewards.language import (
    MAX_BRACKET_DEPTH,
    MAX_LINE_CHARS,
    MAX_LINES,
    MAX_NODES,
    MAX_SOURCE_CHARS,
    MAX_TREE_DEPTH,
    REWARD_ENTRY,
    REWARD_PARAMETERS,
)
from reward_agent.text import parse_python
from reward_agent.types import Finding

Node = TypeVar("Node", bound=ast.AST)

# No part can be matched in two ways, so nothing is tried twice. Possessive quantifiers say that,
# but end too early before Python 3.11.5: https://github.com/python/cpython/issues/106052
_QUOTED = re.compile(
    r'"""[^"\\]*(?:(?:\\.|"(?!""))[^"\\]*)*"""'
    r"|'''[^'\\]*(?:(?:\\.|'(?!''))[^'\\]*)*'''"
    r'|"[^"\\\n]*(?:\\.[^"\\\n]*)*"'
    r"|'[^'\\\n]*(?:\\.[^'\\\n]*)*'"
    r"|\#[^\n]*",
    re.DOTALL,
)
# PEP 263; only UTF-8 may be declared, anything else would make another text of the file.
_COOKIE = re.compile(r"^[ \t\f]*#.*?coding[:=][ \t]*([-_.a-zA-Z0-9]+)")
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
_WARNINGS_LOCK = threading.Lock()
_SHORTER = "write less; a reward needs a page at most"


@dataclass(frozen=True)
class ParsedSource:
    """A syntax tree of bounded size, its nodes from the top down, by type, and their parents."""

    text: str
    tree: ast.Module
    order: list[ast.AST] = field(repr=False)
    nodes: dict[type[ast.AST], list[ast.AST]] = field(repr=False)
    parents: dict[ast.AST, ast.AST] = field(repr=False)

    def find(self, *kinds: type[Node]) -> Iterator[Node]:
        """Yield every node of exactly these types."""
        for kind in kinds:
            yield from self.nodes.get(kind, ())  # type: ignore[misc]

    def ancestors(self, node: ast.AST) -> Iterator[ast.AST]:
        """Yield the parent of a node, its parent, and so on up to the module."""
        while node in self.parents:
            node = self.parents[node]
            yield node


@dataclass(frozen=True)
class Parsing:
    """Outcome of parsing: a source, or the findings that say why there is none."""

    source: ParsedSource | None
    findings: tuple[Finding, ...]


def parse_source(text: str) -> Parsing:
    """Parse a program within bounds."""
    findings = tuple(_check_text(text))
    if findings:
        return Parsing(None, findings)
    tree = _parse(text)
    if isinstance(tree, Finding):
        return Parsing(None, (tree,))
    return _measure(text, tree)


def defines_reward(tree: ast.Module) -> bool:
    """Whether a file has the function of the reward language, with its parameters."""
    return any(
        isinstance(node, ast.FunctionDef)
        and node.name == REWARD_ENTRY
        and tuple(item.arg for item in node.args.args)[:3] == REWARD_PARAMETERS
        for node in tree.body
    )


def compile_tree(tree: ast.Module, file_name: str) -> CodeType:
    """Compile a tree of bounded size, without running it; annotations stay text.

    Raises:
        SyntaxError: a rule of Python that its parser leaves to its compiler is broken.
    """
    flags = __future__.annotations.compiler_flag
    with _WARNINGS_LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        code: CodeType = compile(tree, file_name, "exec", flags=flags, dont_inherit=True)
    return code


def find_read_fields(text: str, card: EnvCard) -> list[str]:
    """Return the fields that a checked program can read: those whose name it has as an attribute.

    The language has no other way to a field, so what is not named need not be extracted.
    """
    named = {node.attr for node in ast.walk(parse_python(text)) if isinstance(node, ast.Attribute)}
    return [field.name for field in card.fields if field.name in named]


def find_needed_fields(text: str, card: EnvCard) -> list[str]:
    """Return what has to be there to call a program: some field, also where it reads none."""
    return find_read_fields(text, card) or ["observation"]


def list_ingredients(text: str) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Return the attributes that a checked program reads and its numbers, each once, in order."""
    nodes = list(ast.walk(parse_python(text)))
    attributes = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    values = [node.value for node in nodes if isinstance(node, ast.Constant)]
    numbers = {float(value) for value in values if isinstance(value, int | float)}
    return tuple(sorted(attributes)), tuple(sorted(numbers))


def _parse(text: str) -> ast.Module | Finding:
    """Run Python's parser; a failure of any kind is a finding."""
    try:
        # The parser warns of odd escapes; with warnings as errors it would raise instead.
        with _WARNINGS_LOCK, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return parse_python(text)
    except SyntaxError as error:
        magic = [n for n, line in enumerate(text.split("\n"), 1) if line.lstrip()[:1] in ("%", "!")]
        if magic and error.lineno in magic:
            shown = ", ".join(map(str, magic[:12]))
            what = f"line {magic[0]} is a notebook's, not Python's"
            remedy = f"delete what begins with % or !: line{'s' if magic[1:] else ''} {shown}"
            return _refuse("notebook", what, remedy, magic[0])
        remedy = "send the whole program as Python code, without any text around it"
        line = max(error.lineno or 1, 1)
        return _refuse("syntax", f"{error.msg} (line {line})", remedy, line, error.offset)
    except (ValueError, RecursionError, MemoryError) as error:
        name = type(error).__name__
        return _refuse("syntax", f"the parser gave up: {name}", "write shorter expressions")


def _measure(text: str, tree: ast.Module) -> Parsing:
    """Walk the tree once, without recursion, and refuse it when it is too large or too deep."""
    order: list[ast.AST] = []
    parents: dict[ast.AST, ast.AST] = {}
    level: list[ast.AST] = [tree]
    count = depth = 0
    while level:
        depth += 1
        count += len(level)
        if count > MAX_NODES or depth > MAX_TREE_DEPTH:
            where = next((node for node in level if hasattr(node, "lineno")), None)
            what = (
                f"the program has more than {MAX_NODES} syntax nodes"
                if count > MAX_NODES
                else f"the expression or block is nested more than {MAX_TREE_DEPTH} levels deep"
            )
            line = getattr(where, "lineno", None)
            finding = _refuse("size", what, "write less: split it into steps or helpers", line)
            return Parsing(None, (finding,))
        following: list[ast.AST] = []
        for node in level:
            order.append(node)
            for child in ast.iter_child_nodes(node):
                if isinstance(child, ast.expr_context):
                    continue
                parents[child] = node
                following.append(child)
        level = following
    return Parsing(ParsedSource(text, tree, order, _group(order), parents), ())


def _group(order: list[ast.AST]) -> dict[type[ast.AST], list[ast.AST]]:
    """Return the nodes by type, in the order of the text."""
    nodes: dict[type[ast.AST], list[ast.AST]] = defaultdict(list)
    for node in order:
        nodes[type(node)].append(node)
    for found in nodes.values():
        found.sort(key=lambda node: (getattr(node, "lineno", 0), getattr(node, "col_offset", 0)))
    return dict(nodes)


def _check_text(text: str) -> Iterator[Finding]:
    """Yield findings on the text alone; the costlier rules only see texts of bounded size."""
    if not text.strip():
        yield _refuse("empty", "the program is empty", "define compute_reward")
        return
    if len(text) > MAX_SOURCE_CHARS:
        yield _refuse("size", f"{len(text)} characters; at most {MAX_SOURCE_CHARS}", _SHORTER)
        return
    lines = text.split("\n")
    if len(lines) > MAX_LINES:
        yield _refuse("size", f"{len(lines)} lines; at most {MAX_LINES}", _SHORTER)
        return
    longest = max(range(len(lines)), key=lambda index: len(lines[index]))
    if len(lines[longest]) > MAX_LINE_CHARS:
        what = f"{len(lines[longest])} characters in one line; at most {MAX_LINE_CHARS}"
        yield _refuse("size", what, "split it into steps", longest + 1)
        return
    yield from _check_characters(text)
    yield from _check_brackets(text)


def _check_characters(text: str) -> Iterator[Finding]:
    """Refuse invisible characters, other encodings, and letters that turn into other letters."""
    if text.isascii() and text.isprintable():
        return
    # A lone carriage return would be a line end to Python and none to a reader.
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        for column, char in enumerate(line, 1):
            if char != "\t" and unicodedata.category(char) in _INVISIBLE:
                what = f"U+{ord(char):04X} is an invisible control character"
                yield _refuse("character", what, "delete it", number, column)
                return
        cookie = _COOKIE.match(line) if number <= 2 else None
        if cookie and cookie[1].lower().replace("_", "-") not in ("utf-8", "utf8"):
            what = f"{cookie[1]}: the text declares another encoding than UTF-8"
            yield _refuse("character", what, "delete the comment", number)
            return
    if not text.isascii():
        yield from _check_look_alikes(text)


def _check_look_alikes(text: str) -> Iterator[Finding]:
    """Refuse letters outside of strings that Python reads as ASCII: fullwidth, italic and such."""
    for number, line in enumerate(_blank_quoted(text).split("\n"), 1):
        for column, char in enumerate(line, 1):
            if char > "\x7f" and unicodedata.normalize("NFKC", char).isascii():
                what = f"{char!r} is read by Python as {unicodedata.normalize('NFKC', char)!r}"
                yield _refuse("character", what, "write the plain letter", number, column)
                return


def _check_brackets(text: str) -> Iterator[Finding]:
    """Refuse deep brackets, which Python's parser takes badly."""
    depth = 0
    for number, line in enumerate(_blank_quoted(text).split("\n"), 1):
        for column, char in enumerate(line, 1):
            if char in "([{":
                depth += 1
            elif char in ")]}":
                depth -= 1
            if depth > MAX_BRACKET_DEPTH:
                what = f"brackets are nested more than {MAX_BRACKET_DEPTH} deep"
                yield _refuse("size", what, "split it into steps", number, column)
                return


def _blank_quoted(text: str) -> str:
    """Return the text with strings and comments emptied, lines kept."""
    return _QUOTED.sub(lambda match: '""' + "\n" * match[0].count("\n"), text)


def _refuse(
    rule: str, message: str, remedy: str, line: int | None = None, column: int | None = None
) -> Finding:
    return Finding(
        rule=f"text/{rule}",
        severity="error",
        message=message,
        remedy=remedy,
        line=line,
        column=column,
    )


# --- names --------------------------------------------------------------------------------------

_SCOPE_NODES = (ast.Module, ast.FunctionDef, ast.Lambda)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass(eq=False)
class Scope:
    """A module, function, lambda or comprehension, with the nodes that bind each name in it."""

    node: ast.AST
    parent: Scope | None
    bindings: dict[str, list[ast.AST]] = field(default_factory=lambda: defaultdict(list))


def _is_evaluated_outside(source: ParsedSource, node: ast.AST) -> bool:
    """Whether a node is a default, or the first iterable of a comprehension: names are outside."""
    parent = source.parents.get(node)
    if isinstance(parent, ast.arguments):
        return not isinstance(node, ast.arg)
    if isinstance(parent, ast.comprehension) and node is parent.iter:
        comprehension = source.parents[parent]
        return isinstance(comprehension, _COMPREHENSIONS) and comprehension.generators[0] is parent
    return False


class Scopes:
    """The scopes of a program; ``of`` tells in which a node stands."""

    def __init__(self, source: ParsedSource) -> None:
        self.module = Scope(source.tree, None)
        self.of: dict[ast.AST, Scope] = {}
        opened: dict[ast.AST, Scope] = {source.tree: self.module}
        for node in source.order:
            parent = source.parents.get(node)
            outer = self.module if parent is None else opened.get(parent, self.of.get(parent))
            outer = outer or self.module
            if outer.parent and _is_evaluated_outside(source, node):
                outer = outer.parent
            self.of[node] = outer
            if isinstance(node, _SCOPE_NODES[1:] + _COMPREHENSIONS):
                opened[node] = Scope(node, outer)
        for node in source.order:
            for name, scope in self._bind(node):
                scope.bindings[name].append(node)

    def find(self, name: ast.Name) -> Scope | None:
        """Return the scope that binds a name; None for a name of the language."""
        scope: Scope | None = self.of[name]
        while scope is not None and name.id not in scope.bindings:
            scope = scope.parent
        return scope

    def _bind(self, node: ast.AST) -> Iterator[tuple[str, Scope]]:
        """Yield the names that a node binds, and where."""
        scope = self.of[node]
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            yield node.id, scope
        elif isinstance(node, ast.NamedExpr) and isinstance(node.target, ast.Name):
            # An assignment expression in a comprehension binds in the function around it.
            while isinstance(scope.node, _COMPREHENSIONS) and scope.parent:
                scope = scope.parent
            yield node.target.id, scope
        elif isinstance(node, ast.arg):
            yield node.arg, scope
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name, scope
        elif isinstance(node, ast.alias):
            yield node.asname or node.name.split(".")[0], scope
