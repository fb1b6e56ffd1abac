"""Write the package of a new plugin: it installs, works and passes its contract as it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from xplain.errors import PluginError, nearest
from xplain.hookspecs import API_VERSION

KINDS = ("explainer", "synthesizer", "segmenter", "replacement", "metric", "model")

LICENCES = ("Apache-2.0", "MIT", "BSD-3-Clause", "MPL-2.0", "GPL-3.0-or-later")
"""SPDX identifiers that pyproject.toml can be given."""

LONGEST = 30
"""Characters of a name, so that no line of the package becomes too long."""


def write_package(kind: str, name: str, *, parent: Path, licence: str = LICENCES[0]) -> Path:
    """Write the package ``xplain-NAME`` into a folder, and return where it is.

    kind: one of KINDS. name: kebab-case, as it is going to be registered. licence: one of
    LICENCES. Raises PluginError for what cannot be written; nothing is then left behind.
    """
    _check(kind, name, licence)
    folder = parent / f"xplain-{name}"
    if folder.exists():
        raise PluginError(f"{folder} exists; choose another name, or another folder with --out")
    values = {
        "kind": kind,
        "name": name,
        "licence": licence,
        "distribution": folder.name,
        "module": folder.name.replace("-", "_"),
        "function": name.replace("-", "_"),
        "class_name": "".join(part.capitalize() for part in name.split("-")),
        "title": name.replace("-", " ").capitalize(),
        "api_version": API_VERSION,
    }
    environment = Environment(
        loader=PackageLoader("xplain.scaffold"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        autoescape=False,  # it is Python and TOML that is written, of names that are checked
    )
    texts = {
        path: environment.get_template(template).render(values)
        for path, template in _files(kind, values["module"], name).items()
    }
    try:
        for path, text in texts.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, "utf-8")
    except OSError as error:
        raise PluginError(f"{folder} cannot be written: {error}; give another --out") from error
    return folder


def _files(kind: str, module: object, name: str) -> Mapping[str, str]:
    """Path in the package → template."""
    return {
        "pyproject.toml": "pyproject.toml.jinja",
        "README.md": "README.md.jinja",
        ".gitignore": "gitignore.jinja",
        f"src/{module}/__init__.py": "plugin.py.jinja",
        f"src/{module}/{kind}.py": f"{kind}.py.jinja",
        f"src/{module}/py.typed": "py.typed.jinja",
        f"tests/test_{name.replace('-', '_')}.py": f"test_{kind}.py.jinja",
    }


def _check(kind: str, name: str, licence: str) -> None:
    if kind not in KINDS:
        raise PluginError(f"no kind {kind!r} of plugin; {nearest(kind, KINDS)}")
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) or len(name) > LONGEST:
        raise PluginError(
            f"the name {name!r} is not kebab-case (my-method) of at most {LONGEST} characters"
        )
    if licence not in LICENCES:
        raise PluginError(f"no licence {licence!r}; {nearest(licence, LICENCES)}")
    try:
        version(f"xplain-{name}")
    except PackageNotFoundError:
        return
    raise PluginError(f"a distribution xplain-{name} is installed; choose another name")
