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

from torch import nn

import xplain
from xplain.errors import ModelError, nearest

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


MODELS = {"pyannet": pyannet, "ina": ina, "ina-80": ina_80, "ina-160": ina_160, "silero": silero}


def load(name: str) -> xplain.Model:
    """``third-party:NAME``; ModelError for one that is not here."""
    if name not in MODELS:
        raise ModelError(f"third-party:{name}: there is no such model; {nearest(name, MODELS)}")
    return MODELS[name]()
