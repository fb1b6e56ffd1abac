"""Are a model's answers what they are taken for: logits, of the clip alone?"""

from __future__ import annotations

import torch
from torch import Tensor

from xplain.borrowing import seeded
from xplain.interfaces import Latents
from xplain.logits import BETWEEN, probable_output
from xplain.score import Route

TOLERANCE = 1e-3
"""Largest difference by rounding, relative to the largest logit: batches of other sizes are
summed in another order, and on GPUs in TF32."""

TOLERANCE_HALF = 3e-2
"""The same of models that compute in 16 bits."""

FAINT = 0.1
"""Factor of a clip that is asked about to see what a model makes of loudness, and of a batch."""

LEVELS = (32.0, 1 / 32, -1.0)
"""Factors of the latents for which a model is asked once more, before its answers are called
probabilities because all are between 0 and 1."""


def doubts_about(
    route: Route, latents: Latents, original: Tensor, said: Tensor, alone: Tensor
) -> tuple[str, ...]:
    """Say why a model's answers may not be what they are taken for; nothing for most models.

    original: its logits (1, …, L) of the clip. said: of its latents, of a faint clip's and of the
    baseline, asked together, since a maximum over a batch may be a clip's own. alone: of the first
    two, each by itself. Asks again, three times, where they differ or all are between 0 and 1.
    """
    if not (torch.isfinite(original).all() and torch.isfinite(said).all()):
        return ()
    found = (_dependence(route, latents, alone, said[:2]), _output(route, latents, original, said))
    return tuple(doubt for doubt in found if doubt)


def _dependence(route: Route, latents: Latents, alone: Tensor, among: Tensor) -> str:
    """On what the answers depend beside the clip: earlier calls, chance, or the batch."""
    kinds = {p.dtype for p in route.module.parameters()}
    half = bool(kinds & {torch.float16, torch.bfloat16})
    allowed = float(among.abs().max()) * (TOLERANCE_HALF if half else TOLERANCE)

    def ask(seed: int) -> Tensor:
        with seeded(seed, among.device):
            return route(latents.values, latents.context)  # type: ignore[no-any-return]

    def differ(one: Tensor, other: Tensor) -> bool:
        return one.shape != other.shape or bool((one - other).abs().max() > allowed)

    if not differ(alone, among):
        return ""
    first, second, other = ask(0), ask(0), ask(1)
    if not differ(first, second) and differ(second, other):  # chance follows its seed
        return (
            "the model draws random numbers, so that it answers differently when the same clip is "
            "asked again; switch that off in evaluation mode (functional dropout needs "
            "training=self.training)"
        )
    if differ(first, second) or differ(first, alone[:1]):  # a state may have settled by now
        return (
            "the model keeps a state from call to call, so that it answers differently when "
            "the same clip is asked again; reset the state in its forward"
        )
    return (
        "the model answers differently when a clip is alone and when it is in a batch with "
        "others; give max_batch=1, or have it compute each row of the batch by itself"
    )


def _output(route: Route, latents: Latents, original: Tensor, ends: Tensor) -> str:
    """Whether the answers look like probabilities, where nobody has said what they are."""
    model = route.model
    given = torch.cat([a.flatten(0, -2) for a in (original, ends)])
    found = None if model.output is not None or not model.classifies else probable_output(given)
    if found is not None and found[1] == BETWEEN:
        levels = torch.cat([latents.values * level for level in LEVELS])
        asked = [route(part, latents.context) for part in torch.split(levels, 1)]
        found = probable_output(torch.cat([given, *(a.flatten(0, -2) for a in asked)]))
    if found is None:
        return ""
    output, why = found
    wrong = (
        "the score that is explained is not a logit"
        if output == "log-probabilities" and not model.multilabel
        else "the probabilities shown are squashed twice"
    )
    advice = ", multilabel=True" if why == BETWEEN and not model.multilabel else ""
    return (
        f"the model's answers look like {output} ({why}), and were taken for logits, so {wrong}; "
        f"say output={output!r}{advice} where it is wrapped (?output={output} in a reference), "
        "or 'logits' where they are logits"
    )
