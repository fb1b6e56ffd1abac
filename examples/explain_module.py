"""Explain a torch module of your own.  python examples/explain_module.py [OUT]"""

import sys

import torch
from torch import Tensor, nn

import xplain

RATE = 16_000


class Energy(nn.Module):
    """Your model here: (batch, samples) → logits (batch, labels)."""

    def forward(self, waveform: Tensor) -> Tensor:
        power = torch.fft.rfft(waveform, norm="ortho").abs().square() / waveform.shape[-1]
        above = torch.fft.rfftfreq(waveform.shape[-1], 1 / RATE) > 1000
        return 100 * torch.stack([power[:, ~above].sum(1), power[:, above].sum(1)], dim=1)


def main(out: str = "out/explain_module") -> None:
    # Your recording here, a file or samples; of this, 3000 Hz at 1.2-1.5 s explains "high".
    time = torch.arange(2 * RATE) / RATE
    audio = 0.2 * torch.sin(2 * torch.pi * 400 * time) * ((time > 0.3) & (time < 0.6))
    audio += 0.4 * torch.sin(2 * torch.pi * 3000 * time) * ((time > 1.2) & (time < 1.5))

    # Your labels here, in the order of the logits, and the target (default: its own prediction).
    model = xplain.wrap(Energy(), sample_rate=RATE, labels=["low", "high"])
    explanation = xplain.explain(audio, model, synthesizer="stft", target="high")

    channels, frames = explanation.attribution.shape
    channel, frame = divmod(int(explanation.attribution.argmax()), frames)
    hertz, seconds = channel / (channels - 1) * RATE / 2, frame / (frames - 1) * len(audio) / RATE
    print(f"{explanation.target.label!r}: most comes from {hertz:.0f} Hz at {seconds:.2f} s")
    print(f"Listen to keep-0.1.wav and remove-0.1.wav in {explanation.save(out)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
