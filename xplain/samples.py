"""Audio that is in memory, as callers have it: samples of any kind of array, and their rate."""

from __future__ import annotations

import math
import warnings

import numpy as np
import torch
from torch import Tensor

from xplain.errors import AudioError, XplainWarning

KILOHERTZ = (8, 11.025, 12, 16, 22.05, 24, 32, 44.1, 48, 88.2, 96, 176.4, 192)
"""Usual sample rates in kHz, which somebody may give for Hz."""

FASTEST = 10**8
"""Hz; at more, a second of audio fills the memory."""

LOUDEST = 16.0
"""Samples beyond this are hardly audio of about -1 to 1, however it was mixed."""


def hertz(rate: object, where: str) -> int:
    """Read a sample rate in Hz: any whole number over 0; AudioError for what is none."""
    number = rate.item() if isinstance(rate, np.generic | np.ndarray | Tensor) else rate
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise AudioError(f"{where}: the sample rate is a number in Hz, such as 16000, not {rate!r}")
    if number in KILOHERTZ:
        raise AudioError(f"{where}: {number} looks like kHz; give {round(number * 1000)} (Hz)")
    if not math.isfinite(number) or not 0 < number <= FASTEST or number != int(number):
        raise AudioError(
            f"{where}: the sample rate is a whole number in Hz, 1 to {FASTEST:,}, not {number}"
        )
    return int(number)


def as_waveform(samples: object, where: str) -> Tensor:
    """Take samples (samples,) of about -1 to 1 as a float32 tensor; AudioError for others.

    samples: a tensor, or what NumPy can read, of any floating type and memory layout.
    """
    if isinstance(samples, Tensor):
        tensor = samples.detach().cpu()
        shown = str(tensor.dtype)
    else:
        array = np.asarray(samples)
        shown = f"NumPy {array.dtype}"
        if array.dtype.kind == "f":
            # Also reversed, big-endian, read-only and extended ones, which torch does not take.
            tensor = torch.from_numpy(array.astype(np.float32))
        elif array.dtype.kind in "iu":
            tensor = torch.from_numpy(array.astype(np.int64))
        else:
            raise AudioError(
                f"{where}: a waveform is an array of floats (samples,), not {shown} of shape "
                f"{array.shape}; give it as NumPy float32 or as a tensor"
            )
    shape = tuple(tensor.shape)
    if tensor.ndim == 1 and not (tensor.is_floating_point() or tensor.is_complex()):
        raise AudioError(
            f"{where}: a waveform is a float tensor of values about -1 to 1, not {shown}; divide "
            "whole numbers by the largest that their depth holds: 16-bit samples by 32768"
        )
    if tensor.ndim != 1 or not tensor.is_floating_point():
        advice = "give a batch as a list of clips"
        if tensor.ndim == 2 and min(shape) <= 8:
            axis = 0 if shape[0] <= shape[1] else 1
            advice += f", or mix channels down: x.mean({axis})"
        raise AudioError(
            f"{where}: a waveform is a float tensor (samples,) of values about -1 to 1, "
            f"not {shown} of shape {shape}; {advice}"
        )
    return tensor.to(torch.float32)


def warn_of_scale(waveform: Tensor, where: object) -> None:
    """Warn of samples (samples,) far beyond ±1, such as whole numbers kept as floats."""
    peak = float(waveform.abs().max()) if len(waveform) else 0.0
    if peak > LOUDEST:
        whole = bool((waveform == waveform.round()).all())
        warnings.warn(
            f"{where}: samples reach {peak:.6g}, and audio is about -1 to 1"
            + (" (16-bit whole numbers kept as floats?)" if whole else "")
            + "; divide them by 32768, or by what their scale is, unless the model was trained "
            "on such values",
            XplainWarning,
            stacklevel=3,
        )
