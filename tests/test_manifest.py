"""One reader of manifests: every encoding that spreadsheets write, and faults with their line."""

import pytest

from xplain.errors import XplainError
from xplain.manifest import check_files, rows

TEXT = 'path,label,split\na.wav,one,train\n"b, c.wav",two,test\n\nsub/d.wav,one,test\n'


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode(),
        TEXT.encode("utf-8-sig"),
        TEXT.encode("utf-16"),
        b"\xfe\xff" + TEXT.encode("utf-16-be"),
        TEXT.replace("\n", "\r\n").encode(),
        TEXT.replace(",one", ";one").replace(",two", ";two").replace(",t", ";t").encode()
        .replace(b"path,label,split", b"path;label;split"),
        TEXT.replace("path,label", " path , label ").encode(),
    ],
    ids=["utf-8", "bom", "utf-16", "utf-16-be", "crlf", "semicolons", "spaces"],
)  # fmt: skip
def test_rows_as_spreadsheets_write_them(tmp_path, content):
    (tmp_path / "m.csv").write_bytes(content)
    found = rows(tmp_path / "m.csv", ["label"])
    assert [row["path"] for row in found] == ["a.wav", "b, c.wav", "sub/d.wav"]
    assert [row["label"] for row in found] == ["one", "two", "one"]
    assert [row.place[len(str(tmp_path)) :] for row in found] == [
        f"/m.csv, line {line}" for line in (2, 3, 5)
    ]
    assert found[2].file == tmp_path / "sub" / "d.wav" and found[0]["nothing"] == ""
    asked = rows(tmp_path / "m.csv", ["label"], {"label": "one"}, "test")
    assert [row["path"] for row in asked] == ["sub/d.wav"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no column 'path'"),
        ("file,label\na,b\n", "has no column 'path'"),
        ("path,lable\na,b\n", "no column 'label'; did you mean 'lable'"),
        ("path,label,label\na,b,c\n", "column 'label' more than once"),
        ("path,label\n", "lists no recording"),
        ("path,label\na\n", "line 2: the row has 1 fields, and there are 2"),
        ("path,label\na,b\nc,d,e\n", "line 3: the row has 3 fields"),
        ("path,label\na,b\n,d\n", "line 3: the column path is empty"),
        ("path,label\na,\n", "line 2: the column label is empty"),
        ("path,label\na,b\n./a,c\n", "line 3: ./a is listed in line 2 already"),
        ('path,label\n"a,b\n', "cannot be read as a manifest"),
        ("path,label\na\0b,c\n", "zero byte|cannot be read"),
        ("path,label\n" + "a" * 200_000 + ",c\n", "field larger than field limit"),
    ],
)
def test_faults_are_named_with_their_place(tmp_path, text, words):
    (tmp_path / "m.csv").write_text(text)
    with pytest.raises(XplainError, match=words) as caught:
        rows(tmp_path / "m.csv", ["label"])
    assert "\n" not in str(caught.value) and "m.csv" in str(caught.value)


def test_what_is_asked_for_and_not_there_is_answered_with_what_is(tmp_path):
    (tmp_path / "m.csv").write_text(TEXT)
    with pytest.raises(XplainError, match="no split 'tets'; did you mean 'test'"):
        rows(tmp_path / "m.csv", split="tets")
    with pytest.raises(XplainError, match="no recording with label=two and split=train"):
        rows(tmp_path / "m.csv", where={"label": "two"}, split="train")
    with pytest.raises(XplainError, match="no column 'speaker'"):
        rows(tmp_path / "m.csv", where={"speaker": "two"})
    with pytest.raises(XplainError, match="save it as CSV in UTF-8"):
        (tmp_path / "latin.csv").write_bytes("path\nBlåbär.wav\n".encode("latin-1"))
        rows(tmp_path / "latin.csv")


def test_a_recording_may_be_listed_twice_where_that_is_said(tmp_path):
    (tmp_path / "m.csv").write_text("path,start\na.wav,1\na.wav,2\n")
    assert [row["start"] for row in rows(tmp_path / "m.csv", once=False)] == ["1", "2"]


def test_files_that_do_not_exist(tmp_path):
    (tmp_path / "m.csv").write_text("path\na.wav\nb.wav\n")
    (tmp_path / "a.wav").touch()
    with pytest.raises(XplainError, match=r"1 of 2 files do not exist, such as b\.wav"):
        check_files(rows(tmp_path / "m.csv"), tmp_path / "m.csv")
