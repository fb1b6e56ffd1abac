"""Noise in place of elements that are not kept."""

from __future__ import annotations

import torch
from torch import Tensor

from xplain import Clip, Replacement

WINDOW = 0.032
"""Seconds of the windows over which a clip's spectrum is measured."""


class WhiteNoise(Replacement):
    """The latents of white noise at the clip's level, as the synthesizer gives the clip back.

    What Akman, Sun, Schuller (2024), arXiv 2410.07530, put in place of removed elements.
    """

    depends_on_keep = False

    level = 0.0
    """dB against the clip's."""

    def __init__(self, draws: int = 1) -> None:
        """Draw noise; as a baseline, ``draws`` of it, over which methods take the mean."""
        if draws < 1:
            raise ValueError(f"draws is at least 1, not {draws!r}")
        self.draws = draws

    def fill(self, latents: Tensor, keep: Tensor, clip: Clip) -> Tensor:
        """Latents (D, N) of noise; where nothing is kept and draws > 1, (draws, D, N)."""
        (heard,) = clip.synthesizer.decode(latents[None], clip.context)
        level = heard.square().mean().sqrt() * 10 ** (self.level / 20)
        # One after another, so that the first is the same however many follow.
        drawn = []
        for _ in range(1 if keep.any() else self.draws):
            white = torch.randn(clip.samples, generator=clip.generator).to(latents)
            noise = self._coloured(white, heard, clip)
            noise = noise * (level / noise.square().mean().sqrt().clamp(min=1e-20))
            drawn.append(clip.synthesizer.encode(noise[None]).values)
        values = torch.cat(drawn)
        return values if len(values) > 1 else values[0]

    def _coloured(self, white: Tensor, heard: Tensor, clip: Clip) -> Tensor:
        return white


class ColouredNoise(WhiteNoise):
    """The latents of noise with the clip's mean spectrum, 10 dB below the clip.

    Something sounds everywhere, so that a model that normalises loudness has no silence to
    turn up; and it is faint beside what the clip's own sounds add at their own places.
    """

    def __init__(self, draws: int = 1, level: float = -10.0) -> None:
        """Draw noise; as a baseline, ``draws`` of it. level: dB against the clip's."""
        super().__init__(draws)
        self.level = level

    def _coloured(self, white: Tensor, heard: Tensor, clip: Clip) -> Tensor:
        """White noise (samples,) with the spectrum of what is heard."""
        size = max(4, round(WINDOW * clip.synthesizer.sample_rate) // 4 * 4)
        window = torch.hann_window(size, device=heard.device)
        padded = torch.nn.functional.pad(heard, (0, max(0, size - len(heard))))
        frames = torch.stft(padded, size, size // 4, window=window, return_complex=True)
        gain = frames.abs().square().mean(dim=1).sqrt()
        spectrum = torch.fft.rfft(white)
        fine = torch.nn.functional.interpolate(
            gain[None, None], len(spectrum), mode="linear", align_corners=True
        )
        coloured: Tensor = torch.fft.irfft(spectrum * fine[0, 0], len(white))
        return coloured
