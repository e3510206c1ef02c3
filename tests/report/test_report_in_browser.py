"""The report in a real Chromium: without a network, without an error, open to everyone."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reward_agent.report.page import write_report

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or ""
AXE = Path(sys.prefix) / "node/node_modules/axe-core/axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# What the dark changes; all else of the page is the same.
COLOURS = ["color-contrast", "link-in-text-block"]
sync_api = pytest.importorskip(
    "playwright.sync_api", reason="no browser test: pip install playwright"
)
pytestmark = pytest.mark.skipif(
    not BROWSER, reason="no browser test: chromium is not installed (apt-get install chromium)"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=BROWSER, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def open_report(browser: Any, run_dir: Path) -> Iterator[Any]:
    """Return a function that opens the report; an error on the page fails the test."""
    problems: list[str] = []
    contexts = []

    def open_page(width: int = 1280, scheme: str = "light", bypass_csp: bool = False) -> Any:
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            offline=True,
            bypass_csp=bypass_csp,
        )
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
        page.on("requestfailed", lambda request: problems.append(request.url))
        page.goto(write_report(run_dir).as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert problems == []


def test_the_film_can_be_paused_moved_and_slowed_and_every_point_answers_the_pointer(
    open_report: Any,
) -> None:
    page = open_report()
    controls = page.locator(".film .controls")
    controls.wait_for()
    assert page.locator(".film canvas").evaluate("picture => picture.width") > 0
    controls.get_by_role("button", name="Pause").click()
    controls.get_by_role("button", name="Play").wait_for()
    controls.get_by_role("slider").fill("1000")
    controls.get_by_role("button", name="speed 1×").click()
    assert controls.get_by_role("button", name="speed 0.5×").is_visible()
    marks = page.locator("#scores svg .hit")
    assert marks.count() == 4
    marks.nth(1).scroll_into_view_if_needed()
    page.wait_for_timeout(700)  # a scroll, which is smooth, puts the words away
    marks.nth(1).hover()
    tip = page.locator("#tip")
    assert tip.is_visible()
    assert "4.4 m" in tip.inner_text()


def test_a_link_to_a_candidate_opens_it(open_report: Any) -> None:
    page = open_report()
    assert not page.locator("#c-3").evaluate("item => item.open")
    page.locator("#scores").get_by_text("Every program").click()
    page.locator("#scores a[href='#c-3']").click()
    assert page.locator("#c-3").evaluate("item => item.open")
    assert page.get_by_text("did you mean forward_velocity?").first.is_visible()


@pytest.mark.parametrize("width", [360, 820, 1280])
def test_nothing_but_tables_and_code_is_wider_than_the_screen(open_report, width: int) -> None:
    page = open_report(width)
    page.evaluate("document.querySelectorAll('details').forEach(item => { item.open = true })")
    assert page.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.parametrize(
    ("scheme", "rules", "n_least"),
    [("light", RULES, 21), ("dark", COLOURS, 1)],
    ids=["light", "dark"],
)
def test_the_page_passes_the_accessibility_check(
    open_report: Any, scheme: str, rules: list[str], n_least: int
) -> None:
    if not AXE.is_file():
        command = f"npm install --prefix {AXE.parents[2]} axe-core"
        pytest.skip(f"no accessibility check: axe-core is not installed ({command})")
    page = open_report(scheme=scheme, bypass_csp=True)
    page.evaluate("document.querySelectorAll('details').forEach(item => { item.open = true })")
    page.add_script_tag(content=AXE.read_text("utf-8"))
    result = page.evaluate("rules => axe.run(document, { runOnly: rules })", rules)
    assert len(result["passes"]) >= n_least
    found = [
        f"{item['id']}: {item['help']}: {node['html'][:160]} {node['failureSummary'][:160]}"
        for item in result["violations"]
        for node in item["nodes"]
    ]
    assert not found, "\n".join(found[:12])


def test_a_printed_report_shows_every_candidate(open_report: Any, tmp_path: Path) -> None:
    page = open_report()
    page.pdf(path=str(tmp_path / "report.pdf"), format="A4")
    assert page.locator("details:not(.long):not([open])").count() == 0
    assert (tmp_path / "report.pdf").read_bytes()[:5] == b"%PDF-"
