"""Methods that take one baseline, over draws of it."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor


def mean_over_draws(attribute: Callable[[Tensor], Tensor], baseline: Tensor) -> Tensor:
    """The mean (D, N) of what ``attribute`` gives for each draw of a baseline.

    baseline: (D, N), or draws (S, D, N). The mean of the attributions adds up to the mean of
    the score differences; an attribution from the mean of the draws would not, since the
    mean of noise is not noise.
    """
    draws = baseline if baseline.ndim == 3 else baseline[None]
    total = attribute(draws[0])
    for draw in draws[1:]:
        total = total + attribute(draw)
    return total / len(draws)
