"""What this distribution adds to xplain: models under the scheme ``zoo:``."""

from __future__ import annotations

from typing import Any

from xplain import hookimpl

XPLAIN_API = 1


@hookimpl
def register_models(register: Any) -> None:
    """``zoo:NAME``, by reference: torch is loaded when a model is, not before."""
    register("zoo", "xplain_zoo.models:load", summary="Small trained models that run offline")


@hookimpl
def register_replacements(register: Any) -> None:
    """What could be in the latents of the zoo's codec, in place of what is removed."""
    register(
        "zoo-inpainter",
        "xplain_zoo.inpainter:inpainter",
        summary="Draws of what could be there, in the latents of zoo:digits-latent",
    )
