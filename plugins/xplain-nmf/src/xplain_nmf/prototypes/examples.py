"""What components sound like: their loudest moments, and the sounds that people have names for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from importlib.resources import files

import numpy as np
import torch
from markupsafe import Markup

from xplain import AdditiveSegmenter, audio
from xplain.errors import XplainError
from xplain.manifest import Row
from xplain.report import html
from xplain.report.arrays import compressed
from xplain_nmf.prototypes.prototypes import Moment, Prototypes
from xplain_nmf.segmenter import NmfSegmenter
from xplain_nmf.spectrum import SAMPLE_RATE
from xplain_nmf.synthesizer import NmfSynthesizer
from xplain_nmf.training.recordings import read_piece

AROUND = 0.75
"""Seconds before and after a moment that are heard."""
LONGEST = 30.0
CLEAR = 1.5
"""By how many times a component is louder in the sound it is named by than in all on average."""


def name_components(
    segmenter: AdditiveSegmenter, rows: Iterable[Row]
) -> tuple[tuple[str, float] | None, ...]:
    """For each component the label of the sounds in which it is loudest, and how many times louder.

    rows: of a manifest with a column label. A component's loudness in a label is its mean
    activation over the label's recordings (the first LONGEST seconds of each); that is compared
    with the mean over all labels. None for one that is hardly louder anywhere. Raises XplainError
    where fewer than two labels are named.
    """
    heard = defaultdict(list)
    with torch.no_grad():
        for row in rows:
            read = audio.read_part(row.file, 0.0, LONGEST)
            waveform = audio.resample(read, segmenter.sample_rate).waveform
            heard[row["label"]].append(segmenter.parts(waveform[None])[0].mean(-1))
    if len(heard) < 2:
        raise XplainError(
            "components are named after the labels of recordings, of which there are two at least; "
            "give a manifest with a column label"
        )
    labels = list(heard)
    means = torch.stack([torch.stack(heard[label]).mean(0) for label in labels])
    lift, which = (means / means.mean(0).clamp_min(1e-9)).max(0)
    return tuple(
        (labels[n], round(value, 2)) if value >= CLEAR else None
        for value, n in zip(lift.tolist(), which.tolist(), strict=True)
    )


def examples(segmenter: NmfSegmenter, found: Prototypes) -> dict[int, list[bytes]]:
    """Sounds (MP3) of each component of a label, at its moments: the recording, then it alone."""
    synthesizer = NmfSynthesizer.of(segmenter.proxy)
    shown = sorted({k for label in range(len(found.labels)) for k in found.own(label)})
    return {k: [_sound(synthesizer, k, moment) for moment in found.moments[k]] for k in shown}


@torch.no_grad()
def _sound(synthesizer: NmfSynthesizer, component: int, moment: Moment) -> bytes:
    start = max(0.0, moment.seconds - AROUND)
    waveform = read_piece(moment.recording, start, round(2 * AROUND * SAMPLE_RATE))
    latents = synthesizer.encode(waveform[None])
    only = torch.zeros_like(latents.values)
    only[:, component] = latents.values[:, component]
    alone = synthesizer.decode(only, latents.context)[0]
    pause = torch.zeros(SAMPLE_RATE // 4)
    played = torch.cat([waveform, pause, alone])
    loud = played / played.abs().max().clamp_min(1e-6) * 0.7
    return compressed(np.asarray(audio.to_pcm16(loud)[0]), SAMPLE_RATE, "MP3")


def page(
    found: Prototypes,
    picture: bytes,
    sounds: Mapping[int, Iterable[bytes]],
    names: tuple[tuple[str, float] | None, ...] = (),
) -> bytes:
    """The page on which a label's components are heard and named; picture: a PNG."""
    here = files("xplain_nmf.prototypes") / "templates"
    labels = []
    for c, label in enumerate(found.labels):
        own = sorted(found.own(c), key=lambda k: -float(found.relevance[c, k]))
        components = [
            {
                "number": k,
                "relevance": float(found.relevance[c, k]),
                "peak": float(found.frequencies[int(found.spectra[:, k].argmax())]),
                "kind": found.kinds[k] if found.kinds else "",
                "name": names[k] if names else None,
                "sounds": [
                    (moment, html.encoded(sound))
                    for moment, sound in zip(found.moments[k], sounds[k], strict=True)
                ]
                if k in sounds
                else (),
            }
            for k in own
        ]
        labels.append(
            {"name": label, "segments": found.segments[c], "seconds": found.seconds[c],
             "components": components}
        )  # fmt: skip
    return html.render(
        "xplain_nmf.prototypes",
        "templates/page.html",
        {},
        style=(here / "page.css").read_text("utf-8"),
        script=Markup((here / "page.js").read_text("utf-8")),
        kind="prototypes",
        title="Prototypes",
        words=Markup("{}"),
        data=Markup("{}"),
        labels=labels,
        named=bool(names),
        picture=html.encoded(picture),
    ).encode()


def drift(one: Prototypes, other: Prototypes) -> dict[str, dict[str, object]]:
    """What a label is made of in one corpus beside another: by label.

    likeness: cosine of the prototypes' relevance. more, less: the components whose share of the
    positive relevance grew or fell most from the first to the second, with by how much. Raises
    XplainError for prototypes of different proxies.
    """
    if one.labels != other.labels or not torch.equal(one.spectra, other.spectra):
        raise XplainError(
            "the two prototypes are of different proxies, whose components are not the same; "
            "measure both with one"
        )
    found: dict[str, dict[str, object]] = {}
    for label, before, after in zip(one.labels, one.relevance, other.relevance, strict=True):
        likeness = torch.nn.functional.cosine_similarity(before, after, dim=0)
        shares = [r.clamp_min(0) / r.clamp_min(0).sum().clamp_min(1e-9) for r in (before, after)]
        change = (shares[1] - shares[0]).numpy()
        order = np.argsort(change)
        found[label] = {
            "likeness": round(float(likeness), 4),
            "more": [
                (int(k), round(float(change[k]), 4)) for k in order[::-1][:5] if change[k] > 0
            ],
            "less": [(int(k), round(float(change[k]), 4)) for k in order[:5] if change[k] < 0],
        }
    return found
