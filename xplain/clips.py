"""Clips as callers give them, and what becomes of one that fails."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
from torch import Tensor

from xplain.audio import Audio
from xplain.errors import XplainError, XplainWarning

AudioLike: TypeAlias = str | Path | Audio | Tensor | npt.NDArray[np.floating[Any]]
T = TypeVar("T")


@dataclass(frozen=True)
class Failure:
    """A clip that could not be done, and why."""

    name: str
    error: XplainError


def named(clip: AudioLike, number: int) -> str:
    """What messages call a clip: its path, or its place among the clips of a call."""
    return str(clip) if isinstance(clip, str | Path) else f"clip-{number}"


def guarded(name: str, work: Callable[[], T]) -> tuple[T | Failure, list[str]]:
    """What work gives, or why it fails; and the warnings, which are passed on."""
    result: T | Failure
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", XplainWarning)
        try:
            result = work()
        except XplainError as error:
            result = Failure(name, error)
        except Exception as error:
            wrapped = XplainError(f"{name}: {type(error).__name__}: {error}")
            wrapped.__cause__ = error
            result = Failure(name, wrapped)
    for warning in caught:
        warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    return result, [str(w.message) for w in caught if issubclass(w.category, XplainWarning)]
