"""What all pages share: one file each, with its style, its script and its data inside."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.abc import Traversable
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from xplain.progress import visible

if TYPE_CHECKING:
    import jinja2

STATIC = files("xplain.report") / "static"


def app(
    kind: str,
    title: str,
    scripts: Sequence[str | Traversable],
    data: Mapping[str, Any],
    allowed: str = "",
) -> str:
    """A page that scripts draw from data, whose texts are shown, never run.

    scripts: names of files in static/, or files. allowed: more of the content policy.
    """
    return render(
        "xplain.report",
        "base.html",
        {},
        kind=kind,
        title=title,
        script=Markup("\n".join(static(name) for name in ("base.js", *scripts))),
        allowed=allowed,
        words=Markup(static("words.json")),
        data=_json({"kind": kind, **data}),
    )


def render(
    package: str,
    template: str,
    filters: Mapping[str, Callable[..., str]],
    *,
    style: str = "",
    script: Markup | None = None,
    allowed: str = "",
    **page: Any,
) -> str:
    """Fill in a package's template, which extends this package's base.html.

    Every text is escaped, and its control characters are shown instead of obeyed. The content
    policy lets the page's own style and script run, by their hashes, and nothing else.
    """
    environment = _environment(package)  # an overlay would begin with no template compiled
    environment.filters.update(filters)
    styles = static("page.css") + style
    policy = (
        "default-src 'none'; img-src data: blob:; media-src data: blob:; base-uri 'none'; "
        f"form-action 'none'; style-src {_hash(styles)}; script-src {_hash(script or '')}; "
        f"{allowed}"
    )
    return environment.get_template(template).render(
        style=Markup(styles), script=script, policy=Markup(policy), **page
    )


@cache
def _environment(package: str) -> jinja2.Environment:
    """What reads a package's templates and this package's, and compiles each once."""
    import jinja2

    return jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.PackageLoader(name, ".") for name in dict.fromkeys((package, "xplain.report"))]
        ),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )


def static(name: str | Traversable) -> str:
    """The text of a file, of static/ by its name."""
    return (STATIC / name if isinstance(name, str) else name).read_text("utf-8")


def encoded(data: bytes) -> str:
    """Bytes as base64."""
    return base64.b64encode(data).decode("ascii")


def packed(data: bytes) -> str:
    """Bytes deflated, as base64."""
    return encoded(zlib.compress(data, 6))


def is_page(path: Path, kind: str) -> bool:
    """Whether a file is a page of this kind that xplain wrote."""
    try:
        with path.open("rb") as file:
            return f'content="xplain: {kind}"'.encode() in file.read(1000)
    except OSError:
        return False


def _json(value: Any) -> Markup:
    """JSON inside a script element: no text of it can end that, or begin a comment in it."""
    text = json.dumps(_shown(value), allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))


def _shown(value: Any) -> Any:
    """A value as JSON, its texts without control characters."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, Mapping):
        return {visible(str(key)): _shown(inner) for key, inner in value.items()}
    return [_shown(inner) for inner in value] if isinstance(value, list | tuple) else value


def _hash(text: str) -> str:
    return f"'sha256-{encoded(hashlib.sha256(text.encode()).digest())}'"


def _finalize(value: object) -> object:
    return visible(value) if isinstance(value, str) and not hasattr(value, "__html__") else value
