"""Gathers the clips a radio segmenter may be trained on: ``python -m training.pool CSV... OUT``.

Data sets of the mapping (radio_scenes.json) of the split train are copied beside one manifest, as
FLAC, or as Opus where they have to be small. Of AMI the meetings in HELD_OUT are left out: what is
said of meetings is measured on them. A second manifest, alone.csv, lists the meetings and a few of
the others: what a proxy hears unmixed.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import soundfile
import soxr

from training.clips_manifest import rows

MAPPING = Path(__file__).with_name("radio_scenes.json")
HELD_OUT = ("trn06", "trn09")
"""Excerpts of one meeting of AMI, by its speakers."""
FEW = 16
"""Recordings of a data set that are listed in alone.csv, at most."""
COLUMNS = ("path", "dataset", "split", "label", "speaker")


def main() -> None:
    """Copy and list them."""
    parser = argparse.ArgumentParser(prog="python -m training.pool")
    parser.add_argument("manifests", type=Path, nargs="+")
    parser.add_argument("out", type=Path)
    parser.add_argument("--compression", type=float, help="of Opus, 0 to 1 [default: FLAC]")
    options = parser.parse_args()
    kinds = json.loads(MAPPING.read_text(encoding="utf-8")).values()
    wanted = {name for kind in kinds for name in kind} | {"ami"}
    options.out.mkdir(parents=True, exist_ok=True)
    ending = ".flac"
    written: dict[str, Any] = {"format": "FLAC", "subtype": "PCM_16"}
    if options.compression is not None:
        ending, written = ".opus", {"format": "OGG", "subtype": "OPUS"}
        written["compression_level"] = options.compression
    kept = []
    for manifest in options.manifests:
        for row in rows(manifest, ["dataset", "split"]):
            held_out = row.file.stem in HELD_OUT or row["split"] != "train"
            if row["dataset"] in wanted and not held_out:
                kept.append(row)
    sizes, seen = Counter(row["dataset"] for row in kept), Counter[str]()
    listed = options.out / "manifest.csv", options.out / "alone.csv"
    with (
        listed[0].open("w", newline="", encoding="utf-8") as whole,
        listed[1].open("w", newline="", encoding="utf-8") as few,
    ):
        tables = [csv.DictWriter(file, COLUMNS, lineterminator="\n") for file in (whole, few)]
        for table in tables:
            table.writeheader()
        for number, row in enumerate(kept):
            name = f"{number:05d}{ending}"
            if row["dataset"] == "ami":
                name = f"{row.file.stem}{ending}"  # by which the RTTM knows it
            samples, rate = soundfile.read(row.file, dtype="float32")
            if rate != 16000:
                samples = soxr.resample(samples, rate, 16000)
            soundfile.write(options.out / name, samples, 16000, **written)
            said = {column: row[column] for column in COLUMNS[1:]}
            step = -(-sizes[row["dataset"]] // FEW)
            for table in tables if seen[row["dataset"]] % step == 0 else tables[:1]:
                table.writerow({"path": name, **said})
            seen[row["dataset"]] += 1
    text = (options.manifests[0].parent / "ami" / "train.rttm").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.split()[1] not in HELD_OUT]
    (options.out / "ami.rttm").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
