"""How well zoo:digits hears the clips of a manifest: ``python -m training.measure_digits``."""

from __future__ import annotations

import argparse
from pathlib import Path

from training.clips_manifest import read_manifest
from training.train_digits import accuracy
from xplain_zoo.digits import WEIGHTS, DigitClassifier


def main() -> None:
    """Print the accuracy and of how many clips."""
    parser = argparse.ArgumentParser(prog="python -m training.measure_digits")
    parser.add_argument(
        "manifest", type=Path, help="CSV with columns path (from its folder), label, speaker"
    )
    parser.add_argument("--dataset", help="only rows whose column dataset says this")
    parser.add_argument("--split", help="only clips of this split")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="default: the shipped ones")
    options = parser.parse_args()
    model = DigitClassifier.from_folder(options.weights)
    config = model.config
    clips = read_manifest(options.manifest, config.labels, config.sample_rate, options.dataset)
    clips = [c for c in clips if options.split in (None, c.split)]
    if not clips:
        raise SystemExit(f"{options.manifest}: no clips of the split {options.split!r}")
    print(f"{accuracy(model, clips):.4f} of {len(clips)} clips")


if __name__ == "__main__":
    main()
