"""What every call of Captum needs: draws of the baseline, refusals, and a model left as it was."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from xplain import PluginError, Score

if TYPE_CHECKING:
    from xplain_captum.tracing import Trace

INSTEAD = (
    "use integrated-gradients or gradient-shap, which need no rules, or kernel-shap, which "
    "needs no gradients"
)


def mean_over_draws(attribute: Callable[[Tensor], Tensor], baseline: Tensor) -> Tensor:
    """Take the mean (D, N) of what ``attribute`` gives for each draw of a baseline.

    baseline: (D, N), or draws (S, D, N). The mean of the attributions sums to the mean of
    the score differences; an attribution from the mean of the draws would not, since the
    mean of noise is not noise.
    """
    draws = baseline if baseline.ndim == 3 else baseline[None]
    total = attribute(draws[0])
    for draw in draws[1:]:
        total = total + attribute(draw)
    return total / len(draws)


def refusal(method: str, reason: object) -> PluginError:
    """Make the error of a method that has no rule for a model."""
    return PluginError(f"{method} does not fit this model: {reason}; {INSTEAD}")


@contextmanager
def hooks_by_captum(method: str, score: Score, seen: Trace, latents: Tensor) -> Iterator[None]:
    """Prepare the layers of a score for Captum's hooks, and restore them afterwards.

    Each layer reads an input of its own. Captum's hooks replace the gradient of a layer's input
    tensor, and would replace what other readers of the same tensor contribute to it as well.

    Layers that write into their input (``inplace``) write into a new tensor, because Captum
    keeps inputs for a second pass. Raises PluginError where that changes the score of the
    latents (n, D, N) in ``seen``: then something else reads what the layer has written.

    What Captum leaves on layers (LRP always, DeepLIFT after an error) is removed.
    """
    parts = list(score.modules())
    attributes = [(part, set(vars(part))) for part in parts]
    writing = [part for part in parts if getattr(part, "inplace", False) is True]
    with ExitStack() as stack:
        stack.callback(_restore, attributes, writing)
        for part in parts:
            if not any(part.children()):
                stack.callback(part.register_forward_pre_hook(_own_input).remove)
        for part in writing:
            part.inplace = False  # type: ignore[assignment]
        if writing:
            with torch.no_grad():
                unwritten = score(latents)
            if not torch.allclose(unwritten, seen.scores, rtol=1e-4, atol=1e-6):
                kinds = ", ".join(sorted({type(part).__name__ for part in writing}))
                raise refusal(
                    method,
                    f"a layer that works in place ({kinds}, inplace=True) writes into a tensor "
                    "that the model reads again",
                )
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=r"\s*Setting (forward, )?backward hooks")
            yield


def _own_input(module: nn.Module, args: tuple[object, ...]) -> tuple[object, ...]:
    return tuple(a.view_as(a) if isinstance(a, Tensor) else a for a in args)


def _restore(attributes: list[tuple[nn.Module, set[str]]], writing: list[nn.Module]) -> None:
    for part, names in attributes:
        for name in set(vars(part)) - names:
            delattr(part, name)
    for part in writing:
        part.inplace = True  # type: ignore[assignment]
