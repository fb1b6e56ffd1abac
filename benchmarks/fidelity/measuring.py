"""One clip: explained by every method, edited at every ratio, decided by two classifiers."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from recordings import Recording
from torch import Tensor

import xplain
from fidelity.plan import AGAIN, CONTROLS, GRADIENTS, METHODS, RATIOS, SPELT
from xplain.audio import read, resample
from xplain.borrowing import borrowed, seeded
from xplain.explaining import compare_each
from xplain.explanation import Explanation
from xplain.job import Job
from xplain.live import LiveClip
from xplain.selection import Selection, top
from xplain_evaluation.benchmark import Method
from xplain_evaluation.benchmark.journal import Key, Record
from xplain_evaluation.measure import Measurement
from xplain_evaluation.structured import structured


@dataclass(frozen=True)
class Cell:
    """What is explained, and where: one classifier, in its latents or in the waveform.

    judge: another classifier on the same latents, trained independently. space: "latent" or
    "waveform".
    """

    data: str
    codec: str
    seed: int
    model: xplain.Model
    judge: xplain.Model
    space: str

    def methods(self) -> list[Method]:
        """Those that apply: through a codec without gradients, no method that needs them."""
        assert self.model.reads is not None
        passes = self.space == "latent" or self.model.reads.encode_differentiable
        chosen = [m for m in METHODS if passes or m.label not in GRADIENTS]
        if self.seed > 0:
            return [method for method in chosen if method.label in AGAIN]
        if self.space == "latent":
            return chosen
        # Windows of 50 ms that overlap by half, instead of hundreds that a codec has to hear.
        wide = self.model.sample_rate // 20
        window = {"window": f"1x{wide}", "stride": f"1x{wide // 2}"}
        return [
            Method(m.label, m.explainer, window) if m.label == "occlusion" else m for m in chosen
        ]

    def numbers(self, model: xplain.Model) -> list[int]:
        """Of each label of a classifier its number among the judge's, as all is recorded."""
        return [self.judge.labels.index(SPELT.get(label, label)) for label in model.labels]

    def key(self, method: str, place: int) -> Key:
        """Of a record in the journal."""
        return (f"{self.codec}-{self.seed}", self.data, self.space, method, place)

    def jobs(self) -> list[Job]:
        """One for each method."""
        first, *others = self.methods()
        job = Job.prepare(
            self.model,
            {
                "synthesizer": self.model.reads if self.space == "latent" else "waveform",
                "explainer": first.explainer,
                "params": first.params,
                "seed": 0,
            },
        )
        return [job, *(job.by(m.explainer, m.params) for m in others)]


def measured(
    cell: Cell, jobs: Sequence[Job], clip: Recording, content: str, place: int
) -> list[Record]:
    """What is decided of one clip under every method: a record for each, see decisions()."""
    started = time.perf_counter()
    explanations: list[Explanation] = []
    for result in compare_each([clip.path], jobs):
        if not isinstance(result, Explanation):
            raise result.error
        explanations.append(result)
    values = list(decisions(cell, clip, explanations))
    seconds = (time.perf_counter() - started) / len(explanations)
    return [
        Record(
            cell.key(m.label, place),
            clip.path.name,
            content,
            tuple(said),
            None,
            e.warnings,
            None,
            seconds,
        )
        for m, e, said in zip(cell.methods(), explanations, values, strict=True)
    ]


@torch.no_grad()
def decisions(
    cell: Cell, clip: Recording, explanations: Sequence[Explanation]
) -> Iterator[list[Measurement]]:
    """For each explanation the numbers of the labels that are decided for.

    Names of the measurements: "label", the annotated one; "own model" and "own judge", of the
    clip as it is; and KIND WHERE JUDGE with the ratio, such as "keep reencoded judge": what is left
    of the clip when the top ρ alone is kept, decoded, encoded again and given to the judge.
    "unchanged reencoded model" is the codec's round trip. In latents that the classifier reads
    also "keep latents CONTROL", of integrated gradients: what the control that takes as much
    energy, one of CONTROLS, keeps in their place.
    """
    live = explanations[0].live
    route = live.job.route
    masks = [mask(e, live.seed) for e in explanations]
    whole = torch.ones_like(masks[0][:1])
    said = _said(cell, live, torch.cat([whole, *masks]))
    with borrowed(route, live.job.device):
        sound = resample(read(clip.path), cell.model.sample_rate).waveform
        own = route.reads.encode(sound[None]).values
        fixed = [
            Measurement("label", None, float(cell.judge.labels.index(clip.label))),
            *(
                Measurement(f"own {who}", None, float(_decided(cell, model, own)[0]))
                for who, model in (("model", cell.model), ("judge", cell.judge))
            ),
            *(Measurement(f"unchanged {name}", None, float(row[0])) for name, row in said.items()),
        ]
    count = len(masks[0])
    for number in range(len(explanations)):
        start = 1 + number * count
        values = list(fixed)
        for name, row in said.items():
            for place in range(count):
                kind = "keep" if place < len(RATIOS) else "remove"
                ratio = RATIOS[place % len(RATIOS)]
                values.append(Measurement(f"{kind} {name}", ratio, float(row[start + place])))
        if cell.methods()[number].label == AGAIN[0] and route.direct:
            numbers = cell.numbers(cell.model)
            for control, found in structured(explanations[number], RATIOS):
                for kind, some in (("keep", found.kept), ("remove", found.removed)):
                    for ratio, place in zip(RATIOS, some.argmax(1).tolist(), strict=True):
                        name = f"{kind} latents {CONTROLS[control]}"
                        values.append(Measurement(name, ratio, float(numbers[place])))
        yield values


def mask(explanation: Explanation, seed: int) -> Tensor:
    """What stays when each ratio is kept, then when it is removed: bool (2 R, D, N)."""
    selection, groups = Selection(**explanation.selection), explanation.live.groups()
    generator = torch.Generator().manual_seed(seed)
    rank = selection.rank(explanation.attribution, groups, generator)
    kept = torch.stack([top(rank, ratio) for ratio in RATIOS])
    return torch.cat([kept, ~kept])


def _said(cell: Cell, live: LiveClip, keeps: Tensor) -> dict[str, list[int]]:
    """Decisions about the clip with only ``keeps`` (n, D, N) left, each sound decoded once."""
    route = live.job.route
    asked = [("model", cell.model), ("judge", cell.judge)]
    said: dict[str, list[int]] = {}
    with borrowed(route, live.job.device), seeded(live.seed, live.job.device):
        for part in torch.split(keeps, live.max_batch):
            variants = live.draws(part)[:, 0]
            again = route.reads.encode(route.audible(variants, live.latents.context)).values
            for where, latents in [
                ("reencoded", again),
                *([("latents", variants)] if route.direct else []),
            ]:
                for who, model in asked:
                    said.setdefault(f"{where} {who}", []).extend(_decided(cell, model, latents))
    return said


def _decided(cell: Cell, model: xplain.Model, latents: Tensor) -> list[int]:
    """Numbers of the labels that a classifier decides for, of latents (n, D, N)."""
    numbers = cell.numbers(model)
    return [numbers[place] for place in model(latents).argmax(1).tolist()]
