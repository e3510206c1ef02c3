"""The site's pages, from the Markdown of the repository.

A page reads well on a host of repositories, too: its links are paths between files. In the site a
link to another page stays one, and a link to any other file leads to the repository.
"""

from __future__ import annotations

import os
import re
import shutil
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from reward_agent.errors import DataError
from scripts.docs_site import answers, gallery, reference

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "zensical.toml"
# Pages that lie elsewhere in the repository, and where the site has them.
ELSEWHERE = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "envs/README.md": "reference/environments.md",
    "benchmarks/films/README.md": "results/judge.md",
}
# What is written from the program itself stands in a page where its mark is.
GENERATED: dict[str, Callable[[], str]] = {
    "answers": answers.render_answers,
    "commands": reference.render_commands,
    "settings": reference.render_settings,
    "functions": reference.render_functions,
    "gallery": gallery.render_gallery,
}
_MARK = re.compile(r"^<!-- generated: (\w+) -->$", re.MULTILINE)
_CODE = re.compile(r"(^ *```.*?^ *```|`[^`\n]+`)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"""(\]\(|\b(?:src|href|poster)=")([^)"\s#]+)(?=[#)"])""")


@dataclass(frozen=True)
class Page:
    """One page: the file that it is written in, and its path in the site."""

    source: Path
    path: str


def list_pages() -> list[Page]:
    """Return every page, those of ``docs/`` first."""
    docs = ROOT / "docs"
    own = [Page(path, _rename(path.relative_to(docs))) for path in sorted(docs.rglob("*.md"))]
    return own + [Page(ROOT / source, path) for source, path in ELSEWHERE.items()]


def list_nav() -> list[tuple[str, str, str]]:
    """Return section, title and path of every page in the order of the navigation."""
    rows = []
    for section in tomllib.loads(CONFIG.read_text(encoding="utf-8"))["project"]["nav"]:
        [(title, entry)] = section.items()
        for child in [{title: entry}] if isinstance(entry, str) else entry:
            [(name, path)] = child.items()
            rows.append((title, name, path))
    return rows


def write_pages(folder: Path) -> None:
    """Write all pages and what they show into a folder.

    Raises:
        DataError: a link leads to a file that is not there.
    """
    shutil.copytree(ROOT / "docs", folder, ignore=shutil.ignore_patterns("*.md", "notebooks"))
    gallery.write_films(folder)
    places = {page.source: page.path for page in list_pages()}
    for page in list_pages():
        target = folder / page.path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(render_page(page, places), encoding="utf-8")


def render_page(page: Page, places: dict[Path, str]) -> str:
    """Return a page's text with the links of the site, and what is generated in it."""
    parts = _CODE.split(page.source.read_text(encoding="utf-8"))
    parts[::2] = [
        _LINK.sub(lambda found: found[1] + _point(found[2], page, places), part)
        for part in parts[::2]
    ]
    # Hosts of repositories want a bar in code in a table escaped, Python-Markdown does not.
    parts[1::2] = [part if "\n" in part else part.replace("\\|", "|") for part in parts[1::2]]
    return _MARK.sub(lambda found: GENERATED[found[1]](), "".join(parts))


def _rename(path: Path) -> str:
    return path.with_name("index.md").as_posix() if path.name == "README.md" else path.as_posix()


def _point(link: str, page: Page, places: dict[Path, str]) -> str:
    """Return where a link of a page leads in the site."""
    if "://" in link or link.startswith("mailto:"):
        return link
    target = Path(os.path.normpath(page.source.parent / link))
    if not target.exists():
        raise DataError(f"{page.source.relative_to(ROOT)}: {link} leads nowhere")
    inside = places.get(target)
    # Hosts of repositories show a notebook as it is meant to look.
    is_shown = target.is_file() and target.suffix != ".ipynb"
    if inside is None and is_shown and target.is_relative_to(ROOT / "docs"):
        inside = target.relative_to(ROOT / "docs").as_posix()
    if inside is not None:
        return os.path.relpath(inside, Path(page.path).parent)
    kind = "tree" if target.is_dir() else "blob"
    return f"{_get_repository()}/{kind}/main/{target.relative_to(ROOT).as_posix()}"


def _get_repository() -> str:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["urls"]["Source"])
