"""The pages in a real browser: what plays, switches, zooms, is read aloud and is exported."""

from __future__ import annotations

import dataclasses
import html
import json
import shlex
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import torch
from test_report import LABELS, RATE, Bands, explained, model, tones

import xplain
from xplain.report.html import app
from xplain.report.index import found, write_index
from xplain.report.page import page as explanation_page
from xplain.report.page import write_page
from xplain.report.segments import write_page as write_recording
from xplain.segmentation.result import read_segments
from xplain.segmentation.segment import Part, Segment
from xplain.selection import Group

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
SAID = Path(__file__).with_name("said.js")
NASTY = '"></script><img src=x onerror=alert(1)>'
RATIOS = [0.05, 0.1, 0.2, 0.3, 0.5]

pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs a browser; make browser installs it")


@dataclass
class Shown:
    """A page in the browser, and what it did that it should not."""

    tab: Any
    wrong: list[str] = field(default_factory=list)

    def __call__(self, script: str, *values: Any) -> Any:
        return self.tab.evaluate(script, *values)

    def settled(self, script: str) -> None:
        self.tab.wait_for_function(f"() => {script}", timeout=5000)


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
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
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


def accessible(shown: Shown) -> list[str]:
    """What axe finds wrong with a page as it is."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(shown.tab).response["violations"]
    return [f"{v['id']}: {v['nodes'][0]['html'][:120]}" for v in found]


def test_versions_play_on_at_the_same_position(folder: Path, show: Callable[..., Shown]) -> None:
    shown = show(folder / "a" / "index.html")
    shown.settled("transport.buffers[0]")
    shown.tab.keyboard.press(" ")
    shown.settled("transport.playing && transport.time > 0.1")
    assert "Pause" in shown.tab.inner_text(".play")
    jump = """async key => {
        await Promise.all(Object.values(transport.buffers));
        transport.seek(0.2); // far from the end, however long the last step took
        const before = transport.time, clock = transport.context.currentTime;
        document.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
        await new Promise((done) => setTimeout(done, 60));
        return (transport.time - before) - (transport.context.currentTime - clock);
    }"""
    for key, name in (("2", "Kept"), ("3", "Removed"), ("4", "Re-encoded"), ("1", "Original")):
        drift = shown(jump.replace("document.dispatch", "document.body.dispatch"), key)
        assert abs(drift) < 0.02
        assert name in shown.tab.inner_text('.versions [aria-pressed="true"]')
    shown.tab.click(".play")
    paused = shown("transport.time")
    assert not shown("transport.playing") and 0.1 < paused < 1.5
    assert shown("transport.time") == paused
    shown.tab.keyboard.press("Home")
    shown.tab.keyboard.press("ArrowRight")
    assert shown("transport.time") == pytest.approx(1.5 / 20)


def test_the_slider_moves_what_is_heard_and_the_bars(
    folder: Path, show: Callable[..., Shown]
) -> None:
    shown = show(folder / "a" / "index.html")
    saved = {(o.kind, o.ratio): o for o in xplain.Explanation.load(folder / "a").saved}
    shown.tab.keyboard.press("2")
    for number, ratio in enumerate(RATIOS):
        shown.tab.locator("input.ratio").fill(str(number))
        assert f"{100 * ratio:g}\xa0%" in shown.tab.inner_text(".ratios")
        width = shown("document.querySelector('i.explained').style.width")
        expected = saved["keep", ratio].probabilities[NASTY]
        assert float(width.rstrip("%")) == pytest.approx(100 * expected, abs=0.01)
    shown.tab.keyboard.press("Escape")
    shown.tab.keyboard.press("3")
    assert "With the top 50\xa0% of elements removed" in shown.tab.inner_text(".heard")
    shown.tab.keyboard.press("ArrowDown")
    assert "With the top 30\xa0% of elements removed" in shown.tab.inner_text(".heard")


def test_click_seeks_drag_repeats_and_plus_zooms(folder: Path, show: Callable[..., Shown]) -> None:
    shown = show(folder / "a" / "index.html")
    box = shown.tab.locator(".stage").bounding_box()
    left, width = box["x"] + 52, box["width"] - 52
    shown.tab.mouse.click(left + width / 2, box["y"] + 100)
    assert shown("transport.time") == pytest.approx(0.75, abs=0.01)
    shown.tab.keyboard.press("+")
    assert shown("timeline.span") == pytest.approx(0.75)
    assert shown("timeline.start") == pytest.approx(0.375, abs=0.01)
    shown.tab.keyboard.press("-")
    shown.tab.mouse.move(left + width / 3, box["y"] + 50)
    shown.tab.mouse.down()
    shown.tab.mouse.move(left + width / 2, box["y"] + 50, steps=3)
    shown.tab.mouse.up()
    assert shown("transport.loop") == pytest.approx([0.5, 0.75], abs=0.01)
    shown.tab.keyboard.press(" ")
    shown.settled("transport.playing")
    for _ in range(4):
        shown.tab.wait_for_timeout(90)
        assert 0.49 < shown("transport.time") < 0.77
    shown.tab.keyboard.press("Escape")
    assert shown("transport.loop") is None


def test_what_is_drawn_is_where_it_sounds(folder: Path, show: Callable[..., Shown]) -> None:
    shown = show(folder / "a" / "index.html")
    shown.settled("transport.buffers[0]")
    found = shown("""async () => {
        const audio = await transport.buffer("0");
        const samples = audio.getChannelData(0);
        const { columns, rows, decibels, top } = spectrogram(samples, audio.sampleRate);
        const column = decibels.slice(rows * (columns >> 1), rows * ((columns >> 1) + 1));
        const loudest = column.indexOf(Math.max(...column));
        return [loudest / rows * top, Math.max(...column)];
    }""")
    assert found[0] == pytest.approx(500, abs=20)
    assert found[1] == pytest.approx(20 * torch.tensor(0.3).log10().item(), abs=0.5)


def test_german_says_the_same(folder: Path, show: Callable[..., Shown]) -> None:
    shown = show(folder / "a" / "index.html", locale="de-DE")
    assert shown("document.documentElement.lang") == "de"
    assert "Das Modell erkennt" in shown.tab.inner_text(".lead")
    assert not shown("document.body.innerText.match(/\\b[a-z]+_[a-z_]+\\b/)")
    shown.tab.select_option(".preferences select", "en")
    assert "The model predicts" in shown.tab.inner_text(".lead")


def test_dark_pages_are_light_on_paper(folder: Path, show: Callable[..., Shown]) -> None:
    shown = show(folder / "a" / "index.html", color_scheme="dark")
    ink = "rgb('ink')[0]"
    assert shown(ink) > 127
    shown.tab.emulate_media(media="print")
    shown.settled(f"{ink} < 128")
    assert shown("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_german_knows_every_reason_of_a_verdict(
    folder: Path, show: Callable[..., Shown], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What check() finds is written in English; the dictionary has each sentence of it."""
    from xplain.verdict import Contrast, Trial, judge

    names = ("the opposite", "itself 1 frame later", "itself 3 channels lower")
    tried = [Trial(groups=2), Trial(groups=9, constant=True), Trial(groups=9, flat=True)]
    tried.append(Trial(groups=9, margin=0.05))
    for own, other in ((2.0, -1.25), (1.0, 0.6), (-1.0, 1.0)):
        for name in names:
            one = Contrast(name, (own,), (other,))
            found = {"contrasts": (one,), "first": one, "spread": one, "complete": abs(own)}
            limits = {"rest": other / 2, "tolerance": own, "probability": 0.5}
            tried.append(Trial(groups=900, round_trip=False, **found, **limits))  # type: ignore[arg-type]
    reasons = {text for trial in map(judge, tried) for text in (*trial.reasons, *trial.notices)}
    shown = show(folder / "a" / "index.html", locale="de-DE")
    told = {reason: shown("said", reason) for reason in sorted(reasons)}
    assert len(told) > 15
    english = {"the", "it", "is", "of", "are", "what", "itself", "its", "not", "later", "lower"}
    assert not [text for text in told.values() if english & set(text.replace(",", "").split())]
    assert shown("said", "completeness holds (error 0.17%)").endswith("(Fehler 0,17\xa0%)")
    assert shown("said", "no such sentence") == "no such sentence"


def test_named_groups_and_a_rival_are_told(tmp_path: Path, show: Callable[..., Shown]) -> None:
    """Bars for words; how many a share is; and the command that contrasts with a near label."""
    made = explained(tones(500), model=model(("low", "it's high", "noise")))
    halves = tuple(Group(n, s, s + 0.25, e) for n, s, e in ((NASTY, 0, 2.5), ("b", 0.25, -1.25)))
    path = str(tmp_path / "it's a.wav")
    near = {"low": 0.6, "it's high": 0.4, "noise": 0.0}
    provenance = {**made.provenance, "audio": {"path": path}}
    provenance["model"] = {**provenance["model"], "name": "zoo:m"}
    selection = {**made.selection, "grouping": "xplain-units/words"}
    changed = dataclasses.replace(
        made, groups=halves, probabilities=near, provenance=provenance, selection=selection
    )
    changed.scores(keep=[0.1, 0.3], remove=[0.1])
    shown = show(write_page(changed, tmp_path / "page.html"))
    bars = shown.tab.locator(".bars >> nth=1")
    assert bars.locator(".name").all_inner_texts() == [NASTY, "b"]
    assert bars.locator(".value").all_inner_texts() == ["+2.5", "−1.3"]
    assert "(1 of 2) of groups (words)" in shown.tab.inner_text(".ratios")
    command = shlex.split(shown.tab.inner_text(".bars code"))
    target = changed.target.label
    assert command == ["xplain", "explain", path, "--model", "zoo:m", *command[5:-4],
                       "--target", target, "--versus", "it's high"]  # fmt: skip


def test_a_table_of_a_folder_sorts_filters_and_opens(
    folder: Path, show: Callable[..., Shown]
) -> None:
    shown = show(folder / "index.html")
    assert "2 of 2" in shown.tab.inner_text("[role=status]")
    assert shown("document.images.length") == 0
    shown.tab.click(".rows th.clip button")
    shown.tab.click(".rows th.clip button")
    assert shown.tab.get_attribute("th.clip", "aria-sort") == "descending"
    shown.tab.fill("input[type=search]", "nothing of that name")
    assert "0 of 2" in shown.tab.inner_text("[role=status]")
    shown.tab.fill("input[type=search]", "")
    href = shown("document.querySelector('a').href")
    assert Path(folder / "a" / "index.html").as_uri() == href or "img" in href


def test_two_thousand_rows_are_there_at_once_and_scroll(
    tmp_path: Path, show: Callable[..., Shown]
) -> None:
    row = {"prediction": "a", "label": "b", "verdict": "partly", "file": "f.wav", "method": "m"}
    row |= {"map": {"values": "AAAA", "rows": 1, "columns": 3}, "kept": [[0.1, 0.5], [0.5, 0.9]]}
    rows = [{**row, "name": f"clip {n:04}", "probability": n / 2000} for n in range(2000)]
    page = app("explanations", "many", ("player.js", "table.js"), {"name": "many", "rows": rows})
    (tmp_path / "index.html").write_text(page, "utf-8")
    shown = show(tmp_path / "index.html")
    assert shown("document.querySelectorAll('.rows tbody tr').length") < 60
    loaded = shown("performance.getEntriesByType('navigation')[0].domComplete")
    assert loaded < 5000  # two seconds on a machine that does nothing else
    shown.tab.click(".rows th.probability button")
    shown.tab.click(".rows th.probability button")
    assert "clip 1999" in shown.tab.inner_text(".rows tbody")
    shown("document.querySelector('.window').scrollTop = 1e6")
    shown.settled("document.querySelector('.rows tbody').innerText.includes('clip 0000')")


def test_segments_follow_thresholds_as_the_tracker_has_them(
    segmentation: xplain.Segmentation, tmp_path: Path, show: Callable[..., Shown]
) -> None:
    from xplain.segmentation.tracker import stretches

    shown = show(write_recording(segmentation, tmp_path / "radio.html"))
    shown.settled("globalThis.segmentsNow")
    frames = segmentation.frames.numpy()
    for onset, offset, on, off in ((0.5, 0.5, 0, 0), (0.9, 0.3, 0, 0.6), (0.3, 0.1, 0.3, 0)):
        limits = xplain.Thresholds(onset, offset, on, off)
        for number, label in enumerate(LABELS):
            ours = stretches(frames[:, number], limits, 0.01)
            told = shown(
                "([p, limits]) => stretches((i) => p[i], p.length, limits, 0.01)",
                [
                    frames[:, number].tolist(),
                    {"onset": onset, "offset": offset, "min_on": on, "min_off": off},
                ],
            )
            assert [tuple(stretch) for stretch in told] == ours, label
    before = shown("segmentsNow().length")
    shown.tab.fill('[aria-label="low: Shortest (s)"]', "0.4")
    shown.tab.press('[aria-label="low: Shortest (s)"]', "Enter")
    assert shown("segmentsNow().length") < before


def test_segments_are_corrected_and_exported(
    segmentation: xplain.Segmentation, tmp_path: Path, show: Callable[..., Shown]
) -> None:
    import soundfile

    soundfile.write(tmp_path / "radio.wav", torch.zeros(round(1.75 * RATE)).numpy(), RATE)
    shown = show(write_recording(segmentation, tmp_path / "radio.html", tmp_path / "radio.wav"))
    shown.settled("globalThis.segmentsNow")
    assert shown("segmentsNow().length") == len(segmentation.segments)
    shown.tab.click(".rows tbody button >> nth=0")
    shown.settled("transport.playing || transport.time > 0")
    shown.tab.fill('[aria-label="End"]', "0.3")
    shown.tab.click("button:text-is('Change')")
    expected = [(s.label, s.start, s.end) for s in segmentation.segments]
    expected[0] = (expected[0][0], expected[0][1], 0.3)
    for button, ending in (("RTTM", ".rttm"), ("TextGrid", ".TextGrid"), ("Audacity", ".txt")):
        with shown.tab.expect_download() as download:
            shown.tab.click(f"button:text-is('{button}')")
        path = tmp_path / f"file{ending}"
        download.value.save_as(path)
        assert download.value.suggested_filename == f"radio{ending}"
        read = [(s.label, s.start, s.end) for s in read_segments(path)]
        assert sorted(read) == sorted(expected), button
        assert sorted(read_by_others(path)) == sorted(expected), button
    with shown.tab.expect_download() as download:
        shown.tab.click("button:text-is('Label Studio')")
    download.value.save_as(tmp_path / "file.json")
    (task,) = json.loads((tmp_path / "file.json").read_text("utf-8"))
    results = [r["value"] for r in task["annotations"][0]["result"]]
    assert sorted((r["labels"][0], r["start"], r["end"]) for r in results) == sorted(expected)


def read_by_others(path: Path) -> list[tuple[str, float, float]]:
    """Segments as programs that are not ours read them: pyannote, Praat, and a table of numbers."""
    if path.suffix == ".rttm":
        util = pytest.importorskip("pyannote.database.util")
        tracks = [t for a in util.load_rttm(path).values() for t in a.itertracks(yield_label=True)]
        return [(label, round(s.start, 6), round(s.end, 6)) for s, _, label in tracks]
    if path.suffix == ".TextGrid":
        parselmouth = pytest.importorskip("parselmouth")
        grid = parselmouth.read(str(path))
        call, found = parselmouth.praat.call, []
        for tier in range(1, int(call(grid, "Get number of tiers")) + 1):
            for n in range(1, int(call(grid, "Get number of intervals", tier)) + 1):
                times = [call(grid, f"Get {end} time of interval", tier, n) for end in ENDS]
                found.append((call(grid, "Get label of interval", tier, n), *times))
        return [(label, round(a, 6), round(b, 6)) for label, a, b in found if label]
    columns = np.loadtxt(path, dtype=str, delimiter="\t", ndmin=2)
    return [(label, float(start), float(end)) for start, end, label in columns]


ENDS = ("start", "end")


def test_speed_layers_and_keys_do_what_they_say(folder: Path, show: Callable[..., Shown]) -> None:
    shown = show(folder / "a" / "index.html")
    shown.settled("transport.buffers[0]")
    shown.tab.select_option(".player select", "0.5")
    shown.tab.keyboard.press("l")  # repeats what is seen
    assert shown("transport.loop") == [0, 1.5]
    shown.tab.keyboard.press(" ")
    shown.settled("transport.playing && transport.time > 0.1")
    passed, clock = shown("""async () => {
        const [time, clock] = [transport.time, transport.context.currentTime];
        await new Promise((done) => setTimeout(done, 150));
        return [transport.time - time, transport.context.currentTime - clock];
    }""")
    assert passed == pytest.approx(clock / 2, abs=0.02)
    shown.tab.keyboard.press("l")
    assert shown("transport.loop") is None
    coloured = """() => {
        const canvas = document.querySelector(".stage canvas");
        const { data } = canvas.getContext("2d").getImageData(60, 0, canvas.width - 60, 200);
        let many = 0;
        for (let i = 0; i < data.length; i += 4) many += Math.abs(data[i] - data[i + 2]) > 60;
        return many;
    }"""
    before = shown(coloured)
    assert before > 100
    shown.tab.locator("label", has_text="Attribution").locator("input").fill("0")
    shown.settled(f"({coloured})() === 0")
    shown.tab.locator("label", has_text="Attribution").locator("input").fill("1")
    shown.tab.locator("label", has_text="evidence for").locator("input").uncheck()
    shown.settled(f"({coloured})() < {before}")
    shown.wrong[:] = [wrong for wrong in shown.wrong if "Canvas2D" not in wrong]  # we read it back


@pytest.mark.parametrize("bypass_csp", [False, True])
def test_hostile_names_are_shown_and_not_run(
    bypass_csp: bool, folder: Path, tmp_path: Path, show: Callable[..., Shown]
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
    for page in (tmp_path / "clip.html", tmp_path / "radio.html", folder / "index.html"):
        shown = show(page, bypass_csp=bypass_csp)
        shown.settled("document.querySelector('main').innerText.includes('onerror=alert')")
        assert shown("document.querySelectorAll('img, main script').length") == 0


def test_evidence_is_heard_alone_and_left_out(tmp_path: Path, show: Callable[..., Shown]) -> None:
    """Two tones sound all along; what is evidence for the segment lies at one of them."""
    import soundfile

    path = tmp_path / f"it's {NASTY.replace('/', '_')}.wav"
    sound = tones(500, seconds=3.0) + tones(2000, seconds=3.0)
    soundfile.write(path, (sound / 2).numpy(), RATE)
    band = xplain.bands.Band
    segment = Segment("a b", 1.0, 2.5, 0.9, (band(300.0, 770.0, 0.6),), (Part(1, 0.5),))
    made = xplain.Segmentation(
        "two", torch.full((300, 1), 0.4), ("a b",), 0.01, 3.0, {"a b": xplain.Thresholds()},
        (segment,), {
            "segmenter": {"name": "zoo:radio"}, "audio": {"path": str(path)},
            "explanation": {"method": "m", "parts": [[], [{"low": 1720, "high": 2320}]]},
        },
    )  # fmt: skip
    shown = show(write_recording(made, tmp_path / "two.html", path))
    shown.tab.click(".rows tbody button >> nth=0")
    command = shlex.split(shown.tab.inner_text(".evidence code"))
    assert command[2:] == [str(path), "--model", "zoo:radio", "--target", "a b@1-2.5"]
    levels = """async ([at, text]) => {
        const buttons = [...document.querySelectorAll(".evidence button")];
        buttons.find((b) => b.textContent.includes(text)).click();
        const { context, output, audio } = transport;
        const analyser = new AnalyserNode(context, { fftSize: 4096, smoothingTimeConstant: 0 });
        output.connect(analyser);
        transport.move(at);
        await new Promise((done) => audio.addEventListener("seeked", done, { once: true }));
        await new Promise((done) => setTimeout(done, 400));
        const bins = new Float32Array(analyser.frequencyBinCount);
        analyser.getFloatFrequencyData(bins);
        transport.pause();
        return [500, 2000].map((hertz) => bins[Math.round((hertz * 4096) / context.sampleRate)]);
    }"""
    for button, at, heard in (
        ("alone", 1.2, (True, False)),
        ("without", 1.2, (False, True)),
        ("without", 0.1, (True, True)),
        ("1: +0.5", 1.2, (False, True)),
    ):
        low, high = shown(levels, [at, button])
        assert (low > -40, high > -40) == heard, (button, at, low, high)
        assert all(heard) or abs(low - high) > 40


@pytest.mark.parametrize("settings", [{"width": 1200}, {"width": 420}, {"color_scheme": "dark"}])
def test_everyone_can_use_the_pages(
    settings: dict[str, Any],
    folder: Path,
    segmentation: xplain.Segmentation,
    tmp_path: Path,
    show: Callable[..., Shown],
) -> None:
    recording = write_recording(segmentation, tmp_path / "radio.html")
    for path in (folder / "a" / "index.html", folder / "index.html", recording):
        shown = show(path, **settings)
        shown.settled("document.querySelector('h1')")
        assert accessible(shown) == [], path
        assert shown("document.documentElement.scrollWidth <= innerWidth"), path


def test_the_page_of_a_benchmark_fits_a_phone(tmp_path: Path, show: Callable[..., Shown]) -> None:
    benchmark = pytest.importorskip("xplain_evaluation.benchmark.page")
    table = pytest.importorskip("xplain_evaluation.benchmark.table")
    group = ("zoo:digits", "a very long name of a data set of spoken words", "stft")
    methods = [f"xplain-captum/method-{n}" for n in range(4)]
    metrics = ["fidelity", "removal", "relevance-mass", "pointing-game", "sparseness", "round-trip"]
    rows = [
        table.Row(group, method, metric, ratio, "higher", 9, 0, 0, mean, 0.4, 0.6)
        for mean, method in zip((0.5, 0.45, 0.5, 0.41), methods, strict=True)
        for metric in metrics
        for ratio in (None, 0.1, 0.5)
    ]
    results = table.Results(
        tuple(rows), (), {group: tuple(methods)}, "fidelity", {}, (), (), {}, (), {"seed": 0}
    )
    (tmp_path / "page.html").write_text(benchmark.page(results), "utf-8")
    for settings in ({"width": 420}, {"color_scheme": "dark"}):
        shown = show(tmp_path / "page.html", **settings)
        assert shown("document.documentElement.scrollWidth <= innerWidth")
        assert accessible(shown) == []


VS_CODE = (
    "default-src 'none'; script-src https: 'unsafe-inline' 'unsafe-eval'; style-src https: "
    "'unsafe-inline'; img-src https: data:; connect-src https:; child-src https: data:"
)
"""The content policy around a notebook's output in VS Code."""


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
    folder: Path,
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
    cells = [xplain.Explanation.load(folder / "a")._repr_html_(), heard._repr_html_()]
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


def test_sentences_say_what_the_numbers_say(tmp_path: Path, show: Callable[..., Shown]) -> None:
    (tmp_path / "page.html").write_text(explanation_page(explained()), "utf-8")
    shown = show(tmp_path / "page.html")

    def said(
        probabilities: dict[str, float], label: str, kept: Any, removed: Any, **changed: Any
    ) -> str:
        """The sentences about a clip of which the model says these numbers."""
        return str(
            shown(
                SAID.read_text("utf-8"),
                [
                    probabilities,
                    label,
                    [kept, removed],
                    {k: v for k, v in changed.items() if k != "multilabel"},
                    changed.get("multilabel", False),
                ],
            )
        ).replace("\xa0", " ")

    assert said(
        {"seven": 0.98, "two": 0.02}, "seven", ("seven", 0.975, True), ("two", 0.3, False)
    ) == (
        "The model predicts “seven” (98 %). With only the top 10 % of elements kept, the model "
        "still predicts “seven” (98 %). With the top 10 % of elements removed, the model predicts "
        "“two”; “seven” gets 30 %. The top 10 % is enough for the prediction, and the prediction "
        "needs it."
    )
    assert said(
        {"seven": 0.2, "two": 0.8}, "seven", ("seven", 0.6, True), ("two", 0.0001, False),
        versus="two",
    ) == (
        "The model predicts “two” (80 %). Explained here is another label, “seven” (20 %). The "
        "explanation is for “seven” rather than “two” (80 %). With only the top 10 % of elements "
        "kept, the model predicts “seven” (60 %). With the top 10 % of elements removed, the model "
        "predicts “two”; “seven” gets under 0.1 %."
    )  # fmt: skip
    assert said(
        {"music": 0.9, "speech": 0.7, "noise": 0.1}, "music", ("speech", 0.8, True),
        ("speech", 0.3, False), start=3.2, end=5.9, multilabel=True,
    ).startswith(
        "Between 3.2 and 5.9 seconds, the model predicts “music” (90 %), and also “speech” "
        "(70 %). With only the top 10 % of elements kept, the model still predicts “music” (80 %). "
        "With the top 10 % of elements removed, the model no longer predicts “music” (30 %)."
    )  # fmt: skip
    assert said(
        {"music": 0.1, "speech": 0.2}, "music", ("speech", 0.1, False), ("speech", 0.1, False),
        multilabel=True,
    ) == (
        "The model does not predict “music” (10 %), which is the label explained here; it predicts "
        "none of its labels. With only the top 10 % of elements kept, the model does not predict "
        "“music” (10 %). With the top 10 % of elements removed, the model does not predict “music” "
        "(10 %)."
    )  # fmt: skip
