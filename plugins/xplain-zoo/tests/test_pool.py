"""The clips that a radio segmenter may be trained on, gathered in a folder."""

from __future__ import annotations

import csv
import sys

import numpy as np
import pytest
import soundfile

from training import pool


def listed(file):
    with file.open(newline="") as table:
        return list(csv.DictReader(table))


@pytest.mark.parametrize("more", [[], ["--compression", "0.9"]])
def test_training_clips_are_copied_and_a_few_are_listed_apart(tmp_path, monkeypatch, more):
    data = tmp_path / "data"
    (data / "ami").mkdir(parents=True)
    names = [f"{number}.wav" for number in range(40)]
    meetings = ["ami/trn01.wav", f"ami/{pool.HELD_OUT[0]}.wav"]
    rows = [[name, "fsdd", "train" if n < 35 else "test", "1", "a"] for n, name in enumerate(names)]
    rows += [[name, "ami", "train", "speech", "b"] for name in meetings]
    rows += [["other.wav", "somebody's", "train", "x", "c"]]
    for path in (*names, *meetings, "other.wav"):
        soundfile.write(data / path, 0.1 * np.sin(np.arange(800)), 8000)
    with (data / "manifest.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerows([["path", "dataset", "split", "label", "speaker"], *rows])
    line = "SPEAKER {} 1 0.0 0.1 <NA> <NA> x <NA> <NA>\n"
    text = line.format("trn01") + line.format(pool.HELD_OUT[0])
    (data / "ami" / "train.rttm").write_text(text)
    out = tmp_path / "pool"
    monkeypatch.setattr(sys, "argv", ["pool", str(data / "manifest.csv"), str(out), *more])
    pool.main()
    whole, few = listed(out / "manifest.csv"), listed(out / "alone.csv")
    ending = ".opus" if more else ".flac"
    assert len(whole) == 36 and {row["split"] for row in whole} == {"train"}
    assert [row["path"] for row in whole if row["dataset"] == "ami"] == [f"trn01{ending}"]
    assert len(few) == 12 + 1 and few[-1]["dataset"] == "ami"  # every third of 35
    assert soundfile.info(out / whole[0]["path"]).samplerate in (16000, 48000)
    assert pool.HELD_OUT[0] not in (out / "ami.rttm").read_text()
