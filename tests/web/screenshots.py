"""Takes pictures of pages in Debian's Chromium: `python -m tests.web.screenshots URL KEY FOLDER PATH...`.

Each page is taken wide and narrow, light and dark. Used to look at the pages, and for the docs.
"""

from __future__ import annotations

import re
import shutil
import sys
from functools import cache
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from oakmill.hub.sessions import COOKIE

CHROMIUM = next((path for name in ("chromium-headless-shell", "chromium") if (path := shutil.which(name))), "")
"""Of one source; that without its windows needs less than half of the processor's time."""
QUIET = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
LOOKS = (("wide-light", 1360, "light"), ("wide-dark", 1360, "dark"), ("narrow-light", 390, "light"))


def signed_in(
    browser: Browser, url: str, key: str, *, width: int = 1360, theme: str = "light", **options: Any
) -> BrowserContext:
    """A browser's window with a session of that key; nothing moves in it, for to draw that takes a third of a core."""
    options.setdefault("reduced_motion", "reduce")
    viewport: Any = {"width": width, "height": 900}
    context = browser.new_context(viewport=viewport, base_url=url, color_scheme=theme, **options)  # type: ignore[arg-type]
    context.add_cookies([{"name": COOKIE, "value": session(url, key), "url": url, "httpOnly": True}])
    return context


@cache
def session(url: str, key: str) -> str:
    """The cookie of a session, as the page that asks for a key sets it."""
    answer = httpx.post(f"{url}/session", data={"key": key}, trust_env=False)
    return answer.cookies[COOKIE]


def take(page: Page, path: str, place: Path) -> None:
    """A picture of the whole page."""
    page.goto(path)
    page.wait_for_load_state("networkidle")
    page.screenshot(path=place, full_page=True)


def main(url: str, key: str, folder: Path, paths: list[str]) -> None:
    """All pages in all looks."""
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        for look, width, theme in LOOKS:
            context = signed_in(browser, url, key, width=width, theme=theme)
            page = context.new_page()
            page.on("console", lambda message: print(message.type, message.text) if message.type == "error" else None)
            for path in paths:
                name = re.sub(r"\W+", "-", path).strip("-") or "home"
                take(page, path, folder / f"{name}-{look}.png")
            context.close()
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), sys.argv[4:])
