from __future__ import annotations

import base64
import dataclasses
import io
import itertools
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor, nn

import xplain
from xplain.bands import Band
from xplain.check import FAITHFUL, Verdict
from xplain.report import plots, sentences
from xplain.report.page import write_page

RATE = 8000
LABELS = ("low", "high", "noise")
NASTY = '<script>alert("1")</script> & $x_1$'


class Bands(nn.Module):
    """Hears which band of the spectrum is loudest; per clip or per block of samples."""

    def __init__(self, bands: int = 3, gain: float = 0.2, block: int | None = None) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(gain))
        self.bands, self.block = bands, block

    def forward(self, waveform: Tensor) -> Tensor:
        if self.block is not None:
            blocks = waveform.unfold(1, self.block, self.block)
            return torch.stack([self._logits(blocks[:, n]) for n in range(blocks.shape[1])], 1)
        return self._logits(waveform)

    def _logits(self, waveform: Tensor) -> Tensor:
        power = torch.fft.rfft(waveform, norm="ortho").abs().square()
        return (
            self.gain * torch.stack([b.sum(-1) for b in power.tensor_split(self.bands, dim=-1)], -1)
            - 1.0
        )


class Rows(xplain.Synthesizer):
    """Four channels that are no frequencies: samples in turn."""

    encode_differentiable = True
    decode_differentiable = True

    def __init__(self) -> None:
        self.sample_rate = RATE

    def encode(self, waveform: Tensor) -> xplain.Latents:
        return xplain.Latents(waveform.reshape(len(waveform), -1, 4).mT, {})

    def decode(self, values: Tensor, context: xplain.Context) -> Tensor:
        return values.mT.flatten(1)


class Page(HTMLParser):
    """What a page holds, for assertions."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.source = path.read_text("utf-8")
        self.feed(self.source)
        self.text = re.sub(r"\s+", " ", self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def wavs(self) -> list[tuple[np.ndarray, int]]:
        sources = [str(a["src"]).removeprefix("data:audio/wav;base64,") for a in self.all("audio")]
        return [
            soundfile.read(io.BytesIO(base64.b64decode(s, validate=True)), dtype="int16")
            for s in sources
        ]


def tones(*hertz: float, seconds: float = 0.5, level: float = 0.3) -> Tensor:
    time = torch.arange(round(RATE * seconds)) / RATE
    return level * sum((torch.sin(2 * torch.pi * f * time) for f in hertz), torch.zeros(1))


def model(labels: tuple[str, ...] = LABELS, **settings: Any) -> xplain.Model:
    return xplain.wrap(Bands(len(labels)), sample_rate=RATE, labels=labels, **settings)


def explained(waveform: Tensor | None = None, **settings: Any) -> xplain.Explanation:
    clip = tones(500) if waveform is None else waveform
    settings = {"synthesizer": "stft", "params": {"steps": 8}, **settings}
    asked = settings.pop("model", None) or model()
    return xplain.explain(clip, asked, **settings)


@pytest.fixture(scope="module")
def live() -> xplain.Explanation:
    explanation = explained()
    explanation.scores(keep=[0.1, 0.5], remove=[0.1])
    return explanation


def test_a_page_needs_nothing_but_itself(live: xplain.Explanation, tmp_path: Path) -> None:
    page = Page(write_page([live, live], tmp_path / "new" / "index.html"))
    assert "http://" not in page.source and "https://" not in page.source
    assert "url(" not in page.source and "@import" not in page.source
    for _, attributes in page.tags:
        for name in ("src", "href", "srcset", "data", "poster", "action"):
            value = attributes.get(name)
            assert (
                value is None
                or value.startswith(("data:image/png;base64,", "#clip-"))
                or (value.startswith("data:audio/wav;base64,"))
            )
    assert {"script", "link", "iframe", "object"}.isdisjoint(tag for tag, _ in page.tags)
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["index.html"]


def test_a_page_can_be_read_by_everyone(live: xplain.Explanation, tmp_path: Path) -> None:
    page = Page(write_page([live], tmp_path / "index.html"))
    assert page.all("html") == [{"lang": "en"}]
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in page.all(
        "meta"
    )
    assert all(image["alt"] for image in page.all("img"))
    assert all(player["aria-label"] for player in page.all("audio"))
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert len([tag for tag, _ in page.tags if tag == "title"]) == 1


def test_players_hold_the_audio_of_the_saved_files(tmp_path: Path) -> None:
    explanation = explained(tones(500, 3000, level=0.9))  # clips: peaks at 1.8
    folder = explanation.save(tmp_path / "clip", keep=[0.1, 0.5], remove=[0.1])
    page = Page(write_page([explanation], tmp_path / "index.html"))
    names = ["original.wav", "keep-0.1.wav", "keep-0.5.wav", "remove-0.1.wav"]
    assert len(page.wavs()) == len(names)
    for (samples, rate), name in zip(page.wavs(), names, strict=True):
        saved, _ = soundfile.read(folder / name, dtype="int16")
        assert rate == RATE and len(samples) == len(explanation.waveform)
        np.testing.assert_array_equal(samples, saved)
    decibels = 20 * math.log10(float(explanation.waveform.abs().max()))
    assert f"Turned down by {decibels:.1f} dB" in page.text


def test_probabilities_are_those_of_the_explanation(
    live: xplain.Explanation, tmp_path: Path
) -> None:
    page = Page(write_page([live], tmp_path / "index.html"))
    shown = [float(str(d["value"])) for d in page.all("data")]
    outcomes = sorted(live.saved, key=lambda o: (o.kind, o.ratio))
    labels = sorted(live.probabilities, key=lambda label: -live.probabilities[label])
    assert labels[0] == live.target.label == "low"
    expected = [
        column[label]
        for label in labels
        for column in (live.probabilities, *(o.probabilities for o in outcomes))
    ]
    assert shown == expected + [o.reencoded.probability for o in outcomes]


def test_the_table_has_every_decision_whatever_its_place(tmp_path: Path) -> None:
    labels = tuple(f"label {n}" for n in range(9))  # bands of 444 Hz
    bands = [666, 1111, 1555, 2000, 2444]  # 1 to 5
    clip = sum((tones(hertz, level=0.3 - n / 50) for n, hertz in enumerate(bands)), torch.zeros(1))
    explanation = explained(clip, model=model(labels), target="label 8", versus="label 7")
    explanation.scores(keep=[], remove=[1.0])  # silence: all alike, the first one wins
    page = Page(write_page([explanation], tmp_path / "index.html"))
    names = re.findall(r'<th scope="row">(label \d)', page.source)
    assert names == ["label 8", "label 7", *labels[1:6], "label 0"]
    decided = re.findall(
        r'<th scope="row">(label \d)(?:(?!</tr>).)*class="decided"', page.source, re.DOTALL
    )
    assert decided == ["label 1", "label 0"]


def test_a_loaded_explanation_gives_the_same_page(live: xplain.Explanation, tmp_path: Path) -> None:
    folder = live.save(tmp_path / "clip", keep=[0.1, 0.5], remove=[0.1])
    one = write_page([live], tmp_path / "live.html").read_bytes()
    other = write_page([xplain.Explanation.load(folder)], tmp_path / "loaded.html").read_bytes()
    assert one == other


def test_a_loaded_clipping_explanation_gives_the_same_page(tmp_path: Path) -> None:
    explanation = explained(tones(500, 3000, level=0.9))
    folder = explanation.save(tmp_path / "clip")
    one = write_page([explanation], tmp_path / "live.html").read_bytes()
    other = write_page([xplain.Explanation.load(folder)], tmp_path / "loaded.html").read_bytes()
    assert one == other


def test_what_was_not_asked_yet_is_the_usual_tenth(tmp_path: Path) -> None:
    explanation = explained()
    page = Page(write_page([explanation], tmp_path / "index.html"))
    assert [(o.kind, o.ratio) for o in explanation.saved] == [("keep", 0.1), ("remove", 0.1)]
    assert len(page.wavs()) == 3


def test_an_explanation_saved_without_renderings_has_a_page(tmp_path: Path) -> None:
    folder = explained().save(tmp_path / "clip", keep=[], remove=[])
    page = Page(write_page([xplain.Explanation.load(folder)], tmp_path / "index.html"))
    assert len(page.wavs()) == 1


def test_labels_and_names_are_text_and_never_markup(tmp_path: Path) -> None:
    asked = model((NASTY, "high", "noise"))
    explanation = xplain.explain(
        xplain.Audio(tones(500), RATE, '"><img src=x onerror=alert(1)>'),
        asked,
        synthesizer="stft",
        params={"steps": 8},
    )
    page = Page(write_page([explanation, explanation], tmp_path / "index.html"))
    assert "script" not in {tag for tag, _ in page.tags}
    assert not any("onerror" in attributes for _, attributes in page.tags)
    assert NASTY in page.text and '"><img src=x onerror=alert(1)>' in page.text


def test_several_clips_have_a_table_of_contents(live: xplain.Explanation, tmp_path: Path) -> None:
    other = explained(tones(3500))
    page = Page(write_page([live, other], tmp_path / "index.html"))
    links = [str(a["href"]) for a in page.all("a")]
    ids = [s["id"] for s in page.all("section")]
    assert links == ["#clip-1", "#clip-2"] and ids == ["clip-1", "clip-2"]
    contents = page.text.split("10 %", 1)[0]
    assert "Prediction with only the top part kept" in contents
    for outcome in (*live.saved, *other.saved):
        owner = live if outcome in live.saved else other
        assert sentences.short(owner, outcome) in page.source.replace("&#34;", '"')
    assert not Page(write_page([live], tmp_path / "one.html")).all("nav")


def test_a_clip_that_several_models_decided_has_their_names(
    live: xplain.Explanation, tmp_path: Path
) -> None:
    model = {**live.provenance["model"], "name": "zoo:another"}
    other = dataclasses.replace(live, provenance={**live.provenance, "model": model})
    page = Page(write_page([live, other], tmp_path / "index.html"))
    titles = [f"{live.name}, {live.provenance['model']['name']}", f"{live.name}, zoo:another"]
    assert all(page.text.count(title) == 2 for title in titles)  # contents and heading
    assert titles[0] not in Page(write_page([live, live], tmp_path / "one.html")).text


@pytest.mark.filterwarnings("ignore::xplain.XplainWarning")
@pytest.mark.parametrize("synthesizer", ["stft", "waveform"])
def test_silence_is_said_and_nothing_is_drawn(synthesizer: str, tmp_path: Path) -> None:
    explanation = explained(torch.zeros(4000), synthesizer=synthesizer)
    assert explanation.completeness_error is None and not explanation.attribution.any()
    page = Page(write_page([explanation], tmp_path / "index.html"))
    assert "The attribution is zero everywhere" in page.text
    assert "Completeness: not computed" in page.text
    assert "the recording is silent" in page.text
    assert page.text.count("This is digital silence.") == 3
    assert "what was kept or removed is arbitrary" in page.text
    figure = _figure(explanation)
    assert "zero everywhere" in "".join(t.get_text() for a in figure.axes for t in a.texts)
    assert len(figure.axes) == len(figure.axes[0].get_shared_x_axes().get_siblings(figure.axes[0]))


def test_too_much_audio_is_linked_where_it_was_saved(
    live: xplain.Explanation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xplain.report.page.PLAYER_SECONDS", 1.2)  # two of the four half seconds
    folder = live.save(tmp_path / "pages" / "a #clip: ü", keep=[0.1, 0.5], remove=[0.1])
    page = Page(write_page([live], tmp_path / "pages" / "index.html", [folder]))
    assert len(page.wavs()) == 2
    assert [a["href"] for a in page.all("a")] == [
        "a%20%23clip%3A%20%C3%BC/keep-0.5.wav",
        "a%20%23clip%3A%20%C3%BC/remove-0.1.wav",
    ]
    alone = Page(write_page([live], tmp_path / "index.html"))
    assert not alone.all("a") and alone.text.count("too long for this page") == 2


def test_folders_come_one_for_each_explanation(live: xplain.Explanation, tmp_path: Path) -> None:
    with pytest.raises(xplain.XplainError, match="2 explanations were given with 1 folders"):
        write_page([live, live], tmp_path / "index.html", [tmp_path])
    with pytest.raises(xplain.XplainError, match="no explanation"):
        write_page([], tmp_path / "index.html")


def test_where_no_page_can_be_written_nothing_is_left(
    live: xplain.Explanation, tmp_path: Path
) -> None:
    (tmp_path / "index.html").mkdir()
    with pytest.raises(xplain.ArtifactError, match="cannot be written"):
        write_page([live], tmp_path / "index.html")
    assert [p.name for p in tmp_path.iterdir()] == ["index.html"]


def test_provenance_is_there_in_full(live: xplain.Explanation, tmp_path: Path) -> None:
    page = Page(write_page([live], tmp_path / "index.html"))
    for fact in ("model.sha256", "audio.sha256", "seed", "route", "torch", "xplain"):
        assert f" {fact} " in re.sub(r"<[^>]*>", " ", page.source), fact
    assert live.provenance["model"]["sha256"] in page.text
    assert "explainer.parameters" in page.text or "explainer.params" in page.text


def test_doubts_are_in_a_box(live: xplain.Explanation, tmp_path: Path) -> None:
    assert "Warnings" not in Page(write_page([live], tmp_path / "index.html")).text
    doubtful = dataclasses.replace(
        live, completeness_error=0.4, converged=False, warnings=("mind the <step>",)
    )
    page = Page(write_page([doubtful], tmp_path / "index.html"))
    assert "Warnings" in page.text and "mind the <step>" in page.text
    assert (
        "Completeness does not hold" in page.text
        and "not converged" in page.text
        and "40\xa0%" in page.source
    )
    assert "what was kept proves little" in page.text
    assert "enough for the prediction" not in page.text


# --- sentences -------------------------------------------------------------------------


def said(
    probabilities: dict[str, float], label: str, kept: Any, removed: Any, **changed: Any
) -> str:
    """The sentences about a clip of which the model says these numbers."""
    base = explained()
    base.scores()
    multilabel = changed.pop("multilabel", False)
    target = dataclasses.replace(
        base.target, label=label, probability=probabilities[label], **changed
    )
    explanation = dataclasses.replace(
        base,
        probabilities=probabilities,
        target=target,
        provenance={
            **base.provenance,
            "model": {**base.provenance["model"], "multilabel": multilabel},
        },
    )
    outcomes = []
    for outcome, (winner, chance, agrees) in zip(base.saved, (kept, removed), strict=True):
        reencoded = dataclasses.replace(
            outcome.reencoded, label=winner, probability=chance, agrees=agrees
        )
        outcomes.append(dataclasses.replace(outcome, reencoded=reencoded))
    parts = [sentences.decision(explanation), sentences.changes(explanation, outcomes)]
    verdict = sentences.verdict(explanation, outcomes)
    return " ".join([*parts, *([] if verdict is None else [verdict])]).replace("\xa0", " ")


def test_a_decision_that_stays_and_goes() -> None:
    text = said({"seven": 0.98, "two": 0.02}, "seven", ("seven", 0.975, True), ("two", 0.3, False))
    assert text == (
        "The model predicts “seven” (98 %). With only the top 10 % of elements kept, it still "
        "predicts “seven” (98 %). With them removed, it predicts “two”; “seven” gets 30 %. This "
        "10 % is enough for the prediction, and the prediction needs it."
    )


def test_another_label_than_the_decision() -> None:
    text = said(
        {"seven": 0.2, "two": 0.8},
        "seven",
        ("seven", 0.6, True),
        ("two", 0.0001, False),
        versus="two",
    )
    assert text == (
        "The model predicts “two” (80 %). Explained here is another label, “seven” (20 %). The "
        "explanation is for “seven” rather than “two” (80 %). With only the top 10 % of elements "
        "kept, it predicts “seven” (60 %). With them removed, it predicts “two”; “seven” gets "
        "under 0.1 %."
    )


def test_independent_labels_in_a_time_span() -> None:
    text = said(
        {"music": 0.9, "speech": 0.7, "noise": 0.1},
        "music",
        ("speech", 0.8, True),
        ("speech", 0.3, False),
        start=3.2,
        end=5.9,
        multilabel=True,
    )
    assert text.startswith(
        "Between 3.2 and 5.9 seconds, the model predicts “music” (90 %), and also “speech” "
        "(70 %). With only the top 10 % of elements kept, it still predicts “music” (80 %). With "
        "them removed, it no longer predicts “music” (30 %)."
    )


def test_an_independent_label_that_is_not_heard() -> None:
    text = said(
        {"music": 0.1, "speech": 0.2},
        "music",
        ("speech", 0.1, False),
        ("speech", 0.1, False),
        multilabel=True,
    )
    assert text == (
        "The model does not predict “music” (10 %), which is the label explained here; it "
        "predicts none of its labels. With only the top 10 % of elements kept, it does not predict "
        "“music” (10 %). With them removed, it does not predict “music” (10 %)."
    )


def test_a_segmenter_has_a_page(tmp_path: Path) -> None:
    asked = xplain.wrap(
        Bands(gain=2.0, block=800), sample_rate=RATE, labels=LABELS, multilabel=True, frame_step=0.1
    )
    clip = torch.cat([tones(500), tones(3500)])
    explanation = explained(clip, model=asked, target="low@0.1-0.4")
    page = Page(write_page([explanation], tmp_path / "index.html"))
    assert "Between 0.1 and 0.4 seconds, the model predicts “low”" in page.text
    assert "multi-label model" in page.text
    spans = [line.get_xdata() for line in _figure(explanation).axes[0].lines]
    assert [list(map(float, x)) for x in spans] == [[0.1, 0.1], [0.4, 0.4]]


# --- pictures --------------------------------------------------------------------------


def _figure(explanation: xplain.Explanation) -> Any:
    original = plots.spectrogram(explanation.waveform, explanation.sample_rate)
    return plots.attribution_figure(
        explanation, original, plots.scale_of(original), plots.drawn(explanation)
    )


def _centre(image: Any, row: int, column: int) -> tuple[float, float]:
    """Seconds and Hz (or channel) at the centre of a cell of a picture."""
    left, right, bottom, top = image.get_extent()
    rows, columns = image.get_array().shape[:2]
    return (
        left + (column + 0.5) * (right - left) / columns,
        bottom + (row + 0.5) * (top - bottom) / rows,
    )


def test_an_attribution_is_drawn_where_it_is() -> None:
    explanation = explained(tones(500, seconds=2.0))
    assert explanation.frequencies is not None
    channels, frames = explanation.attribution.shape
    planted = torch.zeros(channels, frames)
    planted[64, frames // 4] = 3.0  # 64 · 31.25 Hz = 2000 Hz, a quarter into 2 s
    planted[16, frames // 2] = -1.0  # 500 Hz, 1 s
    axes = _figure(dataclasses.replace(explanation, attribution=planted)).axes[0]
    picture = axes.images[1]
    alpha = picture.get_array()[..., 3]
    assert (alpha > 0).sum() == 2
    (row, column), (other_row, other_column) = np.argwhere(alpha > 0)[::-1]
    seconds, hertz = _centre(picture, row, column)
    assert seconds == pytest.approx(0.5, abs=0.008) and hertz == pytest.approx(2000, abs=1)
    assert picture.get_array()[row, column, 0] > picture.get_array()[row, column, 2]
    assert alpha[row, column] == 1.0
    seconds, hertz = _centre(picture, other_row, other_column)
    assert seconds == pytest.approx(1.0, abs=0.008) and hertz == pytest.approx(500, abs=1)
    assert picture.get_array()[other_row, other_column, 2] > 0.5
    assert alpha[other_row, other_column] == pytest.approx(1 / 3)
    assert axes.get_xlim() == (0, 2.0)
    assert axes.get_ylim() == pytest.approx((0, 4000))


def test_a_spectrogram_has_the_tone_where_it_sounds() -> None:
    silence = torch.zeros(RATE)
    waveform = torch.cat([silence, tones(2000, seconds=0.1, level=1.0), silence])
    shown = plots.spectrogram(waveform, RATE)
    left, right, bottom, top = shown.extent
    row, column = np.unravel_index(shown.decibels.argmax(), shown.decibels.shape)
    rows, columns = shown.decibels.shape
    assert left + (column + 0.5) * (right - left) / columns == pytest.approx(1.05, abs=0.05)
    assert bottom + (row + 0.5) * (top - bottom) / rows == pytest.approx(2000, abs=1)
    assert shown.decibels.max() == pytest.approx(0.0, abs=0.1)  # a full-scale sine


def test_ten_minutes_are_drawn_with_a_bounded_width() -> None:
    waveform = torch.zeros(600 * RATE)
    waveform[450 * RATE] = 1.0
    shown = plots.spectrogram(waveform, RATE)
    left, right, _, _ = shown.extent
    columns = shown.decibels.shape[1]
    assert columns <= plots.COLUMNS
    column = int(shown.decibels.max(axis=0).argmax())
    assert left + (column + 0.5) * (right - left) / columns == pytest.approx(450, abs=0.5)

    short = explained(synthesizer="waveform")
    attribution = torch.zeros(1, len(waveform))
    attribution[0, 450 * RATE] = -2.0
    changed = {"attribution": attribution, "latents": attribution}
    long = dataclasses.replace(short, waveform=waveform, **changed)
    values, extent = plots.drawn(long).values, plots.drawn(long).extent
    assert values.shape[1] <= plots.COLUMNS and values.min() == -2.0
    place = (int(values.argmin()) + 0.5) / values.shape[1] * extent[1]
    assert place == pytest.approx(450, abs=0.5)


def test_uneven_frequencies_are_put_where_they_are(live: xplain.Explanation) -> None:
    frequencies = (100.0, 200.0, 800.0, 3200.0)
    planted = torch.zeros(4, 10)
    planted[2, 3] = 1.0
    changed = {"attribution": planted, "latents": planted}
    moved = dataclasses.replace(live, frequencies=frequencies, **changed)
    picture = _figure(moved).axes[0].images[1]
    rows = np.flatnonzero(picture.get_array()[:, 3, 3])
    low, high = (_centre(picture, int(r), 3)[1] for r in (rows[0], rows[-1]))
    # Nearest to 800 Hz is what lies between the midpoints to its neighbours.
    assert low == pytest.approx(500, abs=10) and high == pytest.approx(2000, abs=10)


def test_the_frequencies_that_counted_are_named(live: xplain.Explanation, tmp_path: Path) -> None:
    bands = (Band(400, 630, 0.4), Band(0, 100, 0.2))
    target = dataclasses.replace(live.target, label="one", versus="two")
    shown = dataclasses.replace(live, bands=bands, target=target)
    lies = "Half of the evidence for “one” rather than “two” lies at"
    assert sentences.where(shown) == f"{lies} 400–630 Hz 40%, 0–100 Hz 20%."
    assert sentences.where(dataclasses.replace(live, bands=None)) is None
    said = sentences.where(live)
    assert said is not None and said in Page(write_page([live], tmp_path / "p.html")).text


def test_channels_without_frequencies_have_a_picture_of_their_own(tmp_path: Path) -> None:
    explanation = explained(tones(500, seconds=0.3), synthesizer=Rows())
    assert explanation.frequencies is None and len(explanation.attribution) == 4
    spectrogram, channels, curve, _colours = _figure(explanation).axes
    assert len(spectrogram.images) == 1
    np.testing.assert_allclose(channels.images[0].get_array(), explanation.attribution.numpy())
    assert spectrogram.get_xlim() == channels.get_xlim() == curve.get_xlim() == (0, 0.3)
    assert channels.images[0].get_extent() == pytest.approx([0, 0.3, -0.5, 3.5])
    assert "one row for each channel" in Page(write_page([explanation], tmp_path / "p.html")).text


def test_one_outlier_does_not_pale_the_rest(live: xplain.Explanation) -> None:
    values = torch.ones(live.attribution.shape)
    values[0, 0] = 50.0
    outlier = plots.drawn(dataclasses.replace(live, attribution=values))
    assert outlier.limit == 1.0 and outlier.largest == 50.0


def test_a_sparse_attribution_keeps_its_shades(live: xplain.Explanation) -> None:
    values = torch.full(live.attribution.shape, 1e-6)
    values[16, 10:20] = torch.linspace(0.1, 1.0, 10)
    sparse = plots.drawn(dataclasses.replace(live, attribution=values))
    assert sparse.limit == 1.0


def test_renderings_are_on_the_scale_of_the_original(live: xplain.Explanation) -> None:
    original = plots.spectrogram(live.waveform, RATE)
    quiet = plots.spectrogram(live.waveform / 100, RATE)
    scale = plots.scale_of(original)
    for shown in (original, quiet):
        (image,) = plots.spectrogram_figure(shown, scale).axes[0].images
        assert image.get_clim() == (scale.low, scale.high)
    assert quiet.decibels.max() == pytest.approx(original.decibels.max() - 40)


@pytest.mark.parametrize("samples", [8, 40, 300])
def test_clips_of_a_few_samples_have_a_page(samples: int, tmp_path: Path) -> None:
    explanation = explained(tones(500)[10 : 10 + samples], synthesizer="waveform")
    page = Page(write_page([explanation], tmp_path / "index.html"))
    assert [len(wav) for wav, _ in page.wavs()] == [samples] * 3


def test_pictures_are_small(tmp_path: Path) -> None:
    noise = torch.randn(5 * RATE, generator=torch.Generator().manual_seed(0)) / 10
    made = explained(noise)
    drawn = torch.randn(made.attribution.shape, generator=torch.Generator().manual_seed(1))
    explanation = dataclasses.replace(made, attribution=drawn)
    page = Page(write_page([explanation], tmp_path / "index.html"))
    pictures = [str(i["src"]) for i in page.all("img")]
    assert sum(map(len, pictures)) * 3 / 4 < 300_000, [len(p) for p in pictures]


@pytest.mark.parametrize("kind", ["sound", "weak", "broken"])
def test_the_verdict_and_its_reasons_are_shown(
    tmp_path: Path, kind: Literal["sound", "weak", "broken"]
) -> None:
    explanation = explained()
    unasked = write_page([explanation], tmp_path / "unasked.html").read_text("utf-8")
    assert "for changed versions of this clip" not in unasked
    explanation._checked.append(Verdict(kind, ("a <reason>", "another"), {}))
    page = write_page([explanation, explanation], tmp_path / "page.html").read_text("utf-8")
    assert page.count(f'<span class="check check-{kind}">{FAITHFUL[kind]}</span>') == 4
    assert page.count("<li>a &lt;reason&gt;</li>") == 2
