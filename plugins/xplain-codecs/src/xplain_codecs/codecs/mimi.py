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

    Long clips: pieces are computed with the frames in reach. Each transformer layer listens
    back by its window, eight layers of ten seconds each by 80 seconds, so that nothing
    depends on ``chunk``, at the cost of computing these 80 seconds for each piece once more.
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
        encoder = self.model.encoder
        return self._cut(
            lambda sound: encoder(sound).latents,
            waveform[:, None].to(self.computed_in),
            reach(encoder),
            down=self.hop,
        ), {}

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
        sound = self._cut(
            lambda latents: decoder(latents).audio_values,
            values,
            reach(decoder, self.hop),
            up=self.hop,
        )
        return sound[:, 0, :samples]

    def _parts(self) -> tuple[Any, Any]:
        quantizer = self.model.quantizer
        return (
            quantizer.semantic_residual_vector_quantizer,
            quantizer.acoustic_residual_vector_quantizer,
        )

    def _cut(
        self, function: Any, signal: Tensor, samples: int, *, down: int = 1, up: int = 1
    ) -> Tensor:
        """samples: the reach of the convolutions of the function."""
        config = self.model.config
        # The attention's steps are those of the transformer, of which a frame has some.
        heard = config.num_hidden_layers * (config.sliding_window - 1)
        after = -(-samples // self.hop)
        before = after + -(-heard // int(config.latent_stride))
        return in_pieces(function, signal, self.piece, before, after, down=down, up=up)


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
