"""What a codec refuses: waveforms and latents that cannot be its own."""

from __future__ import annotations

from torch import Tensor

from xplain import Context, PluginError


def check_waveform(codec: str, waveform: Tensor) -> None:
    """PluginError for what is not a batch of waveforms (B, samples) with samples in it."""
    if waveform.ndim != 2 or waveform.shape[-1] == 0:
        raise PluginError(
            f"{codec} encodes mono waveforms (clips, samples) of one sample or more, not "
            f"{tuple(waveform.shape)}; mix channels down first, and leave empty clips out"
        )


def check_latents(codec: str, values: Tensor, context: Context, channels: int, frames: int) -> None:
    """PluginError for latents that this codec did not make of the clip of this context."""
    expected = f"(variants, {channels}, {frames})"
    if values.ndim != 3 or tuple(values.shape[1:]) != (channels, frames):
        raise PluginError(
            f"{codec} was given latents {tuple(values.shape)}, and this clip has {expected} here; "
            "decode latents with the codec, and the context, that they were encoded with"
        )
    if len(context["length"]) not in (1, len(values)):
        raise PluginError(
            f"{codec} was given {len(values)} variants and a context of {len(context['length'])} "
            "clips; give the context of one clip, or of one for each variant"
        )


def length_of(codec: str, context: Context) -> int:
    """Samples of the clips of a context; PluginError for a context of another synthesizer."""
    if "length" not in context:
        raise PluginError(
            f"{codec} was given a context without a length; decode latents with the codec, and "
            "the context, that they were encoded with"
        )
    return int(context["length"][0])
