"""The pages are a site whose links lead somewhere, and whose commands are commands."""

from __future__ import annotations

import ast
import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
from support.browser import find_breaches

from benchmarks.__main__ import BENCHMARKS
from reward_agent.cli.app import app
from reward_agent.errors import DataError
from reward_agent.records.settings import RunSettings
from scripts.docs_site import pages, reference
from scripts.docs_site.build import build_site, find_first_sentence

PAGES = pages.list_pages()
BLOCK = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_site(tmp_path_factory.mktemp("docs"))


def test_every_page_is_in_the_navigation_and_built(site: Path) -> None:
    listed = [path for _, _, path in pages.list_nav()]
    assert sorted(listed) == sorted(page.path for page in PAGES)
    assert [p for p in listed if not (site / p).with_suffix(".html").is_file()] == []


def test_each_page_lies_beside_its_html_as_markdown_and_in_llms_txt(site: Path) -> None:
    told = (site / "llms.txt").read_text()
    for _, title, path in pages.list_nav():
        assert (site / path).read_text().startswith("# "), path
        assert re.search(rf"- \[{re.escape(title)}\]\(https://\S+/{path}\): .*\w", told), path


def test_no_page_asks_another_machine_for_anything(site: Path) -> None:
    for page in site.rglob("*.html"):
        asked = re.findall(
            r"""<(?:script|img|link rel="(?!canonical)\w+")[^>]+"(https?://[^"]+)""",
            page.read_text(),
        )
        assert asked == [], page


def test_the_head_of_every_column_says_what_it_holds(site: Path) -> None:
    empty = [page.name for page in site.rglob("*.html") if "<th></th>" in page.read_text()]
    assert empty == []


@pytest.mark.slow
def test_a_page_passes_the_accessibility_check_and_asks_nobody(site: Path, browser: Any) -> None:
    page = browser.new_page(bypass_csp=True)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto((site / "results/gallery.html").as_uri())
    assert find_breaches(page) == []
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    page.close()


def test_link_that_leads_nowhere_is_named(tmp_path: Path) -> None:
    page = pages.Page(pages.ROOT / "docs" / "made_up.md", "made_up.md")
    with pytest.raises(DataError, match=r"docs/made_up\.md: no/such\.md leads nowhere"):
        pages._point("no/such.md", page, {})


def test_links_lead_to_pages_files_and_the_repository() -> None:
    page = pages.Page(pages.ROOT / "docs" / "how-to" / "x.md", "how-to/x.md")
    places = {p.source: p.path for p in PAGES}
    assert pages._point("../../envs/README.md", page, places) == "../reference/environments.md"
    assert pages._point("../../README.md", page, places) == "../index.md"
    assert pages._point("../../pyproject.toml", page, places).endswith("/blob/main/pyproject.toml")
    notebook = "../notebooks/design.ipynb"
    assert pages._point(notebook, page, places).endswith("/blob/main/docs/notebooks/design.ipynb")
    assert pages._point("../extra.css", page, places) == "../extra.css"
    assert pages._point("../../scripts", page, places).endswith("/tree/main/scripts")
    assert pages._point("https://example.org", page, places) == "https://example.org"


def test_the_reference_has_every_command_and_every_setting() -> None:
    commands, settings = reference.render_commands(), reference.render_settings()
    for name in RunSettings.model_fields:
        assert f"| `{name}` |" in settings
        assert f"--{name.replace('_', '-')}" in commands
    for name in ("demo", "design", "runs compare", "envs init", "bench run", "keys set"):
        assert f"## `reward-agent {name}`" in commands
    of_design = commands.split("## `reward-agent design`")[1].split("\n## ")[0]
    for title, first in (("Options", "env"), ("Search", "preset"), ("Language model", "provider")):
        assert f"**{title}**:\n\n* `--{first} " in of_design


def test_the_page_of_installing_has_every_extra() -> None:
    project = tomllib.loads((pages.ROOT / "pyproject.toml").read_text())["project"]
    page = (pages.ROOT / "docs" / "install.md").read_text()
    rows = "".join(re.findall(r"^\| (`.+?) \|", page, re.MULTILINE))
    assert [extra for extra in project["optional-dependencies"] if f"`{extra}`" not in rows] == []


def test_the_reference_has_every_function_with_its_parameters() -> None:
    text = reference.render_functions()
    assert "### design\n" in text
    assert "    accept_unseen: bool = False,\n" in text
    assert "- `UndecidedError`: " in text


def test_a_first_sentence_is_plain_words() -> None:
    page = "# Title\n\n![film](film.webp)\n\n```sh\nx\n```\n\nRead [this](a.md): it\nhelps. More.\n"
    assert find_first_sentence(page) == "Read this: it helps."


def list_commands(text: str) -> list[str]:
    """Return the commands of a page: lines of its blocks, and those in a sentence."""
    found = []
    for language, block in BLOCK.findall(text):
        mark = "" if language in ("sh", "bash") else r"\$ "
        lines = block.replace("\\\n", " ").splitlines()
        found += [line for line in lines if re.match(rf" *{mark}reward-agent\b", line)]
    inline = re.findall(r"`(reward-agent [^`\n]+)`", BLOCK.sub("", text))
    found += [command for command in inline if not re.search(r"[\[…|]|COMMAND", command)]
    return [command.strip().removeprefix("$ ") for command in found]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path)
def test_every_example_of_a_page_can_be_parsed(page: pages.Page) -> None:
    for language, block in BLOCK.findall(page.source.read_text()):
        parse = {"python": ast.parse, "toml": tomllib.loads, "json": json.loads}.get(language)
        if parse is not None:
            parse(block)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path)
def test_every_command_of_a_page_is_one(page: pages.Page) -> None:
    if page.path == "changelog.md":
        pytest.skip("says what was")
    for line in list_commands(page.source.read_text()):
        command, words = typer.main.get_command(app), shlex.split(line, comments=True)[1:]
        while words and words[0] in getattr(command, "commands", {}):
            command = command.commands[words.pop(0)]
        context = typer.Context(command, info_name="reward-agent")
        parser = command.make_parser(context)
        _, left, _ = parser.parse_args([word.strip("[]") for word in words])
        assert left == [], line


def test_every_script_of_a_page_is_one() -> None:
    texts = [page.source.read_text() for page in PAGES if page.path != "changelog.md"]
    scripts = {name for text in texts for name in re.findall(r"\bscripts/(\w+)\b(?!/)", text)}
    benchmarks = {name for text in texts for name in re.findall(r"scripts/bench ([a-z]+)", text)}
    assert [name for name in scripts if not (pages.ROOT / "scripts" / name).is_file()] == []
    assert benchmarks <= set(BENCHMARKS)
