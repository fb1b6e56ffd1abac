"""A sparse autoencoder on a codec's latents of speech: what its features keep, and say.

Trained on FSDD's training clips, in the latents of Lyra (a published codec) and of the zoo's codec,
reported on its test clips: the share of the variance that features explain, the share of features
that live (are active in the test clips at all, and in a thousandth of their frames), the share of
clips that zoo:digits decides as it does the codec's round trip, when it hears what the features
add up to; and how a digit's features are its own: the information that a clip's features give
about its digit, beside labels that are shuffled. In the zoo's codec zoo:digits-latent is explained
by them: its decision after the three most relevant features are taken out, beside three others
that are active. Needs ../shared.

    python benchmarks/rivals/features.py --out benchmarks/results
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from sklearn.feature_selection import mutual_info_classif
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1]))

import rows as tables
from recordings import digits, recordings, shared

import xplain
from xplain.audio import read, resample, resample_tensor
from xplain.models import make_synthesizer
from xplain_interpreters.trained import folder as folders
from xplain_interpreters.trained.autoencoder import SparseAutoencoder
from xplain_interpreters.trained.interpreter import Training
from xplain_interpreters.trained.training import fit

COLUMNS = ("codec", "clips", "features", "active", "explained", "live", "often", "same")
COLUMNS += ("information", "information_shuffled", "top_changes", "others_change")


@torch.no_grad()
def measured(
    synthesizer: xplain.Synthesizer, network: SparseAutoencoder, count: int, latent: bool
) -> dict[str, object]:
    """A row of the table; latent: whether zoo:digits-latent reads these latents."""
    judge, held = xplain.load_model("zoo:digits"), recordings("fsdd", "test")
    held = held[:: max(1, len(held) // count)][:count]
    reader = xplain.load_model("zoo:digits-latent") if latent else None
    left = whole = 0.0
    active, same, changed, frames = [], [], [], []
    chance = torch.Generator().manual_seed(0)

    def decided(values: Tensor, context: xplain.Context) -> int:
        heard = synthesizer.decode(values, context)
        heard = resample_tensor(heard, synthesizer.sample_rate, judge.sample_rate)
        return int(judge.module(heard).argmax())

    for row in held:
        sound = resample(read(row.path), synthesizer.sample_rate).waveform
        latents = synthesizer.encode(sound[None])
        found, added = network(latents.values)
        again = added + network.scale * network.bias[:, None]
        left += float((latents.values - again).square().sum())
        mean = (network.scale * network.bias)[:, None]
        whole += float((latents.values - mean).square().sum())
        frames.append((found[0] > 0).float().mean(dim=1))
        active.append(found[0].mean(dim=1))
        context = latents.context
        same.append(decided(latents.values, context) == decided(again, context))
        if reader is not None:
            changed.append(_without(reader, network, latents.values, found, chance))
    each, often = torch.stack(active), torch.stack(frames)
    live = (each > 0).any(dim=0)
    labels = np.array([row.label for row in held])
    told = [
        mutual_info_classif(each[:, live].numpy(), some, random_state=0).mean()
        for some in (labels, np.random.default_rng(0).permutation(labels))
    ]
    return {
        "clips": len(held),
        "features": network.sizes["features"],
        "active": network.sizes["active"],
        "explained": 1 - left / whole,
        "live": float(live.float().mean()),
        "often": float((often.mean(dim=0) > 1e-3).float().mean()),
        "same": float(np.mean(same)),
        "information": told[0],
        "information_shuffled": told[1],
        "top_changes": np.mean([first for first, _ in changed]) if changed else None,
        "others_change": np.mean([other for _, other in changed]) if changed else None,
    }


def _without(
    reader: xplain.Model,
    network: SparseAutoencoder,
    values: Tensor,
    found: Tensor,
    chance: torch.Generator,
) -> tuple[bool, bool]:
    """Whether the decision changes without the three most relevant features, and three others."""
    with torch.enable_grad():
        variant = values.clone().requires_grad_()
        logits = reader.module(variant)
        own = int(logits.argmax())
        slope = 0.0
        added = network.atoms @ found[0]
        for place in (torch.arange(16) + 0.5) / 16:
            at = (values - (1 - place) * added).detach().requires_grad_()
            (gradient,) = torch.autograd.grad(reader.module(at)[0, own], at)
            slope = slope + gradient[0] / 16
    relevance = (found[0] * (network.atoms.T @ slope)).sum(dim=1)
    order = relevance.argsort(descending=True)
    there = order[(found[0, order] > 0).any(dim=1)]
    others = there[3:][torch.randperm(max(0, len(there) - 3), generator=chance)[:3]]
    gone = (values - network.atoms[:, some] @ found[0, some] for some in (there[:3], others))
    first, second = (int(reader.module(less).argmax()) != own for less in gone)
    return first, second


def main() -> None:
    """Train what is not there, and print a row for each codec."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--features", type=int, default=64)
    parser.add_argument("--active", type=int, default=8)
    parser.add_argument("--codecs", nargs="+", default=["lyra", "zoo"])
    parser.add_argument("--folder", type=Path, default=Path("out/features"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = xplain.load_model("zoo:digits-latent")
    assert model.reads is not None
    lyra = make_synthesizer("lyra", 16_000, {"folder": str(shared() / "models" / "lyra")})
    for name, codec, reader in (
        ("lyra", lyra, xplain.load_model("zoo:digits")),
        ("zoo", model.reads, model),
    ):
        if name not in options.codecs:
            continue
        training = Training(
            steps=options.steps,
            seconds=0.5,
            learning_rate=3e-3,
            features=options.features,
            active=options.active,
        )
        place = options.folder / f"{name}-{options.features}-{options.active}"
        fit(SparseAutoencoder, reader, codec, digits("train"), place, training)
        _, network = folders.read(place, SparseAutoencoder)
        row = {"codec": name} | measured(codec, network, options.clips, name == "zoo")
        tables.add(options.out / "sparse_features.csv", COLUMNS, row)
        print(row)


if __name__ == "__main__":
    main()
