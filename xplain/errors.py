"""What can go wrong, by whose part it is.

A message says what is wrong, where, and what to do; it is one line, so that a
command line can print it as it is.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

LONGEST = 300
"""Characters that are shown of a word, or of an error of somebody else's code."""

MOST = 1500
"""Characters that are shown of a whole message."""


class XplainError(Exception):
    """Root of every error that xplain raises on purpose.

    What it quotes may be of any length, since files hold it; the message is cut where it is read.
    """

    def __str__(self) -> str:
        """Give the message; of words without end the beginning, and of a list without end both."""
        text = super().__str__()
        if len(text) <= LONGEST:
            return text
        text = re.sub(rf"(\S{{{LONGEST}}})\S+", r"\1…", text)
        return text if len(text) <= MOST else f"{text[: MOST - LONGEST]}… {text[-LONGEST:]}"


class AudioError(XplainError):
    """A recording cannot be read, or holds nothing that can be explained."""


class PluginError(XplainError):
    """A plugin, one of its names or one of its parameters is wrong."""


class TargetError(XplainError):
    """The label, pair of labels or time span asked for does not exist."""


class ModelError(XplainError):
    """A model cannot be loaded, or does not give what it says it gives."""


class ArtifactError(XplainError):
    """A saved explanation cannot be written, read or played."""


class XplainWarning(UserWarning):
    """The result stands, but something about it has to be known."""


def nearest(name: str, names: Iterable[str]) -> str:
    """Say which of ``names`` was probably meant, and list what there is.

    Returns a clause that ends a message: ``did you mean 'seven'? (available: …)``.
    """
    known = sorted(set(names))
    if not known:
        return "none is available"
    close = difflib.get_close_matches(name, known, n=2, cutoff=0.5)
    shown = ", ".join(known[:20]) + (f", … {len(known) - 20} more" if len(known) > 20 else "")
    if not close:
        return f"available: {shown}"
    return f"did you mean {' or '.join(repr(c) for c in close)}? (available: {shown})"


def shown(value: object) -> str:
    """What somebody else's code gave: the shape of a tensor, else the type of anything."""
    shape = getattr(value, "shape", None)
    return type(value).__name__ if shape is None else str(tuple(shape))


def cut(text: str) -> str:
    """A text that is quoted, or its beginning."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def one_line(error: BaseException) -> str:
    """What an error of somebody else's code says: its kind and its text, on one line."""
    short = cut(" ".join(str(error).split()))
    return f"{type(error).__name__}: {short}" if short else type(error).__name__
