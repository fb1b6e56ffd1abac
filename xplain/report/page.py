"""The page of an explanation: one HTML file in which it is shown, played and verified."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import to_builtins

from xplain import audio
from xplain.errors import ArtifactError
from xplain.explanation import Explanation
from xplain.live import Outcome
from xplain.report import html
from xplain.report.arrays import Span, compressed, cut, drawn, excerpts, light, summed
from xplain.storage import write_text
from xplain.targets import NAMED, TEXT
from xplain.verdict import Verdict

LIKELIEST = 5
"""Labels with a bar beside those that are explained or decided for."""


def write_page(explanation: Explanation, path: str | Path) -> Path:
    """Write an explanation, fresh or loaded, as one HTML file that needs nothing else.

    Shown is what it was asked to keep and remove so far (a fresh one that was asked nothing:
    the usual tenth). Written to another name and renamed; returns the path. Raises
    ArtifactError where it cannot be written.
    """
    write_text(Path(path), page(explanation))
    return Path(path)


def page(explanation: Explanation, compact: bool = False) -> str:
    """The page as a text. compact: for a notebook, without what is folded."""
    data = _data(explanation) | {"compact": compact}
    return html.app("explanation", explanation.name, ("player.js", "explanation.js"), data)


def notebook(explanation: Explanation) -> str:
    """The page for a notebook."""
    return page(explanation, compact=True)


def decisions(probabilities: Mapping[str, float], independent: bool) -> list[str]:
    """What these probabilities decide: the likeliest label, or all of at least one half."""
    if independent or not probabilities:
        return [label for label, p in probabilities.items() if p >= 0.5]
    return [max(probabilities, key=lambda label: probabilities[label])]


def verdict(found: Verdict | None) -> dict[str, Any] | None:
    """A verdict as the pages show it."""
    return None if found is None else {**to_builtins(found), "badge": found.badge}


def _data(explanation: Explanation) -> dict[str, Any]:
    """What static/explanation.js draws; times are of the excerpts, but for ``spans`` (the clip's).

    versions: what can be heard, each with its sound and the model's predictions for it.
    """
    outcomes = _outcomes(explanation)
    target, provenance = explanation.target, explanation.provenance
    duration = len(explanation.waveform) / explanation.sample_rate
    values = explanation.attribution.detach().cpu().double().numpy()
    asked = None if target.start is None or target.end is None else (target.start, target.end)
    spans = excerpts(values, duration, asked)
    shown = sum(end - start for start, end in spans)
    over_time = values.sum(axis=0)
    values = cut(values, spans, duration)
    picture = drawn(values, explanation.frequencies, shown)
    scaled = np.clip(picture.values / (picture.limit or 1.0), -1, 1) * 127
    labels = _labels(explanation, outcomes)
    versions, exact = _versions(explanation, outcomes, labels, spans)
    names = [str(provenance[kind]["name"]) for kind in ("model", "explainer", "synthesizer")]
    channels, frames = explanation.attribution.shape
    return {
        "name": explanation.name,
        "made": " · ".join(names),
        "rate": explanation.sample_rate,
        "duration": shown,
        "total": duration,
        "spans": spans,
        "excerpts": shown < duration,
        "lossy": not exact,
        "multilabel": _multilabel(explanation),
        "target": to_builtins(target)
        | {"is_text": target.task in TEXT, "unit_first": target.unit in NAMED},
        "decided": decisions(explanation.probabilities, _multilabel(explanation)),
        "probabilities": [(label, explanation.probabilities[label]) for label in labels],
        "versions": versions,
        "attribution": {
            "values": html.packed(scaled.round().astype(np.int8).tobytes()),
            "rows": len(picture.values),
            "columns": picture.values.shape[1],
            "hertz": explanation.frequencies is not None,
            **{k: getattr(picture, k) for k in ("end", "bottom", "top", "limit", "largest")},
        },
        "peak": None
        if picture.limit is None
        else (int(over_time.argmax()) + 0.5) / len(over_time) * duration,
        "curve": [float(f"{value:.3g}") for value in summed(values)],
        "groups": [to_builtins(group) for group in explanation.groups or ()],
        "extras": list(_extras(explanation)),
        "bands": [to_builtins(band) for band in explanation.bands or ()],
        "verdict": verdict(explanation.verdict),
        "completeness": {
            "error": explanation.completeness_error,
            "converged": explanation.converged,
        },
        "reconstruction": provenance.get("reconstruction"),
        "elements": {
            "channels": channels,
            "frames": frames,
            "per_sample": explanation.frequencies is None and channels == 1,
            "synthesizer": names[2],
            "grouping": str(explanation.selection.get("grouping", "element")),
            "order": str(explanation.selection.get("order", "signed")),
        },
        "warnings": list(explanation.warnings),
        "facts": {**provenance, "selection": explanation.selection},
    }


def _outcomes(explanation: Explanation) -> list[Outcome]:
    """What is shown: first everything kept, then everything removed, small parts first."""
    outcomes = explanation.saved
    if not outcomes:
        try:
            outcomes = explanation.scores()
        except ArtifactError:  # saved without any, and the model is not at hand
            return []
    return sorted(outcomes, key=lambda o: (o.kind, o.ratio))


def _multilabel(explanation: Explanation) -> bool:
    return bool(explanation.provenance["model"]["multilabel"])


def _labels(explanation: Explanation, outcomes: Sequence[Outcome]) -> list[str]:
    """Labels with a bar: those asked about, the likeliest, and every decision of a version."""
    target, said = explanation.target, explanation.probabilities
    if not said:  # a task without labels
        return []
    asked = [target.label] if target.versus is None else [target.label, target.versus]
    likeliest = sorted(said, key=lambda label: -said[label])[:LIKELIEST]
    columns = [said, *(o.probabilities for o in outcomes)]
    winners = [max(column, key=lambda label: column[label]) for column in columns]
    return list(dict.fromkeys([*asked, *likeliest, *winners]))


def _versions(
    explanation: Explanation,
    outcomes: Sequence[Outcome],
    labels: Sequence[str],
    spans: Sequence[Span],
) -> tuple[list[dict[str, Any]], bool]:
    """What can be heard, with what the model says of it; and whether the sounds are exact."""
    rate = explanation.sample_rate
    duration = len(explanation.waveform) / rate
    own = {
        "kind": "original",
        "ratio": None,
        "gain": audio.to_pcm16(explanation.waveform)[1],
        "probability": explanation.target.probability,
        "value": explanation.target.value,
    }
    sounds = [(own, explanation.waveform, explanation.probabilities)]
    for outcome in outcomes:
        render = explanation.keep if outcome.kind == "keep" else explanation.remove
        said = to_builtins(outcome)
        if (outcome.kind, outcome.ratio) == ("keep", 1.0):  # nothing changed but by the codec
            said["kind"] = "reencoded"
        sounds.append((said, render(outcome.ratio), outcome.probabilities))
    # Of the 16-bit samples, so that a page of the loaded explanation is the same.
    cuts = [cut(audio.to_pcm16(waveform)[0], spans, duration) for _, waveform, _ in sounds]
    files, exact = light(cuts, rate)
    return [
        {
            **said,
            "id": str(number),
            "probabilities": [probabilities[label] for label in labels],
            "decided": decisions(probabilities, _multilabel(explanation)),
            "silent": not cuts[number].any(),
            "audio": html.encoded(files[number]),
        }
        for number, (said, _, probabilities) in enumerate(sounds)
    ], exact


def _extras(explanation: Explanation) -> Iterator[dict[str, Any]]:
    """What the method gave beside the map: sounds to play, tables, texts."""
    for name, extra in explanation.extras.items():
        if isinstance(extra, audio.Audio):
            samples = audio.to_pcm16(extra.waveform)[0]
            sound = compressed(samples, extra.sample_rate, "MP3")
            yield {"name": name, "audio": html.encoded(sound)}
        elif isinstance(extra, str):
            yield {"name": name, "text": extra}
        else:
            yield {"name": name, "rows": [{k: str(v) for k, v in row.items()} for row in extra]}
