"""Write the package of a new plugin: it installs, works and passes its contract as it is."""

from __future__ import annotations

import ast
import builtins
import keyword
import re
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from xplain.errors import PluginError, nearest
from xplain.hookspecs import API_VERSION
from xplain.registry import list_plugins
from xplain.storage import whole_folder

KINDS = ("explainer", "synthesizer", "segmenter", "replacement", "grouping", "metric", "model")

LICENCES = ("Apache-2.0", "MIT", "BSD-3-Clause", "MPL-2.0", "GPL-3.0-or-later")
"""SPDX identifiers that pyproject.toml can be given."""

LONGEST = 30
"""Characters of a name, so that no line of the package becomes too long."""

STAND_IN = "stand-in-for-any-name"
"""A name that no template uses for anything else."""


def write_package(kind: str, name: str, *, parent: Path, licence: str = LICENCES[0]) -> Path:
    """Write the package ``xplain-NAME`` into a folder, and return where it is.

    kind: one of KINDS. name: kebab-case, as it is going to be registered. licence: one of
    LICENCES. Raises PluginError for a name or kind that cannot be used and ArtifactError where
    the folder cannot be written; nothing is then left behind.
    """
    _check(kind, name, licence)
    folder = parent / f"xplain-{name}"
    if folder.exists():
        raise PluginError(f"{folder} exists; choose another name, or another folder with --out")
    _refuse_what_python_would_confuse(kind, name)
    _write(_texts(kind, name, licence), folder)
    return folder


def _texts(kind: str, name: str, licence: str) -> dict[str, str]:
    """Path in the package → its text."""
    distribution = f"xplain-{name}"
    values = {
        "kind": kind,
        "name": name,
        "licence": licence,
        "distribution": distribution,
        "module": distribution.replace("-", "_"),
        "function": _function(name),
        "class_name": _class(name),
        "title": name.replace("-", " ").capitalize(),
        "api_version": API_VERSION,
    }
    environment = Environment(
        loader=PackageLoader("xplain_devkit"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        autoescape=False,  # it is Python and TOML that is written, of names that are checked
    )
    return {
        path: environment.get_template(template).render(values)
        for path, template in _files(kind, values["module"], name).items()
    }


def _write(texts: Mapping[str, str], folder: Path) -> None:
    with whole_folder(folder, ours="", record="pyproject.toml", overwrite=False) as draft:
        for path, text in texts.items():
            (draft / path).parent.mkdir(parents=True, exist_ok=True)
            (draft / path).write_text(text, "utf-8")


def _function(name: str) -> str:
    return name.replace("-", "_")


def _class(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("-"))


def _files(kind: str, module: object, name: str) -> Mapping[str, str]:
    """Path in the package → template."""
    return {
        "pyproject.toml": "pyproject.toml.jinja",
        "README.md": "README.md.jinja",
        ".gitignore": "gitignore.jinja",
        f"src/{module}/__init__.py": "plugin.py.jinja",
        f"src/{module}/{kind}.py": f"{kind}.py.jinja",
        f"src/{module}/py.typed": "py.typed.jinja",
        f"tests/test_{_function(name)}.py": f"test_{kind}.py.jinja",
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
        pass
    else:
        raise PluginError(f"a distribution xplain-{name} is installed; choose another name")
    for plugin in list_plugins():
        if (plugin.kind, plugin.name) == (kind, name):
            raise PluginError(
                f"the {kind} name {name!r} is registered by {plugin.distribution}; "
                "choose another name, since the short one would be ambiguous"
            )


def _refuse_what_python_would_confuse(kind: str, name: str) -> None:
    """PluginError where the name's class or function cannot be written, or hides another."""
    if kind == "model":
        return  # its name is in texts and comments only
    own = _function(name) if kind == "metric" else _class(name)
    others: set[str] = set()
    # By a name that stands for any, so that the names around it can be told from it.
    for path, text in _texts(kind, STAND_IN, LICENCES[0]).items():
        if path.endswith(".py"):
            others |= _identifiers(ast.parse(text))
    if keyword.iskeyword(own) or own in dir(builtins) or own in others:
        raise PluginError(
            f"the {kind} {name!r} would be called {own!r} in its package, where Python or xplain "
            f"means something else by that; choose another name, as my-{name}"
        )


def _identifiers(tree: ast.AST) -> set[str]:
    """Every name that a file imports, defines or uses."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.alias):
            found.add((node.asname or node.name).partition(".")[0])
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
    return found
