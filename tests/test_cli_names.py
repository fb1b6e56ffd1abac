"""Where the command line writes, and what it leaves as it is."""

from __future__ import annotations

import json
import shutil

from desk import Desk, explained, installed
from test_report import held

import xplain
from xplain.cli.batch import free, recordings


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


def test_the_page_is_made_again_from_folders_without_any_plugin(desk: Desk) -> None:
    desk.explain("a.wav")
    page = desk.folder / "out" / "index.html"
    before = page.read_bytes()
    page.unlink()
    desk.patch.setenv("XPLAIN_PLUGINS", "")
    assert desk.run("report", "out").returncode == 0
    assert page.read_bytes() == before
    assert desk.run("report", "b").returncode == 2


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
