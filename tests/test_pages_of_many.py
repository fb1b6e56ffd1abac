"""The tables of many clips, the segments of a recording and a benchmark, in a real browser."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from showing import Shown, accessible, needs_browser
from test_report import LABELS, RATE

import xplain
from xplain.report.html import app
from xplain.report.segments import write_page as write_recording
from xplain.segmentation.result import read_segments

pytestmark = needs_browser

ENDS = ("start", "end")


def test_a_table_of_a_folder_sorts_filters_and_opens(
    pages: Path, show: Callable[..., Shown]
) -> None:
    shown = show(pages / "index.html")
    assert "2 of 2" in shown.tab.inner_text("[role=status]")
    assert shown("document.images.length") == 0
    shown.tab.click(".rows th.clip button")
    shown.tab.click(".rows th.clip button")
    assert shown.tab.get_attribute("th.clip", "aria-sort") == "descending"
    shown.tab.fill("input[type=search]", "nothing of that name")
    assert "0 of 2" in shown.tab.inner_text("[role=status]")
    shown.tab.fill("input[type=search]", "")
    href = shown("document.querySelector('a').href")
    assert Path(pages / "a" / "index.html").as_uri() == href or "img" in href


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
