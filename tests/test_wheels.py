"""What is published: each distribution's wheel, built from the files under version control."""

from __future__ import annotations

import email
import email.message
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from distributions import built, clean_environment
from filelock import FileLock

ROOT = Path(__file__).parents[1]
PROJECTS = {"xplain": ROOT} | {
    path.parent.name: path.parent for path in sorted((ROOT / "plugins").glob("*/pyproject.toml"))
}
DEVELOPMENT = ("pytest", "ruff", "mypy", "hypothesis", "mkdocs", "twine")
"""Not needed by anyone who only uses what is installed."""


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> dict[str, Path]:
    """The wheel of each distribution, built once for all processes of a run."""
    own = tmp_path_factory.getbasetemp()
    folder = (own if worker_id == "master" else own.parent) / "wheels"
    with FileLock(folder.with_suffix(".lock")):
        if not folder.exists():
            build(folder)
    found = {path.name.partition("-")[0].replace("_", "-"): path for path in folder.glob("*.whl")}
    assert found.keys() == PROJECTS.keys()
    return found


def build(folder: Path) -> None:
    """Build every wheel from a copy: that leaves folders which a later build would take up."""
    source = folder / "source"
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("needs a git checkout, to know which files belong to the project")
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file() and not name.startswith(("benchmarks/", "docs/")):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    built([source / path.relative_to(ROOT) for path in PROJECTS.values()], folder)


def contents(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def metadata(wheel: Path) -> email.message.Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(archive.read(name))


@pytest.mark.parametrize("name", PROJECTS)
def test_a_wheel_holds_its_package_and_nothing_of_its_development(
    wheels: dict[str, Path], name: str
) -> None:
    files = contents(wheels[name])
    assert {n.split("/")[0] for n in files if ".dist-info/" not in n} == {name.replace("-", "_")}
    tests = {n for n in files if "tests/" in n or "conftest" in n or "/test_" in n}
    assert {n for n in tests if "/templates/" not in n} == set()
    assert f"{name.replace('-', '_')}/py.typed" in files
    assert any("LICENSE" in n for n in files) or metadata(wheels[name])["License-Expression"]
    package = PROJECTS[name] if name == "xplain" else PROJECTS[name] / "src"
    for path in (package / name.replace("-", "_")).rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            assert path.relative_to(package).as_posix() in files


@pytest.mark.parametrize("name", PROJECTS)
def test_a_wheel_asks_for_nothing_that_only_development_needs(
    wheels: dict[str, Path], name: str
) -> None:
    told = metadata(wheels[name])
    assert told["Name"] == name and told["Summary"] and told["License-Expression"] == "Apache-2.0"
    needed = [r for r in told.get_all("Requires-Dist") or [] if "extra ==" not in r]
    # The contracts are test classes, so the kit for plugin authors brings pytest.
    allowed = {"pytest"} if name == "xplain-devkit" else set()
    assert not [r for r in needed if r.startswith(tuple(set(DEVELOPMENT) - allowed))]
    assert told.get_payload().strip(), "a README is what the index shows"


def test_the_index_would_accept_the_wheels(wheels: dict[str, Path]) -> None:
    twine = [sys.executable, "-m", "twine", "check", "--strict", *map(str, wheels.values())]
    done = subprocess.run(twine, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


COMMANDS = "xplain-devkit", "xplain-corpus", "xplain-loggers", "xplain-serve"
"""Distributions of commands or loggers alone, which register no plugin."""

ALONE = """
import json, sys
sys.path[:0] = json.loads(sys.argv.pop(1))
import xplain
print(json.dumps([(p.kind, p.distribution, p.state, p.cause) for p in xplain.list_plugins()]))
sys.argv = ["xplain", "--help"]
from xplain.cli.main import main
main()
"""


@pytest.mark.parametrize("name", PROJECTS)
def test_a_wheel_works_with_the_core_and_what_it_asks_for(
    wheels: dict[str, Path], tmp_path: Path, name: str
) -> None:
    required = metadata(wheels[name]).get_all("Requires-Dist") or []
    asked = {re.split(r"[^\w-]", r)[0] for r in required if "extra ==" not in r}
    ours = {"xplain", name} | (asked & PROJECTS.keys())
    for each in ours:
        with zipfile.ZipFile(wheels[each]) as archive:
            archive.extractall(tmp_path / "site")
    # Without site, and with all that is installed here but ours.
    others = tmp_path / "others"
    others.mkdir()
    for place in sys.path:
        if Path(place).name in ("site-packages", "dist-packages"):
            for entry in Path(place).iterdir():
                ours_too = entry.name.startswith(("xplain", "__editable__", "training"))
                if not ours_too and not (others / entry.name).exists():
                    (others / entry.name).symlink_to(entry)
    only = sorted(ours - {"xplain", *COMMANDS})
    done = subprocess.run(
        [sys.executable, "-S", "-c", ALONE, json.dumps([str(tmp_path / "site"), str(others)])],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**clean_environment(), "XPLAIN_PLUGINS": ",".join(only)},
    )
    assert done.returncode == 0, done.stderr
    listed, _, helped = done.stdout.partition("\n")
    plugins = json.loads(listed)
    assert {distribution for _, distribution, _, _ in plugins} == set(only)
    assert [p for p in plugins if p[2] != "ok"] == []
    assert "explain" in helped and "segment" in helped
