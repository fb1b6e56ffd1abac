"""What best takes the place of what is removed: five replacements in two representations.

Each stands for "nothing here" as baseline and as replacement of a method: integrated gradients in
the short-time Fourier transform, occlusion in Lyra's latents, through which no gradient passes.
For each clip: does the decision survive keeping and removing the top 5, 10 and 20 % by the method,
and removing them by loudness (what lies farthest from silence)? And how far from natural sounds
are the clips with the top tenth kept and removed? That is the distance to the nearest of other
recordings in the embeddings of two encoders that the models know nothing of, divided by the
distance of the unchanged clip: 1 is as natural as the clip itself.

    python benchmarks/replacements.py --models silero ina --clips 3 --out out/replacements.csv
"""

from __future__ import annotations

import argparse
import math
import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import soundfile
import torch
from recordings import recordings, shared
from rows import add, read
from third_party.cases import CASES, RATE, Case, cases, folder
from third_party.speaker import VoiceEncoder
from torch import Tensor
from torch.nn import functional as F

import xplain
from xplain import Clip, Replacement, Synthesizer
from xplain.interfaces import Attribution
from xplain.registry import registry

RATIOS = (0.05, 0.1, 0.2)
LISTENED = 0.1
"""Of the latents, kept and removed for the distance from natural sounds."""

SURE = 0.6
BLUR = 0.1
"""Seconds: deviation of the Gaussian over time."""

ENCODERS = ("resemblyzer", "lyra")


class Blur(Replacement):
    """The latents smoothed over time: what happens slower than some tenths of a second."""

    depends_on_keep = False

    def fill(self, latents: Tensor, keep: Tensor, clip: Clip) -> Tensor:
        """Latents (D, N), each frame the weighted mean of those around it."""
        width = BLUR * latents.shape[1] / clip.duration
        around = torch.arange(-math.ceil(3 * width), math.ceil(3 * width) + 1)
        kernel = torch.exp(-0.5 * (around / width) ** 2).to(latents)[None, None]
        share = F.conv1d(torch.ones_like(latents[:1, None]), kernel, padding="same")
        return (F.conv1d(latents[:, None], kernel, padding="same") / share)[:, 0]


def made(name: str, level: float) -> Replacement:
    """A replacement; level: of "noise", dB."""
    if name == "blur":
        return Blur()
    given: Replacement = registry().create(
        "replacement", name, {"level": level} if name == "noise" else {}
    )
    return given


REPLACEMENTS = ("silence", "mean", "noise", "blur", "white-noise")
NOISE = {"baseline": -10.0, "replacement": -5.0}
"""Levels that `auto` takes."""

COLUMNS = (
    *("model", "clip", "representation", "replacement", "completeness_error"),
    *(f"{what}_{order}" for what in ("keep", "remove") for order in ("method", "loudness")),
    *(f"{what}_{encoder}" for what in ("kept", "removed") for encoder in ENCODERS),
)


def main() -> None:
    """Measure what is missing, and print all."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--models", nargs="*", choices=list(CASES), default=["silero", "ina"])
    arguments.add_argument("--representations", nargs="*", default=["stft", "lyra"])
    arguments.add_argument("--clips", type=int, default=3)
    arguments.add_argument("--out", type=Path, default=Path("out/replacements.csv"))
    options = arguments.parse_args()
    warnings.simplefilter("ignore", xplain.XplainWarning)
    torch.set_num_threads(1)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    natural = Natural()
    for model in options.models:
        sure = 0
        for case in cases(model, 3 * options.clips):
            for representation in options.representations:
                rows = measured(model, case, representation, natural, read(options.out))
                if rows is None:
                    break
                add(options.out, COLUMNS, *rows)
            else:
                sure += 1
            if sure == options.clips:
                break
    show(read(options.out))


class Natural:
    """Other recordings in the embeddings of two encoders, and how far a sound is from them."""

    def __init__(self, each: int = 20) -> None:
        """Embed speech, music and noise, as many clips of each."""
        self.lyra: Synthesizer = registry().create(
            "synthesizer", "lyra", {"folder": str(shared() / "models" / "lyra")}
        )
        self.voice = voice = VoiceEncoder.load(folder())
        sounds = []
        for data in ("ravdess", "music", "esc10"):
            for row in recordings(data, "train")[:each]:
                samples, _ = soundfile.read(row.path, frames=int(1.6 * RATE), dtype="float32")
                sounds.append(torch.from_numpy(samples))
        with torch.no_grad():
            self.voices = torch.cat([voice(s[None]) for s in sounds])
            self.textures = torch.cat([self._textures(s[None]) for s in sounds])

    def _textures(self, waveform: Tensor) -> Tensor:
        """Mean and deviation over time of Lyra's latents (B, 128)."""
        values = self.lyra.encode(waveform).values
        return torch.cat([values.mean(dim=2), values.std(dim=2)], dim=1)

    @torch.no_grad()
    def far(self, waveform: Tensor) -> dict[str, float]:
        """By each encoder, the distance of a sound (samples,) from the nearest recording.

        Of voices 1 − cosine, as they were trained for; of textures in deviations of each.
        """
        cosines = F.cosine_similarity(self.voice(waveform[None]), self.voices)
        apart = (self._textures(waveform[None]) - self.textures) / self.textures.std(dim=0)
        nearest = float(apart.square().mean(dim=1).sqrt().min())
        return {"resemblyzer": 1 - float(cosines.max()), "lyra": nearest}


def measured(
    model: str,
    case: Case,
    representation: str,
    natural: Natural,
    done: Sequence[Mapping[str, str]],
) -> list[dict[str, object]] | None:
    """A clip's rows; None where the model is not sure."""
    names = [(r["model"], r["clip"], r["representation"]) for r in done]
    if (model, case.name, representation) in names:
        return []
    synthesizer: str | Synthesizer = natural.lyra if representation == "lyra" else "stft"
    by_gradients = representation == "stft"
    rows, unchanged = [], natural.far(case.samples)
    for name in REPLACEMENTS:
        explanation = xplain.explain(
            (case.samples, RATE),
            case.model,
            target=case.target,
            synthesizer=synthesizer,
            explainer="integrated-gradients" if by_gradients else "occlusion",
            params={} if by_gradients else {"window": "16x8", "stride": "16x8"},
            baseline=made(name, NOISE["baseline"]),
            replacement=made(name, NOISE["replacement"]),
        )
        probability = explanation.target.probability
        if probability is not None and probability < SURE:
            return None
        live = explanation.live
        silence = made("silence", 0)
        values = live.latents.values[0]
        nothing = silence.fill(values, torch.zeros_like(values, dtype=torch.bool), live.clip)
        orders = {"method": explanation.attribution, "loudness": (values - nothing).abs()}
        row: dict[str, object] = {
            "model": model,
            "clip": case.name,
            "representation": representation,
            "replacement": name,
            "completeness_error": explanation.completeness_error,
        }
        for order, ranked in orders.items():
            curves = live.curves(Attribution(ranked), RATIOS, reencoded=True)
            row[f"keep_{order}"] = float(curves.agrees(curves.kept).float().mean())
            row[f"remove_{order}"] = float(curves.agrees(curves.removed).float().mean())
        for what, sound in (
            ("kept", explanation.keep(LISTENED)),
            ("removed", explanation.remove(LISTENED)),
        ):
            far = natural.far(sound)
            row |= {f"{what}_{n}": round(far[n] / unchanged[n], 4) for n in ENCODERS}
        rows.append(row)
    return rows


def show(rows: Sequence[Mapping[str, str]]) -> None:
    """Print a table, means over clips."""
    by: dict[tuple[str, str, str], list[Mapping[str, str]]] = defaultdict(list)
    for row in rows:
        by[row["model"], row["representation"], row["replacement"]].append(row)
    columns = COLUMNS[5:]
    print(f"| model | representation | replacement | clips | {' | '.join(columns)} |")
    print("|---" * (4 + len(columns)) + "|")
    for key, some in by.items():
        means = [f"{np.mean([float(row[column]) for row in some]):.2f}" for column in columns]
        print(f"| {' | '.join((*key, str(len(some)), *means))} |")


if __name__ == "__main__":
    main()
