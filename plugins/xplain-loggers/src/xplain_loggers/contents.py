"""What of a result goes to a tracker: numbers, facts, sounds."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from xplain.errors import ArtifactError, XplainError, shown
from xplain.explanation import Explanation
from xplain.live import Outcome
from xplain.report.page import page as explanation_page
from xplain.report.segments import page as segments_page
from xplain.segmentation.result import Segmentation
from xplain.targets import ResolvedTarget
from xplain.views import Viewable

KINDS = "keep", "remove"


def checked(result: Viewable) -> Explanation | Segmentation:
    """A result that can be logged; XplainError for another."""
    if not isinstance(result, Explanation | Segmentation):
        raise XplainError(f"explanations and segmentations can be logged, not {shown(result)}")
    return result


def place(result: Explanation | Segmentation, name: str | None) -> str:
    """Where a result lies among others: its name, without what trackers refuse in keys."""
    return re.sub(r"[^\w .-]", "_", name or result.name).strip(" .") or "clip"


def scalars(result: Explanation | Segmentation) -> dict[str, float]:
    """Numbers by their names; what is not known is left out."""
    if isinstance(result, Segmentation):
        return _of_labels(result)
    found: dict[str, float | None] = {
        "score": result.score,
        _reading(result.target): _read(result.target.probability, result.target.value),
        "completeness_error": result.completeness_error,
    }
    for outcome in _outcomes(result):
        said = outcome.reencoded
        found[f"{outcome.kind}-{outcome.ratio:g}"] = _read(said.probability, said.value)
    if result.verdict is not None:
        found |= {f"verdict-{key}": value for key, value in result.verdict.figures.items()}
    return {key: float(value) for key, value in found.items() if isinstance(value, int | float)}


def facts(result: Explanation | Segmentation) -> dict[str, str]:
    """What was asked of what, and the verdict."""
    origin = result.provenance
    if isinstance(result, Segmentation):
        return {"segmenter": str(origin["segmenter"]["name"]), "xplain": str(origin["xplain"])}
    verdict = result.verdict
    return {
        "target": f"{result.target.label} ({result.target.said})",
        "verdict": "not checked" if verdict is None else verdict.kind,
        **{kind: str(origin[kind]["name"]) for kind in ("model", "explainer", "synthesizer")},
    }


def sounds(result: Explanation | Segmentation) -> Mapping[str, Tensor]:
    """Waveforms (samples,) to listen to, none louder than full scale."""
    if isinstance(result, Segmentation):
        return {}
    found = {"original": result.waveform}
    for outcome in _outcomes(result):
        render = result.keep if outcome.kind == "keep" else result.remove
        found[f"{outcome.kind}-{outcome.ratio:g}"] = render(outcome.ratio)
    return {key: wave / wave.abs().max().clamp_min(1.0) for key, wave in found.items()}


def page(result: Explanation | Segmentation) -> str:
    """Its page, one HTML file."""
    if isinstance(result, Segmentation):
        return segments_page(result)
    return explanation_page(result)


def write(result: Explanation | Segmentation, folder: Path) -> None:
    """Everything as files: page, figure, facts, and what xplain can load again."""
    (folder / "index.html").write_text(page(result), "utf-8")
    (folder / "facts.json").write_text(json.dumps(facts(result), indent=1), "utf-8")
    result.plot().savefig(folder / "attribution.png")
    if isinstance(result, Segmentation):
        result.to_json(folder / "segmentation.json")
        return
    ratios = {kind: [o.ratio for o in _outcomes(result) if o.kind == kind] for kind in KINDS}
    result.save(folder / "explanation", ratios["keep"], ratios["remove"])


def _of_labels(result: Segmentation) -> dict[str, float]:
    found: dict[str, float] = {}
    for label in result.labels:
        own = [s.end - s.start for s in result.segments if s.label == label]
        key = re.sub(r"[^\w .-]", "_", label)
        found |= {f"{key}-segments": float(len(own)), f"{key}-seconds": sum(own)}
    return found


def _outcomes(result: Explanation) -> list[Outcome]:
    """What was asked so far; of a fresh explanation that was asked nothing, the usual tenth."""
    try:
        return result.saved or result.scores()
    except ArtifactError:  # saved without any, and the model is not at hand
        return []


def _reading(target: ResolvedTarget) -> str:
    return "probability" if target.value is None else "value"


def _read(probability: float | None, value: float | None) -> float | None:
    return probability if value is None else value
