"""The page: one HTML file in which explanations are shown, played and verified."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import soundfile

from xplain import audio
from xplain.errors import ArtifactError, XplainError
from xplain.explanation import Explanation
from xplain.explanation_folder import ORIGINAL
from xplain.live import Outcome
from xplain.report import html, plots, sentences
from xplain.storage import write_text
from xplain.targets import ResolvedTarget

PLAYER_SECONDS = 60.0
"""Of audio that a clip puts into the page, in the order in which it is shown."""
LIKELIEST = 5
"""Labels of the table beside those that are explained or decided for."""
FILTERS = {
    "error": sentences.error,
    "decibels": sentences.decibels,
    "tabular": sentences.tabular,
    "percent": sentences.percent,
}
"""How the template writes numbers."""


@dataclass(frozen=True)
class Sound:
    """Something to listen to: what it is, what the model predicts for it, picture, audio.

    wav: base64, None where it is too long to be in the page. link: to the file then,
    where it is known. gain: factor that keeps the audio from clipping.
    """

    title: str
    predicted: str
    picture: str
    wav: str | None
    link: str | None
    seconds: float
    gain: float
    silent: bool


@dataclass(frozen=True)
class Row:
    """A label of the table; in every column its probability and whether it is predicted.

    shown: as it is written where it is no probability.
    """

    label: str
    role: str
    cells: tuple[tuple[float, bool], ...]
    shown: tuple[str, ...] = ()


@dataclass(frozen=True)
class Shown:
    """One clip, as the template lays it out.

    picture: base64 of a PNG file, of the attribution as it is drawn; alt: in words.
    """

    id: str
    name: str
    explanation: Explanation
    outcomes: Sequence[Outcome]
    picture: str
    alt: str
    attribution: plots.Drawn
    scale: plots.Scale
    sounds: tuple[Sound, ...]
    rows: tuple[Row, ...]
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
        "xplain.report",
        "page.html",
        FILTERS,
        clips=clips,
        say=sentences,
        player_seconds=PLAYER_SECONDS,
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
    channels, frames = explanation.attribution.shape
    facts = {
        **explanation.provenance,
        "selection": explanation.selection,
        "attribution": {"channels": channels, "frames": frames},
        "representation_sample_rate": explanation.sample_rate,
    }
    return Shown(
        id=f"clip-{number}",
        name=title,
        explanation=explanation,
        outcomes=outcomes,
        picture=html.picture(plots.attribution_figure(explanation, original, scale, attribution)),
        alt=_describe(explanation, attribution),
        attribution=attribution,
        scale=scale,
        sounds=tuple(_sounds(explanation, outcomes, scale, folder, home)),
        rows=_rows(explanation, outcomes),
        warnings=(*explanation.warnings, *_remarks(explanation, outcomes)),
        facts=tuple(html.facts(facts)),
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
    title, gain = "Original", audio.to_pcm16(explanation.waveform)[1]
    said = sentences.of_original(explanation)
    takes = [(title, said, explanation.waveform, ORIGINAL, gain)]
    for outcome in outcomes:
        render = explanation.keep if outcome.kind == "keep" else explanation.remove
        said = sentences.reencoded(explanation, outcome)
        predicted = f"{said[0].upper()}{said[1:]}."
        title, waveform = sentences.part(outcome), render(outcome.ratio)
        takes.append((title, predicted, waveform, outcome.filename, outcome.gain))
    for title, predicted, waveform, filename, gain in takes:
        # Of the 16-bit samples, so that a page of the loaded explanation is the same.
        samples, _ = audio.to_pcm16(waveform)
        seconds = len(samples) / explanation.sample_rate
        fits = seconds <= room
        room -= seconds if fits else 0.0
        shown = plots.spectrogram(audio.from_pcm16(samples) / gain, explanation.sample_rate)
        link, buffer = None, io.BytesIO()
        if fits:
            soundfile.write(
                buffer, samples, explanation.sample_rate, format="WAV", subtype="PCM_16"
            )
        elif folder is not None:
            link = quote(os.fsencode(Path(os.path.relpath(folder / filename, home)).as_posix()))
        yield Sound(
            title=title,
            predicted=predicted,
            picture=html.picture(plots.spectrogram_figure(shown, scale)),
            wav=html.encoded(buffer.getvalue()) if fits else None,
            link=link,
            seconds=seconds,
            gain=gain,
            silent=not samples.any(),
        )


def _rows(explanation: Explanation, outcomes: Sequence[Outcome]) -> tuple[Row, ...]:
    target, independent = explanation.target, sentences.multilabel(explanation)
    if not explanation.probabilities:
        asked_of: list[ResolvedTarget | Outcome] = [target, *outcomes]
        shown = tuple(sentences.answer(target, reading) for reading in asked_of)
        agreed = (sentences.is_own(explanation), *(o.agrees for o in outcomes))
        values = (reading.value or 0.0 for reading in asked_of)
        cells = tuple(zip(values, agreed, strict=True))
        return (Row(target.label, "explained", cells, shown),)
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
                (column[label], label in labels)
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
        if outcome.agrees != outcome.reencoded.agrees:
            yield (
                f"{sentences.part(outcome)}: the changed representation and the audio made from it "
                "are predicted differently; the sentences here are about the audio."
            )
