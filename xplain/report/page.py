"""The page: one HTML file in which explanations can be seen, heard and checked."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import soundfile
from torch import Tensor

from xplain import audio
from xplain.errors import ArtifactError, XplainError
from xplain.explanation import Explanation
from xplain.live import Outcome
from xplain.report import html, plots, sentences
from xplain.storage import write_text

PLAYER_SECONDS = 60.0
"""Of audio that a clip puts into the page, in the order in which it is shown."""
LIKELIEST = 5
"""Labels of the table beside those that are explained or decided for."""
FILTERS = {
    "error": sentences.error,
    "decibels": sentences.decibels,
    "percent": sentences.tabular,
}
"""How the template writes numbers."""


@dataclass(frozen=True)
class Sound:
    """Something to listen to: what it is, what the model hears, picture, audio.

    wav: base64, None where it is too long to be in the page. link: to the file then,
    where it is known.
    """

    title: str
    heard: str
    picture: str
    alt: str
    wav: str | None
    link: str | None
    seconds: float
    level: str | None
    silent: bool


@dataclass(frozen=True)
class Bar:
    """A probability; decided: whether the model decides for this label here."""

    probability: float
    decided: bool


@dataclass(frozen=True)
class Row:
    """A label of the table, and its probability in every column."""

    label: str
    role: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class Reading:
    """What the model hears in a rendering's file: a cell under its column."""

    probability: float
    label: str | None
    agrees: bool


@dataclass(frozen=True)
class Shown:
    """One clip, as the template lays it out."""

    id: str
    name: str
    explained: str
    versus: str | None
    decision: str
    decided: str
    changes: str
    verdict: str | None
    check: str | None
    faithful: str | None
    checked: str | None
    reasons: tuple[str, ...]
    kept: tuple[str, ...]
    removed: tuple[str, ...]
    picture: str
    alt: str
    over: bool
    line: bool
    limit: float | None
    largest: float
    scale: plots.Scale
    where: str | None
    element: str
    sounds: tuple[Sound, ...]
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    readings: tuple[Reading, ...]
    multilabel: bool
    completeness_error: float | None
    converged: bool | None
    control: str | None
    warnings: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]


def write_page(
    explanations: Sequence[Explanation],
    path: str | Path,
    folders: Sequence[str | Path | None] | None = None,
) -> Path:
    """Write explanations, fresh or loaded, as one HTML file that needs nothing else.

    Shown is what each was asked to keep and remove so far (a fresh one that was asked
    nothing: the usual tenth). Up to PLAYER_SECONDS of audio per clip are in the page;
    what is longer is linked to in ``folders``, where each explanation was saved. Written
    to another name and renamed; returns the path. Raises ArtifactError where it cannot
    be written.
    """
    path = Path(path)
    if not explanations:
        raise XplainError("there is no explanation to make a page of; explain a clip first")
    places = [None] * len(explanations) if folders is None else list(folders)
    if len(places) != len(explanations):
        raise XplainError(
            f"{len(explanations)} explanations were given with {len(places)} folders; "
            "give one folder, or None, for each"
        )
    clips = [
        _shown(number, title, explanation, None if folder is None else Path(folder), path.parent)
        for number, (title, explanation, folder) in enumerate(
            zip(_titles(explanations, places), explanations, places, strict=True), start=1
        )
    ]
    text = html.render(
        "xplain.report", "page.html", FILTERS, clips=clips, player_seconds=PLAYER_SECONDS
    )
    write_text(path, text)
    return path


def _titles(explanations: Sequence[Explanation], places: Sequence[str | Path | None]) -> list[str]:
    """Names of the clips, with whatever tells those of the same name apart."""
    origins = [e.provenance for e in explanations]
    marks = [
        [e.name for e in explanations],
        [str(origin["audio"].get("path") or "") for origin in origins],
        [str(origin["model"]["name"]) for origin in origins],
        [str(origin["explainer"]["name"]) for origin in origins],
        [str(origin["synthesizer"]["name"]) for origin in origins],
        [_asked(e) for e in explanations],
        ["" if place is None else Path(place).name for place in places],
    ]
    titles = marks[0]
    for mark in marks[1:]:
        same = [[m for n, m in zip(titles, mark, strict=True) if n == name] for name in titles]
        titles = [
            f"{name}, {own}" if len(set(others)) > 1 else name
            for name, own, others in zip(titles, mark, same, strict=True)
        ]
    return titles


def _asked(explanation: Explanation) -> str:
    """The target in a heading."""
    target = explanation.target
    versus = f" rather than {target.versus}" if target.versus else ""
    span = "" if target.start is None else f", {target.start:g}–{target.end:g} s"
    return f"{target.label}{versus}{span}"


def _shown(
    number: int, title: str, explanation: Explanation, folder: Path | None, home: Path
) -> Shown:
    outcomes = _outcomes(explanation)
    original = plots.spectrogram(explanation.waveform, explanation.sample_rate)
    scale = plots.scale_of(original)
    attribution = plots.drawn(explanation)
    figure = plots.attribution_figure(explanation, original, scale, attribution)
    independent = sentences.multilabel(explanation)
    decided = sentences.decisions(explanation.probabilities, independent)
    return Shown(
        id=f"clip-{number}",
        name=title,
        explained=explanation.target.label,
        versus=explanation.target.versus,
        decision=sentences.decision(explanation),
        decided=", ".join(
            f"{label} ({sentences.percent(explanation.probabilities[label])})" for label in decided
        )
        or "none of its labels",
        changes=sentences.changes(explanation, outcomes),
        verdict=sentences.verdict(explanation, outcomes),
        check=None if explanation.verdict is None else explanation.verdict.kind,
        faithful=None
        if explanation.verdict is None
        else sentences.FAITHFUL[explanation.verdict.kind],
        checked=sentences.checked(explanation),
        reasons=() if explanation.verdict is None else explanation.verdict.reasons,
        kept=tuple(sentences.short(explanation, o) for o in outcomes if o.kind == "keep"),
        removed=tuple(sentences.short(explanation, o) for o in outcomes if o.kind == "remove"),
        picture=html.picture(figure),
        alt=_describe(explanation, attribution),
        over=explanation.frequencies is not None,
        line=explanation.frequencies is None and len(explanation.attribution) == 1,
        limit=attribution.limit,
        largest=attribution.largest,
        scale=scale,
        where=sentences.where(explanation),
        element=sentences.what_an_element_is(explanation),
        sounds=tuple(_sounds(explanation, outcomes, scale, folder, home)),
        columns=("Original", *(_title(o) for o in outcomes)),
        rows=_rows(explanation, outcomes),
        readings=tuple(
            Reading(
                probability=o.heard.probability,
                label=None if independent else o.heard.label,
                agrees=o.heard.agrees,
            )
            for o in outcomes
        ),
        multilabel=independent,
        completeness_error=explanation.completeness_error,
        converged=explanation.converged,
        control=sentences.control(explanation),
        warnings=(*explanation.warnings, *_remarks(explanation, outcomes)),
        facts=tuple(html.facts(_facts(explanation))),
    )


def _outcomes(explanation: Explanation) -> list[Outcome]:
    """What is shown: first everything kept, then everything removed, small parts first."""
    outcomes = explanation.saved
    if not outcomes:
        try:
            outcomes = explanation.scores()
        except ArtifactError:  # saved without any, and the model is not at hand
            return []
    return sorted(outcomes, key=lambda o: (o.kind, o.ratio))


def _title(outcome: Outcome) -> str:
    part = sentences.ratio(outcome.ratio)
    return f"Top {part} kept" if outcome.kind == "keep" else f"Top {part} removed"


def _describe(explanation: Explanation, attribution: plots.Drawn) -> str:
    """The big picture for someone who does not see it: where most of the evidence lies."""
    if attribution.limit is None:
        return "Spectrogram of the original; the attribution is zero everywhere."
    summed = explanation.attribution.detach().cpu().double().sum(dim=0)
    seconds = len(explanation.waveform) / explanation.sample_rate
    peak = (float(summed.argmax()) + 0.5) / len(summed) * seconds
    return (
        f"Spectrogram of the original with the attribution map for "
        f"{explanation.target.label}; over time, most positive evidence lies at {peak:.2f} of "
        f"{seconds:.2f} seconds."
    )


def _sounds(
    explanation: Explanation,
    outcomes: Sequence[Outcome],
    scale: plots.Scale,
    folder: Path | None,
    home: Path,
) -> Iterator[Sound]:
    room = PLAYER_SECONDS
    independent = sentences.multilabel(explanation)
    original = sentences.decisions(explanation.probabilities, independent)
    predicts = ", ".join(sentences.quoted(label) for label in original) or "none of its labels"
    takes: list[tuple[str, str, Tensor, str]] = [
        ("Original", f"The model predicts {predicts}.", explanation.waveform, "original.wav")
    ]
    for outcome in outcomes:
        render = explanation.keep if outcome.kind == "keep" else explanation.remove
        heard = sentences.heard(explanation, outcome)
        sentence = f"{heard[0].upper()}{heard[1:]}."
        takes.append((_title(outcome), sentence, render(outcome.ratio), outcome.filename))
    gains = [audio.to_pcm16(explanation.waveform)[1], *(o.gain for o in outcomes)]
    for (title, heard, waveform, filename), gain in zip(takes, gains, strict=True):
        # Of the 16-bit samples, so that a page of the loaded explanation is the same.
        samples, _ = audio.to_pcm16(waveform)
        seconds = len(samples) / explanation.sample_rate
        fits = seconds <= room
        room -= seconds if fits else 0.0
        undone = audio.from_pcm16(samples) / gain
        shown = plots.spectrogram(undone, explanation.sample_rate)
        link = None
        if not fits and folder is not None:
            link = quote(os.fsencode(Path(os.path.relpath(folder / filename, home)).as_posix()))
        buffer = io.BytesIO()
        if fits:
            soundfile.write(
                buffer, samples, explanation.sample_rate, format="WAV", subtype="PCM_16"
            )
        yield Sound(
            title=title,
            heard=heard,
            picture=html.picture(plots.spectrogram_figure(shown, scale)),
            alt=f"Spectrogram: {title.lower()}, on the scale of the original",
            wav=html.encoded(buffer.getvalue()) if fits else None,
            link=link,
            seconds=seconds,
            level=None if gain >= 1 else sentences.level(gain),
            silent=not samples.any(),
        )


def _rows(explanation: Explanation, outcomes: Sequence[Outcome]) -> tuple[Row, ...]:
    target, independent = explanation.target, sentences.multilabel(explanation)
    columns = [explanation.probabilities, *(o.probabilities for o in outcomes)]
    decided = [sentences.decisions(column, independent) for column in columns]
    likeliest = sorted(explanation.probabilities.items(), key=lambda item: -item[1])
    winners = [
        max(labels, key=lambda label: column[label])
        for labels, column in zip(decided, columns, strict=True)
        if labels
    ]
    asked = [target.label] if target.versus is None else [target.label, target.versus]
    rest = [label for label, _ in likeliest[:LIKELIEST]]
    rest += [label for label, _ in likeliest if label in winners]
    return tuple(
        Row(
            label,
            "explained" if label == target.label else "against this" if label in asked else "",
            tuple(
                Bar(column[label], label in labels)
                for column, labels in zip(columns, decided, strict=True)
            ),
        )
        for label in dict.fromkeys([*asked, *rest])
    )


def _remarks(explanation: Explanation, outcomes: Sequence[Outcome]) -> Iterator[str]:
    """What the numbers say against the explanation, beside the warnings it came with."""
    if explanation.converged is False:
        yield (
            "Completeness does not hold: the attribution's sum differs from the change of the "
            "score by more than the method's tolerance."
        )
    unchanged = explanation.provenance.get("reconstruction")
    if isinstance(unchanged, Mapping) and unchanged["agrees"] != sentences.is_own(explanation):
        yield (
            "Encoding and decoding the clip, with nothing changed, already changes the prediction; "
            "see the control further down."
        )
    for outcome in outcomes:
        if outcome.agrees != outcome.heard.agrees:
            yield (
                f"{_title(outcome)}: the changed representation and the audio made from it are "
                "predicted differently; the sentences here are about the audio."
            )


def _facts(explanation: Explanation) -> dict[str, object]:
    channels, frames = explanation.attribution.shape
    return {
        **explanation.provenance,
        "selection": explanation.selection,
        "attribution": {"channels": channels, "frames": frames},
        "representation_sample_rate": explanation.sample_rate,
    }
