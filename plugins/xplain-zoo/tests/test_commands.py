"""The commands of training in READMEs: the modules are there, and know every option."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

HOME = Path(__file__).parents[1]
READMES = [HOME / "README.md", *(HOME / "src" / "xplain_zoo" / "weights").glob("*/README.md")]
LINE = re.compile(r"^    python -m (training\.\w+)(.*)$", re.MULTILINE)
COMMANDS = sorted(
    {
        (module, option)
        for readme in READMES
        for module, rest in LINE.findall(readme.read_text())
        for option in [*re.findall(r"--[a-z-]+", rest), ""]
    }
)


@pytest.mark.parametrize("module", sorted({module for module, _ in COMMANDS}))
def test_commands_of_readmes_are_there(module):
    done = subprocess.run(
        [sys.executable, "-m", module, "--help"], cwd=HOME, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    for option in [option for name, option in COMMANDS if name == module]:
        assert option in done.stdout
