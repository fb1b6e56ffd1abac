"""Manifests: how clips are parted, and what is said of those nothing can be learned from."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from xplain.errors import XplainError
from xplain_codecs.fit.manifest import Entry, read_manifest


class Sheet:
    """A manifest of files that are there, though nobody has listened to them."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "manifest.csv"
        self.header = "path,label"
        self.rows: list[str] = []

    def add(self, *rows: str) -> None:
        for row in rows:
            (self.path.parent / row.partition(",")[0]).touch()
        self.rows += rows

    def read(
        self, where: dict[str, str] | None = None, split_by: str | None = None, seed: int = 0
    ) -> list[Entry]:
        self.path.write_text("\n".join([self.header, *self.rows, ""]), "utf-8")
        return read_manifest(self.path, where or {}, split_by, seed)


@pytest.fixture
def sheet(tmp_path: Path) -> Sheet:
    return Sheet(tmp_path)


def sizes(entries: list[Entry]) -> Counter[str]:
    return Counter(entry.part for entry in entries)


def test_the_parts_of_the_manifest_are_taken_as_they_are(sheet: Sheet) -> None:
    sheet.header = "path,split,label"
    sheet.add("a,train,x", "b,train,y", "c,dev,x", "d,test,y")
    entries = sheet.read()
    assert [(e.name, e.part, e.label) for e in entries] == [
        ("a", "train", "x"),
        ("b", "train", "y"),
        ("c", "dev", "x"),
        ("d", "test", "y"),
    ]
    assert entries[0].file == sheet.path.parent / "a"


def test_without_a_split_a_fifth_of_each_label_is_test_and_a_tenth_of_the_rest_dev(
    sheet: Sheet,
) -> None:
    sheet.add(*(f"x{n},x" for n in range(100)), *(f"y{n},y" for n in range(50)))
    entries = sheet.read()
    assert Counter((e.label, e.part) for e in entries) == {
        ("x", "test"): 20,
        ("x", "dev"): 8,
        ("x", "train"): 72,
        ("y", "test"): 10,
        ("y", "dev"): 4,
        ("y", "train"): 36,
    }
    assert sheet.read() == entries
    assert sheet.read(seed=1) != entries


def test_only_the_part_that_is_missing_is_made(sheet: Sheet) -> None:
    sheet.header = "path,label,split"
    sheet.add(*(f"x{n},{'xy'[n % 2]},train" for n in range(40)), "t0,x,test", "t1,y,test")
    entries = sheet.read()
    assert sizes(entries) == {"train": 36, "dev": 4, "test": 2}
    assert [e.name for e in entries if e.part == "test"] == ["t0", "t1"]


def test_held_out_speakers_are_in_one_part_alone(sheet: Sheet) -> None:
    sheet.header = "path,label,speaker"
    sheet.add(*(f"c{n},{'xy'[n % 2]},s{n // 10}" for n in range(100)))
    entries = sheet.read(split_by="speaker")
    parts = {speaker: {e.part for e in entries if e.group == speaker} for speaker in ("s0", "s9")}
    assert all(len(found) == 1 for found in parts.values())
    assert sizes(entries) == {"test": 20, "dev": 10, "train": 70}


def test_rows_are_chosen_by_their_columns(sheet: Sheet) -> None:
    sheet.header = "path,label,split,set"
    sheet.add("a,x,train,1", "b,y,train,1", "c,x,dev,1", "d,y,test,1", "e,z,train,2")
    assert [e.name for e in sheet.read({"set": "1"})] == ["a", "b", "c", "d"]


def test_a_manifest_that_is_not_there_or_not_text_is_named(sheet: Sheet, tmp_path: Path) -> None:
    with pytest.raises(XplainError, match=r"nothing\.csv cannot be read as a manifest"):
        read_manifest(tmp_path / "nothing.csv", {}, None, 0)
    sheet.path.write_bytes(b"path,label\n\xff\xfe,x\n")
    with pytest.raises(XplainError, match="cannot be read as a manifest"):
        read_manifest(sheet.path, {}, None, 0)


@pytest.mark.parametrize(
    ("header", "where", "split_by", "said"),
    [
        ("path,lable", {}, None, "no column 'label'; did you mean 'lable'"),
        ("file,label", {}, None, "no column 'path'"),
        ("path,label", {"dataset": "a"}, None, "no column 'dataset'"),
        ("path,label", {}, "speaker", "no column 'speaker'"),
        ("path,label", {"label": "z"}, None, "has no label 'z'; available: x, y"),
    ],
)
def test_columns_that_are_not_there_are_named(
    sheet: Sheet, header: str, where: dict[str, str], split_by: str | None, said: str
) -> None:
    sheet.header = header
    sheet.add("a,x", "b,y")
    with pytest.raises(XplainError, match=said):
        sheet.read(where, split_by)


def test_a_manifest_without_rows_is_refused(sheet: Sheet) -> None:
    with pytest.raises(XplainError, match="lists no recording"):
        sheet.read()


def test_missing_files_are_counted_and_named(sheet: Sheet) -> None:
    sheet.add("a,x", "b,y")
    sheet.rows += ["gone,x", "lost,y"]
    with pytest.raises(XplainError, match="2 of 4 files do not exist, such as gone, lost"):
        sheet.read()


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (["a,x,train", "b,,train"], "line 3: the column label is empty"),
        (["a,x,train", "b,y,validation"], "line 3: split is one of train, dev, test, not 'valid"),
        (["a,x,train", "b,y,"], "line 3: split is one of train, dev, test, not ''"),
        (["a,x,train", "b,y"], "line 3: the row has 2 fields, and there are 3 columns"),
        (["a,x,train", "a,x,test"], "line 3: a is listed in line 2 already"),
        (["a,x,dev", "b,y,test"], "no training clip has the label 'x', 'y'|no clip is left for"),
        (["a,x,train", "b,x,dev", "c,x,test"], "all clips have the label 'x'"),
        (
            ["a,x,train", "b,y,train", "c,x,dev", "d,z,test"],
            "no training clip has the label 'z'",
        ),
    ],
)
def test_rows_that_cannot_be_learned_from_are_named(
    sheet: Sheet, rows: list[str], said: str
) -> None:
    sheet.header = "path,label,split"
    sheet.add(*rows)
    with pytest.raises(XplainError, match=said):
        sheet.read()


def test_too_few_clips_or_speakers_to_hold_any_out_is_said(sheet: Sheet) -> None:
    sheet.header = "path,label,speaker"
    sheet.add("a,x,s", "b,y,s")
    with pytest.raises(XplainError, match="too few clips to take some for test"):
        sheet.read()
    with pytest.raises(XplainError, match="all of 's', so that none of another can be taken"):
        sheet.read(split_by="speaker")
    sheet.header = "path,label,split"
    with pytest.raises(XplainError, match="split is one of"):
        sheet.read()


def test_a_manifest_of_test_clips_alone_has_nothing_to_train_on(sheet: Sheet) -> None:
    sheet.header = "path,label,split"
    sheet.add("a,x,test", "b,y,test")
    with pytest.raises(XplainError, match="no clip is there to train on"):
        sheet.read()
