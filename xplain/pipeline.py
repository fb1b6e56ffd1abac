"""explain(): builds the score, calls the plugins, gathers the result.

The data goes one way: recording → latents → attribution → ranking → explanation.
Clips are encoded one by one, not in batches: encoding is one evaluation beside the
tens that an attribution costs, and so a clip cannot depend on its neighbours.
"""

from __future__ import annotations

import hashlib
import platform
import random
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypedDict, TypeVar, overload

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from typing_extensions import Unpack

import xplain
from xplain import audio as audio_io
from xplain.audio import Audio
from xplain.editing import Editor
from xplain.errors import PluginError, XplainError, XplainWarning, nearest
from xplain.explanation import Explanation
from xplain.interfaces import Explainer, Replacement, Synthesizer
from xplain.models import Model, load_model, make_synthesizer
from xplain.progress import track
from xplain.registry import registry
from xplain.score import (
    ClipScore,
    Route,
    borrowed,
    default_max_batch,
    modes_and_hooks_restored,
)
from xplain.selection import Selection
from xplain.targets import (
    Target,
    clip_logits,
    label_index,
    probabilities,
    resolve,
)

AudioLike: TypeAlias = str | Path | Audio | Tensor | npt.NDArray[np.floating[Any]]
Several = TypeVar("Several", bound=AudioLike)

NEGLIGIBLE = 1e-6
"""A difference of logits under which there is nothing that could be attributed."""


class Settings(TypedDict, total=False):
    """What can be set for explain() and explain_each(); names or instances."""

    synthesizer: str | Synthesizer
    """What the attribution is computed in; default: what the model reads, else "stft"."""
    explainer: str | Explainer
    """Default "integrated-gradients"."""
    params: Mapping[str, object]
    """The explainer's parameters, where it is given by name."""
    target: str | Target
    """A label, "label@start-end" in seconds; default: the model's own decision."""
    versus: str
    """Another label, whose logit is subtracted."""
    replacement: str | Replacement
    """What stands in place of elements that are removed; default "silence"."""
    baseline: str | Replacement
    """What the attribution compares with; default: the replacement."""
    granularity: str
    """What is ranked: "element" (default), "channel", "frame" or "block"."""
    order: str
    """"signed" (default, descending) or "absolute"."""
    seed: int
    """Of everything drawn by chance; default 0."""
    device: str | torch.device
    """Where to compute; default: where the model is."""
    max_batch: int
    """How many variants of a clip the model sees at once; default: by the clip's length."""
    sample_rate: int
    """Hz, of audio given as a tensor; default: the model's."""


class ClipsError(XplainError):
    """Some clips of a call failed; the others are done.

    explanations: of the clips that are done. failures: of the others, with their names.
    """

    def __init__(self, explanations: list[Explanation], failures: list[Failure]) -> None:
        """Gather what is done and what failed."""
        self.explanations, self.failures = explanations, failures
        total = len(explanations) + len(failures)
        reasons = "; ".join(str(f.error) for f in failures)
        super().__init__(
            f"{len(failures)} of {total} clips failed (the others are in .explanations): {reasons}"
        )


@dataclass(frozen=True)
class Failure:
    """A clip that could not be explained, and why."""

    name: str
    error: XplainError


@overload
def explain(audio: AudioLike, model: str | Model, **settings: Unpack[Settings]) -> Explanation: ...
@overload
def explain(
    audio: list[Several] | tuple[Several, ...], model: str | Model, **settings: Unpack[Settings]
) -> list[Explanation]: ...
def explain(
    audio: AudioLike | list[Several] | tuple[Several, ...],
    model: str | Model,
    **settings: Unpack[Settings],
) -> Explanation | list[Explanation]:
    """Explain what a model decided about one clip, or about many.

    audio: a file, an Audio, or samples (samples,); or a list of these, of any lengths.
    model: a model (see wrap), or a reference such as "zoo:digits".

    settings: see Settings. synthesizer (default: what the model reads, else "stft"),
    explainer ("integrated-gradients") with params, target (the model's own decision) and
    versus, replacement ("silence") and baseline (the replacement), granularity
    ("element") and order ("signed"), seed (0), device, max_batch, sample_rate.

    Returns an Explanation, or for a list a list of them. Raises a subclass of
    XplainError; for a list ClipsError, after every clip that can be explained was.
    """
    if not isinstance(audio, list | tuple):
        (result,) = explain_each([audio], model, **settings)
        if isinstance(result, Failure):
            raise result.error
        return result
    done: list[Explanation] = []
    failures: list[Failure] = []
    for result in track(explain_each(audio, model, **settings), len(audio), "explaining"):
        if isinstance(result, Failure):
            failures.append(result)
        else:
            done.append(result)
    if failures:
        raise ClipsError(done, failures)
    return done


def explain_each(
    clips: Sequence[AudioLike], model: str | Model, **settings: Unpack[Settings]
) -> Iterator[Explanation | Failure]:
    """Explain clips one after another, as explain() does; a Failure where one fails.

    What is wrong with the call as a whole (a name, a label, a route) is raised at
    once, before the first clip. The clips' results are not held on to.
    """
    loaded = load_model(model) if isinstance(model, str) else model
    return _Job.prepare(loaded, settings).run(clips)


@dataclass(frozen=True)
class _Job:
    """Everything that is the same for all clips of a call."""

    route: Route
    explainer: Explainer
    replacement: Replacement
    baseline: Replacement
    target: Target
    selection: Selection
    seed: int
    device: torch.device
    max_batch: int | None
    sample_rate: int
    provenance: Mapping[str, Any]

    @classmethod
    def prepare(cls, model: Model, settings: Settings) -> _Job:
        """Resolve names and refuse what cannot work for any clip."""
        for name in settings:
            if name not in Settings.__annotations__:
                raise TypeError(
                    f"explain() has no setting {name!r}; {nearest(name, Settings.__annotations__)}"
                )
        create = registry().create
        synthesizer = settings.get("synthesizer") or model.reads or "stft"
        if isinstance(synthesizer, str):
            synthesizer = make_synthesizer(synthesizer, model.sample_rate)
        explainer = settings.get("explainer", "integrated-gradients")
        if isinstance(explainer, str):
            explainer = create("explainer", explainer, settings.get("params") or {})
        elif settings.get("params"):
            raise PluginError("params go with an explainer's name; set them on the instance")
        replacement = settings.get("replacement", "silence")
        if isinstance(replacement, str):
            replacement = create("replacement", replacement, {})
        baseline = settings.get("baseline") or replacement
        if isinstance(baseline, str):
            baseline = create("replacement", baseline, {})
        asked = settings.get("target")
        target = asked if isinstance(asked, Target) else Target.parse(asked, settings.get("versus"))
        for label in (target.label, target.versus):
            if label is not None:
                label_index(label, model.labels)
        max_batch = settings.get("max_batch")
        if max_batch is not None and max_batch < 1:
            raise XplainError(f"max_batch is at least 1, not {max_batch}")
        route = Route(model, synthesizer)
        weights = [*model.module.parameters(), *model.module.buffers()]
        home = weights[0].device if weights else torch.device("cpu")
        seed, device = settings.get("seed", 0), _device(settings.get("device") or home)
        selection = Selection(
            settings.get("granularity", "element"), settings.get("order", "signed")
        )
        describe = registry().describe
        provenance: dict[str, Any] = {
            "xplain": xplain.__version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "model": {
                "name": model.name,
                "version": model.version,
                "sample_rate": model.sample_rate,
                "labels": list(model.labels),
                "multilabel": model.multilabel,
                "frame_step": model.frame_step,
                "sha256": model.fingerprint(),
            },
            "route": route.description,
            "synthesizer": describe("synthesizer", synthesizer),
            "explainer": describe("explainer", explainer),
            "replacement": describe("replacement", replacement),
            "baseline": describe("replacement", baseline),
            "seed": seed,
            "device": str(device),
        }
        route.check(explainer, provenance["explainer"]["name"])
        return cls(
            route=route,
            explainer=explainer,
            replacement=replacement,
            baseline=baseline,
            target=target,
            selection=selection,
            seed=seed,
            device=device,
            max_batch=max_batch,
            sample_rate=settings.get("sample_rate") or model.sample_rate,
            provenance=provenance,
        )

    def run(self, clips: Sequence[AudioLike]) -> Iterator[Explanation | Failure]:
        """Explain clip by clip; the model is borrowed until the last one is done."""
        with borrowed(self.route, self.device):
            for number, clip in enumerate(clips):
                name = str(clip) if isinstance(clip, str | Path) else f"clip-{number}"
                try:
                    with warnings.catch_warnings(record=True) as caught:
                        warnings.simplefilter("always", XplainWarning)
                        explanation = self._explain(self._take(clip, name), caught)
                except XplainError as error:
                    yield Failure(name, error)
                    continue
                except Exception as error:
                    wrapped = XplainError(f"{name}: {type(error).__name__}: {error}")
                    wrapped.__cause__ = error
                    yield Failure(name, wrapped)
                    continue
                for warning in caught:
                    warnings.warn_explicit(
                        warning.message, warning.category, warning.filename, warning.lineno
                    )
                yield explanation

    def _take(self, clip: AudioLike, name: str) -> Audio:
        if isinstance(clip, str | Path):
            return audio_io.read(clip)
        if isinstance(clip, Audio):
            return audio_io.check(clip)
        return audio_io.from_tensor(clip, self.sample_rate, name)

    def _explain(self, audio: Audio, caught: Sequence[warnings.WarningMessage]) -> Explanation:
        route, synthesizer, model = self.route, self.route.synthesizer, self.route.model
        seed = _clip_seed(self.seed, audio)
        at_model = audio_io.resample(audio, model.sample_rate).waveform.to(self.device)
        heard_as = audio_io.resample(audio, synthesizer.sample_rate)
        with torch.inference_mode(False), _seeded(seed, self.device):
            with torch.no_grad():
                original = route.hear(at_model[None], model.sample_rate)
                target = resolve(
                    self.target,
                    original,
                    model.labels,
                    multilabel=model.multilabel,
                    frame_step=model.frame_step,
                )
                latents = synthesizer.encode(heard_as.waveform.to(self.device)[None])
                values = latents.values[0]
                editor = Editor(
                    route,
                    latents,
                    len(heard_as.waveform),
                    target,
                    self.replacement,
                    self.selection,
                    seed=seed,
                    max_batch=self.max_batch or default_max_batch(len(heard_as.waveform)),
                )
                baseline = editor.fill(self.baseline, torch.zeros_like(values, dtype=torch.bool))
            score = ClipScore(route, latents.context, target, editor.max_batch)
            gradients = torch.set_grad_enabled(self.explainer.uses_gradients)
            with modes_and_hooks_restored(route), gradients:  # a method may leave some behind
                attribution = self.explainer.attribute(score, values.clone(), baseline.clone())
            attribution = self._checked(attribution, values, audio.name)
            ends = editor.logits(torch.stack([values, baseline]))
        error = _completeness_error(self.explainer, attribution, target.score(ends))
        converged = None if error is None else error <= (self.explainer.completeness_tolerance or 0)
        if converged is False:
            warnings.warn(
                f"{audio.name}: {self.provenance['explainer']['name']} did not converge "
                f"(completeness error {error:.1%}); try more steps, or a baseline that sounds "
                "where the model divides loudness out (baseline 'mean')",
                XplainWarning,
                stacklevel=2,
            )
        editor.attribution = attribution
        said = probabilities(clip_logits(original, target.frames), model.multilabel)[0]
        frequencies = synthesizer.frequencies
        return Explanation(
            name=audio.name,
            attribution=attribution,
            latents=values,
            baseline=baseline,
            waveform=heard_as.waveform,
            sample_rate=synthesizer.sample_rate,
            target=target,
            probabilities=dict(zip(model.labels, said.tolist(), strict=True)),
            selection=self.selection.to_dict(),
            completeness_error=error,
            converged=converged,
            warnings=tuple(str(w.message) for w in caught),
            frequencies=None if frequencies is None else tuple(frequencies),
            provenance={
                **self.provenance,
                "audio": dict(audio.source),
                "max_batch": editor.max_batch,
                # What the model says of the unchanged latents: the control of every change.
                "reconstruction": asdict(editor.decisions(ends)[0]),
            },
            _renderer=editor.render,
        )

    def _checked(self, attribution: object, values: Tensor, clip: str) -> Tensor:
        name = self.provenance["explainer"]["name"]
        if not isinstance(attribution, Tensor) or attribution.shape != values.shape:
            shape = tuple(attribution.shape) if isinstance(attribution, Tensor) else "no tensor"
            raise PluginError(
                f"{clip}: explainer {name!r} gave {shape} for latents {tuple(values.shape)}; "
                "an attribution has the latents' shape"
            )
        if not torch.isfinite(attribution).all():
            bad = int((~torch.isfinite(attribution)).sum())
            raise PluginError(
                f"{clip}: explainer {name!r} gave {bad} values that are NaN or infinite; "
                "try other parameters, or report it to its authors"
            )
        return attribution.detach().to(torch.float32)


def _device(asked: str | torch.device) -> torch.device:
    try:
        device = torch.device(asked)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise XplainError(f"the device {str(asked)!r} cannot be used here: {reason}") from error
    return device


def _completeness_error(explainer: Explainer, attribution: Tensor, ends: Tensor) -> float | None:
    """|Σ attribution − (score(latents) − score(baseline))|, relative to that difference."""
    difference = float(ends[0] - ends[1])
    if explainer.completeness_tolerance is None or abs(difference) < NEGLIGIBLE:
        return None
    return abs(float(attribution.double().sum()) - difference) / abs(difference)


def _clip_seed(seed: int, audio: Audio) -> int:
    """A seed that depends on the clip's samples and not on its place among others."""
    digest = hashlib.sha256(f"{seed}\n".encode())
    digest.update(audio.waveform.numpy().tobytes())
    return int.from_bytes(digest.digest()[:4], "big")


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed the global generators, and put the caller's state back."""
    numpy_state, python_state = np.random.get_state(), random.getstate()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(numpy_state)
            random.setstate(python_state)
