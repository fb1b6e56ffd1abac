"""``xplain serve``: explanations on a page of this machine."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def serve(
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="A model to choose from: SCHEME:NAME or FILE.py:FACTORY; may be repeated  "
            "[default: zoo:digits]"
        ),
    ] = None,
    port: Annotated[int, typer.Option(help="The port on 127.0.0.1")] = 8765,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda, …  [default: the model's device]")
    ] = None,
) -> None:
    """Drop or record a sound on a page of this machine, and listen to its explanation.

    Example: xplain serve --model zoo:digits --model zoo:digits-latent
    """
    import uvicorn

    from xplain.models import load_model
    from xplain.progress import say
    from xplain_serve.server import HOST, application

    models = {name: load_model(name) for name in model or ["zoo:digits"]}
    served = application(models, device)
    say(f"page: http://{HOST}:{port}/ (Ctrl-C ends it)")
    uvicorn.run(served, host=HOST, port=port, log_level="warning")
