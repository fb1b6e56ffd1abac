"""Segment files of other programs: read right, or refused with the number of the line."""

from __future__ import annotations

from pathlib import Path

import pytest

from xplain import ArtifactError
from xplain.segmentation.result import read_segments
from xplain.segmentation.segment import Segment

LONG = '''File type = "ooTextFile"
Object class = "TextGrid"

! by hand, 3 tiers of 2024
xmin = 0
xmax = 2.5e0
tiers? <exists>
size = 2
item []:
    item [1]:
        class = "IntervalTier"
        name = "wörter ""2"""
        xmin = 0
        xmax = 2.5
        intervals: size = 3
        intervals [1]:
            xmin = 0
            xmax = 1e-3
            text = ""
        intervals [2]:
            xmin = 1E-3 ! measured
            xmax = 1.2
            text = "ɪa ""!"" 1"
        intervals [3]:
            xmin = 1.2
            xmax = 2.5
            text = "two
lines"
    item [2]:
        class = "TextTier"
        name = "p"
        xmin = 0
        xmax = 2.5
        points: size = 1
        points [1]:
            number = 0.5
            mark = "x"
'''
SHORT = """File type = "ooTextFile"
Object class = "TextGrid"

0
2.5
<exists>
2
"TextTier"
"points"
0
2.5
1
0.7
"here"
"IntervalTier"
"a"
0
2.5
1
.5
2.5
"ja"
"""
RTTM = "SPEAKER m 1 1.50 2.25 <NA> <NA> spk1 <NA> <NA>\n"


def written(folder: Path, name: str, text: str, encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_a_long_textgrid_in_every_encoding_praat_writes(
    tmp_path: Path, encoding: str, newline: str
) -> None:
    text = ("\ufeff" if encoding == "utf-16-be" else "") + LONG.replace("\n", newline)
    assert read_segments(written(tmp_path, "x.TextGrid", text, encoding)) == (
        Segment('ɪa "!" 1', 0.001, 1.2),
        Segment("two\nlines", 1.2, 2.5),
    )


def test_a_short_textgrid_and_one_without_tiers(tmp_path: Path) -> None:
    assert read_segments(written(tmp_path, "x.TextGrid", SHORT)) == (Segment("ja", 0.5, 2.5),)
    none = SHORT[: SHORT.index("<exists>")] + "<absent>\n"
    assert read_segments(written(tmp_path, "y.TextGrid", none)) == ()


def test_rttm_with_comments_tabs_nine_fields_and_small_letters(tmp_path: Path) -> None:
    text = (
        ";; a comment\n\n"
        "SPKR-INFO m 1 <NA> <NA> <NA> unknown ann <NA>\n"
        "speaker\tm\t1\t1e-3\t1.5\t<NA>\t<NA>\tann\t<NA>\r\n"
        "SPEAKER m 1 2 0 <NA> <NA> nobody <NA> <NA>\n"
        "LEXEME m 1 2 1 word lex ann 0.5 <NA>\n"
        "  SPEAKER m 2 1 .5 <NA> <NA> bob 0.9 <NA>\n"
    )
    expected = (Segment("ann", 0.001, 1.501), Segment("bob", 1.0, 1.5))
    assert read_segments(written(tmp_path, "x.rttm", text)) == expected
    assert read_segments(written(tmp_path, "y.rttm", text, "utf-16")) == expected


def test_csv_in_other_orders_and_with_other_separators(tmp_path: Path) -> None:
    expected = (Segment("a; b", 0.5, 1.25, 0.75), Segment("c", 1.0, 2.0))
    for name, text in {
        "x.csv": 'Start,END,label,score\n0.5,1.25,"a; b",0.75\n1,2,c,\n',
        "y.csv": '"score";"label";"end";"start"\r\n0,75;"a; b";1,25;0,5\r\n;c;2;1\r\n',
        "z.csv": "label\tother\tstart\tend\tscore\na; b\tx\t5e-1\t1.25\t0.75\n\nc\t\t1\t2\t\n",
    }.items():
        assert read_segments(written(tmp_path, name, text, "utf-8-sig")) == expected, name


def test_audacity_with_frequencies_and_points(tmp_path: Path) -> None:
    text = "0.5\t1.5\tann and bob\n\\\t100.0\t-1.0\n2.0\t2.0\tpoint\n3\t3\n4\t5\tc\n"
    assert read_segments(written(tmp_path, "x.txt", text)) == (
        Segment("ann and bob", 0.5, 1.5),
        Segment("c", 4.0, 5.0),
    )


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("x.rttm", RTTM + RTTM.replace(" m ", " my meeting "), 2),
        ("x.rttm", RTTM + RTTM.replace("spk1", "speaker one"), 2),
        ("x.rttm", RTTM + ";;\n" + RTTM.replace("1.50", "-0.02"), 3),
        ("x.rttm", RTTM.replace("2.25", "-1"), 1),
        ("x.rttm", RTTM.replace("1.50", "nan"), 1),
        ("x.rttm", RTTM.replace("2.25", "inf"), 1),
        ("x.rttm", RTTM.replace("2.25", "1e999"), 1),
        ("x.rttm", RTTM.replace("2.25", "1_0"), 1),
        ("x.rttm", RTTM.replace("2.25", "٣"), 1),
        ("x.rttm", RTTM.replace("SPEAKER", "SPEKAER"), 1),
        ("x.rttm", RTTM.replace("spk1", "<NA>"), 1),
        ("x.rttm", "SPEAKER m 1 1.50 2.25 <NA> <NA> spk1\n", 1),
        ("x.csv", "label,start,end\na,1,2\nb,2,1\n", 3),
        ("x.csv", "label,start,end\na,1,2,3\n", 2),
        ("x.csv", 'label,start,end\na,1,2\n"b,2,3\n', 3),
        ("x.csv", "label,start,end\n,1,2\n", 2),
        ("x.csv", "label,start,end,score\na,1,2,nan\n", 2),
        ("x.csv", "label,start,start,end\na,1,2,3\n", 1),
        ("x.csv", "label,begin,end\na,1,2\n", 1),
        ("x.csv", "", 1),
        ("x.txt", "1\t2\ta\n1.0 2.0 a\n", 2),
        ("x.txt", "1\t2\ta\tb\n", 1),
        ("x.txt", "2\t1\ta\n", 1),
        ("x.txt", "1\t2\ta\n\\\tlow\t5\n", 2),
        ("x.txt", "\\\t1\t5\n", 1),
        ("x.txt", "1\t2\t\n", 1),
        ("x.TextGrid", LONG.replace("xmax = 1.2", "xmax = soon"), 23),
        ("x.TextGrid", LONG.replace("xmax = 1.2", "xmax = 0"), 22),
        ("x.TextGrid", LONG.replace("xmax = 1.2", "xmax = 1e999"), 22),
        ("x.TextGrid", LONG.replace("size = 3", "size = 4"), 30),
        ("x.TextGrid", LONG.replace("size = 3", "size = 2"), 25),
        ("x.TextGrid", LONG.replace("size = 3", "size = 999999999999"), 15),
        ("x.TextGrid", LONG.replace('lines"', "lines"), 30),
        ("x.TextGrid", LONG.replace('"TextTier"', '"Tier"'), 30),
        ("x.TextGrid", LONG[:-20], 37),
        ("x.TextGrid", "ooBinaryFile\x08TextGrid\x00\x00", 1),
        ("x.TextGrid", "nothing of the kind", 1),
    ],
)
def test_what_is_not_read_right_is_refused_with_its_line(
    name: str, text: str, line: int, tmp_path: Path
) -> None:
    with pytest.raises(ArtifactError, match=rf"{name}.*line {line}\b") as caught:
        read_segments(written(tmp_path, name, text))
    assert "\n" not in str(caught.value)


def test_what_is_neither_utf_8_nor_marked_utf_16_is_refused_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="line 2 "):
        read_segments(written(tmp_path, "x.csv", "label,start,end\nMüll,1,2\n", "latin-1"))
    with pytest.raises(ArtifactError, match="line 1 "):
        read_segments(written(tmp_path, "x.txt", "1\t2\ta\n", "utf-16-le"))
    cut = written(tmp_path, "cut.txt", "1\t2\ta\n2\t3\tb\n", "utf-16")
    cut.write_bytes(cut.read_bytes()[:-1])
    with pytest.raises(ArtifactError, match="line 2 is neither"):
        read_segments(cut)


def test_an_rttm_is_read_by_a_name_that_has_spaces(tmp_path: Path) -> None:
    path = written(tmp_path, "x.rttm", RTTM + RTTM.replace(" m ", " my_meeting "))
    assert read_segments(path, "my meeting") == (Segment("spk1", 1.5, 3.75),)
