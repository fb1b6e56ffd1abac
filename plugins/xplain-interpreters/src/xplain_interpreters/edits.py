"""Paralinguistic counterfactuals: the same words at another pitch, rate, noise or level."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from xplain import Attribution, Audio, Explainer, PluginError, Score
from xplain.score import ClipScore
from xplain_interpreters.audio_edits import at_level, at_pitch, at_rate, in_noise

Edit = Callable[[Tensor, int, float], Tensor]

EDITS: Mapping[str, tuple[Edit, str, tuple[float, ...]]] = {
    "pitch": (at_pitch, "semitones", (-4.0, -2.0, 2.0, 4.0)),
    "rate": (at_rate, "times as fast", (0.7, 0.85, 1.15, 1.4)),
    "noise": (in_noise, "dB under the clip", (20.0, 10.0, 0.0)),
    "level": (at_level, "dB", (-20.0, -10.0, 10.0)),
}
"""Each edit: what it does, the unit of its amount, and the amounts that are tried."""

LOCAL = {"pitch": 4.0, "noise": 0.0, "level": -20.0}
"""Edits of a part of the clip, for the map; another rate would move what comes after it."""


class Edits(Explainer):
    """What the score becomes when the clip sounds otherwise: a table, audio, and a map over time.

    The paralinguistic attributes of Pastor et al. (2024), "Explaining Speech Classification Models
    via Word-Level Audio Segments and Paralinguistic Features", sec. 3.2. The table "edits" has the
    change f(x̃) − f(x) for each edit x̃ of the whole clip; of each kind, the one that changes the
    score most can be played. The map says what the score loses when a part of the clip alone is
    edited, the mean over pitch, noise and level, in equal shares to the part's elements.

    Each edit is encoded, and what can be played is decoded from what the score was asked about. No
    baseline is used, and completeness is not claimed.
    """

    uses_baseline = False

    def __init__(self, parts: int = 16) -> None:
        """Try the edits of the whole clip, and three of each of ``parts`` parts."""
        if not isinstance(parts, int) or parts < 1:
            raise ValueError(f"parts is a whole number, at least 1, not {parts!r}")
        self.parts = parts

    @torch.no_grad()
    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Attribution:
        """Attribute latents (D, N); PluginError for a score that has no recording."""
        if not isinstance(score, ClipScore):
            raise PluginError("edits change a recording, and this score is of latents alone")
        clip = score.clip
        waveform, rate = clip.waveform.to(latents), clip.synthesizer.sample_rate

        def asked(edited: list[Tensor]) -> tuple[Tensor, Tensor]:
            """Latents (n, D, N) of edited waveforms, and their scores (n,)."""
            parts = edited[: score.max_batch], edited[score.max_batch :]
            values = clip.synthesizer.encode(torch.stack(parts[0])).values
            said = score(values).double().cpu()
            if not parts[1]:
                return values, said
            others = asked(parts[1])
            return torch.cat([values, others[0]]), torch.cat([said, others[1]])

        whole = float(asked([waveform])[1])
        rows: list[dict[str, str | float]] = []
        heard: dict[str, Audio] = {}
        for name, (edit, unit, amounts) in EDITS.items():
            values, said = asked([edit(waveform, rate, amount) for amount in amounts])
            changes = (said - whole).tolist()
            most = max(range(len(amounts)), key=lambda number: abs(changes[number]))
            for number, (amount, change) in enumerate(zip(amounts, changes, strict=True)):
                row = {"edit": name, "amount": amount, "unit": unit, "change": change}
                rows.append({**row, "score": whole + change, "played": number == most})
            decoded = clip.synthesizer.decode(values[most : most + 1], clip.context)[0]
            heard[name] = Audio(decoded.cpu(), rate, name)
        frames = latents.shape[1]
        wide = -(-frames // self.parts)
        lost = torch.zeros(frames, dtype=torch.float64)
        for name, amount in LOCAL.items():
            otherwise = EDITS[name][0](waveform, rate, amount)
            masks = [
                _within(first, first + wide, frames, waveform) for first in range(0, frames, wide)
            ]
            said = asked([torch.lerp(waveform, otherwise, mask) for mask in masks])[1]
            for place, change in enumerate((whole - said).tolist()):
                part = lost[place * wide : (place + 1) * wide]
                part += change / (len(LOCAL) * part.numel() * len(latents))
        return Attribution(
            lost.to(latents).expand_as(latents).clone(), None, {"edits": tuple(rows), **heard}
        )


def _within(first: int, end: int, frames: int, waveform: Tensor) -> Tensor:
    """A window (samples,) over these of the clip's frames, which lie evenly, with soft edges."""
    per_frame = len(waveform) / frames
    start, stop = round(first * per_frame), min(len(waveform), round(end * per_frame))
    mask = torch.zeros_like(waveform)
    inside = torch.arange(stop - start, device=waveform.device) + 1.0
    edge = max(1.0, (stop - start) / 10)
    mask[start:stop] = (torch.minimum(inside, inside.flip(0)) / edge).clamp(max=1)
    return mask
