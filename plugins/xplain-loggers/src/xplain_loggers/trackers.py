"""The trackers, each by its own writer, which is imported where it is asked for."""

from __future__ import annotations

import json
import tempfile
from contextlib import nullcontext
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any

from xplain.errors import PluginError
from xplain.views import Viewable

RATE = 8000
"""Hz, where a result has no sound."""


def tensorboard(
    result: Viewable,
    *,
    name: str | None = None,
    step: int = 0,
    directory: str | Path = "runs",
    writer: Any = None,
) -> None:
    """Write scalars, sounds, the figure and facts as TensorBoard reads them.

    writer: a SummaryWriter that is open, in place of one for the directory.
    """
    _needed("tensorboard", "tensorboard")
    from torch.utils.tensorboard import SummaryWriter

    from xplain_loggers import contents

    known = contents.checked(result)
    at, used = contents.place(known, name), writer or SummaryWriter(str(directory))
    for key, value in contents.scalars(known).items():
        used.add_scalar(f"{at}/{key}", value, step)
    for key, waveform in contents.sounds(known).items():
        rate = getattr(known, "sample_rate", RATE)
        used.add_audio(f"{at}/{key}", waveform[None].cpu(), step, sample_rate=rate)
    used.add_figure(f"{at}/attribution", known.plot(), step)
    # Indented, a text is shown as it is, whatever marks are in it.
    lines = json.dumps(contents.facts(known), indent=1, ensure_ascii=False).splitlines()
    used.add_text(f"{at}/facts", "\n".join(f"    {line}" for line in lines), step)
    used.flush()
    if writer is None:
        used.close()


def mlflow(result: Viewable, *, name: str | None = None, step: int = 0) -> None:
    """Log metrics and files to the active run, or to a run of its own.

    Files: facts.json, attribution.png, index.html (the page), and the explanation as save()
    writes it, or the segmentation as to_json() does.
    """
    flow = _needed("mlflow", "mlflow-skinny")
    from xplain_loggers import contents

    known = contents.checked(result)
    at = contents.place(known, name)
    numbers = {f"{at}/{key}": value for key, value in contents.scalars(known).items()}
    with tempfile.TemporaryDirectory() as folder:
        contents.write(known, Path(folder))
        running = flow.active_run()
        with nullcontext() if running else flow.start_run(run_name=at):
            flow.log_metrics(numbers, step=step)
            flow.log_artifacts(folder, artifact_path=at)


def wandb(
    result: Viewable, *, name: str | None = None, step: int | None = None, run: Any = None
) -> None:
    """Log numbers, sounds, the figure and the page to a run: given, current, or of its own."""
    bench, Image = _needed("wandb", "wandb"), _needed("PIL.Image", "pillow")
    from xplain_loggers import contents

    known = contents.checked(result)
    at = contents.place(known, name)
    logged: dict[str, Any] = {f"{at}/{k}": v for k, v in contents.scalars(known).items()}
    for key, waveform in contents.sounds(known).items():
        rate = getattr(known, "sample_rate", RATE)
        logged[f"{at}/sound/{key}"] = bench.Audio(waveform.cpu().numpy(), sample_rate=rate)
    picture = BytesIO()
    known.plot().savefig(picture, format="png")
    logged[f"{at}/attribution"] = bench.Image(Image.open(picture))
    logged[f"{at}/page"] = bench.Html(contents.page(known), inject=False)
    running = run or bench.run
    with nullcontext(running) if running else bench.init() as used:
        facts = {**used.config.get("xplain", {}), at: contents.facts(known)}
        used.config.update({"xplain": facts}, allow_val_change=True)
        # A point in a key would make a group of it.
        used.log({key.replace(".", "_"): value for key, value in logged.items()}, step=step)


def _needed(module: str, package: str) -> Any:
    """A tracker's module; PluginError where it is not installed."""
    try:
        return import_module(module)
    except ImportError as error:
        raise PluginError(f"{module} cannot be imported; run pip install {package}") from error
