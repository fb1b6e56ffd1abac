"""A proxy's activations as a representation that can be edited and decoded to audio."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from xplain import Context, Latents, Synthesizer
from xplain_nmf.model import switched_off
from xplain_nmf.proxied import Proxied
from xplain_nmf.spectrum import FREQUENCIES, istft, stft

SMALL = 1e-6
"""Of a frame's mean: what every bin of it has at least, so that one that no component reaches
goes by what becomes of the frame."""


class NmfSynthesizer(Proxied, Synthesizer):
    """D = K components, N = T frames of 20 ms: how much of each component is in each frame.

    Decoding H' is the soft mask Σ_k w_k h'_k / Σ_k w_k h_k on the complex spectrum, whose
    phase stays (arXiv 2401.08268). With nothing changed it gives the waveform back; so do
    frames in which no component is active. Components that are switched off are zero in H
    and removed from the decoded audio.
    """

    encode_differentiable = True
    decode_differentiable = True

    @property
    def spectra(self) -> tuple[Tensor, Sequence[float]]:  # type: ignore[override]
        """W' (K, F), and Hz of the bins."""
        return self.proxy.dictionary.T, FREQUENCIES

    def encode(self, waveform: Tensor) -> Latents:
        """Waveforms (B, samples) → H (B, K, T), zero or more."""
        spectrum = stft(waveform)
        _, activations = self.proxy.analyse(waveform, spectrum)
        context = {
            "real": spectrum.real,
            "imag": spectrum.imag,
            "activations": activations,
            "length": torch.full((len(waveform),), waveform.shape[-1]),
        }
        return Latents(switched_off(activations, self._off), context)

    def decode(self, values: Tensor, context: Context) -> Tensor:
        """Variants (n, K, T) → (n, samples)."""
        real, imaginary = context["real"].to(values), context["imag"].to(values)
        mask = soft_mask(self.proxy.dictionary, values, context["activations"].to(values))
        masked = torch.complex(real * mask, imaginary * mask)
        return istft(masked, int(context["length"][0]))


def soft_mask(dictionary: Tensor, changed: Tensor, activations: Tensor) -> Tensor:
    """Σ_k w_k h'_k / Σ_k w_k h_k: (n, F, T) of W (F, K), H' (n, K, T), H (1 or n, K, T).

    1 in frames where no component is active.
    """
    upper, lower = dictionary @ changed, dictionary @ activations
    upper = upper + SMALL * upper.mean(dim=1, keepdim=True)
    lower = lower + SMALL * lower.mean(dim=1, keepdim=True)
    active = lower > 0
    # In two steps: the gradient of a branch that is not taken must not be NaN.
    return torch.where(active, upper / torch.where(active, lower, 1.0), 1.0)
