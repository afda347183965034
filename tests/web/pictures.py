"""Takes the pictures of the docs: `python -m tests.web.pictures HOME SQUEEZENET.onnx [NAME...]`.

HOME is a folder for a hub; it is filled as a team's the first time, and looked at as it is from then on.
"""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from tests.conftest import PROJECT
from tests.web.screenshots import CHROMIUM, QUIET, signed_in
from tests.web.serving import Running, running
from tests.web.team import furnish

FOLDER = PROJECT / "docs" / "images"
LARGEST = 200_000
WIDE, HIGH, NARROW = 1360, 850, 390
PAGES = {
    "models": "/models",
    "model": "/models/{classifier}",
    "new-model": "/models/new",
    "platforms": "/models/{classifier} convert",
    "convert": "/instances/{classifier source}/convert/rvc4",
    "quick": "/quick/{classifier source}",
    "matrix": "/instances/{classifier source}/matrix",
    "conversions": "/conversions",
    "job": "/jobs/{job rvc4}",
    "failure": "/jobs/{job failed}",
    "waiting": "/jobs/{job waiting}",
    "instance": "/instances/{made rvc4}",
    "camera": "/instances/{made rvc2}?tab=camera",
    "recipe": "/instances/{made rvc2}?tab=recipe",
    "compare": "/compare?a={made rvc4}&b={made fp16}",
    "graph": "/instances/{classifier source}/graph?wait=true",
    "colours": "/instances/{classifier source}/colours",
    "datasets": "/datasets",
    "dataset": "/datasets/{day}",
    "toolchains": "/toolchains",
    "keys": "/keys",
    "troubleshooting": "/troubleshooting",
    "session": "/session",
}
ON_A_PHONE = ("model", "failure", "instance")


def main(home: Path, classifier: Path, names: list[str]) -> None:
    """All pictures, or those that are named."""
    with running(home) as hub:
        ids = _known(hub, home, classifier)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
            for theme, width in (("light", WIDE), ("dark", WIDE), ("light", NARROW)):
                _round(browser, hub, ids, names or list(PAGES), theme=theme, width=width)
            browser.close()


def _known(hub: Running, home: Path, classifier: Path) -> dict[str, str]:
    kept = home / "ids.json"
    if not kept.exists():
        kept.write_text(json.dumps({**furnish(hub, home, classifier.read_bytes()), "key": hub.key}))
    found: dict[str, str] = json.loads(kept.read_text())
    hub.key = found["key"]  # which a hub tells at its first start alone
    return found


def _round(browser: Browser, hub: Running, ids: dict[str, str], names: list[str], *, theme: str, width: int) -> None:
    context = signed_in(browser, hub.url, hub.key, width=width, theme=theme)
    page = context.new_page()
    page.set_viewport_size({"width": width, "height": HIGH})
    for name in names if width == WIDE else [name for name in names if name in ON_A_PHONE]:
        _open(page, PAGES[name].format_map(ids))
        end = "phone" if width == NARROW else theme
        _keep(page.screenshot(), FOLDER / f"{name}-{end}.webp")
    context.close()


def _open(page: Page, address: str) -> None:
    path, _, button = address.partition(" ")
    page.goto(path, timeout=180_000)
    page.wait_for_load_state("networkidle", timeout=180_000)
    if button:
        page.locator(f"[data-dialog='#{button}']").first.click()
        page.locator(f"#{button} h3").first.wait_for()
    if path.startswith("/datasets/"):
        page.locator(".stats").first.wait_for(timeout=180_000)
    if "/graph" in path:
        page.frame_locator("iframe").get_by_text("Conv", exact=True).first.wait_for(timeout=180_000)
    page.wait_for_timeout(500)


def _keep(picture: bytes, place: Path) -> None:
    """As good as fits."""
    place.parent.mkdir(parents=True, exist_ok=True)
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    for quality in (92, 85, 75, 60):
        image.save(place, quality=quality, method=6)
        if place.stat().st_size < LARGEST:
            break


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
