"""DAC, the Descript Audio Codec: convolutions and factorised residual vector quantisation."""

from __future__ import annotations

from functools import reduce

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import DacModel

from xplain import Context
from xplain_codecs.codecs.neural import NeuralCodec, straight_through
from xplain_codecs.codecs.pieces import in_pieces, reach


class Dac(NeuralCodec):
    """DAC. Kumar, Seetharaman, Luebs, Kumar, Kumar (2023), arXiv 2306.06546.

    The latents are the decoder's input: the sum over codebooks of what each projects back from
    the few dimensions in which it looks up. Continuous latents go through the same
    projections without the look-ups, since the decoder has never seen what these leave out of
    the encoder's output. At 16 kHz they are 1024 × 50 a second.

    Clips are padded with zeros to whole frames; with odd strides the decoder gives a few
    samples less than its frames have, so that a clip which ends on a frame has one more.

    Long clips: all is convolution, and pieces are computed with the frames in reach on both
    sides (some 11 of them at 16 kHz, 0.2 s), so that nothing depends on ``chunk``.
    """

    kind = DacModel
    example = "descript/dac_16khz"

    @property
    def hop(self) -> int:
        """Samples of a frame."""
        return int(self.model.config.hop_length)

    def frames(self, samples: int) -> int:
        """As many as the decoder needs to give all samples back."""
        strides = self.model.config.upsampling_ratios
        lost: int = reduce(lambda samples, stride: samples * stride + stride % 2, strides, 0)
        return -(-(samples + lost) // self.hop)

    def most_codebooks(self) -> int:
        """All of them."""
        return len(self.model.quantizer.quantizers)

    def analyse(self, waveform: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Waveforms (B, samples) → the encoder's output (B, D, N)."""
        samples = waveform.shape[-1]
        padded = F.pad(waveform, (0, self.frames(samples) * self.hop - samples))
        encoder = self.model.encoder
        return self._cut(encoder, padded[:, None].to(self.computed_in), down=self.hop), {}

    def through_codebooks(self, encoded: Tensor) -> Tensor:
        """(B, D, N), projected, and quantised where that is asked for."""
        residual, total = encoded, torch.zeros_like(encoded)
        for layer in self.model.quantizer.quantizers[: self.codebooks]:
            projected = layer.in_proj(residual)
            if self.quantised:
                projected = straight_through(layer.decode_latents(projected)[0], projected)
            part = layer.out_proj(projected)
            residual, total = residual - part, total + part
        return total

    def synthesise(self, values: Tensor, context: Context, samples: int) -> Tensor:
        """(n, D, N) → waveforms (n, samples)."""
        return self._cut(self.model.decoder, values, up=self.hop)[:, 0, :samples]

    def _cut(self, layers: nn.Module, signal: Tensor, *, down: int = 1, up: int = 1) -> Tensor:
        # Half of the reach lies on either side, but for the frame that a stride may shift it by.
        context = -(-reach(layers, up) // (2 * self.hop)) + 1
        piece = self.piece(signal, self.hop)
        return in_pieces(layers, signal, piece, context, context, down=down, up=up)
