"""The page in a real Chromium, over a real run, with a real training behind it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.browser import find_breaches

# Asked at each frame, as it is else, a page is drawn all the time that a training takes.
OFTEN_MS = 100


@pytest.fixture(scope="module")
def context(browser: Any) -> Iterator[Any]:
    # Else a dot that pulses and films that play have the page drawn all the time.
    context = browser.new_context(bypass_csp=True, reduced_motion="reduce")
    yield context
    context.close()


@pytest.fixture
def page(context: Any, server: Any) -> Iterator[Any]:
    """The open page; an error of its scripts, or a breach of its policy, fails the test."""
    problems: list[str] = []
    page = context.new_page()
    page.set_default_timeout(20_000)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
    page.goto(server.url)
    page.wait_for_selector("#tree .leaf")
    yield page
    page.close()
    # The last two: a click that comes before the answer to the one before it.
    expected = (
        "422", "ERR_INCOMPLETE_CHUNKED_ENCODING", "htmx:sendAbort", "htmx:afterRequest",
    )  # fmt: skip
    found = [text for text in problems if not any(mark in text for mark in expected)]
    assert not found, found


def test_without_the_token_the_page_stays_shut(context: Any, server: Any) -> None:
    context.clear_cookies()
    page = context.new_page()
    response = page.goto(f"http://127.0.0.1:{server.port}/")
    assert response.status == 403
    assert page.locator("#tree").count() == 0
    page.close()


def test_the_token_opens_it_and_leaves_the_address(page: Any, server: Any) -> None:
    assert page.url == f"http://127.0.0.1:{server.port}/"
    assert page.locator("#tree button.leaf").count() >= 2
    assert page.locator("h1").inner_text() != ""


def test_a_video_plays(page: Any) -> None:
    page.emulate_media(reduced_motion="no-preference")
    page.reload()
    # A WebP is drawn on a canvas, so that it can be paused.
    image = page.locator("#stage .film :is(canvas, video):visible, #stage .film img:visible").first
    image.wait_for()
    page.wait_for_function(
        """() => [...document.querySelectorAll("#stage .film :is(canvas, img, video)")].some(
        (film) => (film.naturalWidth || film.videoWidth || film.width || 0) > 100)"""
    )
    # Of the page, not of the picture: the page may be drawn anew meanwhile.
    box = image.bounding_box()
    first = page.screenshot(clip=box, full_page=True)
    page.wait_for_timeout(700)
    assert page.screenshot(clip=box, full_page=True) != first, "the picture does not move"


def test_a_vote_by_key_changes_the_ratings(page: Any) -> None:
    page.click("text=Compare")
    page.wait_for_selector("#vote")
    before = page.locator("h3", has_text="Ratings").inner_text()
    page.keyboard.press("a")
    page.wait_for_function(
        "(before) => document.querySelector('#stage h3').innerText !== before", arg=before
    )
    assert page.locator(".ratings tbody tr").count() >= 2
    page.locator("#chat", has_text="over").wait_for()


def test_a_program_with_an_error_shows_the_finding_at_its_line(page: Any) -> None:
    page.locator("#tree button.leaf").first.click()
    page.click("text=Edit the program")
    editor = page.locator("#program")
    editor.wait_for()
    # Faster than a person: what is typed before the page has wired the editor goes unseen.
    page.locator(".htmx-settling").first.wait_for(state="detached")
    editor.fill(editor.input_value().replace("pole_angle", "pole_angel"))
    remark = page.locator("#findings .remark.error")
    remark.first.wait_for()
    assert "pole_angle" in remark.first.inner_text()
    number = page.evaluate(
        "document.querySelector('#findings .remark.error').previousElementSibling.dataset.n"
    )
    lines = editor.input_value().split("\n")
    assert "pole_angel" in lines[int(number) - 1]
    page.click("text=Check and train")
    page.locator("#findings .bad-note").wait_for()
    assert "changed the program" not in page.locator("#chat").inner_text()


def test_feedback_starts_a_training_whose_progress_is_seen_live(page: Any, server: Any) -> None:
    front = page.locator("#status code").first.inner_text()
    page.fill("#description", "It wobbles.")
    page.fill("#wish", "Hold it still.")
    page.click("text=Send and train")
    page.locator("#chat .me", has_text="It wobbles.").wait_for()
    bar = page.locator("#jobs progress")
    bar.wait_for(timeout=60_000)
    seen = page.wait_for_function(
        """() => { const bar = document.querySelector('#jobs progress');
        return bar && bar.value > 0 && bar.value / bar.max; }""",
        timeout=60_000,
        polling=OFTEN_MS,
    )
    assert 0 < seen.json_value() <= 1
    page.locator("#jobs button", has_text="Pin").first.click()
    page.locator("#steered", has_text="pinned").wait_for()
    page.fill("#words", "Softer.")
    page.locator("#tell button").click()
    page.locator("#steered", has_text="Softer.").wait_for()
    page.locator("#chat .it button", has_text="").first.wait_for(timeout=90_000)
    page.wait_for_function(
        "(front) => document.querySelector('#status code').innerText !== front",
        arg=front,
        timeout=30_000,
        polling=OFTEN_MS,
    )
    assert page.locator("#description").input_value() == ""
    page.locator("#stage figcaption", has_text="before").wait_for()


def test_it_fits_a_phone(page: Any) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    for tab in ("Watch", "Compare", "Metric"):
        page.click(f".tab:has-text('{tab}')")
        page.wait_for_timeout(300)
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= 390, f"{tab} is {width} px wide: {find_widest(page)}"


def test_every_tab_passes_the_accessibility_check(page: Any) -> None:
    for tab in ("Compare", "Metric", "Watch"):
        page.click(f".tab:has-text('{tab}')")
        page.locator(".htmx-request, .htmx-settling").first.wait_for(state="detached")
        assert find_breaches(page) == [], tab


def find_widest(page: Any) -> str:
    return page.evaluate(
        """[...document.querySelectorAll("#stage *")].filter(e =>
        e.getBoundingClientRect().right > 391).map(e => e.outerHTML.slice(0, 80)).slice(0, 3).join()"""
    )


def test_an_empty_remark_is_answered_in_words(page: Any, tmp_path: Path) -> None:
    page.click("text=Send and train")
    problem = page.locator("#problem")
    problem.wait_for()
    assert "the remark is empty" in problem.inner_text()
