"""Methods that score many coalitions: some groups kept, the others set to the baseline."""

from __future__ import annotations

import captum.attr
from captum._utils.models.linear_model import SkLearnRidge
from torch import Tensor

from xplain import Explainer, Score
from xplain_captum.captum_calls import mean_over_draws
from xplain_captum.groups import checked_grouping, groups, several_groups, shared_out
from xplain_captum.sampling import checked_samples

GROUPS = 64
"""Blocks of the default grid. More groups need far more samples."""


class ShapleySampling(Explainer):
    """Shapley values: the mean contribution of a group over random orders.

    Castro, Gómez, Tejada (2009), "Polynomial calculation of the Shapley value based on
    sampling". A group's value is shared equally among its elements. Completeness holds for
    every order, and so for their mean, up to rounding.
    """

    completeness_tolerance = 0.01

    def __init__(self, grouping: str | None = None, orders: int = 10) -> None:
        """Take the mean over ``orders``; each costs as many evaluations as there are groups.

        grouping: element, channel, frame, block or block:CxF; None for the groups that are
        ranked, and for single elements about 64 blocks.
        """
        if not isinstance(orders, int) or orders < 1:
            raise ValueError(f"orders is a whole number, at least 1, not {orders!r}")
        self.grouping = checked_grouping(grouping)
        self.orders = orders

    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        """Attribute latents (D, N); over draws (S, D, N) of the baseline, the mean."""
        numbers = groups(score, latents, self.grouping, GROUPS)
        method = captum.attr.ShapleyValueSampling(score)

        def sampled(draw: Tensor) -> Tensor:
            attribution: Tensor = method.attribute(
                latents[None],
                baselines=draw[None],
                feature_mask=numbers[None],
                n_samples=self.orders,
                perturbations_per_eval=score.max_batch,
            )
            return shared_out(attribution[0], numbers)

        return mean_over_draws(sampled, baseline)


class KernelShap(Explainer):
    """Shapley values by a linear regression on coalitions, weighted by the Shapley kernel.

    Lundberg, Lee (2017), "A Unified Approach to Interpreting Model Predictions", theorem 2.
    A group's value is shared equally among its elements. The full and the empty coalition
    weigh a million times as much as any other, so that completeness holds.
    """

    completeness_tolerance = 0.01

    def __init__(self, grouping: str | None = None, samples: int | None = None) -> None:
        """Score ``samples`` coalitions; None for 512 and two for each group.

        grouping: element, channel, frame, block or block:CxF; None for the groups that are
        ranked, and for single elements about 64 blocks.
        """
        self.grouping = checked_grouping(grouping)
        self.samples = None if samples is None else checked_samples(samples)

    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        """Attribute latents (D, N); over draws (S, D, N) of the baseline, the mean.

        Raises PluginError where all elements are one group.
        """
        numbers = several_groups(score, latents, self.grouping, GROUPS, "kernel-shap")
        method = captum.attr.KernelShap(score)

        def regressed(draw: Tensor) -> Tensor:
            attribution: Tensor = method.attribute(
                latents[None],
                baselines=draw[None],
                feature_mask=numbers[None],
                n_samples=self.samples or enough_samples(numbers),
                perturbations_per_eval=score.max_batch,
            )
            return shared_out(attribution[0], numbers)

        return mean_over_draws(regressed, baseline)


class Lime(Explainer):
    """The weights of a linear model fitted to coalitions near the clip.

    Ribeiro, Singh, Guestrin (2016), "Why Should I Trust You?", sec. 3. Each group stays with
    probability one half; a coalition weighs exp(−distance²), with the cosine distance of its
    latents from the clip's. Ridge regression with the penalty 1 of the authors' own package:
    Captum's own choice, a lasso, sets everything to zero where scores are small. A
    group's value is shared equally among its elements. Completeness is not claimed.
    """

    def __init__(self, grouping: str | None = None, samples: int | None = None) -> None:
        """Score ``samples`` coalitions; None for 512 and two for each group.

        grouping: element, channel, frame, block or block:CxF; None for the groups that are
        ranked, and for single elements about 64 blocks.
        """
        self.grouping = checked_grouping(grouping)
        self.samples = None if samples is None else checked_samples(samples)

    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        """Attribute latents (D, N); over draws (S, D, N) of the baseline, the mean."""
        numbers = groups(score, latents, self.grouping, GROUPS)
        method = captum.attr.Lime(score, interpretable_model=SkLearnRidge(alpha=1.0))

        def fitted(draw: Tensor) -> Tensor:
            attribution: Tensor = method.attribute(
                latents[None],
                baselines=draw[None],
                feature_mask=numbers[None],
                n_samples=self.samples or enough_samples(numbers),
                perturbations_per_eval=score.max_batch,
            )
            return shared_out(attribution[0], numbers)

        return mean_over_draws(fitted, baseline)


def enough_samples(numbers: Tensor) -> int:
    """Samples that give the regression over groups (D, N) more equations than unknowns."""
    return 512 + 2 * (int(numbers.max()) + 1)
