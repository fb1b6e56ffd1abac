"""What this distribution registers; light, since discovery imports it."""

from xplain import hookimpl
from xplain.hookspecs import Register

XPLAIN_API = 1


@hookimpl
def register_synthesizers(register: Register) -> None:
    """Register the representations."""
    register(
        "waveform",
        "xplain_codecs.waveform:Waveform",
        summary="The samples themselves",
    )
    register(
        "stft",
        "xplain_codecs.stft:Stft",
        summary="Compressed magnitudes of the short-time Fourier transform, the phase kept",
    )


@hookimpl
def register_replacements(register: Register) -> None:
    """Register what can stand for "nothing here"."""
    register(
        "silence",
        "xplain_codecs.replacements:Silence",
        summary="The latents of digital silence",
    )
    register("zero", "xplain_codecs.replacements:Zero", summary="Zero in every element")
    register(
        "mean",
        "xplain_codecs.replacements:Mean",
        summary="Each channel's mean over the clip; for models that divide loudness out",
    )
