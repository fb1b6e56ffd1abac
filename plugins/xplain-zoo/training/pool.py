"""Gathers the clips a radio segmenter may be trained on: ``python -m training.pool CSV... OUT``.

Data sets of the mapping (radio_scenes.json) of splits train and dev are copied as Opus, which a
broadcast has gone through as well, beside one manifest. Of AMI the meetings in HELD_OUT are
left out: what is said of meetings is measured on them.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import soundfile
import soxr

from training.clips_manifest import rows

MAPPING = Path(__file__).with_name("radio_scenes.json")
HELD_OUT = ("trn06", "trn09")
"""Excerpts of one meeting of AMI, by its speakers."""
COLUMNS = ("path", "dataset", "split", "label", "speaker")


def main() -> None:
    """Copy and list them."""
    parser = argparse.ArgumentParser(prog="python -m training.pool")
    parser.add_argument("manifests", type=Path, nargs="+")
    parser.add_argument("out", type=Path)
    parser.add_argument("--compression", type=float, default=0.8, help="of Opus, 0 to 1")
    options = parser.parse_args()
    kinds = json.loads(MAPPING.read_text(encoding="utf-8")).values()
    wanted = {name for kind in kinds for name in kind} | {"ami"}
    options.out.mkdir(parents=True, exist_ok=True)
    kept = []
    for manifest in options.manifests:
        for row in rows(manifest, ["dataset", "split"]):
            held_out = row.file.stem in HELD_OUT or row["split"] != "train"
            if row["dataset"] in wanted and not held_out:
                kept.append(row)
    with (options.out / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        table.writeheader()
        for number, row in enumerate(kept):
            name = f"{number:05d}.opus"
            if row["dataset"] == "ami":
                name = f"{row.file.stem}.opus"  # by which the RTTM knows it
            samples, rate = soundfile.read(row.file, dtype="float32")
            if rate != 16000:
                samples = soxr.resample(samples, rate, 16000)
            soundfile.write(
                options.out / name,
                samples,
                16000,
                format="OGG",
                subtype="OPUS",
                compression_level=options.compression,
            )
            said = {column: row[column] for column in COLUMNS[1:]}
            table.writerow({"path": name, **said})
    text = (options.manifests[0].parent / "ami" / "train.rttm").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.split()[1] not in HELD_OUT]
    (options.out / "ami.rttm").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
