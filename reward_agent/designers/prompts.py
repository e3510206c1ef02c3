"""Prompts: jinja2 templates under ``prompts/<agent>/<name>.md.j2``, rendered to text.

An input that a template names and the caller does not give is an error, never an empty string.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from reward_agent.definitions.paths import find_prompts_dir
from reward_agent.errors import DataError, UnknownNameError

if TYPE_CHECKING:
    from jinja2 import Environment

_SUFFIX = ".md.j2"


@dataclass(frozen=True)
class RenderedPrompt:
    """A prompt as it is sent."""

    name: str
    text: str

    @property
    def sha256(self) -> str:
        """Hexadecimal digest of the text."""
        return hashlib.sha256(self.text.encode("utf-8", "replace")).hexdigest()


def list_prompts() -> list[str]:
    """Return the names of all prompts, such as ``designer/first``; ``shared`` holds only parts."""
    folder = find_prompts_dir()
    names = (path.relative_to(folder).as_posix() for path in folder.rglob(f"*{_SUFFIX}"))
    return sorted(name.removesuffix(_SUFFIX) for name in names if not name.startswith("shared/"))


def render(name: str, **inputs: object) -> RenderedPrompt:
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
    return RenderedPrompt(name, text.strip() + "\n")


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
    return environment


def _format_number(value: float | None, digits: int = 3) -> str:
    """Return a number with so many significant digits, or a dash for None."""
    return "–" if value is None else f"{value:.{digits}g}"
