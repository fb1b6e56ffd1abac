"""Progress of long work, on standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.console import Console

T = TypeVar("T")


@cache
def _console() -> Console:
    from rich.console import Console

    return Console(stderr=True)


def say(text: str) -> None:
    """Tell people, above the bar where there is one; standard output is kept for machines."""
    _console().print(text, markup=False, highlight=False, soft_wrap=True)


def track(work: Iterable[T], total: int, description: str) -> Iterator[T]:
    """Show a bar while work is done; nothing for a single piece of it."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    # Standard output belongs to the caller: what is printed there must not be redirected.
    with Progress(
        "{task.description}",
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=_console(),
        redirect_stdout=False,
        redirect_stderr=False,
        disable=total < 2,
    ) as bar:
        yield from bar.track(work, total=total, description=description)


@contextmanager
def following() -> Iterator[Callable[[str, float, float], None]]:
    """Show how far into a recording work is: tell it the name, the seconds done and in all."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    with Progress(
        "{task.description}",
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f} s"),
        TimeRemainingColumn(),
        console=_console(),
        redirect_stdout=False,
        redirect_stderr=False,
        transient=True,
    ) as bar:
        task = bar.add_task("", visible=False)

        def follow(name: str, done: float, total: float) -> None:
            # A name may hold what rich would take for markup.
            shown = name.replace("[", r"\[")
            bar.update(task, description=shown, completed=done, total=total, visible=True)

        yield follow
