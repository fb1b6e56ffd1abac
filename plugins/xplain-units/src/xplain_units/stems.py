"""Stems: a clip as the sum of its sources, whose gains are the latents."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import numpy.typing as npt
import scipy.ndimage
import scipy.signal
import torch
from torch import Tensor, nn

from xplain import Clip, Context, Grouping, Groups, Latents, PluginError, Synthesizer

Numbers = npt.NDArray[np.float64]
Separator = Callable[[Tensor, int], Mapping[str, Tensor]]
"""Waveform (samples,) and its rate → stems (samples,) by name; what they leave is the rest."""

WINDOW = 0.064
"""Seconds of the spectra that are separated."""
FADE = 0.01
"""Seconds over which one gain goes over into the next."""


class Stems(Synthesizer):
    """Gains of stems: 1 is the stem as it is, 0 leaves it out.

    D stems; N = 1, or one gain for every ``seconds``. The stems add up to the clip: what a
    separator leaves is a stem of its own, ``rest``. They are separated anew for each clip and
    kept as context, so that a gain of 1 everywhere gives the clip back.
    """

    values_are_gains = True
    decode_differentiable = True

    def __init__(
        self,
        sample_rate: int,
        separator: str | Separator = "harmonic-percussive",
        components: int = 3,
        seconds: float | None = None,
    ) -> None:
        """Separate by ``separator``.

        separator: "harmonic-percussive" (median filters, Fitzgerald 2010); "nmf", of
        ``components`` (Lee and Seung 1999; needs scikit-learn); or a function of a waveform
        (samples,) and its rate → stems by name. seconds: of one gain; None for the whole clip.
        """
        if not callable(separator) and separator not in ("harmonic-percussive", "nmf"):
            raise ValueError(
                f"a separator is harmonic-percussive, nmf or a function: {separator!r}"
            )
        if components < 1 or (seconds is not None and seconds <= 0):
            raise ValueError("components are at least 1, and seconds over 0")
        self.sample_rate = sample_rate
        self.separator = separator
        self.components = components
        self.seconds = seconds

    def separate(self, waveform: Tensor) -> dict[str, Tensor]:
        """The stems (samples,) of a waveform (samples,) by name, which add up to it."""
        method = self.separator
        if not callable(method):
            method = partial(nmf, components=self.components) if method == "nmf" else hpss
        stems = {
            name: stem.to(waveform) for name, stem in method(waveform, self.sample_rate).items()
        }
        wrong = [name for name, stem in stems.items() if stem.shape != waveform.shape]
        if wrong or not stems:
            raise PluginError(f"the separator gave no stems of the clip's length ({wrong})")
        left = waveform - torch.stack(list(stems.values())).sum(dim=0)
        return stems if float(left.abs().max()) < 1e-6 else {**stems, "rest": left}

    def encode(self, waveform: Tensor) -> Latents:
        """Waveforms (B, samples) → gains of 1, (B, D, N), with the stems as context."""
        found = [list(self.separate(clip.detach()).values()) for clip in waveform]
        count = max(map(len, found))
        stems = waveform.new_zeros(len(waveform), count, waveform.shape[1])
        for row, parts in zip(stems, found, strict=True):
            row[: len(parts)] = torch.stack(parts)
        gains = 1
        if self.seconds is not None:
            gains = max(1, round(waveform.shape[1] / (self.seconds * self.sample_rate)))
        return Latents(waveform.new_ones(len(waveform), count, gains), {"stems": stems})

    def decode(self, values: Tensor, context: Context) -> Tensor:
        """Gains (n, D, N) → (n, samples)."""
        stems = context["stems"].to(values)
        gains = nn.functional.interpolate(values, stems.shape[-1], mode="nearest")
        fade = 2 * round(FADE * self.sample_rate / 2) + 1
        if values.shape[2] > 1:
            gains = nn.functional.pad(gains, (fade // 2, fade // 2), mode="replicate")
            gains = nn.functional.avg_pool1d(gains, fade, stride=1)
        return (gains * stems).sum(dim=1)


class StemNames(Grouping):
    """One group for each stem of the synthesizer ``stems``, by its name."""

    def groups(self, clip: Clip) -> Groups:
        """Group the gains of each stem."""
        if not isinstance(clip.synthesizer, Stems):
            raise PluginError("stems are groups of the synthesizer stems; choose it")
        names = tuple(clip.synthesizer.separate(clip.waveform))
        numbers = torch.arange(clip.shape[0])[:, None].expand(clip.shape)
        return Groups(numbers.contiguous(), names)


def hpss(waveform: Tensor, rate: int, *, kernel: int = 17) -> dict[str, Tensor]:
    """What is steady, and what is sudden, by median filters over the spectrogram."""
    spectrum = _spectrum(waveform, rate)
    power = np.abs(spectrum) ** 2
    steady = scipy.ndimage.median_filter(power, size=(1, kernel))
    sudden = scipy.ndimage.median_filter(power, size=(kernel, 1))
    total = steady + sudden
    share = np.divide(steady, total, out=np.full_like(total, 0.5), where=total > 0)
    harmonic = _waveform(share * spectrum, waveform, rate)
    return {"harmonic": harmonic, "percussive": waveform - harmonic}


def nmf(waveform: Tensor, rate: int, *, components: int) -> dict[str, Tensor]:
    """Sources of a non-negative factorisation of the spectrogram, by Wiener filters."""
    try:
        from sklearn.decomposition import NMF
        from sklearn.exceptions import ConvergenceWarning
    except ImportError as error:
        raise PluginError(
            "the separator nmf needs scikit-learn; run pip install 'xplain-units[stems]'"
        ) from error
    spectrum = _spectrum(waveform, rate)
    sizes = np.abs(spectrum)
    components = min(components, *sizes.shape)
    if not sizes.any():
        return {"source 1": waveform}
    model = NMF(components, init="nndsvda", solver="mu", beta_loss="kullback-leibler", max_iter=200)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # near enough, after so many steps
        weights = model.fit_transform(sizes)
    parts = np.einsum("fk,kt->kft", weights, model.components_)
    shares = parts / np.maximum(parts.sum(axis=0), 1e-12)
    loudest = np.argsort(-parts.sum(axis=(1, 2)))
    return {
        f"source {place}": _waveform(shares[k] * spectrum, waveform, rate)
        for place, k in enumerate(loudest, 1)
    }


def _transform(rate: int) -> scipy.signal.ShortTimeFFT:
    size = max(16, 4 * (round(WINDOW * rate) // 4))
    return scipy.signal.ShortTimeFFT(scipy.signal.windows.hann(size, sym=False), size // 4, rate)


def _spectrum(waveform: Tensor, rate: int) -> npt.NDArray[np.complex128]:
    samples = waveform.detach().cpu().double().numpy()
    transform = _transform(rate)
    if len(samples) < transform.m_num:
        raise PluginError(
            f"a clip of {len(samples)} samples is too short to be separated into stems; it takes "
            f"{transform.m_num}"
        )
    found: npt.NDArray[np.complex128] = transform.stft(samples)
    return found


def _waveform(spectrum: npt.NDArray[np.complex128], like: Tensor, rate: int) -> Tensor:
    samples = _transform(rate).istft(spectrum, k1=len(like))
    return torch.from_numpy(np.ascontiguousarray(samples.real)).to(like)
