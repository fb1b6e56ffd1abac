"""Small teachers, proxies and recordings, made here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch
from torch import nn

import xplain
from xplain_nmf.config import NmfProxyConfig
from xplain_nmf.model import NmfProxy


class Loudness(nn.Module):
    """A teacher worked out by hand: the mean power of a frame, above or below a limit."""

    def __init__(self, hop: int = 320, limits: tuple[float, ...] = (1e-3, 1e-2)) -> None:
        super().__init__()
        self.hop, self.limits = hop, limits

    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        short = -waveform.shape[-1] % self.hop
        power = (
            nn.functional.pad(waveform, (0, short)).unflatten(-1, (-1, self.hop)).square().mean(-1)
        )
        return torch.stack(
            [4 * (power / limit).clamp_min(1e-6).log10() for limit in self.limits], -1
        )


@pytest.fixture
def teacher() -> xplain.Model:
    return xplain.wrap(
        Loudness(), sample_rate=16000, labels=("heard", "loud"), multilabel=True, frame_step=0.02
    )


@pytest.fixture
def make_proxy() -> Callable[..., NmfProxy]:
    """Small proxies, the same whenever they are asked for."""

    def make(labels: tuple[str, ...] = ("heard", "loud"), **changes: Any) -> NmfProxy:
        torch.manual_seed(0)
        sizes = {"components": 6, "bottleneck": 8, "hidden": 8, "repeats": 1, "blocks": 2}
        return NmfProxy(NmfProxyConfig(id2label=dict(enumerate(labels)), **{**sizes, **changes}))

    return make


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """A manifest of four clips of noise whose loudness changes, unlabelled."""
    folder = tmp_path / "clips"
    folder.mkdir()
    draw = torch.Generator().manual_seed(0)
    lines = ["path,split"]
    for number in range(4):
        level = 0.01 * 10 ** torch.rand(8, generator=draw).mul(1.5).repeat_interleave(4000)
        samples = (level * torch.randn(32000, generator=draw)).clamp(-1, 1)
        soundfile.write(folder / f"{number}.wav", samples.numpy(), 16000)
        lines.append(f"{number}.wav,{'train' if number < 3 else 'dev'}")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    return folder / "manifest.csv"
