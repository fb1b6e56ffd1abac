"""EnCodec: convolutions, a recurrent layer and residual vector quantisation."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import EncodecModel
from transformers.models.encodec.modeling_encodec import EncodecLSTM

from xplain import Context
from xplain_codecs.codecs.neural import NeuralCodec, straight_through
from xplain_codecs.codecs.pieces import in_pieces, reach

SILENCE = 1e-8
"""Added to the level before it is divided out, as EnCodec does."""


class Encodec(NeuralCodec):
    """EnCodec. Défossez, Copet, Synnaeve, Adi (2022), arXiv 2210.13438.

    The latents are the decoder's input: with codebooks the sum of their entries, else the
    encoder's output. At 24 kHz they are 128 × 75 a second, and 2, 4, 8, 16 and 32 codebooks
    are 1.5, 3, 6, 12 and 24 kbit/s.

    Long clips: convolutions are cut, with the frames in reach on both sides; the recurrent
    layer has no bounded reach and runs over the whole clip, at the frame rate. So nothing
    depends on ``chunk``. A model with windows of its own (48 kHz: one second) is computed
    window by window, each with its own level where the model divides that out, and N counts
    the frames of all windows. One with two channels is given the same in both, and their mean
    is taken.
    """

    kind = EncodecModel
    example = "facebook/encodec_24khz"

    @property
    def hop(self) -> int:
        """Samples of a frame."""
        return int(self.model.config.hop_length)

    def frames(self, samples: int) -> int:
        """N, of all windows."""
        return sum(self._window_frames(samples))

    def most_codebooks(self) -> int:
        """Codebooks of the greatest bandwidth."""
        return len(self.model.quantizer.layers)

    def analyse(self, waveform: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Waveforms (B, samples) → (B, D, N), with the level (B, windows) of each window."""
        encoded, levels = [], []
        for window in self._windows(waveform.shape[-1]):
            sound = waveform[:, window].float()
            if self.model.config.normalize:
                level = _level(sound)
                levels.append(level)
                sound = sound / level
            channels = sound[:, None].expand(-1, self.model.config.audio_channels, -1)
            encoded.append(self._encode(channels.to(self.computed_in)))
        extra = {"level": torch.cat(levels, dim=1)} if levels else {}
        return torch.cat(encoded, dim=-1), extra

    def through_codebooks(self, encoded: Tensor) -> Tensor:
        """(B, D, N), quantised where that is asked for."""
        if not self.quantised:
            return encoded
        residual, found = encoded.detach(), torch.zeros_like(encoded)
        for layer in self.model.quantizer.layers[: self.codebooks]:
            entry = layer.decode(layer.encode(residual))
            residual, found = residual - entry, found + entry
        return straight_through(found, encoded)

    def synthesise(self, values: Tensor, context: Context, samples: int) -> Tensor:
        """(n, D, N) → waveforms (n, samples)."""
        windows = self._windows(samples)
        sounds = []
        for number, part in enumerate(torch.split(values, self._window_frames(samples), dim=-1)):
            # Levels and fades are too fine for half precision.
            sound = self._decode(part).float().mean(dim=1)
            if "level" in context:
                sound = sound * context["level"][:, number : number + 1].to(sound)
            sounds.append(sound[:, : windows[number].stop - windows[number].start])
        if len(sounds) == 1:
            return sounds[0]
        return _overlapped(sounds, windows)

    def _windows(self, samples: int) -> list[slice]:
        """The samples of each window, one after another; most models have a single one."""
        size = self.model.config.chunk_length
        if size is None:
            return [slice(0, samples)]
        stride = self.model.config.chunk_stride or size
        return [slice(s, min(s + size, samples)) for s in range(0, samples, stride)]

    def _window_frames(self, samples: int) -> list[int]:
        return [-(-(w.stop - w.start) // self.hop) for w in self._windows(samples)]

    def _encode(self, sound: Tensor) -> Tensor:
        """(B, channels, samples) → (B, D, N)."""
        layers = self.model.encoder.layers
        recurrent = _recurrent(layers)
        return _run(layers[recurrent:], self._cut(layers[:recurrent], sound, down=self.hop))

    def _decode(self, values: Tensor) -> Tensor:
        """(n, D, N) → (n, channels, samples of N whole frames)."""
        layers = self.model.decoder.layers
        recurrent = _recurrent(layers) + 1
        return self._cut(layers[recurrent:], _run(layers[:recurrent], values), up=self.hop)

    def _cut(self, layers: nn.ModuleList, signal: Tensor, *, down: int = 1, up: int = 1) -> Tensor:
        context = -(-reach(layers, up) // self.hop)
        config = self.model.config
        # Windows of its own bound the memory; layers that normalise over time need all of it.
        whole = config.chunk_length is not None or config.norm_type == "time_group_norm"
        return in_pieces(
            lambda heard: _run(layers, heard),
            signal,
            None if whole else self.piece(signal, self.hop),
            context,
            0 if config.use_causal_conv else context,
            down=down,
            up=up,
        )


def _recurrent(layers: nn.ModuleList) -> int:
    return next(i for i, layer in enumerate(layers) if isinstance(layer, EncodecLSTM))


def _run(layers: nn.ModuleList, signal: Tensor) -> Tensor:
    for layer in layers:
        signal = layer(signal)
    return signal


def _level(sound: Tensor) -> Tensor:
    """The root of the mean square of (B, samples): (B, 1), above zero."""
    power = sound.square().mean(dim=1, keepdim=True)
    # The root has no finite slope at 0, where a gradient would become NaN.
    heard = power > 0
    return torch.where(heard, power, 1.0).sqrt() * heard + SILENCE


def _overlapped(sounds: list[Tensor], windows: list[slice]) -> Tensor:
    """Waveforms of windows (n, samples of it) joined, each fading in and out linearly."""
    size = sounds[0].shape[-1]
    ramp = torch.linspace(0, 1, size + 2, device=sounds[0].device, dtype=sounds[0].dtype)[1:-1]
    weight = 0.5 - (ramp - 0.5).abs()
    total = sounds[0].new_zeros(len(sounds[0]), windows[-1].stop)
    weights = sounds[0].new_zeros(windows[-1].stop)
    for sound, window in zip(sounds, windows, strict=True):
        faded = weight[: sound.shape[-1]]
        total[:, window] += faded * sound
        weights[window] += faded
    return total / weights
