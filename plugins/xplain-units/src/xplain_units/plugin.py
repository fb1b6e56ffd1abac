"""What this distribution registers; light, since discovery imports it."""

from xplain import hookimpl
from xplain.hookspecs import Register

XPLAIN_API = 1


@hookimpl
def register_groupings(register: Register) -> None:
    """Register the groupings."""
    register(
        "words",
        "xplain_units.speech:Words",
        summary="Words, aligned by PocketSphinx to a transcript or to what it recognises",
    )
    register("phones", "xplain_units.speech:Phones", summary="The phones of these words")
    register(
        "file",
        "xplain_units.file:File",
        summary="Segments of a file: TextGrid, RTTM, CSV, Audacity or JSON",
    )
    register(
        "events", "xplain_units.events:Events", summary="Sounds between their onsets and offsets"
    )
    register(
        "superpixels",
        "xplain_units.superpixels:Superpixels",
        summary="Connected regions of a spectrogram (SLIC, Achanta et al. 2012)",
    )
    register(
        "harmonics",
        "xplain_units.harmonics:Harmonics",
        summary="The harmonics of a voice or an instrument, and what lies between them",
    )
    register("stems", "xplain_units.stems:StemNames", summary="The stems of the synthesizer stems")


@hookimpl
def register_synthesizers(register: Register) -> None:
    """Register the representation by gains of stems."""
    register(
        "stems",
        "xplain_units.stems:Stems",
        summary="Gains of stems: harmonic and percussive, NMF sources, or those of a function",
    )
