"""What is written of a run: audits, explanations, data sets, pages, prototypes."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xplain.cli.batch import LISTED, machines
from xplain.progress import say
from xplain_corpus.cli.options import ModelAgain, Run, Where, one_of

if TYPE_CHECKING:
    from xplain.cli.batch import Batch
    from xplain_corpus.corpus import Corpus


def audit(
    folder: Run,
    by: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="A column of the manifest; may be repeated"),
    ] = None,
    model: ModelAgain = None,
    clips: Annotated[int, typer.Option(help="Recordings that are read")] = 400,
    seed: Annotated[int, typer.Option(help="The random seed")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the report  [default: RUN-audit]")
    ] = None,
) -> None:
    """Find shortcuts, and prove them on the model: what does it listen to?

    Example: xplain corpus audit out/corpus --by speaker
    """
    from xplain_corpus.audit import audit as listen
    from xplain_corpus.audit import report
    from xplain_corpus.corpus import Corpus

    place = out or _beside(folder, "audit")
    found = listen.audit(Corpus(folder), by=by or (), model=model, clips=clips, seed=seed)
    page = report.write(found, place)
    for error in list(found.unread.values())[:LISTED]:
        say(f"error: {error}")
    for finding in found.findings:
        say(report.sentence(finding))
    say(f"{len(found.shortcuts)} shortcuts are proved; page: {page}, report: {place / 'audit.md'}")
    if found.unread:
        raise typer.Exit(1)


def open_(
    folder: Run,
    clip: Annotated[str, typer.Argument(help="The id of a clip")],
    model: ModelAgain = None,
    out: Annotated[Path, typer.Option(help="Folder for the page and the audio")] = Path("out"),
) -> None:
    """Write one clip's explanation as xplain explain does: a folder and a page.

    Example: xplain corpus open out/corpus a.wav
    """
    export(folder, [clip], model, None, "folders", out)


def export(
    folder: Run,
    clips: Annotated[list[str] | None, typer.Argument(help="Ids of clips  [default: all]")] = None,
    model: ModelAgain = None,
    where: Where = None,
    format_: Annotated[
        str,
        typer.Option(
            "--format",
            help="folders: as xplain explain writes them; webdataset: tar files; datasets: a data "
            "set of Hugging Face; rttm: of segments",
        ),
    ] = "folders",
    out: Annotated[Path, typer.Option(help="Where to write")] = Path("out"),
) -> None:
    """Write clips as folders with a page, for WebDataset or Hugging Face datasets, or as RTTM.

    Example: xplain corpus export out/corpus --where "probability > 0.5" --out out/some
    """
    from xplain.cli.batch import Batch, check_out
    from xplain.cli.explain import page_of
    from xplain_corpus import export as writing
    from xplain_corpus.corpus import Corpus

    known = ("folders", "webdataset", "datasets", "rttm")
    form = one_of("--format", format_, known)
    check_out(out)
    corpus = Corpus(folder)
    chosen = list(clips or ()) or corpus.chosen(where)
    batch = Batch(chosen, "clips")
    if form in ("webdataset", "datasets"):
        if form == "webdataset":
            writing.webdataset(corpus, chosen, out, batch.failures)
        else:
            writing.dataset(corpus, chosen, out, batch.failures)
        say(f"{len(chosen) - len(batch.failures):,} clips: {out}")
        batch.finish()
        return
    if form == "rttm":
        _export_rttm(corpus, batch, out)
        batch.finish()
        return
    pages = _export_folders(corpus, batch, model, out)
    written = not pages or page_of(out, list(pages.values()))
    batch.finish()
    if not written:
        raise typer.Exit(1)


def report(
    folder: Run,
    model: ModelAgain = None,
    where: Where = None,
    rows: Annotated[int, typer.Option(help="Clips in the table, at most")] = 2000,
    pages: Annotated[
        int, typer.Option(help="Clips with a page to listen to, drawn over labels and verdicts")
    ] = 12,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the pages  [default: RUN-report]")
    ] = None,
) -> None:
    """Write the page of a run: a table of its clips, of which some have pages to listen to.

    Any other clip's page is written by xplain corpus open.

    Example: xplain corpus report out/corpus --pages 20
    """
    from xplain.cli.batch import Batch, check_out
    from xplain_corpus import overview
    from xplain_corpus.corpus import Corpus

    place = out or _beside(folder, "report")
    check_out(place)
    corpus = Corpus(folder)
    ids = corpus.chosen(where)
    heard = overview.drawn_evenly(corpus, ids, min(pages, rows))
    others = [name for name in overview.drawn_evenly(corpus, ids, rows) if name not in heard]
    batch = Batch(heard, "clips")
    made = _export_folders(corpus, batch, model, place)
    shown = sorted([*heard, *others[: rows - len(heard)]])
    page = overview.write(corpus, shown, place, made, corpus.failures)
    if len(shown) < len(ids):
        say(f"the table shows {len(shown):,} of {len(ids):,} clips; choose with --where or --rows")
    say(f"page: {page}")
    batch.finish()


def prototypes(
    folder: Run,
    where: Where = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print them as JSON")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder for prototypes.json  [default: RUN-prototypes]")
    ] = None,
) -> None:
    """Average what speaks for each label over a run, and name the clips most like it.

    Example: xplain corpus prototypes out/corpus --where "verdict = 'faithful'"
    """
    import msgspec

    from xplain_corpus import prototypes as averaging
    from xplain_corpus.corpus import Corpus

    corpus = Corpus(folder)
    made = averaging.prototypes(corpus, corpus.chosen(where))
    if as_json:
        with machines() as output:
            for each in made:
                output.tell(msgspec.to_builtins(each))
        return
    for each in made:
        say(f"{each.label}: {averaging.peaks(each)}; most like it: {', '.join(each.typical)}")
    say(f"prototypes: {averaging.write(made, corpus, out or _beside(folder, 'prototypes'))}")


def _export_folders(corpus: Corpus, batch: Batch, model: str | None, out: Path) -> dict[str, Path]:
    """Write clips' explanations as folders with pages; the pages by the clips' ids."""
    from xplain.cli.batch import free
    from xplain.clips import guarded
    from xplain.progress import track
    from xplain.report.index import PAGE
    from xplain.report.page import write_page

    question, taken = corpus.header.question, {PAGE}
    pages: dict[str, Path] = {}

    def save(opened: tuple[str, Any]) -> None:
        name, result = opened
        place = out / free(result.name, taken, lambda name: not (out / name).exists())
        result.save(place, question.keep, question.remove)
        pages[name] = write_page(result, place / PAGE)

    def opened(name: str) -> tuple[str, Any]:
        return name, corpus.open(name, model)

    results = (guarded(name, partial(opened, name))[0] for name in batch.clips)
    batch.run(track(results, len(batch.clips), "opening clips"), save)
    return pages


def _export_rttm(corpus: Corpus, batch: Batch, out: Path) -> None:
    from xplain.cli.batch import free
    from xplain.clips import guarded
    from xplain.segmentation.formats import to_rttm
    from xplain.storage import write_text

    taken: set[str] = set()

    def save(found: tuple[str, Any]) -> None:
        stem = Path(found[0]).stem
        name = free(stem, taken, lambda name: True)
        write_text(out / f"{name}.rttm", to_rttm(found[1], stem))

    def found(name: str) -> tuple[str, Any]:
        return name, corpus.segments(name)

    results = (guarded(name, partial(found, name))[0] for name in batch.clips)
    batch.run(results, save)
    say(f"{batch.done:,} files: {out}")


def _beside(folder: str, what: str) -> Path:
    """Where something made of a run goes by default: beside it, or here where it is far away."""
    name = f"{folder.rstrip('/').rpartition('/')[2]}-{what}"
    return Path(name) if "://" in folder else Path(folder).resolve().with_name(name)
