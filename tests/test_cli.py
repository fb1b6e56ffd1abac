"""The command line: what a user types and reads, run as a user runs it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import soundfile
import torch
from desk import Desk, installed
from toys import RATE, tone

import xplain
from xplain import discovery
from xplain.cli.explain import summary


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


def test_silence_is_a_warning_and_its_completeness_is_null(desk: Desk) -> None:
    soundfile.write(desk.folder / "s.wav", torch.zeros(RATE).numpy(), RATE)
    done = desk.explain("s.wav", "--json")
    assert done.returncode == 0 and "warning: s.wav: the recording is silent" in done.stderr
    assert json.loads(done.stdout)["completeness_error"] is None


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


# --- names on disk ---------------------------------------------------------------------


# --- the terminal ----------------------------------------------------------------------


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


def test_the_installed_command_runs(desk: Desk) -> None:
    done = installed(desk, "explain", "--model", "model.py:make", "a.wav", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["target"]["label"] == "low"
