"""What all pages share: the template environment, pictures as base64, and facts as rows."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jinja2
from matplotlib.figure import Figure

from xplain.progress import visible
from xplain.report import plots


def render(
    package: str, template: str, filters: Mapping[str, Callable[..., str]], **page: Any
) -> str:
    """Fill in a package's template, which extends this package's base.html.

    Every text is escaped, and its control characters are shown instead of obeyed.
    """
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.PackageLoader(name, ".") for name in dict.fromkeys((package, "xplain.report"))]
        ),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )
    environment.filters.update(filters)
    return environment.get_template(template).render(page)


def picture(figure: Figure) -> str:
    """A figure as base64 of a PNG file."""
    return encoded(plots.png(figure))


def encoded(data: bytes) -> str:
    """Bytes as base64."""
    return base64.b64encode(data).decode("ascii")


def facts(value: object, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested values as (dotted name, text); what JSON turns into a list reads as one."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from facts(inner, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(value, list | tuple) and any(
        isinstance(v, Mapping | list | tuple) for v in value
    ):
        for number, inner in enumerate(value):
            yield from facts(inner, f"{prefix}.{number}")
    elif isinstance(value, list | tuple | Mapping):
        yield prefix, ", ".join(map(str, value)) or "none"
    elif isinstance(value, bool):
        yield prefix, "yes" if value else "no"
    else:
        yield prefix, "none" if value is None else str(value)


def is_page(path: Path, kind: str) -> bool:
    """Whether a file is a page of this kind that xplain wrote."""
    try:
        with path.open("rb") as file:
            return f'content="xplain: {kind}"'.encode() in file.read(1000)
    except OSError:
        return False


def _finalize(value: object) -> object:
    return visible(value) if isinstance(value, str) and not hasattr(value, "__html__") else value
