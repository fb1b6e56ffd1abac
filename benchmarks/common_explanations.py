"""Is what an explanation keeps evidence for others too? New speakers, independent judges.

A classifier on a codec's latents is explained on speakers that it never heard. The elements that
count most are kept, and decoded; the audio is given to the classifier itself, and to judges that
were trained independently. Counted is whether they decide as the classifier did about the clip,
with the whole clip decoded, a random order and the loudest elements as controls.

    python benchmarks/common_explanations.py 'latent:lyra/{speaker}' --judge latent:gru \\
        --judge latent:conv --judge zoo:digits --speaker george --speaker nicolas --clips 20

docs/results.md says how the classifiers are made (without those speakers). Needs ../shared.
"""

from __future__ import annotations

import argparse
import random
from collections import defaultdict

import torch
from fidelity.plan import SPELT
from recordings import Recording, recordings
from torch import Tensor

import xplain
from xplain import Explainer, Score
from xplain.audio import from_tensor, read, resample
from xplain.intervals import share
from xplain.registry import registry
from xplain_evaluation.controls import Chance

RATIOS = (0.1, 0.2)
METHOD = "integrated-gradients"
ITSELF = "itself"


class Loudness(Explainer):
    """The control that asks no model: how far an element is from silence."""

    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        """Distances (D, N)."""
        return (latents - baseline).abs()


class LoudEvidence(Explainer):
    """What is loud and speaks for the decision: evidence ** 1/4 · loudness ** 3/4.

    The exponents were chosen on 20 clips of nicolas with another classifier.
    """

    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        """Weighted geometric means (D, N); 0 of what speaks against it."""
        evidence = registry().create("explainer", METHOD, {}).attribute(score, latents, baseline)
        loudness: Tensor = (latents - baseline).abs()
        return evidence.clamp(min=0) ** 0.25 * loudness**0.75


ORDERS: dict[str, str | Explainer] = {
    METHOD: METHOD,
    "evidence and loudness": LoudEvidence(),
    "loudness": Loudness(),
    "random": Chance(),
}


def main() -> None:
    """Print a table: how often each judge decides as the model, by order and ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("model", help="what is explained; {speaker} is who is left out")
    parser.add_argument("--judge", action="append", required=True, help="may be repeated")
    parser.add_argument("--speaker", action="append", required=True, help="of FSDD, left out")
    parser.add_argument("--clips", type=int, default=40, help="of each speaker")
    parser.add_argument("--seed", type=int, default=0, help="of the clips that are drawn")
    options = parser.parse_args()
    torch.set_num_threads(1)
    judges = {name: xplain.load_model(name) for name in options.judge}
    said: dict[tuple[str, float], dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    right: dict[str, list[bool]] = defaultdict(list)
    every = [r for split in ("train", "test") for r in recordings("fsdd", split)]
    for speaker in options.speaker:
        own = [r for r in every if r.speaker == speaker]
        model = xplain.load_model(options.model.format(speaker=speaker))
        asked = {ITSELF: model, **judges}
        for clip in random.Random(options.seed).sample(own, options.clips):
            _clip(clip, model, asked, said, right)
    count = len(right[ITSELF])
    print(f"{count} clips of {', '.join(options.speaker)}; decided right as they are: ", end="")
    print(", ".join(f"{name} {sum(r) / count:.3f}" for name, r in right.items()))
    print("\n| order | kept | " + " | ".join(right) + " |\n|---|---|" + "---|" * len(right))
    for (order, ratio), follows in said.items():
        cells = []
        for row in follows.values():
            found = share(row)
            cells.append(f"{found.mean:.3f} [{found.low:.2f}, {found.high:.2f}]")
        print(f"| {order} | {ratio:g} | " + " | ".join(cells) + " |")


def _clip(
    clip: Recording,
    model: xplain.Model,
    judges: dict[str, xplain.Model],
    said: dict[tuple[str, float], dict[str, list[bool]]],
    right: dict[str, list[bool]],
) -> None:
    whole = resample(read(clip.path), model.sample_rate)
    for name, judge in judges.items():
        right[name].append(_label(judge, whole.waveform, model.sample_rate) == clip.label)
    for order, explainer in ORDERS.items():
        e = xplain.explain(clip.path, model, explainer=explainer, baseline="silence")
        target = SPELT.get(e.target.label, e.target.label)
        ratios = (1.0, *RATIOS) if order == METHOD else RATIOS
        for ratio in ratios:
            sound = e.keep(ratio)
            for name, judge in judges.items():
                follows = _label(judge, sound, model.sample_rate) == target
                said["re-encoded" if ratio == 1 else order, ratio][name].append(follows)


@torch.no_grad()
def _label(judge: xplain.Model, waveform: Tensor, rate: int) -> str:
    """What a judge hears in a waveform (samples,)."""
    sound = resample(from_tensor(waveform, rate, "kept"), judge.sample_rate).waveform[None]
    logits = judge(sound if judge.reads is None else judge.reads.encode(sound).values)
    label = judge.labels[int(logits.argmax())]
    return SPELT.get(label, label)


if __name__ == "__main__":
    main()
