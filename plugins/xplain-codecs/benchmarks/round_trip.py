"""What coding costs and keeps: Lyra on real digits, EnCodec at its real size.

The weights of EnCodec are random here, so that only its memory is measured: the peak of a
process beyond what it has before, whole and in pieces.

    python plugins/xplain-codecs/benchmarks/round_trip.py

Needs ../shared/models/lyra and ../shared/data/fsdd for Lyra's table. A few minutes.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import transformers as hf

from xplain.audio import read, resample
from xplain_codecs.codecs.encodec import Encodec
from xplain_codecs.codecs.lyra import Lyra

SHARED = Path(__file__).parents[4] / "shared"
SECONDS = {"values": 20, "gradient": 5}
CHUNK = {"values": 2.0, "gradient": 1.0}


def lyra() -> None:
    """How like the original 200 test digits are after decode(encode(x))."""
    files = sorted((SHARED / "data" / "fsdd" / "test").rglob("*.flac"))
    sounds = [resample(read(f), Lyra.sample_rate).waveform for f in files]
    total = sum(map(len, sounds)) / Lyra.sample_rate
    print(f"Lyra, {len(sounds)} digits, {total:.0f} s")
    print(
        "| latents | correlation: median | 5 % | encode s/s | decode s/s |\n|---|---|---|---|---|"
    )
    settings = {"continuous": {"quantised": False}}
    settings |= {f"{n} codebooks": {"codebooks": n} for n in (46, 30, 16)}
    for name, setting in settings.items():
        codec = Lyra(str(SHARED / "models" / "lyra"), **setting)  # type: ignore[arg-type]
        start = time.perf_counter()
        latents = [codec.encode(sound[None]) for sound in sounds]
        middle = time.perf_counter()
        heard = [codec.decode(z.values, z.context)[0] for z in latents]
        end = time.perf_counter()
        pairs = zip(sounds, heard, strict=True)
        alike = [np.corrcoef(x.numpy(), y.numpy())[0, 1] for x, y in pairs]
        costs = f"{(middle - start) / total:.4f} | {(end - middle) / total:.4f}"
        print(f"| {name} | {np.median(alike):.3f} | {np.quantile(alike, 0.05):.3f} | {costs} |")


def measured(folder: str, what: str, chunk: float | None) -> None:
    """Print the MiB of one round trip, as a process of its own has to."""
    codec = Encodec(folder, chunk=chunk, quantised=False)
    sound = 0.1 * torch.randn(1, SECONDS[what] * codec.sample_rate)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with torch.set_grad_enabled(what == "gradient"):
        latents = codec.encode(sound.requires_grad_(what == "gradient"))
        heard = codec.decode(latents.values, latents.context)
        if what == "gradient":
            heard.sum().backward()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{(peak - before) / 1024:.0f} MiB")


def encodec() -> None:
    """Memory, whole and in pieces."""
    print("\n| EnCodec, 24 kHz | whole | in pieces |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        hf.EncodecModel(hf.EncodecConfig()).save_pretrained(folder)
        for what, seconds in SECONDS.items():
            found = [
                subprocess.run(
                    [sys.executable, __file__, folder, what, str(chunk)],
                    check=True,
                    capture_output=True,
                    text=True,
                ).stdout.strip()
                for chunk in (None, CHUNK[what])
            ]
            pieces = f"{found[1]} (of {CHUNK[what]:g} s)"
            print(f"| {what} of {seconds} s | {found[0]} | {pieces} |", flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        folder, what, chunk = sys.argv[1:]
        measured(folder, what, None if chunk == "None" else float(chunk))
    else:
        lyra()
        encodec()
