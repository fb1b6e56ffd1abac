"""What a plugin is tested with: the contracts it must pass, and audio with a planted cue.

from xplain.testing import ExplainerContract    # test classes for pytest, one per kind
xplain.testing.check("explainer", "my-method")  # the same rules, as a report
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xplain.testing.checking import check as check
    from xplain.testing.contracts import ExplainerContract as ExplainerContract
    from xplain.testing.contracts import MetricContract as MetricContract
    from xplain.testing.contracts import ReplacementContract as ReplacementContract
    from xplain.testing.contracts import SegmenterContract as SegmenterContract
    from xplain.testing.contracts import SynthesizerContract as SynthesizerContract
    from xplain.testing.rules import Report as Report

_HOMES = {
    "check": "checking",
    "ExplainerContract": "contracts",
    "MetricContract": "contracts",
    "ReplacementContract": "contracts",
    "SegmenterContract": "contracts",
    "SynthesizerContract": "contracts",
    "Report": "rules",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    # At first use: the contracts need pytest, and discovery imports this package.
    if name not in _HOMES:
        raise AttributeError(f"module 'xplain.testing' has no attribute {name!r}")
    return getattr(importlib.import_module(f"xplain.testing.{_HOMES[name]}"), name)
