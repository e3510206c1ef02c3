"""A real Chromium, and what an accessibility check finds on a page in it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""
AXE = Path(sys.prefix) / "node/node_modules/axe-core/axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
# What a phone by night changes; all else of a page is the same as on a laptop by day.
OF_NIGHT = ["color-contrast", "link-in-text-block", "target-size", "scrollable-region-focusable"]
SCREENS = ((1366, "light", RULES), (390, "dark", OF_NIGHT))

_RUN = "rules => axe.run(document, { runOnly: rules, resultTypes: ['violations'] })"
# Colours fade from one scheme to the other.
_IS_STILL = """() => document.getAnimations().every(
    (item) => item.playState !== "running" || item.effect.getTiming().iterations === Infinity)"""


@contextmanager
def open_browser() -> Iterator[Any]:
    """Yield a browser; the test is skipped where there is none."""
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="no browser test: pip install playwright"
    )
    if not CHROMIUM:
        pytest.skip("no browser test: chromium is not installed (apt-get install chromium)")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


def find_breaches(page: Any) -> list[str]:
    """Return what the accessibility check finds on a page, everything unfolded, on both screens.

    Its context has to be one that bypasses the page's content security policy.
    """
    if not AXE.is_file():
        command = f"npm install --prefix {AXE.parents[2]} axe-core"
        pytest.skip(f"no accessibility check: axe-core is not installed ({command})")
    page.evaluate("document.querySelectorAll('details').forEach(item => { item.open = true })")
    page.add_script_tag(content=AXE.read_text("utf-8"))
    found = []
    for width, scheme, rules in SCREENS:
        page.set_viewport_size({"width": width, "height": 844})
        page.emulate_media(color_scheme=scheme)
        page.wait_for_timeout(100)
        page.wait_for_function(_IS_STILL)
        result = page.evaluate(_RUN, rules)
        assert result["passes"]
        found += [
            f"{width} {scheme}: {item['id']}: {node['html'][:160]} {node['failureSummary'][:160]}"
            for item in result["violations"]
            for node in item["nodes"]
        ]
        wide = page.evaluate("document.documentElement.scrollWidth")
        found += [f"{wide} px wide on a screen of {width}"] if wide > width else []
    return found[:12]
