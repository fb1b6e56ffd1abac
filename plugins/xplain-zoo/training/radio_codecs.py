"""Scenes as they arrive: through MP3, Opus or a telephone, which bring their own artefacts."""

from __future__ import annotations

import io
import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt
import soundfile
import soxr
import torch

from training.radio_data import RATE, Scene

Samples = npt.NDArray[np.float32]


def coded(scenes: Sequence[Scene], share: float, seed: int) -> list[Scene]:
    """A share of the scenes with mixtures that went through a codec; their parts stay."""
    draws = [random.Random(f"{seed}/{number}") for number in range(len(scenes))]
    with ThreadPoolExecutor() as pool:  # libsndfile works without the interpreter's lock
        return list(pool.map(partial(_coded, share), scenes, draws))


def _coded(share: float, scene: Scene, draw: random.Random) -> Scene:
    if draw.random() >= share:
        return scene
    waveform = scene.waveform.numpy().astype(np.float32) / np.float32(2**15)
    kind = draw.choice(("mp3", "opus", "telephone"))
    compression = draw.uniform(0.6, 1.0)  # from middling to the worst that there is
    if kind == "mp3":
        heard = _through(waveform, RATE, "MP3", "MPEG_LAYER_III", compression)
    elif kind == "opus":
        heard = _through(waveform, RATE, "OGG", "OPUS", compression)
    else:
        narrow = soxr.resample(waveform, RATE, 8000)
        heard = soxr.resample(_through(narrow, 8000, "WAV", "ULAW", None), 8000, RATE)
    heard = _aligned(heard, waveform)
    pcm = np.clip(np.round(heard * 2**15), -(2**15), 2**15 - 1).astype(np.int16)
    return replace(scene, waveform=torch.from_numpy(pcm))


def _through(
    waveform: Samples, rate: int, container: str, subtype: str, compression: float | None
) -> Samples:
    held = io.BytesIO()
    soundfile.write(
        held, waveform, rate, format=container, subtype=subtype, compression_level=compression
    )
    held.seek(0)
    decoded, _ = soundfile.read(held, dtype="float32")
    return np.asarray(decoded)


def _aligned(heard: Samples, original: Samples) -> Samples:
    """Without the codec's delay, as long as the original."""
    size = 1 << (len(original) + len(heard)).bit_length()
    product = np.fft.rfft(heard, size) * np.conj(np.fft.rfft(original, size))
    delay = int(np.fft.irfft(product, size)[:4096].argmax())
    return np.pad(heard[delay:], (0, len(original)))[: len(original)]
