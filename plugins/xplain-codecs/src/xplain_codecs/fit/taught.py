"""Training of heads that estimate spectra: first these, then what is in changed copies of them.

The first needs no labels: the power in bands is the audio's own. The second never sees the
latents, so that a clip may be another copy each time; half are of the audio's spectrum, half of
the estimated one, which is what the head will decide on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import torch
from torch import Tensor, nn

from xplain.borrowing import borrowed
from xplain.errors import ArtifactError
from xplain.progress import track
from xplain.storage import write_bytes
from xplain.tensors import read_tensors, to_bytes
from xplain_codecs.fit import spectra
from xplain_codecs.fit.bands import Bands, compressed
from xplain_codecs.fit.heads import Head
from xplain_codecs.fit.hearing import Hearing

EPOCHS = 8
"""In which spectra are learned."""
BATCH = 16
RATE = 2e-3
"""Of learning, at its highest."""
LOGARITHMS = 0.05
"""Weight of the error of logarithms beside that of compressed power."""


class Heard(Protocol):
    """A clip's latents and the spectrum that they sound like; see LatentClip."""

    @property
    def frames(self) -> int:
        """N."""

    @property
    def file(self) -> Path:
        """What tells it from others."""

    def read(self) -> Tensor:
        """Latents (D, N)."""

    def power(self) -> Tensor:
        """(bands, parts · N)."""


H = TypeVar("H", bound=Heard)


class Taught:
    """Gives the logits of changed copies of training clips."""

    def __init__(self, head: Head, clips: Sequence[Heard]) -> None:
        """Estimate the spectrum of every clip once."""
        assert isinstance(head.network, Bands | Hearing)
        self.parts = head.network.parts
        self._estimates: dict[Path, Tensor] = {}
        with borrowed(head, head.mean.device), torch.no_grad():
            for clip in track(clips, len(clips), "estimating"):
                normal = (clip.read()[None].to(head.mean) - head.mean[:, None]) / head.std[:, None]
                found = head.network.power(normal, None).exp()[0]
                self._estimates[clip.file] = found.cpu()

    def logits(self, head: Head, clips: Sequence[Heard]) -> Tensor:
        """(clips, L); draws from torch's chance."""
        assert isinstance(head.network, Bands | Hearing)
        chosen = [
            self._estimates[clip.file] if torch.rand(()) < 0.5 else clip.power() for clip in clips
        ]
        changed = [spectra.varied(power, self.parts) for power in chosen]
        power, valid = spectra.together(changed, self.parts)
        inside = valid.repeat_interleave(self.parts, dim=1)
        pictures = spectra.masked(compressed(power, inside)).to(head.mean)
        logits: Tensor = head.out(head.network.look(pictures, valid.to(head.mean.device)).mean(-1))
        return logits


def learn_spectra(
    head: Head,
    clips: Sequence[H],
    batches: Callable[[Sequence[H], int], list[list[H]]],
    done: Path,
    epochs: int = EPOCHS,
    rate: float = RATE,
) -> None:
    """Train the estimate alone, by torch's chance; ``done`` keeps what was learned.

    rate: of learning, at its highest. Raises ArtifactError where ``done`` is damaged.
    """
    assert isinstance(head.network, Bands | Hearing)
    estimate = head.network.power
    if done.exists():
        try:
            estimate.load_state_dict(read_tensors(done)[0])
        except (ArtifactError, RuntimeError) as error:
            raise ArtifactError(
                f"{done} is damaged; remove {done.parent} and start anew"
            ) from error
        return
    parameters = list(estimate.parameters())
    optimiser = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.01)
    steps = [chosen for _ in range(epochs) for chosen in batches(clips, BATCH)]
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, rate, total_steps=len(steps) + 1, pct_start=0.1
    )
    for chosen in track(steps, len(steps), "learning spectra"):
        loss = _error(head, estimate, chosen)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        schedule.step()
    optimiser.zero_grad()  # or what follows would count the last gradient in the norm it clips
    write_bytes(done, to_bytes(dict(estimate.state_dict())))


def _error(head: Head, estimate: nn.Module, clips: Sequence[Heard]) -> Tensor:
    """How far estimates are from the audio's spectra, whatever a clip's level: a codec may not
    keep it."""
    device = head.mean.device
    frames = torch.tensor([clip.frames for clip in clips])
    latents = nn.utils.rnn.pad_sequence([c.read().T for c in clips], batch_first=True).mT
    power, _ = spectra.together([clip.power() for clip in clips], 1)
    parts = power.shape[-1] // latents.shape[-1]
    valid = (torch.arange(latents.shape[-1]) < frames[:, None]).to(device)
    inside = valid.repeat_interleave(parts, dim=1)
    normal = (latents.to(device) - head.mean[:, None]) / head.std[:, None]
    logs, power = estimate(normal, valid), power.to(device)
    weight = inside[:, None] / inside.sum() / power.shape[1]
    near = ((compressed(logs.exp(), inside) - compressed(power, inside)).abs() * weight).sum()
    apart = (logs - (power + spectra.FLOOR).log()) * inside[:, None]
    level = apart.sum((1, 2)) / (inside.sum(1) * power.shape[1])
    far = ((apart - level[:, None, None]).abs() * weight).sum()
    error: Tensor = near + LOGARITHMS * far
    return error
