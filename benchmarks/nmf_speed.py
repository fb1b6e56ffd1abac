"""Sparse NMF of xplain-nmf beside scikit-learn's and torchnmf's, in one run.

On real spectrogram frames: 2 s of training clips until there are 6,000. How far scikit-learn's
coordinate descent gets in 200 iterations, and how long xplain-nmf's whole fit takes, its
beginning with it, that gets as far: with as few iterations as do, and with its defaults.
scikit-learn's and torchnmf's multiplicative updates for 200 iterations are beside them. Then
how long transform takes for an hour of audio, 180,000 frames: these again and again.

    python benchmarks/nmf_speed.py [--components 64 256] [--spectra levelled] [--threads 2]

Needs recordings (benchmarks/README.md), and torchnmf. Times are on the clock and, beside that, of
the processors, which others that work on the same machine lengthen less.
"""

from __future__ import annotations

import argparse
import csv
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from recordings import shared
from sklearn.decomposition import NMF
from threadpoolctl import threadpool_limits
from torchnmf.nmf import NMF as TorchNMF

from xplain import audio
from xplain_nmf.dictionary.factorisation import SparseNMF
from xplain_nmf.spectrum import FRAME_STEP, Spectrum, stft

Array = npt.NDArray[np.float32]

FRAMES, HOUR = 6_000, 180_000
ITERATIONS = 200
BUDGETS = (10, 15, 20, 25, 30, 40, 50, 60, 80, 100, 150, 200, 300)
DATA_SETS = ("librispeech", "emodb", "picovoice-speech-to-intent", "music", "esc10", "ambient")
SPECTRA: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "levelled": Spectrum(),
    "paper": Spectrum.paper(),
    "magnitude": lambda waveform: stft(waveform).abs(),
}


@dataclass(frozen=True)
class Run:
    """How long a fit took, and ‖X − H C‖ after it."""

    seconds: float
    processor: float
    error: float
    iterations: int


@dataclass
class Clock:
    """Seconds since it was made: on the clock, and of all processors."""

    start: float = field(default_factory=time.perf_counter)
    used: float = field(default_factory=time.process_time)

    def read(self) -> tuple[float, float]:
        """Both."""
        return time.perf_counter() - self.start, time.process_time() - self.used


def main() -> None:
    """Print a table for each kind of spectra and number of components."""
    arguments = argparse.ArgumentParser(description="the speed of factorising")
    arguments.add_argument("--components", type=int, nargs="+", default=[64, 256])
    arguments.add_argument("--spectra", nargs="+", choices=SPECTRA, default=["levelled"])
    arguments.add_argument("--threads", type=int, default=2)
    chosen = arguments.parse_args()
    warnings.simplefilter("ignore")  # that 200 iterations are not convergence
    torch.set_num_threads(chosen.threads)
    with threadpool_limits(chosen.threads):
        for name in chosen.spectra:
            x = frames(SPECTRA[name])
            SparseNMF(8, max_iter=2).fit(x)  # warms up
            for components in chosen.components:
                compare(name, x, components, chosen.threads)


def compare(name: str, x: Array, components: int, threads: int) -> None:
    """Print one table."""
    norm = float(np.linalg.norm(x - x.mean(0)))
    print(
        f"\n{name} spectra {x.shape}, {components} components, {threads} threads\n"
        f"{'':44} {'seconds':>8} {'of cd':>6} {'processor':>9} {'of cd':>6} {'error':>8} {'R²':>7} "
        f"{'iterations':>10}",
        flush=True,
    )
    reference = scikit_learn(x, components, "cd")

    def row(what: str, run: Run) -> None:
        print(
            f"{what:44} {run.seconds:8.2f} {run.seconds / reference.seconds:6.3f} "
            f"{run.processor:9.2f} {run.processor / reference.processor:6.3f} "
            f"{run.error:8.2f} {1 - (run.error / norm) ** 2:7.4f} {run.iterations:10}",
            flush=True,
        )

    row("scikit-learn, coordinate descent", reference)
    for budget in BUDGETS:
        run = ours(x, components, max_iter=budget, tol=0)
        if run.error <= reference.error:
            row("xplain-nmf, as few iterations as get there", run)
            break
    else:
        row("xplain-nmf, does not get there", run)
    row("xplain-nmf, its defaults", ours(x, components))
    row("scikit-learn, multiplicative updates", scikit_learn(x, components, "mu"))
    row("torchnmf, multiplicative updates", torchnmf(x, components))
    hour(x, components)


def ours(x: Array, components: int, **settings: Any) -> Run:
    """A whole fit."""
    nmf = SparseNMF(components, random_state=0, **settings)
    clock = Clock()
    nmf.fit(x)
    return Run(*clock.read(), nmf.reconstruction_err_, nmf.n_iter_)


def scikit_learn(x: Array, components: int, solver: str) -> Run:
    """200 iterations from its default beginning."""
    nmf = NMF(components, solver=solver, max_iter=ITERATIONS, tol=0, random_state=0)
    clock = Clock()
    nmf.fit(x)
    return Run(*clock.read(), float(nmf.reconstruction_err_), nmf.n_iter_)


def torchnmf(x: Array, components: int) -> Run:
    """200 iterations from its random beginning."""
    torch.manual_seed(0)
    spectra = torch.from_numpy(x)
    nmf = TorchNMF(spectra.shape, rank=components)
    clock = Clock()
    iterations = nmf.fit(spectra, beta=2, tol=0, max_iter=ITERATIONS)
    times = clock.read()
    with torch.no_grad():
        return Run(*times, float((spectra - nmf()).norm()), int(iterations))


def hour(x: Array, components: int) -> None:
    """Print how fast an hour's activations are found, and how exactly."""
    nmf = SparseNMF(components, max_iter=30, random_state=0).fit(x)
    long = np.tile(x, (HOUR // len(x), 1))
    nmf.transform(long[:FRAMES])
    clock = Clock()
    found = nmf.transform(long)
    seconds, processor = clock.read()
    theirs = NMF(components, max_iter=ITERATIONS, tol=0)
    theirs.n_components_, theirs.components_ = components, nmf.components_
    theirs.n_features_in_ = x.shape[1]
    few = x[:: FRAMES // 500]
    clock = Clock()
    exact = theirs.transform(few)
    each = clock.read()[1] / len(few)
    errors = [
        float(np.linalg.norm(few - h @ nmf.components_))
        for h in (found[: len(x)][:: FRAMES // 500], exact)
    ]
    print(
        f"transform of an hour: {seconds:.2f} s, {HOUR * FRAME_STEP / seconds:.0f} × real time "
        f"(processor {processor:.2f} s); its error is {errors[0] / errors[1]:.5f} × that of "
        f"scikit-learn after {ITERATIONS} iterations, which take {each * HOUR:.0f} s"
    )


def frames(spectrum: Callable[[torch.Tensor], torch.Tensor]) -> Array:
    """Spectra (6000, 513) of clips, two seconds of each, mixed among data sets."""
    data = shared() / "data"
    with (data / "manifest.csv").open(newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["split"] == "train"]
    rows = [row for row in rows if row["dataset"] in DATA_SETS]
    order = np.random.default_rng(0).permutation(len(rows))
    found: list[Array] = []
    for number in order:
        clip = audio.resample(audio.read(data / rows[number]["path"]), 16000)
        found.append(spectrum(clip.waveform[None, :32000])[0].T.numpy())
        if sum(map(len, found)) >= FRAMES:
            break
    return np.ascontiguousarray(np.concatenate(found)[:FRAMES])


if __name__ == "__main__":
    main()
