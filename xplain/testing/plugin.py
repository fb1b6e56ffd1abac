"""What the tests' planted cues register: a model whose reasons are known, for anyone to try."""

from xplain import hookimpl
from xplain.hookspecs import Register

XPLAIN_API = 1


@hookimpl
def register_models(register: Register) -> None:
    """Register the model that hears planted cues."""
    register(
        "planted",
        "xplain.testing.planted:load",
        summary="Hears a planted cue and nothing else: planted:SAMPLE_RATE, or planted:",
    )
