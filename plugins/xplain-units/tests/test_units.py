"""Groups of sounds that are made here, and of real words where there are any."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import xplain
from xplain import Clip, Grouping, Groups, PluginError, Synthesizer, XplainWarning
from xplain.audio import read, resample
from xplain_codecs.codecs.stft import Stft
from xplain_codecs.codecs.waveform import Waveform
from xplain_units.events import Events
from xplain_units.file import File
from xplain_units.harmonics import Harmonics
from xplain_units.spans import in_time
from xplain_units.speech import Phones, Words
from xplain_units.stems import StemNames, Stems
from xplain_units.superpixels import Superpixels

RATE = 8000


def noise(seconds: float, seed: int = 0, level: float = 0.02) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return level * torch.randn(round(seconds * RATE), generator=generator)


def tone(hertz: float, start: float, end: float, seconds: float = 1.0) -> Tensor:
    time = torch.arange(round(seconds * RATE)) / RATE
    return 0.3 * torch.sin(2 * math.pi * hertz * time) * ((time >= start) & (time < end))


def clip_of(sound: Tensor, synthesizer: Synthesizer | None = None, name: str = "a") -> Clip:
    made = synthesizer or Stft(RATE)
    return Clip(made, sound, made.encode(sound[None]), torch.Generator(), name)


def spans_of(groups: Groups, seconds: float) -> dict[str, tuple[float, float]]:
    """First and last time of each group."""
    frames = groups.numbers.shape[1]
    found = {}
    for number, name in enumerate(groups.names or ()):
        places = (groups.numbers == number).any(dim=0).nonzero().flatten()
        found[name] = (
            float(places[0]) / frames * seconds,
            float(places[-1] + 1) / frames * seconds,
        )
    return found


def test_spans_are_named_apart_and_together_and_what_is_lost_is_said() -> None:
    clip = clip_of(noise(1.0), Waveform(RATE))
    spans = [("yes", 0.1, 0.4), ("yes", 0.5, 0.8), ("no", 0.7, 0.9)]
    groups = in_time(spans, clip, "rest")
    assert groups.names == ("rest", "yes", "yes (2)", "yes (2) + no", "no")
    numbers = groups.numbers[0]
    assert [int((numbers == n).sum()) for n in range(5)] == [2400, 2400, 1600, 800, 800]
    with pytest.warns(XplainWarning, match="no frame lies in short"):
        assert in_time([("short", 0.5, 0.50001)], clip_of(noise(1.0)), "rest").names == ("rest",)


SEGMENTS = [{"label": "yes", "start": 0.1, "end": 0.4}, {"label": "no", "start": 0.5, "end": 0.9}]
TEXTS: Mapping[str, str] = {
    "a.csv": "label,start,end\nyes,0.1,0.4\nno,0.5,0.9\n",
    "a.rttm": "SPEAKER a 1 0.1 0.3 <NA> <NA> yes <NA> <NA>\n"
    "SPEAKER a 1 0.5 0.4 <NA> <NA> no <NA> <NA>\n",
    "a.txt": "0.1\t0.4\tyes\n0.5\t0.9\tno\n",
    "a.TextGrid": '"ooTextFile" "TextGrid" 0 1 <exists> 1 "IntervalTier" "words" 0 1 2 '
    '0.1 0.4 "yes" 0.5 0.9 "no"',
    "a.json": json.dumps(SEGMENTS),
    "all.json": json.dumps({"a": SEGMENTS, "b": []}),
}


@pytest.mark.parametrize("name", TEXTS)
def test_segments_of_a_file_are_groups(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(TEXTS[name])
    groups = File(str(tmp_path / name)).groups(clip_of(noise(1.0), Waveform(RATE)))
    found = spans_of(groups, 1.0)
    assert groups.names == ("rest", "yes", "no")
    assert found["yes"] == pytest.approx((0.1, 0.4), abs=1e-3)
    assert found["no"] == pytest.approx((0.5, 0.9), abs=1e-3)
    by_folder = File(str(tmp_path)) if name.startswith("a.") else File(str(tmp_path / name))
    assert torch.equal(
        by_folder.groups(clip_of(noise(1.0), Waveform(RATE))).numbers, groups.numbers
    )
    assert by_folder.fingerprint() is not None


def test_a_file_that_has_nothing_of_the_clip_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="needs segments"):
        File()
    with pytest.raises(PluginError, match="does not exist"):
        File(str(tmp_path / "none.csv"))
    (tmp_path / "all.json").write_text(TEXTS["all.json"])
    with pytest.raises(PluginError, match="no segments of 'c'"):
        File(str(tmp_path / "all.json")).groups(clip_of(noise(1.0), name="c"))
    with pytest.raises(PluginError, match="has no c with"):
        File(str(tmp_path)).groups(clip_of(noise(1.0), name="c"))
    (tmp_path / "bad.csv").write_text("label,start,end\nyes,0.4,0.1\n")
    with pytest.raises(PluginError, match="line 2"):
        File(str(tmp_path / "bad.csv")).groups(clip_of(noise(1.0)))


def test_an_event_lies_between_its_onset_and_its_offset() -> None:
    groups = Events().groups(clip_of(noise(1.0) + tone(1000, 0.4, 0.7)))
    found = spans_of(groups, 1.0)
    assert any(s == pytest.approx((0.4, 0.7), abs=0.04) for s in found.values()), found
    assert len(Events().groups(clip_of(tone(1000, 0, 1))).names or ()) == 1


def test_superpixels_part_two_tones_from_each_other_and_from_the_noise() -> None:
    clip = clip_of(noise(1.0) + tone(600, 0.2, 0.8) + tone(2500, 0.2, 0.8))
    groups = Superpixels().groups(clip)
    assert 10 < len(groups.names or ()) < 120
    rows = [int(np.abs(np.asarray(clip.frequencies) - hertz).argmin()) for hertz in (600, 2500)]
    middle = clip.shape[1] // 2
    low, high = (int(groups.numbers[row, middle]) for row in rows)
    assert low != high
    with pytest.raises(PluginError, match="choose the synthesizer stft"):
        Superpixels().groups(clip_of(noise(1.0), Waveform(RATE)))


def test_harmonics_are_the_multiples_of_a_gliding_pitch() -> None:
    time = torch.arange(RATE) / RATE
    pitch = 150 + 60 * time
    phase = 2 * math.pi * torch.cumsum(pitch, 0) / RATE
    voiced = sum(torch.sin(n * phase) / n for n in range(1, 8))
    sound = torch.cat([noise(0.5, level=0.1), 0.2 * voiced + noise(1.0, level=1e-3)])
    clip = clip_of(sound)
    groups = Harmonics().groups(clip)
    names = groups.names or ()
    assert {"unvoiced", "noise", "harmonic 1", "harmonic 3"} <= set(names)
    hertz = torch.tensor(clip.frequencies)
    right = []
    for frame, seconds in enumerate(clip.frame_times.tolist()):
        if not 0.6 < seconds < 1.4:
            continue
        own = 150 + 60 * (seconds - 0.5)
        row = int((hertz - 3 * own).abs().argmin())
        right.append(names[int(groups.numbers[row, frame])] == "harmonic 3")
    assert np.mean(right) > 0.9
    early = [names[int(n)] for n in groups.numbers[5, :20]]
    assert early.count("unvoiced") > 15


def test_stems_add_up_and_a_gain_of_zero_leaves_one_out() -> None:
    steady, clicks = tone(700, 0, 2, 2.0), torch.zeros(2 * RATE)
    clicks[RATE // 4 :: RATE // 2] = 0.9
    sound = steady + clicks
    made = Stems(RATE)
    latents = made.encode(sound[None])
    assert latents.values.shape == (1, 2, 1) and bool((latents.values == 1).all())
    assert (made.decode(latents.values, latents.context)[0] - sound).abs().max() < 1e-4
    harmonic, percussive = latents.context["stems"][0]
    assert (harmonic - steady).square().mean() < 0.1 * steady.square().mean()
    assert (percussive - clicks).square().mean() < 0.5 * clicks.square().mean()
    only = made.decode(torch.tensor([[[1.0], [0.0]]]), latents.context)[0]
    assert (only - harmonic).abs().max() < 1e-6
    groups = StemNames().groups(clip_of(sound, made))
    assert groups.names == ("harmonic", "percussive") and groups.numbers.tolist() == [[0], [1]]


def test_nmf_puts_two_notes_into_different_sources() -> None:
    sound = tone(500, 0.0, 0.6) + tone(1700, 0.4, 1.0) + noise(1.0, level=1e-3)
    stems = Stems(RATE, separator="nmf", components=3).separate(sound)
    assert (torch.stack(list(stems.values())).sum(0) - sound).abs().max() < 1e-4
    for note in (tone(500, 0.0, 0.6), tone(1700, 0.4, 1.0)):
        assert (
            max(float(torch.corrcoef(torch.stack([s, note]))[0, 1]) for s in stems.values()) > 0.95
        )


def test_a_function_separates_and_what_it_leaves_is_the_rest() -> None:
    def halves(waveform: Tensor, rate: int) -> dict[str, Tensor]:
        return {"half": waveform / 2, "quarter": waveform / 4}

    made = Stems(RATE, separator=halves, seconds=0.25)
    sound = noise(1.0)
    assert list(made.separate(sound)) == ["half", "quarter", "rest"]
    latents = made.encode(sound[None])
    assert latents.values.shape == (1, 3, 4)
    gains = latents.values.clone()
    gains[0, 0, 1] = 0
    heard = made.decode(gains, latents.context)[0]
    middle = slice(round(0.3 * RATE), round(0.45 * RATE))
    assert torch.allclose(heard[middle], sound[middle] / 2, atol=1e-6)
    assert torch.allclose(heard[RATE // 2 + 100 :], sound[RATE // 2 + 100 :], atol=1e-6)
    with pytest.raises(PluginError, match="clip's length"):
        Stems(RATE, separator=lambda w, r: {"short": w[1:]}).encode(sound[None])


@pytest.mark.parametrize("grouping", [Words(), StemNames(), Words(transcript="qwxz")])
def test_what_cannot_be_grouped_is_refused(grouping: Grouping) -> None:
    if isinstance(grouping, Words) and grouping.transcript is None:
        pytest.importorskip("pocketsphinx")
        assert grouping.groups(clip_of(torch.zeros(RATE))).names == ("pause",)
        return
    with pytest.raises(PluginError, match=r"stems|dictionary"):
        grouping.groups(clip_of(noise(1.0)))


@pytest.fixture(scope="module")
def two_words(shared: Path) -> tuple[Clip, float, float]:
    """Two spoken digits with a pause between them; when the first ends and the second begins."""
    pytest.importorskip("pocketsphinx")
    words = [
        resample(read(shared / f"data/fsdd/test/{name}.flac"), RATE).waveform
        for name in ("7_jackson_0", "3_jackson_1")
    ]
    gap = noise(0.3, level=1e-3)
    sound = torch.cat([gap, words[0], gap, words[1], gap])
    first = (len(gap) + len(words[0])) / RATE
    return clip_of(sound), first, first + 0.3


def test_words_and_phones_are_aligned_to_a_transcript(
    two_words: tuple[Clip, float, float], tmp_path: Path
) -> None:
    clip, first, second = two_words
    found = spans_of(Words(transcript="Seven, three!").groups(clip), clip.duration)
    assert list(found) == ["pause", "seven", "three"]
    assert found["seven"][1] == pytest.approx(first, abs=0.1)
    assert found["three"][0] == pytest.approx(second, abs=0.1)
    phones = Phones(transcript="seven three").groups(clip).names or ()
    assert [p for p in phones if p != "pause"] == [
        *("S", "EH", "V", "AH", "N", "TH", "R", "IY"),
    ]
    texts = tmp_path / "texts.json"
    texts.write_text(json.dumps({"a": "seven three"}))
    assert Words(transcripts=str(texts)).groups(clip).names == ("pause", "seven", "three")
    with pytest.raises(PluginError, match="no transcript of 'b'"):
        Words(transcripts=str(texts)).groups(xplain.Clip(**{**vars(clip), "name": "b"}))
