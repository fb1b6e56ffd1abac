"""The ``xplain`` command: finds its commands at entry points, ours and others' alike."""

from __future__ import annotations

import codecs
import os
import signal
import sys
import warnings
from threading import Timer
from traceback import walk_stack
from types import FrameType
from typing import Annotated, Any

import typer

from xplain import __version__
from xplain.cli.batch import give_up
from xplain.cli.commands import Commands
from xplain.errors import XplainError, XplainWarning
from xplain.progress import say
from xplain.storage import FULL

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
    interrupts = _count_interrupts()
    status: Any = 0
    try:
        app()
    except SystemExit as end:
        status = end.code
        if isinstance(getattr(end.__context__, "__cause__", None), KeyboardInterrupt):
            say("interrupted; what is finished is kept, run the command again to go on")
    except XplainError as error:
        say(f"error: {error}")
        status = 1 if getattr(error.__cause__, "errno", None) in FULL else 2
    except OSError as error:
        status = 1
        if error.filename is None:
            give_up(sys.stdout, error)
        else:
            say(f"error: {error}")
    try:
        sys.stdout.flush()
    except (OSError, ValueError) as error:
        status = status or 1
        give_up(sys.stdout, error)
    if interrupts and status == 0:
        say("interrupted too late: everything is done")
    if interrupts:  # libraries that were interrupted midway do not survive a tidy end
        sys.stderr.flush()
        os._exit(130)
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


def _count_interrupts() -> list[int]:
    """Count Ctrl-C, as libraries lose it: libsndfile would also take it for the end of a file."""
    interrupts: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        interrupts.append(number)
        if any(f.f_code.co_name.startswith("vio_") for f, _ in walk_stack(frame)):
            Timer(0.01, os.kill, (os.getpid(), number)).start()
        else:
            signal.default_int_handler(number, frame)

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupt)
    return interrupts


def _plainly(error: UnicodeError) -> tuple[str | bytes, int]:
    """Write what an encoding lacks as ASCII, where there is something like it, else escaped."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end].translate(PLAIN)
    return lacking.encode("ascii", "backslashreplace").decode("ascii"), error.end


def _show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    if issubclass(category, XplainWarning):
        say(f"warning: {message}")
