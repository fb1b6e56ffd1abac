"""How a method says that it has no rule for a model."""

from __future__ import annotations

from xplain import PluginError

INSTEAD = (
    "use integrated-gradients or gradient-shap, which need no rules, or kernel-shap, which "
    "needs no gradients"
)


def refusal(method: str, reason: object) -> PluginError:
    """The error of a method that would return something else than it promises."""
    return PluginError(f"{method} does not fit this model: {reason}; {INSTEAD}")
