"""Black boxes that nobody here trained, as teachers: ``benchmarks/proxies/teachers.py:pyannet``.

Their frames and labels differ: PyanNet says speech and overlap every 16.9 ms, INA speech, music and
noise, which exclude each other, every 20 ms, silero speech every 32 ms. With this folder installed
(``pip install -e benchmarks``) they are ``third-party:pyannet`` too, so that a proxy may read
a layer of theirs.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

import xplain
from xplain.errors import ModelError, nearest
from xplain_nmf.frames import to_label_frames
from xplain_nmf.spectrum import frame_count

sys.path.insert(0, str(Path(__file__).parents[1]))

from third_party import pyannet as of_pyannet
from third_party import silero as of_silero
from third_party.ina import SpeechMusicNoise

SHARED = Path(os.environ.get("XPLAIN_SHARED", Path(__file__).parents[2] / ".." / "shared"))
RATE = 16000


def _wrapped(module: nn.Module, name: str, labels: tuple[str, ...], step: float) -> xplain.Model:
    independent = not name.startswith("ina")
    return xplain.wrap(
        module, sample_rate=RATE, labels=labels, multilabel=independent, frame_step=step, name=name
    )


def pyannet() -> xplain.Model:
    """Speech and overlap."""
    network = of_pyannet.Speech(of_pyannet.PyanNet.load(SHARED / "models" / "third-party"))
    return _wrapped(network, "pyannet", of_pyannet.LABELS, of_pyannet.FRAME_STEP)


def ina(every: int = 2) -> xplain.Model:
    """Speech, music and noise, which exclude each other. every: of its frames of 10 ms."""
    network = SpeechMusicNoise.load(SHARED / "models" / "third-party", every)
    name = "ina" if every == 2 else f"ina every {every}0 ms"
    return _wrapped(network, name, ("speech", "music", "noise"), every / 100)


def ina_80() -> xplain.Model:
    """INA asked every 80 ms about its 0.7 s, in a quarter of the time."""
    return ina(8)


def ina_160() -> xplain.Model:
    """INA asked every 160 ms."""
    return ina(16)


def silero() -> xplain.Model:
    """Speech."""
    file = SHARED / "models" / "silero" / "silero_vad_16k.onnx"
    network = of_silero.Silero.load(file)
    return _wrapped(network, "silero", ("speech",), of_silero.FRAME_STEP)


class Both(nn.Module):
    """PyanNet and INA as one model of four labels, whose layer ``heard`` has a layer of each.

    Waveforms (B, samples) at 16 kHz → logits (B, T, 4) every 20 ms: speech, overlap, music, noise.
    """

    def __init__(self) -> None:
        """Both, INA asked every 80 ms."""
        super().__init__()
        self.speech, self.sounds = pyannet().module, ina_80().module
        self.heard = nn.Identity()
        self._layers: list[tuple[nn.Module, float]] = [
            (self.speech.get_submodule("pyannet.linear.1"), of_pyannet.FRAME_STEP),
            (self.sounds.get_submodule("embedding"), 0.08),
        ]

    def forward(self, waveform: Tensor) -> Tensor:
        """Logits; what excludes each other in INA as it has them."""
        frames, found = frame_count(waveform.shape[-1]), list[Tensor]()

        def kept(_module: nn.Module, _inputs: object, output: Tensor) -> None:
            step = self._layers[len(found)][1] * RATE
            at_frames = to_label_frames(output, step / 2, step, frames)
            found.append(nn.functional.layer_norm(at_frames, at_frames.shape[-1:], eps=1e-3))

        handles = [layer.register_forward_hook(kept) for layer, _ in self._layers]
        try:
            said = self.speech(waveform), self.sounds(waveform)[..., 1:]
        finally:
            for handle in handles:
                handle.remove()
        self.heard(torch.cat(found, dim=-1))
        steps = [step * RATE for _, step in self._layers]
        logits = [to_label_frames(s, t / 2, t, frames) for s, t in zip(said, steps, strict=True)]
        return torch.cat(logits, dim=-1)


def both() -> xplain.Model:
    """PyanNet and INA."""
    return _wrapped(Both(), "pyannet and ina", ("speech", "overlap", "music", "noise"), 0.02)


MODELS = {
    "pyannet": pyannet,
    "ina": ina,
    "ina-80": ina_80,
    "ina-160": ina_160,
    "silero": silero,
    "pyannet-and-ina": both,
}


def load(name: str) -> xplain.Model:
    """``third-party:NAME``; ModelError for one that is not here."""
    if name not in MODELS:
        raise ModelError(f"third-party:{name}: there is no such model; {nearest(name, MODELS)}")
    return MODELS[name]()
