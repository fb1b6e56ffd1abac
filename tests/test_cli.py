"""The command line: what a user types and reads, run as a user runs it."""

from __future__ import annotations

import codecs
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from test_report import held
from toys import RATE, tone

import xplain
from xplain import discovery
from xplain.cli.batch import free, recordings
from xplain.cli.explain import summary
from xplain.cli.main import _count_interrupts, _plainly, main

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


@pytest.fixture
def desk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Desk:
    (tmp_path / "model.py").write_text(MODEL.format(tests=str(Path(__file__).parent)))
    clip = tone(440) + 0.2 * tone(1200)
    soundfile.write(tmp_path / "a.wav", clip.numpy(), RATE)
    (tmp_path / "b").mkdir()
    soundfile.write(tmp_path / "b" / "a.wav", tone(2500, 0.3).numpy(), RATE)
    (tmp_path / "text.wav").write_text("not audio")
    return Desk(tmp_path, monkeypatch, capsys)


def test_explaining_a_file_leaves_a_folder_and_a_page(desk: Desk) -> None:
    done = desk.explain("a.wav", "--out", "o", "--keep", "0.1", "--keep", "0.02")
    assert done.returncode == 0 and done.stdout == ""
    assert "a: low" in done.stderr and "o/a/index.html" in done.stderr
    assert "  frequencies: 400–510 Hz" in done.stderr
    assert {p.name for p in (desk.folder / "o").iterdir()} == {"a", "index.html"}
    assert xplain.Explanation.load(desk.folder / "o" / "a").keep(0.02).shape == (RATE // 2,)


def test_what_was_asked_is_told_apart_from_what_was_decided(desk: Desk) -> None:
    said = desk.explain("a.wav", "--target", "mid", "--versus", "high").stderr
    assert "a: low (" in said and "  explained: mid (" in said and "rather than high" in said


def test_json_is_one_object_per_clip_and_nothing_else(desk: Desk) -> None:
    done = desk.explain("a.wav", "b/a.wav", "--json", "--remove", "0.2", "--param", "steps=9")
    assert done.returncode == 0
    assert "explaining" in done.stderr and "2/2" in done.stderr
    first, second = map(json.loads, done.stdout.splitlines())
    assert set(first) == {
        "audio", "model", "target", "explainer", "synthesizer", "route", "bands", "selection",
        "groups", "results",
        "completeness_error", "converged", "verdict", "warnings", "files",
    }  # fmt: skip
    assert first["audio"]["path"] == "a.wav" and first["model"] == "bands"
    assert (first["target"]["label"], second["target"]["label"]) == ("low", "high")
    assert first["explainer"]["parameters"]["steps"] == 9
    *kept, remove = first["results"]
    keep = kept[1]
    assert [result["ratio"] for result in kept] == [0.05, 0.1, 0.2, 0.3, 0.5, 1.0]
    assert (keep["kind"], keep["ratio"], remove["kind"], remove["ratio"]) == (
        "keep", 0.1, "remove", 0.2,
    )  # fmt: skip
    assert set(remove["reencoded"]) == {"probability", "label", "agrees"}
    assert remove["label"] == "mid" and remove["agrees"] is False
    for clip in (first, second):
        for path in [clip["files"]["page"], clip["files"]["original"], clip["results"][0]["file"]]:
            assert (desk.folder / path).is_file()
    assert first["files"]["folder"] != second["files"]["folder"]


def test_synthesizers_replacements_and_baselines_take_parameters(desk: Desk) -> None:
    soundfile.write(desk.folder / "hum.wav", tone(100).numpy(), RATE)
    done = desk.explain(
        "a.wav", "--synthesizer", "stft", "--synthesizer-param", "window=0.016",
        "--replacement", "recording", "--replacement-param", "file=hum.wav",
        "--baseline", "white-noise", "--baseline-param", "draws=2", "--param", "steps=5",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    p = xplain.Explanation.load(desk.folder / "out" / "a").provenance
    assert p["synthesizer"]["parameters"]["window"] == 0.016
    assert p["replacement"]["parameters"] == {"file": "hum.wav"}
    assert p["baseline"]["parameters"] == {"draws": 2}
    assert p["explainer"]["parameters"]["steps"] == 5


def test_a_broken_clip_is_named_and_the_others_are_done(desk: Desk) -> None:
    done = desk.explain("text.wav", "a.wav", "missing.wav", "--json")
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 1
    assert "text.wav: not a recording" in done.stderr
    assert "missing.wav: the file does not exist" in done.stderr
    assert "2 of 3 clips failed: text.wav, missing.wav" in done.stderr
    assert sorted(p.name for p in (desk.folder / "out").iterdir()) == ["a", "index.html"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--model", "zooo:digits"], "did you mean"),
        (["--target", "lwo"], "did you mean 'low'"),
        (["--target", "low@3-1"], "time span"),
        (["--versus", "hihg"], "did you mean 'high'"),
        (["--synthesizer", "sfft"], "did you mean 'stft'"),
        (["--explainer", "salience"], "did you mean 'saliency'"),
        (["--param", "step=3"], "did you mean 'steps'"),
        (["--param", "steps"], "NAME=VALUE"),
        (["--param", "tolerance=NaN"], "cannot be NaN"),
        (["--synthesizer-param", "windw=1"], "did you mean 'window'"),
        (["--replacement-param", "file"], "--replacement-param takes NAME=VALUE"),
        (["--replacement", "recording"], "give file= a recording"),
        (["--replacement", "recording", "--replacement-param", "file=gone.wav"], "does not exist"),
        (["--baseline-param", "draws=2"], "give a baseline"),
        (["--target", "low", "--versus", "low"], "against itself"),
        (["--target", "low@0-1"], "once per clip"),
        (["--replacement", "silense"], "did you mean 'silence'"),
        (["--baseline", "silense"], "did you mean 'silence'"),
        (["--grouping", "frames"], "did you mean 'frame'"),
        (["--keep", "10"], "between 0 and 1"),
        (["--keep", "ten"], "--keep"),
        (["--kepe", "0.1"], "--keep"),
        (["--out", "a.wav"], "a.wav is a file"),
        (["--device", "tpu9"], "tpu9"),
    ],
)
def test_wrong_usage_is_answered_in_one_line_with_status_2(
    desk: Desk, arguments: list[str], reason: str
) -> None:
    done = desk.explain("a.wav", *arguments)
    assert done.returncode == 2, done.stderr
    assert reason in done.stderr and "Traceback" not in done.stderr
    if done.stderr.startswith("error: "):
        assert done.stderr.count("\n") == 1
    assert not (desk.folder / "out").exists()


def test_any_file_name_goes_through_to_the_page(desk: Desk) -> None:
    names = ["sp ace.wav", "ü'&<>.wav", "caf\udce9.wav", "-dash.wav", "a.b.wav"]
    for name in names:
        shutil.copy(desk.folder / "a.wav", desk.folder / name)
    clips = [f"./{name}" for name in names]
    done = installed(desk, "explain", "--model", "model.py:make", "--json", *clips)
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines():
        assert (desk.folder / json.loads(line)["files"]["original"]).is_file()
    assert (desk.folder / "out" / "index.html").is_file()


def test_what_a_model_prints_does_not_reach_the_machines(desk: Desk) -> None:
    done = desk.run("explain", "--model", "model.py:loud", "a.wav", "--json")
    assert json.loads(done.stdout)["target"]["label"] == "low"
    assert "hello from the file" in done.stderr and "hello from the model" in done.stderr


def test_a_page_that_cannot_be_written_costs_nothing_but_the_page(desk: Desk) -> None:
    (desk.folder / "out" / "index.html").mkdir(parents=True)
    done = desk.explain("missing.wav", "a.wav", "--json")
    assert done.returncode == 1
    assert "missing.wav: the file does not exist" in done.stderr
    assert "saved, but not their table" in done.stderr
    assert xplain.Explanation.load(desk.folder / "out" / "a").saved


def test_no_name_of_a_clip_leads_out_of_the_folder_or_over_the_page(desk: Desk) -> None:
    for name in ("..wav", "...wav", "index.html.wav"):
        shutil.copy(desk.folder / "a.wav", desk.folder / name)
    done = desk.explain("..wav", "...wav", "index.html.wav", "--out", "deep/out")
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in (desk.folder / "deep" / "out").iterdir()) == [
        "clip", "clip-2", "index.html", "index.html-2",
    ]  # fmt: skip
    assert [p.name for p in (desk.folder / "deep").iterdir()] == ["out"]


def test_another_recording_of_the_same_name_does_not_replace_the_first(desk: Desk) -> None:
    desk.explain("a.wav")
    desk.explain("b/a.wav")
    desk.explain("a.wav")
    labels = {
        p.name: xplain.Explanation.load(p).target.label
        for p in (desk.folder / "out").iterdir()
        if p.is_dir()
    }
    assert labels == {"a": "low", "a-2": "high"}


def test_silence_is_a_warning_and_its_completeness_is_null(desk: Desk) -> None:
    soundfile.write(desk.folder / "s.wav", torch.zeros(RATE).numpy(), RATE)
    done = desk.explain("s.wav", "--json")
    assert done.returncode == 0 and "warning: s.wav: the recording is silent" in done.stderr
    assert json.loads(done.stdout)["completeness_error"] is None


def test_the_page_is_made_again_from_folders_without_any_plugin(desk: Desk) -> None:
    desk.explain("a.wav")
    page = desk.folder / "out" / "index.html"
    before = page.read_bytes()
    page.unlink()
    desk.patch.setenv("XPLAIN_PLUGINS", "")
    assert desk.run("report", "out").returncode == 0
    assert page.read_bytes() == before
    assert desk.run("report", "b").returncode == 2


def test_plugins_are_listed_for_people_and_for_machines(desk: Desk) -> None:
    done = desk.run("plugins")
    assert done.returncode == 0 and "integrated-gradients" in done.stdout
    listed = json.loads(desk.run("plugins", "--json").stdout)
    assert {"kind", "name", "distribution", "version", "summary", "state", "cause"} <= set(
        listed[0]
    )


def test_help_lists_every_command_of_every_distribution(desk: Desk) -> None:
    done = desk.run("--help")
    assert done.returncode == 0
    for command in ("explain", "plugins", "report", "demo"):
        assert f"  {command} " in done.stdout


def test_every_command_is_listed_by_what_it_does_and_the_version_is_told(desk: Desk) -> None:
    helped = desk.run("--help").stdout
    assert re.search("  report +Write the pages of saved explanations again", helped)
    (benchmark,) = [line for line in helped.splitlines() if line.startswith("  benchmark ")]
    assert benchmark.split(None, 1)[1].startswith("Rank methods")
    assert "cannot be read" not in helped
    assert desk.run("--version").stdout == f"xplain {xplain.__version__}\n"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["explian"], "no command 'explian'; did you mean 'explain'"),
        (["plugins", "chek"], "no command 'chek'; did you mean 'check'"),
        (["\x1b[31mreport"], "no command '\\x1b[31mreport'"),
    ],
)
def test_a_misspelt_command_is_answered_with_the_nearest(
    desk: Desk, typed: list[str], said: str
) -> None:
    done = desk.run(*typed)
    assert done.returncode == 2 and said in done.stderr and done.stderr.count("\n") == 1


def test_a_command_of_a_distribution_that_is_absent_names_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xplain.cli.commands.installed", lambda: ((), ()))
    done = desk.run("benchmark", "b.toml")
    assert done.returncode == 2 and "pip install xplain-evaluation" in done.stderr


def test_without_a_model_it_is_said_which_there_are(desk: Desk) -> None:
    done = desk.run("explain", "a.wav")
    assert done.returncode == 2 and done.stdout == ""
    for scheme in ("zoo:…", "hf:…", "FILE.py:FACTORY"):
        assert scheme in done.stderr


def test_every_option_states_its_default(desk: Desk) -> None:
    for command in ("explain", "segment"):
        helped = " ".join(desk.run(command, "--help").stdout.split())
        options = re.split(r" (?=--[a-z])", helped.partition("Options: ")[2])
        for option in options:
            if not option.startswith(("--json", "--help")):
                assert "[default: " in option, option


def test_every_help_has_an_example() -> None:
    """Of the commands of all distributions, of ours and of those that a stranger installs."""

    def without(app: Any, name: str) -> Iterator[str]:
        for command in app.registered_commands:
            if "Example" not in (command.callback.__doc__ or ""):
                yield f"{name} {command.name or command.callback.__name__}"
        for group in app.registered_groups:
            yield from without(group.typer_instance, f"{name} {group.name}")

    commands = [
        one.entry for one in discovery.installed()[0] if one.entry.group.startswith("xplain.comm")
    ]
    assert len(commands) > 5
    assert [name for one in commands for name in without(one.load(), one.name)] == []


def test_a_shell_completes_commands(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_XPLAIN_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "xplain exp")
    monkeypatch.setenv("COMP_CWORD", "1")
    assert installed(desk).stdout.split() == ["explain"]


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


# --- names on disk ---------------------------------------------------------------------


def explained(folder: Path) -> dict[str, tuple[str, str]]:
    """Target and method of the explanations in a folder."""
    loaded = {p.parent.name: xplain.Explanation.load(p.parent) for p in folder.glob("*/*.json")}
    return {
        name: (e.target.label, e.provenance["explainer"]["name"].partition("/")[2])
        for name, e in loaded.items()
    }


def test_another_method_model_or_target_has_its_own_folder_unless_overwritten(desk: Desk) -> None:
    integrated, saliency = ("low", "integrated-gradients"), ("low", "saliency")
    few = ("--param", "steps=2")
    desk.explain("a.wav", *few)
    desk.explain("a.wav", "--explainer", "saliency")
    desk.explain("a.wav", "--target", "mid", *few)
    again = desk.explain("a.wav", *few)
    assert "page: out/a/index.html" in again.stderr
    desk.run("explain", "--model", "model.py:other", "a.wav", *few)
    every = {"a": integrated, "a-2": saliency, "a-3": ("mid", "integrated-gradients")}
    assert explained(desk.folder / "out") == {**every, "a-4": integrated}
    desk.explain("a.wav", "--explainer", "saliency", "--overwrite")
    assert explained(desk.folder / "out")["a"] == saliency
    assert desk.run("report", "out").returncode == 0
    rows = held(desk.folder / "out" / "index.html")["rows"]
    assert [row["name"] for row in rows] == ["a", "a-2", "a-3", "a-4"]


def test_the_same_call_again_writes_the_same_bytes_in_the_same_place(desk: Desk) -> None:
    desk.explain("a.wav", "b/a.wav", "--param", "steps=2")
    before = {p: p.read_bytes() for p in (desk.folder / "out").rglob("*") if p.is_file()}
    desk.explain("a.wav", "b/a.wav", "--param", "steps=2")
    assert {p: p.read_bytes() for p in (desk.folder / "out").rglob("*") if p.is_file()} == before
    rows = held(desk.folder / "out" / "index.html")["rows"]
    assert [row["file"] for row in rows] == ["a.wav", "b/a.wav"]


def test_what_others_wrote_stays_as_it_is(desk: Desk) -> None:
    (desk.folder / "out" / "a").mkdir(parents=True)
    (desk.folder / "out" / "a" / "notes.txt").write_text("mine")
    (desk.folder / "out" / "index.html").write_text("my site")
    done = desk.explain("a.wav", "--overwrite", "--json")
    assert done.returncode == 0
    files = json.loads(done.stdout)["files"]
    assert files["folder"] == "out/a-2" and files["page"] == "out/a-2/index.html"
    assert (desk.folder / files["page"]).is_file()
    assert held(desk.folder / "out" / "index-2.html")["rows"]
    assert (desk.folder / "out" / "index.html").read_text() == "my site"
    assert [p.name for p in (desk.folder / "out" / "a").iterdir()] == ["notes.txt"]


def test_names_that_a_file_system_may_confuse_are_told_apart() -> None:
    taken: set[str] = set()
    names = ["Ä", "a\u0308", "ä", "..", "x" * 300]
    assert [free(name, taken, lambda _: True) for name in names] == [
        "Ä", "a\u0308-2", "ä-3", "clip", "x" * 200,
    ]  # fmt: skip


def test_one_damaged_explanation_is_named_and_the_page_is_written_for_the_rest(
    desk: Desk,
) -> None:
    desk.explain("a.wav", "b/a.wav")
    (desk.folder / "out" / "a-2" / "explanation.json").write_text("{")
    done = desk.run("report", "out")
    assert done.returncode == 1
    assert "a-2" in done.stderr and "1 of 2 explanations are damaged" in done.stderr
    good, bad = held(desk.folder / "out" / "index.html")["rows"]
    assert good["prediction"] and "damaged" not in good and "a-2" in bad["error"]
    (desk.folder / "out" / "a" / "explanation.json").write_text("[]")
    assert desk.run("report", "out").returncode == 1


# --- the terminal ----------------------------------------------------------------------


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


def test_many_clips_are_told_in_a_line_each_and_a_table(desk: Desk) -> None:
    desk.patch.setattr("xplain.cli.explain.FEW", 1)
    done = desk.explain("a.wav", "b/a.wav", "--explainer", "saliency")
    told = [line for line in done.stderr.splitlines() if line.startswith("a")]
    assert len(told) == 2 and told[0].startswith("a: low (") and "check: " in told[0]
    page, head, low, high = done.stderr.splitlines()[-4:]
    assert head.split()[0] == "clips" and page == "page: out/index.html"
    assert low.split()[:2] == ["low", "1"] and high.split()[:2] == ["high", "1"]


def test_the_table_of_many_clips_counts_verdicts_by_label() -> None:
    told = [("yes", "faithful"), ("no", "unfaithful"), ("yes", "faithful"), ("yes", "unfaithful")]
    assert [line.split() for line in summary(told)] == [
        ["clips", "faithful", "unfaithful"], ["yes", "3", "2", "1"], ["no", "1", "0", "1"],
    ]  # fmt: skip


def test_folders_and_manifests_stand_for_their_recordings(desk: Desk) -> None:
    (desk.folder / "b" / "notes.txt").write_text("no recording")
    (desk.folder / "b" / ".hidden.wav").write_text("hidden")
    (desk.folder / "list.csv").write_text("path,label\na.wav,low\n")
    given = [str(desk.folder / name) for name in ("b", "list.csv", "gone.wav")]
    names = ("b/a.wav", "a.wav", "gone.wav")
    assert recordings(given) == [str(desk.folder / name) for name in names]
    (desk.folder / "none").mkdir()
    done = desk.explain("none")
    assert done.returncode == 2 and "none holds no recording" in done.stderr


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


def shell(desk: Desk, line: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in which $XPLAIN is the installed command."""
    environment = {**os.environ, "XPLAIN": str(Path(sys.executable).with_name("xplain"))}
    return subprocess.run(
        ["bash", "-c", line], cwd=desk.folder, capture_output=True, text=True, env=environment
    )


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


def installed(desk: Desk, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = Path(sys.executable).with_name("xplain")
    return subprocess.run([command, *arguments], cwd=desk.folder, capture_output=True, text=True)


def test_the_installed_command_runs(desk: Desk) -> None:
    done = installed(desk, "explain", "--model", "model.py:make", "a.wav", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["target"]["label"] == "low"
