"""Everything that is measured of one proxy, on scenes and on meetings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean, median

import torch
from torch import Tensor

from proxies.controls import KINDS, controls
from proxies.explaining import Explanations, distinctness, explanations
from proxies.resynthesis import mask_of, resynthesised, si_sdr
from proxies.scenes import Scene
from xplain.interfaces import Thresholds
from xplain.segmentation.tracker import stretches
from xplain_evaluation.metrics import proxy as metrics
from xplain_nmf.model import NmfProxy
from xplain_nmf.spectrum import FRAME_STEP, stft
from xplain_nmf.training.teachers import Teacher

DRAWS = 5
"""Random sets of components that the most relevant ones are compared with."""
FEW = 25
"""Frames of a label below which a scene says nothing of it."""
ALONE = 40.0
"""dB of SI-SDR above which a mixture is the stem already, so that nothing can be improved."""


@dataclass
class Tally:
    """What is gathered over scenes; by label (number) where it is of one."""

    truth: list[Tensor] = field(default_factory=list)
    teacher: list[Tensor] = field(default_factory=list)
    proxy: list[Tensor] = field(default_factory=list)
    without_top: list[Tensor] = field(default_factory=list)
    without_random: list[list[Tensor]] = field(default_factory=lambda: [[] for _ in range(DRAWS)])
    error: float = 0.0
    variance: float = 0.0
    energy: float = 0.0
    active: list[float] = field(default_factory=list)
    improved: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    hits: dict[tuple[str, int], int] = field(default_factory=lambda: defaultdict(int))
    absent: dict[tuple[str, int], int] = field(default_factory=lambda: defaultdict(int))


@torch.no_grad()
def measure(
    proxy: NmfProxy,
    teacher: Teacher,
    training: Sequence[Scene],
    scenes: Sequence[Scene],
    seed: int = 0,
) -> dict[str, float]:
    """Figures by name, "name" or "name label"; components are chosen on ``training``."""
    proxy.eval()
    chosen = explanations(proxy, teacher, training)
    draw, tally = torch.Generator().manual_seed(seed), Tally()
    count = len(chosen.top[0])
    sets = [torch.randperm(proxy.config.components, generator=draw)[:count] for _ in range(DRAWS)]
    for scene in scenes:
        _decisions(proxy, teacher, scene, chosen, sets, tally)
        _sound(proxy, teacher, scene, chosen, draw, tally)
    found = {
        "reconstruction R2": 1 - tally.error / tally.variance,
        "relative error": tally.error / tally.energy,
        "active share": mean(tally.active),
        "prototype cosine": distinctness(proxy, chosen.relevance),
    }
    for number, label in enumerate(proxy.config.labels):
        found |= {f"{name} {label}": value for name, value in _of_label(tally, number).items()}
    return found


@torch.no_grad()
def level_changes(
    proxy: NmfProxy, scenes: Sequence[Scene], decibels: float = 20.0
) -> dict[str, float]:
    """By how much F1 changes, by label, when scenes are turned up or down; the larger of both."""
    rules, truth = proxy.config.make_thresholds(), torch.cat([scene.labels for scene in scenes])
    scores = []
    for gain in (0.0, decibels, -decibels):
        waveforms = [10 ** (gain / 20) * scene.waveform[None] for scene in scenes]
        said = torch.cat([decide(proxy(each).parts()[0][0], rules) for each in waveforms])
        scores.append([f1(truth[:, n], said[:, n]) for n in range(truth.shape[1])])
    as_it_is, up, down = (torch.tensor(score) for score in scores)
    changes = torch.maximum((up - as_it_is).abs(), (down - as_it_is).abs())
    return dict(zip(proxy.config.labels, changes.tolist(), strict=True))


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
    tally: Tally,
) -> None:
    """The teacher's and the proxy's, with all components and with some zeroed; W H against X."""
    rules, weight = proxy.config.make_thresholds(), proxy.theta.weight
    x, h = (each[0] for each in proxy.analyse(scene.waveform[None]))
    logits = proxy.head(h[None])[0]
    tally.truth.append(scene.labels)
    tally.teacher.append(decide(teacher(scene.waveform[None])[0], rules))
    tally.proxy.append(decide(logits, rules))
    added = [(row[top, None] * h[top]).sum(0) for row, top in zip(weight, chosen.top, strict=True)]
    tally.without_top.append(decide(logits - torch.stack(added, 1), rules))
    for kept, members in zip(tally.without_random, sets, strict=True):
        kept.append(decide(logits - (weight[:, members] @ h[members]).T, rules))
    tally.error += float((x - proxy.dictionary @ h).square().sum())
    tally.variance += float((x - x.mean(1, keepdim=True)).square().sum())
    tally.energy += float(x.square().sum())
    tally.active.append(metrics.active_share(h))


def _sound(
    proxy: NmfProxy,
    teacher: Teacher,
    scene: Scene,
    chosen: Explanations,
    draw: torch.Generator,
    tally: Tally,
) -> None:
    """The explanations as audio: alone, against the stems and where the label is absent; and taken
    out of the audio, beside wrong masks of the same energy."""
    rules, samples = proxy.config.make_thresholds(), len(scene.waveform)
    transform = stft(scene.waveform[None])
    power = transform[0].abs().square()
    h = proxy.activations(scene.waveform[None])[0]
    before = tally.teacher[-1]
    for number, label in enumerate(proxy.config.labels):
        there = scene.labels[:, number]
        mask = mask_of(proxy, h, chosen.members[number])
        alone = resynthesised(mask, transform, samples)
        if label in scene.known:
            said = decide(teacher(alone)[0], rules)[:, number]
            tally.absent["frames", number] += int((~there).sum())
            tally.absent["audio", number] += int(before[~there, number].sum())
            tally.absent["alone", number] += int(said[~there].sum())
            tally.hits["alone", number] += int(said[there].sum())
        tally.hits["known", number] += int(there.sum())
        if int(there.sum()) < FEW:
            continue
        stem = scene.stems.get(label)
        if stem is not None and stem.any():
            mixed = si_sdr(scene.waveform, stem)
            if mixed < ALONE:
                tally.improved[number].append(si_sdr(alone[0], stem) - mixed)
        tally.hits["frames", number] += int(there.sum())
        tally.hits["audio", number] += int(before[there, number].sum())
        wrong = controls(proxy, h, chosen, number, power, there, draw)
        for name, removed in {"explanation": mask, **wrong}.items():
            said = decide(teacher(resynthesised(1 - removed, transform, samples))[0], rules)
            tally.hits[name, number] += int(said[there, number].sum())


def _of_label(tally: Tally, number: int) -> dict[str, float]:
    truth, teacher, proxy = (
        torch.cat(each)[:, number] for each in (tally.truth, tally.teacher, tally.proxy)
    )
    found = {"fidelity": metrics.proxy_fidelity(teacher, proxy)}
    absent = tally.absent["frames", number]
    if absent:
        found["false alarms audio"] = tally.absent["audio", number] / absent
        found["false alarms proxy"] = int((proxy & ~truth).sum()) / int((~truth).sum())
        found["false alarms alone"] = tally.absent["alone", number] / absent
    if not bool(truth.any()):
        return found
    gap = metrics.f1_gap(truth, teacher, proxy)
    top = metrics.necessity_f1(truth, proxy, torch.cat(tally.without_top)[:, number])
    others = [
        metrics.necessity_f1(truth, proxy, torch.cat(kept)[:, number])
        for kept in tally.without_random
    ]
    found |= {
        "F1 teacher": f1(truth, teacher),
        "F1 proxy": f1(truth, proxy),
        "F1 gap": gap,
        "necessity": top,
        "necessity random": mean(others),
        "necessity difference": top - mean(others),
    }
    if tally.improved[number]:
        found["SI-SDR improvement"] = median(tally.improved[number])
    frames = tally.hits["frames", number]
    if frames:
        names = [k for k in ("audio", "explanation", *KINDS) if (k, number) in tally.hits]
        recall = {name: tally.hits[name, number] / frames for name in names}
        found |= {f"recall {name}": value for name, value in recall.items()}
        hardest = min(recall[name] for name in KINDS if name in recall)
        found["recall hardest control"] = hardest
        found["specific"] = hardest - recall["explanation"]
        found["recall alone"] = tally.hits["alone", number] / max(1, tally.hits["known", number])
    return found


def f1(truth: Tensor, decided: Tensor) -> float:
    """2 TP / (2 TP + FP + FN) of bool (frames,)."""
    return 2 * int((truth & decided).sum()) / max(1, int(truth.sum()) + int(decided.sum()))
