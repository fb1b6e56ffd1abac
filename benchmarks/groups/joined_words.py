"""Two spoken digits joined, zoo:digits asked about one: do words as groups name it?

Each pair is two test clips of FSDD of one speaker, of different digits, with a pause of near
silence before, between and after them; the target is the first word's label in one half of the
pairs, the second's in the other. Words come from the known join (grouping ``file``) and from
PocketSphinx, aligned to the two words (grouping ``words``). Pairs whose two clips the model does
not recognise by themselves are left out: there is nothing to name then. What is in the table
already is not done again.

    python benchmarks/groups/joined_words.py [--pairs N] [--seed N] [--baseline NAME] [--out CSV]
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1]))

from recordings import recordings
from rows import add
from rows import read as table

import xplain
from xplain.audio import Audio, read
from xplain_units.file import File
from xplain_units.speech import Words

GROUPS = ("join", "words")
METHODS = ("feature-ablation", "shapley-sampling", "integrated-gradients")
PAUSE = 0.25
"""Seconds around the words, of noise at −60 dB."""
COLUMNS = (
    *("pair", "speaker", "first", "second", "target", "grouping", "method"),
    *("top", "named", "share", "kept_label", "kept_agrees", "verdict", "reason"),
)


def pairs(count: int, seed: int) -> Iterator[tuple[str, list[str], list[Tensor]]]:
    """Speaker, the two words, and their waveforms at 8 kHz."""
    model = xplain.load_model("zoo:digits")
    rows = recordings("fsdd", "test")
    chance = random.Random(seed)
    by_speaker: dict[str, list[tuple[str, Tensor]]] = {}
    for row in rows:
        waveform = read(row.path).waveform
        word = model.labels[int(row.label)]  # a digit
        if model.labels[int(model(waveform[None]).argmax())] == word:
            by_speaker.setdefault(row.speaker, []).append((word, waveform))
    speakers = sorted(by_speaker)
    for number in range(count):
        speaker = speakers[number % len(speakers)]
        first, second = chance.sample(by_speaker[speaker], 2)
        while first[0] == second[0]:
            first, second = chance.sample(by_speaker[speaker], 2)
        yield speaker, [first[0], second[0]], [first[1], second[1]]


def joined(words: list[Tensor], rate: int, seed: int) -> tuple[Tensor, list[tuple[float, float]]]:
    """The words with pauses around them, and the seconds of each."""
    generator = torch.Generator().manual_seed(seed)
    parts, spans, at = [], [], 0
    for word in words:
        pause = 1e-3 * torch.randn(round(PAUSE * rate), generator=generator)
        parts += [pause, word]
        at += len(pause)
        spans.append((at / rate, (at + len(word)) / rate))
        at += len(word)
    return torch.cat([*parts, 1e-3 * torch.randn(round(PAUSE * rate), generator=generator)]), spans


def main() -> None:
    """Explain every pair by every grouping and method, and write a row for each."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--baseline", default="auto", help="also what removed words become")
    parser.add_argument("--out", type=Path, default=Path("out/joined_words.csv"))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    model, done = xplain.load_model("zoo:digits"), {row["pair"] for row in table(asked.out)}
    for number, (speaker, words, sounds) in enumerate(pairs(asked.pairs, asked.seed)):
        if str(number) not in done:
            add(
                asked.out,
                COLUMNS,
                *explained(model, asked.baseline, number, speaker, words, sounds),
            )
    for name in GROUPS:
        for method in METHODS:
            of = {"grouping": name, "method": method}
            own = [row for row in table(asked.out) if row.items() >= of.items()]
            share = sum(float(row["share"]) for row in own) / len(own)
            named, kept = (
                f"{sum(row[what] == 'True' for row in own)}/{len(own)}"
                for what in ("named", "kept_agrees")
            )
            print(
                f"{name:6} {method:22} named {named}, share of positive evidence {share:.3f}, "
                f"kept decision {kept}, verdicts {dict(Counter(row['verdict'] for row in own))}"
            )


def explained(
    model: xplain.Model,
    baseline: str,
    number: int,
    speaker: str,
    words: list[str],
    sounds: list[Tensor],
) -> list[dict[str, object]]:
    """The rows of a pair: every grouping and method."""
    sound, spans = joined(sounds, model.sample_rate, number)
    target, rows = words[number % 2], []
    with tempfile.TemporaryDirectory() as folder:
        segments = [
            {"label": word, "start": start, "end": end}
            for word, (start, end) in zip(words, spans, strict=True)
        ]
        path = Path(folder, "join.json")
        path.write_text(json.dumps(segments))
        groupings = (File(str(path)), Words(transcript=" ".join(words)))
        for name, grouping in zip(GROUPS, groupings, strict=True):
            for method in METHODS:
                e = xplain.explain(
                    Audio(sound, model.sample_rate, f"pair-{number}"),
                    model,
                    target=target,
                    explainer=method,
                    synthesizer="stft",
                    grouping=grouping,
                    baseline=baseline,
                    replacement=baseline,
                )
                assert e.groups is not None
                best = max(e.groups, key=lambda group: group.evidence)
                positive = sum(max(0.0, group.evidence) for group in e.groups)
                own = next((g.evidence for g in e.groups if g.name == target), 0.0)
                kept = e.scores(keep=[1e-9], remove=[])[0]
                share = max(0.0, own) / positive if positive else 0.0
                asked_of = (number, speaker, *words, target, name, method)
                found = (best.name, best.name == target, share, kept.label, kept.agrees)
                row = (*asked_of, *found, e.check().kind, e.check().reasons[0])
                rows.append(dict(zip(COLUMNS, row, strict=True)))
    return rows


if __name__ == "__main__":
    main()
