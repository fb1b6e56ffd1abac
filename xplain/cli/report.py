"""``xplain report``: the page, made again from folders on disk."""

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
    """Write the page of saved explanations again.

    Needs neither their models nor their plugins. One that is damaged is named, and the page is
    written for the others.
    """
    from xplain.errors import ArtifactError
    from xplain.explanation import Explanation
    from xplain.report.page import write_page

    found = sorted(path.parent for path in folder.glob("[!.]*/explanation.json"))
    if (folder / "explanation.json").is_file():
        found = [folder]
    if not found:
        raise ArtifactError(f"{folder} holds no explanations; give the --out of xplain explain")
    read: dict[Path, Explanation] = {}
    for each in found:
        try:
            read[each] = Explanation.load(each)
        except ArtifactError as error:
            say(f"error: {error}")
    if read:
        page = write_page(list(read.values()), page_place(folder), list(read))
        say(f"page: {page}")
    if len(read) < len(found):
        say(f"{len(found) - len(read)} of {len(found)} explanations are damaged")
        raise typer.Exit(1)
