"""L-MAC's decoder: from hidden layers to a mask over the latents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from xplain import Latents, Model
from xplain.score import Route
from xplain_interpreters.layers import Layer
from xplain_interpreters.trained.interpreter import Interpreter, Training

STAGES = (8, 4, 2, 1)
"""Parts of the latents' resolution at which the mask is made, one after another."""


class Decoder(Interpreter):
    """Each layer is brought to a coarse grid; their sum is refined to a mask (B, D, N) of 0 to 1.

    As in the paper, the layers are joined from coarse to fine by convolutions with upsampling; the
    sizes are not the paper's, since any model's layers have to fit.
    """

    kind = "l-mac"

    def __init__(self, layers: Sequence[Layer], sizes: Mapping[str, int]) -> None:
        """Refine with ``width`` channels."""
        super().__init__(layers, sizes)
        width = sizes["width"]
        self.refine = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.GroupNorm(1, width), nn.GELU())
            for _ in STAGES
        )
        self.out = nn.Conv2d(width, 1, 1)

    def forward(self, hidden: Mapping[str, Tensor], shape: Sequence[int]) -> Tensor:
        """Outputs of the layers, by name, for latents of shape (B, D, N) → masks (B, D, N)."""
        clips, *shape = shape
        total = self.read(hidden, clips, [-(-length // STAGES[0]) for length in shape])
        for part, refine in zip(STAGES, self.refine, strict=True):
            size = [-(-length // part) for length in shape]
            total = refine(functional.interpolate(total, size=size, mode="bilinear"))
        mask: Tensor = self.out(total)[:, 0].sigmoid()
        return mask

    def cost(
        self,
        route: Route,
        hidden: Mapping[str, Tensor],
        latents: Latents,
        silence: Tensor,
        logits: Tensor,
        weights: Training,
    ) -> Tensor:
        """The paper's loss of the masks of these clips."""
        mask = self(hidden, latents.values.shape)
        return loss(route, mask, latents, silence, logits.argmax(dim=1), weights)

    @classmethod
    def sizes_of(cls, training: Training, channels: int, labels: int) -> dict[str, int]:
        """The width alone."""
        return {"width": training.width}


def loss(
    route: Route,
    mask: Tensor,
    latents: Latents,
    silence: Tensor,
    decided: Tensor,
    weights: Training,
) -> Tensor:
    """What a mask (B, D, N) of latents costs: the mean over clips.

    Paissan, Ravanelli, Subakan (2024), "Listenable Maps for Audio Classifiers", eqs. 1-3:
    λ_in CE(f(M ⊙ X), ŷ) − λ_out CE(f((1 − M) ⊙ X), ŷ) + λ_s |M| + λ_g |M ⊙ X − X|, with means in
    place of norms. silence: latents (1, D, N) that stand where nothing is left. decided: ŷ (B,).
    """
    values = latents.values
    kept, rest = (torch.lerp(silence.expand_as(values), values, m) for m in (mask, 1 - mask))
    inside = against(route.model, route(kept, latents.context), decided)
    outside = against(route.model, route(rest, latents.context), decided)
    return (
        weights.inside * inside
        - weights.outside * outside
        + weights.sparsity * mask.mean()
        + weights.guidance * (kept - values).abs().mean()
    )


def against(model: Model, logits: Tensor, decided: Tensor) -> Tensor:
    """Cross-entropy of logits (B, L) and decisions (B,); of independent labels, the label's own."""
    if model.multilabel:
        return functional.softplus(-logits.gather(1, decided[:, None])).mean()
    return functional.cross_entropy(logits, decided)
