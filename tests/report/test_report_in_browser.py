"""The report in a real Chromium: without a network, without an error, open to everyone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.browser import find_breaches

from reward_agent.report.page import write_report


@pytest.fixture
def open_report(browser: Any, run_dir: Path) -> Iterator[Any]:
    """Return a function that opens the report; an error on the page fails the test."""
    problems: list[str] = []
    contexts = []

    def open_page(width: int = 1280, bypass_csp: bool = False) -> Any:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, offline=True, bypass_csp=bypass_csp
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


def test_the_page_passes_the_accessibility_check(open_report: Any) -> None:
    assert find_breaches(open_report(bypass_csp=True)) == []


def test_a_printed_report_shows_every_candidate(open_report: Any, tmp_path: Path) -> None:
    page = open_report()
    page.pdf(path=str(tmp_path / "report.pdf"), format="A4")
    assert page.locator("details:not(.long):not([open])").count() == 0
    assert (tmp_path / "report.pdf").read_bytes()[:5] == b"%PDF-"
