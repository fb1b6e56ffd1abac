"""Settings of an explanation, resolved and validated before the first clip."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypedDict

import torch
from torch.nn.functional import normalize

import xplain
from xplain.audio import resample
from xplain.borrowing import borrowed, seeded, usable_device
from xplain.clips import named, naming, opened
from xplain.errors import ModelError, PluginError, TargetError, XplainError, nearest
from xplain.interfaces import Explainer, Grouping, Replacement, Synthesizer
from xplain.memory import Memory
from xplain.models import Model, make_synthesizer
from xplain.registry import interface, registry
from xplain.samples import hertz
from xplain.score import Route
from xplain.selection import GROUPINGS, Selection, built_in
from xplain.targets import TEXT, Asked, Output, SimilarTo, Target, Token, Word
from xplain.tasks import Reference, check


class Settings(TypedDict, total=False):
    """Settings of explain() and explain_each(); names or instances."""

    synthesizer: str | Synthesizer | None
    """Representation of the attribution; default: what the model reads, else "stft"."""
    synthesizer_params: Mapping[str, object]
    """Parameters of a synthesizer given by name; likewise for the others."""
    explainer: str | Explainer
    """Attribution method; default "integrated-gradients"."""
    params: Mapping[str, object]
    """The explainer's parameters."""
    target: Asked | None
    """A label, or "label@start-end" in seconds (default: the model's prediction); SimilarTo a
    recording; a Word or a Token of what is written; a function of what the model gives."""
    versus: str | None
    """Another label, whose logit is subtracted."""
    replacement: str | Replacement
    """What replaces removed elements; default "auto": "silence", or "noise" where silence is none
    to the model (see xplain.automatic)."""
    replacement_params: Mapping[str, object]
    baseline: str | Replacement | None
    """What the method compares with; default "auto": the replacement."""
    baseline_params: Mapping[str, object]
    grouping: str | Grouping
    """What belongs together: "element" (default), "channel", "frame", "block", "block:CxF" or
    a plugin's, such as "words"."""
    grouping_params: Mapping[str, object]
    order: str
    """Rank by "signed" value (default, descending) or "absolute" value."""
    seed: int
    """Random seed; default 0."""
    device: str | torch.device | None
    """Where to compute; default: where the model is."""
    max_batch: int | None
    """Variants of a clip per batch; default: as many as ``memory`` holds, 64 at most."""
    memory: int | str | None
    """Bytes for the variants of a batch, such as "4GB"; default: half of what is free, on the
    processor 2 GB at most."""
    sample_rate: int | None
    """Hz, of audio given as a tensor; default: the model's."""


AUTO = "auto"
FIRST = "silence"
"""The replacement that "auto" tries, for the baseline too."""

INSTEAD: tuple[dict[str, object], ...] = ({"level": -5.0}, {"level": -10.0})
"""Parameters of "noise" as replacement and as baseline: what is removed has to be masked, and
fainter noise to compare with leaves more of the evidence where the sound is."""


@dataclass(frozen=True)
class Job:
    """Resolved settings, the same for all clips of a call."""

    route: Route
    explainer: Explainer
    replacement: Replacement
    baseline: Replacement
    target: Target | Reference | Word | Token | Output | None
    grouping: Grouping
    selection: Selection
    seed: int
    device: torch.device
    memory: Memory
    sample_rate: int
    provenance: Mapping[str, Any]
    instead: tuple[tuple[Replacement, dict[str, Any]], ...] = ()
    """What takes the place of replacement and baseline where silence is none, with records."""

    @classmethod
    def prepare(cls, model: Model, settings: Settings) -> Job:
        """Resolve names and refuse settings that cannot work for any clip."""
        _check(model, settings)
        synthesizer, synthesizer_record = _resolve(
            "synthesizer",
            settings.get("synthesizer") or model.reads or "stft",
            settings.get("synthesizer_params"),
            lambda name, params: make_synthesizer(name, model.sample_rate, params),
        )
        explainer, explainer_record = _resolve(
            "explainer", settings.get("explainer") or "integrated-gradients", settings.get("params")
        )
        asked, params = settings.get("replacement"), settings.get("replacement_params")
        auto = asked is None or asked == AUTO
        replacement, replacement_record = _resolve("replacement", FIRST if auto else asked, params)
        baseline, baseline_record = replacement, replacement_record
        noisy = auto and not synthesizer.values_are_gains  # noise has the gains of any sound
        instead = tuple(_resolve("replacement", "noise", p) for p in INSTEAD) if noisy else ()
        against = settings.get("baseline") or explainer.compares_with
        if against != AUTO:
            baseline, baseline_record = _resolve(
                "replacement", against, settings.get("baseline_params")
            )
            instead = ()
        elif settings.get("baseline_params"):
            raise PluginError(
                "the baseline is the replacement where none is given; give a baseline for "
                "baseline_params, or replacement_params"
            )
        grouping, grouping_record = _grouping(settings)
        route = Route(model, synthesizer)
        route.check(explainer, explainer_record["name"])
        device = usable_device(settings.get("device"), model.module)
        seed = settings.get("seed", 0)
        provenance = {
            "xplain": xplain.__version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "model": {
                "name": model.name,
                "version": model.version,
                "sample_rate": model.sample_rate,
                "labels": [] if model.task in TEXT else list(model.labels),
                "task": model.task,
                "multilabel": model.multilabel,
                "frame_step": model.frame_step,
                "sha256": model.fingerprint(),
                "reads": model.reads and registry().describe("synthesizer", model.reads),
            },
            "route": route.description,
            "synthesizer": synthesizer_record,
            "explainer": explainer_record,
            "replacement": replacement_record,
            "baseline": baseline_record,
            "grouping": grouping_record,
            "seed": seed,
            "device": str(device),
        }
        return cls(
            route=route,
            explainer=explainer,
            replacement=replacement,
            baseline=baseline,
            target=_target(route, settings, device),
            grouping=grouping,
            selection=Selection(grouping_record["name"], settings.get("order") or "signed"),
            seed=seed,
            device=device,
            memory=Memory.of(settings.get("memory"), settings.get("max_batch"), device),
            sample_rate=settings.get("sample_rate") or model.sample_rate,
            provenance=provenance,
            instead=instead,
        )

    def otherwise(self, reason: str) -> Job:
        """Copy the job with what takes the place of silence, and say why."""
        (replacement, record), (baseline, other) = self.instead
        records = {"replacement": {**record, "chosen": reason}, "baseline": other}
        return replace(
            self,
            replacement=replacement,
            baseline=baseline,
            instead=(),
            provenance={**self.provenance, **records},
        )

    def by(self, explainer: str | Explainer, params: Mapping[str, object]) -> Job:
        """Copy the job with another method."""
        made, record = _resolve("explainer", explainer, params)
        self.route.check(made, record["name"])
        return replace(self, explainer=made, provenance={**self.provenance, "explainer": record})


def _check(model: Model, settings: Settings) -> None:
    if not isinstance(model, Model):
        raise ModelError(
            f"a model is a reference or what xplain.wrap gives, not {type(model).__name__}; "
            "wrap your module: xplain.wrap(module, sample_rate=…, labels=…)"
        )
    for name in settings:
        if name not in Settings.__annotations__:
            raise TypeError(
                f"explain() has no setting {name!r}; {nearest(name, Settings.__annotations__)}"
            )
    most = settings.get("max_batch")
    if most is not None and (not isinstance(most, int) or most < 1):
        raise XplainError(f"max_batch is a whole number, at least 1, not {most!r}")
    rate = settings.get("sample_rate")
    if rate is not None:
        hertz(rate, "sample_rate")


def _resolve(
    kind: str,
    asked: object,
    params: Mapping[str, object] | None,
    make: Callable[[str, Mapping[str, object]], object] | None = None,
) -> tuple[Any, dict[str, Any]]:
    """An instance of what was asked for by name or as itself, and its record."""
    plugin = registry().find(kind, asked) if isinstance(asked, str) else None
    if isinstance(asked, str):
        make = make or partial(registry().create, kind)
        instance = make(asked, params or {})
    elif params:
        raise PluginError(
            f"parameters ({', '.join(params)}) go with the name of a {kind}, and this is a "
            f"{type(asked).__name__}; set them on the instance, or give a name"
        )
    else:
        instance = asked
    kinds = interface(kind)
    if not isinstance(instance, kinds):
        called = "replacement or baseline" if kind == "replacement" else kind
        need = f"a name or an instance of xplain.{kinds.__name__}"
        raise PluginError(f"{called}: give {need}, not {instance!r}")
    return instance, registry().describe(kind, instance, plugin)


def _grouping(settings: Settings) -> tuple[Grouping, dict[str, Any]]:
    """The grouping and its record; one that is built in is known by its name alone."""
    asked, params = settings.get("grouping") or "element", settings.get("grouping_params")
    own = built_in(asked) if isinstance(asked, str) else None
    if own is None:
        known = [p for p in registry().plugins if p.kind == "grouping"]
        if isinstance(asked, str) and not any(asked in (p.name, p.full_name) for p in known):
            names = (*GROUPINGS, "block:CxF", *(p.name for p in known))
            raise XplainError(f"no grouping {asked!r}; {nearest(asked, names)}")
        return _resolve("grouping", asked, params)
    if params:
        raise PluginError(f"the grouping {asked!r} has no parameters; block:CxF is one of a size")
    return own, {"name": asked, "version": None, "parameters": {}, "sha256": None}


def _target(route: Route, settings: Settings, device: torch.device) -> Any:
    """The target; TargetError where the model cannot answer it for any clip."""
    model = route.model
    asked, versus = settings.get("target"), settings.get("versus")
    number = isinstance(asked, int) and not isinstance(asked, bool) and asked >= 0
    if versus is not None and not (asked is None or isinstance(asked, str)):
        raise TargetError("versus goes with a label; set it in the Target")
    if isinstance(asked, SimilarTo):
        check(asked, model)
        return _reference(asked, route, device, settings.get("sample_rate") or model.sample_rate)
    if model.task in TEXT or model.task == "embedding":
        if versus is not None:
            raise TargetError(f"{model.name} has no labels, so versus cannot be asked of it")
        asked = Word(asked) if isinstance(asked, str) and model.task in TEXT else asked
    elif asked is None or isinstance(asked, str):
        exact = asked in model.labels  # a label may look like LABEL@START-END
        asked = Target(asked, versus=versus) if exact else Target.parse(asked, versus)
    elif isinstance(asked, int) and number and asked < len(model.labels):
        raise TargetError(
            f"a target is a label or a Target, not {asked!r}; "
            f"label {asked} is {model.labels[asked]!r}"
        )
    check(asked, model)
    return asked


def _reference(asked: SimilarTo, route: Route, device: torch.device, rate: int) -> Reference:
    """Embed the recordings to be like, and average their directions."""
    given = asked.recordings
    recordings = given if isinstance(given, list) else [given]
    names, found = [], []
    for number, recording in enumerate(recordings):
        name = named(recording, number)
        audio = opened(recording, rate, name)
        with naming(name), borrowed(route, device), seeded(0, device), torch.no_grad():
            heard = resample(audio, route.model.sample_rate).waveform.to(device)
            found.append(normalize(route.hear(heard[None])[0], dim=0).cpu())
        names.append(audio.name)
    if not found:
        raise TargetError("SimilarTo() has no recording; give at least one")
    mean = torch.stack(found).mean(dim=0)
    if not torch.isfinite(mean).all() or not mean.any():
        raise TargetError(f"the embedding of {', '.join(names)} is not finite, or zero")
    return Reference(f"similar to {', '.join(names)}", normalize(mean, dim=0), asked.threshold)
