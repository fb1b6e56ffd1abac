"""DAC, the Descript Audio Codec: convolutions and factorised residual vector quantisation."""

from __future__ import annotations

from functools import reduce

import torch
from torch import Tensor
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
    sides (some 20 of them at 16 kHz, 0.4 s), so that nothing depends on ``chunk``.
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
        context = -(-reach(encoder) // self.hop)
        sound = padded[:, None].to(self.computed_in)
        return in_pieces(encoder, sound, self.piece, context, context, down=self.hop), {}

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
        decoder = self.model.decoder
        frames = -(-reach(decoder, self.hop) // self.hop)
        return in_pieces(decoder, values, self.piece, frames, frames, up=self.hop)[:, 0, :samples]
