"""What `xplain explain` costs beside the evaluations that it makes: whole command, with pages.

Real recordings of digits, zoo:digits over stft, verdicts and pages as by default. Processor time
of one thread. The evaluations are timed where they are made: the model's forward pass, the
decoding, and the gradients that go back through both. Everything else is xplain's own: reading,
ranking, the verdict's arithmetic, audio files, pages. The start of Python and the imports are
startup.py's.

    python benchmarks/command_overhead.py [--clips 200] [--rounds 5]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from recordings import recordings

import xplain
from xplain.cli.explain import explain
from xplain.models import make_synthesizer
from xplain.progress import hush


@contextmanager
def timed(holder: Any, name: str, spent: list[float]) -> Iterator[None]:
    """Add the processor time of every call of a function to a list meanwhile."""
    function: Callable[..., Any] = getattr(holder, name)
    own = name in vars(holder)

    def called(*args: Any, **kwargs: Any) -> Any:
        start = time.process_time()
        try:
            return function(*args, **kwargs)
        finally:
            spent.append(time.process_time() - start)

    setattr(holder, name, called)
    try:
        yield
    finally:
        setattr(holder, name, function) if own else delattr(holder, name)


def main() -> None:
    """Run the command over all clips, round by round."""
    arguments = argparse.ArgumentParser(description="the command beside its evaluations")
    arguments.add_argument("--clips", type=int, default=200)
    arguments.add_argument("--rounds", type=int, default=5)
    options = arguments.parse_args()
    torch.set_num_threads(1)
    hush(True)
    model = xplain.load_model("zoo:digits")
    codec = make_synthesizer("stft", model.sample_rate)
    clips = [str(r.path) for r in recordings("fsdd", "test")[: options.clips]]
    run_all(clips[:4], model, codec)  # the first clips import and measure
    ratios, seconds, calls = [], [], 0
    for _ in range(options.rounds):
        spent: list[float] = []
        start = time.process_time()
        with (
            timed(model.module, "forward", spent),
            timed(codec, "decode", spent),
            timed(torch.autograd, "grad", spent),
        ):
            run_all(clips, model, codec)
        seconds.append(time.process_time() - start)
        ratios.append(seconds[-1] / sum(spent))
        calls = len(spent)
    print(
        f"{len(clips)} clips: command / evaluations: median {statistics.median(ratios):.2f} "
        f"({min(ratios):.2f}-{max(ratios):.2f}) over {options.rounds} rounds; "
        f"{1000 * statistics.median(seconds) / len(clips):.0f} ms a clip, "
        f"{calls / len(clips):.0f} calls of the model, the decoder and autograd a clip"
    )


def run_all(clips: list[str], model: xplain.Model, codec: xplain.Synthesizer) -> None:
    """The command, as `xplain explain CLIPS --model zoo:digits` runs it."""
    with tempfile.TemporaryDirectory() as folder:
        # The command takes a reference; a loaded model goes the same way.
        asked: Any = model
        representation: Any = codec
        explain(clips, asked, synthesizer=representation, out=Path(folder, "out"))


if __name__ == "__main__":
    main()
