"""Agreement of decisions: on the explanation alone, without it, and after re-encoding.

Of labels that exclude each other, the most probable is decided for; labels that tie
share the decision equally, since choosing the first would favour label 0. Of independent
labels, the explained one is decided for from a probability of one half.
"""

from __future__ import annotations

from torch import Tensor

from xplain.metric import metric
from xplain_evaluation.metrics import checked as checks


@metric(
    better="higher",
    range=(0, 1),
    category="faithfulness",
    source="Paissan et al. 2024, L-MAC (input fidelity)",
    share=True,
)
def input_fidelity(kept: Tensor, label: int, multilabel: bool) -> float:
    """Whether the explained label is decided for when only the explanation is left.

    kept: f(x_in), (L,).
    """
    said = checks.probabilities(kept, "kept", label=label, multilabel=multilabel)
    if multilabel:
        return float(said[label] >= 0.5)
    decided = _decided(said)
    return (label in decided) / len(decided)


@metric(
    better="higher",
    range=(0, 1),
    category="faithfulness",
    source="Paissan et al. 2024, L-MAC (fidelity), against the model's own prediction",
    share=True,
)
def fidelity(probabilities: Tensor, kept: Tensor, label: int, multilabel: bool) -> float:
    """Whether the model's own prediction stays when only the top ρ of elements is kept.

    probabilities: f(x), kept: f(x_in), (L,) each.
    """
    return _agreement(probabilities, kept, "kept", label=label, multilabel=multilabel)


@metric(
    better="lower",
    range=(0, 1),
    category="faithfulness",
    source="Paissan et al. 2024, L-MAC (fidelity), of the input without the explanation",
    share=True,
)
def removal(probabilities: Tensor, removed: Tensor, label: int, multilabel: bool) -> float:
    """Whether the model's own prediction stays although the top ρ of elements is removed.

    probabilities: f(x), removed: f(x_out), (L,) each.
    """
    return _agreement(probabilities, removed, "removed", label=label, multilabel=multilabel)


@metric(
    better="higher",
    range=(0, 1),
    category="re-encoded",
    source="fidelity, of the decoded audio",
    share=True,
)
def reencoded_fidelity(
    probabilities: Tensor, reencoded_kept: Tensor, label: int, multilabel: bool
) -> float:
    """Whether the prediction stays when the top ρ alone is decoded and re-encoded.

    Read it beside round-trip: what decoding itself changes is no fault of the explanation.
    probabilities: f(x), reencoded_kept: of the audio, (L,) each.
    """
    return _agreement(
        probabilities, reencoded_kept, "reencoded_kept", label=label, multilabel=multilabel
    )


@metric(
    better="lower",
    range=(0, 1),
    category="re-encoded",
    source="removal, of the decoded audio",
    share=True,
)
def reencoded_removal(
    probabilities: Tensor, reencoded_removed: Tensor, label: int, multilabel: bool
) -> float:
    """Whether the prediction stays when all but the top ρ is decoded and re-encoded.

    Read it beside round-trip: what decoding itself changes is no merit of the explanation.
    probabilities: f(x), reencoded_removed: of the audio, (L,) each.
    """
    return _agreement(
        probabilities, reencoded_removed, "reencoded_removed", label=label, multilabel=multilabel
    )


@metric(
    better="higher",
    range=(0, 1),
    category="re-encoded",
    source="fidelity, of the decoded audio with nothing removed",
    share=True,
)
def round_trip(probabilities: Tensor, round_trip: Tensor, label: int, multilabel: bool) -> float:
    """Whether the prediction stays when the unchanged latents are decoded and re-encoded.

    Says what decoding costs, and nothing of the explanation. probabilities: f(x), round_trip:
    of the audio, (L,) each.
    """
    return _agreement(probabilities, round_trip, "round_trip", label=label, multilabel=multilabel)


def _agreement(before: Tensor, after: Tensor, name: str, *, label: int, multilabel: bool) -> float:
    """How much of the decision after is the decision before; of tied labels, their share."""
    checks.same_shape(before, after, "probabilities", name)
    one = checks.probabilities(before, "probabilities", label=label, multilabel=multilabel)
    other = checks.probabilities(after, name, label=label, multilabel=multilabel)
    if multilabel:
        return float((one[label] >= 0.5) == (other[label] >= 0.5))
    decided, again = _decided(one), _decided(other)
    return len(decided & again) / len(again)


def _decided(said: list[float]) -> set[int]:
    """The most probable label, or labels."""
    highest = max(said)
    return {label for label, probability in enumerate(said) if probability == highest}
