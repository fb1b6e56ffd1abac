"""The proxy: features → Ψ → H ≥ 0 → Θ → logits, and X ≈ W H (arXiv 2401.08268)."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from xplain_nmf.config import NmfProxyConfig
from xplain_nmf.hidden import LayerFeatures
from xplain_nmf.spectrum import BINS, FREQUENCIES, SAMPLE_RATE, Spectrum, frame_count, stft
from xplain_nmf.tcn import Tcn

if TYPE_CHECKING:
    from xplain_nmf.encoder import Encoder

TINY = 1e-8
SLACK = 0.1
"""By which a gate's sigmoid is stretched beyond 0 and 1, and cut off there."""
LEAST = 0.01
"""Activation of components of no label, before they are refined."""
FALL, STEEP = 5.0, 10.0
"""Frames in which what an activation counts falls to 1/e, at first, and by what its logarithm is
learned faster than other weights."""

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "softplus": functional.softplus,
}


class ProxyOutput(NamedTuple):
    """What a forward pass gives.

    logits: (B, T, L). activations: H (B, K, T). spectrum: X (B, F, T). gates: logits of the
    gates (B, G, T), one for each of config.gated.
    """

    logits: Tensor
    activations: Tensor
    spectrum: Tensor
    gates: Tensor

    def parts(self) -> tuple[Tensor, Tensor, Tensor]:
        """Logits, H and X, in float32."""
        return self.logits.float(), self.activations.float(), self.spectrum.float()


class Spread(nn.Module):
    """Each component's activations averaged over the frames around, with weights of its own."""

    def __init__(self, components: int, frames: int) -> None:
        """Take how many frames to each side; the nearest weigh most, at first."""
        super().__init__()
        away = torch.arange(-frames, frames + 1).abs() / (FALL * STEEP)
        self.kernel = nn.Parameter(-away.repeat(components, 1))

    def forward(self, activations: Tensor) -> Tensor:
        """(B, K, T) → the same shape; beyond the ends nothing is active."""
        weights = (STEEP * self.kernel).softmax(1)
        return functional.conv1d(
            activations, weights[:, None], padding=weights.shape[1] // 2, groups=len(weights)
        )


class NmfProxy(nn.Module):
    """A segmenter whose every logit is a weighted sum of parts that have spectra.

    Waveforms are (B, samples) float32 at 16 kHz, T = ceil(samples / 320) frames of 20 ms.
    """

    def __init__(self, config: NmfProxyConfig) -> None:
        """A proxy with random weights; open_proxy loads one."""
        super().__init__()
        self.config = config
        self.encoder: Encoder | None = None
        inputs = BINS
        if config.features == "mel":
            inputs = config.mels
        elif config.encoder_config is not None:
            # Here, since transformers take twice as long to import as torch.
            from xplain_nmf.encoder import Encoder

            self.encoder = Encoder(config.encoder_config, config.encoder_normalises)
            inputs = self.encoder.channels
        elif config.features == "model":
            inputs = BINS + config.layer_channels
        self.psi = Tcn(
            inputs + config.loudness,
            config.components * (2 if config.gains else 1) + len(config.gated),
            bottleneck=config.bottleneck,
            hidden=config.hidden,
            repeats=config.repeats,
            blocks=config.blocks,
            norm=config.norm,
        )
        self.spread: nn.Module = nn.Identity()
        if config.spread:
            self.spread = Spread(config.components, config.spread)
        self.theta = nn.Linear(config.components, len(config.labels))
        spectra = torch.rand(BINS, config.components)
        if config.dictionary_trained:
            self.spectra = nn.Parameter(spectra)
        else:
            self.register_buffer("spectra", spectra)

    @property
    def dictionary(self) -> Tensor:
        """W (F, K): not negative, each column of length 1 over frequency.

        Normalised here, so that training cannot escape the L1 term on H by a larger W.
        """
        return functional.normalize(self.spectra.abs(), dim=0, eps=TINY)

    @torch.no_grad()
    def set_dictionary(self, spectra: Tensor) -> None:
        """Put a dictionary (F, K) in the place of W; ValueError for one of another shape."""
        if spectra.shape != self.spectra.shape or bool((spectra < 0).any()):
            raise ValueError(
                f"a dictionary for this proxy is not negative and {tuple(self.spectra.shape)}, "
                f"not {tuple(spectra.shape)}"
            )
        self.spectra.copy_(spectra)

    @cached_property
    def reach(self) -> int | None:
        """Frames to each side of a frame that can change its logits; None: all of them."""
        if self.config.norm == "global" or self.encoder is not None:
            return None
        if self.config.features != "model":
            return self.config.spread + self.psi.reach + self._spectrum.reach
        read = self.config.model_reach
        if read is None:
            return None
        return self.config.spread + self.psi.reach + max(read, self._spectrum.reach)

    def spectrum(self, waveform: Tensor) -> Tensor:
        """Waveforms (B, samples) → X (B, F, T), what W H is to equal."""
        return self._spectrum(waveform)

    def activations(self, waveform: Tensor) -> Tensor:
        """Waveforms (B, samples) → H (B, K, T), not negative."""
        return self.analyse(waveform)[1]

    def analyse(self, waveform: Tensor, transform: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Waveforms (B, samples) → X (B, F, T) and H (B, K, T).

        transform: their complex spectra (B, F, T), where they are known.
        """
        return self._analyse(waveform, transform)[:2]

    def frozen(self, waveform: Tensor) -> Tensor | None:
        """What a network that is not trained here gives for Ψ: (B, channels, T); None without."""
        if self.encoder is not None:
            hidden: Tensor = self.encoder(waveform, frame_count(waveform.shape[-1]))
            return hidden.transpose(1, 2)
        return self._layer(waveform) if self.config.features == "model" else None

    def _analyse(
        self, waveform: Tensor, transform: Tensor | None = None, frozen: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """X, H and the logits of the gates (B, G, T)."""
        transform = stft(waveform) if transform is None else transform
        x = self._spectrum.compress(transform, waveform)
        count = self.config.components
        found = self.psi(self._features(waveform, x, frozen))
        gates = found[:, found.shape[1] - len(self.config.gated) :]
        h = ACTIVATIONS[self.config.activation](found[:, :count])
        if self.config.gates:
            h = h * self._opened(gates) + self._rest.to(h)
        # Nothing is in a frame of digital silence, whatever the network makes of it.
        h = h * (x.amax(1, keepdim=True) > 0)
        h = self._refine(h, x)
        if self.config.gains:
            h = h * 2 * found[:, count : 2 * count].sigmoid()
        return x, h, gates

    def _opened(self, gates: Tensor) -> Tensor:
        """How far each component is let through, 0 to 1 with both ends: (B, G, T) → (B, K, T)."""
        share = ((1 + 2 * SLACK) * gates.sigmoid() - SLACK).clamp(0, 1)
        names = self.config.component_labels or []
        rows = [[float(name == kind) for name in names] for kind in self.config.gated]
        owner = torch.tensor(rows).to(share)
        return (1 - owner.sum(0))[:, None] + owner.T @ share

    @cached_property
    def _rest(self) -> Tensor:
        """What components of no label have at least (K, 1): where all gates are closed, updates
        that divide by W'W h would have gradients without end."""
        gated = self.config.gated
        return torch.tensor(
            [[LEAST * (n not in gated)] for n in self.config.component_labels or ()]
        )

    def head(self, activations: Tensor) -> Tensor:
        """H (B, K, T) → logits (B, T, L) = θ · h(t) + b, of h as it is spread."""
        logits: Tensor = self.theta(self.spread(activations).transpose(1, 2))
        return logits

    def forward(self, waveform: Tensor, frozen: Tensor | None = None) -> ProxyOutput:
        """Waveforms (B, samples) → logits, H and X. frozen: what that gives, where it is known."""
        x, h, gates = self._analyse(waveform, frozen=frozen)
        return ProxyOutput(logits=self.head(h), activations=h, spectrum=x, gates=gates)

    def train(self, mode: bool = True) -> NmfProxy:
        """As torch's; the encoder is frozen and stays in evaluation mode."""
        super().train(mode)
        if self.encoder is not None:
            self.encoder.eval()
        return self

    @cached_property
    def _layer(self) -> LayerFeatures:
        """Of the other model, which is loaded when it is first read."""
        config = self.config
        return LayerFeatures.load(config.model or "", config.layer or "", config.model_sha256)

    @cached_property
    def _spectrum(self) -> Spectrum:
        return self.config.make_spectrum()

    def _features(self, waveform: Tensor, x: Tensor, frozen: Tensor | None) -> Tensor:
        """What Ψ reads: (B, channels, T)."""
        frozen = self.frozen(waveform) if frozen is None else frozen
        if self.encoder is not None and frozen is not None:
            return frozen
        read = [x]
        if self.config.features == "mel":
            # X is a logarithm; the bands add up energies.
            read = [(_mel_filters(self.config.mels).to(x) @ x.expm1()).log1p()]
        if frozen is not None or self.config.loudness:
            normal = functional.layer_norm(read[0].mT, (read[0].shape[1],), eps=1e-3)
            read = [normal.mT, *([] if frozen is None else [frozen])]
        if self.config.loudness:  # in 10 dB, from −40 dBFS on
            read.append(self._spectrum.level(waveform).log10()[:, None] + 4)
        return torch.cat(read, dim=1)

    def _refine(self, h: Tensor, x: Tensor) -> Tensor:
        """Multiplicative updates (Lee, Seung 2001) of H for ‖X − W H‖²."""
        if self.config.refinements == 0:
            return h
        # Not in mixed precision: what is left of X after many components is a small difference.
        with torch.autocast(x.device.type, enabled=False):
            w, x, h = self.dictionary, x.float(), h.float()
            correlation, gram = w.T @ x, w.T @ w
            for _ in range(self.config.refinements):
                h = h * correlation / (gram @ h + TINY)
        return h


def switched_off(activations: Tensor, off: list[int]) -> Tensor:
    """H (B, K, T) with components at zero."""
    if not off:
        return activations
    keep = torch.ones(activations.shape[1], 1).to(activations)
    keep[off] = 0
    return activations * keep


@lru_cache
def _mel_filters(mels: int) -> Tensor:
    """Triangular filters (mels, F), each of area 1 over the bins it covers.

    Equally far apart in mel, 2595 log10(1 + f / 700), from 0 to half the sample rate.
    """
    top = 2595 * math.log10(1 + SAMPLE_RATE / 2 / 700)
    hertz = 700 * (10 ** (torch.linspace(0, top, mels + 2, dtype=torch.float64) / 2595) - 1)
    bins = torch.tensor(FREQUENCIES, dtype=torch.float64)
    low, middle, high = hertz[:-2, None], hertz[1:-1, None], hertz[2:, None]
    weights = torch.minimum((bins - low) / (middle - low), (high - bins) / (high - middle))
    weights = weights.clamp_min(0).float()
    return weights / weights.sum(1, keepdim=True).clamp_min(TINY)
