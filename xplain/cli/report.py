"""``xplain report``: the page, made again from folders on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xplain.progress import say

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="A folder of explanations, or one of them")],
) -> None:
    """Write the page of saved explanations again.

    Needs neither their models nor their plugins.
    """
    from xplain.errors import ArtifactError
    from xplain.explanation import Explanation
    from xplain.report.page import write_page

    found = sorted(path.parent for path in folder.glob("[!.]*/explanation.json"))
    if (folder / "explanation.json").is_file():
        found = [folder]
    if not found:
        raise ArtifactError(f"{folder} holds no explanations; give the --out of xplain explain")
    explanations = [Explanation.load(each) for each in found]
    page = write_page(explanations, folder / "index.html", found)
    say(f"page: {page}")
