"""A folder is read as an explanation or refused in one line, and never replaces another."""

from __future__ import annotations

import json
import os
import random
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import soundfile
import torch
from toys import RATE, BandEnergies, tone

import xplain
from xplain.audio import Audio
from xplain.explanation_folder import identity


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    bands = xplain.wrap(BandEnergies(), sample_rate=RATE, labels=("low", "mid", "high"))
    e = xplain.explain(tone(440) + 0.2 * tone(1200), bands, target="low", versus="mid")
    e.check()
    return e.save(tmp_path_factory.mktemp("saved") / "clip", keep=[0.1, 0.5])


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    return shutil.copytree(saved, tmp_path / "clip")


def refused(folder: Path, reason: str) -> None:
    with pytest.raises(xplain.ArtifactError, match=reason) as caught:
        xplain.Explanation.load(folder)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 1000


def change(folder: Path, work: Callable[[Any], object]) -> None:
    path = folder / "explanation.json"
    data = json.loads(path.read_text())
    work(data)
    path.write_text(json.dumps(data))


@pytest.mark.parametrize(
    ("work", "reason"),
    [
        (lambda d: d.update(sample_rate=-8000), r"\$\.sample_rate: expected `int` >= 1"),
        (lambda d: d.update(sample_rate=8000.5), r"\$\.sample_rate: expected `int`"),
        (lambda d: d.update(sample_rate=44100), "no 16-bit WAV of 4000 samples at 44100 Hz"),
        (lambda d: d.update(schema=True), "upgrade xplain"),
        (lambda d: d.update(score=float("nan")), "cannot be read as JSON"),
        (lambda d: d.update(name=7), r"\$\.name: expected `str`"),
        (lambda d: d["target"].update(label="none"), "'none' is not number 0"),
        (lambda d: d["target"].update(index=2), "'low' is not number 2"),
        (lambda d: d["target"].update(versus=None), "None is not number 1"),
        (lambda d: d["target"].update(start=1.0), "span has one end"),
        (lambda d: d["target"].update(frames=[[0, 2], [3, 3]]), "no span"),
        (lambda d: d["probabilities"].update(low=1.5), r"\$\.probabilities.*<= 1\.0"),
        (lambda d: d["selection"].update(grouping="bogus"), "no grouping 'bogus'"),
        (lambda d: d["results"][0].update(kind="../../evil"), "invalid enum value|Invalid enum"),
        (lambda d: d["results"][0].update(ratio=7, file="keep-7.wav"), r"\.ratio.*<= 1\.0"),
        (lambda d: d["results"][0].update(file="../outside.wav"), "not named 'keep-0.1.wav'"),
        (lambda d: d["results"][0].update(file="/etc/passwd"), "not named 'keep-0.1.wav'"),
        (lambda d: d["results"][0].update(gain=0), r"\.gain.* > 0\.0"),
        (lambda d: d["results"].append(d["results"][0]), "of the same ratio"),
        (lambda d: d["results"][0]["probabilities"].pop("low"), "other labels"),
        (lambda d: d["results"][0]["reencoded"].update(label="x"), "no label 'x'"),
        (lambda d: d["verdict"].update(kind="splendid"), "enum value 'splendid'"),
        (lambda d: d["frequencies"].pop(), "128 frequencies for 129 channels"),
        (lambda d: d["frequencies"].__setitem__(1, -5.0), r"\$\.frequencies.*>= 0\.0"),
        (lambda d: d.update(bands=[{"low": 9, "high": 1, "share": 0.5}]), "band is out of range"),
        (lambda d: d["provenance"].pop("explainer"), "missing required field `explainer`"),
        (lambda d: d["provenance"]["model"].update(multilabel="no"), "expected `bool`"),
        (lambda d: d["provenance"].update(seed="one"), r"\$\.provenance\.seed: expected `int`"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_place(
    folder: Path, work: Callable[[Any], object], reason: str
) -> None:
    change(folder, work)
    refused(folder, reason)


def test_a_key_of_a_later_version_is_ignored(folder: Path) -> None:
    change(folder, lambda d: (d.update(later=[1]), d["results"][0].update(later={"a": 1})))
    assert len(xplain.Explanation.load(folder).saved) == 3


def test_nesting_and_size_are_limited(folder: Path) -> None:
    record = folder / "explanation.json"
    record.write_text("[" * 100_000 + "]" * 100_000)
    refused(folder, "cannot be read|levels deep")
    change_back = '{"schema": 1, "provenance": ' + '{"a":' * 200 + "1" + "}" * 200 + "}"
    record.write_text(change_back)
    refused(folder, "levels deep")
    with record.open("wb") as file:
        file.truncate(100 * 2**20)
    refused(folder, "larger than")


@pytest.mark.parametrize(
    ("name", "tensor", "reason"),
    [
        ("attribution", torch.zeros(129, 5), "latents .* for an attribution"),
        ("attribution", torch.zeros(0, 0), "'attribution' is empty"),
        ("attribution", torch.zeros(4), "latents|not \\(channels, frames\\)"),
        ("latents", torch.zeros(2, 2), "latents \\(2, 2\\)"),
        ("baseline", torch.zeros(3), "a baseline \\(3,\\)"),
        ("waveform", torch.zeros(4000, dtype=torch.int16), "'waveform' is torch.int16"),
        ("waveform", torch.zeros(2, 4000), "not \\(samples,\\)"),
        ("waveform", torch.full((4000,), torch.nan), "NaN or infinite"),
        ("waveform", torch.zeros(100), "no 16-bit WAV of 100 samples"),
        ("latents", None, "'latents' is missing"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(
    folder: Path, name: str, tensor: torch.Tensor | None, reason: str
) -> None:
    path = folder / "tensors.safetensors"
    tensors = safetensors.torch.load_file(path)
    if tensor is None:
        del tensors[name]
    else:
        tensors[name] = tensor
    safetensors.torch.save_file(tensors, path)
    refused(folder, reason)


def test_sounds_of_another_form_are_refused(folder: Path) -> None:
    sound = folder / "keep-0.1.wav"
    for samples, rate, subtype in [
        (np.zeros(10), 8000, "PCM_16"),
        (np.zeros(4000), 16000, "PCM_16"),
        (np.zeros(4000), 8000, "FLOAT"),
        (np.zeros((4000, 2)), 8000, "PCM_16"),
    ]:
        soundfile.write(sound, samples, rate, subtype=subtype)
        refused(folder, r"keep-0\.1\.wav is no 16-bit WAV of 4000 samples at 8000 Hz")


@pytest.mark.parametrize("name", ["explanation.json", "tensors.safetensors", "keep-0.1.wav"])
def test_links_that_leave_the_folder_and_what_is_no_file_are_refused(
    folder: Path, name: str
) -> None:
    (folder / name).rename(folder.parent / name)
    (folder / name).symlink_to(folder.parent / name)
    refused(folder, "leads out of the folder")
    (folder / name).unlink()
    os.mkfifo(folder / name)  # reading it would wait for ever
    refused(folder, "no file")


def test_a_folder_behind_a_link_is_read(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    assert xplain.Explanation.load(tmp_path / "link").saved


def values(data: Any) -> list[tuple[Any, Any]]:
    """Every place of a JSON document: (container, key)."""
    items = data.items() if isinstance(data, dict) else enumerate(data)
    here = [(data, key) for key, _ in items]
    return here + [place for _, v in items if isinstance(v, dict | list) for place in values(v)]


STRANGE = (None, True, -1, 0, 10**30, 1e300, "", "../x", "\u202e", [], [[]], {}, {"a": 1})


def mutated(folder: Path, chance: random.Random) -> None:
    """One mutation: of a value, a key, bytes, a length or a file."""
    path = chance.choice(sorted(p for p in folder.iterdir() if p.is_file()))
    if path.suffix == ".json" and chance.random() < 0.7:
        data = json.loads(path.read_text())
        for _ in range(chance.randint(1, 3)):
            holder, key = chance.choice(values(data))
            if chance.random() < 0.3:
                del holder[key]
            else:
                holder[key] = chance.choice(STRANGE)
            if not data:
                break
        path.write_text(json.dumps(data))
        return
    content = bytearray(path.read_bytes())
    what = chance.random()
    if what < 0.15:
        path.unlink()
    elif what < 0.4:
        path.write_bytes(content[: chance.randrange(len(content))])
    elif what < 0.5:
        path.write_bytes(content + os.urandom(chance.randint(1, 50)))
    else:
        end = len(content) if chance.random() < 0.3 else min(len(content), 400)
        for _ in range(chance.randint(1, 4)):
            content[chance.randrange(end)] = chance.randrange(256)
        path.write_bytes(content)


def test_any_mutation_is_read_or_refused_in_one_line(saved: Path, tmp_path: Path) -> None:
    outcomes = {"read": 0, "refused": 0}
    for seed in range(400):
        copy = shutil.copytree(saved, tmp_path / str(seed))
        mutated(copy, random.Random(seed))
        try:
            loaded = xplain.Explanation.load(copy)
            assert torch.isfinite(loaded.keep(0.1)).all() and repr(loaded)
            outcomes["read"] += 1
        except xplain.ArtifactError as error:
            assert "\n" not in str(error)
            outcomes["refused"] += 1
        shutil.rmtree(copy)
    assert min(outcomes.values()) > 40


def test_everyone_may_read_what_is_saved(saved: Path) -> None:
    before = os.umask(0o022)
    os.umask(before)
    for path in saved.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~before, path.name


@pytest.mark.parametrize("name", [".DS_Store", "Thumbs.db", "desktop.ini", "._keep-0.1.wav"])
def test_what_systems_leave_in_a_folder_is_no_obstacle_and_kept(folder: Path, name: str) -> None:
    (folder / name).write_text("left by a system")
    loaded = xplain.Explanation.load(folder)
    loaded.save(folder, keep=[0.5], remove=[])
    assert (folder / name).read_text() == "left by a system"
    assert not (folder / "keep-0.1.wav").exists()


@pytest.mark.parametrize(
    ("sound", "settings"),
    [
        (440, {"explainer": "saliency"}),
        (440, {"params": {"steps": 3}}),
        (440, {"target": "mid"}),
        (440, {"seed": 1}),
        (440, {"grouping": "frame"}),
        (440, {"replacement": "mean"}),
        (441, {}),
    ],
)
def test_another_explanation_is_not_overwritten_unless_that_is_asked(
    bands: xplain.Model, tmp_path: Path, sound: int, settings: dict[str, Any]
) -> None:
    first = xplain.explain(tone(440), bands)
    other = xplain.explain(tone(sound), bands, **settings)
    folder = first.save(tmp_path / "clip", keep=[], remove=[])
    before = (folder / "explanation.json").read_bytes()
    with pytest.raises(xplain.ArtifactError, match=r"holds another explanation.*choose another"):
        other.save(folder)
    assert (folder / "explanation.json").read_bytes() == before
    other.save(folder, overwrite=True)
    assert xplain.Explanation.load(folder).target == other.target
    assert [p.name for p in tmp_path.iterdir()] == ["clip"]


def test_the_same_explanation_is_written_anew_with_the_same_bytes(
    bands: xplain.Model, tmp_path: Path
) -> None:
    folder = xplain.explain(tone(440), bands).save(tmp_path / "clip")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    xplain.explain(tone(440), bands, max_batch=3).save(folder, keep=[0.5])
    xplain.explain(tone(440), bands).save(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_damaged_explanation_is_not_overwritten(bands: xplain.Model, folder: Path) -> None:
    (folder / "explanation.json").write_text("{")
    with pytest.raises(xplain.ArtifactError, match="damaged explanation"):
        xplain.explain(tone(440), bands).save(folder)


def test_identity_is_of_the_record_alone_and_tells_recordings_without_a_file_apart(
    bands: xplain.Model, folder: Path
) -> None:
    record = json.loads((folder / "explanation.json").read_text())
    assert identity(record) == xplain.Explanation.load(folder).identity
    ones = [xplain.explain(Audio(tone(f), 8000, "same"), bands) for f in (440, 440, 450)]
    assert ones[0].identity == ones[1].identity != ones[2].identity
    with pytest.raises(xplain.ArtifactError, match=r"provenance|expected"):
        identity({"schema": 1})


def test_a_name_that_is_no_text_is_saved_and_read(bands: xplain.Model, tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.wav"))
    try:
        with path.open("wb") as file:
            soundfile.write(file, tone(440).numpy(), 8000, format="WAV")
    except OSError:
        pytest.skip("the file system holds no such names")
    folder = xplain.explain(path, bands).save(tmp_path / "clip")
    assert xplain.Explanation.load(folder).name.startswith("caf")
