"""Mutations of real files, read by xplain: done, or a one-line XplainError, and nothing else.

    python tests/fuzz.py --mutations 20000

A case is known by its target and its number: the same number gives the same bytes again.
The parent watches the workers: a case that takes over 20 s of processor time, waits for 120 s or
has its worker grow over 2 GB is ended and counted as a failure, and so is a crash of the
interpreter. Files of ../shared/cases are mutated too, where there are any.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import os
import random
import resource
import shutil
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import soundfile
from mutations import CONTAINERS, encoded, mutate, mutate_json

sys.path.append(str(Path(__file__).parents[1] / "plugins" / "xplain-devkit" / "tests"))  # Additive

SECONDS = 20.0
"""Of processor time, that a case may take."""
WAIT = 120.0
"""Seconds by the clock, after which a case is stuck, on a machine that does other work too."""
BYTES = 2 * 2**30
"""Resident memory that a worker may reach."""
RATE = 8000


@dataclass(frozen=True)
class Target:
    """Something that reads files: seeds to mutate, and how it is asked to read one.

    make: writes the right files into a folder and names those that are mutated. read: reads
    what lies in the folder; the name is that of the mutated file.
    """

    name: str
    make: Callable[[Path], Sequence[str]]
    read: Callable[[Path, str], object]

    def case(self, number: int, folder: Path) -> object:
        """Write case ``number`` into a folder and read it."""
        rng = random.Random(f"{self.name} {number}")
        seeds, names = seeds_of(self)
        shutil.copytree(seeds, folder, dirs_exist_ok=True)
        name = names[number % len(names)]
        data = (folder / name).read_bytes()
        mutated = mutate_json if name.endswith(".json") else mutate
        (folder / name).write_bytes(mutated(data, rng))
        return self.read(folder, name)


HELD: list[tempfile.TemporaryDirectory[str]] = []
"""Folders of seeds, removed when the process ends."""


@cache
def seeds_of(target: Target) -> tuple[Path, Sequence[str]]:
    """The right files of a target, made once in a process."""
    HELD.append(tempfile.TemporaryDirectory(prefix="fuzz-seeds-"))
    folder = Path(HELD[-1].name)
    return folder, target.make(folder)


def samples() -> np.ndarray:
    time_ = np.arange(RATE // 4) / RATE
    return 0.3 * np.sin(2 * np.pi * 440 * time_) * np.exp(-4 * time_)


def make_audio(folder: Path) -> Sequence[str]:
    for kind in CONTAINERS:
        (folder / f"clip.{kind}").write_bytes(encoded(kind, samples(), RATE))
    return [path.name for path in sorted(folder.iterdir())]


def read_audio(folder: Path, name: str) -> object:
    """Read and stream a recording; both agree on what it holds."""
    import torch

    from xplain import XplainError, audio

    def outcome(work: Callable[[], Any]) -> Any:
        try:
            return work()
        except XplainError as error:
            return error

    read = outcome(lambda: audio.read(folder / name))
    rate = getattr(read, "sample_rate", RATE)
    streamed = outcome(lambda: torch.cat(list(audio.stream(folder / name, rate).blocks)))
    assert isinstance(read, XplainError) == isinstance(streamed, XplainError), (read, streamed)
    if isinstance(read, XplainError):
        raise read
    assert torch.equal(read.waveform, streamed), (read.waveform.shape, streamed.shape)
    return read


def make_explanation(folder: Path) -> Sequence[str]:
    import torch
    from toys import BandEnergies

    import xplain

    model = xplain.wrap(BandEnergies(), sample_rate=RATE, labels=("low", "mid", "high"))
    explanation = xplain.explain(torch.from_numpy(samples()).float(), model)
    explanation.check()
    explanation.save(folder / "clip", keep=[0.1], remove=[0.1])
    written = {path.name for path in (folder / "clip").iterdir()}
    # The record decides most, so that it is changed most.
    return [f"clip/{n}" for n in [*sorted(written), *["explanation.json"] * 6]]


def read_explanation(folder: Path, name: str) -> object:
    import xplain
    from xplain.report.page import write_page

    explanation = xplain.Explanation.load(folder / "clip")
    write_page(explanation, folder / "index.html")
    explanation.save(folder / "again", keep=[], remove=[])
    return explanation


SEGMENTS = (("music", 0.5, 2.25), ("speech", 1.0, 4.0), ("noise", 3.5, 3.75))


def make_segments(folder: Path) -> Sequence[str]:
    import torch
    from wrong_plugins import Additive

    import xplain

    s = xplain.segment(torch.from_numpy(np.tile(samples(), 8)).float(), Additive(), explain=True)
    s.to_json(folder / "s.json")
    s.to_rttm(folder / "s.rttm")
    s.to_csv(folder / "s.csv")
    s.to_audacity(folder / "s.txt")
    s.to_textgrid(folder / "s.TextGrid")
    text = (folder / "s.TextGrid").read_text("utf-8")
    (folder / "u16.TextGrid").write_text(text, "utf-16")
    return [path.name for path in sorted(folder.iterdir())]


def read_segments(folder: Path, name: str) -> object:
    import math

    import xplain
    from xplain.report.segments import write_page
    from xplain.segmentation import result

    if name == "s.json":
        segmentation = xplain.Segmentation.load(folder / name)
        write_page(segmentation, folder / "s.html")
        return segmentation
    found = result.read_segments(folder / name)
    assert all(0 <= s.start <= s.end and math.isfinite(s.end) for s in found), found
    return found


def make_model(which: str) -> Callable[[Path], Sequence[str]]:
    def make(folder: Path) -> Sequence[str]:
        import xplain_zoo

        weights = Path(xplain_zoo.__file__).parent / "weights"
        shutil.copytree(weights / which, folder / which)
        return [f"{which}/{n}" for n in ("config.json",) * 5 + ("model.safetensors",)]

    return make


def read_model(scheme: str) -> Callable[[Path, str], object]:
    def read(folder: Path, name: str) -> object:
        import xplain

        return xplain.load_model(f"{scheme}:{folder / Path(name).parent}")

    return read


def make_latent(folder: Path) -> Sequence[str]:
    make_model("codec")(folder)  # which it names by a path beside itself
    return make_model("digits-latent")(folder)


def make_dictionary(folder: Path) -> Sequence[str]:
    import torch

    from xplain_nmf.dictionary.dictionary import Dictionary
    from xplain_nmf.spectrum import Spectrum

    spectra = torch.rand(513, 4, generator=torch.Generator().manual_seed(0))
    Dictionary(spectra / spectra.norm(dim=0), Spectrum()).save(folder / "dictionary")
    return [f"dictionary/{p.name}" for p in sorted((folder / "dictionary").iterdir())]


def read_dictionary(folder: Path, name: str) -> object:
    from xplain_nmf.dictionary.dictionary import Dictionary

    return Dictionary.load(folder / "dictionary")


def make_prototypes(folder: Path) -> Sequence[str]:
    import torch

    from xplain_nmf.prototypes.prototypes import Prototypes

    chance = torch.Generator().manual_seed(0)
    relevance, spectra = (torch.rand(n, 3, generator=chance) for n in (2, 4))
    Prototypes(
        ("a", "b"),
        relevance - 0.5,
        spectra,
        torch.arange(4.0),
        (1, 2),
        (1.0, 2.0),
        0.5,
        ("a", "b", "b"),
    ).save(folder / "prototypes")
    return [f"prototypes/{p.name}" for p in sorted((folder / "prototypes").iterdir())]


def read_prototypes(folder: Path, name: str) -> object:
    from xplain_nmf.prototypes.plot import png
    from xplain_nmf.prototypes.prototypes import Prototypes

    return png(Prototypes.load(folder / "prototypes"))


def read_radio(folder: Path, name: str) -> object:
    from xplain_zoo.radio import RadioSegmenter

    return RadioSegmenter.from_folder(folder / "radio-teacher")


def read_digits(folder: Path, name: str) -> object:
    from xplain_zoo.digits import DigitClassifier

    return DigitClassifier.from_folder(folder / "digits")


def make_interpreter(folder: Path) -> Sequence[str]:
    import torch

    from xplain_interpreters.layers import Layer
    from xplain_interpreters.trained.folder import write
    from xplain_interpreters.trained.mask import Decoder

    torch.manual_seed(0)
    layers = [Layer("conv", (1, 3, 2), 8, 20), Layer("gru", (2, 1), 4, 1)]
    made = {"name": "a", "sha256": None, "parameters": {"window": 0.032}}
    record = {"kind": "l-mac", "model": made, "synthesizer": made}
    write(folder / "lmac", record, Decoder(layers, {"width": 4}), 1.0)
    return [f"lmac/{n}" for n in ("config.json",) * 5 + ("model.safetensors",)]


def read_interpreter(folder: Path, name: str) -> object:
    from xplain_interpreters.trained.lmac import LMac

    return LMac(str(folder / "lmac"))


def make_hf(folder: Path) -> Sequence[str]:
    import transformers

    config = transformers.Wav2Vec2Config(
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        conv_dim=(4, 4),
        conv_stride=(5, 4),
        conv_kernel=(10, 8),
        num_conv_pos_embeddings=8,
        num_conv_pos_embedding_groups=2,
        classifier_proj_size=4,
        id2label={0: "a", 1: "b", 2: "c"},
    )
    transformers.Wav2Vec2ForSequenceClassification(config).save_pretrained(folder / "hf")
    transformers.Wav2Vec2FeatureExtractor(sampling_rate=RATE).save_pretrained(folder / "hf")
    files = sorted(path.name for path in (folder / "hf").iterdir())
    return [f"hf/{n}" for n in [*files, *["config.json"] * 4]]


def make_toml(folder: Path) -> Sequence[str]:
    root = Path(__file__).parents[1]
    shutil.copy(root / "examples" / "benchmark.toml", folder / "benchmark.toml")
    return ["benchmark.toml"]


def read_toml(folder: Path, name: str) -> object:
    from xplain_evaluation.benchmark.config import Config

    return Config.load(folder / name)


def make_manifest(folder: Path) -> Sequence[str]:
    lines = [f"clips/{n}.wav,{'train' if n % 3 else 'test'},{n % 2},speaker {n}" for n in range(9)]
    (folder / "clips").mkdir()
    for n in range(9):
        soundfile.write(folder / "clips" / f"{n}.wav", samples() * (1 - n / 20), RATE)
    (folder / "manifest.csv").write_text("\n".join(["path,split,label,speaker", *lines]) + "\n")
    return ["manifest.csv"]


def read_manifest(folder: Path, name: str) -> object:
    from xplain import manifest

    return list(manifest.rows(folder / name, required=("path", "split", "label")))


def make_labels(folder: Path) -> Sequence[str]:
    """What names the segments of recordings, and which recordings are speech, music or noise."""
    import json

    rows = [{"label": label, "start": start, "end": end} for label, start, end in SEGMENTS]
    (folder / "list.json").write_text(json.dumps(rows))
    (folder / "named.json").write_text(json.dumps({"clip-0": rows, "other": rows[:1]}))
    (folder / "kinds.json").write_text(
        '{"speech": {"a": {}}, "music": {"b": {"share": 2}}, "noise": {"c": {"without": ["x"]}}}'
    )
    make_segments(folder)
    return [path.name for path in sorted(folder.iterdir())]


def read_labels(folder: Path, name: str) -> object:
    """Group a clip's latents by a file of segments, or read a mapping."""
    import torch

    from xplain.interfaces import Clip
    from xplain.models import make_synthesizer
    from xplain_nmf.scenes.sources import read_mapping
    from xplain_units.file import File

    if name == "kinds.json":
        return read_mapping(folder / name)
    stft = make_synthesizer("stft", RATE, {})
    waveform = torch.zeros(4 * RATE)
    clip = Clip(stft, waveform, stft.encode(waveform[None]), torch.Generator(), "clip-0")
    grouping = File(str(folder / name))
    grouping.fingerprint()
    return grouping.groups(clip)


def trainings(folder: Path) -> dict[str, Callable[[], object]]:
    """Short trainings, each by the name of its folder: what they are told is the same each time."""
    import xplain
    from xplain_codecs.fit import fit as classifiers
    from xplain_codecs.fit.codec_record import Codec
    from xplain_codecs.fit.training import Training
    from xplain_codecs.replacements.inpainting import training as inpainting
    from xplain_interpreters.trained import training as interpreting
    from xplain_interpreters.trained.autoencoder import SparseAutoencoder
    from xplain_interpreters.trained.interpreter import Training as Interpreting
    from xplain_nmf.scenes.folder import Order, make_scenes
    from xplain_nmf.training.distilling import Task, distil
    from xplain_nmf.training.training import Settings

    clips = sorted((folder / "clips").iterdir())
    codec, stft = Codec.of("stft", {"sample_rate": RATE, "window": 0.016})
    task = classifiers.Task(
        folder / "words.csv",
        "stft",
        "conv",
        {"sample_rate": RATE, "window": 0.016},
        {"width": 4, "layers": 1},
        Training(epochs=2, batch=4),
    )
    paint = inpainting.Training(steps=4, batch=2, frames=8, width=4, every=2)
    learn = Interpreting(steps=4, batch=2, seconds=0.1, features=4, active=2, every=2)

    proxy = Task(
        teacher="zoo:radio-teacher",
        audio=(folder / "long.csv",),
        dictionary=folder / "dictionary",
        preset="paper",
        seconds=1.0,
        settings=Settings(steps=3, batch=2, every=1),
    )

    def interpret() -> object:
        model = xplain.wrap(_bands(), sample_rate=RATE, labels=("low", "mid", "high"))
        return interpreting.fit(
            SparseAutoencoder, model, stft, clips, folder / "interpreter", learn
        )

    return {
        "classifier": lambda: classifiers.fit(task, folder / "classifier"),
        "inpainter": lambda: inpainting.fit(codec, stft, clips, folder / "inpainter", paint),
        "interpreter": interpret,
        "proxy": lambda: distil(proxy, folder / "proxy"),
        "scenes": lambda: make_scenes(
            Order(folder / "kinds.csv", "train", 1.0, 2, mapping=folder / "kinds.json"),
            folder / "scenes",
        ),
    }


def _bands() -> Any:
    from toys import BandEnergies

    return BandEnergies()


def make_resumed(folder: Path) -> Sequence[str]:
    """Folders of trainings that were interrupted where they would have been whole."""
    from unittest import mock

    make_manifest(folder)
    parts = ("train", "train", "train", "train", "train", "dev", "dev", "test", "test")
    rows = [f"clips/{n}.wav,{part},{n % 2}" for n, part in enumerate(parts)]
    (folder / "words.csv").write_text("\n".join(["path,split,label", *rows]) + "\n")
    rows = [f"clips/{n}.wav,{kind},train,{kind}" for n, kind in enumerate("aabc")]
    (folder / "kinds.csv").write_text("\n".join(["path,dataset,split,label", *rows]) + "\n")
    (folder / "kinds.json").write_text(
        '{"speech": {"a": {}}, "music": {"b": {}}, "noise": {"c": {}}}'
    )
    make_dictionary(folder)
    (folder / "long.csv").write_text("path\nlong.wav\n")
    soundfile.write(folder / "long.wav", np.tile(samples(), 12), RATE)
    ends = {
        "classifier": "xplain_codecs.fit.fit.save",
        "inpainter": "xplain_codecs.replacements.inpainting.folder.write",
        "interpreter": "xplain_interpreters.trained.folder.write",
        "proxy": "xplain_nmf.training.training._write",
        "scenes": "xplain_nmf.scenes.folder._manifest",
    }
    for name, train in trainings(folder).items():
        with mock.patch(ends[name], side_effect=KeyboardInterrupt):
            try:
                train()
            except KeyboardInterrupt:
                continue
        raise AssertionError(f"{name} was not interrupted")
    left = [*folder.glob("*.partial/*"), *sorted(folder.glob("*.partial/latents/*"))[:1]]
    left += [
        *folder.glob("proxy.partial/checkpoints/checkpoint-3/*"),
        folder / "scenes/scenes.json",
    ]
    return sorted(str(path.relative_to(folder)) for path in left if path.is_file())


def read_resumed(folder: Path, name: str) -> object:
    """Go on with the training whose folder was changed."""
    return trainings(folder)[name.split("/")[0].removesuffix(".partial")]()


BENCHMARK = {
    "models": ["planted:"],
    "data": [{"name": "cues", "planted": 2}],
    "explainers": ["input-x-gradient"],
    "metrics": ["relevance-mass", "removal"],
    "ratios": [0.1],
}


def make_journal(folder: Path) -> Sequence[str]:
    read_journal(folder, "")
    return ["out/journal.jsonl"]


def read_journal(folder: Path, name: str) -> object:
    """Go on with a benchmark: what its journal holds is read, tabulated and drawn."""
    from xplain_evaluation.benchmark.config import Config
    from xplain_evaluation.benchmark.run import run

    return run(Config.read(BENCHMARK, folder), folder / "out")


SHARED = Path(os.environ.get("XPLAIN_SHARED", Path(__file__).parents[1] / ".." / "shared"))


def make_shared(kind: str) -> Callable[[Path], Sequence[str]]:
    def make(folder: Path) -> Sequence[str]:
        shutil.copytree(SHARED / "cases" / kind, folder, dirs_exist_ok=True)
        return [path.name for path in sorted(folder.iterdir())]

    return make


TARGETS = {
    target.name: target
    for target in (
        Target("audio", make_audio, read_audio),
        Target("explanation", make_explanation, read_explanation),
        Target("segments", make_segments, read_segments),
        Target("proxy", make_model("radio"), read_model("nmf")),
        Target("latent", make_latent, read_model("latent")),
        Target("dictionary", make_dictionary, read_dictionary),
        Target("prototypes", make_prototypes, read_prototypes),
        Target("radio", make_model("radio-teacher"), read_radio),
        Target("digits", make_model("digits"), read_digits),
        Target("interpreter", make_interpreter, read_interpreter),
        Target("hf", make_hf, read_model("hf")),
        Target("benchmark", make_toml, read_toml),
        Target("journal", make_journal, read_journal),
        Target("manifest", make_manifest, read_manifest),
        Target("labels", make_labels, read_labels),
        Target("resumed", make_resumed, read_resumed),
    )
}
if (SHARED / "cases").is_dir():
    TARGETS["real audio"] = Target("real audio", make_shared("audio"), read_audio)
    TARGETS["real segments"] = Target("real segments", make_shared("segments"), read_segments)
SHARES = {"audio": 8, "explanation": 3, "segments": 5, "proxy": 1, "latent": 1}
"""How many cases of each target there are in a round; 1 for the others."""


def attempt(target: Target, number: int) -> tuple[str, str]:
    """Try one case: "done", "refused", or "failed" with what happened."""
    import torch

    from xplain import XplainError

    seeds_of(target)  # which may draw random numbers
    state = torch.get_rng_state()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            target.case(number, Path(folder) / "case")
        except XplainError as error:
            text = str(error)
            one_line = text and "\n" not in text and len(text) < 2000
            return ("refused", text) if one_line else ("failed", f"not one line: {text[:2000]!r}")
        except (Exception, SystemExit) as error:
            return "failed", f"{type(error).__name__}: {error}"[:2000]
    if not torch.equal(torch.get_rng_state(), state):
        return "failed", "random numbers were drawn"
    return "done", ""


def cases(count: int) -> list[tuple[str, int]]:
    """The first ``count`` cases, of all targets by their shares."""
    turn = [name for name in TARGETS for _ in range(SHARES.get(name, 1))]
    numbers = {name: itertools.count() for name in TARGETS}
    return [(name, next(numbers[name])) for name in itertools.islice(itertools.cycle(turn), count)]


def _work(todo: Any, told: Any, scratch: str) -> None:
    import torch

    tempfile.tempdir = scratch  # which the parent removes, also where it had to kill this process
    torch.set_num_threads(1)
    for name, number in iter(todo.get, None):
        told.put(("begun", name, number, time.process_time()))
        seeds_of(TARGETS[name])  # made once, which is no part of the case's time
        begun = time.process_time()
        outcome = attempt(TARGETS[name], number)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        told.put((*outcome, name, number, time.process_time() - begun, memory))


def run(
    count: int, workers: int, scratch: str, only: str | None = None
) -> tuple[Counter[str], dict[str, tuple[float, int]]]:
    """Try many cases in watched processes; prints each failure.

    Returns the counts, and of each target the longest processor time of a case, in seconds, and
    the largest resident memory, in bytes, of a process that had tried one.
    """
    context = multiprocessing.get_context("spawn")
    counts: Counter[str] = Counter()
    worst: dict[str, tuple[float, int]] = {}
    wanted = [case for case in cases(count) if only in (None, case[0])]
    said = 0
    lanes: list[dict[str, Any]] = []
    for lane in range(workers):
        lanes.append({"left": wanted[lane::workers], "process": None})

    def fail(lane: dict[str, Any], why: str) -> None:
        name, number = lane["case"]
        counts[f"{name} failed"] += 1
        print(f"FAILED {name} {number}: {why}", flush=True)

    while any(lane["left"] for lane in lanes):
        for lane in lanes:
            if not lane["left"]:
                continue
            if lane["process"] is None or not lane["process"].is_alive():
                if lane["process"] is not None and lane.get("case"):
                    fail(lane, f"the interpreter ended with {lane['process'].exitcode}")
                    lane["left"].pop(0)
                lane["todo"], lane["told"] = context.Queue(), context.Queue()
                lane["process"] = context.Process(
                    target=_work, args=(lane["todo"], lane["told"], scratch)
                )
                lane["process"].start()
                lane["case"] = None
                for case in [*lane["left"][:500], None]:
                    lane["todo"].put(case)
            while not lane["told"].empty():
                kind, first, *rest = lane["told"].get()
                if kind == "begun":
                    lane["case"], lane["since"] = (first, rest[0]), rest[1]
                    lane["begun"] = time.monotonic()
                else:
                    lane["left"].pop(0)
                    lane["case"] = None
                    counts[f"{rest[0]} {kind}"] += 1
                    most = zip(worst.get(rest[0], (0.0, 0)), rest[2:], strict=True)
                    worst[rest[0]] = tuple(map(max, most))  # type: ignore[assignment]
                    if kind == "failed":
                        print(f"FAILED {rest[0]} {rest[1]}: {first}", flush=True)
            if lane.get("case"):
                try:
                    watched = psutil.Process(lane["process"].pid)
                    times, memory = watched.cpu_times(), watched.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
                used = times.user + times.system - lane["since"]
                waited = time.monotonic() - lane["begun"]
                if used > SECONDS or waited > WAIT or memory > BYTES:
                    fail(lane, f"{used:.0f} of {waited:.0f} s, {memory / 2**20:.0f} MB")
                    lane["process"].kill()
                    lane["process"].join()
                    lane["left"].pop(0)
                    lane["case"] = None
        time.sleep(0.05)
        if (done := sum(counts.values())) >= said + 1000:
            said = done
            print(f"{done} of {len(wanted)}", flush=True)
    for lane in lanes:
        if lane["process"] is not None:
            lane["process"].join(timeout=10)
            lane["process"].kill()
    return counts, worst


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--mutations", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", choices=sorted(TARGETS), help="one target [default: all]")
    parser.add_argument("--case", type=int, help="one case of --only, in this process")
    chosen = parser.parse_args()
    if chosen.case is not None:
        print(*attempt(TARGETS[chosen.only or "audio"], chosen.case))
        return
    with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch:
        counts, worst = run(chosen.mutations, chosen.workers, scratch, chosen.only)
    print("target: done / refused / failed; longest case, largest process")
    for name, (seconds, memory) in worst.items():
        outcomes = " / ".join(str(counts[f"{name} {k}"]) for k in ("done", "refused", "failed"))
        print(f"{name}: {outcomes}; {seconds:.1f} s, {memory / 2**20:.0f} MB")
    failed = sum(count for what, count in counts.items() if what.endswith("failed"))
    raise SystemExit(f"{failed} failed" if failed else 0)


if __name__ == "__main__":
    main()
