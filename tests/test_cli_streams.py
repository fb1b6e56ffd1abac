"""What the command line prints and where, and what becomes of an interruption or a full disk."""

from __future__ import annotations

import codecs
import io
import json
import os
import re
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from desk import Desk, explained, shell
from test_report import held

from xplain.cli.main import _count_interrupts, _plainly


def test_what_a_model_prints_does_not_reach_the_machines(desk: Desk) -> None:
    done = desk.run("explain", "--model", "model.py:loud", "a.wav", "--json")
    assert json.loads(done.stdout)["target"]["label"] == "low"
    assert "hello from the file" in done.stderr and "hello from the model" in done.stderr


@pytest.mark.parametrize("plain", [False, True])
def test_long_work_says_what_time_is_left_and_keeps_to_no_color(
    plain: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from xplain import progress

    monkeypatch.setenv("FORCE_COLOR", "1")  # as in a terminal
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    if plain:
        monkeypatch.setenv("NO_COLOR", "1")
    progress._console.cache_clear()
    try:
        assert list(progress.track([1, 2, 3], 3, "explaining")) == [1, 2, 3]
    finally:
        progress._console.cache_clear()
    said = capsys.readouterr().err
    assert "3/3" in said and re.search(r"\d:\d\d:\d\d", said)
    assert bool(re.search(r"\x1b\[[\d;]*3\d", said)) is not plain


def test_what_does_not_print_is_escaped_in_terminal_and_page(desk: Desk) -> None:
    names = ["ev\u202elid\u200b\u2066in\u2069", "\x1b[31mred\nline"]
    for name in names:
        shutil.copy(desk.folder / "a.wav", desk.folder / f"{name}.wav")
    done = desk.explain(*(f"{name}.wav" for name in names), "gone\u202e.wav", "--param", "steps=2")
    page = (desk.folder / "out" / "index.html").read_text("utf-8")
    assert done.returncode == 1
    for text in (done.stderr, page):
        assert not set(text) & set("\u202e\u2066\u2069\u200b\x1b")
        for name in names:
            shown = name.encode("unicode_escape").decode()
            assert shown in text or json.dumps(shown)[1:-1] in text
    assert "gone\\u202e.wav: the file does not exist" in done.stderr


def test_quiet_says_nothing_but_what_went_wrong(desk: Desk) -> None:
    few = ("--explainer", "saliency", "--keep", "0.1", "--quiet")
    assert desk.explain("a.wav", *few).stderr == ""
    done = desk.explain("gone.wav", *few, "--json")
    assert done.stderr.splitlines()[0].startswith("error: gone.wav: the file does not exist")
    assert "a: low" in desk.explain("a.wav", *few[:-1]).stderr


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "cp932", "utf-8"])
def test_every_encoding_can_write_every_text(encoding: str) -> None:
    codecs.register_error("xplain", _plainly)
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, errors="xplain")
    stream.write("1.00 – 2.00 s … “seven” 98\N{NO-BREAK SPACE}% × −3 dB 日本 caf\udce9 ü")
    stream.flush()
    written = raw.getvalue().decode(encoding)
    assert "1.00 " in written and "2.00 s" in written and "\\udce9" in written
    if encoding == "ascii":
        assert written == '1.00 - 2.00 s ... "seven" 98 % x -3 dB \\u65e5\\u672c caf\\udce9 \\xfc'


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("stdout", [">/dev/full", ">&-"])
def test_a_standard_output_that_takes_nothing_is_said_once_and_every_clip_is_done(
    desk: Desk, stdout: str
) -> None:
    line = f"$XPLAIN explain --model model.py:make a.wav b/a.wav --param steps=2 --json {stdout}"
    done = shell(desk, line)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.count("error: standard output cannot be written") == 1
    assert set(explained(desk.folder / "out")) == {"a", "a-2"}
    listed = shell(desk, f"$XPLAIN --help {stdout}")
    assert listed.returncode == 1 and listed.stderr.count("\n") == 1
    assert "standard output cannot be written" in listed.stderr


def test_a_disk_that_takes_no_more_is_said_for_each_clip_and_nothing_is_half_written(
    desk: Desk,
) -> None:
    line = "ulimit -f 8; $XPLAIN explain --model model.py:make a.wav b/a.wav --param steps=2"
    done = shell(desk, line)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.count("cannot be written") == 2 and "2 of 2 clips failed" in done.stderr
    assert not (desk.folder / "out").exists()


def test_what_is_printed_below_python_does_not_reach_the_machines_in_any_encoding(
    desk: Desk,
) -> None:
    line = "PYTHONIOENCODING=cp932 $XPLAIN explain --model model.py:chatty a.wav --json"
    done = shell(desk, line)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["target"]["label"] == "low"
    for said in ("from C", "from a child", "from Python"):
        assert said in done.stderr


def test_an_interrupted_call_says_what_is_done_and_shows_it(desk: Desk) -> None:
    for name in ("c", "d"):
        shutil.copy(desk.folder / "a.wav", desk.folder / f"{name}.wav")
    line = "$XPLAIN explain --model model.py:interrupting a.wav b/a.wav c.wav d.wav --json"
    done = shell(desk, line)
    assert done.returncode == 130, done.stderr
    assert len(done.stdout.splitlines()) == 2
    assert "interrupted: 2 of 4 clips are done" in done.stderr
    assert done.stderr.rstrip().endswith("the rest: c.wav, d.wav")
    assert set(explained(desk.folder / "out")) == {"a", "a-2"}
    assert len(held(desk.folder / "out" / "index.html")["rows"]) == 2


class Interrupting(io.BytesIO):
    """A file that is being read when the user interrupts."""

    rest = True

    def readinto(self, buffer: object) -> int:
        if self.rest and self.tell() > 1000:
            self.rest = False
            os.kill(os.getpid(), signal.SIGINT)
        return super().readinto(buffer)  # type: ignore[arg-type]


def test_an_interruption_is_not_lost_in_what_libsndfile_asks_for() -> None:
    written = io.BytesIO()
    soundfile.write(written, np.zeros(60_000, np.float32), 8000, format="WAV")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        interrupts = _count_interrupts()
        with pytest.raises(KeyboardInterrupt):
            samples, _ = soundfile.read(Interrupting(written.getvalue()))
            assert len(samples) == 60_000
            time.sleep(10)
        assert interrupts
    finally:
        signal.signal(signal.SIGINT, before)
