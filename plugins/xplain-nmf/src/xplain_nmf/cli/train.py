"""``xplain nmf train``: a teacher, recordings and a dictionary in, a proxy out."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from xplain.cli.parameters import Pairs, parameter_of, parameters


class Name(str, Enum):
    """The presets."""

    paper = "paper"
    causal = "causal"


class Precision(str, Enum):
    """Of the network's arithmetic; the weights stay float32."""

    float32 = "float32"
    bfloat16 = "bfloat16"
    float16 = "float16"


def train(
    teacher: Annotated[
        list[str],
        typer.Option(
            help="Segmenter, or model reference: zoo:radio-teacher, hf:FOLDER, …; may repeat: each "
            "label is the first's that has it"
        ),
    ],
    audio: Annotated[
        list[Path],
        typer.Option(help="CSV with a column path, of scenes or any recordings; may repeat"),
    ],
    out: Annotated[
        Path, typer.Option(help="Folder for the proxy; an interrupted training resumes")
    ],
    dictionary: Annotated[
        Path | None, typer.Option(help="Folder that xplain nmf dictionary wrote")
    ] = None,
    begin: Annotated[
        Path | None,
        typer.Option("--from", help="Proxy to go on from, instead of a dictionary: its folder"),
    ] = None,
    preset: Annotated[
        Name, typer.Option(help="Loss of the paper, or of this project")
    ] = Name.causal,
    evaluation: Annotated[
        Path | None, typer.Option(help="CSV of recordings to evaluate on during training")
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Rows of --audio to use, by their split")
    ] = None,
    label: Annotated[
        list[str] | None, typer.Option(help="Label of the teacher, may repeat [default: all]")
    ] = None,
    teacher_param: Annotated[Pairs, parameter_of("the teacher")] = None,
    encoder: Annotated[
        str | None,
        typer.Option(help='Read a transformers encoder: repository, folder, or "teacher"'),
    ] = None,
    layer: Annotated[
        str | None, typer.Option(help="Read this layer of the teacher beside the spectrum")
    ] = None,
    layer_of: Annotated[
        str | None,
        typer.Option(help="Model reference whose --layer is read [default: the first teacher]"),
    ] = None,
    loudness: Annotated[
        bool, typer.Option("--loudness", help="Read how loud it is too, for a teacher that minds")
    ] = False,
    train_dictionary: Annotated[
        bool | None,
        typer.Option(help="Train the dictionary too [default: paper no, causal yes]"),
    ] = None,
    seconds: Annotated[float, typer.Option(help="Length of each excerpt")] = 10.0,
    steps: Annotated[int, typer.Option(help="Training steps")] = 2000,
    batch: Annotated[int, typer.Option(help="Excerpts per step and device")] = 4,
    learning_rate: Annotated[float, typer.Option(help="Peak AdamW learning rate")] = 2e-3,
    every: Annotated[int, typer.Option(help="Steps between checkpoints, and evaluations")] = 250,
    precision: Annotated[
        Precision, typer.Option(help="Of the network's arithmetic; weights stay float32")
    ] = Precision.float32,
    seed: Annotated[int, typer.Option(help="Random seed")] = 0,
    device: Annotated[str, typer.Option(help='"cpu", or what accelerate finds')] = "cpu",
) -> None:
    """Train a proxy of the teacher whose predictions are sums over parts of the spectrum.

    \b
    Example:
      xplain nmf train --teacher my.py:make --audio scenes.csv --dictionary words --out proxy
    """
    from xplain.errors import XplainError
    from xplain.progress import say
    from xplain_nmf.training.building import Features
    from xplain_nmf.training.distilling import Task, distil
    from xplain_nmf.training.training import Settings

    if layer is None and layer_of is not None:
        raise XplainError(f"--layer-of {layer_of} says of what, and not which; give --layer too")
    task = Task(
        teacher=teacher,
        audio=audio,
        dictionary=dictionary,
        begin=begin,
        preset=preset.value,
        evaluation=evaluation,
        split=split,
        labels=tuple(label or ()),
        teacher_params=parameters("--teacher-param", teacher_param),
        features=Features(encoder, layer and (layer_of or teacher[0]), layer, loudness),
        train_dictionary=train_dictionary,
        seconds=seconds,
        settings=Settings(steps, batch, learning_rate, seed, precision.value, every),
    )
    record = distil(task, out, device)
    say(f"proxy: {out} ({record['minutes']} minutes); xplain segment AUDIO --segmenter nmf:{out}")
