"""Lyra V2: the SoundStream codec for speech, as published for LiteRT."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from xplain import Context, Latents, PluginError, Synthesizer
from xplain.fingerprint import of_files
from xplain_codecs.codecs.checks import check_latents, check_waveform, length_of

HOP = 320
"""Samples of a frame, 20 ms."""
CHANNELS = 64
STAGES = 46
"""Look-ups of the quantiser, 4 bits each."""
FILES = ("soundstream_encoder.tflite", "quantizer.tflite", "lyragan.tflite")
SOURCE = "folder lyra/model_coeffs of the repository google/lyra"

Array = npt.NDArray[np.float32]


class Lyra(Synthesizer):
    """Lyra V2 at 16 kHz, 64 latents × 50 a second. Zeghidour et al. (2021), arXiv 2107.03312.

    Encoder and decoder are recurrent, and hear no sample ahead: they run frame by frame from
    silence through each clip, so that memory does not depend on its length, and clips of a
    batch do one after another. The last frame is filled up with zeros. Computed on the CPU,
    outside torch, so that no gradient passes.
    """

    sample_rate = 16000
    lossy = True

    def __init__(
        self, folder: str | None = None, quantised: bool = True, codebooks: int | None = None
    ) -> None:
        """Read the codec.

        folder: with soundstream_encoder.tflite, quantizer.tflite and lyragan.tflite.
        quantised: whether a frame is the sum of its nearest codebook entries, 4 bits each.
        codebooks: how many, the coarse ones first; 16, 30 and 46 are 3.2, 6 and 9.2 kbit/s;
        default: all.

        Raises PluginError for a folder without the codec, and where LiteRT is not installed.
        """
        if codebooks is not None and not 1 <= codebooks <= STAGES:
            raise ValueError(f"codebooks is 1 to {STAGES}, not {codebooks!r}")
        if not folder:
            raise PluginError(
                "the codec 'lyra' has weights of its own to read: give folder= the one with "
                f"{', '.join(FILES)}, which is {SOURCE}"
            )
        self.folder = folder
        self.quantised = quantised
        self.codebooks = codebooks
        networks = {name: _read(folder, name) for name in FILES}
        self._sha256 = of_files(networks)
        encoder, quantizer, decoder = networks.values()
        self._encoder = _Stream(encoder)
        self._decoder = _Stream(decoder)
        self._quantizer = _Quantizer(quantizer, codebooks or STAGES)

    def fingerprint(self) -> str:
        """SHA-256 of the three networks."""
        return self._sha256

    def encode(self, waveform: Tensor) -> Latents:
        """Waveforms (B, samples) → latents (B, 64, frames)."""
        check_waveform("lyra", waveform)
        samples = waveform.shape[-1]
        frames = _frames(samples)
        clips = np.zeros((len(waveform), frames * HOP), dtype=np.float32)
        clips[:, :samples] = waveform.detach().cpu().numpy()
        encoded = [self._encoder(clip.reshape(frames, 1, HOP)) for clip in clips]
        found = np.stack(encoded)
        if self.quantised:
            # All clips at once: it remembers nothing, and is slow to start.
            found = self._quantizer(found.reshape(-1, CHANNELS)).reshape(found.shape)
        values = torch.from_numpy(found.transpose(0, 2, 1).copy())
        length = torch.full((len(waveform),), samples, device=waveform.device)
        return Latents(values.to(waveform.device), {"length": length})

    def decode(self, values: Tensor, context: Context) -> Tensor:
        """Variants (n, 64, frames) → (n, samples)."""
        samples = length_of("lyra", context)
        check_latents("lyra", values, context, CHANNELS, _frames(samples))
        latents = values.detach().float().cpu().numpy().transpose(0, 2, 1)
        sounds = [self._decoder(clip[:, None, None]).reshape(-1)[:samples] for clip in latents]
        return torch.from_numpy(np.stack(sounds)).to(values.device)


class _Stream:
    """A network that is given frame after frame, and remembers."""

    def __init__(self, network: bytes) -> None:
        self._network = network

    def __call__(self, frames: Array) -> Array:
        """What it gives for frames (N, *shape of its input), from the start: (N, values)."""
        # A new one for each clip: reset_all_variables() leaves the state of these networks as
        # it is, and a clip would begin with the end of the one before. It costs 2 ms.
        interpreter = _interpreter(self._network)
        source = interpreter.get_input_details()[0]["index"]
        sink = interpreter.get_output_details()[0]["index"]
        outputs = []
        for frame in frames:
            interpreter.set_tensor(source, np.ascontiguousarray(frame))
            interpreter.invoke()
            outputs.append(interpreter.get_tensor(sink).reshape(-1))
        return np.stack(outputs)


class _Quantizer:
    """Each frame replaced by the sum of its nearest codebook entries."""

    def __init__(self, network: bytes, stages: int) -> None:
        self._network = network
        self._stages = np.array(stages, dtype=np.int32)

    def __call__(self, frames: Array) -> Array:
        """Frames (N, 64), looked up one by one."""
        interpreter = _interpreter(self._network)
        look_up = interpreter.get_signature_runner("encode")
        entries_of = interpreter.get_signature_runner("decode")
        found: list[Array] = []
        for frame in frames:
            asked = frame.reshape(1, 1, CHANNELS)
            indices = look_up(input_frames=asked, num_quantizers=self._stages)["output_0"]
            found.append(entries_of(encoding_indices=indices)["output_0"].reshape(CHANNELS))
        return np.stack(found)


def _frames(samples: int) -> int:
    return -(-samples // HOP)


def _read(folder: str, name: str) -> bytes:
    """The network in a file, which LiteRT takes."""
    path = Path(folder).expanduser() / name
    try:
        network = path.read_bytes()
    except OSError as error:
        raise PluginError(f"{path} cannot be read ({error.strerror}); give the {SOURCE}") from error
    try:
        _interpreter(network)
    except (ValueError, RuntimeError) as error:
        first = str(error).strip().partition("\n")[0]
        raise PluginError(f"{path} is no network ({first}); get it again: {SOURCE}") from error
    return network


def _interpreter(network: bytes) -> Any:
    try:
        litert: Any = importlib.import_module("ai_edge_litert.interpreter")
    except ImportError as error:
        raise PluginError(
            "the codec 'lyra' needs LiteRT, which is not installed; "
            "pip install 'xplain-codecs[lyra]'"
        ) from error
    # One thread, as for anything that is called once for each 20 ms.
    interpreter = litert.Interpreter(model_content=network, num_threads=1)
    interpreter.allocate_tensors()
    return interpreter
