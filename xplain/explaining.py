"""explain(): reads clips, builds the score, calls the plugins, gathers the result.

The data goes one way: recording → latents → attribution → ranking → explanation.
Clips are encoded one by one, not in batches: encoding is one evaluation beside the
tens that an attribution costs, and so a clip cannot depend on its neighbours.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar, overload

import torch
from torch import Tensor
from typing_extensions import Unpack

from xplain import audio as audio_io
from xplain.audio import Audio
from xplain.bands import bands_of
from xplain.borrowing import borrowed, seeded
from xplain.clips import AudioLike as AudioLike
from xplain.clips import Failure as Failure
from xplain.clips import guarded, named
from xplain.editing import Editor
from xplain.errors import ModelError, PluginError, XplainError, XplainWarning
from xplain.explanation import Explanation
from xplain.interfaces import Latents
from xplain.job import Job, Settings
from xplain.models import Model, load_model
from xplain.progress import track
from xplain.score import ClipScore, default_max_batch
from xplain.targets import ResolvedTarget, clip_logits, probabilities, resolve
from xplain.workbench import Workbench

Several = TypeVar("Several", bound=AudioLike)


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
    job = Job.prepare(loaded, settings)
    return compare_each(clips, [job])


def compare_each(
    clips: Sequence[AudioLike], jobs: Sequence[Job]
) -> Iterator[Explanation | Failure]:
    """Explain each clip by several methods: read, encoded and asked about once.

    jobs: the first, and the same by other explainers (Job.by). Gives the results of all
    methods for the first clip, then for the next.
    """
    for number, clip in enumerate(clips):
        name = named(clip, number)
        opened, said = guarded(name, partial(_open, clip, name, jobs[0]))
        for job in jobs:
            if isinstance(opened, Failure):
                yield opened
                continue
            result, more = guarded(name, partial(_attribute, opened, job))
            if isinstance(result, Explanation):
                result = replace(result, warnings=(*said, *more))
            yield result


def _take(clip: AudioLike, name: str, job: Job) -> Audio:
    """Read a clip, or check one that is in memory."""
    if isinstance(clip, str | Path):
        return audio_io.read(clip)
    if isinstance(clip, Audio):
        return audio_io.check(clip)
    return audio_io.from_tensor(clip, job.sample_rate, name)


@dataclass(frozen=True)
class _Opened:
    """A clip as every method finds it: what it is to the model, and the question.

    original: logits of the clip. ends: of its latents and of each draw of the baseline.
    """

    audio: Audio
    waveform: Tensor
    editor: Editor
    baseline: Tensor
    original: Tensor
    ends: Tensor
    target: ResolvedTarget


def _open(clip: AudioLike, name: str, job: Job) -> _Opened:
    """Read a clip, encode it, and ask the model about it and its baseline."""
    audio = _take(clip, name, job)
    route, model = job.route, job.route.model
    seed = _clip_seed(job.seed, audio)
    at_model = audio_io.resample(audio, model.sample_rate).waveform
    waveform = audio_io.resample(audio, route.synthesizer.sample_rate).waveform
    max_batch = job.max_batch or default_max_batch(len(waveform))
    with (
        torch.inference_mode(False),
        borrowed(route, job.device),
        seeded(seed, job.device),
        torch.no_grad(),
    ):
        latents = _encoded(waveform, job)
        values = latents.values[0]
        editor = Editor(route, latents, len(waveform), seed=seed, max_batch=max_batch)
        baseline = editor.nothing(job.baseline)
        original, ends = editor.ask(
            at_model.clone().to(job.device)[None],  # a copy, since a model may write into it
            torch.cat([values[None], baseline.reshape(-1, *values.shape)]),
        )
    if not torch.isfinite(original).all():
        raise ModelError(
            f"{audio.name}: the model {model.name!r} gave logits that are NaN or infinite, "
            "so there is nothing to explain; mend the model, or leave this clip out"
        )
    target = resolve(
        job.target,
        original,
        model.labels,
        multilabel=model.multilabel,
        frame_step=model.frame_step,
    )
    return _Opened(audio, waveform, editor, baseline, original, ends, target)


def _attribute(clip: _Opened, job: Job) -> Explanation:
    """Explain an opened clip by the job's method."""
    audio, editor, target = clip.audio, clip.editor, clip.target
    route, synthesizer, model = job.route, job.route.synthesizer, job.route.model
    values = editor.latents.values[0]
    score = ClipScore(route, editor.latents.context, target, editor.max_batch)
    with (
        torch.inference_mode(False),
        borrowed(route, job.device),
        seeded(editor.seed, job.device),
        torch.set_grad_enabled(job.explainer.uses_gradients),
    ):
        attribution = _attributed(audio.name, score, values.clone(), clip.baseline.clone(), job)
    said = probabilities(clip_logits(clip.original, target.frames), model.multilabel)[0].cpu()
    # What the model says of the unchanged latents: the control of every change.
    (reconstruction,) = editor.decisions(clip.ends[:1], target)
    (own,) = editor.decisions(clip.original, target)
    scores = target.score(clip.ends).cpu()
    workbench = Workbench(
        editor=editor,
        explainer=job.explainer,
        target=target,
        selection=job.selection,
        replacement=job.replacement,
        baseline=clip.baseline,
        probabilities=said,
        ends=scores,
        round_trip=reconstruction.agrees == own.agrees,
    )
    error = workbench.completeness_error(attribution)
    converged = None if error is None else error <= (job.explainer.completeness_tolerance or 0)
    if converged is False:
        warnings.warn(
            f"{audio.name}: {job.provenance['explainer']['name']} did not converge "
            f"(completeness error {error:.1%}); try more steps, or a baseline that sounds "
            "where the model divides loudness out (baseline 'mean')",
            XplainWarning,
            stacklevel=2,
        )
    frequencies = synthesizer.frequencies
    return Explanation(
        name=audio.name,
        attribution=attribution,
        latents=values,
        baseline=clip.baseline,
        waveform=clip.waveform,
        sample_rate=synthesizer.sample_rate,
        target=target,
        probabilities=dict(zip(model.labels, said.tolist(), strict=True)),
        score=float(scores[0]),
        baseline_score=float(scores[1:].mean()),
        selection=asdict(job.selection),
        completeness_error=error,
        converged=converged,
        warnings=(),
        frequencies=None if frequencies is None else tuple(frequencies),
        bands=bands_of(attribution, synthesizer),
        provenance={
            **job.provenance,
            "audio": dict(audio.source),
            "max_batch": editor.max_batch,
            "reconstruction": asdict(reconstruction),
        },
        _live=workbench,
    )


def _encoded(waveform: Tensor, job: Job) -> Latents:
    """The latents of one clip (samples,), checked."""
    latents = job.route.synthesizer.encode(waveform.clone().to(job.device)[None])
    name = job.provenance["synthesizer"]["name"]
    if not isinstance(latents, Latents) or latents.values.ndim != 3 or len(latents.values) != 1:
        raise PluginError(
            f"synthesizer {name!r} did not encode one clip to xplain.Latents with values "
            "(1, channels, frames); report it to its authors"
        )
    if not torch.isfinite(latents.values).all():
        raise PluginError(f"synthesizer {name!r} gave latents that are NaN or infinite")
    return latents


def _attributed(clip: str, score: ClipScore, values: Tensor, baseline: Tensor, job: Job) -> Tensor:
    """What the method says, checked: (D, N) float32, finite."""
    name, shape = job.provenance["explainer"]["name"], values.shape
    try:
        attribution = job.explainer.attribute(score, values, baseline)
    except XplainError:
        raise
    except Exception as error:
        cut = "does not require grad" in str(error) or "not have been used" in str(error)
        advice = (
            "; no gradient passes through the model (no_grad, detach or NumPy in it?): wrap it "
            "with differentiable=False and choose a method without gradients"
        )
        raise PluginError(
            f"{clip}: explainer {name!r} failed with {type(error).__name__}: "
            f"{error}{advice if cut else ''}"
        ) from error
    if not isinstance(attribution, Tensor) or attribution.shape != shape:
        gave = tuple(attribution.shape) if isinstance(attribution, Tensor) else "no tensor"
        raise PluginError(
            f"{clip}: explainer {name!r} gave {gave} for latents {tuple(shape)}; "
            "an attribution has the latents' shape"
        )
    if not torch.isfinite(attribution).all():
        bad = int((~torch.isfinite(attribution)).sum())
        raise PluginError(
            f"{clip}: explainer {name!r} gave {bad} values that are NaN or infinite; "
            "try other parameters, or report it to its authors"
        )
    return attribution.detach().to(torch.float32).clone()


def _clip_seed(seed: int, audio: Audio) -> int:
    """A seed that depends on the clip's samples and not on its place among others."""
    digest = hashlib.sha256(f"{seed}\n".encode())
    digest.update(audio.waveform.numpy().tobytes())
    return int.from_bytes(digest.digest()[:4], "big")
