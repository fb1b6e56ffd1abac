"""A sparse autoencoder: frames of latents as sums of a few features out of many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from xplain import Latents, PluginError
from xplain.score import Route
from xplain_interpreters.layers import Layer
from xplain_interpreters.trained.interpreter import Interpreter, Training

IDLE = 50
"""Steps after which a feature that was never active is trained to explain what is left over."""
REVIVAL = 1 / 32
"""Weight of that, as in the paper (A.2)."""


class SparseAutoencoder(Interpreter):
    """h = TopK(ReLU(W_e (x − b))) and x ≈ W_d h + b for each frame x of the latents.

    Gao et al. (2024), "Scaling and evaluating sparse autoencoders", eqs. 1-2 and A.2: ``active``
    of ``features`` are not zero in a frame; features that stay idle learn the error that is left.
    Latents are divided by one scale for all channels; features, columns of W_d, are of length 1.
    """

    kind = "sparse-autoencoder"
    reads_model = False
    scale: Tensor
    idle: Tensor

    def __init__(self, layers: Sequence[Layer], sizes: Mapping[str, int]) -> None:
        """Make W_e, W_d and b for ``channels``, ``features`` and ``active``."""
        super().__init__(layers, sizes)
        channels, features = sizes["channels"], sizes["features"]
        if sizes["active"] > features:
            raise PluginError(f"{sizes['active']} of {features} features cannot be active")
        self.decoder = nn.Parameter(torch.randn(channels, features))
        self.encoder = nn.Parameter(functional.normalize(self.decoder.detach(), dim=0).T.clone())
        self.offset = nn.Parameter(torch.zeros(features))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("idle", torch.zeros(features))

    @property
    def atoms(self) -> Tensor:
        """The features (D, K), of length 1."""
        return functional.normalize(self.decoder, dim=0)

    def forward(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Latents (B, D, N) → activations (B, K, N) ≥ 0, and what they add up to (B, D, N).

        The second lacks the bias: it is what features add to the latents.
        """
        loud = self._before(values).relu()
        best, places = loud.topk(self.sizes["active"], dim=1)
        active = torch.zeros_like(loud).scatter(1, places, best)
        return active * self.scale, self.atoms @ active * self.scale

    def prepare(self, values: Tensor, seed: int) -> None:
        """Learn the scale and the mean of latents (B, D, N)."""
        mean = values.mean(dim=(0, 2))
        self.scale.copy_((values - mean[:, None]).square().sum(dim=1).mean().sqrt().clamp_min(1e-9))
        self.bias.data.copy_(mean / self.scale)

    def cost(
        self,
        route: Route,
        hidden: Mapping[str, Tensor],
        latents: Latents,
        silence: Tensor,
        logits: Tensor,
        weights: Training,
    ) -> Tensor:
        """Squared error as a share of the variance, and that of the error by idle features."""
        active, added = self(latents.values)
        x, found = latents.values / self.scale, added / self.scale + self.bias[:, None]
        left = x - found
        share = (x - self.bias[:, None].detach()).square().sum().clamp_min(1e-9)
        with torch.no_grad():
            self.idle.add_(1).masked_fill_((active > 0).any(dim=2).any(dim=0), 0)
        cost: Tensor = left.square().sum() / share
        dead = self.idle > IDLE
        if count := min(int(dead.sum()), 2 * self.sizes["active"]):
            loud = self._before(latents.values)[:, dead].relu()
            best, places = loud.topk(count, dim=1)
            again = self.atoms[:, dead] @ torch.zeros_like(loud).scatter(1, places, best)
            cost = cost + REVIVAL * (left.detach() - again).square().sum() / share
        return cost

    def _before(self, values: Tensor) -> Tensor:
        x = values / self.scale - self.bias[:, None]
        before: Tensor = self.encoder @ x + self.offset[:, None]
        return before

    @classmethod
    def sizes_of(cls, training: Training, channels: int, labels: int) -> dict[str, int]:
        """The channels of the latents, and the features, all of them and those active."""
        return {
            "width": 1,
            "channels": channels,
            "features": training.features,
            "active": training.active,
        }
