"""A frame classifier on WavLM base as a teacher, at its full size: how long and how much memory.

    python -m proxies.wavlm --out OUT [--model REPOSITORY]        (in benchmarks/)

Without --model its weights are random: the path, the time and the memory are those of trained
ones. OUT: as of proxies.training, whose scenes and dictionaries are used.
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import transformers
from recordings import shared

from proxies.training import SECONDS, Bench

PIECES, STEPS = 4, 4
WAYS = {
    "causal, reads the spectrum": ("--preset", "causal"),
    "paper, reads the teacher's encoder": ("--preset", "paper", "--encoder", "teacher"),
}
"""What xplain nmf train is told; in the first the teacher hears explanations, with gradients."""


def main() -> None:
    """Make the model where none is given, train both ways, and print what they took."""
    parser = argparse.ArgumentParser(prog="python -m proxies.wavlm")
    parser.add_argument("--model", help="repository or folder of frame classification")
    parser.add_argument("--out", type=Path, default=Path("out/nmf_proxy"))
    options = parser.parse_args()
    bench = Bench(options.out.resolve(), shared() / "data" / "manifest.csv")
    with tempfile.TemporaryDirectory() as held:
        folder = Path(held)
        model = options.model or str(_made(folder / "wavlm"))
        scenes = bench.scenes()
        with scenes.open(newline="") as file:
            rows = list(csv.DictReader(file))[:PIECES]
        for row in rows:
            row["path"] = str(scenes.parent / row["path"])
        with (folder / "audio.csv").open("w", newline="") as file:
            table = csv.DictWriter(file, ["path"], extrasaction="ignore")
            table.writeheader()
            table.writerows(rows)
        for name, told in WAYS.items():
            preset = told[1]
            bench.dictionary(preset)
            out = folder / preset
            command = [
                Path(sys.executable).with_name("xplain"),
                "nmf",
                "train",
                "--teacher",
                f"hf:{model}",
            ]
            command += ["--audio", str(folder / "audio.csv"), "--seconds", str(SECONDS), *told]
            command += ["--dictionary", str(bench.out / "dictionaries" / preset)]
            command += ["--steps", str(STEPS), "--batch", "1", "--every", "2"]
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([*command, "--out", out], check=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            print(
                f"{name}: {after.ru_utime - before.ru_utime:.0f} s of processor time for "
                f"{PIECES} pieces of {SECONDS:g} s and {STEPS} steps of one, largest process "
                f"so far {after.ru_maxrss / 2**20:.2f} GiB, log "
                f"{json.loads((out / 'training.json').read_text())['log'][-1]}",
                flush=True,
            )


def _made(folder: Path) -> Path:
    torch.manual_seed(0)
    labels = {0: "speech", 1: "overlap"}
    config = transformers.WavLMConfig(id2label=labels)  # the defaults are WavLM base's
    transformers.WavLMForAudioFrameClassification(config).save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor(do_normalize=False).save_pretrained(folder)
    return folder


if __name__ == "__main__":
    main()
