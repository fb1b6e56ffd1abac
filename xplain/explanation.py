"""The result of explain(): an attribution to listen to, view, save and load."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from msgspec import to_builtins
from torch import Tensor

from xplain import explanation_folder
from xplain.audio import Audio
from xplain.bands import Band
from xplain.check import check
from xplain.curves import RATIOS as CURVE
from xplain.curves import Curves
from xplain.errors import ArtifactError, XplainError, one_line
from xplain.explanation_folder import ORIGINAL, extra_file
from xplain.interfaces import Attribution, Groups, Table
from xplain.live import Kind, LiveClip, Outcome, Rendering
from xplain.models import Model
from xplain.record import SCHEMA, TENSORS, Record, Sound, checked_tensors, decoded
from xplain.registry import registry
from xplain.selection import Group, checked_ratio
from xplain.targets import ResolvedTarget
from xplain.verdict import Verdict
from xplain.views import Viewable

if TYPE_CHECKING:
    from pandas import DataFrame

RATIOS = (0.1,)
"""What is kept and removed where nothing else is asked."""


@dataclass(frozen=True, eq=False, repr=False)
class Explanation(Viewable):
    """Why a model decided as it did about one clip.

    attribution, latents: (D, N). baseline: (D, N). waveform: (samples,), the clip at
    sample_rate Hz. probabilities: what the model said of the clip, per label; nothing where the
    task has no labels. score, baseline_score: what is explained (a label's logit; for other
    tasks see xplain.tasks), of the latents and of the baseline (over
    draws of it, their mean). selection: its settings. completeness_error: relative, None
    where the method makes no such claim or nothing is to be explained. converged: whether
    that error is under the method's tolerance. warnings: what has to be known about the result.
    frequencies: Hz of the D channels, where they are frequencies. bands: the critical bands that
    hold half of all attribution above zero, by their shares; None where it is not known where
    channels lie in the spectrum. groups: what was ranked, with its evidence, where it has names.
    numbers: (D, N) int64, the group of each element; None where the grouping is built in.
    extras: what the method gave beside the map, by name: audio, tables, texts.
    """

    name: str
    attribution: Tensor
    latents: Tensor
    baseline: Tensor
    waveform: Tensor
    sample_rate: int
    target: ResolvedTarget
    probabilities: Mapping[str, float]
    score: float
    baseline_score: float
    selection: Mapping[str, Any]
    completeness_error: float | None
    converged: bool | None
    warnings: tuple[str, ...]
    frequencies: tuple[float, ...] | None
    bands: tuple[Band, ...] | None
    provenance: Mapping[str, Any]
    groups: tuple[Group, ...] | None = None
    numbers: Tensor | None = None
    extras: Mapping[str, Audio | Table | str] = field(default_factory=dict)
    page: ClassVar[str] = "xplain.report.page:notebook"
    figure: ClassVar[str] = "xplain.report.plots:explanation_figure"
    _live: LiveClip | None = None
    # Not of the constructor, so that dataclasses.replace() does not hand them on. The claim is
    # a copy of the attribution: what its holder does with that does not change what is kept.
    _claim: Attribution = field(init=False)
    _rendered: dict[tuple[Kind, float], Rendering] = field(init=False, default_factory=dict)
    _checked: list[Verdict] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        """Keep what is claimed; refuse an attribution that is not of these latents."""
        if self.attribution.shape != self.latents.shape:
            raise XplainError(
                f"{self.name}: an attribution of {tuple(self.attribution.shape)} for latents of "
                f"{tuple(self.latents.shape)}; it has to have their shape"
            )
        names = None if self.groups is None else tuple(group.name for group in self.groups)
        groups = None if self.numbers is None else Groups(self.numbers.clone(), names)
        object.__setattr__(self, "_claim", Attribution(self.attribution.clone(), groups))

    def __repr__(self) -> str:
        """One line; tensors and provenance are a screenful each."""
        target = f"{self.target.label!r} ({self.target.said})"
        method = (
            f"{self.provenance['explainer']['name']} over {self.provenance['synthesizer']['name']}"
        )
        return (
            f"<Explanation of {self.name!r}: {target}, {method}, {tuple(self.attribution.shape)}>"
        )

    def keep(self, ratio: float) -> Tensor:
        """Audio (samples,) with only the most important ``ratio`` of the elements left.

        A fresh explanation asks its model as it is now, so train it afterwards.
        """
        return self._render([("keep", ratio)])[0].waveform

    def remove(self, ratio: float) -> Tensor:
        """Audio (samples,) with the most important ``ratio`` of the elements taken out."""
        return self._render([("remove", ratio)])[0].waveform

    def scores(
        self, keep: Sequence[float] = RATIOS, remove: Sequence[float] = RATIOS
    ) -> list[Outcome]:
        """What the model says at each ratio, all ratios asked in one pass."""
        return [r.outcome for r in self._render(_wanted(keep, remove))]

    def curves(self, ratios: Sequence[float] = CURVE, *, reencoded: bool = False) -> Curves:
        """What the model says with the top of each ratio kept, and with it removed.

        reencoded: of the audio decoded from each variant, which for a model that reads latents
        is encoded again. One evaluation of the model for each different variant.
        """
        for ratio in ratios:
            checked_ratio(ratio)
        if not ratios:
            raise XplainError("curves need ratios; give at least one")
        return self.live.curves(self._claim, ratios, reencoded)

    @property
    def live(self) -> LiveClip:
        """The line to the model; ArtifactError for a loaded explanation, which has none."""
        if self._live is None:
            raise ArtifactError(
                f"{self.name} was loaded, so its model cannot be asked; {self._again()}"
            )
        return self._live

    def check(self) -> Verdict:
        """Is this true of the model? Faithful, partly, unfaithful or inconclusive; see Verdict.

        Asks the model about 55 times, or 30 where that leaves no doubt. The answer is kept,
        and saved with the explanation.
        """
        if not self._checked:
            live = self.live
            try:
                with live.on_loan():
                    self._checked.append(check(live, self._claim))
            except Exception as error:
                reason = str(error) if isinstance(error, XplainError) else one_line(error)
                warning = f"the check failed: {reason}"
                if warning not in self.warnings:
                    object.__setattr__(self, "warnings", (*self.warnings, warning))
                if isinstance(error, XplainError):
                    raise
                raise XplainError(f"{self.name}: {warning}") from error
        return self._checked[0]

    def judged(
        self, judge: Model, keep: Sequence[float] = RATIOS, remove: Sequence[float] = RATIOS
    ) -> Explanation:
        """Ask another model of the same task about what is kept and removed, as 16-bit audio.

        Gives the explanation with a table "judge" among its extras: what it says, and whether it
        follows: gives the label with the top kept, first with all, and not without it.
        """
        wanted: list[tuple[Kind, float]] = [("keep", 1.0), *_wanted(keep, remove)]
        rows = [
            {
                **{"kind": (o := one.outcome).kind, "ratio": o.ratio, "label": o.reencoded.label},
                "probability": o.reencoded.probability,
                "follows": o.reencoded.agrees == (o.kind == "keep"),
            }
            for one in self.live.heard_by(judge).render(self._claim, wanted)
        ]
        record = {"name": judge.name, "version": judge.version, "sha256": judge.fingerprint()}
        return replace(
            self,
            extras={**self.extras, "judge": tuple(rows)},
            provenance={**self.provenance, "judge": record},
        )

    @property
    def verdict(self) -> Verdict | None:
        """What check() said, if it was asked."""
        return self._checked[0] if self._checked else None

    def save(
        self,
        folder: str | Path,
        keep: Sequence[float] = RATIOS,
        remove: Sequence[float] = RATIOS,
        *,
        overwrite: bool = False,
    ) -> Path:
        """Write explanation.json, tensors.safetensors and 16-bit WAVs; returns the folder.

        Written under another name and renamed when whole. The same explanation, with the same
        ratios or others, is written anew. Raises ArtifactError where another explanation lies
        there and ``overwrite`` is not set, and where anything else does.
        """
        folder = Path(folder)
        explanation_folder.check_place(folder, self.identity, overwrite)  # before the work
        rendered = self._render(_wanted(keep, remove))
        tensors = {name: getattr(self, name) for name in TENSORS}
        tensors |= {} if self.numbers is None else {"numbers": self.numbers}
        waveforms = {ORIGINAL: self.waveform} | {r.outcome.filename: r.waveform for r in rendered}
        sounds = {name: (waveform, self.sample_rate) for name, waveform in waveforms.items()}
        for name, extra in self.extras.items():
            if isinstance(extra, Audio):
                sounds[extra_file(name)] = extra.waveform, extra.sample_rate
        record = self.to_dict(keep, remove)
        explanation_folder.write(folder, record, tensors, sounds, overwrite)
        return folder

    @classmethod
    def load(cls, folder: str | Path) -> Explanation:
        """Read a saved explanation; neither its model nor its plugins are needed.

        Raises ArtifactError, in one line, for a folder that holds none, one that a newer xplain
        wrote, and one in which anything is damaged or does not fit the rest.
        """
        folder = Path(folder)
        try:
            data = explanation_folder.read_record(folder)
            record = decoded(data)
            tensors = checked_tensors(record, explanation_folder.read_all(folder))
            samples = len(tensors["waveform"])
            names = [ORIGINAL, *(outcome.filename for outcome in record.results)]
            _, *sounds = [
                explanation_folder.read_sound(folder, name, record.sample_rate, samples)
                for name in names
            ]
            extras = {
                name: Audio(
                    explanation_folder.read_sound(
                        folder, extra_file(name), extra.sample_rate, extra.samples
                    ),
                    extra.sample_rate,
                    name,
                )
                if isinstance(extra, Sound)
                else extra
                for name, extra in record.extras.items()
            }
        except XplainError as error:
            raise ArtifactError(
                f"{folder} holds no explanation that can be read ({error}); explain the clip again"
            ) from error
        known: dict[str, Any] = {name: getattr(record, name) for name in record.__struct_fields__}
        known |= {name: data[name] for name in ("selection", "provenance")}  # all that is there
        known |= {**tensors, "extras": extras}
        results, verdict = known.pop("results"), known.pop("verdict")
        read = cls(**known)
        for outcome, sound in zip(results, sounds, strict=True):
            read._rendered[outcome.kind, outcome.ratio] = Rendering(sound, outcome)
        if verdict is not None:
            read._checked.append(verdict)
        return read

    def to_dict(
        self, keep: Sequence[float] = RATIOS, remove: Sequence[float] = RATIOS
    ) -> dict[str, Any]:
        """Everything but tensors and audio, as explanation.json holds it."""
        given = ("results", "provenance", "extras")
        names = [n for n in Record.__struct_fields__ if n not in given]
        outcomes = self.scores(keep=keep, remove=remove)
        return {
            "schema": SCHEMA,
            **{name: to_builtins(getattr(self, name)) for name in names},
            "extras": {
                name: {"sample_rate": extra.sample_rate, "samples": len(extra.waveform)}
                if isinstance(extra, Audio)
                else to_builtins(extra)
                for name, extra in self.extras.items()
            },
            "provenance": dict(self.provenance),
            "results": [{**to_builtins(o), "file": o.filename} for o in outcomes],
        }

    def to_dataframe(self) -> DataFrame:
        """What was asked so far: a row for each label of the original and of each outcome."""
        from pandas import DataFrame

        asked: list[tuple[str, float | None, Mapping[str, float]]] = [
            ("original", None, self.probabilities)
        ]
        asked += [(o.kind, o.ratio, o.probabilities) for o in self.saved]
        rows = [(*a[:2], label, p) for a in asked for label, p in a[2].items()]
        return DataFrame(rows, columns=["version", "ratio", "label", "probability"])

    @property
    def identity(self) -> str:
        """A hash that is equal for two explanations of the same question by the same means."""
        return explanation_folder.identity(self.to_dict([], []))

    @property
    def saved(self) -> list[Outcome]:
        """What was rendered so far; of a loaded explanation, what was saved."""
        return [r.outcome for r in self._rendered.values()]

    def _render(self, wanted: Sequence[tuple[Kind, float]]) -> list[Rendering]:
        for _, ratio in wanted:
            checked_ratio(ratio)
        missing = [w for w in dict.fromkeys(wanted) if w not in self._rendered]
        if missing:
            if self._live is None:
                there = ", ".join(f"{kind} {ratio:g}" for kind, ratio in self._rendered)
                raise ArtifactError(
                    f"{self.name}: {missing[0][0]} {missing[0][1]:g} was not saved (saved: "
                    f"{there or 'nothing'}); {self._again()}"
                )
            for rendering in self._live.render(self._claim, missing):
                self._rendered[rendering.outcome.kind, rendering.outcome.ratio] = rendering
        return [self._rendered[w] for w in wanted]

    def _again(self) -> str:
        """What it takes to make this explanation again."""
        kinds = ("explainer", "synthesizer", "replacement", "baseline", "grouping")
        used = {kind: str(self.provenance[kind]["name"]) for kind in kinds}
        absent = [
            name
            for kind, name in used.items()
            # What was given as an instance has the name of its class, and no distribution.
            if "/" in name and not registry().has(kind.replace("baseline", "replacement"), name)
        ]
        wanted = []
        if absent:
            homes = dict.fromkeys(name.partition("/")[0] for name in absent)
            wanted.append(
                f"install {', '.join(homes)}, which {', '.join(dict.fromkeys(absent))} came from "
                f"and which {'is' if len(homes) == 1 else 'are'} not installed"
            )
        reference = str(self.provenance["model"]["name"])
        scheme, colon, _ = reference.partition(":")
        # A name that was given may have a colon, too; a file's reference has no scheme.
        is_scheme = colon and re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", scheme)
        if is_scheme and not any((p.kind, p.name) == ("model", scheme) for p in registry().plugins):
            wanted.append(
                f"install the plugin that the model {reference} came from, since none that is "
                f"installed has the scheme {scheme!r}"
            )
        if wanted:
            return f"to explain the clip again, {' and '.join(wanted)}"
        return f"explain the clip again with {used['explainer']} over {used['synthesizer']}"


def _wanted(keep: Sequence[float], remove: Sequence[float]) -> list[tuple[Kind, float]]:
    wanted: list[tuple[Kind, float]] = [("keep", float(r)) for r in keep]
    return wanted + [("remove", float(r)) for r in remove]
