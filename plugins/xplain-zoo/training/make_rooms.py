"""Impulse responses of rooms to train in: ``python -m training.make_rooms OUT.safetensors``.

Boxes of all sizes and materials with pyroomacoustics (image sources).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

RATE = 16000  # Hz
LENGTH = 9600  # samples, 0.6 s


def response(chance: np.random.Generator) -> np.ndarray:
    """(LENGTH,) float32 from the direct sound on, of energy 1."""
    import pyroomacoustics  # late, so that --help needs none

    size = chance.uniform((2.5, 2.5, 2.2), (12, 9, 4))
    absorption, order = pyroomacoustics.inverse_sabine(chance.uniform(0.25, 0.9), size)
    room = pyroomacoustics.ShoeBox(
        size, RATE, materials=pyroomacoustics.Material(absorption), max_order=min(order, 17)
    )
    room.add_source(chance.uniform(0.5, size - 0.5))
    room.add_microphone(chance.uniform(0.5, size - 0.5))
    room.compute_rir()
    heard = np.asarray(room.rir[0][0], np.float32)
    direct = max(0, int(np.abs(heard).argmax()) - 8)
    cut = np.zeros(LENGTH, np.float32)
    rest = heard[direct : direct + LENGTH]
    cut[: len(rest)] = rest
    normal: np.ndarray = cut / np.sqrt(np.square(cut).sum())
    return normal


def main() -> None:
    """Write them as one tensor, ``rooms`` (count, samples)."""
    parser = argparse.ArgumentParser(prog="python -m training.make_rooms")
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    made: list[torch.Tensor] = []
    chance = np.random.default_rng(options.seed)
    while len(made) < options.count:
        try:
            made.append(torch.from_numpy(response(chance)))
        except ValueError:  # there is no such reverberation in so small a room
            continue
    save_file({"rooms": torch.stack(made)}, options.out)


if __name__ == "__main__":
    main()
