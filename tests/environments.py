"""Throw-away environments: what is here is seen in them, what is installed stays in them."""

from __future__ import annotations

import json
import subprocess
import sysconfig
import venv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from distributions import clean_environment

XPLAIN = "import sys; sys.argv[0] = 'xplain'; from xplain.cli.main import main; main()"


@dataclass(frozen=True)
class Environment:
    """A virtual environment in a folder that sees the packages of this one."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> Environment:
        """Make one; nothing is downloaded."""
        venv.create(folder, with_pip=False, symlinks=True)
        made = cls(folder)
        paths = {"base": str(folder), "platbase": str(folder)}
        site = Path(sysconfig.get_path("purelib", "venv", paths))
        # addsitedir, and not a path alone, so that what is installed as editable is seen too.
        here = json.dumps(sysconfig.get_path("purelib"))
        (site / "here.pth").write_text(f"import site; site.addsitedir({here})\n", "utf-8")
        return made

    def run(
        self, *arguments: str, cwd: Path | None = None, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run its Python."""
        python = self.folder / "bin" / "python"
        return subprocess.run(
            [str(python), *arguments],
            capture_output=True,
            text=True,
            cwd=cwd,
            env={**clean_environment(), **(environment or {})},
        )

    def xplain(self, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Run its xplain command."""
        return self.run("-c", XPLAIN, *arguments, cwd=cwd)

    def pip_install(self, *projects: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Install projects or wheels, with nothing downloaded; what they depend on must be here."""
        offline = ("--no-index", "--no-build-isolation", "--disable-pip-version-check", "--quiet")
        return self.run("-m", "pip", "install", *offline, *projects, cwd=cwd)
