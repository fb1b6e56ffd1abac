"""Prototypes: what decides for a label over a whole corpus (arXiv 2401.08268).

Of every segment of a label the relevance r_{c,k} = θ_{c,k} · mean_t h_k(t) is taken; their mean
r̄_c over the segments is the label's prototype, and W r̄_c its spectrum.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from msgspec import Meta
from torch import Tensor, nn

from xplain import AdditiveSegmenter, audio, bands
from xplain.bands import Band
from xplain.borrowing import borrowed
from xplain.errors import ArtifactError, XplainError
from xplain.interfaces import Thresholds
from xplain.segmentation.tracker import stretches
from xplain.segmentation.windows import Windows
from xplain.storage import whole_folder
from xplain.tensors import read_tensors, to_bytes
from xplain.validated import convert, decode_json
from xplain.views import Viewable

SCHEMA = 1
"""Version of the folder; a reader refuses a newer one."""
RECORD, TENSORS, PICTURE = "prototypes.json", "prototypes.safetensors", "prototypes.png"
PAGE = "index.html"
OURS = r"prototypes\.(json|safetensors|png)|index\.html"
"""Names of the files in the folder."""
SHARE = 0.1
"""Of all components, those that are called a label's: the ones with the largest relevance."""
MOMENTS = 3
"""Of each component, in as many recordings."""
ACTIVE = 1e-8
"""Above this a component is active in a frame."""


WRITTEN = ("shared_components", "cosine_of_spectra", "moments")
"""What follows from the rest, and is written for people alone."""


@dataclass(frozen=True)
class _Label:
    segments: Annotated[int, Meta(ge=0)]
    seconds: Annotated[float, Meta(ge=0)]


@dataclass(frozen=True)
class _Stored:
    """What prototypes.json has to hold; the rest is provenance."""

    schema: int
    labels: dict[str, _Label]
    active_share: Annotated[float, Meta(ge=0, le=1)]
    kinds: tuple[str, ...] | None


@dataclass(frozen=True)
class Moment:
    """When a component was loudest in a recording. activation: its h there."""

    recording: Path
    seconds: float
    activation: float


@dataclass(frozen=True)
class Prototypes(Viewable):
    """What decides for each of L labels.

    relevance: r̄ (L, K), signed; zero for a label that never occurred. spectra: W (F, K).
    frequencies: (F,) Hz. segments, seconds: (L,), of how many and how much they are the mean.
    active_share: of all activations, those that are not zero. kinds: whose each component
    is, where the dictionary is class-wise. provenance: proxy, recordings, versions. moments: the
    loudest of each component, each in another recording; none once they are read from a folder.
    """

    labels: tuple[str, ...]
    relevance: Tensor
    spectra: Tensor
    frequencies: Tensor
    segments: tuple[int, ...]
    seconds: tuple[float, ...]
    active_share: float
    kinds: tuple[str, ...] | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    moments: tuple[tuple[Moment, ...], ...] = ()
    page: ClassVar[str] = "xplain_nmf.prototypes.plot:page"
    figure: ClassVar[str] = "xplain_nmf.prototypes.plot:figure"

    @property
    def spectrum(self) -> Tensor:
        """W r̄_c of each label: (L, F), signed."""
        return self.relevance @ self.spectra.T

    def own(self, label: int) -> list[int]:
        """A label's components: at most a tenth of all, with the largest relevance above 0."""
        count = max(1, round(SHARE * self.relevance.shape[1]))
        values, order = self.relevance[label].sort(descending=True, stable=True)
        return sorted(order[:count][values[:count] > 0].tolist())

    def shared(self) -> list[list[int]]:
        """How many components each label has in common with each: (L, L)."""
        own = [set(self.own(label)) for label in range(len(self.labels))]
        return [[len(one & other) for other in own] for one in own]

    def likeness(self) -> list[list[float]]:
        """The cosine of each label's spectrum with each: (L, L)."""
        unit = nn.functional.normalize(self.spectrum.double(), dim=1)
        return [[round(value, 6) for value in row] for row in (unit @ unit.T).tolist()]

    def save(
        self, folder: Path, picture: bytes | None = None, more: Mapping[str, bytes] | None = None
    ) -> None:
        """Write JSON, tensors and, where they are given, a picture (PNG) and more files.

        Prototypes that are already there are replaced; ArtifactError where anything else is, and
        where it cannot be written.
        """
        tensors = {"relevance": self.relevance, "spectra": self.spectra}
        tensors |= {"frequencies": self.frequencies}
        with whole_folder(folder, ours=OURS, record=RECORD) as draft:
            (draft / TENSORS).write_bytes(to_bytes(tensors))
            if picture is not None:
                (draft / PICTURE).write_bytes(picture)
            for name, content in (more or {}).items():
                (draft / name).write_bytes(content)
            text = json.dumps(self.record(), indent=2, allow_nan=False)
            (draft / RECORD).write_text(text + "\n", encoding="utf-8")

    def record(self) -> dict[str, Any]:
        """Everything but the tensors, and what follows from them, for people and machines."""
        return {
            "schema": SCHEMA,
            "labels": {
                label: {
                    "segments": self.segments[c],
                    "seconds": round(self.seconds[c], 3),
                    "components": [
                        {"number": k, "relevance": float(self.relevance[c, k]), **self._about(k)}
                        for k in sorted(self.own(c), key=lambda k: -float(self.relevance[c, k]))
                    ],
                    "bands": [asdict(band) for band in self._bands(c)],
                }
                for c, label in enumerate(self.labels)
            },
            "shared_components": self.shared(),
            "cosine_of_spectra": self.likeness(),
            "active_share": self.active_share,
            "kinds": self.kinds,
            "moments": {
                k: [
                    {
                        "recording": m.recording.name,
                        "seconds": m.seconds,
                        "activation": m.activation,
                    }
                    for m in found
                ]
                for k, found in enumerate(self.moments)
                if found
            },
            **self.provenance,
        }

    @classmethod
    def load(cls, folder: Path) -> Prototypes:
        """Read a folder; ArtifactError, saying why, for one that holds no whole prototypes."""
        try:
            data = decode_json(folder / RECORD, dict[str, Any])
            if isinstance(schema := data.get("schema"), int) and schema > SCHEMA:
                raise ArtifactError(f"schema {schema} is newer than {SCHEMA}; update xplain-nmf")
            record = convert(folder / RECORD, data, _Stored)
            names = ("relevance", "spectra", "frequencies")
            tensors, _ = read_tensors(folder / TENSORS, names)
            relevance, spectra, frequencies = (tensors[name] for name in names)
            shapes = [tuple(tensor.shape) for tensor in (relevance, spectra, frequencies)]
            bins, components = len(frequencies), relevance.shape[-1]
            if shapes != [(len(record.labels), components), (bins, components), (bins,)]:
                raise ArtifactError(f"{TENSORS} holds {shapes}, which do not belong together")
            if any(tensor.dtype != torch.float32 for tensor in tensors.values()):
                raise ArtifactError(f"{TENSORS} holds other numbers than float32")
            if record.kinds is not None and len(record.kinds) != components:
                raise ArtifactError(f"{len(record.kinds)} kinds for {components} components")
        except (ArtifactError, TypeError, IndexError) as error:
            raise ArtifactError(
                f"{folder} holds no prototypes that can be read ({error}); make them with xplain "
                "nmf prototypes"
            ) from error
        return cls(
            labels=tuple(record.labels),
            relevance=relevance,
            spectra=spectra,
            frequencies=frequencies,
            segments=tuple(label.segments for label in record.labels.values()),
            seconds=tuple(label.seconds for label in record.labels.values()),
            active_share=record.active_share,
            kinds=record.kinds,
            provenance={
                k: v for k, v in data.items() if k not in (*_Stored.__annotations__, *WRITTEN)
            },
        )

    def _about(self, component: int) -> dict[str, Any]:
        spectrum = self.spectra[:, component]
        peak = float(self.frequencies[int(spectrum.argmax())])
        return {"peak": peak, **({"kind": self.kinds[component]} if self.kinds else {})}

    def _bands(self, label: int) -> tuple[Band, ...]:
        """Where what speaks for a label lies, as xplain says it of a segment."""
        critical = bands.Spectrum(self.frequencies.tolist())
        places = critical.totals(self.spectra.T.double().numpy())
        places /= np.maximum(places.sum(axis=1, keepdims=True), np.finfo(float).tiny)
        return critical.named(self.relevance[label].clamp_min(0).double().numpy() @ places)


def measure(
    segmenter: AdditiveSegmenter,
    recordings: Iterable[Path],
    kinds: tuple[str, ...] | None = None,
    provenance: Mapping[str, Any] | None = None,
    device: str = "cpu",
) -> Prototypes:
    """Segment recordings and average the relevance over the segments of each label.

    A segment counts as one, however long it is. Raises XplainError where a recording cannot
    be read, or none holds any segment.
    """
    labels = segmenter.labels
    weights = segmenter.weights.detach().cpu().double().numpy()
    windows = Windows.of(
        segmenter.sample_rate,
        segmenter.frame_step,
        window=segmenter.window,
        context=segmenter.context,
        fade=segmenter.fade,
    )
    totals = np.zeros_like(weights)
    segments, frames = np.zeros(len(labels), int), np.zeros(len(labels), int)
    active = elements = 0
    loudest: list[list[Moment]] = [[] for _ in range(weights.shape[1])]
    module = segmenter if isinstance(segmenter, nn.Module) else nn.Module()
    for recording in recordings:
        blocks = audio.stream(recording, segmenter.sample_rate).blocks
        with torch.inference_mode(False), borrowed(module, torch.device(device)), torch.no_grad():
            listen = _listener(segmenter, device)
            parts = torch.cat(list(windows.run(blocks, listen)))
            logits = segmenter.head(parts.T[None].to(device))[0].cpu()
        for k, (value, frame) in enumerate(zip(*(e.tolist() for e in parts.max(0)), strict=True)):
            if value > ACTIVE:
                moment = Moment(recording, round((frame + 0.5) * segmenter.frame_step, 3), value)
                ordered = sorted([*loudest[k], moment], key=lambda m: -m.activation)
                loudest[k] = ordered[:MOMENTS]
        active += int((parts > ACTIVE).sum())
        elements += parts.numel()
        probabilities = logits.sigmoid().numpy()
        for c, label in enumerate(labels):
            thresholds = segmenter.thresholds.get(label) or Thresholds()
            found = stretches(probabilities[:, c], thresholds, segmenter.frame_step)
            for start, end in found:
                totals[c] += weights[c] * parts[start:end].mean(dim=0, dtype=torch.float64).numpy()
                segments[c] += 1
                frames[c] += end - start
    if not segments.any():
        raise XplainError(
            f"none of the recordings holds a segment of {', '.join(labels)}; give others, or a "
            "proxy that hears them"
        )
    return Prototypes(
        labels=labels,
        relevance=torch.from_numpy(totals / np.maximum(segments, 1)[:, None]).float(),
        spectra=segmenter.spectra.detach().cpu().T.contiguous(),
        frequencies=segmenter.frequencies.detach().cpu(),
        segments=tuple(segments.tolist()),
        seconds=tuple((frames * segmenter.frame_step).tolist()),
        active_share=active / elements,
        kinds=kinds,
        provenance=provenance or {},
        moments=tuple(map(tuple, loudest)),
    )


def _listener(segmenter: AdditiveSegmenter, device: str) -> Callable[[Tensor], Tensor]:
    def listen(waveform: Tensor) -> Tensor:
        return segmenter.parts(waveform.to(device)[None])[0].T.float().cpu()

    return listen
