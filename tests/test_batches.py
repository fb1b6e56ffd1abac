"""How many variants are asked about at once: measured, within a budget, less where it runs out."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import xplain
from xplain.memory import Memory, _Tally

RATE = 8000


class Wide(nn.Module):
    """Holds a thousand numbers for each hundredth of its input, and counts its batches."""

    def __init__(self, most: int | None = None) -> None:
        super().__init__()
        self.spread = nn.Linear(100, 1000)
        self.seen: list[int] = []
        self.most = most

    def forward(self, waveform: Tensor) -> Tensor:
        self.seen.append(len(waveform))
        if self.most is not None and len(waveform) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        held = self.spread(waveform.unfold(1, 100, 100)).tanh()
        return held.mean(dim=1)[:, :2]


def explained(module: nn.Module, seconds: float = 1.0, **settings: Any) -> xplain.Explanation:
    model = xplain.wrap(module, sample_rate=RATE, labels=[*"ab"], output="logits")
    clip = torch.randn(round(seconds * RATE), generator=torch.Generator().manual_seed(0))
    settings = {"synthesizer": "waveform", "replacement": "silence", **settings}
    return xplain.explain(clip, model, **settings)


def test_what_lives_at_one_time_is_counted() -> None:
    one = torch.zeros(1000)  # made before, as weights are
    with _Tally() as tally:
        two = one + 1
        del two
        three = one.view(10, 100).t() * 2
        four = three.sum()
    assert tally.most == 4000 + four.element_size()


def test_gradients_hold_what_the_backward_pass_needs() -> None:
    layers = nn.Sequential(*(nn.Tanh() for _ in range(10)))

    def most(gradients: bool) -> int:
        with torch.set_grad_enabled(gradients), _Tally() as tally:
            layers(torch.zeros(1000, requires_grad=gradients)).sum()
        return tally.most

    assert most(gradients=True) > 3 * most(gradients=False)


def test_a_batch_holds_no_more_than_the_budget() -> None:
    """One variant holds 80 x 1000 numbers twice, .64 MB, and a few of its own size."""
    largest = {}
    for memory in ("600KB", "3MB", "12MB", None):
        module = Wide()
        e = explained(module, memory=memory, params={"steps": 40})
        assert ("times the memory of a batch" in str(e.warnings)) == (memory == "600KB")
        largest[memory] = max(module.seen)
    assert largest["600KB"] <= 3 and largest["3MB"] <= 4 < largest["12MB"] <= 16
    assert largest[None] == 40


def test_what_does_not_fit_is_told_what_would() -> None:
    """What is advised is enough: the memory for all of it, and the seconds for this memory."""
    (warning,) = [w for w in explained(Wide(), memory="600KB").warnings if "memory" in w]
    said = re.search(r"1 s hold .* give --memory (\d+MB), or at most ([\d.]+) s at a time", warning)
    assert said is not None
    for settings in ({"memory": said[1]}, {"memory": "600KB", "seconds": float(said[2]) - 0.01}):
        assert "memory" not in str(explained(Wide(), **settings).warnings)


def test_a_recording_far_beyond_the_memory_is_refused_before_it_is_asked_about() -> None:
    """Five seconds say what 64 would hold, and what is advised is enough."""
    module, settings = Wide(), {"seconds": 64.0, "params": {"steps": 1}}
    with pytest.raises(xplain.ModelError, match=r"clip-0: 64 s hold .* at most [2-4]") as refused:
        explained(module, memory="2MB", **settings)
    assert module.seen == [1]
    (advised,) = re.findall(r"give --memory (\d+MB)", str(refused.value))
    assert explained(module, memory=advised, **settings).converged is not None


def test_a_shorter_clip_is_asked_in_larger_batches() -> None:
    module = Wide()
    long, short = (explained(module, t, memory="8MB") for t in (1.0, 0.25))
    assert short.provenance["max_batch"] == 4 * long.provenance["max_batch"]


def test_the_measurement_asks_for_nothing_of_its_own() -> None:
    """The clip and a faint one alone, both and silence at once, and the path's points."""
    module = Wide()
    explained(module, params={"steps": 9})
    assert module.seen == [1, 1, 3, 9]
    explained(module, params={"steps": 9})
    assert module.seen[4:] == [1, 1, 3, 9]


@pytest.mark.parametrize("explainer", ["integrated-gradients", "occlusion", "gradient-shap"])
def test_where_memory_runs_out_the_batch_is_halved(explainer: str) -> None:
    module = Wide(most=3)
    e = explained(module, explainer=explainer)
    assert max(module.seen[-3:]) <= 3
    assert e.scores() and e.check() is not None
    whole = explained(Wide(most=None), explainer=explainer)
    assert e.attribution.shape == whole.attribution.shape


def test_where_not_even_one_fits_it_is_said() -> None:
    with pytest.raises(xplain.XplainError, match="memory ran out with a single variant"):
        explained(Wide(most=0))


@pytest.mark.parametrize(
    ("asked", "bytes_"), [("2GB", 2**31), ("1.5 MiB", 3 * 2**19), (1000, 1000), ("64k", 2**16)]
)
def test_sizes_are_read(asked: Any, bytes_: int) -> None:
    assert Memory.of(asked, None, torch.device("cpu")).budget == bytes_


@pytest.mark.parametrize("asked", ["much", "-1GB", "0", "2TB", True])
def test_other_sizes_are_refused(asked: Any) -> None:
    with pytest.raises(xplain.XplainError, match="memory is a number of bytes, such as 2GB"):
        Memory.of(asked, None, torch.device("cpu"))
