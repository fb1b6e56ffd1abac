"""The picture of prototypes: of each label its spectrum, and how relevant each component is."""

from __future__ import annotations

import base64
import html
import io

import numpy as np
from matplotlib.figure import Figure

from xplain_nmf.prototypes.prototypes import Prototypes

FOR, AGAINST, QUIET = "#b83a00", "#0a58b8", "#c9ced6"
"""As on xplain's pages: orange speaks for the label, blue against it."""


def png(prototypes: Prototypes) -> bytes:
    """The picture as PNG."""
    held = io.BytesIO()
    figure(prototypes).savefig(held, format="png")
    return held.getvalue()


def page(prototypes: Prototypes) -> str:
    """The picture as a small page, for a notebook."""
    picture = base64.b64encode(png(prototypes)).decode("ascii")
    said = html.escape(f"Spectrum and component relevance of {', '.join(prototypes.labels)}")
    return (
        f'<!DOCTYPE html><html lang="en"><title>Prototypes</title><img width="100%" alt="{said}" '
        f'src="data:image/png;base64,{picture}">'
    )


def figure(prototypes: Prototypes) -> Figure:
    """A row for each label; components are in the order of their mean frequency."""
    spectra = prototypes.spectra.double().numpy()
    frequencies = prototypes.frequencies.double().numpy()
    total = np.maximum(spectra.sum(axis=0), np.finfo(float).tiny)
    middle = frequencies @ spectra / total
    kinds = prototypes.kinds
    # A class-wise dictionary's components by their label first.
    groups = [kinds.index(kind) for kind in kinds] if kinds else [0] * len(middle)
    order = np.lexsort((middle, groups))
    rows = len(prototypes.labels)
    drawn = Figure(figsize=(11, 2.1 * rows + 0.4), dpi=110, layout="constrained")
    panes = drawn.subplots(rows, 2, squeeze=False, sharex="col", width_ratios=[1, 1.3])
    for c, (label, (left, right)) in enumerate(zip(prototypes.labels, panes, strict=True)):
        spectrum = prototypes.spectrum[c].double().numpy()
        left.fill_between(frequencies / 1000, spectrum.clip(min=0), color=FOR, lw=0)
        left.fill_between(frequencies / 1000, spectrum.clip(max=0), color=AGAINST, lw=0)
        left.axhline(0, color="#1c2026", lw=0.6)
        left.set_title(
            f"{label}: {prototypes.segments[c]} segments, {prototypes.seconds[c]:.0f} s",
            loc="left",
            fontsize=10,
        )
        relevance = prototypes.relevance[c].double().numpy()[order]
        own = np.isin(order, prototypes.own(c))
        colours = np.where(own, FOR, np.where(relevance < 0, AGAINST, QUIET))
        right.bar(np.arange(len(order)), relevance, color=colours, width=1.0)
        right.axhline(0, color="#1c2026", lw=0.6)
        right.margins(x=0)
        for kind in dict.fromkeys(kinds or ()):
            places = np.flatnonzero([kinds is not None and kinds[k] == kind for k in order])
            right.axvline(places[0] - 0.5, color="#7d8794", lw=0.6, ls=":")
            if c == 0:
                right.text(places[0], right.get_ylim()[1], f" {kind}", fontsize=8, va="top")
    panes[0, 1].set_title(
        "relevance of each component, orange: the label's own tenth", loc="right", fontsize=9
    )
    panes[-1, 0].set_xlabel("frequency (kHz)")
    panes[-1, 1].set_xlabel("components by mean frequency" + (" within labels" if kinds else ""))
    return drawn
