"""What this distribution adds to xplain: models under the scheme ``zoo:``."""

from __future__ import annotations

from typing import Any

from xplain import hookimpl

XPLAIN_API = 1


@hookimpl
def register_models(register: Any) -> None:
    """``zoo:NAME``, by reference: torch is loaded when a model is, not before."""
    register("zoo", "xplain_zoo.models:load", summary="Small trained models that run offline")
