"""What an explanation says, in sentences for a person."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from xplain.explanation import Explanation
from xplain.live import Outcome
from xplain.targets import NAMED, TEXT, ResolvedTarget, stated
from xplain.tasks import Decision

_PERCENT = "\N{NO-BREAK SPACE}%"
_ELEMENTS = {
    "element": "elements",
    "channel": "channels",
    "frame": "frames",
    "block": "blocks of elements",
}


def percent(probability: float) -> str:
    """A probability as it is said: whole percents, decimals only near the ends."""
    if 0.01 <= probability < 0.985:
        return f"{100 * probability:.0f}{_PERCENT}"
    return tabular(probability)


def tabular(probability: float) -> str:
    """A probability in a table: always with one decimal."""
    if probability >= 0.9995:
        return f"over 99.9{_PERCENT}"
    if probability < 0.0005:
        return f"under 0.1{_PERCENT}"
    return f"{100 * probability:.1f}{_PERCENT}"


def ratio(value: float) -> str:
    """A part of the elements: ``10 %``."""
    return f"{100 * value:.4g}{_PERCENT}"


def part(outcome: Outcome) -> str:
    """What was kept or removed, as a heading."""
    return f"Top {ratio(outcome.ratio)} {'kept' if outcome.kind == 'keep' else 'removed'}"


def quoted(label: str) -> str:
    """A label inside a sentence."""
    return f"“{label}”"


def multilabel(explanation: Explanation) -> bool:
    """Whether the model's labels are independent of each other."""
    return bool(explanation.provenance["model"]["multilabel"])


def decisions(probabilities: Mapping[str, float], independent: bool) -> list[str]:
    """What these probabilities decide: the likeliest label, or all of at least one half."""
    if independent:
        return [label for label, p in probabilities.items() if p >= 0.5]
    return [max(probabilities, key=lambda label: probabilities[label])]


def is_own(explanation: Explanation) -> bool:
    """Whether what is explained is the model's own decision."""
    target = explanation.target
    if not explanation.probabilities:
        return target.threshold is None or (target.value or 0.0) >= target.threshold
    decided = decisions(explanation.probabilities, multilabel(explanation))
    return explanation.target.label in decided


def answer(target: ResolvedTarget, reading: Decision | Outcome | ResolvedTarget) -> str:
    """What a model says of the target, as it is written."""
    if reading.value is None:
        return percent(reading.probability or 0.0)
    return stated(reading.probability, reading.value, target.unit).replace(" -", " \N{MINUS SIGN}")


def criterion(explanation: Explanation) -> str:
    """When the decision has changed, for a task without labels."""
    target = explanation.target
    if target.task in TEXT:
        return "The decision has changed where the model writes something else."
    if target.threshold is not None:
        return f"The model decides for it from {target.threshold:g}."
    unit = f" {target.unit}" if target.unit and target.unit not in NAMED else ""
    return f"The decision has changed where this moves by more than {target.tolerance:.3g}{unit}."


def decision(explanation: Explanation) -> str:
    """What the model decided about the clip, and whether that is what is explained."""
    target, said = explanation.target, explanation.probabilities
    if target.task in TEXT:
        return f"The model writes {quoted(target.label)} ({answer(target, target)})."
    if not said:
        return f"The model gives {target.label}: {answer(target, target)}. {criterion(explanation)}"
    label, own = quoted(target.label), is_own(explanation)
    where = (
        "The model"
        if target.start is None or target.end is None
        else f"Between {target.start:.4g} and {target.end:.4g} seconds, the model"
    )
    mine = answer(target, target)
    if multilabel(explanation):
        others = [d for d in decisions(said, True) if d != target.label]
        listed = _listed([f"{quoted(d)} ({percent(said[d])})" for d in others])
        if own:
            sentence = f"{where} predicts {label} ({mine})"
            sentence += f", and also {listed}." if others else "."
        else:
            sentence = (
                f"{where} does not predict {label} ({mine}), which is the label explained here"
            )
            sentence += (
                f"; it predicts {listed}." if others else "; it predicts none of its labels."
            )
    elif own:
        sentence = f"{where} predicts {label} ({mine})."
    else:
        (winner,) = decisions(said, False)
        sentence = (
            f"{where} predicts {quoted(winner)} ({percent(said[winner])}). Explained here is "
            f"another label, {label} ({mine})."
        )
    if target.versus is not None:
        sentence += (
            f" The explanation is for {label} rather than "
            f"{quoted(target.versus)} ({percent(said[target.versus])})."
        )
    return sentence


def of_original(explanation: Explanation) -> str:
    """The model's answer to the clip, under its player."""
    if not explanation.probabilities:
        verb = "writes" if explanation.target.task in TEXT else "gives"
        said = answer(explanation.target, explanation.target)
        return f"The model {verb} {quoted(explanation.target.label)} ({said})."
    original = decisions(explanation.probabilities, multilabel(explanation))
    labels = ", ".join(quoted(label) for label in original) or "none of its labels"
    return f"The model predicts {labels}."


def reencoded(explanation: Explanation, outcome: Outcome) -> str:
    """The model's prediction for a rendering's audio: ``it still predicts “seven” (98 %)``."""
    return f"it {_verb(explanation, outcome.reencoded)}"


def changes(explanation: Explanation, outcomes: Sequence[Outcome]) -> str:
    """What the smallest part kept and the smallest part removed do to the decision."""
    kept = next((o for o in outcomes if o.kind == "keep"), None)
    removed = next((o for o in outcomes if o.kind == "remove"), None)
    sentences = []
    if kept is not None:
        part = f"the top {ratio(kept.ratio)} of {elements(explanation)}"
        sentences.append(f"With only {part} kept, {reencoded(explanation, kept)}.")
    if removed is not None:
        same = kept is not None and kept.ratio == removed.ratio
        part = "them" if same else f"the top {ratio(removed.ratio)} of {elements(explanation)}"
        sentences.append(f"With {part} removed, {reencoded(explanation, removed)}.")
    return " ".join(sentences)


def verdict(explanation: Explanation, outcomes: Sequence[Outcome]) -> str | None:
    """Whether one part is sufficient and necessary for the prediction; None if not computed."""
    if outcomes and not bool(explanation.attribution.any()):
        return "The attribution is the same everywhere, so what was kept or removed is arbitrary."
    if outcomes and explanation.converged is False:
        return "Completeness does not hold (see below), so what was kept proves little."
    kept = {o.ratio: o.reencoded.agrees for o in outcomes if o.kind == "keep"}
    removed = {o.ratio: o.reencoded.agrees for o in outcomes if o.kind == "remove"}
    both = sorted(set(kept) & set(removed))
    if not both or not is_own(explanation):
        return None
    part = f"This {ratio(both[0])}"
    enough, needed = kept[both[0]], not removed[both[0]]
    if enough and needed:
        return f"{part} is enough for the prediction, and the prediction needs it."
    if enough:
        return f"{part} is enough for the prediction, but so is the rest without it."
    if needed:
        return f"The prediction needs this {ratio(both[0])}, which alone is not enough for it."
    return f"{part} is neither enough for the prediction nor needed for it."


def checked(explanation: Explanation) -> str | None:
    """What check() found; None where it was not computed."""
    verdict = explanation.verdict
    if verdict is None:
        return None
    agree = {"sound": "agree", "weak": "agree only in part", "broken": "do not agree"}
    return (
        "The model's predictions for changed versions of this clip "
        f"{agree[verdict.kind]} with the explanation."
    )


def short(explanation: Explanation, outcome: Outcome) -> str:
    """An outcome in a table's cell: ``10 %: still “seven” (98 %)``."""
    label, reading = quoted(explanation.target.label), outcome.reencoded
    chance = answer(explanation.target, reading)
    if not explanation.probabilities:
        text = f"{quoted(reading.label)}, " if explanation.target.task in TEXT else ""
        said = f"{text}{chance}{'' if reading.agrees else ' (changed)'}"
    elif reading.agrees:
        said = f"{'still ' if is_own(explanation) else ''}{label} ({chance})"
    elif multilabel(explanation):
        said = f"not {label} ({chance})"
    else:
        said = f"{quoted(reading.label)}; {label} at {chance}"
    return f"{ratio(outcome.ratio)}: {said}"


def elements(explanation: Explanation) -> str:
    """What was ranked, in the plural."""
    grouping = str(explanation.selection.get("grouping", "element"))
    named = grouping.rpartition("/")[2].rpartition(":")[2]
    return named if explanation.numbers is not None else _ELEMENTS.get(grouping, f"{grouping}s")


def what_an_element_is(explanation: Explanation) -> str:
    """Explain what an element is."""
    synthesizer = str(explanation.provenance["synthesizer"]["name"])
    channels, frames = explanation.attribution.shape
    if explanation.frequencies is not None:
        one = "one frequency at one moment"
    elif channels == 1:
        one = "one sample of the sound"
    else:
        one = "one channel of the representation at one moment"
    sentence = (
        f"An element is {one}: {channels} × {frames} = {channels * frames:,} of them, "
        f"in the representation {quoted(synthesizer)}."
    )
    grouping = explanation.selection.get("grouping", "element")
    if grouping != "element":
        sentence += f" They were ranked in groups: {elements(explanation)}."
    if explanation.selection.get("order") == "absolute":
        sentence += " They were ranked by absolute value: for and against alike."
    return sentence


def where(explanation: Explanation) -> str | None:
    """The bands with positive evidence for the label; None if unknown or empty."""
    if not explanation.bands:
        return None
    target, bands = explanation.target, ", ".join(map(str, explanation.bands))
    versus = f" rather than {quoted(target.versus)}" if target.versus else ""
    return f"Half of the evidence for {quoted(target.label)}{versus} lies at {bands}."


def control(explanation: Explanation) -> str | None:
    """The model's prediction for the unchanged representation; None if unknown."""
    said = explanation.provenance.get("reconstruction")
    if not isinstance(said, Mapping):
        return None
    reading = _verb(explanation, Decision(**said))
    return f"Control: for the representation with nothing changed, the model {reading}."


def level(gain: float) -> str:
    """How far a player's audio was turned down, from its gain (< 1)."""
    return f"Turned down by {-20 * math.log10(gain):.1f} dB, so that the file does not clip."


def error(value: float) -> str:
    """A completeness error, relative in, percent out."""
    return f"{100 * value:.3g}{_PERCENT}" if value >= 1e-4 else f"under 0.01{_PERCENT}"


def decibels(value: float) -> str:
    """A level, with a proper minus."""
    return f"{value:.0f} dB".replace("-", "\N{MINUS SIGN}")


def _verb(explanation: Explanation, reading: Decision) -> str:
    label, chance = quoted(explanation.target.label), answer(explanation.target, reading)
    own = is_own(explanation)
    if explanation.target.task in TEXT:
        if reading.agrees:
            return f"still writes {label} ({chance})"
        return f"writes {quoted(reading.label)}; {label} has {chance}"
    if not explanation.probabilities:
        same = "the same decision" if reading.agrees else "another decision"
        return f"gives {chance}: {same}"
    if reading.agrees:
        return f"{'still predicts' if own else 'predicts'} {label} ({chance})"
    if multilabel(explanation):
        no = "no longer predicts" if own else "does not predict"
        return f"{no} {label} ({chance})"
    return f"predicts {quoted(reading.label)}; {label} gets {chance}"


def _listed(parts: Sequence[str]) -> str:
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"
