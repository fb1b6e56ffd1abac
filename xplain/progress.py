"""What people read on standard error: lines, and progress of long work."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import IO, TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, ProgressColumn

T = TypeVar("T")


@cache
def _console() -> Console:
    from rich.console import Console

    return Console(file=cast("IO[str]", _Stderr()))


class _Stderr:
    """Standard error as it is now; where it is full or closed, work goes on in silence."""

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stderr, name)

    def write(self, text: str) -> int:
        """Write what can be written."""
        with suppress(OSError, ValueError):
            return sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush what can be flushed."""
        with suppress(OSError, ValueError):
            sys.stderr.flush()


def visible(text: str) -> str:
    """A text with its control characters shown as escapes, so that no terminal obeys them.

    What is escaped does not print: line breaks, ANSI sequences, marks of writing direction,
    zero-width characters, bytes of a file name that are no text.
    """
    if text.isprintable():
        return text
    shown = (c.isprintable() or unicodedata.category(c) == "Zs" for c in text)
    escaped = (c.encode("unicode_escape", "surrogatepass").decode("ascii") for c in text)
    return "".join(c if clear else e for c, clear, e in zip(text, shown, escaped, strict=True))


_quiet = False
LOUD = ("error", "warning", "interrupted")
"""What lines begin with that are said even to those who asked for quiet."""


def hush(quiet: bool) -> bool:
    """Say nothing but errors and warnings from now on, or everything again."""
    global _quiet
    _quiet = quiet
    return quiet


def say(*lines: str) -> None:
    """Tell people lines, above the bar where there is one; standard output is for machines."""
    for line in lines:
        if _quiet and not line.startswith(LOUD):
            continue
        if _console.cache_info().currsize:
            _console().print(visible(line), markup=False, highlight=False, soft_wrap=True)
        else:  # no bar yet, and rich takes a moment to import
            print(visible(line), file=cast("IO[str]", _Stderr()), flush=True)


def _bar(count: ProgressColumn, **settings: bool) -> Progress:
    from rich.progress import BarColumn, Progress, TimeRemainingColumn

    settings |= {"redirect_stdout": False, "redirect_stderr": False}  # they are the caller's
    columns = ("{task.description}", BarColumn(), count, TimeRemainingColumn())
    return Progress(*columns, console=_console(), **settings)  # type: ignore[arg-type]


def track(work: Iterable[T], total: int, description: str) -> Iterator[T]:
    """Show a bar while work is done; nothing for a single piece of it."""
    if _quiet or total < 2:
        yield from work
        return
    from rich.progress import MofNCompleteColumn

    with _bar(MofNCompleteColumn()) as bar:
        yield from bar.track(work, total=total, description=description)


@contextmanager
def following() -> Iterator[Callable[[str, float, float], None]]:
    """Show how far into a recording work is: tell it the name, the seconds done and in all."""
    from rich.progress import TextColumn

    seconds = TextColumn("{task.completed:.0f}/{task.total:.0f} s")
    with _bar(seconds, transient=True, disable=_quiet) as bar:
        task = bar.add_task("", visible=False)

        def follow(name: str, done: float, total: float) -> None:
            # A name may hold what rich would take for markup.
            shown = visible(name).replace("[", r"\[")
            bar.update(task, description=shown, completed=done, total=total, visible=True)

        yield follow
