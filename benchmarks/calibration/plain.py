"""Plain networks on log-mel spectrograms or latents, trained on digits as anybody would."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import torch
from recordings import Recording, recordings, shared
from torch import Tensor, nn

import xplain
from xplain.audio import read
from xplain_codecs.codecs.encodec import Encodec
from xplain_codecs.fit.fit import Task, fit
from xplain_codecs.fit.training import Training

RATE = 8000
LABELS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
HEARD = ("george", "jackson", "nicolas")
"""Speakers it is trained on; the others it never hears."""
SECOND = RATE
BANDS = 40


class Plain(nn.Module):
    """Log-mel spectrogram, four convolutions, the mean over time."""

    def __init__(self) -> None:
        """Set up the filters and the layers."""
        super().__init__()
        hertz = torch.linspace(0, RATE / 2, 129)
        mel = 2595 * torch.log10(1 + hertz / 700)
        edges = torch.linspace(0, float(mel[-1]), BANDS + 2)
        rising = (mel - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
        falling = (edges[2:, None] - mel) / (edges[2:] - edges[1:-1])[:, None]
        self.register_buffer("bands", torch.minimum(rising, falling).clamp_min(0))
        self.register_buffer("window", torch.hann_window(256))
        sizes = (1, 16, 32, 64, 64)
        self.layers = nn.Sequential(
            *(
                layer
                for before, after in pairwise(sizes)
                for layer in (
                    nn.Conv2d(before, after, 3, padding=1),
                    nn.BatchNorm2d(after),
                    nn.ReLU(),
                    nn.MaxPool2d(2, ceil_mode=True),
                )
            )
        )
        self.head = nn.Linear(64, len(LABELS))

    def forward(self, waveform: Tensor) -> Tensor:
        """Waveforms (B, samples) → logits (B, L)."""
        return self.head(self.layers(self.mel(waveform)[:, None]).mean(dim=(2, 3)))

    def mel(self, waveform: Tensor) -> Tensor:
        """Waveforms (B, samples) → logarithms (B, bands, frames)."""
        spectrum = torch.stft(waveform, 256, 80, window=self.window, return_complex=True)
        power = self.bands @ (spectrum.real.square() + spectrum.imag.square())
        return (power + 1e-3).log()


class Recurrent(Plain):
    """The same spectrogram, two convolutions over bands and time, a GRU, its mean over time."""

    def __init__(self) -> None:
        """Set up the layers."""
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Conv2d(1, 16, 5, padding=2), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d((4, 1))),
            *(nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d((5, 2))),
        )
        self.over_time = nn.GRU(64, 32, batch_first=True, bidirectional=True)

    def forward(self, waveform: Tensor) -> Tensor:
        """Waveforms (B, samples) → logits (B, L)."""
        found = self.layers(self.mel(waveform)[:, None]).flatten(1, 2).transpose(1, 2)
        return self.head(self.over_time(found)[0].mean(dim=1))


class Attentive(Plain):
    """The same spectrogram, an LSTM over its frames, and which of them count by attention."""

    def __init__(self) -> None:
        """Set up the layers."""
        super().__init__()
        self.layers = nn.Sequential(nn.Conv1d(BANDS, 64, 5, stride=2, padding=2), nn.ReLU())
        self.over_time = nn.LSTM(64, 32, batch_first=True, bidirectional=True)
        self.attention = nn.Linear(64, 1)

    def forward(self, waveform: Tensor) -> Tensor:
        """Waveforms (B, samples) → logits (B, L)."""
        found = self.over_time(self.layers(self.mel(waveform) / 3).transpose(1, 2))[0]
        return self.head((self.attention(found).softmax(dim=1) * found).sum(dim=1))


def plain(
    seed: int = 0, epochs: int = 10, network: type[Plain] = Plain, heard: Sequence[str] = HEARD
) -> xplain.Model:
    """Train one on the speakers that are heard."""
    torch.manual_seed(seed)
    order = random.Random(seed)
    clips = [r for r in recordings("fsdd", "train") if r.speaker in heard]
    audio = torch.stack([_padded(clip.path) for clip in clips])
    labels = torch.tensor([int(clip.label) for clip in clips])
    module = network()
    optimiser = torch.optim.AdamW(module.parameters(), lr=2e-3, weight_decay=1e-2)
    rate = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, 4e-3, total_steps=epochs * -(-len(clips) // 64)
    )
    for _ in range(epochs):
        places = list(range(len(clips)))
        order.shuffle(places)
        for batch in torch.tensor(places).split(64):
            gain = torch.empty(len(batch), 1).uniform_(0.5, 1.5)
            loss = nn.functional.cross_entropy(module(gain * audio[batch]), labels[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            rate.step()
    return xplain.wrap(module.eval(), sample_rate=RATE, labels=LABELS)


def latent(out: Path = Path("out/calibration")) -> xplain.Model:
    """Fit a recurrent head on the latents of the zoo's codec, without emphasis or masking."""
    reads = xplain.load_model("zoo:digits-latent").reads
    assert isinstance(reads, Encodec)
    task = Task(
        manifest=shared() / "data" / "manifest.csv",
        synthesizer="encodec",
        synthesizer_params={"checkpoint": reads.checkpoint, "quantised": reads.quantised},
        head="gru",
        training=Training(epochs=8, seed=5),
        where={"dataset": "fsdd"},
    )
    report = fit(task, out / "latent", latents=out / "latents")
    print(f"a recurrent head on latents: accuracy {report.accuracy.mean:.3f} on test clips")
    return xplain.load_model(f"latent:{out / 'latent'}")


def unheard(heard: Sequence[str] = HEARD) -> list[Recording]:
    """Clips of speakers that it never heard."""
    given = [*recordings("fsdd", "train"), *recordings("fsdd", "test")]
    return [clip for clip in given if clip.speaker not in heard]


def _padded(path: Path) -> Tensor:
    waveform = read(path).waveform[:SECOND]
    return nn.functional.pad(waveform, (0, SECOND - len(waveform)))
