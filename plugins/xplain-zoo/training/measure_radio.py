"""How well zoo:radio-teacher decides frames: ``python -m training.measure_radio SCENES``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from training.clips_manifest import read_clip, rows
from training.radio_data import MEETING_LABELS, RATE, read_meetings, read_scenes
from training.radio_scores import decide, f1
from xplain_zoo.radio import LABELS, WEIGHTS, RadioSegmenter

LEVELS = (0, -20, 20)  # dB
PURE = {"music": ("music",), "noise": ("esc10", "ambient")}
"""Data sets of recordings in which one kind is heard from beginning to end."""
VOICES = ("baby_cry", "person_sneeze", "crowd", "city")
"""Noises in which there are voices, or what is nearly one."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Print F1 of each label, at three levels, and what recordings of one kind are called."""
    parser = argparse.ArgumentParser(prog="python -m training.measure_radio")
    parser.add_argument("scenes", type=Path, help="a folder that xplain nmf scenes made")
    parser.add_argument("--meetings", type=Path, metavar="RTTM", help="recordings lie beside it")
    parser.add_argument("--pure", type=Path, metavar="CSV", help="recordings of one kind, by it")
    parser.add_argument("--split", default="test", help="of --pure")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="default: the shipped ones")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    model = RadioSegmenter.from_folder(options.weights)
    scenes = read_scenes(options.scenes)
    clips = [(scene.waveform.float() / 2**15, scene.labels) for scene in scenes]
    report = {"scenes": {f"{level:+d} dB": scores(model, clips, level) for level in LEVELS}}
    if options.meetings:
        known = [(meeting.waveform, meeting.labels) for meeting in read_meetings(options.meetings)]
        report["meetings"] = {f"{level:+d} dB": scores(model, known, level) for level in LEVELS}
    if options.pure:
        report["recordings"] = {k: called(model, options.pure, options.split, k) for k in PURE}
    print(json.dumps(report, indent=2))


@torch.no_grad()
def called(model: RadioSegmenter, manifest: Path, split: str, kind: str) -> dict[str, float]:
    """Share of the frames of recordings of music, or of noise, that is called each label."""
    decided = [
        decide(
            model(read_clip(row.file, RATE)[None])[0],
            model.config.thresholds,
            model.config.frame_step,
        )
        for row in rows(manifest, ["dataset", "label"], split=split)
        if row["dataset"] in PURE[kind] and row["label"] not in VOICES
    ]
    shares = torch.cat(decided).double().mean(0)
    return {name: round(float(share), 4) for name, share in zip(LABELS, shares, strict=True)}


@torch.no_grad()
def scores(
    model: RadioSegmenter, clips: Sequence[tuple[Tensor, Tensor]], level: float = 0.0
) -> dict[str, float]:
    """F1 over all frames of clips (samples,) with labels (frames, 4), or (frames, 2) of meetings.

    level: dB by which they are turned up or down, without clipping.
    """
    decided, known = [], []
    for waveform, labels in clips:
        logits = model(waveform[None] * 10 ** (level / 20))[0]
        decided.append(decide(logits, model.config.thresholds, model.config.frame_step))
        known.append(labels)
    names = LABELS if known[0].shape[1] == len(LABELS) else MEETING_LABELS
    columns = [LABELS.index(name) for name in names]
    values = f1(torch.cat(decided)[:, columns], torch.cat(known))
    return {name: round(float(value), 4) for name, value in zip(names, values, strict=True)}


if __name__ == "__main__":
    main()
