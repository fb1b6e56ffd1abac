"""Clips as callers give them, and what becomes of one that fails."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeAlias, TypeGuard, TypeVar

import numpy as np
import numpy.typing as npt
from torch import Tensor

from xplain.audio import Audio, check, from_tensor, read
from xplain.borrowing import one_at_a_time
from xplain.errors import AudioError, XplainError, XplainWarning, one_line
from xplain.progress import track

Samples: TypeAlias = Tensor | npt.NDArray[np.floating[Any]]
AudioLike: TypeAlias = str | Path | Audio | Samples | tuple[Samples, int | float]
T = TypeVar("T")


@dataclass(frozen=True)
class Failure:
    """A clip that could not be done, and why."""

    name: str
    error: XplainError


class SomeFailed(XplainError, Generic[T]):
    """Some clips of a call failed; the others are done.

    done: results of the clips that are done. failures: the others, with their names.
    """

    what = "clips"

    def __init__(self, done: Sequence[T], failures: Sequence[Failure]) -> None:
        """Gather what is done and what failed."""
        self.done, self.failures = list(done), list(failures)
        total = len(self.done) + len(self.failures)
        reasons = "; ".join(str(f.error) for f in self.failures)
        super().__init__(
            f"{len(self.failures)} of {total} {self.what} failed (the others are in .done): "
            f"{reasons}"
        )


class ClipsError(SomeFailed[T]):
    """Some clips could not be explained; done: the explanations of the others."""


class RecordingsError(SomeFailed[T]):
    """Some recordings could not be segmented; done: the segmentations of the others."""

    what = "recordings"


def gathered(
    results: Iterable[T | Failure], total: int, description: str, error: type[SomeFailed[T]]
) -> list[T]:
    """Show a bar while clips are done; raises ``error`` after the last one where some failed."""
    found = list(track(results, total, description))
    done = [each for each in found if not isinstance(each, Failure)]
    if failures := [each for each in found if isinstance(each, Failure)]:
        raise error(done, failures)
    return done


def are_several(audio: object) -> TypeGuard[Sequence[Any]]:
    """Tell a list of clips from one clip; a pair (samples, rate) is one."""
    return isinstance(audio, list | tuple) and not _is_pair(audio)


def opened(clip: object, rate: int, name: str) -> Audio:
    """Read a clip that is a file, or take one that is in memory."""
    return read(clip) if isinstance(clip, str | Path) else in_memory(clip, rate, name)


def in_memory(clip: object, rate: int, name: str) -> Audio:
    """Take a clip that is no file: an Audio, samples at ``rate`` Hz, or a pair (samples, rate).

    Raises AudioError for what is none of these.
    """
    if isinstance(clip, Audio):
        return check(clip)
    if _is_pair(clip):
        samples, own = clip
        if np.ndim(samples) == 0:
            raise AudioError(
                f"{name}: a pair is (samples, rate), as librosa gives it, and this one begins "
                "with a number; give (samples, rate)"
            )
        return from_tensor(samples, own, name)
    return from_tensor(clip, rate, name)


def _is_pair(clip: object) -> TypeGuard[tuple[Any, Any]]:
    return (
        isinstance(clip, tuple)
        and len(clip) == 2
        and any(isinstance(part, np.ndarray | Tensor) for part in clip)
        and any(isinstance(part, int | float | np.generic) for part in clip)
    )


def named(clip: object, number: int) -> str:
    """What messages call a clip: its path, or its place among the clips of a call."""
    if isinstance(clip, Audio):
        return clip.name
    return str(clip) if isinstance(clip, str | Path) else f"clip-{number}"


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Begin what an XplainError says with the name of the clip, where it does not say it."""
    try:
        yield
    except XplainError as error:
        if name not in str(error):
            said = str(error).removeprefix(f"{Path(name).stem}: ")
            error.args = (f"{name}: {said}",)
        raise


def guarded(name: str, work: Callable[[], T]) -> tuple[T | Failure, list[str]]:
    """What work gives, or why it fails; and the warnings, which are passed on."""
    result: T | Failure
    # The filters of warnings belong to the whole process.
    with one_at_a_time(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", XplainWarning)
        try:
            with naming(name):
                result = work()
        except XplainError as error:
            result = Failure(name, error)
        except (Exception, SystemExit) as error:  # a model that ends Python has failed, too
            wrapped = XplainError(f"{name}: {one_line(error)}")
            wrapped.__cause__ = error
            result = Failure(name, wrapped)
    for warning in caught:
        warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    return result, [str(w.message) for w in caught if issubclass(w.category, XplainWarning)]
