"""What one training step minimises: the weighted terms of a loss, for a batch of scenes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from xplain_nmf.config import KIND_OF
from xplain_nmf.model import NmfProxy, ProxyOutput
from xplain_nmf.spectrum import istft, stft
from xplain_nmf.training import losses
from xplain_nmf.training.recordings import STEMS
from xplain_nmf.training.teachers import Teacher

RELEVANT = 0.1
"""Share of the components that a label is to stand and fall with."""
FEW = 25
"""Frames of a label in a scene below which its explanation is not resynthesised."""


@dataclass(frozen=True)
class Weights:
    """How much each term counts; 0 leaves it out.

    distillation, factorisation, sparsity: α, β and γ of the paper. separation: of the stems,
    by the components of each kind. necessity: without its most relevant components a label is
    lost. removal: the teacher loses a label when its explanation is taken out of the audio.
    keeping: the teacher keeps it when only the explanation is left.
    """

    distillation: float = 10.0
    factorisation: float = 5.0
    sparsity: float = 0.1
    separation: float = 0.0
    necessity: float = 0.0
    removal: float = 0.0
    keeping: float = 0.0


@dataclass(frozen=True)
class Objective:
    """The weighted terms of a loss, which add up to it.

    weights: see Weights. start: share of the training after which necessity, removal and
    keeping begin: first there has to be something to be necessary. thinning: factorisation and
    separation look at every so manyth frame, another one each step (windows overlap 3.2-fold).
    resynthesised: scenes of a batch whose explanations the teacher segments as audio; every: in
    every so manyth step.
    """

    weights: Weights = Weights()
    start: float = 0.0
    thinning: int = 1
    resynthesised: int = 2
    every: int = 2

    def terms(
        self,
        proxy: NmfProxy,
        output: ProxyOutput,
        batch: Mapping[str, Tensor],
        teacher: Teacher | None,
        step: int,
        progress: float,
    ) -> dict[str, Tensor]:
        """The weighted terms for what the proxy gave for a batch.

        batch: "waveform" (B, samples), "teacher" (B, T, L), and "stems" (B, 3, samples), without
        which separation drops out. teacher: for removal and keeping, which drop out without
        it. progress: share of the training that is over.
        """
        weights, said = self.weights, batch["teacher"]
        logits, h, x = output.parts()
        thin = slice(step % self.thinning, None, self.thinning)
        made = proxy.dictionary @ h[..., thin]
        terms = {
            "distillation": weights.distillation * losses.distillation(logits, said),
            "factorisation": weights.factorisation * losses.factorisation(x[..., thin], made),
            "sparsity": weights.sparsity * losses.sparsity(h),
        }
        if weights.separation and "stems" in batch:
            separated = self._separation(proxy, h[..., thin], x[..., thin], batch, thin)
            terms["separation"] = weights.separation * separated
        if progress < self.start:
            return terms
        if weights.necessity:
            terms["necessity"] = weights.necessity * necessity(proxy, logits, h, said)
        if teacher is not None and (weights.removal or weights.keeping) and step % self.every == 0:
            removed, kept = self._removed_and_kept(proxy, h, batch, teacher)
            terms["removal"] = self.every * weights.removal * removed
            terms["keeping"] = self.every * weights.keeping * kept
        return terms

    def _separation(
        self, proxy: NmfProxy, h: Tensor, x: Tensor, batch: Mapping[str, Tensor], thin: slice
    ) -> Tensor:
        """Masks of the kinds against the stems; overlap is speech where two sound."""
        stems = batch["stems"]
        mixture = stft(batch["waveform"])[..., thin]
        parts = stft(stems.reshape(-1, stems.shape[-1]))[..., thin]
        parts = parts.reshape(*stems.shape[:2], *parts.shape[1:])
        ideal = dict(zip(STEMS, losses.ideal_shares(parts, mixture).unbind(1), strict=True))
        kinds = proxy.config.kinds
        shares, _ = losses.group_shares(proxy.dictionary, h, _membership(proxy, h))
        share = dict(zip(kinds, shares.unbind(1), strict=True))
        wholes = [kind for kind in ideal if kind in kinds]
        together = [
            sum((share[k] for k in proxy.config.kinds_of(kind)), torch.zeros(())) for kind in wholes
        ]
        loss = losses.separation(
            torch.stack(together, 1), torch.stack([ideal[kind] for kind in wholes], 1), x
        )
        for kind, whole in KIND_OF.items():
            if kind in kinds and whole in wholes and kind in proxy.config.labels:
                there = batch["teacher"][:, thin, proxy.config.labels.index(kind)][:, None]
                both = torch.stack([share[kind], share[whole]], 1)
                split = torch.stack([ideal[whole] * there, ideal[whole] * (1 - there)], 1)
                loss = loss + losses.separation(both, split, x)
        return loss

    def _removed_and_kept(
        self, proxy: NmfProxy, h: Tensor, batch: Mapping[str, Tensor], teacher: Teacher
    ) -> tuple[Tensor, Tensor]:
        """One label's explanation, taken out of some scenes and left alone in them."""
        first = slice(self.resynthesised)
        waveform, said = batch["waveform"][first], batch["teacher"][first]
        there = decided(proxy, said)
        known = [
            label
            for label, count in enumerate(there.sum((0, 1)).tolist())
            if count >= FEW and proxy.config.kinds_of(proxy.config.labels[label])
        ]
        if not known:
            return h.new_zeros(()), h.new_zeros(())
        label = known[int(torch.randint(len(known), ()))]
        own = proxy.config.kinds_of(proxy.config.labels[label])
        shares, _ = losses.group_shares(proxy.dictionary, h[first], _membership(proxy, h))
        mask = sum(
            (shares[:, n] for n, kind in enumerate(proxy.config.kinds) if kind in own),
            torch.zeros(()),
        )
        transform, samples = stft(waveform), waveform.shape[-1]
        limit = onsets(proxy, said).logit()[label]
        without = teacher(istft((1 - mask) * transform, samples))[..., label]
        removed = losses.lost(without - limit, there[..., label])
        if not self.weights.keeping:
            return removed, h.new_zeros(())
        alone = teacher(istft(mask * transform, samples))[..., label]
        return removed, losses.kept(alone - limit, there[..., label])


def necessity(proxy: NmfProxy, logits: Tensor, h: Tensor, said: Tensor) -> Tensor:
    """How far the labels are from being lost without their most relevant components.

    Those are the tenth of K whose relevance, over the batch's frames of the label, is largest.
    """
    weight, there = proxy.theta.weight, decided(proxy, said)
    count = max(1, round(RELEVANT * h.shape[1]))
    with torch.no_grad():
        relevance = weight * torch.einsum("bkt,btl->lk", h, there)
        top = relevance.topk(count, dim=1).indices
    added = torch.stack(
        [torch.einsum("k,bkt->bt", w[t], h[:, t]) for w, t in zip(weight, top, strict=True)], dim=-1
    )
    without = logits - added - onsets(proxy, said).logit()
    each = [losses.lost(a, b) for a, b in zip(without.unbind(-1), there.unbind(-1), strict=True)]
    return torch.stack(each).mean()


def decided(proxy: NmfProxy, said: Tensor) -> Tensor:
    """1 where the teacher's probabilities (B, T, L) reach the onset of the label, else 0."""
    return (said >= onsets(proxy, said)).float()


def onsets(proxy: NmfProxy, like: Tensor) -> Tensor:
    """The probability from which on each label is decided: (L,)."""
    return torch.tensor([t.onset for t in proxy.config.make_thresholds().values()]).to(like)


def _membership(proxy: NmfProxy, like: Tensor) -> Tensor:
    """Which of the kinds each component is of: (K,)."""
    kinds = proxy.config.kinds
    numbers = [kinds.index(kind) for kind in proxy.config.component_labels or ()]
    return torch.tensor(numbers, device=like.device)
