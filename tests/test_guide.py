"""docs/plugins.md says what is so: its code is the example's, its reference the hookspecs'."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from xplain import hookspecs
from xplain_devkit.check import RULES

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "docs" / "plugins.md").read_text("utf-8")
SHOWN = dict(re.findall(r"```\w+ title=\"(examples/\S+)\"\n(.*?)```\n", GUIDE, re.DOTALL))


def test_the_guide_shows_the_example_plugin_whole() -> None:
    example = ROOT / "examples" / "leave-one-out-plugin"
    files = {
        path.relative_to(ROOT).as_posix()
        for pattern in ("pyproject.toml", "src/*/*.py", "tests/*.py")
        for path in example.glob(pattern)
    }
    assert set(SHOWN) == files


def test_the_hook_reference_is_that_of_the_hookspecs() -> None:
    script = ROOT / "docs" / "hook_reference.py"
    spec = importlib.util.spec_from_file_location("hook_reference", script)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.with_reference(GUIDE) == GUIDE, "run python docs/hook_reference.py"
    assert f"`XPLAIN_API = {hookspecs.API_VERSION}`" in GUIDE
    for hook in (name for name in vars(hookspecs) if name.startswith("register_")):
        assert f"### `{hook}(register)`" in GUIDE


def test_every_example_the_guide_names_is_there() -> None:
    named = set(re.findall(r"`(examples/[^`]+)`", GUIDE))
    plugins = {f"examples/{p.name}" for p in ROOT.glob("examples/*-plugin")}
    assert plugins <= named
    for path in named:
        assert (ROOT / path).exists(), path


def test_the_guide_names_every_kind_with_a_contract() -> None:
    for kind in RULES:
        assert f"| {kind} |" in GUIDE
        assert f"{kind.capitalize()}Contract" in GUIDE
