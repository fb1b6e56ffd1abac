"""The server: one page, one question, and the pages of the last explanations.

What a browser sends is a sound and names out of the lists it was given; a name that is in no
list is refused, so that no request names a file, a module or a model of its own.
"""

from __future__ import annotations

import json
import secrets
import tempfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from threading import Lock
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders, UploadFile
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import xplain
from xplain.errors import XplainError, one_line
from xplain.explaining import explain
from xplain.models import Model
from xplain.registry import list_plugins, registry
from xplain.report import html
from xplain.report.page import page

HOST = "127.0.0.1"
LARGEST = 200_000_000
"""Bytes of an upload."""
LONGEST = 300.0
"""Seconds of an upload, which may be small and long."""
KEPT = 20
"""Explanations whose pages can still be opened."""
RATIOS = (0.05, 0.1, 0.2, 0.3, 0.5)
GROUPINGS = ("element", "frame", "channel", "block")
"""Built in."""
HEADERS = {
    "X-Frame-Options": "SAMEORIGIN",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""With every answer: no other site frames, reads or keeps it."""
OWN_HEADER = "x-xplain"
"""Sent by the page itself: a page of another site cannot add it without being allowed to."""


class Explanations:
    """Explains one sound at a time, and keeps the last pages."""

    def __init__(self, models: Mapping[str, Model], device: str | None) -> None:
        """Explain models by name, on a device."""
        self.models, self.device = models, device
        self.explainers = sorted({p.name for p in list_plugins() if p.kind == "explainer"})
        self.groupings = (*GROUPINGS, *_groupings())
        self.pages: OrderedDict[str, str] = OrderedDict()
        self._lock = Lock()

    def explain(self, sound: bytes, name: str, asked: Mapping[str, str]) -> str:
        """Explain an uploaded sound; returns the key of its page. Raises XplainError."""
        for field, known in (
            ("model", self.models),
            ("explainer", self.explainers),
            ("grouping", self.groupings),
        ):
            if asked[field] not in known:
                raise XplainError(f"no {field} {asked[field]!r} is offered here")
        model = self.models[asked["model"]]
        target = asked["target"] or None
        if target is not None and target not in (model.labels or ()):
            raise XplainError(f"the model has no label {target!r}")
        with self._lock, tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "sound"
            path.write_bytes(sound)
            heard = xplain.audio.read_part(path, 0.0, LONGEST + 1)
            if len(heard.waveform) > LONGEST * heard.sample_rate:
                raise XplainError(
                    f"a sound lasts at most {LONGEST / 60:g} minutes here; cut it, or use xplain "
                    "explain"
                )
            made = explain(
                xplain.Audio(heard.waveform, heard.sample_rate, Path(name).stem or "sound"),
                model,
                explainer=asked["explainer"],
                grouping=asked["grouping"],
                target=target,
                device=self.device,
            )
            made.scores(keep=[*RATIOS, 1.0], remove=RATIOS)
            made.check()
            key = secrets.token_urlsafe(16)
            self.pages[key] = page(made)
        while len(self.pages) > KEPT:
            self.pages.popitem(last=False)
        return key


def application(models: Mapping[str, Model], device: str | None = None) -> Starlette:
    """The web application for models by name."""
    ours = Explanations(models, device)
    start = _start(ours)

    async def index(request: Request) -> Response:
        return HTMLResponse(start)

    async def result(request: Request) -> Response:
        made = ours.pages.get(request.path_params["key"])
        return PlainTextResponse("it is gone", 404) if made is None else HTMLResponse(made)

    async def ask(request: Request) -> Response:
        own = request.headers.get("origin") in (None, str(request.base_url).rstrip("/"))
        if OWN_HEADER not in request.headers or not own:
            return PlainTextResponse("only the page itself may ask", 403)
        length = request.headers.get("content-length", "")
        if not length.isdecimal() or not 0 < int(length) <= LARGEST:
            return PlainTextResponse(f"a sound has at most {LARGEST // 10**6} MB", 413)
        async with request.form(max_files=1, max_fields=8) as form:
            sound = form.get("sound")
            if not isinstance(sound, UploadFile):
                return PlainTextResponse("send a sound", 422)
            data, name = await sound.read(), sound.filename or "sound"
            fields = ("model", "explainer", "grouping", "target")
            asked = {field: str(form.get(field) or "") for field in fields}
        try:
            return PlainTextResponse(await run_in_threadpool(ours.explain, data, name, asked))
        except XplainError as error:
            return PlainTextResponse(one_line(error), 422)

    return Starlette(
        routes=[
            Route("/", index),
            Route("/result/{key}", result),
            Route("/explain", ask, methods=["POST"]),
        ],
        middleware=[
            Middleware(_Guarded),
            Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"]),
        ],
    )


class _Guarded:
    """Adds HEADERS to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        """Answer as an application does."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await self.app(scope, receive, guarded)


def _groupings() -> Iterator[str]:
    """Groupings of plugins that need to be told nothing, so no file either."""
    for plugin in list_plugins():
        if plugin.kind != "grouping" or plugin.state != "ok":
            continue
        try:
            registry().create("grouping", plugin.full_name, {})
        except XplainError:
            continue
        yield plugin.full_name


def _start(ours: Explanations) -> str:
    here = files("xplain_serve")
    data: dict[str, Any] = {
        "models": {name: list(model.labels or ()) for name, model in ours.models.items()},
        "explainers": ours.explainers,
        "groupings": ours.groupings,
        "texts": json.loads((here / "words.json").read_text("utf-8")),
    }
    return html.app(
        "serve", "xplain", (here / "serve.js",), data, "connect-src 'self'; frame-src 'self'"
    )
