"""Is a proxy right about its teacher? The paper's preset and ours, side by side.

The teacher against proxies {paper, causal} × {fixed, trained dictionary} × K {32, 64, 128, 256},
on scenes mixed from test clips by two mixers, on excerpts of AMI, and on recordings of music and of
noise alone: decisions, reconstruction, necessity of the most relevant tenth of the components,
distinctness of the labels' prototypes, SI-SDR of the explanation as audio, what the teacher hears
in it where the label is absent, and the teacher's recall of a label after its explanation is taken
out of the audio, beside wrong masks that take as much energy: shifted in frequency, shuffled in
time, of another label, of random components. Which components explain a label is chosen on
training scenes.

    python benchmarks/nmf_proxy.py [--teacher REF] [--only NAME]... [--proxy REF] [--out DIR]

Proxies are trained where they are not yet. Killed at any moment and started again, it goes on.
Needs the recordings of ../shared.
"""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from proxies.broadcast import write as broadcast
from proxies.measuring import level_changes, measure
from proxies.report import Row, markdown, write_csv
from proxies.scenes import Scene, read_meetings, read_pure, read_scenes
from proxies.training import SECONDS, VARIANTS, Bench, Variant
from recordings import shared

from xplain.progress import say
from xplain.storage import write_text
from xplain_nmf.proxy_folder import open_proxy
from xplain_nmf.training.teachers import Teacher, load_teacher

RESULTS = Path(__file__).parent / "results"
CHOOSING = 60
"""Training scenes on which relevant components are chosen."""


def main() -> None:
    """Train and measure what is not yet, and write the tables of all that is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--teacher", default="zoo:radio-teacher", help="model reference, or more")
    parser.add_argument("--layer", default="blocks", help="of the teacher, that proxies read")
    parser.add_argument("--only", action="append", choices=[v.name for v in VARIANTS])
    parser.add_argument("--proxy", type=Path, help="one that is trained already, in their place")
    parser.add_argument("--steps", type=int, default=150, help="of each training")
    parser.add_argument("--scenes", type=int, default=20, help="test scenes of 30 s")
    parser.add_argument("--out", type=Path, default=Path("out/nmf_proxy"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    manifest = shared() / "data" / "manifest.csv"
    bench = Bench(options.out, manifest, options.teacher, options.layer, steps=options.steps)
    teacher = load_teacher(options.teacher.split())
    training = bench.mixed("train", bench.scenes, 10.0)
    testing = bench.mixed("test", options.scenes, 30.0)
    choosing = read_scenes(training, CHOOSING)
    data = {
        f"{options.scenes} scenes of 30 s, mixed from test clips": read_scenes(testing),
        f"{options.scenes} scenes of 30 s of another mixer": read_scenes(
            broadcast(manifest, "test", options.out / "scenes" / "broadcast", count=options.scenes)
        ),
        "AMI, three excerpts of 30 s": read_meetings(manifest.parent),
        "recordings of music alone": read_pure(manifest.parent, "music"),
        "recordings of noise alone": read_pure(manifest.parent, "noise"),
    }
    if options.proxy is not None:
        found = open_proxy(options.proxy)
        for name, scenes in data.items():
            figures = measure(found, teacher, choosing, scenes)
            changes = level_changes(found, scenes)
            figures |= {f"F1 change at ±20 dB {label}": value for label, value in changes.items()}
            print(json.dumps({name: figures}, indent=2))
        return
    asked = [v for v in VARIANTS if options.only is None or v.name in options.only]
    rows = list(measured(bench, asked, teacher, training, choosing, data))
    rows.sort(key=lambda row: list(data).index(row.data))
    note = (
        f"`python benchmarks/nmf_proxy.py`; teacher {options.teacher} "
        f"({str(teacher.record.get('sha256'))[:12]}), whose layer {options.layer!r} every proxy "
        f"reads beside the spectrum; {bench.steps} steps of {bench.batch} pieces of {SECONDS:g} s "
        f"from {bench.scenes} scenes each, one seed; torch {torch.__version__}, Python "
        f"{platform.python_version()}. In the order {' / '.join(teacher.labels)}."
    )
    write_csv(rows, RESULTS / "nmf_proxy.csv")
    write_text(RESULTS / "nmf_proxy.md", markdown(rows, teacher.labels, note))
    say(f"tables: {RESULTS / 'nmf_proxy.md'}")


def measured(
    bench: Bench,
    asked: Sequence[Variant],
    teacher: Teacher,
    training: Path,
    choosing: Sequence[Scene],
    data: dict[str, list[Scene]],
) -> Iterator[Row]:
    """A row for each proxy and data set: of those asked for, and of those that are there."""
    for variant in VARIANTS:
        folder = bench.folder(variant, training)
        if variant in asked:
            bench.proxy(variant, training)
        elif not (folder / "training.json").is_file():
            continue
        for name, scenes in data.items():
            frames = sum(len(scene.labels) for scene in scenes)
            kept = bench.out / "figures" / f"{folder.name}-{frames}.json"
            if not kept.is_file():
                proxy = open_proxy(folder)
                figures = measure(proxy, teacher, choosing, scenes)
                write_text(kept, json.dumps(figures, indent=2) + "\n")
            figures = json.loads(kept.read_text(encoding="utf-8"))
            dictionary = "trained" if variant.trained else "fixed"
            say(f"{variant.name}, {name}: R² {figures['reconstruction R2']:.2f}")
            yield Row(name, variant.preset, dictionary, variant.components, bench.steps, figures)


if __name__ == "__main__":
    main()
