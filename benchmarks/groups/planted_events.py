"""A cue planted in real noise: do events, superpixels and stems as groups name the right one?

A chirp of 0.3 to 0.5 s is added to two seconds of a test recording of noise (ESC-10, ambient), as
loud as that while it sounds. The model (``planted:``) hears the energy in each cue's band; the
noise has none there, so that the decision rests on the cue alone. The right group is the one that
holds most of the cue's own energy, computed from the cue alone; a clip counts where the group with
the most evidence is that one. For events, the right group has to be the cue, too: at least half of
their times together in common. The share is the right group's in all positive evidence.

    python benchmarks/groups/planted_events.py [--clips N] [--seed N] [--level DB] [--out CSV]
"""

from __future__ import annotations

import argparse
import csv
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1]))

from recordings import recordings

import xplain
from xplain.audio import Audio, read, resample
from xplain_codecs.codecs.stft import Stft
from xplain_evaluation.planted.planted import (
    BACKGROUND_RMS,
    CUES,
    PlantedClip,
    _without_bands,
    planted,
    planted_model,
)
from xplain_units.stems import Stems

RATE, SECONDS = 16000, 2.0
UNITS = {
    "events": ({}, "events"),
    "superpixels": ({}, "superpixels"),
    "stems": ({"synthesizer": "stems", "synthesizer_params": {"separator": "nmf"}}, "stems"),
}
METHOD = "feature-ablation"
COLUMNS = (
    "clip",
    "recording",
    "cue",
    "unit",
    "groups",
    "top",
    "right",
    "named",
    "share",
    "verdict",
)


def clips(
    count: int, seed: int, level: float, split: str = "test"
) -> Iterator[tuple[str, Tensor, PlantedClip]]:
    """Name of a recording of noise, the noise with a cue in it, and the cue."""
    chance = random.Random(seed)
    noises = [r for dataset in ("esc10", "ambient") for r in recordings(dataset, split)]
    cues = list(CUES)
    made = 0
    while made < count:
        recording = chance.choice(noises)
        sound = resample(read(recording.path), RATE).waveform
        samples = round(SECONDS * RATE)
        if len(sound) < samples:
            continue
        first = chance.randrange(len(sound) - samples + 1)
        part = sound[first : first + samples]
        if float(part.square().mean().sqrt()) < 1e-3:
            continue  # a pause
        own = planted(
            seed * 1000 + made, label=cues[made % len(cues)], sample_rate=RATE, level=level
        )
        noise = part * (BACKGROUND_RMS / part.square().mean().sqrt())
        free = torch.from_numpy(_without_bands(noise.double().numpy(), RATE)).float()
        yield recording.path.stem, free + own.cue, own
        made += 1


def held(e: xplain.Explanation, cue: Tensor) -> Tensor:
    """How much of the cue's energy each group of an explanation holds: (G,)."""
    assert e.numbers is not None and e.groups is not None
    synthesizer = e.live.job.route.synthesizer
    if isinstance(synthesizer, Stems):
        stems = torch.stack(list(synthesizer.separate(e.waveform).values()))
        return (stems @ cue).clamp(min=0).square() / stems.square().sum(dim=1).clamp(min=1e-9)
    power = Stft(RATE).encode(cue[None]).values[0] ** 4  # magnitudes to the power of 0.5
    return xplain.Groups(e.numbers).sums(power)


def purity(e: xplain.Explanation, own: PlantedClip, right: int) -> float:
    """How much the right group is the cue, from 0 to 1.

    Events: intersection over union of the times. Stems: squared cosine of the waveforms.
    Superpixels: the share of the energy in it that is the cue's.
    """
    assert e.numbers is not None and e.groups is not None
    group, synthesizer = e.groups[right], e.live.job.route.synthesizer
    if isinstance(synthesizer, Stems):
        stem = list(synthesizer.separate(e.waveform).values())[right]
        return float(torch.cosine_similarity(stem, own.cue, dim=0).clamp(min=0) ** 2)
    if e.provenance["grouping"]["name"].endswith("events"):
        both = max(0.0, min(group.end, own.end) - max(group.start, own.start))
        return both / (max(group.end, own.end) - min(group.start, own.start))
    energies = (Stft(RATE).encode(sound[None]).values[0] ** 4 for sound in (own.cue, e.waveform))
    cue, whole = (energy[e.numbers == right].sum() for energy in energies)
    return float(cue / whole)


def main() -> None:
    """Explain every clip by every unit, and write a row for each."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--level", type=float, default=0.0)
    parser.add_argument("--out", type=Path, default=Path("out/planted_events.csv"))
    asked = parser.parse_args()
    model, rows = planted_model(RATE), []
    for number, (recording, sound, own) in enumerate(clips(asked.clips, asked.seed, asked.level)):
        for unit, (settings, grouping) in UNITS.items():
            e = xplain.explain(
                Audio(sound, RATE, f"clip-{number}"),
                model,
                target=own.label,
                explainer=METHOD,
                grouping=grouping,
                **settings,
            )
            assert e.groups is not None
            right = int(held(e, own.cue).argmax())
            evidence = torch.tensor([group.evidence for group in e.groups])
            top = int(evidence.argmax())
            share = float(evidence[right].clamp(min=0) / evidence.clamp(min=0).sum())
            pure = purity(e, own, right)
            found = (e.groups[top].name, e.groups[right].name, top == right)
            counted = (pure, top == right and (unit != "events" or pure >= 0.5), share)
            rows.append((number, recording, own.label, unit, len(e.groups), *found, *counted))
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    with asked.out.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(rows)
    for unit in UNITS:
        own_rows = [row for row in rows if row[3] == unit]
        same, named = (sum(row[column] for row in own_rows) for column in (7, 9))
        share = sum(row[10] for row in own_rows) / len(own_rows)
        groups = sum(row[4] for row in own_rows) / len(own_rows)
        print(
            f"{unit:12} {groups:.1f} groups, named {named}/{len(own_rows)} (whatever its "
            f"times are: {same}), share of positive evidence {share:.2f}"
        )


if __name__ == "__main__":
    main()
