"""inaSpeechSegmenter (Doukhan et al. 2018): speech, music or noise in broadcasts."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from third_party.mel import htk_edges, triangles
from third_party.weights import filled, safetensors

LABELS = ("speech", "music", "noise")
FRAME_STEP = 0.02
FRAMES, BANDS = 68, 21
"""Of a patch: 0.7 s, and the lowest 21 of 24 bands."""

FLOOR = 1e-2
"""Energy of a band from which on there is a logarithm; the rounding to 16 bits gives forty
times as much."""


class SpeechMusicNoise(nn.Module):
    """Waveforms (B, samples) at 16 kHz → logits (B, patches, 3) every 20 ms, which exclude others.

    Each patch is brought to mean 0 and deviation 1, so that its level does not matter.
    Patch t is centred on second .02 t, as the package has it: the first and the last are
    repeated where a patch would reach over the edge. At least 0.7 s. ``embedding`` gives what the
    last layer reads: (B, patches, 256).
    """

    window: Tensor
    filters: Tensor

    def __init__(self, every: int = 2) -> None:
        """Build it without weights. every: frames from one patch to the next."""
        super().__init__()
        self.every = every
        self.embedding = nn.Identity()
        sizes = ((1, 64, (7, 4)), (64, 128, 3), (128, 128, 3), (128, 256, 3))
        self.conv = nn.ModuleList(nn.Conv2d(*size) for size in sizes)
        widths = (64, 128, 128, 256)
        norms = [nn.BatchNorm2d(w, 1e-3, track_running_stats=True) for w in widths]
        dense = [nn.BatchNorm1d(256, 1e-3) for _ in range(4)]
        self.norm = nn.ModuleList([*norms, *dense])
        self.dense = nn.ModuleList(nn.Linear(256, 256 if n < 4 else 3) for n in range(5))
        self.register_buffer("window", torch.hann_window(400, periodic=False), persistent=False)
        bank = triangles(htk_edges(100, 8000, 24), 512, 16_000)
        for band in bank:
            # The package leaves out the last bin under the falling side of each triangle.
            falling = torch.nonzero(band).flatten()
            band[falling[-1]] = 0
        self.register_buffer("filters", bank[:BANDS].float(), persistent=False)

    @classmethod
    def load(cls, folder: Path, every: int = 2) -> SpeechMusicNoise:
        """With the weights of the folder of third parties' models."""
        weights = safetensors(folder / "ina_speech_music_noise.safetensors")
        counts = {f"norm.{n}.num_batches_tracked": torch.tensor(0) for n in range(8)}
        return filled(cls(every), {**weights, **counts})

    def bands(self, waveform: Tensor) -> Tensor:
        """Log energies (B, frames, 21) of frames of 25 ms every 10 ms."""
        frames = (waveform * 32768).unfold(-1, 400, 160)
        before = torch.cat([frames[..., :1], frames[..., :-1]], dim=-1)
        spectrum = torch.fft.rfft((frames - 0.97 * before) * self.window, 512)
        power = spectrum.real.square() + spectrum.imag.square()
        return (power @ self.filters.T).clamp(min=FLOOR).log()

    def forward(self, waveform: Tensor) -> Tensor:
        """Logits (B, patches, 3)."""
        bands = self.bands(waveform)
        patches = bands.unfold(1, FRAMES, self.every).transpose(2, 3)
        flat = patches.flatten(2)
        spread = flat.var(dim=-1, correction=0, keepdim=True).clamp(min=1e-10).sqrt()
        scaled = ((flat - flat.mean(dim=-1, keepdim=True)) / spread).reshape(patches.shape)
        heard = self.patch(scaled.flatten(0, 1)).unflatten(0, patches.shape[:2])
        before = FRAMES // 2 // self.every
        after = -(-bands.shape[1] // self.every) - heard.shape[1] - before
        first = heard[:, :1].expand(-1, before, -1)
        last = heard[:, -1:].expand(-1, after, -1)
        logits: Tensor = self.dense[4](self.embedding(torch.cat([first, heard, last], dim=1)))
        return logits

    def patch(self, patches: Tensor) -> Tensor:
        """What the last layer reads (n, 256) of standardised patches (n, 68, 21)."""
        relu, pool, pad = nn.functional.relu, nn.functional.max_pool2d, nn.functional.pad
        x = relu(self.norm[0](self.conv[0](patches[:, None])))
        x = pool(pad(x, _same(x, (4, 2)), value=-torch.inf), (4, 2))
        x = relu(self.norm[1](self.conv[1](x)))
        x = relu(self.norm[2](self.conv[2](x)))
        x = pool(pad(x, _same(x, (2, 2)), value=-torch.inf), (2, 2))
        x = relu(self.norm[3](self.conv[3](x)))
        x = pool(x, (4, 1)).permute(0, 2, 3, 1).flatten(1)
        for number in range(4):
            x = relu(self.norm[4 + number](self.dense[number](x)))
        return x


def _same(x: Tensor, kernel: tuple[int, int]) -> tuple[int, int, int, int]:
    """What Keras pads for pooling "same": the odd one after; in torch's order."""
    missing = [-x.shape[2 + axis] % size for axis, size in enumerate(kernel)]
    (up, down), (left, right) = ((m // 2, m - m // 2) for m in missing)
    return left, right, up, down


class OfClip(nn.Module):
    """One decision for a clip: the mean of the logits over its patches (B, 3)."""

    def __init__(self, network: SpeechMusicNoise) -> None:
        """Ask a network."""
        super().__init__()
        self.network = network

    def forward(self, waveform: Tensor) -> Tensor:
        """Logits (B, 3)."""
        return self.network(waveform).mean(dim=1)
