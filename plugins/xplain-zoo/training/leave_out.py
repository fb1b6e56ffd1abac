"""Makes the manifest of a training without some speakers: ``python -m training.leave_out``.

``xplain fit`` then reports its accuracy on them. Clips of the other speakers' test split are left
out, so that nothing depends on them.
"""

from __future__ import annotations

import argparse
import csv
import random
from collections.abc import Sequence
from pathlib import Path

from training.clips_manifest import rows
from xplain_zoo.digits import LABELS

DEV = 100  # clips of the training speakers
NUMBERS = {word: str(number) for number, word in enumerate(LABELS)}


def main(arguments: Sequence[str] | None = None) -> None:
    """Write a CSV: path, label, speaker, split."""
    parser = argparse.ArgumentParser(prog="python -m training.leave_out")
    parser.add_argument("manifest", type=Path, help="CSV: path, dataset, split, label, speaker")
    parser.add_argument("speakers", nargs="+", help="who is left out, to be tested on")
    parser.add_argument("--dataset", required=True, help="only rows whose column says this")
    parser.add_argument("--test", type=int, help="so many clips of them, drawn [default: all]")
    parser.add_argument("--also", type=Path, help="a manifest of more clips to train on")
    parser.add_argument("--most", type=int, help="so many of those, drawn [default: all]")
    parser.add_argument("--out", type=Path, required=True, help="the CSV")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    draw = random.Random(options.seed)
    found = rows(options.manifest, ("label", "speaker"), {"dataset": options.dataset})
    lines = []
    for row in found:
        part = "test" if row["speaker"] in options.speakers else row["split"]
        if part == "train" or row["speaker"] in options.speakers:
            lines.append([str(row.file.resolve()), row["label"], row["speaker"], part])
    tested = [line for line in lines if line[3] == "test"]
    chosen = set(map(id, draw.sample(tested, options.test or len(tested))))
    lines = [line for line in lines if line[3] != "test" or id(line) in chosen]
    more = rows(options.also, ("label", "speaker")) if options.also else []
    voices = [
        [str(row.file.resolve()), NUMBERS.get(row["label"], row["label"]), row["speaker"], "train"]
        for row in more
    ]
    voices = draw.sample(voices, options.most or len(voices))
    for line in draw.sample([line for line in lines if line[3] == "train"], DEV):
        line[3] = "dev"
    with options.out.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["path", "label", "speaker", "split"], *lines, *voices])


if __name__ == "__main__":
    main()
