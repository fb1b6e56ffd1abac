"""Pages where they are strangers: in notebooks, behind a server, with hostile names, read aloud."""

from __future__ import annotations

import dataclasses
import html
import socket
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import torch
from showing import NASTY, Shown, accessible, needs_browser
from test_report import RATE, explained, model, tones

import xplain
from xplain.report.page import write_page
from xplain.report.segments import write_page as write_recording
from xplain.segmentation.segment import Segment
from xplain.selection import Group

pytestmark = needs_browser

VS_CODE = (
    "default-src 'none'; script-src https: 'unsafe-inline' 'unsafe-eval'; style-src https: "
    "'unsafe-inline'; img-src https: data:; connect-src https:; child-src https: data:"
)
"""The content policy around a notebook's output in VS Code."""


@pytest.mark.parametrize("bypass_csp", [False, True])
def test_hostile_names_are_shown_and_not_run(
    bypass_csp: bool, pages: Path, tmp_path: Path, show: Callable[..., Shown]
) -> None:
    """Labels, words, files, models, extras and warnings; with the content policy and without."""
    clip = explained(tones(1500), model=model((NASTY, "high", "noise")))
    bad = {**clip.provenance, "audio": {"path": f"/{NASTY}.wav"}}
    bad["model"] = {**bad["model"], "name": f"zoo:{NASTY}"}
    nasty = dataclasses.replace(
        clip, name=NASTY, groups=(Group(NASTY, 0.0, 0.4, 1.0),), warnings=(NASTY,),
        extras={NASTY: NASTY, "rows": [{NASTY: NASTY}]}, provenance=bad,
    )  # fmt: skip
    segment = Segment(NASTY, 0.0, 0.5, 0.9, None, ())
    heard = xplain.Segmentation(
        NASTY, torch.full((100, 1), 0.4), (NASTY,), 0.01, 1.0, {NASTY: xplain.Thresholds()},
        (segment,), {"segmenter": {"name": NASTY}, "audio": {"path": NASTY}, "explanation": None},
    )  # fmt: skip
    write_page(nasty, tmp_path / "clip.html")
    write_recording(heard, tmp_path / "radio.html")
    for page in (tmp_path / "clip.html", tmp_path / "radio.html", pages / "index.html"):
        shown = show(page, bypass_csp=bypass_csp)
        shown.settled("document.querySelector('main').innerText.includes('onerror=alert')")
        assert shown("document.querySelectorAll('img, main script').length") == 0


@pytest.mark.parametrize("settings", [{"width": 1200}, {"width": 420}, {"color_scheme": "dark"}])
def test_everyone_can_use_the_pages(
    settings: dict[str, Any],
    pages: Path,
    segmentation: xplain.Segmentation,
    tmp_path: Path,
    show: Callable[..., Shown],
) -> None:
    recording = write_recording(segmentation, tmp_path / "radio.html")
    for path in (pages / "a" / "index.html", pages / "index.html", recording):
        shown = show(path, **settings)
        shown.settled("document.querySelector('h1')")
        assert accessible(shown) == [], path
        assert shown("document.documentElement.scrollWidth <= innerWidth"), path


def exported(cells: list[str], folder: Path) -> str:
    """A notebook with these outputs, saved, read again and exported by nbconvert."""
    nbformat = pytest.importorskip("nbformat")
    nbconvert = pytest.importorskip("nbconvert")
    new, output = nbformat.v4, nbformat.v4.new_output
    outputs = [output("display_data", data={"text/html": cell}) for cell in cells]
    made = new.new_notebook(cells=[new.new_code_cell("x", outputs=[one]) for one in outputs])
    nbformat.write(made, folder / "saved.ipynb")
    nowhere = dict.fromkeys(("mathjax_url", "require_js_url"), "data:text/javascript,")
    exporter = nbconvert.HTMLExporter(embed_images=True, **nowhere)
    text: str = exporter.from_notebook_node(nbformat.read(folder / "saved.ipynb", 4))[0]
    return text


@pytest.mark.parametrize("place", ["nbconvert", "sandbox", "policy"])
def test_a_notebooks_frame_plays_wherever_it_is_shown(
    place: str,
    pages: Path,
    segmentation: xplain.Segmentation,
    tmp_path: Path,
    show: Callable[..., Shown],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In an exported file, in a sandbox as Colab's, under a policy as VS Code's."""
    import soundfile

    soundfile.write(tmp_path / "radio.wav", torch.zeros(round(1.75 * RATE)).numpy(), RATE)
    source = {**segmentation.provenance, "audio": {"path": str(tmp_path / "radio.wav")}}
    heard = dataclasses.replace(segmentation, provenance=source)
    cells = [xplain.Explanation.load(pages / "a")._repr_html_(), heard._repr_html_()]
    assert sum(map(len, cells)) < 500_000
    text = "<!DOCTYPE html><title>cells</title>" + "".join(cells)
    if place == "nbconvert":
        templates = Path(pytest.importorskip("nbconvert").__file__).parents[4]
        monkeypatch.setenv("JUPYTER_PATH", str(templates / "share" / "jupyter"))
        text = exported(cells, tmp_path)
    elif place == "sandbox":
        sandbox = 'sandbox="allow-scripts allow-downloads"'
        text = f'<title>colab</title><iframe {sandbox} srcdoc="{html.escape(text)}"></iframe>'
    else:
        text = text.replace(
            "<title>", f'<meta http-equiv="Content-Security-Policy" content="{VS_CODE}"><title>', 1
        )
    (tmp_path / "cells.html").write_text(text, "utf-8")
    shown = show(tmp_path / "cells.html")
    played = 0
    for frame in shown.tab.frames:
        if not frame.evaluate("Boolean(document.querySelector('.play'))"):
            continue
        frame.wait_for_function("() => globalThis.transport", timeout=5000)
        frame.click(".play")
        frame.wait_for_function("() => transport.playing && transport.time > 0.05", timeout=5000)
        frame.click(".play")
        assert frame.evaluate("document.querySelectorAll('details').length") == 0
        if frame.evaluate("data.kind") == "explanation":
            assert NASTY in frame.inner_text(".lead")
        assert frame.evaluate("origin") == "null"  # so it reaches no other frame
        played += 1
    assert played == 2
    if place == "policy":  # which bars the element, so the sound is decoded at once
        shown.wrong[:] = [wrong for wrong in shown.wrong if "Loading media" not in wrong]


def test_a_served_page_shows_hostile_names_and_plays(
    tmp_path: Path, show: Callable[..., Shown]
) -> None:
    import soundfile

    server = pytest.importorskip("xplain_serve.server")
    uvicorn = pytest.importorskip("uvicorn")
    soundfile.write(tmp_path / "a.wav", tones(500).numpy(), RATE)
    upload = {"name": f"{NASTY}.wav", "mimeType": "audio/wav"}
    listening = socket.create_server((server.HOST, 0))
    application = server.application({NASTY: model((NASTY, "high", "noise"))})
    running = uvicorn.Server(uvicorn.Config(application, log_level="error"))
    thread = Thread(target=running.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        shown = show(f"http://{server.HOST}:{listening.getsockname()[1]}/")
        assert NASTY in shown.tab.inner_text("select >> nth=1")
        assert accessible(shown) == []
        shown.wrong.clear()  # axe asks the empty frame too, which does not answer
        shown.tab.set_input_files("#sound", {**upload, "buffer": (tmp_path / "a.wav").read_bytes()})
        shown.tab.click("form .play")
        frame = shown.tab.frame_locator("iframe.result")
        assert NASTY in frame.locator(".lead").inner_text(timeout=20000)
        frame.locator(".play").click()
        frame.locator(".play", has_text="Pause").wait_for(timeout=5000)
        shown.tab.select_option(".preferences select", "de")  # and the frame follows, playing on
        frame.locator(".play", has_text="Pause").and_(frame.locator("html[lang=de] *")).wait_for()
        shown.tab.set_viewport_size({"width": 420, "height": 900})
        assert shown("document.documentElement.scrollWidth <= innerWidth")
    finally:
        running.should_exit = True
        thread.join(10)
