"""``xplain explain``: recordings in, folders and a page out."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xplain.cli.parameters import parameters
from xplain.progress import say

if TYPE_CHECKING:
    from xplain.explanation import Explanation

PAGE = "index.html"

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
    synthesizer_param: Annotated[
        list[str] | None, typer.Option(metavar="K=V", help="A parameter of the synthesizer")
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
    baseline_param: Annotated[
        list[str] | None, typer.Option(metavar="K=V", help="A parameter of the baseline")
    ] = None,
    replacement: Annotated[
        str, typer.Option(help="What takes the place of removed elements")
    ] = "silence",
    replacement_param: Annotated[
        list[str] | None, typer.Option(metavar="K=V", help="A parameter of the replacement")
    ] = None,
    grouping: Annotated[
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
        "synthesizer_params": parameters("--synthesizer-param", synthesizer_param),
        "explainer": explainer,
        "params": parameters("--param", param),
        "target": target,
        "versus": versus,
        "baseline": baseline,
        "baseline_params": parameters("--baseline-param", baseline_param),
        "replacement": replacement,
        "replacement_params": parameters("--replacement-param", replacement_param),
        "grouping": grouping,
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
    from xplain.clips import Failure
    from xplain.errors import ArtifactError, XplainError
    from xplain.explaining import explain_each
    from xplain.progress import track
    from xplain.selection import checked_ratio

    for ratio in (*keep, *remove):
        checked_ratio(ratio)
    if out.exists() and not out.is_dir():
        raise ArtifactError(f"{out} is a file; give a folder with --out")
    folders: list[Path] = []
    failures: list[Failure] = []
    machines = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):  # whatever a model or a plugin prints
        results = explain_each(clips, model, **settings)
        for clip, result in zip(clips, track(results, len(clips), "explaining"), strict=True):
            if isinstance(result, Failure):
                failures.append(result)
                continue
            folder = _free(out, result, folders)
            try:
                result.check()
                result.save(folder, keep=keep, remove=remove)
            except XplainError as error:
                failures.append(Failure(clip, error))
                continue
            folders.append(folder)
            if as_json:
                line = json.dumps(to_json(result, folder, out, keep, remove))
                print(line, file=machines, flush=True)
            say(*lines(result, folder))
        for failure in failures:
            say(f"error: {failure.error}")
        if failures:
            named = ", ".join(f.name for f in failures)
            say(f"{len(failures)} of {len(clips)} clips failed: {named}")
        return len(failures) + page_of(folders, out)


def page_of(folders: Sequence[Path], out: Path) -> int:
    """Show what was saved on one page; 1 where that is not possible, the clips being done."""
    from xplain.errors import XplainError
    from xplain.explanation import Explanation
    from xplain.report.page import write_page

    if not folders:
        return 0
    try:
        explanations = [Explanation.load(folder) for folder in folders]
        say(f"page: {write_page(explanations, out / PAGE, folders)}")
    except XplainError as error:
        say(f"error: the explanations are saved, but not their page: {error}")
        return 1
    return 0


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
        "bands": data["bands"],
        "selection": data["selection"],
        "results": results,
        "completeness_error": data["completeness_error"],
        "converged": data["converged"],
        "verdict": data["verdict"],
        "warnings": data["warnings"],
        "files": {
            "folder": str(folder),
            "explanation": str(folder / "explanation.json"),
            "original": str(folder / "original.wav"),
            "page": str(out / PAGE),
        },
    }


def lines(explanation: Explanation, folder: Path) -> list[str]:
    """What people read of a clip."""
    target = explanation.target
    decision = max(explanation.probabilities, key=lambda label: explanation.probabilities[label])
    lines = [f"{folder.name}: {decision} ({explanation.probabilities[decision]:.1%})"]
    if target.label != decision or target.versus:
        versus = f" rather than {target.versus}" if target.versus else ""
        lines.append(f"  explained: {target.label} ({target.probability:.1%}){versus}")
    if explanation.bands:
        lines.append(f"  frequencies: {', '.join(map(str, explanation.bands))}")
    for outcome in explanation.saved:
        part = (
            f"{'only' if outcome.kind == 'keep' else 'without'} the top {100 * outcome.ratio:.3g}%"
        )
        heard = outcome.heard
        lines.append(
            f"  {part}: {heard.label} ({target.label} {heard.probability:.1%})"
            f"  {folder / outcome.filename}"
        )
    return [*lines, f"  check: {explanation.check()}"]


def _free(out: Path, explanation: Explanation, taken: Sequence[Path]) -> Path:
    """A folder for a clip: its name's, unless another recording has that."""
    stem = explanation.name.strip(".") or "clip"
    folder, number = out / stem, 2
    while folder in taken or folder.name == PAGE or _of_another(folder, explanation):
        folder, number = out / f"{stem}-{number}", number + 1
    return folder


def _of_another(folder: Path, explanation: Explanation) -> bool:
    """Whether an earlier call explained another recording here."""
    try:
        data = json.loads((folder / "explanation.json").read_text("utf-8"))
        earlier = data["provenance"]["audio"]["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return bool(earlier != explanation.provenance["audio"]["sha256"])
