"""Features of latents, to listen to.  python examples/heard_features.py [OUT] [RECORDING…]"""

import sys
from importlib.resources import as_file, files
from pathlib import Path

import soundfile
import torch

import xplain
from xplain_interpreters.trained.autoencoder import SparseAutoencoder
from xplain_interpreters.trained.interpreter import Training
from xplain_interpreters.trained.training import fit


def main(out: str = "out/heard_features", *recordings: str) -> None:
    model = xplain.load_model("zoo:digits-latent")
    codec = model.reads  # or another: make_synthesizer("lyra", 16_000, {"folder": "lyra"})
    with as_file(files("xplain_zoo") / "clips/seven.wav") as file:
        seven = xplain.audio.resample(xplain.audio.read(file), codec.sample_rate)
    learnt = [Path(recording) for recording in recordings]
    if not learnt:  # in place of your recordings, the word at four levels
        Path(out).mkdir(parents=True)
        for gain in (0.3, 0.5, 0.7, 0.9):
            learnt.append(Path(out) / f"seven-{gain}.wav")
            soundfile.write(learnt[-1], (gain * seven.waveform).numpy(), codec.sample_rate)

    # As `xplain fit-explainer CSV --model REF --explainer sparse-autoencoder --out DIR` does.
    training = Training(steps=60, batch=4, seconds=0.5, learning_rate=1e-2, features=32, active=4)
    fit(SparseAutoencoder, model, codec, learnt, Path(out) / "features", training)

    params = {"folder": f"{out}/features"}
    e = xplain.explain(seven, model, explainer="sparse-autoencoder", params=params)
    for row in e.extras["features"][:3]:
        name, added, second = row["feature"], row["relevance"], row["strongest at"]
        print(f"{name}: {added:+.2f}, strongest at {second:.2f} s")
        alone = e.extras[name]  # the feature decoded by itself
        level = float(torch.as_tensor(alone.waveform).square().mean().sqrt())
        print(f"  extra-{name}.wav plays it, at a level of {level:.3f}")
    print(f"Listen to them in {e.save(Path(out) / 'explanation')}")


if __name__ == "__main__":
    main(*sys.argv[1:])
