"""A folder with a model and recordings, and xplain run in it as a user runs it."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import pytest
import soundfile
from toys import RATE, tone

import xplain
from xplain.cli.main import main

MODEL = """
import sys
import time
sys.path.insert(0, {tests!r})
import xplain
from toys import BandEnergies

def make():
    labels = ("low", "mid", "high")
    return xplain.wrap(BandEnergies(), sample_rate=8000, labels=labels, name="bands")

def loud():
    class Loud(BandEnergies):
        def forward(self, waveform):
            print("hello from the model")
            return super().forward(waveform)
    print("hello from the file")
    return xplain.wrap(Loud(), sample_rate=8000, labels=("low", "mid", "high"))

def other():
    labels = ("low", "mid", "high")
    return xplain.wrap(BandEnergies(), sample_rate=8000, labels=labels, name="another")

def chatty():
    import ctypes, os
    class Chatty(BandEnergies):
        def forward(self, waveform):
            print("from Python")
            ctypes.CDLL(None).printf(b"from C\\n")
            os.system("echo from a child")
            return super().forward(waveform)
    return xplain.wrap(Chatty(), sample_rate=8000, labels=("low", "mid", "high"))

def interrupting():
    import os, signal
    from pathlib import Path
    class Interrupting(BandEnergies):
        def forward(self, waveform):
            if len(list(Path("out").glob("*/explanation.json"))) == 2:
                os.kill(os.getpid(), signal.SIGINT)
            return super().forward(waveform)
    return xplain.wrap(Interrupting(), sample_rate=8000, labels=("low", "mid", "high"))
"""


@dataclass(frozen=True)
class Done:
    """How a run ended."""

    returncode: int
    stdout: str
    stderr: str


@dataclass
class Desk:
    """A folder with a model and recordings, and xplain run in it."""

    folder: Path
    patch: pytest.MonkeyPatch
    output: pytest.CaptureFixture[str]

    @classmethod
    def laid(
        cls, folder: Path, patch: pytest.MonkeyPatch, output: pytest.CaptureFixture[str]
    ) -> Desk:
        """Lay it out: a model, two recordings of one name, and a file that is none."""
        (folder / "model.py").write_text(MODEL.format(tests=str(Path(__file__).parent)))
        clip = tone(440) + 0.2 * tone(1200)
        soundfile.write(folder / "a.wav", clip.numpy(), RATE)
        (folder / "b").mkdir()
        soundfile.write(folder / "b" / "a.wav", tone(2500, 0.3).numpy(), RATE)
        (folder / "text.wav").write_text("not audio")
        return cls(folder, patch, output)

    def run(self, *arguments: str) -> Done:
        self.patch.chdir(self.folder)
        self.patch.setattr(sys, "argv", ["xplain", *arguments])
        self.patch.setattr(warnings, "showwarning", warnings.showwarning)
        self.output.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code is None or isinstance(ended.value.code, int)
        return Done(ended.value.code or 0, *self.output.readouterr())

    def explain(self, *arguments: str) -> Done:
        return self.run("explain", "--model", "model.py:make", *arguments)


def explained(folder: Path) -> dict[str, tuple[str, str]]:
    """Target and method of the explanations in a folder."""
    loaded = {p.parent.name: xplain.Explanation.load(p.parent) for p in folder.glob("*/*.json")}
    return {
        name: (e.target.label, e.provenance["explainer"]["name"].partition("/")[2])
        for name, e in loaded.items()
    }


def shell(desk: Desk, line: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in which $XPLAIN is the installed command."""
    environment = {**os.environ, "XPLAIN": str(Path(sys.executable).with_name("xplain"))}
    return subprocess.run(
        ["bash", "-c", line], cwd=desk.folder, capture_output=True, text=True, env=environment
    )


def installed(desk: Desk, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = Path(sys.executable).with_name("xplain")
    return subprocess.run([command, *arguments], cwd=desk.folder, capture_output=True, text=True)
