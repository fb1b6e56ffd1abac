"""Real distributions for tests: written, installed by pip, and used by a fresh interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PYPROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "{name}"
version = "1.0"
[project.entry-points.xplain]
{entries}
[tool.setuptools]
py-modules = {modules}
"""


@dataclass(frozen=True)
class Distribution:
    """A distribution of modules, each given by its source; entries names the plugins.

    entries: modules that are entry points of xplain; default: the first module.
    """

    name: str
    modules: Mapping[str, str]
    entries: tuple[str, ...] = ()

    def write(self, parent: Path) -> Path:
        """Write the project folder that pip installs."""
        project = parent / self.name
        project.mkdir(parents=True)
        entries = self.entries or tuple(self.modules)[:1]
        text = PYPROJECT.format(
            name=self.name,
            entries="\n".join(f'{entry} = "{entry}"' for entry in entries),
            modules=list(self.modules),
        )
        (project / "pyproject.toml").write_text(text, "utf-8")
        for module, source in self.modules.items():
            (project / f"{module}.py").write_text(source, "utf-8")
        return project


BUILD = """
import os, sys
from setuptools import build_meta
folder, *projects = sys.argv[1:]
for project in projects:
    os.chdir(project)
    build_meta.build_wheel(folder)
"""


def built(projects: Sequence[Path], folder: Path) -> list[Path]:
    """Build the wheels of project folders as pip does, in one process instead of two for each.

    folder: where they are put; no other wheel is there.
    """
    called([sys.executable, "-c", BUILD, str(folder), *map(str, projects)])
    return sorted(folder.glob("*.whl"))


def install(projects: Sequence[Path], site: Path) -> None:
    """Install project folders into a folder of their own, with nothing downloaded."""
    wheels = built(projects, site.with_name(f"{site.name}-wheels"))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    called([*pip, "--no-index", "--no-deps", "--target", str(site), *map(str, wheels)])


def called(command: Sequence[str]) -> None:
    """Run a command that has to succeed."""
    done = subprocess.run(command, capture_output=True, text=True, env=clean_environment())
    assert done.returncode == 0, done.stdout + done.stderr


def run_python(
    *arguments: str,
    site: Path | str | None = None,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a fresh interpreter that also finds what is installed in site."""
    path = {"PYTHONPATH": str(site)} if site else {}
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**clean_environment(), **path, **(environment or {})},
    )


def clean_environment() -> dict[str, str]:
    """This environment, less what would change which plugins are found."""
    changed = ("XPLAIN_", "PYTHON", "PIP_")
    return {k: v for k, v in os.environ.items() if not k.startswith(changed)}
