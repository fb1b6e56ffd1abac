from __future__ import annotations

import base64
import dataclasses
import io
import json
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor, nn

import xplain
from xplain.report import arrays, plots
from xplain.report.index import found, write_index
from xplain.report.page import write_page
from xplain.verdict import Verdict

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


def held(path: Path) -> dict[str, Any]:
    """What a page holds for its script."""
    source = path.read_text("utf-8")
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', source)
    return dict(json.loads(text))


def sounds(page: dict[str, Any]) -> list[np.ndarray]:
    """The samples of each version, as soundfile decodes them."""
    files = [base64.b64decode(version["audio"], validate=True) for version in page["versions"]]
    return [soundfile.read(io.BytesIO(file), dtype="int16")[0] for file in files]


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
    explanation.scores(keep=[0.1, 0.5, 1.0], remove=[0.1])
    return explanation


def test_a_page_needs_nothing_but_itself(live: xplain.Explanation, tmp_path: Path) -> None:
    source = write_page(live, tmp_path / "new" / "index.html").read_text("utf-8")
    assert "http://" not in source and "https://" not in source
    assert "url(" not in source and "@import" not in source
    assert not re.findall(r"<(?:link|img|iframe|object|audio)|\b(?:src|href)=", source)
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["index.html"]


def test_a_page_allows_its_own_script_and_style_alone(
    live: xplain.Explanation, tmp_path: Path
) -> None:
    source = write_page(live, tmp_path / "index.html").read_text("utf-8")
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', source)
    assert policy.startswith("default-src 'none'") and "unsafe" not in policy
    assert len(re.findall(r"'sha256-[\w+/=]{44}'", policy)) == 2


def test_versions_hold_the_audio_of_the_saved_files(tmp_path: Path) -> None:
    explanation = explained(tones(500, 3000, level=0.9))  # clips: peaks at 1.8
    folder = explanation.save(tmp_path / "clip", keep=[0.1, 0.5], remove=[0.1])
    page = held(write_page(explanation, tmp_path / "index.html"))
    names = ["original.wav", "keep-0.1.wav", "keep-0.5.wav", "remove-0.1.wav"]
    assert len(page["versions"]) == len(names) and page["rate"] == RATE
    for samples, name in zip(sounds(page), names, strict=True):
        np.testing.assert_array_equal(samples, soundfile.read(folder / name, dtype="int16")[0])
    assert page["versions"][0]["gain"] == pytest.approx(
        1 / float(explanation.waveform.abs().max()), rel=1e-4
    )


def test_probabilities_are_those_of_the_explanation(
    live: xplain.Explanation, tmp_path: Path
) -> None:
    page = held(write_page(live, tmp_path / "index.html"))
    labels = sorted(live.probabilities, key=lambda label: -live.probabilities[label])
    assert [label for label, _ in page["probabilities"]] == labels
    outcomes = sorted(live.saved, key=lambda o: (o.kind, o.ratio))
    assert [v["kind"] for v in page["versions"]] == [
        "original", "keep", "keep", "reencoded", "remove",
    ]  # fmt: skip
    columns = [live.probabilities, *(o.probabilities for o in outcomes)]
    for version, column in zip(page["versions"], columns, strict=True):
        assert version["probabilities"] == [column[label] for label in labels]
    for version, outcome in zip(page["versions"][1:], outcomes, strict=True):
        assert version["reencoded"]["probability"] == outcome.reencoded.probability


def test_the_bars_have_every_decision_whatever_its_place(tmp_path: Path) -> None:
    labels = tuple(f"label {n}" for n in range(9))  # bands of 444 Hz
    bands = [666, 1111, 1555, 2000, 2444]  # 1 to 5
    clip = sum((tones(hertz, level=0.3 - n / 50) for n, hertz in enumerate(bands)), torch.zeros(1))
    explanation = explained(clip, model=model(labels), target="label 8", versus="label 7")
    explanation.scores(keep=[], remove=[1.0])  # silence: all alike, the first one wins
    page = held(write_page(explanation, tmp_path / "index.html"))
    shown = [label for label, _ in page["probabilities"]]
    assert shown == ["label 8", "label 7", *labels[1:6], "label 0"]
    assert [v["decided"] for v in page["versions"]] == [["label 1"], ["label 0"]]


@pytest.mark.parametrize("level", [0.3, 0.9])
def test_a_loaded_explanation_gives_the_same_page(level: float, tmp_path: Path) -> None:
    explanation = explained(tones(500, 3000, level=level))
    folder = explanation.save(tmp_path / "clip")
    one = write_page(explanation, tmp_path / "live.html").read_bytes()
    other = write_page(xplain.Explanation.load(folder), tmp_path / "loaded.html").read_bytes()
    assert one == other


def test_what_was_not_asked_yet_is_the_usual_tenth(tmp_path: Path) -> None:
    explanation = explained()
    page = held(write_page(explanation, tmp_path / "index.html"))
    assert [(o.kind, o.ratio) for o in explanation.saved] == [("keep", 0.1), ("remove", 0.1)]
    assert len(page["versions"]) == 3


def test_an_explanation_saved_without_renderings_has_a_page(tmp_path: Path) -> None:
    folder = explained().save(tmp_path / "clip", keep=[], remove=[])
    page = held(write_page(xplain.Explanation.load(folder), tmp_path / "index.html"))
    assert len(page["versions"]) == 1


def test_labels_and_names_are_text_and_never_markup(tmp_path: Path) -> None:
    name = '"></script><img src=x onerror=alert(1)><!--<script>\u202e'
    explanation = xplain.explain(
        xplain.Audio(tones(500), RATE, name),
        model((NASTY, "high", "noise")),
        synthesizer="stft",
        params={"steps": 8},
    )
    path = write_page(explanation, tmp_path / "index.html")
    source = path.read_text("utf-8")
    assert source.count("<script") == source.count("</script") == 3
    assert "<img" not in source and "\u202e" not in source
    assert held(path)["name"] == name.replace("\u202e", "\\u202e")
    assert held(path)["target"]["label"] == NASTY


@pytest.mark.filterwarnings("ignore::xplain.XplainWarning")
@pytest.mark.parametrize("synthesizer", ["stft", "waveform"])
def test_silence_is_said_and_nothing_is_drawn(synthesizer: str, tmp_path: Path) -> None:
    explanation = explained(torch.zeros(4000), synthesizer=synthesizer)
    assert explanation.completeness_error is None and not explanation.attribution.any()
    page = held(write_page(explanation, tmp_path / "index.html"))
    assert page["attribution"]["limit"] is None and page["peak"] is None
    assert page["completeness"] == {"error": None, "converged": None}
    assert [version["silent"] for version in page["versions"]] == [True] * 3
    assert "the recording is silent" in page["warnings"][0]
    figure = plots.explanation_figure(explanation)
    assert "zero everywhere" in "".join(axes.get_title() for axes in figure.axes)


def test_where_no_page_can_be_written_nothing_is_left(
    live: xplain.Explanation, tmp_path: Path
) -> None:
    (tmp_path / "index.html").mkdir()
    with pytest.raises(xplain.ArtifactError, match="cannot be written"):
        write_page(live, tmp_path / "index.html")
    assert [p.name for p in tmp_path.iterdir()] == ["index.html"]


def test_provenance_and_warnings_are_there_in_full(
    live: xplain.Explanation, tmp_path: Path
) -> None:
    doubtful = dataclasses.replace(live, warnings=("mind the <step>",))
    page = held(write_page(doubtful, tmp_path / "index.html"))
    facts = page["facts"]
    assert facts["audio"]["sha256"] and {"seed", "route"} <= set(facts)
    assert facts["selection"]["order"] == "signed"
    assert facts["model"]["sha256"] == live.provenance["model"]["sha256"]
    assert page["warnings"] == ["mind the <step>"]


def test_the_verdict_its_reasons_and_its_figures_are_there(tmp_path: Path) -> None:
    explanation = explained()
    explanation._checked.append(
        Verdict("faithful", ("a <reason>",), {"correlation": 0.5}, 81, ("unsure",))
    )
    page = held(write_page(explanation, tmp_path / "index.html"))
    assert page["verdict"]["kind"] == "faithful" and page["verdict"]["reasons"] == ["a <reason>"]
    assert page["verdict"]["figures"] == {"correlation": 0.5}
    assert page["verdict"]["badge"] == "noticed" and page["verdict"]["notices"] == ["unsure"]


@pytest.mark.parametrize("samples", [8, 40, 300])
def test_clips_of_a_few_samples_have_a_page(samples: int, tmp_path: Path) -> None:
    explanation = explained(tones(500)[10 : 10 + samples], synthesizer="waveform")
    page = held(write_page(explanation, tmp_path / "index.html"))
    assert [len(sound) for sound in sounds(page)] == [samples] * 3


def test_a_second_with_five_ratios_is_under_a_megabyte(tmp_path: Path) -> None:
    noise = torch.randn(RATE, generator=torch.Generator().manual_seed(0)) / 10
    explanation = explained(noise)
    explanation.scores(keep=[0.05, 0.1, 0.2, 0.3, 0.5, 1.0], remove=[0.05, 0.1, 0.2, 0.3, 0.5])
    assert write_page(explanation, tmp_path / "index.html").stat().st_size < 1_000_000


def test_of_a_long_clip_the_excerpts_that_matter_are_shown(tmp_path: Path) -> None:
    made = explained(synthesizer="waveform")
    seconds = 100
    waveform = tones(500, seconds=seconds)
    attribution = torch.zeros(1, len(waveform))
    attribution[0, 75 * RATE] = -2.0
    attribution[0, 12 * RATE] = 1.0
    changed = {"attribution": attribution, "latents": attribution, "waveform": waveform}
    long = dataclasses.replace(made, _live=None, **changed)
    page = held(write_page(long, tmp_path / "index.html"))
    assert page["excerpts"] and page["lossy"] is False and page["total"] == seconds
    assert page["duration"] == sum(end - start for start, end in page["spans"]) == 60
    for second in (75, 12):
        assert any(start <= second < end for start, end in page["spans"])
    assert len(sounds(page)[0]) == 60 * RATE
    planted = np.frombuffer(zlib.decompress(base64.b64decode(page["attribution"]["values"])), "i1")
    columns = page["attribution"]["columns"]
    # 75 s lies behind all the seconds of the excerpts before it.
    before = sum(min(end, 75) - start for start, end in page["spans"] if start < 75)
    assert (int(planted.argmin()) + 0.5) / columns * 60 == pytest.approx(before, abs=0.2)


def test_sounds_get_coarser_as_far_as_the_page_is_light(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    loud = (3000 * random.standard_normal(16 * arrays.BLOCK)).astype(np.int16)
    loud[:3] = 32767, -32768, 32767
    faint, silent = (loud / 100).astype(np.int16), np.zeros_like(loud)

    def read(files: list[bytes]) -> list[Any]:
        return [soundfile.read(io.BytesIO(file), dtype="int16")[0] for file in files]

    files, exact = arrays.light([loud, faint, silent], RATE)
    assert exact
    assert all((a == b).all() for a, b in zip(read(files), (loud, faint, silent), strict=True))
    weight = sum(map(len, files))
    monkeypatch.setattr(arrays, "LIGHT", weight // 2)
    files, exact = arrays.light([loud, faint, silent], RATE)
    assert not exact and weight / 4 < sum(map(len, files)) <= weight // 2
    for sound, again in zip((loud, faint), read(files), strict=False):
        off = (again.astype(float) - sound).reshape(16, -1)
        level = np.sqrt(np.square(sound.astype(float)).mean())
        assert 0 < np.sqrt(np.square(off).mean(axis=1)).max() < level / 8
    assert not read(files)[2].any()
    monkeypatch.setattr(arrays, "LIGHT", weight // 40)
    files, exact = arrays.light([loud, faint, silent], RATE)
    assert not exact and not any(file.startswith(b"fLaC") for file in files)


def test_the_targets_span_is_always_among_the_excerpts() -> None:
    values = np.zeros((1, 2000))
    values[0, :600] = 1.0
    assert arrays.excerpts(values, 200.0, (173.0, 174.0)) == [(0.0, 50.0), (170.0, 180.0)]
    assert arrays.excerpts(values, 60.0, None) == [(0.0, 60.0)]


# --- attributions as they are drawn ----------------------------------------------------


def test_an_attribution_is_drawn_where_it_is() -> None:
    explanation = explained(tones(500, seconds=2.0))
    assert explanation.frequencies is not None
    channels, frames = explanation.attribution.shape
    planted = torch.zeros(channels, frames)
    planted[64, frames // 4] = 3.0  # 64 · 31.25 Hz = 2000 Hz, a quarter into 2 s
    planted[16, frames // 2] = -1.0  # 500 Hz, 1 s
    axes = plots.explanation_figure(dataclasses.replace(explanation, attribution=planted)).axes[0]
    picture = axes.images[-1]
    alpha = picture.get_array()[..., 3]
    assert (alpha > 0).sum() == 2
    (row, column), (other_row, other_column) = np.argwhere(alpha > 0)[::-1]
    seconds, hertz = _centre(picture, row, column)
    assert seconds == pytest.approx(0.5, abs=0.008) and hertz == pytest.approx(2000, abs=1)
    assert picture.get_array()[row, column, 0] > picture.get_array()[row, column, 2]
    seconds, hertz = _centre(picture, other_row, other_column)
    assert seconds == pytest.approx(1.0, abs=0.008) and hertz == pytest.approx(500, abs=1)
    assert picture.get_array()[other_row, other_column, 2] > 0.5
    assert alpha[other_row, other_column] == pytest.approx(1 / 3)
    assert axes.get_xlim() == (0, 2.0)
    assert axes.get_ylim() == pytest.approx((0, 4000))


def _centre(image: Any, row: int, column: int) -> tuple[float, float]:
    """Seconds and Hz (or channel) at the centre of a cell of a picture."""
    left, right, bottom, top = image.get_extent()
    rows, columns = image.get_array().shape[:2]
    return (
        left + (column + 0.5) * (right - left) / columns,
        bottom + (row + 0.5) * (top - bottom) / rows,
    )


def test_uneven_frequencies_are_put_where_they_are() -> None:
    planted = np.zeros((4, 10))
    planted[2, 3] = 1.0
    picture = arrays.drawn(planted, (100.0, 200.0, 800.0, 3200.0), 1.0)
    rows = np.flatnonzero(picture.values[:, 3])
    step = (picture.top - picture.bottom) / len(picture.values)
    low, high = (picture.bottom + (row + 0.5) * step for row in (rows[0], rows[-1]))
    # Nearest to 800 Hz is what lies between the midpoints to its neighbours.
    assert low == pytest.approx(500, abs=10) and high == pytest.approx(2000, abs=10)


def test_ten_minutes_are_drawn_with_a_bounded_width() -> None:
    values = np.zeros((1, 600 * RATE))
    values[0, 450 * RATE] = -2.0
    picture = arrays.drawn(values, None, 600.0)
    assert picture.values.shape[1] <= arrays.COLUMNS and picture.values.min() == -2.0
    place = (int(picture.values.argmin()) + 0.5) / picture.values.shape[1] * picture.end
    assert place == pytest.approx(450, abs=0.5)
    assert arrays.summed(values).sum() == -2.0 and len(arrays.summed(values)) <= arrays.CURVE


def test_one_outlier_does_not_pale_the_rest_and_a_sparse_one_keeps_its_shades() -> None:
    values = np.ones((129, 100))
    values[0, 0] = 50.0
    outlier = arrays.drawn(values, None, 1.0)
    assert outlier.limit == 1.0 and outlier.largest == 50.0
    values = np.full((129, 100), 1e-6)
    values[16, 10:20] = np.linspace(0.1, 1.0, 10)
    assert arrays.drawn(values, None, 1.0).limit == 1.0


# --- figures ---------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["svg", "pdf"])
def test_figures_are_fit_for_a_paper(live: xplain.Explanation, ending: str, tmp_path: Path) -> None:
    figure = live.plot()
    names = [axes.get_ylabel() for axes in figure.axes]
    assert names[:2] == ["frequency (Hz)", "sum"] and figure.axes[1].get_xlabel() == "time (s)"
    figure.savefig(tmp_path / f"figure.{ending}")
    assert (tmp_path / f"figure.{ending}").stat().st_size > 5000


def test_channels_without_frequencies_have_a_picture_of_their_own() -> None:
    explanation = explained(tones(500, seconds=0.3), synthesizer=Rows())
    assert explanation.frequencies is None and len(explanation.attribution) == 4
    spectrogram, channels, curve, _colours = explanation.plot().axes
    assert len(spectrogram.images) == 1
    np.testing.assert_allclose(channels.images[0].get_array(), explanation.attribution.numpy())
    assert spectrogram.get_xlim() == channels.get_xlim() == curve.get_xlim() == (0, 0.3)
    assert channels.images[0].get_extent() == pytest.approx([0, 0.3, -0.5, 3.5])


def test_a_segmenter_has_a_page_and_its_span_is_marked(tmp_path: Path) -> None:
    asked = xplain.wrap(
        Bands(gain=2.0, block=800), sample_rate=RATE, labels=LABELS, multilabel=True, frame_step=0.1
    )
    clip = torch.cat([tones(500), tones(3500)])
    explanation = explained(clip, model=asked, target="low@0.1-0.4")
    page = held(write_page(explanation, tmp_path / "index.html"))
    assert page["multilabel"] and [page["target"][k] for k in ("start", "end")] == [0.1, 0.4]
    spans = [line.get_xdata() for line in explanation.plot().axes[0].lines]
    assert [list(map(float, x)) for x in spans] == [[0.1, 0.1], [0.4, 0.4]]


def test_a_spectrogram_has_the_tone_where_it_sounds(live: xplain.Explanation) -> None:
    silence = torch.zeros(RATE)
    waveform = torch.cat([silence, tones(2000, seconds=0.1, level=1.0), silence])
    (image, *_) = dataclasses.replace(live, waveform=waveform).plot().axes[0].images
    levels = np.asarray(image.get_array())  # row 0 is at the top
    row, column = np.unravel_index(levels.argmax(), levels.shape)
    seconds, _ = _centre(image, row, column)
    assert seconds == pytest.approx(1.05, abs=0.06)
    assert (1 - (row + 0.5) / len(levels)) * RATE / 2 == pytest.approx(2000, abs=32)


# --- the page of a folder --------------------------------------------------------------


def test_a_folder_is_a_table_and_a_damaged_explanation_is_a_row_of_it(tmp_path: Path) -> None:
    one = explained(tones(500))
    one._checked.append(Verdict("faithful", (), {}))
    write_page(one, one.save(tmp_path / "a #1", keep=[0.1, 0.5]) / "index.html")
    explained(tones(3500)).save(tmp_path / "b")
    explained(tones(3500)).save(tmp_path / "c")
    (tmp_path / "b" / "explanation.json").write_text("{")
    damaged = write_index(found(tmp_path), tmp_path / "index.html")
    assert list(damaged) == [tmp_path / "b"]
    first, second, third = held(tmp_path / "index.html")["rows"]
    assert first["name"] == "a #1" and first["link"] == "a%20%231/index.html"
    assert (first["prediction"], first["label"], first["verdict"]) == ("low", "low", "faithful")
    assert first["probability"] == one.target.probability
    kept = {o.ratio: o.reencoded.probability for o in one.saved if o.kind == "keep"}
    assert first["kept"] == [[0.1, kept[0.1]], [0.5, kept[0.5]]]
    assert len(base64.b64decode(first["map"]["values"])) == (
        first["map"]["rows"] * first["map"]["columns"]
    )
    assert second["name"] == "b" and second["error"] == damaged[tmp_path / "b"]
    assert third["prediction"] == "noise" and "link" not in third and third["verdict"] is None


def test_minutes_of_sound_are_compressed_whole() -> None:
    sound = np.zeros(8000 * 500, np.int16)  # more than libvorbis has room for at once
    assert soundfile.info(io.BytesIO(arrays.compressed(sound, 8000, "OGG"))).frames == len(sound)
