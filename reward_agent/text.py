"""Text and numbers as people and models read them: on one line, short, in columns."""

from __future__ import annotations

import ast
import codecs
import inspect
import re
import threading
from collections.abc import Callable, Sequence
from typing import Any

MAX_MESSAGE_CHARS = 500
# In Python before 3.11.8 two threads that parse at once may end in a SystemError.
_PARSING = threading.RLock()
# What steers a terminal, reorders what is read or is not seen: controls, surrogates, private use,
# and Unicode's Default_Ignorable_Code_Point but for the two selectors of an emoji's form. Whoever
# drops, refuses or writes out such characters means these.
_HIDDEN = re.compile(
    r"\r(?!\n)|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5"
    r"\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ud800-\uf8ff\ufe00-\ufe0d\ufeff"
    r"\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U0010ffff]"
)
WITHHELD = "[hidden]"

_ADDRESS = re.compile(r"(?i)\b([a-z][a-z0-9+.-]{0,20}:(?:\\?/){2})([^\s\"'<>`\\]+)")
# user:password@ and user@, also where the password holds a slash; host:8080/@name is none.
_USER = re.compile(r"(?:[^/?#]*@|[^/?#@:]*:(?!\d+(?:[/?#]|$))[^@]*@)+")
# The same without a scheme.
_BARE_USER = re.compile(r"(?<![\w@:.])[^\s/@:\"'(<\[]{1,99}:[^\s/@]{1,200}@(?=[\w\[])")
_SECRET = re.compile(
    r"(?i)((?<![a-z])(?:[\w-]{0,40}(?:api[-_]?key|token|secret|pass(?:w(?:or)?d|phrase)?|pwd|signature|credential"
    r"|session[-_]?id)|(?:proxy-)?authorization|auth|key|sig|x-amz-[\w-]+)[\"']?\s*[=:]\s*[\"']?"
    r"(?:(?:bearer|basic)\s+)?)(?!\s|\[hidden\]|(?:bearer|basic)\s)[^\s\"'&;,<>)]+"
)
_BEARER = re.compile(r"(?i)\b((?:bearer|basic|x-api-key)[\s:=]+)(?!\[hidden\])[\w.~+/*=-]{6,}")
# What a person's own words may hold after "the key:" or "basic"; a credential has a digit.
_PLAIN_WORD = re.compile(r"\D*|.{,5}")
_KEY_LIKE = re.compile(r"\b(?:sk|pk|key|gsk|xai|hf|ghp|glpat|xox[a-z])[-_][A-Za-z0-9_*.-]{6,}")


_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def find_encoding(data: bytes) -> str:
    """Return in which encoding of Unicode a text was saved, by its mark or by its zeros."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return encoding
    if data[:200].count(0) * 4 > len(data[:200]):
        return "utf-16-le" if data[1:2] == b"\0" else "utf-16-be"
    return "utf-8"


def decode_text(data: bytes, errors: str = "strict") -> str:
    """Return a text as any editor saved it: without its mark, with plain ends of lines.

    Args:
        data: the file.
        errors: what becomes of bytes that are no text, as in ``bytes.decode``.

    Raises:
        UnicodeDecodeError: it is no text, and ``errors`` is strict.
    """
    text = data.decode(find_encoding(data), errors)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def parse_python(source: str) -> ast.Module:
    """Return the syntax tree of a Python text, as ``ast.parse`` does, one thread at a time."""
    with _PARSING:
        return ast.parse(source)


def parse_expression(source: str) -> ast.expr:
    """Return the syntax tree of a Python expression, in the same manner."""
    with _PARSING:
        return ast.parse(source, mode="eval").body


def read_docstring(thing: Callable[..., Any]) -> str:
    """Return the docstring of a function or class, from its source where Python drops it (-OO)."""
    if thing.__doc__ is None:
        [node] = parse_python(inspect.getsource(thing)).body
        assert isinstance(node, ast.FunctionDef | ast.ClassDef)
        return ast.get_docstring(node) or ""
    return inspect.cleandoc(thing.__doc__)


def name_round(iteration: int) -> str:
    """Return what people call an iteration: they count rounds from 1, folders from 0."""
    return f"round {iteration + 1}"


def clean_text(text: str, limit: int = MAX_MESSAGE_CHARS) -> str:
    """Return text on one line, without what hides or steers, at most ``limit`` long."""
    kept = _HIDDEN.sub("", re.sub(r"[\n\t\r]", " ", text[: 4 * limit]))
    return kept if len(kept) <= limit else kept[: limit - 1] + "…"


def has_hidden(text: str) -> bool:
    """Whether a text has characters that hide or steer."""
    return _HIDDEN.search(text) is not None


def show_hidden(text: str, quote: Callable[[str], str] = ascii) -> str:
    r"""Return text with the characters that hide or steer written out, as in ``\u202e``.

    Args:
        text: what a file, a model or a stranger said.
        quote: how one such character is written, in quotes.
    """
    return _HIDDEN.sub(lambda match: quote(match[0])[1:-1], text)


def hide_credentials(text: str, *, keeps_words: bool = False) -> str:
    """Return text without credentials: of each address it keeps scheme, host and path alone.

    User and password, query and fragment of addresses go; so does what stands behind a word such
    as ``token=``, and what looks like a key.

    Args:
        text: what may hold some.
        keeps_words: whether what may as well be plain English stays, as in "the key: stand"; for
            what a person says.
    """

    def hide(found: re.Match[str]) -> str:
        rest = found.string[found.end(1) : found.end()]
        is_word = found[1].rstrip("\"'")[-1:].isspace() and _PLAIN_WORD.fullmatch(rest)
        return found[0] if keeps_words and is_word else f"{found[1]}{WITHHELD}"

    text = _ADDRESS.sub(lambda found: found[1] + _strip_address(found[2]), text)
    text = _BARE_USER.sub("", text)
    return _KEY_LIKE.sub(WITHHELD, _BEARER.sub(hide, _SECRET.sub(hide, text)))


def hide_in_words(text: str) -> str:
    """Return what a person says without credentials."""
    return hide_credentials(text, keeps_words=True)


def hide_in_data(data: Any) -> Any:
    """Return JSON data without the credentials in its texts, but for those of programs."""
    if isinstance(data, str):
        return hide_in_words(data)
    if isinstance(data, dict):
        return {key: data[key] if key == "program" else hide_in_data(data[key]) for key in data}
    return [hide_in_data(item) for item in data] if isinstance(data, list) else data


def shorten_data(data: Any, chars: int = 2000, items: int = 100, depth: int = 6) -> Any:
    """Return JSON data of a stranger's as much as somebody reads: texts, lists and depth cut."""
    if isinstance(data, str):
        return data if len(data) <= chars else data[: chars - 1] + "…"
    if isinstance(data, dict | list) and not depth:
        return "…"
    if isinstance(data, dict):
        kept = list(data.items())[:items]
        return {key[:chars]: shorten_data(one, chars, items, depth - 1) for key, one in kept}
    if isinstance(data, list):
        return [shorten_data(one, chars, items, depth - 1) for one in data[:items]]
    return data


def _strip_address(rest: str) -> str:
    user = _USER.match(rest)
    host = rest[user.end() :] if user else rest
    return re.split(r"[?#]", host, maxsplit=1)[0]


def format_number(value: float | None) -> str:
    """Return a number with three significant digits, without an exponent where one can do."""
    if value is None:
        return "-"
    if value == 0 or abs(value) < 5e-5:
        return "0"
    if abs(value) >= 999.5:
        return f"{value:.0f}"
    text = f"{value:.3g}"
    return f"{value:.4f}" if "e" in text else text


def format_share(share: float | None) -> str:
    """Return 0.123 as ``12%``; a share that is not quite nothing as ``<1%``."""
    if share is None:
        return "-"
    if 0 < share < 0.01:
        return "<1%"
    return f"{100 * share:.0f}%"


def count(n: int, one: str, many: str = "") -> str:
    """Return a number with its noun: ``1 program``, ``2 programs``."""
    return f"{n} {one if n == 1 else many or one + 's'}"


def format_steps(steps: int) -> str:
    """Return 120000 as ``120k``."""
    return f"{steps / 1000:.0f}k" if steps >= 1000 else str(steps)


def render_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return aligned columns: the first to the left, the others to the right."""
    lines = [list(header), *map(list, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
