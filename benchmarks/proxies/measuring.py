"""Everything that is measured of one proxy: counts of every recording, and what they make."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from proxies.controls import controls
from proxies.explaining import Explanations, distinctness, explanations
from proxies.resynthesis import mask_of, resynthesised, si_sdr
from proxies.scenes import Scene
from xplain.interfaces import Thresholds
from xplain.segmentation.tracker import stretches
from xplain_evaluation.metrics import proxy as metrics
from xplain_nmf.config import LABELS
from xplain_nmf.model import NmfProxy
from xplain_nmf.spectrum import FRAME_STEP, stft
from xplain_nmf.training.teachers import Teacher

DRAWS = 5
"""Random sets of components that the most relevant ones are compared with."""
FEW = 25
"""Frames of a label below which nothing is taken out of a recording for it."""
ALONE = 40.0
"""dB of SI-SDR above which a mixture is the stem already, so that nothing can be improved."""

Counts = dict[str, float]
"""Of a recording: "name", or "name label"; what was not counted there is missing."""


def measure(
    proxy: NmfProxy,
    teacher: Teacher,
    training: Sequence[Scene],
    data: Mapping[str, Sequence[Scene]],
    hearing: Teacher | None = None,
    seed: int = 0,
) -> Iterator[tuple[str, list[Counts]]]:
    """A data set's name and the counts of its recordings; components are chosen on ``training``.

    hearing: who is asked about audio without an explanation, or of nothing else, where that is
    not the teacher but a faster one of the same weights.
    """
    proxy.eval()
    hearing = hearing or teacher
    chosen = explanations(proxy, hearing, training)
    draw = torch.Generator().manual_seed(seed)
    size = len(chosen.top[0])
    sets = [torch.randperm(proxy.config.components, generator=draw)[:size] for _ in range(DRAWS)]
    cosine = float(distinctness(proxy, chosen.relevance))
    for name, scenes in data.items():
        found = []
        for scene in scenes:
            counts: Counts = {"prototype cosine": cosine}
            with torch.no_grad():
                _decisions(proxy, teacher, scene, chosen, sets, counts)
                _sound(proxy, hearing, scene, chosen, draw, counts)
            found.append(counts)
        yield name, found


@torch.no_grad()
def level_change(proxy: NmfProxy, scenes: Sequence[Scene], decibels: float = 20.0) -> float:
    """Share of all decisions that change when scenes are turned up or down; the larger of both."""
    rules = proxy.config.make_thresholds()

    def decided(gain: float) -> Tensor:
        waveforms = [10 ** (gain / 20) * scene.waveform[None] for scene in scenes]
        return torch.cat([decide(proxy(each).parts()[0][0], rules) for each in waveforms])

    plain = decided(0.0)
    return max(float((decided(gain) != plain).double().mean()) for gain in (decibels, -decibels))


def decide(logits: Tensor, thresholds: Mapping[str, Thresholds]) -> Tensor:
    """Logits (T, L) → decisions (T, L) bool, by onset, offset and minimum durations."""
    decided = torch.zeros_like(logits, dtype=torch.bool)
    columns = logits.sigmoid().T.contiguous().numpy()
    for number, (column, threshold) in enumerate(zip(columns, thresholds.values(), strict=True)):
        for first, end in stretches(column, threshold, FRAME_STEP):
            decided[first:end, number] = True
    return decided


def _decisions(
    proxy: NmfProxy,
    teacher: Teacher,
    scene: Scene,
    chosen: Explanations,
    sets: Sequence[Tensor],
    counts: Counts,
) -> None:
    """The teacher's and the proxy's, with all components and with some zeroed; W H against X."""
    rules, weight = proxy.config.make_thresholds(), proxy.theta.weight
    x, h = (each[0] for each in proxy.analyse(scene.waveform[None]))
    logits, counted = proxy.head(h[None])[0], proxy.spread(h[None])[0]
    added = [
        (row[top, None] * counted[top]).sum(0) for row, top in zip(weight, chosen.top, strict=True)
    ]
    said = {
        "teacher": decide(teacher(scene.waveform[None])[0], rules),
        "proxy": decide(logits, rules),
        "without": decide(logits - torch.stack(added, 1), rules),
    }
    for number, members in enumerate(sets):
        said[f"random {number}"] = decide(logits - (weight[:, members] @ counted[members]).T, rules)
    for number, label in enumerate(proxy.config.labels):
        counts[f"frames {label}"] = len(logits)
        agree = said["teacher"][:, number] == said["proxy"][:, number]
        counts[f"agree {label}"] = int(agree.sum())
        if label not in scene.known:
            continue
        truth = scene.labels[:, LABELS.index(label)]
        counts[f"truth {label}"] = int(truth.sum())
        counts[f"absent {label}"] = int((~truth).sum())
        for who, decisions in said.items():
            counts[f"said {who} {label}"] = int(decisions[:, number].sum())
            counts[f"hit {who} {label}"] = int((decisions[:, number] & truth).sum())
    counts["error"] = float((x - proxy.dictionary @ h).square().sum())
    counts["variance"] = float((x - x.mean(1, keepdim=True)).square().sum())
    counts["active"] = metrics.active_share(h)


def _sound(
    proxy: NmfProxy,
    hearing: Teacher,
    scene: Scene,
    chosen: Explanations,
    draw: torch.Generator,
    counts: Counts,
) -> None:
    """The explanations as audio: alone, against the stems and where the label is absent; and taken
    out of the audio, beside wrong masks of the same energy."""
    samples = len(scene.waveform)
    transform = stft(scene.waveform[None])
    power = transform[0].abs().square()
    h = proxy.activations(scene.waveform[None])[0]
    for number, label in enumerate(proxy.config.labels):
        if label not in scene.known:
            continue
        rule = {label: proxy.config.make_thresholds()[label]}

        def heard(
            audio: Tensor, number: int = number, rule: Mapping[str, Thresholds] = rule
        ) -> Tensor:
            return decide(hearing(audio, number)[0, :, [number]], rule)[:, 0]

        there = scene.labels[:, LABELS.index(label)]
        mask = mask_of(proxy, h, chosen.members[number])
        alone = resynthesised(mask, transform, samples)
        before, after = heard(scene.waveform[None]), heard(alone)
        counts[f"false audio {label}"] = int(before[~there].sum())
        counts[f"false alone {label}"] = int(after[~there].sum())
        if int(there.sum()) < FEW:
            continue
        stem = scene.stems.get(label)
        if stem is not None and stem.any():
            mixed = si_sdr(scene.waveform, stem)
            if mixed < ALONE:
                counts[f"SI-SDR {label}"] = si_sdr(alone[0], stem) - mixed
        counts[f"there {label}"] = int(there.sum())
        counts[f"heard audio {label}"] = int(before[there].sum())
        counts[f"heard alone {label}"] = int(after[there].sum())
        wrong = controls(proxy, h, chosen, number, power, there, draw)
        for name, draws in {"explanation": [mask], **wrong}.items():
            left = [heard(resynthesised(1 - removed, transform, samples)) for removed in draws]
            counts[f"heard {name} {label}"] = sum(int(s[there].sum()) for s in left) / len(left)
