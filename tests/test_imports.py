"""What importing costs: names at once, torch and plugins only when they are used."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = "('torch', 'numpy', 'scipy', 'captum', 'transformers', 'matplotlib', 'soundfile')"


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "use",
    [
        "import xplain",
        "import xplain; xplain.hookimpl; xplain.XplainError",
        "import xplain; assert xplain.list_plugins()",
        "import sys; sys.argv = ['xplain', '--help']; import xplain.cli.main as m\n"
        "try: m.main()\nexcept SystemExit as e: assert e.code == 0",
        "import sys; sys.argv = ['xplain', 'plugins', '--json']; import xplain.cli.main as m\n"
        "try: m.main()\nexcept SystemExit as e: assert e.code == 0",
    ],
)
def test_names_help_and_listing_load_nothing_heavy(use: str) -> None:
    run(
        f"{use}\nimport sys\n"
        f"loaded = [m for m in {HEAVY} if m in sys.modules]\n"
        "assert not loaded, loaded"
    )


def test_every_public_name_is_there() -> None:
    run("import xplain\nfor name in xplain.__all__: getattr(xplain, name)")
    run("from xplain import *; explain, Target, wrap")
