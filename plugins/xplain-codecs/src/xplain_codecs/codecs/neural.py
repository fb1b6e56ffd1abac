"""What the codecs of transformers have in common: weights, look-ups, lengths, pieces."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from xplain import Context, Latents, Synthesizer
from xplain_codecs.codecs.checkpoints import read_codec
from xplain_codecs.codecs.checks import check_latents, check_waveform, length_of

DTYPES: Mapping[str, torch.dtype] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}

HELD = 15
"""Times that a piece is shorter where gradients are recorded: DAC holds .6 GB a second then."""


class NeuralCodec(nn.Module, Synthesizer):
    """A frozen codec: encoder, residual vector quantiser, decoder.

    The latents are what the decoder reads, (B, D, N), and decoding never quantises. With
    ``quantised`` each frame is the sum of its nearest entries of the codebooks, which is what
    the decoder was trained on. The gradient passes the look-up as if it were not there
    (straight through; Bengio, Léonard, Courville 2013, arXiv 1308.3432): it is the gradient of
    the continuous latents, that is with ``quantised=False``, for which every look-up is left
    out and the quantiser's projections stay. The gradient serves routes through encode.

    The context holds each clip's length in samples; a codec that divides the level out adds it.
    """

    encode_differentiable = True
    decode_differentiable = True
    lossy: ClassVar[bool] = True
    kind: ClassVar[type[PreTrainedModel]]
    example: ClassVar[str]
    """A repository that has such a codec."""
    model: Any  # the codecs of transformers share no interface, and are not fully typed

    def __init__(
        self,
        checkpoint: str | None = None,
        quantised: bool = True,
        codebooks: int | None = None,
        chunk: float | None = 30.0,
        dtype: str = "float32",
    ) -> None:
        """Read a codec.

        checkpoint: a folder that save_pretrained wrote, or OWNER/NAME[@REVISION] of a
        repository; safetensors only. codebooks: how many are used, the coarse ones first;
        default: all. chunk: seconds that are computed at once, which bounds the memory, and a
        fifteenth of them where gradients are recorded; None for the whole clip. dtype: of weights
        and arithmetic, "float32", "bfloat16" or "float16"; latents and waveforms are float32
        whatever it is.

        Raises PluginError for a checkpoint that cannot be read, ValueError for other settings.
        """
        super().__init__()
        if chunk is not None and not chunk > 0:
            raise ValueError(f"chunk is in seconds, above 0, or None, and not {chunk!r}")
        if dtype not in DTYPES:
            raise ValueError(f"dtype is one of {', '.join(DTYPES)}, not {dtype!r}")
        self.checkpoint = checkpoint
        self.quantised = quantised
        self.codebooks = codebooks
        self.chunk = chunk
        self.dtype = dtype
        self.model = read_codec(self.kind, checkpoint, self.example, DTYPES[dtype])
        self.sample_rate = int(self.model.config.sampling_rate)
        self.eval()
        available = self.most_codebooks()
        if codebooks is not None and not 1 <= codebooks <= available:
            raise ValueError(f"codebooks is 1 to {available} in {checkpoint}, not {codebooks!r}")

    def encode(self, waveform: Tensor) -> Latents:
        """Waveforms (B, samples) at sample_rate → latents (B, D, N) float32."""
        check_waveform(self.name, waveform)
        encoded, extra = self.analyse(waveform)
        values = self.through_codebooks(encoded.to(self.computed_in)).float()
        length = torch.full((len(waveform),), waveform.shape[-1], device=waveform.device)
        return Latents(values, {"length": length, **extra})

    def decode(self, values: Tensor, context: Context) -> Tensor:
        """Variants (n, D, N) → (n, samples) float32."""
        samples = length_of(self.name, context)
        check_latents(self.name, values, context, self.channels, self.frames(samples))
        return self.synthesise(values.to(self.computed_in), context, samples).float()

    @property
    def name(self) -> str:
        """What the codec is called, in errors."""
        return str(self.model.config.model_type)

    @property
    def channels(self) -> int:
        """D, of the latents."""
        return int(self.model.config.hidden_size)

    @property
    def computed_in(self) -> torch.dtype:
        """The type of the weights, whatever they were moved to since they were read."""
        return next(self.parameters()).dtype

    def piece(self, signal: Tensor, hop: int) -> int | None:
        """Frames of hop samples that are computed at once, of a signal; None for all."""
        if self.chunk is None:
            return None
        recorded = torch.is_grad_enabled() and signal.requires_grad
        return max(1, round(self.chunk * self.sample_rate / hop / (HELD if recorded else 1)))

    @property
    @abstractmethod
    def hop(self) -> int:
        """Samples of a frame."""

    @abstractmethod
    def frames(self, samples: int) -> int:
        """N, of a clip of so many samples."""

    @abstractmethod
    def most_codebooks(self) -> int:
        """How many codebooks there are."""

    @abstractmethod
    def analyse(self, waveform: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Waveforms (B, samples) → what the quantiser reads (B, D, N), and further context."""

    @abstractmethod
    def through_codebooks(self, encoded: Tensor) -> Tensor:
        """What the quantiser reads (B, D, N) → what the decoder reads (B, D, N)."""

    @abstractmethod
    def synthesise(self, values: Tensor, context: Context, samples: int) -> Tensor:
        """What the decoder reads (n, D, N) → waveforms (n, samples)."""


def straight_through(found: Tensor, continuous: Tensor) -> Tensor:
    """What was found in the codebook, with the gradient of what was looked up."""
    # In this order, so that what was found is given to the last bit.
    return found.detach() + (continuous - continuous.detach())
