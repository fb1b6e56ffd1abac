"""What one training step minimises: the weighted terms of a loss, for a batch of scenes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

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
    keeping: the teacher keeps it when only the explanation is left. silence: it does not hear it
    there where the label is absent. contrast: it keeps the label when a wrong mask takes as much
    energy out of the audio: the explanation's, shifted in frequency or with its frames shuffled, or
    another label's. gating: what the gates of a label's components say, against the teacher.
    """

    distillation: float = 10.0
    factorisation: float = 5.0
    sparsity: float = 0.1
    separation: float = 0.0
    necessity: float = 0.0
    removal: float = 0.0
    keeping: float = 0.0
    silence: float = 0.0
    contrast: float = 0.0
    gating: float = 0.0


@dataclass(frozen=True)
class Objective:
    """The weighted terms of a loss, which add up to it.

    weights: see Weights. start: share of the training after which necessity and what the teacher
    hears of explanations begin: first there has to be something to be necessary. thinning:
    factorisation and separation look at every so manyth frame, another one each step (windows
    overlap 3.2-fold). resynthesised: scenes of a batch whose explanations the teacher segments as
    audio; every: in every so manyth step.
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

        batch: "waveform" (B, samples), "teacher" (B, T, L), and "stems" (B, 3, samples) with
        "separable" (B,), 1 where they are known; without them separation drops out. teacher: for
        removal, keeping, silence and contrast, which drop out without it. progress: share of the
        training that is over.
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
        if weights.gating and output.gates is not None and proxy.config.gated:
            terms["gating"] = weights.gating * gating(proxy, output.gates.float(), said)
        apart = batch["separable"].bool() if "stems" in batch else torch.zeros(len(h)).bool()
        if weights.separation and bool(apart.any()):
            known = {name: value[apart] for name, value in batch.items()}
            separated = self._separation(
                proxy, h[apart][..., thin], x[apart][..., thin], known, thin
            )
            terms["separation"] = weights.separation * apart.float().mean() * separated
        if progress < self.start:
            return terms
        if weights.necessity:
            terms["necessity"] = weights.necessity * necessity(proxy, logits, h, said)
        heard = weights.removal or weights.keeping or weights.silence or weights.contrast
        if teacher is not None and heard and step % self.every == 0:
            for name, value in self._heard(proxy, h, batch, teacher).items():
                terms[name] = self.every * getattr(weights, name) * value
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

    def _heard(
        self, proxy: NmfProxy, h: Tensor, batch: Mapping[str, Tensor], teacher: Teacher
    ) -> dict[str, Tensor]:
        """What the teacher says of one label's explanation, taken out of scenes and left alone."""
        first = slice(self.resynthesised)
        waveform, said = batch["waveform"][first], batch["teacher"][first]
        there = decided(proxy, said)
        known = [
            label
            for label, count in enumerate(there.sum((0, 1)).tolist())
            if count >= FEW and proxy.config.kinds_of(proxy.config.labels[label])
        ]
        if not known:
            return {}
        label = known[_drawn(len(known))]
        own = proxy.config.kinds_of(proxy.config.labels[label])
        others = [n for n, c in enumerate(proxy.config.labels) if n != label and c not in own]
        shares, _ = losses.group_shares(proxy.dictionary, h[first], _membership(proxy, h))
        mask = _mask(proxy, shares, own)
        transform, samples = stft(waveform), waveform.shape[-1]
        limit, where = onsets(proxy, said).logit()[label], there[..., label]
        # What is heard in silence is not lost where nothing else is left, nor has to be silent.
        losable = where
        if teacher.in_silence[label]:
            losable = where * there[..., others].amax(-1) if others else 0 * where

        def hears(mask: Tensor) -> Tensor:
            logits: Tensor = teacher(istft(mask * transform, samples), label)
            return logits[..., label] - limit

        terms = {}
        if self.weights.removal:
            terms["removal"] = losses.lost(hears(1 - mask), losable)
        silence = self.weights.silence and not teacher.in_silence[label]
        if self.weights.keeping or silence:
            alone = hears(mask)
            if self.weights.keeping:
                terms["keeping"] = losses.kept(alone, where)
            if silence:
                terms["silence"] = losses.lost(alone, 1 - where)
        if self.weights.contrast:
            wrong = _wrong(proxy, mask, shares, others)
            power = torch.view_as_real(transform).square().sum(-1)
            wrong = losses.equal_energy(mask, wrong, power, where)
            terms["contrast"] = losses.kept(hears(1 - wrong), where)
        return terms


def gating(proxy: NmfProxy, gates: Tensor, said: Tensor) -> Tensor:
    """Cross-entropy of the gates' logits (B, G, T) against what the teacher decides."""
    columns = [proxy.config.labels.index(kind) for kind in proxy.config.gated]
    there = decided(proxy, said)[..., columns].transpose(1, 2)
    return functional.binary_cross_entropy_with_logits(gates, there)


def _mask(proxy: NmfProxy, shares: Tensor, kinds: tuple[str, ...]) -> Tensor:
    """Share of W H that some kinds make: (B, F, T)."""
    chosen = [n for n, kind in enumerate(proxy.config.kinds) if kind in kinds]
    return shares[:, chosen].sum(1)


def _wrong(proxy: NmfProxy, mask: Tensor, shares: Tensor, others: list[int]) -> Tensor:
    """The mask shifted in frequency, or with its frames shuffled, or that of another label."""
    kind = _drawn(3 if others else 2)
    if kind == 0:
        return mask.roll(1 + _drawn(mask.shape[1] - 1), 1)
    if kind == 1:
        return mask[..., torch.randperm(mask.shape[2]).to(mask.device)]
    label = proxy.config.labels[others[_drawn(len(others))]]
    return _mask(proxy, shares, proxy.config.kinds_of(label))


def _drawn(below: int) -> int:
    return int(torch.randint(below, ()))


def necessity(proxy: NmfProxy, logits: Tensor, h: Tensor, said: Tensor) -> Tensor:
    """How far the labels are from being lost without their most relevant components.

    Those are the tenth of K whose relevance, over the batch's frames of the label, is largest.
    """
    weight, there, h = proxy.theta.weight, decided(proxy, said), proxy.spread(h)
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
