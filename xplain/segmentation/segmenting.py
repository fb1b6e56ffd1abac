"""segment(): reads recordings in blocks, decides them in windows, gathers the result."""

from __future__ import annotations

import math
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias, TypedDict, TypeVar, cast, overload

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

import xplain
from xplain import audio as audio_io
from xplain.adapters import as_model, resolve
from xplain.borrowing import borrowed, own_hooks, usable_device
from xplain.clips import (
    AudioLike,
    Failure,
    RecordingsError,
    are_several,
    gathered,
    guarded,
    in_memory,
    named,
)
from xplain.errors import AudioError, PluginError, XplainError, nearest, shown
from xplain.interfaces import AdditiveSegmenter, Segmenter, Thresholds
from xplain.job import Settings
from xplain.segmentation.additive import Relevance
from xplain.segmentation.blackbox import BlackBox
from xplain.segmentation.decoder import Decoder
from xplain.segmentation.result import Segmentation
from xplain.segmentation.windows import Windows
from xplain.targets import label_index

Several = TypeVar("Several", bound=AudioLike)
Hook: TypeAlias = Callable[[str, float, float], object]


class SegmentSettings(TypedDict, total=False):
    """What can be set for segment() and segment_each()."""

    params: Mapping[str, object]
    """The segmenter's parameters, where it is given by its registered name."""
    thresholds: Mapping[str, Thresholds]
    """Per label, in place of the segmenter's own."""
    explain: bool
    """Whether segments say which frequencies speak for them; default False."""
    explaining: Settings
    """Settings of xplain.explain() for the excerpt of each segment (explainer, params, baseline,
    replacement, …), also where the segmenter could explain itself; with explain alone."""
    device: str | torch.device | None
    """Where to compute; default: where the segmenter is."""
    sample_rate: int | None
    """Hz, of audio given as a tensor; default: the segmenter's."""
    hook: Hook | None
    """Told the recording's name, the seconds of it that are decided, and how many it has."""


@overload
def segment(
    audio: AudioLike, segmenter: object, **settings: Unpack[SegmentSettings]
) -> Segmentation: ...
@overload
def segment(
    audio: list[Several] | tuple[Several, ...],
    segmenter: object,
    **settings: Unpack[SegmentSettings],
) -> list[Segmentation]: ...
def segment(
    audio: AudioLike | list[Several] | tuple[Several, ...],
    segmenter: object,
    **settings: Unpack[SegmentSettings],
) -> Segmentation | list[Segmentation]:
    """Say which label holds when in one recording, or in many.

    audio: a file, an Audio, samples (samples,), or a pair (samples, rate); or a list of these,
    of any lengths. Files are read in blocks: a recording of any length needs the memory of a
    few minutes.
    segmenter: a Segmenter, a registered one's name, a model that decides per frame, or a
    reference to one such as "zoo:radio".

    settings: see SegmentSettings. params, thresholds, explain (False), explaining, device,
    sample_rate, hook.

    Returns a Segmentation, or for a list a list of them. Raises a subclass of XplainError;
    for a list RecordingsError, after every recording that can be segmented was.
    """
    if not are_several(audio):
        (result,) = segment_each([cast(AudioLike, audio)], segmenter, **settings)
        if isinstance(result, Failure):
            raise result.error
        return result
    results = segment_each(audio, segmenter, **settings)
    return gathered(results, len(audio), "segmenting", RecordingsError)


def segment_each(
    clips: Sequence[AudioLike], segmenter: object, **settings: Unpack[SegmentSettings]
) -> Iterator[Segmentation | Failure]:
    """Segment recordings one after another, as segment() does; a Failure where one fails.

    What is wrong with the call as a whole (a name, a label, a window) is raised before the
    first recording.
    """
    return segment_by(clips, SegmentJob.prepare(segmenter, settings))


def segment_by(clips: Sequence[AudioLike], job: SegmentJob) -> Iterator[Segmentation | Failure]:
    """Segment recordings one after another by a job that is prepared."""
    for number, clip in enumerate(clips):
        name = named(clip, number)
        result, said = guarded(name, partial(_segment, clip, name, job))
        if isinstance(result, Segmentation):
            result = replace(result, warnings=(*said, *result.warnings))
        yield result


@dataclass(frozen=True)
class SegmentJob:
    """Settings made sure of: everything that is the same for all recordings of a call."""

    segmenter: Segmenter
    windows: Windows
    thresholds: Mapping[str, Thresholds]
    relevance: Relevance | None
    blackbox: BlackBox | None
    device: torch.device
    sample_rate: int
    hook: Hook | None
    provenance: Mapping[str, Any]

    @classmethod
    def prepare(cls, asked: object, settings: SegmentSettings) -> SegmentJob:
        """Resolve names and refuse what cannot work for any recording."""
        for name in settings:
            if name not in SegmentSettings.__annotations__:
                known = nearest(name, SegmentSettings.__annotations__)
                raise TypeError(f"segment() has no setting {name!r}; {known}")
        segmenter, record = resolve(asked, settings.get("params") or {})
        explain, how = settings.get("explain", False), settings.get("explaining") or {}
        if how and not explain:
            raise XplainError(f"{', '.join(how)} is for explain=True (--explain); add that")
        itself = isinstance(segmenter, AdditiveSegmenter) and not how
        thresholds = _thresholds(segmenter, settings.get("thresholds") or {})
        windows = Windows.of(
            segmenter.sample_rate,
            segmenter.frame_step,
            window=segmenter.window,
            context=segmenter.context,
            fade=segmenter.fade,
        )
        device = usable_device(settings.get("device"), _modules(segmenter))
        relevance = Relevance(cast(AdditiveSegmenter, segmenter)) if explain and itself else None
        blackbox = None
        if explain and not itself:
            model = as_model(segmenter, record["name"])
            heard = max(segmenter.context, segmenter.latency)
            blackbox = BlackBox(model, heard, device, how)
        return cls(
            segmenter=segmenter,
            windows=windows,
            thresholds=thresholds,
            relevance=relevance,
            blackbox=blackbox,
            device=device,
            sample_rate=settings.get("sample_rate") or segmenter.sample_rate,
            hook=settings.get("hook"),
            provenance={
                "xplain": xplain.__version__,
                "python": platform.python_version(),
                "torch": torch.__version__,
                "segmenter": record,
                "device": str(device),
                "explanation": by.record if (by := relevance or blackbox) else None,
            },
        )


def _segment(clip: AudioLike, name: str, job: SegmentJob) -> Segmentation:
    """Segment one recording."""
    segmenter, rate = job.segmenter, job.segmenter.sample_rate
    if isinstance(clip, str | Path):
        stream = audio_io.stream(clip, rate)
    else:
        stream = audio_io.as_stream(in_memory(clip, job.sample_rate, name), rate)
    # Resampling may round the length up.
    most = math.ceil(stream.duration / segmenter.frame_step) + 2
    decoder = Decoder(job.thresholds, segmenter.frame_step, most, segmenter, job.relevance)
    module = _modules(segmenter)
    with torch.inference_mode(False), borrowed(module, job.device), torch.no_grad():
        for values in job.windows.run(stream.blocks, partial(_listen, job)):
            decoder.feed(values)
            if job.hook is not None:
                job.hook(stream.name, decoder.frames * segmenter.frame_step, stream.duration)
    frames, segments = decoder.finish(stream.duration)
    if len(frames) == 0:
        raise AudioError(
            f"{stream.name}: shorter than a frame of {segmenter.frame_step:g} s; record more"
        )
    labels, decided = segmenter.decide(frames)
    if decided.shape != (len(frames), len(labels)) or not ((decided >= 0) & (decided <= 1)).all():
        name = job.provenance["segmenter"]["name"]
        raise PluginError(f"{name} decided {shown(decided)} for {len(labels)} labels, no shares")
    thresholds = {label: job.thresholds.get(label) or Thresholds() for label in labels}
    if decided is not frames:
        own = Decoder(thresholds, segmenter.frame_step, len(frames))
        own.feed(decided.logit(1e-9))
        _, segments = own.finish(stream.duration)
    segmentation = Segmentation(
        name=stream.name,
        frames=decided,
        labels=labels,
        frame_step=segmenter.frame_step,
        duration=stream.duration,
        thresholds=thresholds,
        segments=segments,
        provenance={**job.provenance, "audio": dict(stream.source)},
    )
    return (
        segmentation if job.blackbox is None else job.blackbox.explained(stream.part, segmentation)
    )


def _listen(job: SegmentJob, waveform: Tensor) -> Tensor:
    """What is added up over windows: an additive segmenter's parts, else logits (frames, C)."""
    segmenter, name = job.segmenter, job.provenance["segmenter"]["name"]
    batch = waveform.to(job.device)[None]
    try:
        with own_hooks():
            if isinstance(segmenter, AdditiveSegmenter):
                width = segmenter.weights.shape[1]
                expected = f"parts (1, {width}, frames)"
                values = segmenter.parts(batch).transpose(1, 2)
            else:
                width = len(segmenter.labels)
                expected = f"logits (1, frames, {width})"
                values = segmenter.logits(batch)
    except XplainError:
        raise
    except Exception as error:
        raise PluginError(
            f"segmenter {name!r} failed on a window of {len(waveform)} samples: "
            f"{type(error).__name__}: {error}"
        ) from error
    if not isinstance(values, Tensor) or values.ndim != 3 or values.shape[::2] != (1, width):
        raise PluginError(
            f"segmenter {name!r} gave {shown(values)}, not {expected}; report it to its authors"
        )
    return values[0].float().cpu()


def _modules(segmenter: Segmenter) -> nn.Module:
    """What of a segmenter has weights."""
    return segmenter if isinstance(segmenter, nn.Module) else nn.Module()


def _thresholds(segmenter: Segmenter, asked: Mapping[str, Thresholds]) -> dict[str, Thresholds]:
    """Thresholds of every label: those asked for, else the segmenter's, else the default."""
    for label in (*asked, *segmenter.thresholds):
        label_index(label, segmenter.labels)
    known = {**segmenter.thresholds, **asked}
    return {label: known.get(label) or Thresholds() for label in segmenter.labels}
