"""One browser for all tests, pages that several of them look at, a desk for commands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from desk import Desk
from showing import BROWSER, NASTY, RATIOS, Shown
from test_report import LABELS, RATE, Bands, explained, model, tones

import xplain
from xplain.report.index import found, write_index
from xplain.report.page import write_page


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """One for all tests; playwright's own is not needed."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright; make browser")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=BROWSER,
            args=["--no-sandbox", "--autoplay-policy=no-user-gesture-required"],
        )
        yield opened
        opened.close()


@pytest.fixture
def show(browser: Any) -> Iterator[Callable[..., Shown]]:
    """Open a file; at the end, no page may have logged an error or asked for anything."""
    all_shown = []

    def opened(page: Path | str, width: int = 1200, **settings: Any) -> Shown:
        """Open a page: a file, or an address."""
        address = page if isinstance(page, str) else page.as_uri()
        context = browser.new_context(viewport={"width": width, "height": 900}, **settings)
        shown = Shown(context.new_page())
        all_shown.append(shown)
        note = shown.wrong.append
        shown.tab.on("console", lambda m: note(m.text) if m.type in ("error", "warning") else None)
        shown.tab.on("pageerror", lambda e: note(str(e)))
        shown.tab.on("dialog", lambda d: (note("a dialog"), d.dismiss()))
        own = ("data:", "blob:", address)
        shown.tab.on("request", lambda r: None if r.url.startswith(own) else note(r.url))
        shown.tab.goto(address)
        return shown

    yield opened
    for shown in all_shown:
        shown.tab.context.close()
        assert shown.wrong == []


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two explanations with their pages and the table of both; one label is hostile."""
    out = tmp_path_factory.mktemp("out")
    for name, clip in (("a", tones(500, seconds=1.5)), (NASTY.replace("/", "_"), tones(1500))):
        made = explained(clip, model=model((NASTY, "high", "noise")))
        made.check()
        saved = made.save(out / name, keep=[*RATIOS, 1.0], remove=RATIOS)
        write_page(made, saved / "index.html")
    write_index(found(out), out / "index.html")
    return out


@pytest.fixture(scope="module")
def segmentation() -> xplain.Segmentation:
    """Low, silence and high; the wrong label of a minute is not known."""
    segmenter = xplain.wrap(
        Bands(gain=2.0, block=80), sample_rate=RATE, labels=LABELS, multilabel=True, frame_step=0.01
    )
    clip = torch.cat([tones(500), tones(), tones(2000), tones(500, seconds=0.25)])
    return xplain.segment(xplain.Audio(clip, RATE, "radio"), segmenter)


@pytest.fixture
def desk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Desk:
    return Desk.laid(tmp_path, monkeypatch, capsys)
