"""The ``xplain`` command: finds its commands at entry points, ours and others' alike."""

from __future__ import annotations

import codecs
import os
import sys
import warnings
from typing import Annotated, Any

import typer

from xplain import __version__
from xplain.cli.commands import Commands
from xplain.errors import XplainError, XplainWarning
from xplain.progress import say

PLAIN = str.maketrans(
    {"–": "-", "—": "-", "−": "-", "…": "...", "×": "x", "→": "->", "\N{NO-BREAK SPACE}": " "}
    | {"“": '"', "”": '"', "‘": "'", "’": "'"}
)
"""Signs of our messages as ASCII."""

app = typer.Typer(
    cls=Commands, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False
)


def _version(asked: bool) -> None:
    if asked:
        print(f"xplain {__version__}")
        raise typer.Exit


@app.callback()
def xplain(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version"),
    ] = False,
) -> None:
    """Explain audio models: listen to, view and verify an explanation."""


def main() -> None:
    """Run the command line.

    Status 0: done. 1: something failed, the rest is done. 2: the call as a whole is wrong.
    130: interrupted.
    """
    _open_streams()
    warnings.showwarning = _show_warning
    status: int | str | None = 0
    try:
        app()
    except SystemExit as end:
        status = end.code
    except XplainError as error:
        say(f"error: {error}")
        status = 2
    except OSError as error:
        say(f"error: {error}")
        status = 1
    try:
        sys.stdout.flush()
    except (OSError, ValueError) as error:
        say(f"error: standard output cannot be written ({error})")
        status = status or 1
        # What is still held back would fail again when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(status)


def _open_streams() -> None:
    """Make every text writable in whatever encoding, and closed streams fail when written."""
    codecs.register_error("xplain", _plainly)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            # Else the next file that is opened takes its number, and receives what is printed.
            handle = os.open(os.devnull, os.O_RDONLY)
            stream = open(handle, "r" if number == 0 else "w", encoding="utf-8")  # noqa: SIM115
            setattr(sys, name, stream)
        elif number and hasattr(getattr(sys, name), "reconfigure"):
            getattr(sys, name).reconfigure(errors="xplain")


def _plainly(error: UnicodeError) -> tuple[str | bytes, int]:
    """Write what an encoding lacks as ASCII, where there is something like it, else escaped."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end].translate(PLAIN)
    return lacking.encode("ascii", "backslashreplace").decode("ascii"), error.end


def _show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    if issubclass(category, XplainWarning):
        say(f"warning: {message}")
