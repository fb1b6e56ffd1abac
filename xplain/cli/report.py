"""``xplain report``: the pages, made again from folders on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xplain.cli.explain import page_place
from xplain.progress import say

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="A folder of explanations, or the folder of one")],
) -> None:
    """Write the pages of saved explanations again, and a table of them.

    Needs neither their models nor their plugins. One that is damaged is named, and the others
    are shown.

    \b
    Example:
      xplain report out
    """
    from xplain.errors import ArtifactError
    from xplain.explanation import Explanation
    from xplain.progress import track
    from xplain.report.index import PAGE, found, write_index
    from xplain.report.page import write_page

    folders = found(folder)
    if not folders:
        raise ArtifactError(f"{folder} holds no explanations; give the --out of xplain explain")
    damaged: dict[Path, str] = {}
    page = folder / PAGE
    for each in track(folders, len(folders), "writing pages"):
        try:
            write_page(Explanation.load(each), each / PAGE)
        except ArtifactError as error:
            damaged[each] = str(error)
            say(f"error: {error}")
    if folders != [folder]:
        page = page_place(folder)
        write_index(folders, page, damaged)
    if len(damaged) < len(folders):
        say(f"page: {page}")
    if damaged:
        say(f"{len(damaged)} of {len(folders)} explanations are damaged")
        raise typer.Exit(1)
