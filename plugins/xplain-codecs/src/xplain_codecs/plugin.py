"""What this distribution registers; light, since discovery imports it."""

from xplain import hookimpl
from xplain.hookspecs import Register

XPLAIN_API = 1


@hookimpl
def register_synthesizers(register: Register) -> None:
    """Register the representations."""
    register(
        "waveform",
        "xplain_codecs.codecs.waveform:Waveform",
        summary="The samples themselves",
    )
    register(
        "stft",
        "xplain_codecs.codecs.stft:Stft",
        summary="Compressed magnitudes of the short-time Fourier transform, the phase kept",
    )
    register(
        "encodec",
        "xplain_codecs.codecs.encodec:Encodec",
        summary="EnCodec, from a folder or repository of transformers",
    )
    register(
        "dac",
        "xplain_codecs.codecs.dac:Dac",
        summary="DAC, from a folder or repository of transformers",
    )
    register(
        "mimi",
        "xplain_codecs.codecs.mimi:Mimi",
        summary="Mimi, from a folder or repository of transformers",
    )
    register(
        "lyra",
        "xplain_codecs.codecs.lyra:Lyra",
        summary="Lyra V2, for speech, from its folder of LiteRT networks",
    )


@hookimpl
def register_replacements(register: Register) -> None:
    """Register what can stand for "nothing here"."""
    register(
        "silence",
        "xplain_codecs.replacements.silence:Silence",
        summary="The latents of digital silence",
    )
    register("zero", "xplain_codecs.replacements.silence:Zero", summary="Zero in every element")
    register(
        "mean",
        "xplain_codecs.replacements.silence:Mean",
        summary="Each channel's mean over the clip: its colour, without what happens in it",
    )
    register(
        "noise",
        "xplain_codecs.replacements.noise:ColouredNoise",
        summary="Noise with the clip's spectrum, 10 dB fainter; of `auto`, where silence is none",
    )
    register(
        "white-noise",
        "xplain_codecs.replacements.noise:WhiteNoise",
        summary="The latents of white noise at the clip's level",
    )
    register(
        "recording",
        "xplain_codecs.replacements.recording:Recording",
        summary="The latents of a recording of yours, cut or repeated to the length",
    )
    register(
        "data-mean",
        "xplain_codecs.replacements.data_mean:DataMean",
        summary="Each channel's mean over a data set, from the file of xplain data-mean",
    )
    register(
        "inpainter",
        "xplain_codecs.replacements.inpainting.inpainter:Inpainter",
        summary="Draws of what could be there, by a network that xplain fit-inpainter trains",
    )


@hookimpl
def register_models(register: Register) -> None:
    """Register the scheme of classifiers on latents."""
    register(
        "latent",
        "xplain_codecs.fit.classifier:load",
        summary="A classifier on a codec's latents, by the folder that xplain fit wrote",
    )
