"""L-MAC and Listen to Interpret on a classifier of environmental sounds, in the papers' table.

A small CNN is trained on ESC-10's ten classes and music (training split), then both interpreters on
the same clips. Held-out clips of two seconds are explained, as they are and in background noise
(ambient recordings of the test split). As in the papers an interpretation is a mask M of 0 to 1:
o is the model's probability of its own decision for M ⊙ X, u for (1 − M) ⊙ X. The mask of a map is
its positive part over its maximum; that of Listen to Interpret is what it plays. Beside that, the
same with the top 20 % kept. Rows go to --out, and a table is printed. Needs ../shared.

    python benchmarks/rivals/sounds.py --clips 55
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parents[1]))

import rows as tables
from recordings import Recording, recordings
from safetensors.torch import load_file, save_file
from third_party.mel import slaney_edges, triangles

import xplain
from xplain.audio import Audio, read, resample
from xplain.models import make_synthesizer
from xplain_evaluation.controls import Chance, Loudness
from xplain_evaluation.metrics.concentration import complexity, sparseness
from xplain_interpreters.trained.interpreter import Interpreter, Training
from xplain_interpreters.trained.mask import Decoder
from xplain_interpreters.trained.parts import Parts
from xplain_interpreters.trained.training import fit

RATE, SECONDS, BANDS = 8000, 2.0, 40
NOISE = 5.0
"""dB by which the sound is above the background noise."""
SAMPLES = round(RATE * SECONDS)
KEPT = 0.2
METHODS: dict[str, dict[str, object]] = {
    "l-mac": {},
    "listen-to-interpret": {},
    "integrated-gradients": {},
    "gradient-shap": {"samples": 32},
    "occlusion": {},
    "saliency": {},
    "random": {},
    "loudness": {},
}
COLUMNS = ("clip", "label", "noise", "method", "p", "o", "u", "same", "top_o", "top_same")
COLUMNS += ("sparseness", "complexity")


class Sounds(nn.Module):
    """Waveforms (B, samples) at 8 kHz → logits (B, labels), by a log-mel spectrogram and a CNN."""

    window: Tensor
    filters: Tensor

    def __init__(self, labels: int) -> None:
        """Make it without weights."""
        super().__init__()
        self.register_buffer("window", torch.hann_window(400), persistent=False)
        bank = triangles(slaney_edges(0, RATE / 2, BANDS), 512, RATE)
        self.register_buffer("filters", bank.float(), persistent=False)
        widths = (1, 16, 32, 64)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(i, o, 3, padding=1), nn.BatchNorm2d(o), nn.ReLU())
            for i, o in pairwise(widths)
        )
        self.out = nn.Linear(widths[-1], labels)

    def forward(self, waveform: Tensor) -> Tensor:
        """Logits (B, labels)."""
        spectrum = torch.stft(waveform, 512, 200, 400, self.window, return_complex=True)
        power = spectrum.real.square() + spectrum.imag.square()
        x = (self.filters @ power).clamp(min=1e-6).log()[:, None] / 4
        for block in self.blocks:
            x = nn.functional.avg_pool2d(block(x), 2)
        logits: Tensor = self.out(x.mean(dim=2).amax(dim=2))
        return logits


def sounds(split: str) -> list[Recording]:
    """Recordings of the eleven labels."""
    return [*recordings("esc10", split), *recordings("music", split)]


def heard(file: Path) -> Tensor:
    """A recording (samples,) at RATE, at least SAMPLES long."""
    waveform = resample(read(file), RATE).waveform
    return nn.functional.pad(waveform, (0, max(0, SAMPLES - len(waveform))))


def loudest(waveform: Tensor) -> Tensor:
    """The two seconds with most energy (SAMPLES,)."""
    energy = waveform.square().unfold(0, SAMPLES, RATE // 4).sum(dim=1)
    start = int(energy.argmax()) * (RATE // 4)
    return waveform[start : start + SAMPLES]


def in_noise(sound: Tensor, noise: Tensor, decibels: float) -> Tensor:
    """A sound (samples,) so many dB above a noise."""
    level = sound.square().mean() / noise.square().mean().clamp(min=1e-12)
    return sound + noise * (level * 10 ** (-decibels / 10)).sqrt()


def trained(labels: list[str], steps: int, seed: int = 0) -> Sounds:
    """The classifier, trained on random parts at random levels, half of them in noise."""
    torch.manual_seed(seed)
    chance = np.random.default_rng(seed)
    clips = [(heard(r.path), labels.index(r.label)) for r in sounds("train")]
    noises = [heard(r.path) for r in recordings("ambient", "train")]
    by = [[w for w, label in clips if label == n] for n in range(len(labels))]

    def part(waveform: Tensor) -> Tensor:
        start = int(chance.integers(len(waveform) - SAMPLES + 1))
        return waveform[start : start + SAMPLES]

    network = Sounds(len(labels))
    optimiser = torch.optim.AdamW(network.parameters(), 3e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 5e-3, total_steps=steps)
    for step in range(steps):
        asked = chance.integers(len(labels), size=16)
        batch = []
        for label in asked:
            drawn = by[label][int(chance.integers(len(by[label])))]
            sound = loudest(drawn) if chance.random() < 0.3 else part(drawn)
            if chance.random() < 0.5:
                noise = part(noises[int(chance.integers(len(noises)))])
                sound = in_noise(sound, noise, float(chance.uniform(0, 20)))
            batch.append(sound * 10 ** float(chance.uniform(-0.5, 0.5)))
        loss = nn.functional.cross_entropy(network(torch.stack(batch)), torch.from_numpy(asked))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        if step % 50 == 0:
            print(f"step {step}: {float(loss.detach()):.3f}", flush=True)
    return network.eval()


def classifier(folder: Path, steps: int) -> xplain.Model:
    """The trained classifier, from its file or made now."""
    labels = sorted({r.label for r in sounds("train")})
    file = folder / "sounds.safetensors"
    if file.is_file():
        network = Sounds(len(labels)).eval()
        network.load_state_dict(load_file(file))
    else:
        network = trained(labels, steps)
        save_file(network.state_dict(), file)
    return xplain.wrap(network, sample_rate=RATE, labels=labels, name="sounds")


def interpreters(folder: Path, model: xplain.Model, steps: int) -> dict[str, str]:
    """The folders of both trained explainers, made now where they are absent."""
    files = [r.path for r in sounds("train")]
    kinds: dict[str, type[Interpreter]] = {"l-mac": Decoder, "listen-to-interpret": Parts}
    common = Training(steps=steps, seconds=SECONDS, width=12, components=64)
    for name, kind in kinds.items():
        training = common
        if kind is Parts:  # its steps are shorter, and its dictionary asks for more of them
            training = replace(common, steps=2 * steps, learning_rate=3e-3)
        fit(kind, model, make_synthesizer("stft", RATE), files, folder / name, training)
    return {name: str(folder / name) for name in kinds}


def asked(count: int) -> Iterator[tuple[str, str, str, Tensor]]:
    """Name, label, noise and waveform of held-out clips; each as it is, then in noise."""
    noises = [heard(r.path) for r in recordings("ambient", "test")]
    held, count = sounds("test"), min(count, len(sounds("test")))
    held = [held[place * len(held) // count] for place in range(count)]
    for noisy in (False, True):
        for number, recording in enumerate(held):
            sound = loudest(heard(recording.path))
            if noisy:
                noise = noises[number % len(noises)]
                sound = in_noise(sound, noise[:SAMPLES], NOISE)
            yield recording.path.stem, recording.label, "ambient" if noisy else "", sound


@torch.no_grad()
def measured(e: xplain.Explanation, method: str) -> dict[str, object]:
    """What the table needs of an explanation."""
    index, live = e.target.index, e.live
    assert index is not None
    values, context = live.latents.values, live.latents.context
    silence = e.live.job.route.synthesizer.encode(torch.zeros(1, SAMPLES)).values
    module = live.job.route.model.module
    mask = (e.attribution.clamp(min=0) / e.attribution.max().clamp(min=1e-12))[None]
    kept = live.job.route(torch.lerp(silence, values, mask), context)
    rest = live.job.route(torch.lerp(values, silence, mask), context)
    if method == "listen-to-interpret":
        played = e.extras["interpretation"]
        assert isinstance(played, Audio)
        kept = module(played.waveform[None])
        rest = module((e.waveform - played.waveform)[None])
    (top,) = e.scores(keep=[KEPT], remove=[])
    inside, outside = kept.softmax(dim=1)[0], rest.softmax(dim=1)[0]
    return {
        "p": e.target.probability,
        "o": float(inside[index]),
        "u": float(outside[index]),
        "same": int(inside.argmax()) == index,
        "top_o": top.probability,
        "top_same": top.agrees,
        "sparseness": sparseness(e.attribution),
        "complexity": complexity(e.attribution),
    }


def show(rows: list[dict[str, str]]) -> None:
    """The papers' columns, means over clips."""
    for noise in ("", "ambient"):
        own = [row for row in rows if row["noise"] == noise]
        print(f"{noise or 'in domain'}: {len({row['clip'] for row in own})} clips")
        heads = ("explainer", "AI ↑", "AD ↓", "AG ↑", "FF ↑", "Fid-In ↑", "SPS ↑", "COMP ↓")
        print("|".join(["", *heads, "AD, Fid-In, top 20 %", ""]) + "\n" + "|---" * 9 + "|")
        for method in METHODS:
            some = [row for row in own if row["method"] == method]
            if not some:
                continue
            table = {
                name: np.array([float(row[name]) for row in some])
                for name in ("p", "o", "u", "top_o", "sparseness", "complexity")
            }
            p, o, top = table["p"], table["o"], table["top_o"]
            same, top_same = (
                np.mean([row[name] == "True" for row in some]) for name in ("same", "top_same")
            )
            lost, top_lost = (100 * np.mean(np.maximum(0, p - x) / p) for x in (o, top))
            gained = 100 * np.mean(np.maximum(0, o - p) / np.maximum(1 - p, 1e-9))
            print(
                f"| `{method}` | {100 * np.mean(o > p):.1f} | {lost:.1f} | {gained:.1f} | "
                f"{np.mean(p - table['u']):.2f} | {same:.2f} | {table['sparseness'].mean():.2f} | "
                f"{table['complexity'].mean():.2f} | {top_lost:.1f}, {top_same:.2f} |"
            )


def main() -> None:
    """Train what is not there, explain what is not in the table, and print it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--clips", type=int, default=55)
    parser.add_argument("--steps", type=int, default=400, help="of the classifier")
    parser.add_argument("--explainer-steps", type=int, default=200)
    parser.add_argument("--folder", type=Path, default=Path("out/sounds"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/sounds.csv"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.folder.mkdir(parents=True, exist_ok=True)
    model = classifier(options.folder, options.steps)
    held = [(heard(r.path), r.label) for r in sounds("test")]
    with torch.no_grad():
        said = [model.labels[int(model.module(loudest(w)[None]).argmax())] for w, _ in held]
    right = sum(s == label for s, (_, label) in zip(said, held, strict=True))
    print(f"accuracy on the test split: {right} of {len(held)}", flush=True)
    folders = interpreters(options.folder, model, options.explainer_steps)
    done = {(row["clip"], row["noise"]) for row in tables.read(options.out)}
    for name, label, noise, sound in asked(options.clips):
        if (name, noise) in done:
            continue
        found = []
        for method, params in METHODS.items():
            given = {**params, **({"folder": folders[method]} if method in folders else {})}
            e = xplain.explain(
                Audio(sound, RATE, name),
                model,
                synthesizer="stft",
                explainer={"random": Chance(), "loudness": Loudness()}.get(method, method),
                params=given,
                baseline="silence",
                replacement="silence",
            )
            known = {"clip": name, "label": label, "noise": noise, "method": method}
            found.append(known | measured(e, method))
        tables.add(options.out, COLUMNS, *found)
    show(tables.read(options.out))


if __name__ == "__main__":
    main()
