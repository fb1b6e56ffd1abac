"""Listen to Interpret's network: from hidden layers to activations of a dictionary of spectra."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from sklearn.decomposition import NMF
from torch import Tensor, nn
from torch.nn import functional

from xplain import Latents, PluginError
from xplain.score import Route
from xplain_interpreters.layers import Layer
from xplain_interpreters.trained.interpreter import ROWS, Interpreter, Training

FRAMES = 4000
"""Frames that the dictionary is learnt from, at most."""


class Parts(Interpreter):
    """Activations H ≥ 0 of components W ≥ 0 of the latents, and a linear model on them.

    Parekh et al. (2022), "Listen to Interpret: Post-hoc Interpretability for Audio Networks with
    NMF": Ψ reads H (K, N) off the hidden layers so that X ≈ W H (sec. 3.1), W is learnt before by
    NMF, and Θ says by z = Σ_t a_t h_t, attention over time, what the model says.
    """

    kind = "listen-to-interpret"
    dictionary: Tensor

    def __init__(self, layers: Sequence[Layer], sizes: Mapping[str, int]) -> None:
        """Make Ψ and Θ for ``components`` of ``channels``, and ``labels``."""
        super().__init__(layers, sizes)
        width, components = sizes["width"], sizes["components"]
        self.register_buffer("dictionary", torch.zeros(sizes["channels"], components))
        self.activate = nn.Sequential(
            nn.Conv1d(width * ROWS, width * 4, 5, padding=2),
            nn.GELU(),
            nn.Conv1d(width * 4, components, 5, padding=2),
            nn.Softplus(),
        )
        self.attend = nn.Conv1d(components, 1, 1)
        self.theta = nn.Linear(components, sizes["labels"])

    def forward(self, hidden: Mapping[str, Tensor], shape: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Activations (B, K, N) for latents of shape (B, D, N), and attention (B, N) of sum 1."""
        read = self.read(hidden, shape[0], (ROWS, shape[-1])).flatten(1, 2)
        activations: Tensor = self.activate(read)
        attention: Tensor = self.attend(activations)[:, 0].softmax(dim=-1)
        return activations, attention

    def prepare(self, values: Tensor, seed: int) -> None:
        """Learn the dictionary from latents (B, D, N), which are not negative."""
        if bool((values < 0).any()):
            raise PluginError(
                "listen-to-interpret takes latents apart that are not negative, such as stft's"
            )
        frames = values.transpose(0, 1).flatten(1)
        frames = frames[:, :: -(-frames.shape[1] // FRAMES)]
        solver = NMF(
            self.sizes["components"], init="nndsvda", max_iter=300, tol=1e-3, random_state=seed
        )
        solver.fit(frames.T.double().cpu().numpy())
        found = torch.from_numpy(solver.components_.T).float()
        # All of them at 1 are as loud as a frame on average: activations begin near that, where
        # louder ones would be silenced by the first steps for good, and fainter ones say nothing.
        each = frames.sum(dim=0).mean() / found.shape[1]
        self.dictionary.copy_(found / found.sum(dim=0).clamp_min(1e-9) * each)

    def cost(
        self,
        route: Route,
        hidden: Mapping[str, Tensor],
        latents: Latents,
        silence: Tensor,
        logits: Tensor,
        weights: Training,
    ) -> Tensor:
        """The paper's loss (eq. 5): the model's output, α |X − W H|² and β |H|.

        The output is followed by cross-entropy with the model's probabilities; the second is a
        share of |X|², and the third a mean.
        """
        activations, attention = self(hidden, latents.values.shape)
        said = self.theta((activations * attention[:, None]).sum(dim=2))
        if route.model.multilabel:
            follows = functional.binary_cross_entropy_with_logits(said, logits.sigmoid())
        else:
            follows = functional.cross_entropy(said, logits.softmax(dim=1))
        missing = (latents.values - self.dictionary @ activations).square().mean()
        share = missing / latents.values.square().mean().clamp_min(1e-9)
        cost: Tensor = follows + weights.reconstruction * share + weights.quiet * activations.mean()
        return cost

    def relevance(self, activations: Tensor, attention: Tensor, label: int) -> Tensor:
        """What each component in each frame adds to a label's output: (K, N) of one clip.

        θ_ck a_t h_kt; they sum to the output less the bias.
        """
        added: Tensor = self.theta.weight[label][:, None] * attention[0] * activations[0]
        return added

    @classmethod
    def sizes_of(cls, training: Training, channels: int, labels: int) -> dict[str, int]:
        """The width, the components, the channels of the latents and the labels."""
        return {
            "width": training.width,
            "components": training.components,
            "channels": channels,
            "labels": labels,
        }
