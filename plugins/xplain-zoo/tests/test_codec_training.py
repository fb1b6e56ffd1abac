"""What the codec is trained with, worked out by hand, and the script on sounds of the test."""

from __future__ import annotations

import csv
import json
import math
import random
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from training import leave_out, vary_digits
from training.clips_manifest import Clip
from training.codebooks import residual_codebooks
from training.edits import edited
from training.sounds import Changes, Stretches
from training.spectral import distance, log_spectral_correlation, magnitudes


def test_log_spectra_correlate_as_numpy_says():
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 2000, generator=generator)
    b = a + b
    found = [np.log(magnitudes(x[None], 256).numpy().ravel()) for x in (a, b)]
    floor = found[0].max() - 60 / 20 * math.log(10)
    expected = np.corrcoef(*(np.maximum(x, floor) for x in found))[0, 1]
    assert log_spectral_correlation(a, b) == pytest.approx(expected, abs=1e-6)


def test_a_quieter_copy_correlates_fully_and_noise_does_not():
    noise = torch.randn(2, 8000, generator=torch.Generator().manual_seed(0))
    assert log_spectral_correlation(noise[0], 0.5 * noise[0]) == pytest.approx(1.0, abs=1e-3)
    assert abs(log_spectral_correlation(noise[0], noise[1])) < 0.1


def test_white_noise_of_level_one_has_magnitudes_of_about_one():
    noise = torch.randn(1, 80000, generator=torch.Generator().manual_seed(0))
    assert float(magnitudes(noise, 256).square().mean()) == pytest.approx(1.0, rel=0.05)


def test_the_distance_is_nothing_for_the_same_and_little_where_all_is_quiet():
    sound, other = torch.randn(2, 3, 2000, generator=torch.Generator().manual_seed(0))
    assert float(distance(sound, sound, (64, 256))) == 0.0
    at = {g: float(distance(g * sound, g * other, (64, 256))) for g in (10.0, 1.0, 0.01)}
    assert at[1.0] > 0.5 and at[10.0] == pytest.approx(at[1.0], rel=0.1)
    assert at[0.01] < 0.5 * at[1.0]


def test_the_distance_can_be_followed_down_from_digital_silence():
    heard = torch.zeros(1, 1000, requires_grad=True)
    distance(torch.zeros(1, 1000), heard, (64,)).backward()
    assert heard.grad is not None and heard.grad.isfinite().all()


def test_codebooks_find_clusters_and_then_what_is_left_in_them():
    centres = torch.tensor([[10.0, 0.0], [-10.0, 0.0], [0.0, 10.0], [0.0, -10.0]])
    left = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    vectors = (centres[:, None] + left).reshape(-1, 2).repeat(5, 1)
    coarse, fine = residual_codebooks(vectors, books=2, entries=4, seed=0)

    def placed(book: torch.Tensor) -> list[list[float]]:
        return sorted(book.round(decimals=4).add(0.0).tolist())

    assert placed(coarse) == placed(centres)
    assert placed(fine) == placed(left)


def test_edits_keep_elements_or_put_silence_in_their_place():
    draw, shares = random.Random(0), []
    torch.manual_seed(0)
    latents = 1 + torch.rand(1, 6, 20)
    silence = -torch.ones(6, 20)
    for _ in range(50):
        changed = edited(latents, silence, torch.ones(1, 6, 1), draw)[0]
        kept = changed == latents[0]
        assert torch.equal(changed, torch.where(kept, latents[0], silence))
        shares.append(float(kept.double().mean()))
    assert min(shares) < 0.1 and max(shares) > 0.9


def test_training_starts_from_a_transform_and_its_transpose():
    """For small signals: ⟨encoder(x), z⟩ is ⟨x, decoder(z)⟩, but for one factor."""
    transformers = pytest.importorskip("transformers")
    from training.frames import start

    torch.manual_seed(0)
    config = transformers.EncodecConfig(
        sampling_rate=8000,
        hidden_size=8,
        num_filters=4,
        upsampling_ratios=[2, 5],
        num_lstm_layers=1,
        codebook_size=16,
        target_bandwidths=[3.2],
        use_causal_conv=False,
        pad_mode="constant",
    )
    model = transformers.EncodecModel(config)
    x = torch.randn(30, 400)
    start(model, x)
    for layer in (model.encoder, model.decoder):
        for recurrent in (m for m in layer.modules() if isinstance(m, torch.nn.LSTM)):
            for parameter in recurrent.parameters():  # it has no transpose
                parameter.data.zero_()
    from scipy.fft import dct

    cosines = dct(x.reshape(30, 40, 10).numpy(), norm="ortho")[..., :8]  # of blocks of 2 × 5
    with torch.no_grad():
        lowest = model.encoder(1e-4 * x[:, None]).transpose(1, 2).numpy()
    alike = (cosines * lowest).sum() / np.sqrt((cosines**2).sum() * (lowest**2).sum())
    assert alike > 0.999
    x, z = 1e-4 * x, 1e-4 * torch.randn(30, 8, 40)
    with torch.no_grad():
        down = (model.encoder(x[:, None]) * z).sum((1, 2))
        up = (x[:, None] * model.decoder(z)).sum((1, 2))
    factors = up / down
    torch.testing.assert_close(factors, factors.median().expand(30), rtol=0.02, atol=0)


def sounds(count: int) -> list[Clip]:
    time = torch.arange(3000) / 8000
    return [
        Clip(0.3 * torch.sin(2 * math.pi * 200 * (i + 1) * time), i, f"s{i % 2}", "train")
        for i in range(count)
    ]


def test_stretches_come_from_every_data_set_and_the_last_is_silent():
    changes = Changes(mixed=0, noisy=0, gap=0, level=(-3.0, -3.0), longest_pause=0.0)
    tapes = {"a": sounds(1), "b": sounds(2)[1:]}
    batch = Stretches(tapes, {"a": 1, "b": 1}, changes, 8000, 0).batch(20, 1000)
    assert torch.equal(batch[-1], torch.zeros(1000))
    levels = 20 * batch[:-1].square().mean(-1).sqrt().log10()
    torch.testing.assert_close(levels, torch.full((19,), -3.0), atol=0.01, rtol=0)
    peaks = {int(row.abs().argmax() * 8) for row in torch.fft.rfft(batch[:-1])}
    assert peaks == {200, 400}  # Hz, the two data sets' tones


def test_the_same_seed_gives_the_same_stretches():
    one, other = (
        Stretches({"a": sounds(3)}, {"a": 1}, Changes(), 8000, 5).batch(6, 1000) for _ in range(2)
    )
    assert torch.equal(one, other)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Three digits said as tones, as a data set of 44 recordings."""
    path = tmp_path / "clips.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "dataset", "split", "label", "speaker"])
        for i in range(44):
            tone = 0.3 * np.sin(np.arange(2400) * 0.1 * (i % 3 + 1))
            soundfile.write(tmp_path / f"{i}.wav", tone, 8000)
            split = "test" if i >= 42 else "train"
            rows.writerow([f"{i}.wav", "tones", split, ("one", "two", "six")[i % 3], "anna"])
    return path


RECIPE = {
    "steps": 2,
    "finishing_steps": 2,
    "batch": 4,
    "samples": 480,
    "windows": [64],
    "edited": 2,
    "shares": {"tones": 1},
    "model": {"channels": 8, "filters": 2, "books": 2, "entries": 8},
}


def test_a_training_leaves_a_checkpoint_that_transformers_reads_and_a_record(
    manifest, tmp_path, monkeypatch
):
    transformers = pytest.importorskip("transformers")
    from training import train_codec

    monkeypatch.setattr(train_codec, "WATCHED", 3)
    recipe = tmp_path / "recipe.json"
    recipe.write_text(json.dumps(RECIPE))
    for name in ("one", "two"):
        train_codec.main([str(manifest), "--out", str(tmp_path / name), "--recipe", str(recipe)])
    record = json.loads((tmp_path / "one" / "training.json").read_text())
    assert record["clips"] == {"tones": 39} and record["recipe"]["steps"] == 2
    codec = transformers.EncodecModel.from_pretrained(tmp_path / "one")
    assert codec.config.sampling_rate == 8000 and codec.config.hop_length == 160
    assert len(codec.quantizer.layers) == 2
    books = [layer.codebook.embed for layer in codec.quantizer.layers]
    assert all(float(book.std()) > 0 for book in books)
    weights = [(tmp_path / n / "model.safetensors").read_bytes() for n in ("one", "two")]
    assert weights[0] == weights[1]


def test_digits_are_varied_for_training_alone(manifest, tmp_path):
    for name in ("one", "two"):
        vary_digits.main([str(manifest), "--out", str(tmp_path / name), "--also", str(manifest)])
    with (tmp_path / "one" / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    count = {split: sum(r["split"] == split for r in rows) for split in ("train", "dev", "test")}
    # 42 to train on: 4 for dev, 38 four times; and the same 42 again, varied.
    assert count == {"train": 38 * 4 + 42, "dev": 4, "test": 2}
    original = {read(tmp_path / f"{i}.wav") for i in range(44)}
    for row in rows:
        heard = read(tmp_path / "one" / row["path"])
        assert heard in original or row["split"] == "train"
        assert heard == read(tmp_path / "two" / row["path"])


def test_speakers_that_are_left_out_are_tested_on_and_nothing_else_is(tmp_path):
    lines = ["path,dataset,split,label,speaker"]
    for speaker in ("ann", "bob", "eve"):
        for number in range(120):
            split = "test" if number < 20 else "train"
            lines.append(f"{speaker}{number}.wav,d,{split},{number % 10},{speaker}")
            (tmp_path / f"{speaker}{number}.wav").touch()
    (tmp_path / "manifest.csv").write_text("\n".join(lines))
    out = tmp_path / "out.csv"
    also = ["--also", str(tmp_path / "manifest.csv"), "--most", "30"]
    given = [str(tmp_path / "manifest.csv"), "ann", "--dataset", "d", "--out", str(out), *also]
    leave_out.main(given)
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    parts = {part: [r["speaker"] for r in rows if r["split"] == part] for part in
             ("train", "dev", "test")}  # fmt: skip
    assert parts["test"] == ["ann"] * 120
    # Two hundred clips of the others to train on, a hundred of them for dev, and thirty more.
    assert len(parts["dev"]) == 100 and len(parts["train"]) == 130
    assert "ann" not in parts["dev"]
    leave_out.main([*given[:-4], "--test", "7"])
    with out.open(newline="") as file:
        assert sum(r["split"] == "test" for r in csv.DictReader(file)) == 7


def test_some_copies_are_upside_down():
    word = torch.zeros(1000)
    word[400:600] = 0.5
    clip = Clip(word, 1, "s", "train")
    draw, generator = random.Random(0), torch.Generator().manual_seed(0)
    copies = [vary_digits.varied(clip, draw, generator).waveform for _ in range(20)]
    up = sum(bool(copy[copy.abs().argmax()] > 0) for copy in copies)
    assert 4 < up < 16


def read(path: Path) -> bytes:
    """The samples of a file, to compare."""
    samples: np.ndarray = soundfile.read(path, dtype="int16")[0]
    return samples.tobytes()
