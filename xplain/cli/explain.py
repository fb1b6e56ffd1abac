"""``xplain explain``: recordings in, folders and a page out."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from xplain.cli.batch import AsJson, Batch, Quiet, check_out, free, machines, recordings
from xplain.cli.parameters import Pairs, parameter_of, parameters
from xplain.errors import ArtifactError, XplainError
from xplain.progress import say

if TYPE_CHECKING:
    from xplain.explanation import Explanation
    from xplain.interfaces import Table

KEEP, REMOVE = (0.05, 0.1, 0.2, 0.3, 0.5, 1.0), (0.05, 0.1, 0.2, 0.3, 0.5)
"""What a page can play where nothing else is asked; all kept is the representation alone."""
FEW, USUAL = 8, 0.1
"""Clips of a call up to which each is told of in full; the ratio told of where many are saved."""
MOST_GROUPS = 5
"""Named groups that a clip is told of with."""

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def explain(
    audio: Annotated[
        list[str],
        typer.Argument(help="Recordings (WAV, FLAC, Ogg, MP3, …), folders, CSV files of paths"),
    ],
    model: Annotated[
        str | None,
        typer.Option(
            help="The model: SCHEME:NAME of a plugin, or FILE.py:FACTORY  [default: none: says "
            "which there are]"
        ),
    ] = None,
    synthesizer: Annotated[
        str | None,
        typer.Option(
            help="The representation to attribute in  [default: what the model reads, or stft]"
        ),
    ] = None,
    synthesizer_param: Annotated[Pairs, parameter_of("the synthesizer")] = None,
    explainer: Annotated[str, typer.Option(help="The attribution method")] = "integrated-gradients",
    param: Annotated[Pairs, parameter_of("the method")] = None,
    target: Annotated[
        str | None,
        typer.Option(
            metavar="LABEL[@START-END]",
            help="The label to explain, and the seconds  [default: the model's prediction]",
        ),
    ] = None,
    similar_to: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE",
            help="Explain how similar the clip is to this recording, for a model that gives "
            "embeddings; may be repeated  [default: none]",
        ),
    ] = None,
    versus: Annotated[
        str | None,
        typer.Option(metavar="LABEL", help="A label whose logit is subtracted  [default: none]"),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(help="What the method compares with; auto: the replacement"),
    ] = "auto",
    baseline_param: Annotated[Pairs, parameter_of("the baseline")] = None,
    replacement: Annotated[
        str,
        typer.Option(help="What replaces removed elements; auto: silence, or noise where needed"),
    ] = "auto",
    replacement_param: Annotated[Pairs, parameter_of("the replacement")] = None,
    grouping: Annotated[
        str,
        typer.Option(help="What belongs together: element, channel, frame, block, block:CxF, …"),
    ] = "element",
    grouping_param: Annotated[Pairs, parameter_of("the grouping")] = None,
    order: Annotated[
        str, typer.Option(help="Rank by signed or by absolute value: signed, absolute")
    ] = "signed",
    keep: Annotated[
        list[float] | None,
        typer.Option(
            metavar="R", help="Keep only the top share R; may be repeated  [default: 0.05 to 1]"
        ),
    ] = None,
    remove: Annotated[
        list[float] | None,
        typer.Option(
            metavar="R", help="Remove the top share R; may be repeated  [default: 0.05 to 0.5]"
        ),
    ] = None,
    judge: Annotated[
        str | None,
        typer.Option(
            help="A second model of the same task, which is asked whether it follows "
            "[default: none]"
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="The random seed")] = 0,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda, …  [default: the model's device]")
    ] = None,
    max_batch: Annotated[
        int | None,
        typer.Option(help="Variants per batch  [default: as many as the memory holds]"),
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE", help="Memory for a batch, such as 4GB  [default: half of what is free]"
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the page and the audio")] = Path("out"),
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Replace other explanations of the same name  [default: NAME-2, NAME-3, …]",
        ),
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Explain a model's predictions for recordings.

    \b
    Examples:
      xplain explain a.wav --model zoo:digits
      xplain explain a.wav --model zoo:digits --target seven --versus one
      xplain explain recordings/ --model hf:OWNER/NAME --out out/all
      xplain explain list.csv --model mine.py:make --explainer occlusion --quiet
    """
    if model is None:
        raise typer.BadParameter(_models(), param_hint="--model")
    settings = settings_of(locals())
    from xplain.explaining import explain_each
    from xplain.models import load_model
    from xplain.progress import track
    from xplain.report.index import PAGE
    from xplain.report.page import write_page
    from xplain.selection import checked_ratio
    from xplain.verdict import WORDS

    keep, remove, clips = keep or [*KEEP], remove or [*REMOVE], recordings(audio)
    for ratio in (*keep, *remove):
        checked_ratio(ratio)
    check_out(out)
    second = None if judge is None else load_model(judge)
    pages: list[Path] = []
    told: list[tuple[str, str]] = []
    taken = {PAGE}
    batch = Batch(clips, "clips")
    with machines() as output:
        results = explain_each(clips, model, **settings)

        def finish(result: Explanation) -> None:
            if second is not None:
                result = result.judged(second, keep, remove)
            name = free(result.name, taken, lambda n: _usable(out / n, result, overwrite))
            with contextlib.suppress(XplainError):  # saved all the same, with the reason
                result.check()
            kind = None if result.verdict is None else result.verdict.kind
            told.append((result.target.label, "not checked" if kind is None else WORDS[kind]))
            result.save(out / name, keep=keep, remove=remove, overwrite=overwrite)
            pages.append(write_page(result, out / name / PAGE))
            if as_json:
                output.tell(to_json(result, out / name, keep, remove))
            said = lines(result, out / name)
            say(*(said if len(clips) <= FEW else [f"{said[0]}, {said[-1].strip()}"]))

        try:
            batch.run(track(results, len(clips), "explaining"), finish)
        finally:
            written = not pages or page_of(out, pages)
        if len(clips) > FEW:
            say(*summary(told))
        batch.finish()
    if not written:
        raise typer.Exit(1)


def settings_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """Read the settings of xplain.explain() from the options of the same names."""
    from xplain.job import Settings
    from xplain.targets import SimilarTo

    settings = {name: given.get(name) for name in Settings.__annotations__}
    for name in [name for name in settings if name.endswith("params")]:
        option = name.removesuffix("s")
        settings[name] = parameters(f"--{option.replace('_', '-')}", given[option])
    if given["similar_to"]:
        if given["target"] is not None:
            raise typer.BadParameter("give --target or --similar-to, not both")
        settings["target"] = SimilarTo(given["similar_to"])
    return {name: value for name, value in settings.items() if value not in (None, {})}


def summary(told: Sequence[tuple[str, str]]) -> list[str]:
    """A table of (label, verdict) of many clips: how many of each label had which verdict."""
    counts, kinds = Counter(told), list(dict.fromkeys(kind for _, kind in told))
    labels = Counter(label for label, _ in told)
    rows = [["", "clips", *kinds]]
    for label, clips in labels.most_common():
        rows.append([label, str(clips), *(str(counts[label, kind]) for kind in kinds)])
    widths = [max(map(len, column)) + 2 for column in zip(*rows, strict=True)]
    return ["".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def _models() -> str:
    """Which models there are to choose from."""
    from xplain.registry import list_plugins

    known = [f"{p.name}:… ({p.summary})" for p in list_plugins() if p.kind == "model"]
    return f"say which model to explain: {'; '.join([*known, 'or FILE.py:FACTORY, your own'])}"


def page_place(out: Path) -> Path:
    """Where the page of a folder goes: index.html, unless that is somebody else's."""
    from xplain.report.html import is_page
    from xplain.report.index import PAGE

    page, number = out / PAGE, 2
    while page.is_file() and not is_page(page, "explanations"):
        page, number = page.with_name(f"index-{number}.html"), number + 1
    return page


def page_of(out: Path, pages: Sequence[Path]) -> bool:
    """Write the table of all explanations in a folder; False, which is said, where that fails.

    pages: of this call's explanations; a single one is named instead of the table.
    """
    from xplain.report.index import found, write_index

    try:
        table = page_place(out)
        write_index(found(out), table)
    except XplainError as error:
        say(f"error: the explanations are saved, but not their table: {error}")
        return False
    say(f"page: {pages[0] if len(pages) == 1 else table}")
    return True


def to_json(
    explanation: Explanation, folder: Path, keep: Sequence[float], remove: Sequence[float]
) -> dict[str, Any]:
    """What ``--json`` prints of a clip."""
    data = explanation.to_dict(keep, remove)
    provenance, target = data["provenance"], data["target"]
    by = provenance.get("judge")
    for result in data["results"]:
        del result["probabilities"]
        result |= {"file": str(folder / result["file"]), "reencoded": _shown(result["reencoded"])}
        for name in ("probability", "value"):
            if result[name] is None:
                del result[name]
    shown = ("bands", "groups", "selection", "results", "completeness_error", "converged")
    return {
        "audio": provenance["audio"],
        "model": provenance["model"]["name"],
        "target": _shown({name: value for name, value in target.items() if name != "frames"}),
        **{name: provenance[name] for name in ("explainer", "synthesizer", "route")},
        **{name: data[name] for name in (*shown, "verdict", "warnings")},
        **({"judge": {**by, "results": data["extras"]["judge"]}} if by else {}),
        "files": {
            "folder": str(folder),
            "explanation": str(folder / "explanation.json"),
            "original": str(folder / "original.wav"),
            "page": str(folder / "index.html"),
        },
    }


def _shown(record: dict[str, Any]) -> dict[str, Any]:
    """What is known of a record."""
    return {name: value for name, value in record.items() if value not in (None, [], ())}


def lines(explanation: Explanation, folder: Path) -> list[str]:
    """What people read of a clip."""
    from xplain.targets import stated

    target, said = explanation.target, explanation.probabilities
    decision = max(said, key=lambda label: said[label]) if said else target.label
    answer = f"{said[decision]:.1%}" if said else target.said
    lines = [f"{folder.name}: {decision} ({answer})"]
    if target.label != decision or target.versus:
        versus = f" rather than {target.versus}" if target.versus else ""
        lines.append(f"  explained: {target.label} ({target.said}){versus}")
    if explanation.bands:
        lines.append(f"  frequencies: {', '.join(map(str, explanation.bands))}")
    if explanation.groups:
        named = sorted(explanation.groups, key=lambda group: -group.evidence)[:MOST_GROUPS]
        parts = (f"{g.name} {g.evidence:+.3g} ({g.start:.2f}–{g.end:.2f} s)" for g in named)
        lines.append(f"  groups: {', '.join(parts)}")
    saved = explanation.saved
    for outcome in saved if len(saved) < FEW else [o for o in saved if o.ratio == USUAL]:
        part = (
            f"{'only' if outcome.kind == 'keep' else 'without'} the top {100 * outcome.ratio:.3g}%"
        )
        reencoded = outcome.reencoded
        answer = stated(reencoded.probability, reencoded.value, target.unit)
        lines.append(
            f"  {part}: {reencoded.label} ({target.label} {answer})  {folder / outcome.filename}"
        )
    nothing = explanation.provenance["replacement"]
    if "chosen" in nothing:
        lines.append(f"  compared with {nothing['name']}: {nothing['chosen']}")
    if (judge := explanation.provenance.get("judge")) is not None:
        all_kept, *rows = cast("Table", explanation.extras["judge"])
        followed = [row["follows"] for row in rows if row["ratio"] != 1]
        follows = f"follows {sum(map(bool, followed))} of {len(followed)} times (kept, removed)"
        heard = follows if all_kept["follows"] else f"hears {all_kept['label']}, so it cannot tell"
        lines.append(f"  judge {judge['name']}: {heard}")
    verdict = explanation.verdict
    if verdict is None:
        return [*lines, *(f"  {warning}" for warning in explanation.warnings[-1:])]
    return [*lines, f"  check: {verdict} ({verdict.evaluations} evaluations)"]


def _usable(folder: Path, explanation: Explanation, overwrite: bool) -> bool:
    """Whether a folder is free, or holds the same explanation, or may be overwritten."""
    from xplain.explanation_folder import check_place

    try:
        check_place(folder, explanation.identity, overwrite)
    except ArtifactError:
        return False
    return True
