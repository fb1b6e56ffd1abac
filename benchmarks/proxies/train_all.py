"""Trains zoo:radio-teacher, zoo:radio and proxies of other black boxes in one go, on one device.

    python -m proxies.train_all POOL OUT --rooms FILE --dictionary FOLDER [--device cuda]
        [--boxes FILE.py] [--minutes 7]

POOL is what ``training.pool`` wrote. Scenes are mixed by as many processes as there are cores, the
teacher stops when its share of the minutes is over, and then all proxies are trained at once. Each
says at the start how fast it is and takes as many steps as fit.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
ZOO = ROOT / "plugins" / "xplain-zoo"
WEIGHTS = ZOO / "src" / "xplain_zoo" / "weights" / "radio-teacher"
MAPPING = ZOO / "training" / "radio_scenes.json"
VARIANTS: dict[str, dict[str, Any]] = {
    "radio": {},
    "radio-specific": {"weights": {"contrast": 1.0, "removal": 1.2}},
    "radio-apart": {"weights": {"separation": 10.0}},
    "multi": {"boxes": ("pyannet", "ina")},
    "pyannet": {"boxes": ("pyannet",)},
    "ina": {"boxes": ("ina",)},
}
"""Proxies: what is changed of the causal preset's weights, and black boxes instead of
zoo:radio-teacher."""


def main() -> None:
    """Do it, or one part of it."""
    parser = argparse.ArgumentParser(prog="python -m proxies.train_all")
    parser.add_argument("pool", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--rooms", type=Path, required=True)
    parser.add_argument("--dictionary", type=Path, required=True)
    parser.add_argument("--boxes", type=Path, help="Python file of other black boxes")
    parser.add_argument("--dev", type=Path, help="scenes of another mixer, for thresholds")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--minutes", type=float, default=7.0)
    parser.add_argument("--scenes", type=int, default=150, help="of each process")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--only", action="append", choices=list(VARIANTS))
    parser.add_argument("--proxy", choices=list(VARIANTS), help="only this, of what is there")
    parser.add_argument("--until", type=float, default=0.0, help="when that is to be over")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.proxy:
        train_proxy(options, options.proxy)
        return
    began = time.time()
    end = began + 60 * options.minutes
    folders = mix(options)
    print(f"scenes: {time.time() - began:.0f} s", flush=True)
    train_teacher(options, folders, seconds=0.4 * (end - time.time()))
    print(f"teacher: {time.time() - began:.0f} s", flush=True)
    names = options.only or [n for n in VARIANTS if options.boxes or "boxes" not in VARIANTS[n]]
    running = []
    for name in names:
        log = (options.out / f"{name}.log").open("w")
        told = [sys.executable, "-m", "proxies.train_all", *sys.argv[1:]]
        told += ["--proxy", name, "--until", str(end)]
        running.append(subprocess.Popen(told, stdout=log, stderr=subprocess.STDOUT))
    for process in running:
        try:
            process.wait(max(1.0, end + 45 - time.time()))
        except subprocess.TimeoutExpired:
            process.kill()
    print(f"proxies: {time.time() - began:.0f} s", flush=True)


def mix(options: argparse.Namespace) -> dict[str, list[Path]]:
    """Scenes: to train on, to choose thresholds on."""
    manifest, scratch = options.pool / "manifest.csv", _scratch(options)
    dev = max(2, options.scenes // 4)
    orders = [
        ("dev", scratch / "dev", 30.0, dev, 2, False),
        ("train", scratch / "plain", 30.0, dev, 6, False),
        *(
            ("train", scratch / f"train-{n}", 10.0, options.scenes, 100 + n, True)
            for n in range(max(1, options.processes - 2))
        ),
    ]
    spawning = get_context("spawn")
    with ProcessPoolExecutor(options.processes, mp_context=spawning) as pool:
        list(pool.map(_mix, [(manifest, *order) for order in orders]))
    while options.dev is not None and not (options.dev / "manifest.csv").is_file():
        time.sleep(1)  # somebody else is mixing them
    return {
        "train": [folder for _, folder, seconds, *_ in orders if seconds == 10],
        "dev": [scratch / "dev", scratch / "plain", *filter(None, [options.dev])],
    }


def _mix(order: tuple[Any, ...]) -> None:
    from xplain_nmf.scenes.folder import Order, make_scenes

    manifest, split, folder, seconds, count, seed, augment = order
    make_scenes(Order(manifest, split, seconds, count, seed, augment, MAPPING), folder)


def train_teacher(
    options: argparse.Namespace, folders: dict[str, list[Path]], seconds: float
) -> None:
    """As many steps as fit, and into the package's folder, from where proxies load it."""
    told = [sys.executable, "-m", "training.train_radio", *folders["train"]]
    told += ["--dev", *folders["dev"], "--meetings", options.pool / "ami.rttm"]
    told += ["--rooms", options.rooms, "--device", options.device]
    told += ["--threads", str(min(8, options.processes)), "--seconds", f"{seconds:.0f}"]
    made = options.out / "radio-teacher"
    path = os.pathsep.join([str(ZOO), os.environ.get("PYTHONPATH", "")])
    command = [str(part) for part in [*told, "--out", made]]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": path})
    for name in ("config.json", "model.safetensors", "training.json"):
        shutil.copy(made / name, WEIGHTS / name)


def train_proxy(options: argparse.Namespace, name: str) -> None:
    """One of the proxies, in the time that is left."""
    from xplain_nmf.dictionary.dictionary import Dictionary
    from xplain_nmf.training.building import Features, build
    from xplain_nmf.training.presets import PRESETS
    from xplain_nmf.training.recordings import Recordings
    from xplain_nmf.training.teachers import load_teacher
    from xplain_nmf.training.training import Settings, train

    variant, scratch = VARIANTS[name], _scratch(options)
    boxes: Sequence[str] = variant.get("boxes", ())
    teacher = load_teacher(
        [f"{options.boxes.resolve()}:{box}" for box in boxes] if boxes else "zoo:radio-teacher"
    )
    features = Features() if boxes else Features(layer_of="zoo:radio-teacher", layer="blocks")
    preset = PRESETS["causal"]
    weights = replace(preset.objective.weights, **variant.get("weights", {}))
    objective = replace(preset.objective, weights=weights, resynthesised=8)
    audio = _audio(options, teacher.labels)
    dictionary = Dictionary.load(options.dictionary)
    origin = {"preset": "causal", "changed": variant, "dictionary": dictionary.provenance}

    def settings(steps: int) -> Settings:
        return Settings(steps, 8, 3e-3, 0, "bfloat16", every=max(steps, 1))

    few = Recordings(audio.pieces[:32], audio.seconds, teacher.labels)
    trial = scratch / f"trial-{name}"
    shutil.rmtree(trial, ignore_errors=True)
    early, a_step = replace(objective, start=0.0), 1.0
    # The first steps on a device set it up: how fast it is, those after them say.
    for steps in (10, 60):
        began = time.time()
        made = build(preset, dictionary, teacher, features, 0)
        train(made, early, teacher, few, trial, settings(steps), None, origin, options.device)
        a_step = (time.time() - began) / steps
        shutil.rmtree(trial)
    answering = len(audio) * 0.02 if options.device != "cpu" else 0.0
    steps = int(max(20, min(12000, (options.until - time.time() - answering - 20) / a_step)))
    print(f"{name}: {a_step:.3f} s a step, {steps} steps of {len(audio)} pieces", flush=True)
    made = build(preset, dictionary, teacher, features, 0)
    out = options.out / name
    train(made, objective, teacher, audio, out, settings(steps), None, origin, options.device, True)


def _audio(options: argparse.Namespace, labels: Sequence[str]) -> Any:
    """Scenes with stems, meetings, and recordings of one kind as they are."""
    from xplain_nmf.training.recordings import Recordings, read_recordings

    scratch, pieces = _scratch(options), []
    folders = [scratch / f"train-{n}" for n in range(max(1, min(5, options.processes - 2)))]
    for folder in (*folders, scratch / "dev"):
        pieces += read_recordings(folder / "manifest.csv", 10.0, labels).pieces
    alone = read_recordings(options.pool / "manifest.csv", 10.0, labels).pieces
    by_name = {piece.path.stem: piece for piece in alone}
    meetings = [piece for piece in alone if piece.path.stem.startswith("trn")]
    numbered = [by_name[stem] for stem in sorted(by_name) if not stem.startswith("trn")]
    pieces += 3 * meetings + numbered[:: max(1, len(numbered) // 250)]
    return Recordings(pieces, 10.0, labels)


def _scratch(options: argparse.Namespace) -> Path:
    """For what is made on the way; not in OUT, which is carried away."""
    folder: Path = options.out.resolve().with_name(options.out.name + "-scratch")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


if __name__ == "__main__":
    main()
