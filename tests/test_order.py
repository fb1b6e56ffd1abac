"""Imports run one way: the order of modules, read from the syntax tree of every module.

Deferred and type-only imports count too: an import that is hidden in a function is one.

A new module of the core is named in ORDER after the last module that it imports, on the line of
those like it; one that is removed or merged is struck out. Where no place will do, the module
imports something above itself, and what both need belongs below. A new distribution is named in
PLUGINS.
"""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

ORDER = """
errors hookspecs progress fingerprint intervals
parameters logits samples tensors discovery views bitstreams
storage validated manifest containers recording audio interfaces selection targets
labels curves borrowing memory
registry clips bands metric explanation_folder
models adapters tasks score job doubts live automatic verdict check record explanation explaining
segmentation.segment segmentation.formats segmentation.tracker segmentation.windows
segmentation.result segmentation.additive segmentation.blackbox
segmentation.decoder segmentation.segmenting
report.html report.arrays report.page report.index report.segments report.plots
cli.parameters cli.batch cli.commands cli.explain cli.segment cli.report cli.plugins cli.main
""".split()  # noqa: SIM905
"""Modules of the core; each imports only those named before it."""
LARGEST_FILE = 400
"""Lines of one file."""
LARGEST_CORE = 11_636
"""Lines of the core, Python alone; to be lowered where it can be."""

PLUGINS = {
    "xplain_captum": (),
    "xplain_codecs": (),
    "xplain_corpus": (),
    "xplain_devkit": ("xplain_evaluation",),
    "xplain_evaluation": (),
    "xplain_hf": (),
    "xplain_interpreters": (),
    "xplain_loggers": (),
    "xplain_nmf": (),
    "xplain_runtimes": (),
    "xplain_serve": (),
    "xplain_units": (),
    "xplain_zoo": (),
    "training": ("xplain_codecs", "xplain_zoo"),
}
"""Each package beside the core, and the others of ours that it may import."""


def folder_of(package: str) -> Path:
    if package == "xplain":
        return ROOT / "xplain"
    if package == "training":
        return ROOT / "plugins" / "xplain-zoo" / "training"
    return ROOT / "plugins" / package.replace("_", "-") / "src" / package


def modules(package: str) -> dict[str, Path]:
    """Modules by their dotted names, of a package's folder."""
    folder = folder_of(package)
    found = {}
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        found[".".join((package, *(p for p in parts if p != "__init__")))] = path
    return found


def imported(name: str, path: Path, known: frozenset[str]) -> Iterator[str]:
    """Modules that a module imports, anywhere in it."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            home = node.module or ""
            if node.level:
                base = package.split(".")[: len(package.split(".")) - node.level + 1]
                home = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                whole = f"{home}.{alias.name}"
                yield whole if whole in known else home


PACKAGES = ("xplain", *PLUGINS)
MODULES = {name: path for package in PACKAGES for name, path in modules(package).items()}
KNOWN = frozenset(MODULES)
IMPORTS = {name: set(imported(name, path, KNOWN)) - {name} for name, path in MODULES.items()}


def test_every_module_of_the_core_has_a_place_in_the_order() -> None:
    found = {n.removeprefix("xplain.") for n in modules("xplain") if n != "xplain"}
    packages = {n for n in found if MODULES[f"xplain.{n}"].name == "__init__.py"}
    assert found - packages == set(ORDER)


@pytest.mark.parametrize("name", ORDER)
def test_a_module_of_the_core_imports_only_what_stands_before_it(name: str) -> None:
    before = {f"xplain.{earlier}" for earlier in ORDER[: ORDER.index(name)]}
    ours = {m for m in IMPORTS[f"xplain.{name}"] if m.startswith("xplain.")}
    assert ours <= before, f"{name} imports {sorted(ours - before)}"


def test_the_core_takes_nothing_but_its_version_from_its_own_front() -> None:
    """``import xplain`` inside the core would hide what is imported."""
    for name, path in modules("xplain").items():
        tree = ast.parse(path.read_text("utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                assert node.value.id != "xplain" or node.attr == "__version__", (name, node.attr)
            if isinstance(node, ast.ImportFrom) and node.module == "xplain":
                known = {"__version__", *(o.split(".")[0] for o in ORDER)}
                assert {a.name for a in node.names} <= known, name


def test_the_core_imports_no_plugin_nor_their_libraries() -> None:
    for name in modules("xplain"):
        for other in IMPORTS[name]:
            assert other.split(".")[0] not in {*PLUGINS, "captum", "transformers"}, (name, other)


@pytest.mark.parametrize("package", PLUGINS)
def test_a_plugin_imports_no_other_plugin(package: str) -> None:
    allowed = {package, *PLUGINS[package]}
    for name in modules(package):
        ours = {other.split(".")[0] for other in IMPORTS[name]} & PLUGINS.keys()
        assert ours <= allowed, (name, ours - allowed)


def test_every_plugin_of_the_project_is_listed() -> None:
    folders = {path.parent.name for path in (ROOT / "plugins").glob("*/pyproject.toml")}
    assert folders == {name.replace("_", "-") for name in PLUGINS if name != "training"}


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {name: others & KNOWN for name, others in IMPORTS.items()}
    list(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError with the circle


def test_no_folders_import_each_other_in_a_circle() -> None:
    graph: dict[Path, set[Path]] = {}
    for name, others in IMPORTS.items():
        home = MODULES[name].parent
        graph.setdefault(home, set()).update(
            MODULES[o].parent for o in others & KNOWN if MODULES[o].parent != home
        )
    list(graphlib.TopologicalSorter(graph).static_order())


def test_no_file_nor_the_core_is_too_long() -> None:
    long = {name: len(path.read_text("utf-8").splitlines()) for name, path in MODULES.items()}
    assert {name: lines for name, lines in long.items() if lines > LARGEST_FILE} == {}
    core = sum(len(path.read_text("utf-8").splitlines()) for path in modules("xplain").values())
    assert core <= LARGEST_CORE
