"""Mimi: convolutions, transformers and split residual vector quantisation."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from transformers import MimiModel

from xplain import Context
from xplain_codecs.codecs.neural import NeuralCodec, straight_through
from xplain_codecs.codecs.pieces import in_pieces, reach


class Mimi(NeuralCodec):
    """Mimi. Défossez, Mazaré, Orsini, et al. (2024), "Moshi", arXiv 2410.00037.

    Of its stages (convolutions, a transformer at 25 Hz, 12.5 Hz between encoder and decoder,
    and the way back) the latents are the slowest, where the quantiser is: the decoder half's
    input, 512 × 12.5 a second. Behind them everything is computed from them, before them
    nothing is lost but what the quantiser loses. It has two parts, the first codebook for what
    is said and the others for how it sounds, each with projections into and out of the space
    in which it looks up; continuous latents go through these without the look-ups, as the
    decoder was given them in half of its training.

    Long clips: pieces of the convolutions are computed with the frames in reach. Each layer of
    the transformers listens back by its window, eight layers of ten seconds each by 80 seconds,
    and their pieces are at least as long. So nothing depends on ``chunk``.
    """

    kind = MimiModel
    example = "kyutai/mimi"

    @property
    def hop(self) -> int:
        """Samples of a frame."""
        config = self.model.config
        # Its latent_stride, which not every transformers 5 has.
        stride = int(config.encodec_frame_rate / config.frame_rate)
        return int(math.prod(config.upsampling_ratios) * stride)

    def frames(self, samples: int) -> int:
        """N, the last frame filled up."""
        return -(-samples // self.hop)

    def most_codebooks(self) -> int:
        """Those of both parts."""
        return sum(len(part.layers) for part in self._parts())

    def analyse(self, waveform: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Waveforms (B, samples) → the encoder half's output (B, D, N)."""
        encoder, sound = self.model.encoder, waveform[:, None].to(self.computed_in)
        heard = self._cut(encoder.encoder_seanet, sound, down=self._step)
        return encoder.downsample(self._listen(encoder.encoder_transformer, heard)), {}

    def through_codebooks(self, encoded: Tensor) -> Tensor:
        """(B, D, N), projected, and quantised where that is asked for."""
        left, total = self.codebooks or self.most_codebooks(), torch.zeros_like(encoded)
        for part in self._parts():
            layers = part.layers[:left]
            left -= len(layers)
            if not layers:
                break
            projected = encoded if part.input_proj is None else part.input_proj(encoded)
            if self.quantised:
                projected = straight_through(_nearest(layers, projected.detach()), projected)
            total = total + (projected if part.output_proj is None else part.output_proj(projected))
        return total

    def synthesise(self, values: Tensor, context: Context, samples: int) -> Tensor:
        """(n, D, N) → waveforms (n, samples)."""
        decoder = self.model.decoder
        heard = self._listen(decoder.decoder_transformer, decoder.upsample(values))
        return self._cut(decoder.decoder_seanet, heard, up=self._step)[:, 0, :samples]

    def _parts(self) -> tuple[Any, Any]:
        quantizer = self.model.quantizer
        return (
            quantizer.semantic_residual_vector_quantizer,
            quantizer.acoustic_residual_vector_quantizer,
        )

    @property
    def _step(self) -> int:
        """Samples of a step of the transformers, of which a frame has some."""
        return self.hop // int(self.model.config.latent_stride)

    def _cut(self, layers: nn.Module, signal: Tensor, *, down: int = 1, up: int = 1) -> Tensor:
        """Convolutions, between samples and the steps of the transformers."""
        piece = self.piece(signal, self._step)
        before = -(-reach(layers, up) // self._step)
        after = 0 if self.model.config.use_causal_conv else before
        return in_pieces(layers, signal, piece, before, after, down=down, up=up)

    def _listen(self, transformer: nn.Module, signal: Tensor) -> Tensor:
        """(B, D, steps) → (B, D, steps)."""
        config = self.model.config
        heard = config.num_hidden_layers * (config.sliding_window - 1)
        piece = self.piece(signal, self._step)
        return in_pieces(
            lambda steps: transformer(steps.mT).last_hidden_state.mT,
            signal,
            piece and max(piece, heard),
            heard,
            0,
        )


def _nearest(layers: nn.ModuleList, projected: Tensor) -> Tensor:
    """The sum of the entries that one codebook after another finds for what is left."""
    residual, found = projected, torch.zeros_like(projected)
    layer: Any  # a ModuleList is typed to hold any module
    for layer in layers:
        # It is kept outside of its buffers, and would stay on the device where it was made.
        layer.codebook._embed = None
        entry = layer.decode(layer.encode(residual))
        residual, found = residual - entry, found + entry
    return found
