"""On an accelerator: the same explanations, and the caller's model where it was."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from toys import RATE, Convolutions, tone

import xplain

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an accelerator")


class Recurrent(nn.Module):
    """A GRU over frames: cuDNN gives it no backward pass in evaluation mode."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.GRU(16, 8, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, waveform: Tensor) -> Tensor:
        frames = waveform.unfold(1, 16, 16)
        logits: Tensor = self.head(self.body(frames)[0].mean(dim=1))
        return logits


def wrapped(kind: type[nn.Module]) -> xplain.Model:
    torch.manual_seed(0)
    return xplain.wrap(kind(), sample_rate=RATE, labels=("a", "b", "c"))


def home(model: xplain.Model) -> set[str]:
    return {p.device.type for p in (*model.module.parameters(), *model.module.buffers())}


@pytest.mark.parametrize("kind", [Convolutions, Recurrent])
@pytest.mark.parametrize("explainer", ["integrated-gradients", "saliency", "occlusion"])
def test_an_explanation_is_the_same_there(kind: type[nn.Module], explainer: str) -> None:
    model = wrapped(kind)
    clip = tone(440, 0.25) + tone(1500, 0.25)
    here = xplain.explain(clip, model, explainer=explainer, device="cpu")
    there = xplain.explain(clip, model, explainer=explainer, device="cuda")
    assert there.provenance["device"].startswith("cuda") and home(model) == {"cpu"}
    scale = here.attribution.abs().max()
    assert (here.attribution - there.attribution.cpu()).abs().max() < 1e-3 * scale
    assert there.target == here.target or there.target.label == here.target.label
    assert torch.allclose(here.keep(0.1), there.keep(0.1).cpu(), atol=1e-3)
    assert there.check().kind == here.check().kind


def test_a_model_that_lives_there_is_explained_there_and_stays(tmp_path: Path) -> None:
    model = wrapped(Convolutions)
    model.module.to("cuda")
    e = xplain.explain(tone(440), model)
    assert e.provenance["device"].startswith("cuda") and home(model) == {"cuda"}
    loaded = xplain.Explanation.load(e.save(tmp_path / "clip"))
    assert torch.equal(loaded.attribution, e.attribution.cpu())


@pytest.mark.parametrize("reference", ["zoo:radio", "zoo:radio-teacher"])
def test_segments_are_the_same_there(reference: str) -> None:
    clip = 0.1 * torch.randn(16000 * 6, generator=torch.Generator().manual_seed(0))
    here = xplain.segment(clip, reference, device="cpu", explain=True)
    there = xplain.segment(clip, reference, device="cuda", explain=True)
    assert (here.frames - there.frames).abs().max() < 1e-3
    assert [s.label for s in here.segments] == [s.label for s in there.segments]


def test_memory_is_given_back() -> None:
    model = wrapped(Convolutions)

    def explained() -> int:
        xplain.explain(tone(440), model, device="cuda").check()
        torch.cuda.synchronize()
        return torch.cuda.memory_allocated()

    explained()
    assert len({explained() for _ in range(5)}) == 1
