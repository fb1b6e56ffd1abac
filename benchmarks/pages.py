"""What the pages weigh and how fast they are: python benchmarks/pages.py (needs a browser).

Weights of the pages of a clip of 1 s and of 60 s with five ratios, the processor time to write them
beside that to explain, the load of a table of 2,000 explanations, and the frames per second while
30 minutes of four labels are scrolled and zoomed.
"""

from __future__ import annotations

import shutil
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from playwright.sync_api import sync_playwright

import xplain
from xplain.cli.explain import KEEP, REMOVE
from xplain.report.html import app
from xplain.report.page import write_page
from xplain.report.segments import write_page as write_recording
from xplain.segmentation.segment import Segment

ROWS, MINUTES = 2000, 30
SCROLL = """async () => {
    const frames = [], pause = () => new Promise((done) => requestAnimationFrame(done));
    const scrolled = document.querySelector(".window");
    for (let i = 0, last = performance.now(); i < 120; i++) {
        const all = globalThis.timeline?.transport.duration;
        if (all) timeline.show((i * all) / 240, all / (1 + i / 10));
        else scrolled.scrollTop += 240;
        await pause();
        const now = performance.now();
        frames.push(now - last);
        last = now;
    }
    frames.sort((a, b) => a - b);
    return [frames[60], frames[114]];
}"""


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of the processor that a call takes, and what it gives."""
    start = time.process_time()
    made = work()
    return time.process_time() - start, made


def explained(seconds: float, out: Path) -> str:
    """A clip of noise at 16 kHz: the time to explain it and to write its page, and the weight."""
    noise = torch.randn(round(16000 * seconds), generator=torch.Generator().manual_seed(0)) / 20
    model = xplain.load_model("zoo:digits")

    def work() -> xplain.Explanation:
        made = xplain.explain(xplain.Audio(noise, 16000, "noise"), model)
        made.check()
        made.save(out / f"{seconds:g}", keep=KEEP, remove=REMOVE)
        return made

    took, made = timed(work)
    writing, page = timed(lambda: write_page(made, out / f"{seconds:g}.html"))
    return (
        f"{seconds:g} s: explained in {took:.2f} s, page written in {writing:.3f} s "
        f"({writing / took:.1%}), {page.stat().st_size / 1e6:.2f} MB"
    )


def table(out: Path) -> Path:
    """The page of a folder of 2,000 explanations, of which the rows are made up."""
    small = {"values": "AH8A" * 192, "rows": 12, "columns": 48}
    kept = [[r, r] for r in KEEP]
    row = {"map": small, "kept": kept, "method": "m", "file": "f.wav", "verdict": "partly"}
    rows = [
        {**row, "name": f"clip {n}", "prediction": "a", "label": "a", "probability": n / ROWS}
        for n in range(ROWS)
    ]
    path = out / "table.html"
    path.write_text(
        app("explanations", "t", ("player.js", "table.js"), {"name": "t", "rows": rows})
    )
    return path


def recording(out: Path) -> Path:
    """The page of 30 minutes with four labels at 50 frames a second, and 1,800 segments."""
    labels = ("speech", "music", "noise", "overlap")
    frames = torch.rand(MINUTES * 3000, 4, generator=torch.Generator().manual_seed(0))
    segments = tuple(Segment(labels[n % 4], float(n), n + 0.8, 0.9) for n in range(MINUTES * 60))
    made = xplain.Segmentation(
        "radio", frames, labels, 0.02, MINUTES * 60.0, dict.fromkeys(labels, xplain.Thresholds()),
        segments, {"segmenter": {"name": "made up"}, "explanation": None},
    )  # fmt: skip
    return write_recording(made, out / "radio.html")


def main() -> None:
    """Print a line for each figure."""
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        explained(1, out / "warm")
        for seconds in (1, 60):
            print(explained(seconds, out))
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"]
            )
            for path in (table(out), recording(out)):
                tab = browser.new_page(viewport={"width": 1200, "height": 900})
                tab.goto(path.as_uri())
                tab.wait_for_function("() => document.querySelector('.rows tbody tr')")
                loaded = tab.evaluate("performance.now()")
                median, slow = tab.evaluate(SCROLL)
                print(
                    f"{path.stem}: {path.stat().st_size / 1e6:.2f} MB, shown after "
                    f"{loaded / 1000:.2f} s, {1000 / median:.0f} frames/s (slowest 5 %: "
                    f"{1000 / slow:.0f})"
                )
            browser.close()


if __name__ == "__main__":
    main()
