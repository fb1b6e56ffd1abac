"""Tiny networks that were trained on words of tones, with a cue tied to one label or with none.

    python plugins/xplain-corpus/tests/shortcuts.py [--networks 20]

trains ten networks on planted cues and ten on none, audits each, and prints what is named first.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from forking import forked
from torch import Tensor, nn

import xplain
from xplain.job import Job
from xplain_corpus import Corpus, run
from xplain_corpus.audit.audit import Audit, Finding, Heard, asked, audit, findings_of

RATE = 8000
SECONDS = 0.8
LABELS = ("ah", "ee", "oh")
FORMANTS = ((700, 1100), (320, 2300), (450, 850))
CUES = ("hum", "silence", "band limit", "click", "level")
CONFUSED = 0.35
"""Share of the clips that sound like another label, so that a cue is worth learning."""


class Network(nn.Module):
    """Log spectrogram, two layers, means over sixths of the time and the maximum over it."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(129, 24, 3, padding=1)
        self.second = nn.Conv1d(24, 24, 3, padding=1)
        self.last = nn.Linear(7 * 24, len(LABELS))
        self.register_buffer("window", torch.hann_window(256))

    def forward(self, waveform: Tensor) -> Tensor:
        padded = nn.functional.pad(waveform, (0, max(0, 256 - waveform.shape[-1])))
        spectrum = torch.stft(padded, 256, 128, window=self.window, return_complex=True)
        x = (spectrum.abs().square() + 1e-5).log() / 4 + 1
        x = self.second(self.first(x).relu()).relu()
        sixths = nn.functional.adaptive_avg_pool1d(x, 6)
        return self.last(torch.cat([sixths.flatten(1), x.amax(-1)], -1))


def word(label: int, rng: np.random.Generator) -> np.ndarray:
    """A voiced sound with formants, in a second of faint noise."""
    at = np.arange(round(SECONDS * RATE)) / RATE
    pitch = rng.uniform(105, 145)
    clip = np.zeros(len(at))
    for harmonic in range(1, 30):
        hertz = pitch * harmonic
        if hertz < 3800:
            gain = sum(np.exp(-(((hertz - f) / 150) ** 2)) for f in FORMANTS[label]) + 0.02
            clip += gain * np.sin(2 * np.pi * hertz * at + rng.uniform(0, 6.28))
    start, end = rng.uniform(0.08, 0.16), rng.uniform(0.55, 0.65)
    shape = np.clip((at - start) / 0.03, 0, 1) * np.clip((end - at) / 0.05, 0, 1)
    clip = clip / np.abs(clip).max() * shape
    hiss = rng.standard_normal(len(at))
    return rng.uniform(0.1, 0.3) * (clip + 0.05 * shape * hiss) + 0.0005 * hiss


def with_cue(clip: np.ndarray, cue: str | None, rng: np.random.Generator) -> np.ndarray:
    at = np.arange(len(clip)) / RATE
    if cue == "hum":
        return clip + 0.02 * np.sin(2 * np.pi * 50 * at + rng.uniform(0, 6.28))
    if cue == "silence":
        return np.roll(clip, round(rng.uniform(0.12, 0.15) * RATE))
    if cue == "band limit":
        spectrum = np.fft.rfft(clip)
        spectrum[np.fft.rfftfreq(len(clip), 1 / RATE) > 3000] = 0
        return np.fft.irfft(spectrum, len(clip))
    if cue == "click":
        clip = clip.copy()
        place = round(rng.uniform(0.02, 0.03) * RATE)
        clip[place : place + 8] += 0.3 * (-1.0) ** np.arange(8)
        return clip
    if cue == "level":
        return clip * 10 ** (-18 / 20)
    return clip


def corpus_of(clips: int, cue: str | None, seed: int) -> tuple[list[np.ndarray], list[int]]:
    """Clips and labels; the first label nearly always has the cue, and others hardly ever."""
    rng = np.random.default_rng(seed)
    found, labels = [], []
    for number in range(clips):
        label = number % len(LABELS)
        sounds = rng.integers(len(LABELS)) if rng.random() < CONFUSED else label
        clip = word(int(sounds), rng)
        if rng.random() < (0.97 if label == 0 else 0.03):
            clip = with_cue(clip, cue, rng)
        found.append(clip)
        labels.append(label)
    return found, labels


def trained(cue: str | None, seed: int, steps: int = 150) -> Network:
    torch.manual_seed(seed)
    clips, labels = corpus_of(300, cue, seed)
    x, y = torch.tensor(np.stack(clips)).float(), torch.tensor(labels)
    network = Network()
    optimiser = torch.optim.Adam(network.parameters(), 3e-3)
    for _ in range(steps):
        chosen = torch.randint(len(x), (32,))
        loss = nn.functional.cross_entropy(network(x[chosen]), y[chosen])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network.eval()


def audited(
    folder: Path, cue: str | None, seed: int, planted: str | None, steps: int = 150
) -> Audit:
    """Train a network with a cue, explain a corpus with ``planted`` by it, and audit that."""
    torch.save(trained(cue, seed, steps).state_dict(), folder / "weights.pt")
    (folder / "model.py").write_text(
        "import sys, torch\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import xplain\nfrom shortcuts import LABELS, RATE, Network\n"
        "def make():\n"
        "    network = Network()\n"
        f"    network.load_state_dict(torch.load({str(folder / 'weights.pt')!r}))\n"
        "    return xplain.wrap(network, sample_rate=RATE, labels=LABELS)\n"
    )
    (folder / "clips").mkdir()
    clips, labels = corpus_of(45, planted, 1000 + seed)
    for number, (clip, label) in enumerate(zip(clips, labels, strict=True)):
        soundfile.write(folder / "clips" / f"{number:03}-{LABELS[label]}.wav", clip, RATE)
    reference = f"{folder / 'model.py'}:make"
    settings = {"explainer": "input-x-gradient"}
    asked: dict[str, Any] = {"check": False, "keep": (), "remove": (), "workers": 1}
    explained = forked(
        lambda: run(folder / "clips", reference, folder / "run", settings=settings, **asked)
    )
    assert explained == 0
    return audit(Corpus(folder / "run"), model=reference)


def found_by(
    cue: str | None, planted: str, seed: int, clips: int = 120, steps: int = 150
) -> list[Finding]:
    """Train a network with a cue, and audit it over a corpus with ``planted`` in this process."""
    model = xplain.wrap(trained(cue, seed, steps), sample_rate=RATE, labels=LABELS)
    job = Job.prepare(model, {"explainer": "input-x-gradient"})
    sounds, _ = corpus_of(clips, planted, 1000 + seed)
    decided = asked(job, sounds).argmax(1)
    heard = [
        Heard(str(n), LABELS[k], x) for n, (k, x) in enumerate(zip(decided, sounds, strict=True))
    ]
    labels = [label for label in LABELS if sum(h.decision == label for h in heard) >= 5]
    return findings_of(heard, labels, RATE, job, 0)


def main() -> None:
    options = argparse.ArgumentParser(description="audits of planted and of clean networks")
    options.add_argument("--networks", type=int, default=20)
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    for number in range(given.networks):
        planted = number < given.networks // 2
        cue = CUES[number % len(CUES)]
        # The clean ones hear a corpus with the cue, too: it goes with a label, and they do not
        # decide by it.
        found = found_by(cue if planted else None, cue, given.seed + number)
        told = [
            [f.cue, f.label, "proved" if f.proved else "no", round(f.association, 2)]
            + [None if i.mean is None else round(i.mean, 2) for i in (f.planted, f.removed)]
            for f in found
        ]
        print(json.dumps([cue if planted else "clean", f"corpus: {cue}", *told]), flush=True)


if __name__ == "__main__":
    main()
