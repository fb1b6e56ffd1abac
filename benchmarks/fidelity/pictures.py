"""The curves and the confusion matrices, drawn with matplotlib's objects and no pyplot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from fidelity.plan import BETA, METHODS, RATIOS
from fidelity.results import Share, confusion
from xplain_evaluation.benchmark.journal import Record

COLOURS = dict(
    zip(
        [method.label for method in METHODS],
        ["#1f5fa8", "#d95f02", "#7570b3", "#2a9d6f", "#b8860b", "#c2287a", "#888888"],
        strict=True,
    )
)
"""Of each method, the same in every picture."""
LINES = {"latent": "-", "waveform": ":"}


def curves(rows: Sequence[Share], kind: str, path: Path) -> None:
    """One panel for each classifier and data set: agreement after re-encoding, over the ratios."""
    chosen = [r for r in rows if (r.where, r.who, r.kind) == ("reencoded", "model", kind)]
    panels = list(dict.fromkeys((r.data, r.classifier) for r in chosen))
    columns = min(5, len(panels))
    lines = -(-len(panels) // columns)
    figure = Figure(figsize=(3.2 * columns, 2.7 * lines + 0.7), layout="constrained")
    grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    for axes, (data, classifier) in zip(grid.flat, panels, strict=False):
        own = [r for r in chosen if (r.data, r.classifier) == (data, classifier)]
        for space, method in dict.fromkeys((r.space, r.method) for r in own):
            line = [r.mean for r in own if (r.space, r.method) == (space, method)]
            axes.plot(RATIOS, line, LINES[space], color=COLOURS[method], marker=".", markersize=4)
        control = [
            r.mean
            for r in rows
            if (r.data, r.classifier, r.space, r.kind) == (data, classifier, "latent", "unchanged")
            and (r.where, r.who) == ("reencoded", "model")
        ]
        axes.axhline(control[0], color="#bbbbbb", linewidth=0.8, zorder=0)
        axes.set_xscale("log")
        axes.set_xticks(RATIOS, [f"{ratio:.0%}" for ratio in RATIOS])
        axes.minorticks_off()
        axes.set_ylim(-0.02, 1.02)
        axes.set_title(f"{data}, {classifier}", fontsize=9)
        axes.tick_params(labelsize=8)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    for axes in grid[:, 0]:
        axes.set_ylabel("agreement", fontsize=8)
    for name, colour in COLOURS.items():
        grid[0, 0].plot([], [], color=colour, label=name)
    for space, style in LINES.items():
        grid[0, 0].plot([], [], style, color="black", label=f"{space} space")
    grid[0, 0].plot([], [], color="#bbbbbb", linewidth=0.8, label="codec alone")
    figure.legend(loc="outside lower center", ncols=5, fontsize=8, frameon=False)
    figure.suptitle(f"{kind} the most important, re-encoded", fontsize=10)
    _save(figure, path)


def confusions(cells: Mapping[str, tuple[Sequence[str], Sequence[Record]]], path: Path) -> None:
    """Decisions about each data set's clips, as they are and without the top BETA of the latents.

    cells: by title, the labels and the records of integrated gradients.
    """
    figure = Figure(figsize=(7.2, 3.5 * len(cells)), layout="constrained")
    grid = figure.subplots(len(cells), 2, squeeze=False)
    removed = f"top {BETA:.0%} removed"
    asked = (("as it is", "own model", None), (removed, "remove latents model", BETA))
    for line, (title, (labels, records)) in zip(grid, cells.items(), strict=True):
        for axes, (what, name, ratio) in zip(line, asked, strict=True):
            counts = confusion(records, name, ratio, len(labels))
            axes.imshow(
                counts / np.maximum(counts.sum(1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1
            )
            for (row, column), count in np.ndenumerate(counts):
                if count:
                    dark = count > counts[row].sum() / 2
                    axes.text(
                        column,
                        row,
                        str(count),
                        ha="center",
                        va="center",
                        fontsize=7,
                        color="white" if dark else "black",
                    )
            places = range(len(labels))
            axes.set_xticks(places, labels, rotation=60, ha="right", fontsize=7)
            axes.set_yticks(places, labels, fontsize=7)
            axes.set_title(f"{title}: {what}", fontsize=9)
            axes.set_xlabel("decided", fontsize=8)
        line[0].set_ylabel("annotated", fontsize=8)
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    FigureCanvasAgg(figure).print_png(str(path), metadata={"Software": None})
