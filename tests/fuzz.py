"""Mutations of real files, read by xplain: done, or a one-line XplainError, and nothing else.

    python tests/fuzz.py --mutations 20000

A case is known by its target and its number: the same number gives the same bytes again.
The parent watches the workers: a case that takes over 20 s of processor time or has its worker
grow over 2 GB is ended and counted as a failure, and so is a crash of the interpreter.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import random
import shutil
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import soundfile

SECONDS = 20.0
"""Of processor time, that a case may take."""
BYTES = 2 * 2**30
"""Resident memory that a worker may reach."""
RATE = 8000

CONTAINERS: Mapping[str, tuple[str, str]] = {
    "wav": ("WAV", "PCM_16"),
    "float.wav": ("WAV", "FLOAT"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "aiff": ("AIFF", "PCM_16"),
    "au": ("AU", "PCM_16"),
    "caf": ("CAF", "PCM_16"),
    "rf64": ("RF64", "PCM_16"),
    "w64": ("W64", "PCM_24"),
}
NASTY_BYTES = (b"\x00", b"\xff", b"\x7f\xff\xff\xff", b"\x00\x00\xff\x7f", b"\x80\x00\x00\x00")
NASTY_BYTES += (b"\xff\xff\xff\xff", b"\r\n", b'"', b"{", b"]", b"\xe2\x80\xae", b"1e999", b"-1")
NASTY_VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    1e308,
    2**63,
    10**400,
    "",
    "../../x",
    "/etc/passwd",
)
NASTY_VALUES += (
    float("nan"),
    float("inf"),
    [],
    {},
    [[]],
    "\u202e",
    "x" * 10_000,
    0.5,
    "nan",
    "\x00",
)
NASTY_VALUES += ("evil.py:make", "nmf:.", "hf:nobody/nothing", [1, "two", None], {"a": {"b": []}})


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Bytes with some changed: flips, cuts, insertions, repeats, fields set to extremes."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        size = len(changed)
        # Headers decide most, so that half of all changes hit the first bytes.
        place = rng.randrange(min(size, 128) if rng.random() < 0.5 else size) if size else 0
        match rng.randrange(7):
            case 0 if size:
                changed[place] ^= 1 << rng.randrange(8)
            case 1 if size:
                changed[place] = rng.randrange(256)
            case 2:
                del changed[place:]
            case 3:
                changed[place:place] = rng.choice(NASTY_BYTES)
            case 4:
                piece = rng.choice(NASTY_BYTES)
                changed[place : place + len(piece)] = piece
            case 5:
                del changed[place : place + rng.randrange(1, 64)]
            case _:
                start = rng.randrange(size) if size else 0
                changed[place:place] = changed[start : start + rng.randrange(1, 256)]
    return bytes(changed)


def mutate_json(data: bytes, rng: random.Random) -> bytes:
    """A JSON document with values, keys or types changed; at times its bytes."""
    if rng.random() < 0.25:
        return mutate(data, rng)
    document = json.loads(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        holders: list[Any] = [document]
        for holder in holders:
            inner = holder.values() if isinstance(holder, dict) else holder
            holders += [value for value in inner if isinstance(value, dict | list) and value]
        holder = rng.choice(holders)
        if not holder:
            continue
        key = rng.choice(list(holder)) if isinstance(holder, dict) else rng.randrange(len(holder))
        match rng.randrange(5):
            case 0:
                del holder[key]
            case 1 if isinstance(holder, dict):
                holder[rng.choice(("new", "", "__class__", str(key).upper()))] = holder.pop(key)
            case 2:
                nested: Any = 1
                for _ in range(rng.choice((3, 100, 5000))):
                    nested = [nested]
                holder[key] = nested
            case 3:
                other = rng.choice(holders)
                holder[key] = json.loads(json.dumps(other)) if len(str(other)) < 10**5 else 7
            case _:
                holder[key] = rng.choice(NASTY_VALUES)
    try:
        return json.dumps(document).encode()
    except (RecursionError, ValueError):
        return b"[" * 100_000


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
        other = mutate_json if name.endswith(".json") else mutate
        (folder / name).write_bytes(other(data, rng))
        return self.read(folder, name)


@cache
def seeds_of(target: Target) -> tuple[Path, Sequence[str]]:
    """The right files of a target, made once in a process."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-seeds-"))
    return folder, target.make(folder)


def samples() -> np.ndarray:
    time_ = np.arange(RATE // 4) / RATE
    return 0.3 * np.sin(2 * np.pi * 440 * time_) * np.exp(-4 * time_)


def make_audio(folder: Path) -> Sequence[str]:
    for suffix, (container, subtype) in CONTAINERS.items():
        soundfile.write(folder / f"clip.{suffix}", samples(), RATE, subtype, format=container)
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

    explanation = xplain.Explanation.load(folder / "clip")
    if sum(map(ord, name)) % 3 == 0 or random.random() < 0.1:
        from xplain.report.page import write_page

        write_page([explanation], folder / "index.html", [folder / "clip"])
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
    from xplain.segmentation import formats

    if name.endswith(".json"):
        return xplain.Segmentation.load(folder / name)
    found = formats.read_segments(folder / name)
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
        soundfile.write(folder / "clips" / f"{n}.wav", samples(), RATE)
    (folder / "manifest.csv").write_text("\n".join(["path,split,label,speaker", *lines]) + "\n")
    return ["manifest.csv"]


def read_manifest(folder: Path, name: str) -> object:
    from xplain import manifest

    return list(manifest.rows(folder / name, required=("path", "split", "label")))


TARGETS = {
    target.name: target
    for target in (
        Target("audio", make_audio, read_audio),
        Target("explanation", make_explanation, read_explanation),
        Target("segments", make_segments, read_segments),
        Target("proxy", make_model("radio"), read_model("nmf")),
        Target("latent", make_latent, read_model("latent")),
        Target("dictionary", make_dictionary, read_dictionary),
        Target("hf", make_hf, read_model("hf")),
        Target("benchmark", make_toml, read_toml),
        Target("manifest", make_manifest, read_manifest),
    )
}
SHARES = {"audio": 8, "explanation": 3, "segments": 5, "proxy": 1, "latent": 1}
"""How many cases of each target there are in a round; 1 for the others."""


def attempt(target: Target, number: int) -> tuple[str, str]:
    """Try one case: "done", "refused", or "failed" with what happened."""
    from xplain import XplainError

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
    return "done", ""


def cases(count: int) -> list[tuple[str, int]]:
    """The first ``count`` cases, of all targets by their shares."""
    turn = [name for name in TARGETS for _ in range(SHARES.get(name, 1))]
    numbers = {name: itertools.count() for name in TARGETS}
    return [(name, next(numbers[name])) for name in itertools.islice(itertools.cycle(turn), count)]


def _work(todo: Any, told: Any) -> None:
    import torch

    torch.set_num_threads(1)
    for name, number in iter(todo.get, None):
        told.put(("begun", name, number, time.process_time()))
        told.put((*attempt(TARGETS[name], number), name, number))


def run(count: int, workers: int, only: str | None = None) -> Counter[str]:
    """Try many cases in watched processes; prints each failure, and returns the counts."""
    context = multiprocessing.get_context("spawn")
    counts: Counter[str] = Counter()
    wanted = [case for case in cases(count) if only in (None, case[0])]
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
                lane["process"] = context.Process(target=_work, args=(lane["todo"], lane["told"]))
                lane["process"].start()
                lane["case"] = None
                for case in [*lane["left"][:500], None]:
                    lane["todo"].put(case)
            while not lane["told"].empty():
                kind, first, *rest = lane["told"].get()
                if kind == "begun":
                    lane["case"], lane["since"] = (first, rest[0]), rest[1]
                else:
                    lane["left"].pop(0)
                    lane["case"] = None
                    counts[f"{rest[0]} {kind}"] += 1
                    if kind == "failed":
                        print(f"FAILED {rest[0]} {rest[1]}: {first}", flush=True)
            if lane.get("case"):
                try:
                    watched = psutil.Process(lane["process"].pid)
                    times, memory = watched.cpu_times(), watched.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
                if times.user + times.system - lane["since"] > SECONDS or memory > BYTES:
                    fail(lane, f"{times.user - lane['since']:.0f} s, {memory / 2**20:.0f} MB")
                    lane["process"].kill()
                    lane["process"].join()
                    lane["left"].pop(0)
                    lane["case"] = None
        time.sleep(0.05)
        done = sum(counts.values())
        if done % 1000 < 5 and done:
            print(f"{done} of {len(wanted)}", flush=True)
    for lane in lanes:
        if lane["process"] is not None:
            lane["process"].join(timeout=10)
            lane["process"].kill()
    return counts


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
    counts = run(chosen.mutations, chosen.workers, chosen.only)
    for what, count in sorted(counts.items()):
        print(f"{what}: {count}")
    failed = sum(count for what, count in counts.items() if what.endswith("failed"))
    raise SystemExit(f"{failed} failed" if failed else 0)


if __name__ == "__main__":
    main()
