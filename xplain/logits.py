"""What a module gives, as logits: taken out of its container, and out of probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from xplain.errors import ModelError, shown

Output = Literal["logits", "probabilities", "log-probabilities"]
OUTPUTS: tuple[Output, ...] = ("logits", "probabilities", "log-probabilities")

BETWEEN = "all are between 0 and 1"
"""The weakest sign of probabilities: logits can be so by chance."""

WHOLE = 1e-3
"""How far probabilities of one clip may be from adding up to 1, by rounding."""


def logits_of(answer: object, shape: str) -> Tensor:
    """Take a tensor of logits out of what a module gave, as float32.

    answer: a tensor, or a mapping or object with one under the name ``logits``, as models of
    transformers give. shape: of logits, for messages. Raises ModelError for anything else.
    """
    named = answer.get("logits") if isinstance(answer, Mapping) else getattr(answer, "logits", None)
    found = answer if isinstance(answer, Tensor) else named
    if not isinstance(found, Tensor):
        show = str if isinstance(answer, Mapping) else shown
        held = [*map(show, answer)] if isinstance(answer, tuple | list | Mapping) else []
        inside = f"; it holds {', '.join(held)}" if held else ""
        raise ModelError(
            f"the model gave {type(answer).__name__}, not a tensor of logits {shape}{inside}; "
            "wrap a module that returns the logits alone, such as output[0]"
        )
    if found.is_complex():
        advice = "wrap a module that returns their real part or their absolute value"
        raise ModelError(f"the model gave complex numbers, and logits are real; {advice}")
    found = found.dequantize() if found.is_quantized else found.to(torch.float32)
    return found.as_subclass(Tensor)  # plain, whatever a library makes of it


def from_output(given: Tensor, output: Output | None, multilabel: bool) -> Tensor:
    """Turn what a model gives, (…, L), into logits: their softmax or sigmoid is what it gave.

    Raises ModelError where they are not what ``output`` says.
    """
    if output in (None, "logits"):
        return given
    chances = given.detach().exp() if output == "log-probabilities" else given.detach()
    within = bool((chances >= -WHOLE).all() and (chances <= 1 + WHOLE).all())
    whole = multilabel or bool(((chances.sum(-1) - 1).abs() <= 10 * WHOLE).all())
    if bool(chances.isfinite().all()) and not (within and whole):
        wrong = "values outside 0 to 1" if not within else "values that do not add up to 1"
        advice = "leave output= out" if not within else "give multilabel=True, or output='logits'"
        raise ModelError(f"the model was wrapped with output={output!r} and gave {wrong}; {advice}")
    tiny = torch.finfo(given.dtype).tiny
    if not multilabel:
        return given if output == "log-probabilities" else given.clamp_min(tiny).log()
    if output == "log-probabilities":
        return given - (-given.clamp_max(-torch.finfo(given.dtype).eps).expm1()).log()
    return torch.logit(given, eps=torch.finfo(given.dtype).eps)


def probable_output(given: Tensor) -> tuple[Output, str] | None:
    """Recognise probabilities among what a model gave for different inputs, (n, L).

    Returns what they look like, and by what; None for logits, as far as can be seen.
    """
    if given.shape[-1] > 1 and bool((given.logsumexp(-1).abs() <= WHOLE).all()):
        return "log-probabilities", "their exponentials add up to 1"
    if bool((given < 0).any()) or bool((given > 1 + WHOLE).any()):
        return None
    if given.shape[-1] > 1 and bool(((given.sum(-1) - 1).abs() <= WHOLE).all()):
        return "probabilities", "they are not negative and add up to 1"
    if bool((given - given[:1]).abs().max() <= WHOLE):
        return None  # the same for all inputs: nothing was seen of it
    return "probabilities", BETWEEN
