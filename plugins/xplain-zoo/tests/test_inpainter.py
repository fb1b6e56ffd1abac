"""The zoo's in-painter: it goes with the zoo's codec, and paints better than the mean does."""

from __future__ import annotations

from importlib.resources import as_file, files

import torch

import xplain
from xplain.registry import registry
from xplain_devkit.check import check


def test_what_it_paints_is_nearer_than_the_mean_and_differs_from_draw_to_draw() -> None:
    codec = xplain.load_model("zoo:digits-latent").reads
    assert codec is not None
    with as_file(files("xplain_zoo") / "clips" / "seven.wav") as path:
        sound = xplain.audio.resample(xplain.audio.read(path), codec.sample_rate).waveform
    with torch.no_grad():
        latents = codec.encode(sound[None])
    clip = xplain.Clip(codec, sound, latents, torch.Generator().manual_seed(0))
    values = latents.values[0]
    keep = torch.rand(values.shape, generator=torch.Generator().manual_seed(1)) < 0.5
    made = registry().create("replacement", "zoo-inpainter", {"draws": 8})
    painted = made.fill(values, keep, clip)
    assert not torch.equal(painted[0], painted[1])
    wrong = (painted.mean(dim=0) - values)[~keep].square().mean()
    mean = (values.mean(dim=1, keepdim=True) - values)[~keep].square().mean()
    assert wrong < mean, (wrong, mean)


def test_it_keeps_the_rules_of_replacements_in_the_latents_that_it_is_for() -> None:
    codec = xplain.load_model("zoo:digits-latent").reads
    report = check("replacement", "zoo-inpainter", {"draws": 2, "rounds": 2}, synthesizer=codec)
    states = {outcome.rule: outcome.state for outcome in report.outcomes}
    assert report.verdict == "passed", [o.message for o in report.outcomes if o.state == "failed"]
    assert states["leaks-nothing-of-what-was-removed"] == "passed"
    assert [o.message for o in report.outcomes if "refuses" in o.message] == []
