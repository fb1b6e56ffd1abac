"""Is a proxy right about its teacher? Teachers, presets and recordings side by side.

zoo:radio and its teacher, proxies of the same teacher by the paper's preset and by ours, and
proxies of models that nobody here trained (PyanNet, INA, both, Silero), on scenes mixed from test
clips by two mixers, on excerpts of AMI, and on recordings of speech, music and noise alone:
decisions, reconstruction, necessity of the most relevant tenth of the components, SI-SDR of the
explanation as audio, what the teacher hears in it where the label is absent, and the teacher's
recall of a label after its explanation is taken out of the audio, beside wrong masks that take as
much energy: shifted in frequency, shuffled in time, of another label, of random components. Which
components explain a label is chosen on training scenes. Intervals are over recordings.

    python benchmarks/nmf_proxy.py [--only NAME]... [--out DIR]
    python benchmarks/nmf_proxy.py --proxy FOLDER --teacher REF     prints the figures of one

Proxies are trained where they are not yet. Killed at any moment and started again, it goes on.
Needs the recordings and models of ../shared; see proxies/training.py.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from proxies.broadcast import write as broadcast
from proxies.figures import figures
from proxies.measuring import Counts, level_change, measure
from proxies.report import Row, markdown, write_csv
from proxies.scenes import Scene, read_meetings, read_pure, read_scenes
from proxies.training import VARIANTS, Bench, Variant
from recordings import shared

from xplain.progress import say
from xplain.storage import write_text
from xplain_nmf.proxy_folder import open_proxy
from xplain_nmf.scenes.folder import Order, make_scenes
from xplain_nmf.training.teachers import load_teacher

RESULTS = Path(__file__).parent / "results"
CHOOSING = 40
"""Training scenes on which relevant components are chosen."""
SCENES = 8
"""Test scenes of 30 s of each mixer."""
AMI, ALONE = "AMI, excerpts of 30 s", "Recordings of {} alone"
OTHER, OWN = "Scenes of 30 s, of another mixer", "Scenes of 30 s, of the mixer of the training"
PURE = {kind: ALONE.format(kind) for kind in ("speech", "music", "noise")}
UNTOUCHED = "AMI, the one excerpt that zoo:radio-teacher was not trained on either"


def main() -> None:
    """Train and measure what is not yet, and write the tables of all that is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--only", action="append", choices=list(VARIANTS))
    parser.add_argument("--proxy", type=Path, help="one that is trained already, in their place")
    parser.add_argument("--teacher", action="append", help="of --proxy")
    parser.add_argument("--out", type=Path, default=Path("out/nmf_proxy"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    bench = Bench(options.out, shared() / "data" / "manifest.csv")
    choosing = read_scenes(bench.scenes(), CHOOSING)
    data = test_data(bench)
    if options.proxy is not None:
        proxy = open_proxy(options.proxy)
        teacher = load_teacher(options.teacher or ["zoo:radio-teacher"], proxy.config.labels)
        for name, counts in measure(proxy, teacher, choosing, data):
            found = {n: i.mean for n, i in figures(counts, proxy.config.labels)}
            found["decisions changed at ±20 dB"] = level_change(proxy, data[name])
            print(json.dumps({name: found}, indent=2))
        return
    for name in options.only or VARIANTS:
        measured(bench, name, VARIANTS[name], choosing, data)
    tables(bench)


def tables(bench: Bench) -> None:
    """Write the tables of all that is counted."""
    places = [AMI, UNTOUCHED, *PURE.values(), OTHER, OWN]
    rows = [row for name, variant in VARIANTS.items() for row in rows_of(bench, name, variant)]
    rows.sort(key=lambda row: places.index(row.data))
    note = (
        "`python benchmarks/nmf_proxy.py`; one training of each, one seed. F1 is the mean over "
        "recordings that have the label, shares are of all their frames, SI-SDR is the median; in "
        "brackets 95 % BCa bootstrap intervals over recordings (scipy.stats.bootstrap), of which "
        "three excerpts of AMI allow hardly any. recall: the teacher's, of the label, on the audio "
        "and after the explanation or a wrong mask of as much energy was taken out; lost beyond "
        "hardest: what the hardest of these leaves more than the explanation does. false: heard "
        "where the label is absent, on the audio and in the explanation alone. Of INA every 20 ms "
        f"decisions, every 160 ms recalls. torch {torch.__version__}, Python "
        f"{platform.python_version()}."
    )
    write_csv(rows, RESULTS / "nmf_proxy.csv")
    write_text(RESULTS / "nmf_proxy.md", markdown(rows, note))
    say(f"tables: {RESULTS / 'nmf_proxy.md'}")


def test_data(bench: Bench) -> dict[str, list[Scene]]:
    """Test recordings by the name of their data set; none of them was trained on here."""
    own = bench.out / "scenes" / "own"
    make_scenes(Order(bench.manifest, "test", 30.0, SCENES, 5, augment=False), own)
    other = broadcast(bench.manifest, "test", bench.out / "scenes" / "broadcast", 30.0, SCENES, 21)
    folder = bench.manifest.parent
    return {
        AMI: read_meetings(folder),
        **{place: read_pure(folder, kind) for kind, place in PURE.items()},
        OTHER: read_scenes(other),
        OWN: read_scenes(own / "manifest.csv"),
    }


def measured(
    bench: Bench, name: str, variant: Variant, choosing: list[Scene], data: dict[str, list[Scene]]
) -> None:
    """Count what is not counted yet of a proxy, data set by data set."""
    folder = bench.proxy(name)
    missing = {d: s for d, s in data.items() if not kept(bench, name, d).is_file()}
    if not missing:
        return
    proxy = open_proxy(folder)
    teacher = load_teacher(variant.teachers, variant.labels)
    hearing = load_teacher(variant.hearing, variant.labels) if variant.hearing else None
    began = time.process_time()
    for place, counts in measure(proxy, teacher, choosing, missing, hearing):
        write_text(kept(bench, name, place), json.dumps(counts) + "\n")
        say(f"{name}, {place}: {time.process_time() - began:.0f} s")


def rows_of(bench: Bench, name: str, variant: Variant) -> Iterator[Row]:
    """A row for each data set that is counted; of the untouched excerpt of AMI one more."""
    for place in (AMI, *PURE.values(), OTHER, OWN):
        if not kept(bench, name, place).is_file():
            continue
        counts: list[Counts] = json.loads(kept(bench, name, place).read_text(encoding="utf-8"))
        shown = {place: counts}
        if place == AMI:
            shown[UNTOUCHED] = counts[:1]
        for called, some in shown.items():
            found = dict(figures(some, variant.labels))
            yield Row(called, name, len(some), variant.labels, found)


def kept(bench: Bench, name: str, data: str) -> Path:
    """Where the counts of a proxy on a data set are."""
    folder = bench.out / "counts" / name.replace(":", "-")
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{data.replace(' ', '-').replace(',', '')}.json"


if __name__ == "__main__":
    main()
