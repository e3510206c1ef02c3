"""From pages to a site: HTML, the Markdown of every page beside it, and ``llms.txt``."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from reward_agent.errors import DataError
from scripts.docs_site.pages import CONFIG, list_nav, write_pages


def build_site(folder: Path) -> Path:
    """Build the site in a folder and return where its HTML lies.

    Raises:
        DataError: a link leads nowhere, be it to a page or to a heading.
    """
    pages, site = folder / "docs", folder / "site"
    for earlier in (pages, site, folder / ".cache"):
        shutil.rmtree(earlier, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    write_pages(pages)
    shutil.copy(CONFIG, folder / CONFIG.name)
    done = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict", "-f", str(folder / CONFIG.name)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise DataError(f"the site was not built: {_find_reason(done.stdout + done.stderr)}")
    for page in site.rglob("*.html"):
        # The theme asks GitHub about a repository that a page names so; a reader did not.
        text = page.read_text(encoding="utf-8").replace(' data-md-component="source"', "")
        page.write_text(text, encoding="utf-8")
    write_texts(pages, site)
    return site


def write_texts(pages: Path, site: Path) -> None:
    """Put each page's Markdown beside its HTML, and ``llms.txt`` that lists them."""
    project = tomllib.loads(CONFIG.read_text(encoding="utf-8"))["project"]
    lines = [f"# {project['site_name']}", "", f"> {project['site_description']}"]
    last = ""
    for section, title, path in list_nav():
        text = (pages / path).read_text(encoding="utf-8")
        (site / path).write_text(text, encoding="utf-8")
        if section != last:
            lines += ["", f"## {section}", ""]
            last = section
        lines.append(f"- [{title}]({project['site_url']}{path}): {find_first_sentence(text)}")
    (site / "llms.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def find_first_sentence(text: str) -> str:
    """Return the first sentence of a page's first paragraph, as plain text."""
    blocks = (
        block.strip() for block in re.sub(r"```.*?```", "", text, flags=re.DOTALL).split("\n\n")
    )
    paragraph = next((b for b in blocks if re.match(r"[\w`\[*]", b)), "")
    plain = re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", " ".join(paragraph.split()))
    return re.split(r"(?<=[.!?])\s", plain)[0]


def _find_reason(output: str) -> str:
    """Return what zensical found, as one line without colours and frames."""
    plain = re.sub(r"\x1b\[[\d;]*m|[─-╿]", "", output).partition("Traceback")[0]
    return " ".join(plain.replace("Build started", "").split())
