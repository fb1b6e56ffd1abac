"""The pages in a real browser: what plays, switches, zooms, is read aloud and is exported."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from showing import NASTY, RATIOS, SAID, Shown, needs_browser
from test_report import RATE, explained, model, tones

import xplain
from xplain.report.page import page as explanation_page
from xplain.report.page import write_page
from xplain.report.segments import write_page as write_recording
from xplain.segmentation.segment import Part, Segment
from xplain.selection import Group

pytestmark = needs_browser


def test_versions_play_on_at_the_same_position(pages: Path, show: Callable[..., Shown]) -> None:
    shown = show(pages / "a" / "index.html")
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
    pages: Path, show: Callable[..., Shown]
) -> None:
    shown = show(pages / "a" / "index.html")
    saved = {(o.kind, o.ratio): o for o in xplain.Explanation.load(pages / "a").saved}
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


def test_click_seeks_drag_repeats_and_plus_zooms(pages: Path, show: Callable[..., Shown]) -> None:
    shown = show(pages / "a" / "index.html")
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


def test_what_is_drawn_is_where_it_sounds(pages: Path, show: Callable[..., Shown]) -> None:
    shown = show(pages / "a" / "index.html")
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


def test_german_says_the_same(pages: Path, show: Callable[..., Shown]) -> None:
    shown = show(pages / "a" / "index.html", locale="de-DE")
    assert shown("document.documentElement.lang") == "de"
    assert "Das Modell erkennt" in shown.tab.inner_text(".lead")
    assert not shown("document.body.innerText.match(/\\b[a-z]+_[a-z_]+\\b/)")
    shown.tab.select_option(".preferences select", "en")
    assert "The model predicts" in shown.tab.inner_text(".lead")


def test_dark_pages_are_light_on_paper(pages: Path, show: Callable[..., Shown]) -> None:
    shown = show(pages / "a" / "index.html", color_scheme="dark")
    ink = "rgb('ink')[0]"
    assert shown(ink) > 127
    shown.tab.emulate_media(media="print")
    shown.settled(f"{ink} < 128")
    assert shown("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_german_knows_every_reason_of_a_verdict(
    pages: Path, show: Callable[..., Shown], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What check() finds is written in English; the dictionary has each sentence of it."""
    from xplain.verdict import Contrast, Trial, judge

    names = ("the opposite", "itself 1 frame later", "itself 3 channels lower")
    tried = [Trial(groups=2), Trial(groups=9, constant=True), Trial(groups=9, flat=True)]
    tried.append(Trial(groups=9, margin=0.05))
    tried.append(Trial(groups=900, fine=False, single=1.0))
    for own, other in ((2.0, -1.25), (1.0, 0.6), (-1.0, 1.0)):
        for name in names:
            one = Contrast(name, own, other)
            found = {"contrasts": (one,), "complete": abs(own)}
            limits = {"rest": other / 2, "tolerance": own, "probability": 0.5}
            few = {"costs": (own / 2, other / 2), "halved": own > 1}
            for groups in (9, 900):
                tried.append(Trial(groups=groups, round_trip=False, **found, **limits, **few))  # type: ignore[arg-type]
    reasons = {text for trial in map(judge, tried) for text in (*trial.reasons, *trial.notices)}
    shown = show(pages / "a" / "index.html", locale="de-DE")
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


def test_speed_layers_and_keys_do_what_they_say(pages: Path, show: Callable[..., Shown]) -> None:
    shown = show(pages / "a" / "index.html")
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
