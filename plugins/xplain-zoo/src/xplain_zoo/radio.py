"""A segmenter of radio and meetings: speech, music, noise and overlapped speech every 20 ms.

Log-mel bands, divided by the level around them, and dilated convolutions over time. It is the
black box that zoo:radio explains. Nothing in it looks further than ``context`` to either side
(normalisation included), so a window with that much around it gives what the whole would.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import torch
from msgspec import Meta
from torch import Tensor, nn
from torch.nn import functional as F

from xplain.interfaces import Thresholds
from xplain.storage import write_bytes, write_text
from xplain.tensors import to_bytes
from xplain.validated import decode_json
from xplain_zoo.digits import Samples, Size, mel, with_weights

LABELS = ("speech", "music", "noise", "overlap")
WEIGHTS = Path(__file__).parent / "weights" / "radio-teacher"
Sizes = Annotated[tuple[Size, ...], Meta(max_length=64)]


@dataclass(frozen=True)
class RadioConfig:
    """Everything that is needed to build the network; stored as config.json."""

    labels: tuple[str, ...] = LABELS
    sample_rate: int = 16000  # Hz
    window: Samples = 1024
    hop: Samples = 320  # frame t is centred on sample 320 t + 160
    bands: Size = 80
    low: float = 40.0  # Hz, lower edge of the first band
    high: float = 7800.0  # Hz, upper edge of the last band
    level_frames: int = 125  # to each side, over which the level is averaged
    depth: float = 1e-6  # power of a band relative to the level under which it counts as empty
    quiet: float = 1e-9  # power (re full scale, -90 dB) under which everything is silence
    patterns: Sizes = (16, 24, 32)  # channels of the convolutions over bands and frames
    channels: Size = 96
    hidden: Size = 96
    dilations: Sizes = (1, 2, 4, 8, 16, 32, 2, 8)
    around: int = 50  # frames to each side, over which features are averaged half-way
    dropout: float = 0.05
    thresholds: tuple[Thresholds, ...] = (Thresholds(),) * len(LABELS)  # chosen in training

    @property
    def frame_step(self) -> float:
        """Seconds from one frame to the next."""
        return self.hop / self.sample_rate

    @property
    def context(self) -> float:
        """Seconds before and after a frame on which it depends, at most."""
        around = self.level_frames + len(self.patterns) + self.around + sum(self.dilations)
        return (around * self.hop + self.window // 2 - self.hop // 2) / self.sample_rate

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        write_text(path, json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def read(cls, path: Path) -> RadioConfig:
        """Read what save() wrote; ArtifactError for anything else."""
        return decode_json(path, cls)


class Bands(nn.Module):
    """Waveform → power in mel bands → logarithm relative to the level around."""

    window: Tensor
    filters: Tensor

    def __init__(self, config: RadioConfig) -> None:
        """Compute the window and the filters of a configuration."""
        super().__init__()
        self.config = config
        self.register_buffer("window", torch.hann_window(config.window), persistent=False)
        self.register_buffer("filters", mel_filters(config), persistent=False)

    def power(self, waveform: Tensor) -> Tensor:
        """(batch, samples) → (batch, bands, frames), frames = ceil(samples / hop)."""
        window, hop = self.config.window, self.config.hop
        samples = waveform.shape[-1]
        left = window // 2 - hop // 2
        frames = -(-samples // hop)
        right = (frames - 1) * hop + window - left - samples
        spectrum = torch.stft(
            F.pad(waveform, (left, right)),
            window,
            hop,
            window=self.window,
            center=False,
            return_complex=True,
        )
        # Squares instead of abs(): the gradient of a square is finite at silence. White noise
        # of power p has the power p in all bands together, up to their gaps.
        squares = spectrum.real.square() + spectrum.imag.square()
        return self.filters @ squares * (2 / (window * self.window.square().sum()))

    def forward(self, power: Tensor) -> Tensor:
        """Power (batch, bands, frames) → features, the same whatever the level of the sound.

        About -14 for what is empty, and 0 for a band that alone has the level around.
        """
        level = _average(power.sum(dim=1, keepdim=True), self.config.level_frames)
        level = level + self.config.quiet
        return torch.log(power / level + self.config.depth)


class Patterns(nn.Module):
    """Convolutions over bands and frames: harmonics look alike wherever they lie.

    Each halves the bands and hears one frame more to each side.
    """

    def __init__(self, config: RadioConfig) -> None:
        """Draw the weights."""
        super().__init__()
        self.norm = nn.BatchNorm1d(config.bands)
        layers: list[nn.Module] = []
        bands, inputs = config.bands, 1
        for outputs in config.patterns:
            layers += [
                nn.Conv2d(inputs, outputs, (5, 3), stride=(2, 1), padding=(2, 1), bias=False),
                nn.BatchNorm2d(outputs),
                nn.SiLU(),
            ]
            bands, inputs = -(-bands // 2), outputs
        self.body = nn.Sequential(*layers)
        self.leave = nn.Conv1d(bands * inputs, config.channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """(batch, bands, frames) → (batch, channels, frames)."""
        found: Tensor = self.leave(self.body(self.norm(features).unsqueeze(1)).flatten(1, 2))
        return found


class Block(nn.Module):
    """A dilated convolution over time beside which everything passes unchanged."""

    def __init__(self, config: RadioConfig, dilation: int) -> None:
        """Draw the weights."""
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(
                config.channels, config.hidden, 3, padding=dilation, dilation=dilation, bias=False
            ),
            # At inference a constant per channel: no statistics over time reach into a window.
            nn.BatchNorm1d(config.hidden),
            nn.SiLU(),
            nn.Dropout1d(config.dropout),
            nn.Conv1d(config.hidden, config.channels, 1),
        )

    def forward(self, values: Tensor) -> Tensor:
        """(batch, channels, frames) → the same."""
        changed: Tensor = values + self.body(values)
        return changed


class Surroundings(nn.Module):
    """The mean of features over a second to each side, beside which everything passes.

    What goes on for seconds, music or rain, is known by more than its moment.
    """

    def __init__(self, config: RadioConfig) -> None:
        """Draw the weights."""
        super().__init__()
        self.around = config.around
        self.enter = nn.Sequential(
            nn.Conv1d(config.channels, config.hidden, 1, bias=False),
            nn.BatchNorm1d(config.hidden),
            nn.SiLU(),
        )
        self.leave = nn.Conv1d(config.hidden, config.channels, 1)

    def forward(self, values: Tensor) -> Tensor:
        """(batch, channels, frames) → the same."""
        changed: Tensor = values + self.leave(_average(self.enter(values), self.around))
        return changed


class RadioSegmenter(nn.Module):
    """Waveforms (batch, samples) at 16 kHz → logits (batch, frames, labels), one sigmoid each."""

    def __init__(self, config: RadioConfig | None = None) -> None:
        """Draw the weights of a configuration."""
        super().__init__()
        self.config = config = config or RadioConfig()
        self.bands = Bands(config)
        self.patterns = Patterns(config)
        blocks: list[nn.Module] = [Block(config, dilation) for dilation in config.dilations]
        blocks.insert(len(blocks) // 2 + 1, Surroundings(config))
        self.blocks = nn.Sequential(*blocks)
        self.leave = nn.Sequential(
            nn.BatchNorm1d(config.channels),
            nn.SiLU(),
            nn.Conv1d(config.channels, len(config.labels), 1),
        )

    def decide(self, features: Tensor) -> Tensor:
        """Logits of features: (batch, bands, frames) → (batch, frames, labels)."""
        logits: Tensor = self.leave(self.blocks(self.patterns(features)))
        return logits.transpose(1, 2)

    def forward(self, waveform: Tensor) -> Tensor:
        """Logits, ceil(samples / 320) frames of 20 ms each."""
        return self.decide(self.bands(self.bands.power(waveform)))

    @classmethod
    def from_folder(cls, folder: Path = WEIGHTS) -> RadioSegmenter:
        """The model that config.json and model.safetensors describe, in eval mode."""
        return with_weights(cls, RadioConfig.read(folder / "config.json"), folder)

    def to_folder(self, folder: Path) -> None:
        """Write config.json and model.safetensors."""
        self.config.save(folder / "config.json")
        write_bytes(folder / "model.safetensors", to_bytes(self.state_dict()))


def _average(values: Tensor, around: int) -> Tensor:
    """The mean over so many frames to each side, of those there are: (batch, n, frames)."""
    # A difference of sums costs the same however far it reaches; in float64 it is exact enough.
    sums = F.pad(values.double().cumsum(dim=-1), (1, 0))
    here = torch.arange(values.shape[-1], device=values.device)
    first, end = (here - around).clamp(min=0), (here + around + 1).clamp(max=len(here))
    return ((sums[..., end] - sums[..., first]) / (end - first)).to(values.dtype)


def mel_filters(config: RadioConfig) -> Tensor:
    """Triangles equally spaced in mel: (bands, bins)."""
    frequencies = torch.fft.rfftfreq(config.window, 1 / config.sample_rate)
    place = 2595.0 * torch.log10(1.0 + frequencies / 700.0)
    edges = torch.linspace(mel(config.low), mel(config.high), config.bands + 2)
    rising = (place - edges[:-2, None]) / (edges[1] - edges[0])
    falling = (edges[2:, None] - place) / (edges[1] - edges[0])
    return torch.minimum(rising, falling).clamp(min=0.0)
