"""What removing an explanation does, for speakers that a model learnt from and for new ones.

The recurrent network of the calibration is trained on digits of three speakers. Of test clips of
those, and of clips of the three it never heard, the top of integrated gradients is removed, and
each control takes as much energy: does the decision stay? The judge is another network, trained
on all six speakers.

    python benchmarks/speakers.py [--clips N]
"""

from __future__ import annotations

import argparse
import random
import warnings
from collections import defaultdict

import torch
from calibration.models import HEARD
from calibration.plain import Plain, Recurrent, plain, unheard
from recordings import recordings

import xplain
from xplain.curves import Curves
from xplain.intervals import share
from xplain_evaluation.structured import CONTROLS, STRUCTURED, structured

RATIOS = (0.02, 0.05, 0.1, 0.2)
EVERY = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")


def main() -> None:
    """Print a row for each set of speakers."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--clips", type=int, default=15, help="of each set")
    options = arguments.parse_args()
    warnings.simplefilter("ignore", xplain.XplainWarning)
    torch.set_num_threads(1)
    model = plain(seed=3, network=Recurrent, heard=HEARD)
    judge = plain(seed=8, network=Plain, heard=EVERY)
    test = recordings("fsdd", "test")
    names = {clip.path for clip in test}
    sets = {
        "learnt from": [clip for clip in test if clip.speaker in HEARD],
        "new": [clip for clip in unheard(HEARD) if clip.path in names],
    }
    print(
        "| speakers | clips | right | itself | random | the hardest structured | loudness | judge |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for name, clips in sets.items():
        stays, right = defaultdict(list), []
        for clip in random.Random(2).sample(clips, options.clips):
            e = xplain.explain(clip.path, model, synthesizer="stft")
            right.append(float(e.target.label == model.labels[int(clip.label)]))
            stays["itself"].append(_left(e.live.curves(e.live.attribute(), RATIOS, False)))
            for control, curves in structured(e, RATIOS, tuple(CONTROLS)):
                stays[control].append(_left(curves))
            heard = e.live.heard_by(judge)
            stays["judge"].append(_left(heard.curves(e.live.attribute(), RATIOS, False)))
        mean = {what: sum(every) / len(every) for what, every in stays.items()}
        hardest = min((mean[what], what) for what in STRUCTURED if what in mean)
        own = share(right)
        print(
            f"| {name} | {options.clips} | {own.mean:.2f} [{own.low:.2f}, {own.high:.2f}] "
            f"| {mean['itself']:.2f} | {mean['random']:.2f} | {hardest[0]:.2f}, {hardest[1]} "
            f"| {mean['loudness']:.2f} | {mean['judge']:.2f} |",
            flush=True,
        )


def _left(curves: Curves) -> float:
    """The share of the ratios at which the decision is the same without what was removed."""
    return float(curves.agrees(curves.removed).float().mean())


if __name__ == "__main__":
    main()
