"""Are explanations in a codec's latents true? The experiment of Akman, Sun, Schuller (2024).

A classifier decides on the latents of a frozen codec. For each test clip its decision is
explained, in the latents and in the waveform; the most important elements alone are kept, or
removed, and the clip is decided again: on its latents, and re-encoded, which is decoded and
encoded once more. Agreement with the model's own decision about the clip is counted, of the
explained classifier and of one that was trained independently, with the codec's round trip
and a random order as controls, and 95 % intervals by bootstrap over clips.

    python benchmarks/latent_fidelity.py [--only DATA/CODEC]... [--most N] [--out DIR]

Classifiers are fitted where they are not yet. Killed at any moment and started again, it goes
on with the next clip. Needs the recordings and Lyra's weights of ../shared.
"""

from __future__ import annotations

import argparse
import hashlib
import platform
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import torch
from fidelity.baseline import Baseline, simple_baseline
from fidelity.heads import classifiers
from fidelity.measuring import Cell, measured
from fidelity.pictures import confusions, curves
from fidelity.plan import (
    CODECS,
    DATA,
    EMOTIONS,
    FEWER,
    KINDS,
    METHODS,
    RATIOS,
    SEED,
    SEEDS,
    SPACES,
)
from fidelity.report import summary
from fidelity.results import groups, shares, write_csv

import xplain
from xplain.progress import track
from xplain.storage import write_text
from xplain_evaluation.benchmark.journal import Journal, Record

PAIRS = tuple(f"{data}/{codec}" for data in DATA for codec in CODECS)


def main() -> None:
    """Measure what is not measured yet, and write tables and pictures of all that is."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    arguments.add_argument("--only", action="append", choices=PAIRS, help="may be repeated")
    arguments.add_argument("--most", type=int, help="test clips of each data set at most")
    arguments.add_argument(
        "--report", action="store_true", help="measure nothing, only write what is measured"
    )
    arguments.add_argument("--out", type=Path, default=Path("out/latent_fidelity"))
    options = arguments.parse_args()
    torch.set_num_threads(1)
    records: list[Record] = []
    labels: dict[str, tuple[str, ...]] = {}
    baselines: dict[tuple[str, str], Baseline] = {}
    for pair in options.only or PAIRS:
        data, codec = pair.split("/")
        if options.report and not _journal(data, codec, 0, SPACES[0], options.out).exists():
            continue
        for seed in range(SEEDS.get(pair, 1)):
            model, judge = classifiers(data, codec, seed, options.out)
            labels[data] = judge.labels
            for space in SPACES if seed == 0 else SPACES[:1]:
                cell = Cell(data, codec, seed, model, judge, space)
                records += _finished(cell, options.most, options.out, measure=not options.report)
        if data in EMOTIONS and model.reads is not None:
            baselines[f"{codec}-0", data] = simple_baseline(DATA[data].dataset, model.reads)
    _write(records, labels, baselines, options.out)


def _journal(data: str, codec: str, seed: int, space: str, out: Path) -> Path:
    """Where the records of a cell are kept."""
    return out / "journals" / f"{data}-{codec}-{seed}-{space}" / "journal.jsonl"


def _finished(cell: Cell, most: int | None, out: Path, *, measure: bool) -> list[Record]:
    """All records of a cell, those that are missing measured now if that is asked."""
    fewer = FEWER.get((cell.data, cell.codec)) if cell.space == "waveform" else None
    clips = DATA[cell.data].clips(min((n for n in (most, fewer) if n), default=None))
    jobs = cell.jobs()
    path = _journal(cell.data, cell.codec, cell.seed, cell.space, out)
    journal = Journal(path, _header(cell))

    def missing() -> Iterator[list[Record]]:
        for place, clip in clips.items():
            content = hashlib.sha256(clip.path.read_bytes()).hexdigest()
            keys = [cell.key(method.label, place) for method in cell.methods()]
            yield [] if journal.done(keys, content) else measured(cell, jobs, clip, content, place)

    with closing(journal):
        for done in track(missing(), len(clips), path.parent.name) if measure else ():
            if done:
                journal.add(done)
    return [record for record in journal.records.values() if record.key[-1] in clips]


def _header(cell: Cell) -> dict[str, object]:
    """What has to be the same for a cell to be gone on with."""
    return {
        "model": cell.model.fingerprint(),
        "judge": cell.judge.fingerprint(),
        "methods": [[m.label, dict(m.params)] for m in cell.methods()],
        "ratios": list(RATIOS),
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Of what decides the figures."""
    plugins = {p.distribution: p.version for p in xplain.list_plugins() if p.state == "ok"}
    return {"python": platform.python_version(), "torch": torch.__version__, **plugins}


def _write(
    records: list[Record],
    labels: dict[str, tuple[str, ...]],
    baselines: dict[tuple[str, str], Baseline],
    out: Path,
) -> None:
    """Tables and pictures of all that was measured."""
    grouped = groups(records)
    rows = shares(grouped)
    write_csv(rows, out / "latent_fidelity.csv")
    note = "`python benchmarks/latent_fidelity.py`; " + ", ".join(
        f"{name} {version}" for name, version in versions().items()
    )
    text = summary(rows, grouped, baselines, SEED, note)
    write_text(out / "latent_fidelity.md", text)
    for kind in KINDS:
        curves(rows, kind, out / f"latent_fidelity_{kind}.png")
    first = METHODS[0].label
    emotions = {
        f"{data}, {classifier}": (labels[data], found)
        for (classifier, data, space, method), found in grouped.items()
        if data in EMOTIONS and (space, method) == ("latent", first)
    }
    if emotions:
        confusions(emotions, out / "latent_fidelity_confusion.png")
    print(text)


if __name__ == "__main__":
    main()
