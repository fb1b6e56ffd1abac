"""explain(): reads clips, builds the score, calls the plugins, gathers the result.

The data goes one way: recording → latents → attribution → ranking → explanation.
Clips are encoded one by one, not in batches: encoding is one evaluation beside the
tens that an attribution costs, and so a clip cannot depend on its neighbours.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import TypeVar, cast, overload

import torch
from torch import Tensor
from typing_extensions import Unpack

from xplain import audio as audio_io
from xplain.adapters import model_of
from xplain.audio import Audio
from xplain.automatic import chosen
from xplain.bands import bands_of
from xplain.borrowing import borrowed
from xplain.clips import (
    AudioLike,
    ClipsError,
    Failure,
    are_several,
    gathered,
    guarded,
    named,
    opened,
)
from xplain.errors import XplainWarning
from xplain.explanation import Explanation
from xplain.job import Job, Settings
from xplain.live import LiveClip
from xplain.selection import built_in, listed

Several = TypeVar("Several", bound=AudioLike)


@overload
def explain(audio: AudioLike, model: object, **settings: Unpack[Settings]) -> Explanation: ...
@overload
def explain(
    audio: list[Several] | tuple[Several, ...], model: object, **settings: Unpack[Settings]
) -> list[Explanation]: ...
def explain(
    audio: AudioLike | list[Several] | tuple[Several, ...],
    model: object,
    **settings: Unpack[Settings],
) -> Explanation | list[Explanation]:
    """Explain what a model decided about one clip, or about many.

    audio: a file, an Audio, samples (samples,), or a pair (samples, rate); or a list of these,
    of any lengths.
    model: a model (see wrap), a reference such as "zoo:digits", a segmenter, or what a plugin
    knows of another library: a pipeline of transformers, a pair (model, processor), …

    settings: see Settings. synthesizer (default: what the model reads, else "stft"),
    explainer ("integrated-gradients") with params, target (the model's own decision) and
    versus, replacement ("auto") and baseline (the replacement), grouping
    ("element"; "words" of a plugin) and order ("signed"), seed (0), device, max_batch, sample_rate.

    Returns an Explanation, or for a list a list of them. Raises a subclass of
    XplainError; for a list ClipsError, after every clip that can be explained was.
    """
    if not are_several(audio):
        (result,) = explain_each([cast(AudioLike, audio)], model, **settings)
        if isinstance(result, Failure):
            raise result.error
        return result
    results = explain_each(audio, model, **settings)
    return gathered(results, len(audio), "explaining", ClipsError)


def explain_each(
    clips: Sequence[AudioLike], model: object, **settings: Unpack[Settings]
) -> Iterator[Explanation | Failure]:
    """Explain clips one after another, as explain() does; a Failure where one fails.

    What is wrong with the call as a whole (a name, a label, a route) is raised at
    once, before the first clip. The clips' results are not held on to.
    """
    job = Job.prepare(model_of(model), settings)
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
        found, said = guarded(name, partial(_open, clip, name, jobs[0]))
        for job in jobs:
            if isinstance(found, Failure):
                yield found
                continue
            result, more = guarded(name, partial(_attribute, *found, job))
            if isinstance(result, Explanation):
                result = replace(result, warnings=(*said, *more))
            yield result


def _open(clip: AudioLike, name: str, job: Job) -> tuple[Audio, Tensor, LiveClip]:
    """Read a clip, encode it, and ask the model about it; with its waveform (samples,)."""
    audio = opened(clip, job.sample_rate, name)
    at_model = audio_io.resample(audio, job.route.model.sample_rate).waveform
    waveform = audio_io.resample(audio, job.route.synthesizer.sample_rate).waveform
    with torch.inference_mode(False), borrowed(job.route, job.device):
        live = LiveClip.open(audio.name, waveform, at_model, job, _clip_seed(job.seed, audio))
        live = chosen(live)
    for doubt in live.doubts:
        warnings.warn(f"{audio.name}: {doubt}", XplainWarning, stacklevel=2)
    return audio, waveform, live


def _attribute(audio: Audio, waveform: Tensor, opened: LiveClip, job: Job) -> Explanation:
    """Explain an opened clip by the job's method."""
    synthesizer = job.route.synthesizer
    with torch.inference_mode(False):
        live = opened.by(job)
        attribution = live.attribute()
    job, error = live.job, live.completeness_error(attribution)
    converged = live.converged(attribution)
    if converged is False:
        warnings.warn(
            f"{audio.name}: {job.provenance['explainer']['name']} did not converge "
            f"(completeness error {error:.1%}); allow more steps or error, or another baseline "
            "(noise, white-noise, mean)",
            XplainWarning,
            stacklevel=2,
        )
    frequencies, groups = synthesizer.frequencies, live.groups(attribution)
    samples = audio.waveform.numpy().tobytes()  # for a clip that names no file
    speaking = groups.sums(attribution.values) > 0
    ours = built_in(job.selection.grouping) and attribution.groups is None
    return Explanation(
        name=audio.name,
        attribution=attribution.values,
        latents=live.latents.values[0],
        baseline=live.baseline,
        waveform=waveform,
        sample_rate=synthesizer.sample_rate,
        target=live.target.record,
        probabilities=live.probabilities,
        score=float(live.ends[0]),
        baseline_score=float(live.ends[1:].mean()),
        selection=asdict(job.selection),
        completeness_error=error,
        converged=converged,
        warnings=(),
        frequencies=None if frequencies is None else tuple(frequencies),
        bands=bands_of(attribution.values * speaking[groups.numbers], synthesizer),
        groups=listed(groups, attribution.values, live.clip.duration),
        numbers=None if ours else groups.numbers,
        extras=attribution.extras,
        provenance={
            **job.provenance,
            "audio": {"sha256": hashlib.sha256(samples).hexdigest(), **audio.source},
            "max_batch": live.batch,
            "memory": job.memory.budget,
            "reconstruction": asdict(live.reconstruction),
        },
        _live=live,
    )


def _clip_seed(seed: int, audio: Audio) -> int:
    """A seed that depends on the clip's samples and not on its place among others."""
    digest = hashlib.sha256(f"{seed}\n".encode())
    digest.update(audio.waveform.numpy().tobytes())
    return int.from_bytes(digest.digest()[:4], "big")
