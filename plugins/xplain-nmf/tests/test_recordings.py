"""Pieces of recordings to train on: where they are cut, what is known of them, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import save_file

from xplain import AudioError, XplainError
from xplain_nmf.training.recordings import read_piece, read_recordings

LABELS = ("music", "speech")


def write(folder, name, samples, rate=16000):
    soundfile.write(folder / name, np.asarray(samples, np.float32), rate, subtype="PCM_16")


def test_pieces_cover_a_recording_and_a_short_one_is_followed_by_silence(tmp_path):
    long = np.arange(40000) / 40000 - 0.5
    write(tmp_path, "long.wav", long)
    write(tmp_path, "short.wav", long[:5000])
    (tmp_path / "m.csv").write_text("path\nlong.wav\nshort.wav\n")
    pieces = read_recordings(tmp_path / "m.csv", 1.0, LABELS)
    assert [piece.start for piece in pieces.pieces] == [0.0, 1.0, 1.5, 0.0]
    expected = torch.from_numpy(long[24000:]).float()
    torch.testing.assert_close(pieces[2]["waveform"], expected, atol=2e-4, rtol=0)
    short = pieces[3]["waveform"]
    assert short.shape == (16000,) and (short[5000:] == 0).all() and short[:4999].any()
    assert set(pieces[0]) == {"waveform"} and not pieces.has_stems and not pieces.has_labels


def test_another_rate_is_resampled(tmp_path):
    time = np.arange(8000) / 8000
    write(tmp_path, "tone.wav", 0.5 * np.sin(2 * np.pi * 440 * time), 8000)
    found = read_piece(tmp_path / "tone.wav", 0.25, 8000)
    expected = 0.5 * torch.sin(2 * torch.pi * 440 * (torch.arange(8000) / 16000 + 0.25))
    torch.testing.assert_close(found[500:-500], expected[500:-500], atol=2e-3, rtol=0)


def test_stems_add_up_and_labels_come_in_the_order_asked_for(tmp_path):
    draw = np.random.default_rng(0)
    names = ("speech_1", "speech_2", "music")
    stems = {name: 0.1 * draw.standard_normal(32000) for name in names}
    for name, samples in {**stems, "mix": sum(stems.values())}.items():
        write(tmp_path, f"{name}.wav", samples)
    labels = torch.randint(2, (100, 4), dtype=torch.uint8)
    save_file({"labels": labels}, tmp_path / "l.safetensors")
    (tmp_path / "m.csv").write_text(
        "path,split,speech_1,speech_2,music,noise,labels\n"
        "mix.wav,train,speech_1.wav,speech_2.wav,music.wav,,l.safetensors\n"
    )
    item = read_recordings(tmp_path / "m.csv", 1.0, LABELS, "train")[1]
    both = torch.from_numpy(stems["speech_1"] + stems["speech_2"])[16000:].float()
    torch.testing.assert_close(item["stems"][0], both, atol=1e-4, rtol=0)
    assert (item["stems"][2] == 0).all()
    torch.testing.assert_close(item["stems"].sum(0), item["waveform"], atol=2e-4, rtol=0)
    assert torch.equal(item["labels"], labels[50:, [1, 0]].float())


def test_answers_go_with_their_pieces(clips):
    pieces = read_recordings(clips, 1.0, LABELS, "train")
    answers = torch.rand(len(pieces), 50, 2)
    pieces.answer(answers)
    assert torch.equal(pieces[3]["teacher"], answers[3])
    with pytest.raises(ValueError, match="pieces"):
        pieces.answer(answers[:-1])


def test_fingerprints_tell_other_pieces_apart(clips):
    first = read_recordings(clips, 1.0, LABELS, "train").fingerprint()
    assert first == read_recordings(clips, 1.0, LABELS, "train").fingerprint()
    assert first != read_recordings(clips, 1.0, LABELS, "dev").fingerprint()
    assert first != read_recordings(clips, 2.0, LABELS, "train").fingerprint()


def test_manifests_that_cannot_be_used_are_refused(tmp_path, clips):
    with pytest.raises(XplainError, match=r"no split 'trian'.*'train'"):
        read_recordings(clips, 1.0, LABELS, "trian")
    with pytest.raises(XplainError, match="cannot be read as a manifest"):
        read_recordings(tmp_path / "nothing.csv", 1.0, LABELS)
    with pytest.raises(XplainError, match="at least a second"):
        read_recordings(clips, 0.5, LABELS)
    for text, message in (("file\na.wav\n", "no column 'path'"), ("path\n", "lists no recording")):
        (tmp_path / "m.csv").write_text(text)
        with pytest.raises(XplainError, match=message):
            read_recordings(tmp_path / "m.csv", 1.0, LABELS)
    (tmp_path / "m.csv").write_text("path\nmissing.wav\n")
    with pytest.raises(AudioError, match=r"missing\.wav"):
        read_recordings(tmp_path / "m.csv", 1.0, LABELS)
    write(tmp_path, "nan.wav", [0.0] * 20000)
    soundfile.write(tmp_path / "nan.wav", np.full(20000, np.nan), 16000, subtype="FLOAT")
    with pytest.raises(AudioError, match="NaN"):
        read_piece(tmp_path / "nan.wav", 0.0, 16000)
