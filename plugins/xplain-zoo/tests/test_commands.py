"""The commands of training in READMEs: the modules are there, and know every option."""

import re
import subprocess
import sys
from pathlib import Path

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


HELP = """
import contextlib, runpy, sys
for name in sys.argv[1:]:
    sys.argv[:] = [name, "--help"]
    with contextlib.suppress(SystemExit):
        runpy.run_module(name, run_name="__main__")
    print("\\0")
"""


def test_commands_of_readmes_are_there():
    modules = sorted({module for module, _ in COMMANDS})
    done = subprocess.run(
        [sys.executable, "-c", HELP, *modules], cwd=HOME, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    *helps, _ = done.stdout.split("\0")
    for module, said in zip(modules, helps, strict=True):
        assert "usage: " in said, module
        for option in [option for name, option in COMMANDS if name == module]:
            assert option in said, module
