"""``xplain explain``: recordings in, folders and a page out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xplain.cli.main import say
from xplain.errors import PluginError

if TYPE_CHECKING:
    from xplain.explanation import Explanation

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def explain(
    audio: Annotated[list[str], typer.Argument(help="Recordings: WAV, FLAC, Ogg, MP3, …")],
    model: Annotated[
        str, typer.Option(help="SCHEME:NAME of a plugin, or FILE.py:FACTORY")
    ] = "zoo:digits",
    synthesizer: Annotated[
        str | None,
        typer.Option(help="What to attribute in [default: what the model reads, or stft]"),
    ] = None,
    explainer: Annotated[str, typer.Option(help="The method")] = "integrated-gradients",
    param: Annotated[
        list[str] | None, typer.Option(metavar="K=V", help="A parameter of the method")
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(metavar="LABEL[@START-END]", help="[default: the model's own decision]"),
    ] = None,
    versus: Annotated[
        str | None, typer.Option(metavar="LABEL", help="A label to compare with")
    ] = None,
    baseline: Annotated[
        str | None, typer.Option(help="What the method compares with [default: the replacement]")
    ] = None,
    replacement: Annotated[
        str, typer.Option(help="What takes the place of removed elements")
    ] = "silence",
    granularity: Annotated[
        str, typer.Option(help="What is ranked: element, channel, frame, block")
    ] = "element",
    order: Annotated[str, typer.Option(help="By what: signed, absolute")] = "signed",
    keep: Annotated[
        list[float] | None, typer.Option(metavar="R", help="Keep this share only [default: 0.1]")
    ] = None,
    remove: Annotated[
        list[float] | None, typer.Option(metavar="R", help="Remove this share [default: 0.1]")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of everything drawn by chance")] = 0,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, … [default: the model's]")] = None,
    max_batch: Annotated[
        int | None, typer.Option(help="Variants the model sees at once [default: by length]")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the page and the audio")] = Path("out"),
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object per clip on standard output")
    ] = False,
) -> None:
    """Explain what a model decided about recordings."""
    settings: dict[str, Any] = {
        "synthesizer": synthesizer,
        "explainer": explainer,
        "params": dict(map(_parameter, param or [])),
        "target": target,
        "versus": versus,
        "baseline": baseline,
        "replacement": replacement,
        "granularity": granularity,
        "order": order,
        "seed": seed,
        "device": device,
        "max_batch": max_batch,
    }
    settings = {name: value for name, value in settings.items() if value is not None}
    failed = run(audio, model, settings, keep or (0.1,), remove or (0.1,), out, as_json)
    if failed:
        raise typer.Exit(1)


def run(
    clips: Sequence[str],
    model: str,
    settings: dict[str, Any],
    keep: Sequence[float],
    remove: Sequence[float],
    out: Path,
    as_json: bool = False,
) -> int:
    """Explain, save and report each clip, then write the page; the number that failed."""
    from xplain.errors import ArtifactError, XplainError
    from xplain.explanation import Explanation
    from xplain.pipeline import Failure, explain_each
    from xplain.progress import track
    from xplain.report.page import write_page

    for ratio in (*keep, *remove):
        if not 0 <= ratio <= 1:
            raise XplainError(f"a ratio lies between 0 and 1, not at {ratio:g}; try 0.1")
    if out.exists() and not out.is_dir():
        raise ArtifactError(f"{out} is a file; give a folder with --out")
    folders: list[Path] = []
    failures: list[Failure] = []
    results = explain_each(clips, model, **settings)
    for clip, result in zip(clips, track(results, len(clips), "explaining"), strict=True):
        if isinstance(result, Failure):
            failures.append(result)
            continue
        folder = _free(out, result.name, folders)
        try:
            result.save(folder, keep=keep, remove=remove)
        except XplainError as error:
            failures.append(Failure(clip, error))
            continue
        folders.append(folder)
        if as_json:
            print(json.dumps(to_json(result, folder, out, keep, remove)), flush=True)
        say("\n".join(_lines(result, folder)))
    if folders:
        explanations = [Explanation.load(folder) for folder in folders]
        page = write_page(explanations, out / "index.html", folders)
        say(f"page: {page}")
    for failure in failures:
        say(f"error: {failure.error}")
    if failures:
        say(f"{len(failures)} of {len(clips)} clips failed: {', '.join(f.name for f in failures)}")
    return len(failures)


def to_json(
    explanation: Explanation,
    folder: Path,
    out: Path,
    keep: Sequence[float],
    remove: Sequence[float],
) -> dict[str, Any]:
    """What ``--json`` prints of a clip."""
    data = explanation.to_dict(keep, remove)
    provenance = data["provenance"]
    target = data["target"]
    results = []
    for result in data["results"]:
        del result["probabilities"]
        results.append({**result, "file": str(folder / result["file"])})
    return {
        "audio": provenance["audio"],
        "model": provenance["model"]["name"],
        "target": {name: target[name] for name in ("label", "index", "probability")}
        | {name: target[name] for name in ("versus", "start", "end") if target[name] is not None},
        "explainer": provenance["explainer"],
        "synthesizer": provenance["synthesizer"],
        "route": provenance["route"],
        "selection": data["selection"],
        "results": results,
        "completeness_error": data["completeness_error"],
        "converged": data["converged"],
        "verdict": None,
        "warnings": data["warnings"],
        "files": {
            "folder": str(folder),
            "explanation": str(folder / "explanation.json"),
            "original": str(folder / "original.wav"),
            "page": str(out / "index.html"),
        },
    }


def _lines(explanation: Explanation, folder: Path) -> list[str]:
    """What people read of a clip."""
    target = explanation.target
    question = f" versus {target.versus}" if target.versus else ""
    lines = [f"{explanation.name}: {target.label}{question} ({target.probability:.1%})"]
    for outcome in explanation.saved:
        part = (
            f"only the top {outcome.ratio:.0%}"
            if outcome.kind == "keep"
            else (f"without the top {outcome.ratio:.0%}")
        )
        heard = outcome.heard
        lines.append(
            f"  {part}: {heard.label} ({target.label} {heard.probability:.1%})"
            f"  {folder / outcome.filename}"
        )
    return lines


def _free(out: Path, name: str, taken: Sequence[Path]) -> Path:
    """A folder no other clip of this call has."""
    folder, number = out / name, 2
    while folder in taken:
        folder, number = out / f"{name}-{number}", number + 1
    return folder


def _parameter(text: str) -> tuple[str, object]:
    """Read K=V; V is a JSON value where it is one, else text."""
    name, equals, value = text.partition("=")
    if not equals:
        raise PluginError(f"--param takes NAME=VALUE, not {text!r}; for example steps=200")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
