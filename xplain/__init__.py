"""xplain explains audio models so that a person can hear, see and check a decision.

Names are imported at first use, so that ``import xplain`` costs nothing and a
plugin's entry point module can import ``hookimpl`` without loading torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xplain.audio import Audio
    from xplain.errors import (
        ArtifactError,
        AudioError,
        ModelError,
        PluginError,
        TargetError,
        XplainError,
        XplainWarning,
    )
    from xplain.explanation import Explanation
    from xplain.hookspecs import hookimpl
    from xplain.interfaces import (
        Clip,
        Context,
        Explainer,
        Latents,
        Replacement,
        Score,
        Segmenter,
        Synthesizer,
    )
    from xplain.models import Model, load_model, wrap
    from xplain.pipeline import ClipsError, Failure, explain, explain_each
    from xplain.registry import list_plugins
    from xplain.targets import Target

__version__ = "0.1.0"

_HOMES = {
    "audio": ["Audio"],
    "errors": [
        "ArtifactError",
        "AudioError",
        "ModelError",
        "PluginError",
        "TargetError",
        "XplainError",
        "XplainWarning",
    ],
    "explanation": ["Explanation"],
    "hookspecs": ["hookimpl"],
    "interfaces": [
        "Clip",
        "Context",
        "Explainer",
        "Latents",
        "Replacement",
        "Score",
        "Segmenter",
        "Synthesizer",
    ],
    "models": ["Model", "load_model", "wrap"],
    "pipeline": ["ClipsError", "Failure", "explain", "explain_each"],
    "registry": ["list_plugins"],
    "targets": ["Target"],
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "ArtifactError",
    "Audio",
    "AudioError",
    "Clip",
    "ClipsError",
    "Context",
    "Explainer",
    "Explanation",
    "Failure",
    "Latents",
    "Model",
    "ModelError",
    "PluginError",
    "Replacement",
    "Score",
    "Segmenter",
    "Synthesizer",
    "Target",
    "TargetError",
    "XplainError",
    "XplainWarning",
    "explain",
    "explain_each",
    "hookimpl",
    "list_plugins",
    "load_model",
    "wrap",
]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'xplain' has no attribute {name!r}")
    return getattr(importlib.import_module(f"xplain.{home}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
