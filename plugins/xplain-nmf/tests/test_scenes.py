"""Scenes that are mixed from clips the test makes: what they are made of, and what is refused."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from safetensors.numpy import load_file
from typer.testing import CliRunner

from xplain.errors import XplainError
from xplain_nmf.cli.main import app
from xplain_nmf.scenes import folder as scenes_folder
from xplain_nmf.scenes.folder import Order, make_scenes
from xplain_nmf.scenes.rooms import filter_stems
from xplain_nmf.scenes.scene import Mixer
from xplain_nmf.scenes.sources import DEFAULT, load_sources, read_mapping, read_rows

RATE = 16000
MAPPING = {
    "speech": {"talk": {}},
    "music": {"songs": {}},
    "noise": {"sounds": {"without": ["baby"]}},
}
PITCHES = {"anna": 200, "ben": 300, "songs": 1000, "sounds": 5000}  # Hz, of the test's clips


def tone(frequency: float, seconds: float) -> np.ndarray:
    return 0.3 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * RATE)) / RATE)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Each kind, and each speaker, is a tone of its own, in every split."""
    rows = []
    for split in ("train", "test"):
        for name in ("anna", "ben"):
            rows += [(f"{name}-{n}-{split}", "talk", split, "word", name, 0.5) for n in (1, 2)]
        rows.append((f"songs-{split}", "songs", split, "song", "band", 4.0))
        rows.append((f"sounds-{split}", "sounds", split, "rain", "rain", 2.0))
        rows.append((f"baby-{split}", "sounds", split, "baby", "baby", 2.0))
    for name, dataset, *_, speaker, seconds in rows:
        pitch = PITCHES.get(speaker) or PITCHES[dataset]
        soundfile.write(tmp_path / f"{name}.flac", tone(pitch, seconds), RATE)
    path = tmp_path / "manifest.csv"
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "dataset", "split", "label", "speaker"])
        table.writerows([f"{row[0]}.flac", *row[1:5]] for row in rows)
    (tmp_path / "mapping.json").write_text(json.dumps(MAPPING))
    return path


def order(manifest: Path, **settings) -> Order:
    asked = {"split": "train", "seconds": 3.0, "count": 3, "seed": 5}
    return Order(manifest, mapping=manifest.with_name("mapping.json"), **{**asked, **settings})


def mixer(manifest: Path, **settings) -> Mixer:
    sources = load_sources(manifest, "train", manifest.with_name("mapping.json"))
    return Mixer(sources, **{"seconds": 5.0, "seed": 1, **settings})


def strongest(waveform: np.ndarray) -> float:
    """The frequency (Hz) that has the most energy."""
    spectrum = np.abs(np.fft.rfft(waveform))
    return float(np.fft.rfftfreq(len(waveform), 1 / RATE)[spectrum.argmax()])


def test_every_stem_holds_its_kind_and_the_two_speakers_are_different_people(manifest):
    making = mixer(manifest)
    heard = {name: set() for name in ("speech_1", "speech_2", "music", "noise")}
    for number in range(30):
        pitches = [round(strongest(s), -2) if s.any() else 0.0 for s in making.scene(number).stems]
        for name, pitch in zip(heard, pitches, strict=True):
            heard[name].add(pitch)
        assert pitches[1] == 0 or {pitches[0], pitches[1]} == {200, 300}
    assert heard["speech_1"] == heard["speech_2"] == {0, 200, 300}
    assert heard["music"] == {0, 1000}
    assert heard["noise"] == {0, 5000}


def test_labels_say_what_can_be_measured_in_the_stems(manifest):
    """Clips here are steady tones: a frame is active where its stem is not silent."""
    making, seen = mixer(manifest), np.zeros(4)
    for number in range(20):
        scene = making.scene(number)
        assert scene.labels.shape == (250, 4)
        loud = np.abs(scene.stems.reshape(4, 250, 320)).max(axis=2)
        level = loud.max(axis=1, keepdims=True)
        surely, surely_not = loud > 0.5 * level, loud == 0
        speech = surely[0] | surely[1]
        for label, yes in enumerate((speech, surely[2], surely[3], surely[0] & surely[1])):
            assert scene.labels[yes, label].all()
        # Pauses of a speaker shorter than 0.2 s are filled, those of music and noise to 0.6 s.
        for label, (stem, pause) in enumerate([(None, 10), (2, 30), (3, 30)]):
            silent = surely_not[0] & surely_not[1] if stem is None else surely_not[stem]
            assert not scene.labels[long_runs(silent, pause), label].any()
        seen += scene.labels.sum(axis=0)
    assert (seen > 0).all()


def long_runs(silent: np.ndarray, shortest: int) -> np.ndarray:
    """Frames in runs of at least so many silent ones."""
    found, start = np.zeros_like(silent), None
    for place, here in enumerate([*silent, False]):
        if here and start is None:
            start = place
        elif not here and start is not None:
            found[start:place] = place - start >= shortest
            start = None
    return found


@pytest.mark.parametrize("augment", [False, True])
def test_a_scene_is_loud_as_said_and_never_clips(manifest, augment):
    making = mixer(manifest, augment=augment)
    for number in range(12):
        scene = making.scene(number)
        assert scene.stems.dtype == np.float32
        assert np.abs(scene.mixture).max() <= 0.981
        anything = scene.labels.any(axis=1)
        powers = (scene.mixture.reshape(-1, 320) ** 2).mean(axis=1)
        level = 10 * np.log10(powers[anything].mean())
        assert -45.01 < level < -9.99


def test_scene_i_is_the_same_whatever_else_is_made_and_another_seed_gives_another(manifest):
    made = [mixer(manifest, augment=True).scene(7) for _ in range(2)]
    other = mixer(manifest, augment=True)
    for number in range(3):
        other.scene(number)
    made.append(other.scene(7))
    for scene in made[1:]:
        np.testing.assert_array_equal(scene.stems, made[0].stems)
    assert not np.array_equal(
        mixer(manifest, seed=2).scene(7).stems, mixer(manifest).scene(7).stems
    )
    assert not np.array_equal(mixer(manifest).scene(6).stems, mixer(manifest).scene(7).stems)


def test_a_filter_is_that_of_its_impulse_response_across_blocks():
    """Against NumPy's own convolution, where a room rings for most of half a second."""
    chance = np.random.default_rng(0)
    stem = chance.standard_normal(20000).astype(np.float32)
    impulse = chance.standard_normal(7000) * np.exp(-np.arange(7000) / 1000)
    through = filter_stems(stem[None], [[np.fft.rfft(impulse, 16000), None]])[0]
    np.testing.assert_allclose(through, np.convolve(stem, impulse)[:20000], atol=1e-3)


@pytest.fixture
def folder(manifest) -> Path:
    out = manifest.with_name("out")
    make_scenes(order(manifest), out)
    return out


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifest.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_stems_on_disk_add_up_to_the_mixture_sample_by_sample(folder):
    assert len(rows(folder)) == 3
    for row in rows(folder):
        mixture, rate = soundfile.read(folder / row["path"], dtype="int16")
        assert (rate, len(mixture)) == (RATE, 48000)
        total = np.zeros(48000, np.int64)
        for stem in ("speech_1", "speech_2", "music", "noise"):
            if row[stem]:
                samples = soundfile.read(folder / row[stem], dtype="int16")[0]
                assert samples.any()
                total += samples
        np.testing.assert_array_equal(total, mixture)
        assert load_file(folder / row["labels"])["labels"].shape == (150, 4)
        assert (row["split"], row["seconds"]) == ("train", "3")


def test_what_was_interrupted_goes_on_and_gives_what_one_run_gives(manifest, folder, monkeypatch):
    out = manifest.with_name("interrupted")
    write, done = scenes_folder._write, []

    def interrupted(*given):
        if len(done) == 1:
            # Killed after the audio: the labels, which make a scene whole, are not there yet.
            patch.setattr(scenes_folder, "save", lambda tensors: 1 / 0)
        done.append(given)
        write(*given)

    with monkeypatch.context() as patch:
        patch.setattr(scenes_folder, "_write", interrupted)
        with pytest.raises(ZeroDivisionError):
            make_scenes(order(manifest), out)
    assert not (out / "manifest.csv").exists()
    kept = (out / "labels" / "00000.safetensors").stat().st_mtime_ns
    make_scenes(order(manifest), out)
    assert (out / "labels" / "00000.safetensors").stat().st_mtime_ns == kept
    files = sorted(p.relative_to(folder) for p in folder.rglob("*") if p.is_file())
    assert files == sorted(p.relative_to(out) for p in out.rglob("*") if p.is_file())
    for file in files:
        assert (folder / file).read_bytes() == (out / file).read_bytes()


def test_more_scenes_leave_the_first_ones_as_they_are(manifest, folder):
    before = (folder / "mixtures" / "00002.flac").read_bytes()
    make_scenes(order(manifest, count=5), folder)
    assert len(rows(folder)) == 5
    assert (folder / "mixtures" / "00002.flac").read_bytes() == before


def test_a_folder_of_another_making_is_not_mixed_up(manifest, folder):
    with pytest.raises(XplainError, match="another making"):
        make_scenes(order(manifest, seed=6), folder)


def test_a_label_that_is_left_out_is_in_no_split_and_dev_shares_no_group_with_train(manifest):
    found = read_rows(manifest, read_mapping(manifest.with_name("mapping.json")))
    assert {row.label for row in found} == {"word", "song", "rain"}
    # Too few groups here to spare one; of eight, one goes, and no test clip goes with it.
    assert {row.split for row in found} == {"train", "test"}
    lines = manifest.read_text().splitlines()
    more = [
        f"anna-1-train.flac,talk,{s},word,speaker{n}" for n in range(6) for s in ("train", "test")
    ]
    manifest.write_text("\n".join([*lines, *more]))
    found = read_rows(manifest, read_mapping(manifest.with_name("mapping.json")))
    groups = {
        split: {r.group for r in found if r.split == split} for split in ("train", "dev", "test")
    }
    assert len(groups["dev"]) == 1
    assert not groups["dev"] & groups["train"]
    assert groups["dev"] <= groups["test"]


def test_the_default_mapping_leaves_voices_out_of_noise():
    left_out = {name for d in read_mapping(DEFAULT) if d.kind == "noise" for name in d.without}
    assert {"baby_cry", "person_sneeze", "crowd"} <= left_out


def damaged(manifest: Path, what: str) -> None:
    mapping = manifest.with_name("mapping.json")
    text, lines = mapping.read_text(), manifest.read_text()
    edits = {
        "missing": lambda: manifest.with_name("songs-train.flac").unlink(),
        "data set": lambda: mapping.write_text(text.replace('"talk"', '"talks"')),
        "left out": lambda: mapping.write_text(text.replace('"baby"', '"babe"')),
        "kind": lambda: mapping.write_text(text.replace('"noise"', '"noises"')),
        "json": lambda: mapping.write_text(text[:-3]),
        "twice": lambda: mapping.write_text(text.replace('"songs"', '"talk"')),
        "column": lambda: manifest.write_text(lines.replace("dataset", "set", 1)),
        "no music": lambda: manifest.write_text(lines.replace("songs,train", "songs,test")),
        "one speaker": lambda: manifest.write_text(lines.replace(",ben", ",anna")),
        "silent": lambda: soundfile.write(
            manifest.with_name("songs-train.flac"), np.zeros(RATE), RATE
        ),
        "no audio": lambda: manifest.with_name("sounds-train.flac").write_text("not audio"),
    }
    edits[what]()


@pytest.mark.filterwarnings("ignore:.*silent")
@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("missing", r"1 of 6 files do not exist, such as .*songs-train.flac"),
        ("data set", "no data set 'talks'; did you mean 'talk'"),
        ("left out", "no label 'babe' to leave out; did you mean 'baby'"),
        ("kind", "'noises' is no kind; did you mean 'noise'"),
        ("json", "cannot be read as a mapping"),
        ("twice", "talk is of two kinds"),
        ("column", "no column 'dataset'"),
        ("no music", "no clip of the split 'train' is music"),
        ("one speaker", "a second speaker needs clips of another"),
        ("silent", "no clip of music to mix"),
        ("no audio", "not a recording that can be read"),
    ],
)
def test_what_cannot_be_mixed_is_named(manifest, what, message):
    damaged(manifest, what)
    with pytest.raises(XplainError, match=message):
        make_scenes(order(manifest, count=12), manifest.with_name("out"))


@pytest.mark.parametrize(
    ("setting", "message"), [({"count": 0}, "one at least"), ({"seconds": 0.5}, "a second")]
)
def test_scenes_that_are_none_are_refused(manifest, setting, message):
    with pytest.raises(XplainError, match=message):
        make_scenes(order(manifest, **setting), manifest.with_name("out"))


def test_the_command_makes_what_the_function_makes(manifest, folder):
    out = manifest.with_name("by-command")
    told = ["--split", "train", "--seconds", "3", "--count", "3", "--seed", "5"]
    mapping = ["--mapping", str(manifest.with_name("mapping.json"))]
    result = CliRunner().invoke(app, ["scenes", str(manifest), "--out", str(out), *told, *mapping])
    assert result.exit_code == 0, result.output
    assert (out / "manifest.csv").read_text() == (folder / "manifest.csv").read_text()
    assert (out / "mixtures/00001.flac").read_bytes() == (
        folder / "mixtures/00001.flac"
    ).read_bytes()
