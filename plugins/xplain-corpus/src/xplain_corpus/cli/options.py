"""What the commands over a corpus take alike."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from xplain.errors import XplainError

Run = Annotated[str, typer.Argument(metavar="RUN", help="The folder, or URL, that --out named")]
ModelAgain = Annotated[
    str | None,
    typer.Option("--model", help="The model, where the run's is FILE.py:FACTORY"),
]
Where = Annotated[
    str | None,
    typer.Option(metavar="SQL", help="Which clips, such as \"verdict = 'faithful'\""),
]


def one_of(option: str, value: str, known: tuple[str, ...]) -> Any:
    """A value of an option, where it is one of those that are known; else XplainError."""
    if value not in known:
        raise XplainError(f"{option} is {' or '.join(known)}, not {value!r}")
    return value
