"""The pictures of the README, of today's pages: python docs/pictures.py (needs a browser).

page.webp is a recording of ten seconds of play, page.png and radio.png are screenshots; all are of
what ``xplain demo`` writes.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

HERE = Path(__file__).parent
SECONDS, RATE, WIDE = 10.0, 10, 800
"""Of the recording, its frames a second and its pixels."""
DRAWN = "(now) => { globalThis.now = now; timeline.tick(); }"
PLAYED = (
    (0.5, " "), (1.8, "2"), (3.0, "ArrowDown"), (4.2, "3"), (5.2, "ArrowUp"), (6.0, "ArrowUp"),
    (6.8, "dark"), (7.6, "1"), (8.4, "+"), (9.2, "4"),
)  # fmt: skip
"""When which key is pressed; "dark" presses the button."""


def screenshot(browser: Browser, page: Path, name: str, height: int, colours: str) -> Page:
    """Take a picture of the upper part of a page, kept at a tenth or with a segment chosen."""
    context = browser.new_context(
        viewport={"width": 1120, "height": height}, color_scheme=colours, device_scale_factor=1.25
    )
    tab = context.new_page()
    tab.goto(page.as_uri())
    tab.wait_for_function("() => document.querySelector('.timeline') && globalThis.timeline")
    if page.name == "radio.html":
        tab.click(".rows tbody button >> nth=10")
        tab.wait_for_timeout(1500)
        tab.click(".play")
        tab.evaluate("scrollTo(0, 0)")
    else:
        tab.keyboard.press("2")
        tab.evaluate("transport.seek(0.35)")
    tab.wait_for_timeout(1500)
    tab.screenshot(path=HERE / name)
    with Image.open(HERE / name) as shot:
        shot.convert("RGB").quantize(192).save(HERE / name, optimize=True)
    return tab


CLOCK = """Object.defineProperty(BaseAudioContext.prototype, "currentTime", {
    get: () => globalThis.now ?? 0 })"""
"""The clock of the sound stands between frames, so that a slow machine takes the same pictures."""


def recording(browser: Browser, page: Path) -> None:
    """Record SECONDS of play, frame by frame."""
    context = browser.new_context(viewport={"width": 1120, "height": 940}, color_scheme="light")
    context.add_init_script(CLOCK)
    tab = context.new_page()
    tab.goto(page.as_uri())
    tab.wait_for_function("() => globalThis.transport && transport.buffers[0]")
    tab.select_option(".player select", "0.5")
    tab.evaluate("transport.setLoop([0, transport.duration])")
    tab.wait_for_timeout(1500)
    pictures, played = [], list(PLAYED)
    for frame in range(round(SECONDS * RATE)):
        moment = frame / RATE
        while played and played[0][0] <= moment:
            key = played.pop(0)[1]
            if key == "dark":
                tab.click(".preferences button")
            else:
                tab.keyboard.press(key)
            tab.wait_for_timeout(400)
        tab.evaluate(DRAWN, moment)
        with Image.open(io.BytesIO(tab.screenshot())) as whole:
            size = WIDE, round(whole.height * WIDE / whole.width)
            pictures.append(whole.convert("RGB").resize(size, Image.Resampling.LANCZOS))
    pictures[0].save(
        HERE / "page.webp", save_all=True, append_images=pictures[1:], duration=1000 // RATE,
        loop=0, quality=55, method=4,
    )  # fmt: skip
    weight = (HERE / "page.webp").stat().st_size / 1e6
    print(f"page.webp: {len(pictures)} frames, {len(pictures) / RATE:.1f} s, {weight:.2f} MB")


def main() -> None:
    """Run the demo and take the pictures."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        demo = [str(Path(sys.executable).with_name("xplain")), "demo", "--out", folder]
        subprocess.run(demo, check=True, capture_output=True)
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--autoplay-policy=no-user-gesture-required"],
        )
        page = Path(folder) / "digits" / "index.html"
        screenshot(browser, page, "page.png", 1000, "dark")
        screenshot(browser, Path(folder) / "radio.html", "radio.png", 1000, "light")
        recording(browser, page)
        browser.close()


if __name__ == "__main__":
    main()
