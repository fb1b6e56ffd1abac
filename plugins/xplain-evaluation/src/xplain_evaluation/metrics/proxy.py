"""Whether a proxy stands for its teacher: its decisions, its components, its dictionary.

A proxy is a model that can be understood and decides as another, the teacher, does: here a
nonnegative factorisation X ≈ W H of the spectrum with a classifier on H. Decisions are bool,
one for each frame; both are made by the same rule.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

from torch import Tensor

from xplain.metric import Undefined, metric
from xplain_evaluation.metrics import checked as checks


def _absent(explanation: object) -> Any:
    raise Undefined("an explanation of a clip has no proxy; call the metric with what it needs")


EVIDENCE = dict.fromkeys(
    (
        "truth",
        "teacher",
        "proxy",
        "proxy_without",
        "logits",
        "logits_without",
        "spectrum",
        "reconstruction",
        "activations",
    ),
    _absent,
)
"""What is known of proxies, for a label: bool (frames,): whether it is there, what the explained
model decides, what its proxy decides, and with the components called relevant set to zero;
(frames,): the proxy's logit, with and without these; X and W H, (F, frames); H, (K, frames)."""

declare = partial(metric, category="proxy", evidence=EVIDENCE)

ACTIVE = 1e-8
"""An activation above this is active; multiplicative updates never reach 0."""


@declare(
    better="lower",
    range=(-1, 1),
    source="van Rijsbergen 1979, ch. 7 (F1), of both models",
)
def f1_gap(truth: Tensor, teacher: Tensor, proxy: Tensor) -> float:
    """F1 of the teacher minus F1 of the proxy, over frames of one label.

    Each bool (frames,). Undefined where the label is never there and a model never decides for
    it: F1 is then 0/0.
    """
    return _f1(truth, teacher, "teacher") - _f1(truth, proxy, "proxy")


@declare(
    better="higher",
    range=(0, 1),
    source="Guidotti et al. 2018, Methods for Explaining Black Box Models (fidelity)",
)
def proxy_fidelity(teacher: Tensor, proxy: Tensor) -> float:
    """Share of frames in which the proxy decides as the teacher does.

    Each bool (frames,). High for a rare label even where the proxy never decides for it.
    """
    one = checks.frames(teacher, "teacher")
    return float((one == checks.mask(proxy, "proxy", one.shape)).double().mean())


@declare(
    better="higher",
    range=(-math.inf, math.inf),
    source="DeYoung et al. 2020, ERASER (comprehensiveness), of components",
)
def necessity(logits: Tensor, logits_without: Tensor) -> float:
    """Mean fall of the label's logit when the components called relevant are set to zero.

    Each (frames,), over the frames that are given.
    """
    one = checks.finite(logits, "logits", 1)
    other = checks.finite(logits_without, "logits_without", 1)
    checks.same_shape(one, other, "logits", "logits_without")
    return float((one - other).mean())


@declare(
    better="higher",
    range=(-1, 1),
    source="DeYoung et al. 2020, ERASER (comprehensiveness), of components, in F1",
)
def necessity_f1(truth: Tensor, proxy: Tensor, proxy_without: Tensor) -> float:
    """Fall of the label's F1 when the components called relevant are set to zero.

    Each bool (frames,). Undefined where F1 is 0/0, as in f1-gap.
    """
    return _f1(truth, proxy, "proxy") - _f1(truth, proxy_without, "proxy_without")


@declare(
    better="higher",
    range=(-math.inf, 1),
    source="coefficient of determination, R²",
)
def reconstruction(spectrum: Tensor, reconstruction: Tensor) -> float:
    """R² over the mean of each bin: 1 − ‖X − WH‖² / ‖X − X̄‖².

    A reconstruction that is the same in every frame scores 0 at best, however small its
    relative error. Each (F, frames). Undefined where X itself is the same in every frame.
    """
    x, error = _errors(spectrum, reconstruction)
    if not bool((x != x[:, :1]).any()):
        raise Undefined("the spectrum is the same in every frame: there is nothing to explain")
    return 1 - error / float((x - x.mean(dim=1, keepdim=True)).square().sum())


@declare(
    better="lower",
    range=(0, math.inf),
    source="Lee, Seung 1999 (squared error of a factorisation), relative",
)
def relative_reconstruction_error(spectrum: Tensor, reconstruction: Tensor) -> float:
    """Squared error of the reconstruction relative to the spectrum: ‖X − WH‖² / ‖X‖².

    Small for a constant in a compressed domain; read it beside reconstruction. Each (F,
    frames). Undefined where X is zero everywhere.
    """
    x, error = _errors(spectrum, reconstruction)
    if not bool(x.any()):
        raise Undefined("the spectrum is zero everywhere: an error cannot be relative to it")
    return error / float(x.square().sum())


@declare(
    better="lower",
    range=(0, 1),
    source="Hurley, Rickard 2009, Comparing Measures of Sparsity (ℓ⁰ with a threshold)",
)
def active_share(activations: Tensor) -> float:
    """Share of the activations H that are above 1e-8.

    activations: (K, frames).
    """
    return float((checks.finite(activations, "activations", 2) > ACTIVE).double().mean())


def _f1(truth: Tensor, decided: Tensor, name: str) -> float:
    """2 TP / (2 TP + FP + FN)."""
    there = checks.frames(truth, "truth")
    said = checks.mask(decided, name, there.shape)
    count = int(there.sum()) + int(said.sum())
    if count == 0:
        raise Undefined(f"the label is never there and {name} never decides for it: F1 is 0/0")
    return 2 * int((there & said).sum()) / count


def _errors(spectrum: Tensor, reconstruction: Tensor) -> tuple[Tensor, float]:
    """X with a largest value of 1, which no square makes vanish, and W H's squared error."""
    x = checks.finite(spectrum, "spectrum", 2)
    other = checks.finite(reconstruction, "reconstruction", 2)
    checks.same_shape(other, x, "reconstruction", "spectrum")
    scale = x.abs().max() if bool(x.any()) else x.new_ones(())
    return x / scale, float(((x - other) / scale).square().sum())
