"""xplain explains audio models so that a person can hear, see and check a decision.

Names are imported at first use, so that ``import xplain`` costs nothing and a
plugin's entry point module can import ``hookimpl`` without loading torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for type checkers and editors, which do not run __getattr__
    from xplain.audio import Audio as Audio
    from xplain.clips import Failure as Failure
    from xplain.errors import ArtifactError as ArtifactError
    from xplain.errors import AudioError as AudioError
    from xplain.errors import ModelError as ModelError
    from xplain.errors import PluginError as PluginError
    from xplain.errors import TargetError as TargetError
    from xplain.errors import XplainError as XplainError
    from xplain.errors import XplainWarning as XplainWarning
    from xplain.explanation import Explanation as Explanation
    from xplain.hookspecs import hookimpl as hookimpl
    from xplain.hysteresis import Thresholds as Thresholds
    from xplain.interfaces import AdditiveSegmenter as AdditiveSegmenter
    from xplain.interfaces import Clip as Clip
    from xplain.interfaces import Context as Context
    from xplain.interfaces import Explainer as Explainer
    from xplain.interfaces import Latents as Latents
    from xplain.interfaces import Replacement as Replacement
    from xplain.interfaces import Score as Score
    from xplain.interfaces import Segmenter as Segmenter
    from xplain.interfaces import Synthesizer as Synthesizer
    from xplain.models import Model as Model
    from xplain.models import load_model as load_model
    from xplain.models import wrap as wrap
    from xplain.pipeline import ClipsError as ClipsError
    from xplain.pipeline import explain as explain
    from xplain.pipeline import explain_each as explain_each
    from xplain.registry import list_plugins as list_plugins
    from xplain.segmentation import Segmentation as Segmentation
    from xplain.segmenting import segment as segment
    from xplain.targets import Target as Target
    from xplain.verdict import Verdict as Verdict

__version__ = "0.1.0"

_HOMES = {
    "audio": ["Audio"],
    "clips": ["Failure"],
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
    "hysteresis": ["Thresholds"],
    "interfaces": [
        "AdditiveSegmenter",
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
    "pipeline": ["ClipsError", "explain", "explain_each"],
    "registry": ["list_plugins"],
    "segmentation": ["Segmentation"],
    "segmenting": ["segment"],
    "targets": ["Target"],
    "verdict": ["Verdict"],
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'xplain' has no attribute {name!r}")
    return getattr(importlib.import_module(f"xplain.{home}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
