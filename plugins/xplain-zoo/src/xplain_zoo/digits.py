"""A small spoken-digit classifier that reads a waveform at 8 kHz."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import torch
from msgspec import Meta
from torch import Tensor, nn
from torch.nn import functional as F

from xplain.borrowing import making
from xplain.errors import ArtifactError, ModelError, one_line
from xplain.storage import write_bytes, write_text
from xplain.tensors import read_tensors, to_bytes
from xplain.validated import decode_json

LABELS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
WEIGHTS = Path(__file__).parent / "weights" / "digits"

Samples = Annotated[int, Meta(ge=1, le=2**16)]
"""A length in samples; limits keep a damaged file from asking for all memory."""
Size = Annotated[int, Meta(ge=1, le=1024)]
"""Bands, channels or units."""
M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class DigitConfig:
    """Everything that is needed to build the network; stored as config.json."""

    labels: tuple[str, ...] = LABELS
    sample_rate: int = 8000  # Hz
    window: Samples = 256
    hop: Samples = 100
    bands: Size = 32
    low: float = 60.0  # Hz, lower edge of the first band
    high: float = 3900.0  # Hz, upper edge of the last band
    tilt: float = 0.0  # emphasis of the bands: power times (centre / 1 kHz) ** tilt
    gain: float = 100.0  # how far below the clip's level the compression bends
    floor: float = 1e-6  # power (of a sine: amplitude² / 4) under which a clip counts as quiet
    channels: tuple[Size, Size, Size, Size] = (32, 48, 64, 64)
    hidden: Size = 128
    dropout: float = 0.3
    shortest: Samples = 2000  # anything shorter is padded with zeros

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        write_text(path, json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def read(cls, path: Path) -> DigitConfig:
        """Read what save() wrote; ArtifactError for anything else."""
        return decode_json(path, cls)


class Spectrum(nn.Module):
    """Waveform → power spectrum → compressed mel bands, differentiable, finite at silence."""

    window: Tensor
    frequencies: Tensor
    filters: Tensor

    def __init__(self, config: DigitConfig) -> None:
        """Compute the window and the mel filters of a configuration."""
        super().__init__()
        self.config = config
        frequencies = torch.fft.rfftfreq(config.window, 1 / config.sample_rate)
        self.register_buffer("window", torch.hann_window(config.window), persistent=False)
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.register_buffer("filters", self.mel_filters(frequencies), persistent=False)

    def mel_filters(self, frequencies: Tensor) -> Tensor:
        """Triangles equally spaced in mel, read at ``frequencies`` (..., bins) in Hz.

        Gives (..., bands, bins). Handing in other frequencies than the bins have
        warps the spectrum, which is how training changes the vocal tract.
        """
        edges = torch.linspace(mel(self.config.low), mel(self.config.high), self.config.bands + 2)
        place = 2595.0 * torch.log10(1.0 + frequencies.unsqueeze(-2) / 700.0)
        rising = (place - edges[:-2, None]) / (edges[1] - edges[0])
        falling = (edges[2:, None] - place) / (edges[1] - edges[0])
        centres = 700.0 * (10 ** (edges[1:-1, None] / 2595.0) - 1.0)
        return torch.minimum(rising, falling).clamp(min=0.0) * (centres / 1000) ** self.config.tilt

    def power(self, waveform: Tensor) -> Tensor:
        """(batch, samples) → (batch, bins, frames); a sine of amplitude a peaks at a² / 4."""
        missing = self.config.shortest - waveform.shape[-1]
        if missing > 0:
            waveform = F.pad(waveform, (0, missing))
        spectrum = torch.stft(
            waveform,
            self.config.window,
            self.config.hop,
            window=self.window,
            center=True,
            pad_mode="constant",
            return_complex=True,
        )
        # Squares instead of abs(): the gradient of a square is finite at silence.
        return (spectrum.real.square() + spectrum.imag.square()) / self.window.sum() ** 2

    def compress(self, power: Tensor, filters: Tensor | None = None) -> Tensor:
        """(batch, bins, frames) → (batch, bands, frames), about 0..2, silence exactly 0.

        Divides by the level of the clip, softly: below ``floor`` the division
        fades out, so that the way from silence to the clip is smooth and the
        network is not blind to level.
        """
        bands = (self.filters if filters is None else filters) @ power
        loudness = bands.mean(dim=1)
        # Weighting each frame by itself keeps silence around a word out of the level.
        level = loudness.square().sum(-1) / (loudness.sum(-1) + self.config.floor)
        scale = self.config.gain / (level + self.config.floor)
        return torch.log1p(scale[:, None, None] * bands) / 4.0

    def forward(self, waveform: Tensor) -> Tensor:
        """(batch, samples) → (batch, bands, frames)."""
        return self.compress(self.power(waveform))


class DigitClassifier(nn.Module):
    """Convolutions over bands and frames, then attention over time."""

    def __init__(self, config: DigitConfig | None = None) -> None:
        """Draw the weights of a configuration."""
        super().__init__()
        self.config = config = config or DigitConfig()
        self.spectrum = Spectrum(config)
        a, b, c, d = config.channels
        self.body = nn.Sequential(
            *block(1, a, 5, stride=(2, 2)),
            *block(a, b, 3),
            nn.AvgPool2d((2, 2), ceil_mode=True),
            *block(b, c, 3),
            nn.AvgPool2d((2, 1)),
            *block(c, d, 3),
            nn.Dropout2d(config.dropout / 2),
        )
        rows = config.bands // 8
        self.mix = nn.Sequential(
            nn.Conv1d(d * rows, config.hidden, 3, padding=1),
            nn.BatchNorm1d(config.hidden),
            nn.SiLU(),
            nn.Dropout(config.dropout),
            nn.Conv1d(config.hidden, config.hidden, 5, padding=2),
            nn.BatchNorm1d(config.hidden),
            nn.SiLU(),
        )
        self.attention = nn.Conv1d(config.hidden, 4, 1)
        self.out = nn.Sequential(
            nn.Dropout(config.dropout), nn.Linear(4 * config.hidden, len(config.labels))
        )

    def classify(self, features: Tensor) -> Tensor:
        """Logits of compressed bands: (batch, bands, frames) → (batch, labels)."""
        frames = self.mix(self.body(features.unsqueeze(1)).flatten(1, 2))
        weights = self.attention(frames).softmax(dim=-1)
        pooled = torch.einsum("bct,bht->bhc", frames, weights).flatten(1)
        logits: Tensor = self.out(pooled)
        return logits

    def forward(self, waveform: Tensor) -> Tensor:
        """Logits of clips of equal length: (batch, samples) at 8 kHz → (batch, labels)."""
        return self.classify(self.spectrum(waveform))

    @classmethod
    def from_folder(cls, folder: Path = WEIGHTS) -> DigitClassifier:
        """The model that config.json and model.safetensors describe, in eval mode."""
        return with_weights(cls, DigitConfig.read(folder / "config.json"), folder)

    def to_folder(self, folder: Path) -> None:
        """Write config.json and model.safetensors."""
        self.config.save(folder / "config.json")
        write_bytes(folder / "model.safetensors", to_bytes(self.state_dict()))


def block(
    inputs: int, outputs: int, size: int, stride: tuple[int, int] = (1, 1)
) -> list[nn.Module]:
    """A convolution over bands and frames, normalised."""
    return [
        nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.SiLU(),
    ]


def with_weights(make: Callable[[Any], M], config: object, folder: Path) -> M:
    """Build a network and give it the weights in model.safetensors, in evaluation mode.

    make: its class. ArtifactError where the weights are not those that the configuration needs.
    """
    weights = read_tensors(folder / "model.safetensors")[0]
    try:
        with making(sum(tensor.numel() for tensor in weights.values())):
            model = make(config)
        model.load_state_dict(weights)
    except (ArithmeticError, ModelError, RuntimeError, TypeError, ValueError) as error:
        raise ArtifactError(
            f"{folder}: config.json describes no network of these weights ({one_line(error)}); "
            "copy the folder again"
        ) from error
    return model.eval()


def mel(frequency: float) -> float:
    """Hz → mel (O'Shaughnessy 1987)."""
    return float(2595.0 * torch.log10(torch.tensor(1.0 + frequency / 700.0)))
