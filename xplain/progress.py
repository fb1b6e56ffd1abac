"""Progress of long work, on standard error."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def track(work: Iterable[T], total: int, description: str) -> Iterator[T]:
    """Show a bar while work is done; nothing for a single piece of it."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    # Standard output belongs to the caller: what is printed there must not be redirected.
    with Progress(
        "{task.description}",
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        redirect_stdout=False,
        disable=total < 2,
    ) as bar:
        yield from bar.track(work, total=total, description=description)
