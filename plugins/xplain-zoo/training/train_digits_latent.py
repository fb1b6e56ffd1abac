"""Trains zoo:digits-latent: ``python -m training.train_digits_latent MANIFEST --heard DIR …``.

What decides is the network of zoo:digits, trained on spectra of audio by training.train_digits.
From a codec's latents to spectra leads an estimate that is learned here, without labels, from
synthetic voices and other people's speech: what the codec's decoder makes of the latents where
gradients pass through it, and else what was encoded. Nobody who says the digits is in it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.clips_manifest import Clip, fingerprint, read_manifest, read_recordings
from training.vary_digits import varied
from xplain import Synthesizer
from xplain.audio import from_tensor, resample
from xplain.intervals import share
from xplain.parameters import Text
from xplain.progress import track
from xplain.storage import write_bytes
from xplain.tensors import read_tensors, to_bytes
from xplain_codecs.fit.bands import GAIN
from xplain_codecs.fit.classifier import Config, save
from xplain_codecs.fit.codec_record import Codec
from xplain_codecs.fit.heads import Head, make_head
from xplain_codecs.fit.hearing import Hearing, HearingSizes
from xplain_codecs.fit.latents import Spectrum
from xplain_codecs.fit.report import Decisions, Report
from xplain_codecs.fit.spectra import TILT
from xplain_codecs.fit.taught import Taught, learn_spectra
from xplain_codecs.fit.training import by_length
from xplain_zoo.digits import LABELS, DigitClassifier

RECIPE = Path(__file__).with_name("digits-latent.json")
RATE = 8000  # Hz, of the clips and of what hears them
FRAMES = 50  # of a codec, a second
SIZES = HearingSizes()
EPOCHS = 16
LEARNING_RATE = 3e-3
VOICES = 900  # synthetic words that what decides goes on with
TUNED_RATE, BATCH = 1e-3, 32
SPEECH = ("ami", "librispeech", "picovoice-speech-to-intent", "picovoice-wake-words", "emodb")
COPIES = 2  # of each synthetic word
PIECES = 350  # of recorded speech
PIECE = (0.4, 1.2)  # seconds
EDITED = 0.5  # share of the latents that are edited as explanations edit them
FADED, CUT = 0.3, 0.4  # shares of those: brought near silence, cut to a part; the others mixed
KEPT = (0.05, 0.1, 0.2, 0.5)


@dataclass(frozen=True)
class Piece:
    """Latents (D, N), the power in bands of what they sound like, and what tells it from others."""

    values: Tensor
    bands: Tensor
    file: Path
    label: int = -1

    @property
    def frames(self) -> int:
        """N."""
        return self.values.shape[1]

    def read(self) -> Tensor:
        """The latents."""
        return self.values

    def power(self) -> Tensor:
        """(bands, parts · N)."""
        return self.bands


def main(arguments: Sequence[str] | None = None) -> None:
    """Learn the estimate, unless it is there, and join it with each network that hears."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    given = (text.split("=", 1) for text in options.synthesizer_param)
    codec, synthesizer = Codec.of(options.synthesizer, {name: Text(value) for name, value in given})
    clips = read_manifest(options.manifest, LABELS, RATE, options.dataset)
    voices = random.Random(options.seed).sample(read_manifest(options.also, LABELS, RATE), VOICES)
    torch.manual_seed(options.seed)
    head = make_head(SIZES, codec.channels, len(LABELS))
    learn(head, synthesizer, options, options.out / "spectra.safetensors")
    known = [*(clip for clip in clips if clip.split == "train"), *voices]
    pieces = [
        replace(piece, label=clip.label)
        for clip, piece in zip(
            track(known, len(known), "encoding"),
            encoded([clip.waveform for clip in known], synthesizer, 0.0),
            strict=True,
        )
    ]
    every: list[bool] = []
    speakers = sorted({clip.speaker for clip in clips}) if options.leave_one_speaker_out else [""]
    for speaker in speakers:
        learnt, test = parted(known, clips, speaker)
        train = [pieces[place] for place in learnt]
        out = options.out / (speaker or "model")
        torch.manual_seed(options.seed)
        heard = options.heard / speaker
        every += join(head, codec, synthesizer, heard, train, options.epochs, test, out)
    print(f"all of them: {share(every)}")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m training.train_digits_latent")
    parser.add_argument("manifest", type=Path, help="CSV: path, dataset, split, label, speaker")
    parser.add_argument("--dataset", help="of the digits: only rows whose column says this")
    parser.add_argument("--also", type=Path, required=True, help="manifest of synthetic words")
    parser.add_argument(
        "--heard", type=Path, required=True, help="what training.train_digits wrote"
    )
    parser.add_argument("--synthesizer", default="encodec", help="the codec")
    parser.add_argument("--synthesizer-param", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument(
        "--leave-one-speaker-out", action="store_true", help="every speaker in turn"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for all that comes out")
    parser.add_argument("--epochs", type=int, default=3, help="of going on on estimates [3]")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args(arguments)


def parted(
    known: Sequence[Clip], clips: Sequence[Clip], speaker: str
) -> tuple[list[int], list[Clip]]:
    """Places in ``known`` to learn from, and clips to measure on.

    The latter are all of ``speaker``, of whom nothing is learnt; of nobody (""), the test split.
    """
    learnt = [place for place, clip in enumerate(known) if clip.speaker != speaker]
    return learnt, [c for c in clips if (c.speaker == speaker if speaker else c.split == "test")]


def learn(head: Head, codec: Synthesizer, options: argparse.Namespace, done: Path) -> None:
    """Give a head its estimate of the spectrum, and the scale of the latents it reads."""
    scale = done.with_name("scale.safetensors")
    if done.exists() and scale.exists():
        found = read_tensors(scale)[0]
        head.mean.copy_(found["mean"])
        head.std.copy_(found["std"])
        learn_spectra(head, [], by_length, done)
        return
    heard = sounds(options)
    pieces = list(track(encoded(heard, codec, EDITED), len(heard), "encoding"))
    values = torch.cat([piece.values for piece in pieces], dim=1)
    head.mean.copy_(values.mean(1))
    head.std.copy_(values.std(1).clamp(min=1e-3))
    write_bytes(scale, to_bytes({"mean": head.mean, "std": head.std}))
    learn_spectra(head, pieces, by_length, done, EPOCHS, LEARNING_RATE)


def sounds(options: argparse.Namespace) -> list[Tensor]:
    """Words of synthetic voices, and pieces of recorded speech, varied: (samples,) each."""
    draw = random.Random(options.seed)
    generator = torch.Generator().manual_seed(options.seed)
    words = read_manifest(options.also, LABELS, RATE)
    speech = [c for name in SPEECH for c in read_recordings(options.manifest, RATE, name, "train")]
    pieces = []
    for clip in speech:
        place = 0
        while place + PIECE[0] * RATE < len(clip.waveform):
            end = place + round(draw.uniform(*PIECE) * RATE)
            if clip.waveform[place:end].abs().max() > 0.02:
                pieces.append(replace(clip, waveform=clip.waveform[place:end]))
            place = end
    chosen = words * COPIES + draw.sample(pieces, min(PIECES, len(pieces)))
    return [varied(clip, draw, generator).waveform for clip in chosen]


@torch.no_grad()
def encoded(waveforms: Sequence[Tensor], codec: Synthesizer, edits: float) -> Iterator[Piece]:
    """Latents of each, a share of them edited, and their power."""
    draw = random.Random(0)
    hop = codec.sample_rate // FRAMES
    spectrum = Spectrum(SIZES.bands, SIZES.parts, hop, SIZES.highest)
    before: Tensor | None = None
    for number, waveform in enumerate(waveforms):
        loudness = waveform.square().mean().sqrt().clamp(min=1e-5)
        sound = resample(from_tensor(waveform, RATE, "varied"), codec.sample_rate).waveform
        latents = codec.encode(sound[None])
        values, heard = latents.values, sound
        if codec.decode_differentiable:
            if draw.random() < edits:
                silence = codec.encode(torch.zeros_like(sound)[None]).values
                values = edited(values, silence, before, draw)
            before = latents.values
            heard = codec.decode(values, latents.context)[0]
        power = spectrum.of(heard / loudness, codec.sample_rate, values.shape[-1])
        yield Piece(values[0], power, Path(str(number)))


def edited(values: Tensor, silence: Tensor, other: Tensor | None, draw: random.Random) -> Tensor:
    """Latents (1, D, N) nearer to silence, with a part of them silent, or mixed with others."""
    which, apart = draw.random(), values - silence
    if which < FADED:
        return silence + draw.random() * apart
    if which < FADED + CUT or other is None:
        sizes = apart.abs() * torch.rand_like(values) ** draw.choice((0.0, 0.3, 1.0))
        count = max(1, round(draw.choice(KEPT) * sizes.numel()))
        top = sizes >= sizes.flatten().topk(count).values[-1]
        return torch.where(top if draw.random() < 0.7 else ~top, values, silence)
    frames = min(values.shape[-1], other.shape[-1])
    factor = draw.choice((-1.0, 1.0)) * draw.random()
    mixed = values.clone()
    mixed[..., :frames] += factor * other[..., :frames]
    return mixed


def join(
    head: Head,
    codec: Codec,
    synthesizer: Synthesizer,
    heard: Path,
    train: Sequence[Piece],
    epochs: int,
    test: Sequence[Clip],
    out: Path,
) -> list[bool]:
    """Write the classifier of an estimate and of what hears; whether it is right, clip by clip."""
    started = time.monotonic()
    record = json.loads((heard / "training.json").read_text(encoding="utf-8"))
    adopt(head, DigitClassifier.from_folder(heard))
    if epochs:
        tune(head, train, epochs)
    said = []
    for clip in track(test, len(test), "measuring"):
        sound = resample(from_tensor(clip.waveform, RATE, "clip"), codec.sample_rate).waveform
        with torch.no_grad():
            said.append(int(head(synthesizer.encode(sound[None]).values).argmax()))
    decisions = Decisions([clip.label for clip in test], said)
    report = Report(
        labels=LABELS,
        accuracy=decisions.accuracy(),
        majority=decisions.majority([clip.label for clip in train]),
        recall=decisions.recall(LABELS),
        confusion=decisions.confusion(len(LABELS)),
        clips={"train": record["clips"], "dev": 0, "test": len(test)},
        epochs=record["recipe"]["epochs"] + epochs,
        best_epoch=record["recipe"]["epochs"] + epochs,
        dev_accuracy=None,
        failed={},
        seconds=round(time.monotonic() - started, 1),
    )
    made = {
        "made": "training.train_digits_latent",
        "data": {"sha256": record["data"], "test": fingerprint(list(test))},
        "recipe": record["recipe_hash"],
        "tuned": epochs,
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "accuracy": asdict(report.accuracy),
    }
    job = hashlib.sha256(to_bytes(head.state_dict())).hexdigest()
    save(out, Config(codec, SIZES, LABELS, job, made), head, report)
    print(f"{out.name}: {len(test)} clips, {report.accuracy}", flush=True)
    return [truth == found for truth, found in zip(decisions.truth, said, strict=True)]


def adopt(head: Head, heard: DigitClassifier) -> None:
    """Give a head what decides in a classifier of spectra; SystemExit where it does not fit."""
    assert isinstance(head.network, Hearing)
    network = head.network
    config = heard.config
    if (config.hop * 2, config.tilt, config.gain) != (RATE // FRAMES, TILT, GAIN):
        raise SystemExit(f"train what hears with --recipe {RECIPE.name}: half frames of the codec")
    convolutions = [m for m in heard.body if isinstance(m, nn.Conv2d | nn.BatchNorm2d)]
    for place, module in enumerate(convolutions):
        own = (network.scales if place % 2 else network.pictures)[place // 2]
        own.load_state_dict(module.state_dict())
    for place, first in enumerate((0, 4)):
        network.mixes[place].load_state_dict(heard.mix[first].state_dict())
        network.norms[place].load_state_dict(heard.mix[first + 1].state_dict())
    network.attention.load_state_dict(heard.attention.state_dict())
    head.out.load_state_dict(heard.out[1].state_dict())
    head.eval()


def tune(head: Head, pieces: Sequence[Piece], epochs: int) -> None:
    """Go on with what decides, on changed copies of spectra, half of them estimated."""
    head.network.power.requires_grad_(False)
    taught = Taught(head, pieces)
    learning = [p for p in head.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(learning, lr=TUNED_RATE, weight_decay=0.1)
    batches = [batch for _ in range(epochs) for batch in by_length(pieces, BATCH) if len(batch) > 1]
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, TUNED_RATE, total_steps=len(batches) + 1, pct_start=0.15
    )
    head.train()
    for batch in track(batches, len(batches), "tuning"):
        truth = torch.tensor([piece.label for piece in batch])
        loss = F.cross_entropy(taught.logits(head, batch), truth, label_smoothing=0.06)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(learning, 5.0)
        optimiser.step()
        schedule.step()
    head.eval()


if __name__ == "__main__":
    main()
