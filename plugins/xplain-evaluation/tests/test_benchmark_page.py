"""The page of a benchmark, from results made by hand."""

from __future__ import annotations

import base64
import io
import itertools
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from typing import Any

import pytest
from PIL import Image

from xplain_evaluation.benchmark import page as benchmark
from xplain_evaluation.benchmark.config import CONTROLS
from xplain_evaluation.benchmark.page import page
from xplain_evaluation.benchmark.table import Against, Comparison, Results, Row
from xplain_evaluation.intervals import Difference

GROUP = ("zoo:digits", "fsdd", "")
NASTY = '<script>alert("1")</script> & $x_1$ $'


@dataclass(frozen=True)
class Cell:
    text: str
    values: tuple[float, ...]
    classes: frozenset[str]
    header: bool


class Page(HTMLParser):
    """What a page holds, for assertions: tables by class, each a list of rows of cells."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: dict[str, list[list[list[Cell]]]] = {}
        self.rows: list[tuple[frozenset[str], list[Cell]]] = []
        self.text = ""
        self.open: list[str] = []
        self._rows: list[list[Cell]] = []
        self._cell: tuple[list[str], list[float], frozenset[str], bool] | None = None
        self.source = source
        self.feed(source)
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_data(" ")  # what stands in different elements is not one word
        given = dict(attrs)
        classes = frozenset((given.get("class") or "").split())
        self.tags.append((tag, given))
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)
        if tag == "table":
            self._rows = []
            self.tables.setdefault(given["class"] or "", []).append(self._rows)
        elif tag == "tr":
            self._rows.append([])
            self.rows.append((classes, self._rows[-1]))
        elif tag in ("td", "th"):
            self._cell = ([], [], classes, tag == "th")
        elif tag == "data" and self._cell:
            self._cell[1].append(float(given["value"] or ""))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if tag in ("td", "th") and self._cell:
            text, values, classes, header = self._cell
            said = " ".join("".join(text).split())
            self._rows[-1].append(Cell(said, tuple(values), classes, header))
            self._cell = None

    def handle_data(self, data: str) -> None:
        if "style" in self.open:
            return
        self.text += data
        if self._cell:
            self._cell[0].append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def table(self, name: str) -> list[list[Cell]]:
        (rows,) = self.tables[name]
        return rows

    def cell(self, table: str, row: str, column: str) -> Cell:
        head, *body = self.table(table)
        at = next(n for n, cell in enumerate(head) if cell.text.split(" ")[0] == column)
        return next(line[at] for line in body if any(c.header and c.text == row for c in line))


def row(
    explainer: str,
    metric: str,
    mean: float | None,
    low: float | None = None,
    high: float | None = None,
    **other: Any,
) -> Row:
    given: dict[str, Any] = {
        "group": GROUP,
        "ratio": None,
        "better": "lower" if metric == "removal" else "higher",
        "clips": 10,
        "undefined": 0,
        "failed": 0,
    }
    return Row(
        explainer=explainer, metric=metric, mean=mean, low=low, high=high, **{**given, **other}
    )


def against(
    metric: str, one: str, other: str, mean: float | None, p: float | None, clips: int = 10
) -> Comparison:
    low, high = (None, None) if p is None or mean is None else (mean - 0.05, mean + 0.05)
    return Comparison(GROUP, metric, one, other, Difference(mean, low, high, p, clips), p)


def results(rows: Sequence[Row], comparisons: Sequence[Comparison] = (), **other: Any) -> Results:
    order = tuple(dict.fromkeys(r.explainer for r in rows))
    given: dict[str, Any] = {
        "order": {GROUP: order},
        "rank_by": rows[0].metric,
        "reasons": {},
        "failures": (),
        "warnings": (),
        "verdicts": {},
        "findings": (),
        "provenance": {"seed": 3, "draws": 500},
    }
    return Results(rows=tuple(rows), comparisons=tuple(comparisons), **{**given, **other})


FOUR = results(
    [
        row("gradients", "fidelity", 0.9125, 0.8, 0.95),
        row("gradients", "removal", 0.5, 0.4, 0.6),
        row("loudness", "fidelity", 0.85, 0.75, 0.9),
        row("loudness", "removal", 0.125, 0.1, 0.2),
        row("saliency", "fidelity", 0.7, 0.6, 0.8),
        row("saliency", "removal", 0.15, 0.05, 0.25),
        row("random", "fidelity", 0.3, 0.2, 0.4),
        row("random", "removal", 0.75, 0.7, 0.8),
    ],
    [
        against("fidelity", "gradients", "saliency", 0.2125, 0.01),
        against("fidelity", "gradients", "random", 0.6125, 0.01),
        against("fidelity", "gradients", "loudness", 0.0625, 0.05),
        against("fidelity", "saliency", "random", 0.4, 0.01),
        against("fidelity", "saliency", "loudness", -0.15, 0.02),
        against("fidelity", "random", "loudness", -0.55, 0.01),
        against("removal", "gradients", "saliency", 0.35, 0.01),
        against("removal", "gradients", "random", -0.25, 0.01),
        against("removal", "gradients", "loudness", 0.375, 0.01),
        against("removal", "saliency", "random", -0.6, 0.01),
        against("removal", "saliency", "loudness", 0.025, 0.6),
        against("removal", "random", "loudness", 0.625, 0.01),
    ],
)


def curve(explainer: str, values: Mapping[float, float | None]) -> list[Row]:
    known = [value for value in values.values() if value is not None]
    return [
        row(explainer, "fidelity", sum(known) / len(known) if known else None, 0.0, 1.0),
        *(
            row(
                explainer,
                "fidelity",
                v,
                None if v is None else v - 0.1,
                None if v is None else v + 0.1,
                ratio=r,
            )
            for r, v in values.items()
        ),
    ]


def test_the_table_has_the_numbers_of_the_results_best_method_first() -> None:
    shown = Page(page(FOUR))
    head, *body = shown.table("ranking")
    assert [c.text for c in head[:2]] == ["Place", "Method"]
    assert head[2].text == "fidelity ranks ↑ higher is better"
    assert head[3].text == "removal ↓ lower is better"
    assert [line[0].text for line in body] == ["1", "2", "3", "4"]
    assert [line[1].text.split()[0] for line in body] == [
        *("gradients", "loudness", "saliency", "random")
    ]
    for line in body:
        for cell, metric in zip(line[2:], ("fidelity", "removal"), strict=True):
            expected = FOUR.row(GROUP, line[1].text.split()[0], metric)
            assert cell.values == (expected.mean, expected.low, expected.high)
    assert body[0][2].text == "best: 0.912 0.800 to 0.950"


def test_the_order_is_that_of_the_results_not_of_their_rows() -> None:
    turned = replace(FOUR, order={GROUP: ("random", "saliency", "gradients", "loudness")})
    _, *body = Page(page(turned)).table("ranking")
    assert [line[1].text.split()[0] for line in body] == [
        *("random", "saliency", "gradients", "loudness")
    ]


def test_methods_of_one_value_share_a_place_and_one_without_a_value_has_none() -> None:
    rows = [row(name, "fidelity", mean) for name, mean in [("a", 0.5), ("b", 0.5), ("c", 0.25)]]
    _, *body = Page(page(results([*rows, row("d", "fidelity", None, clips=0)]))).table("ranking")
    assert [line[0].text for line in body] == ["1", "1", "3", "–"]


def test_the_best_is_bold_also_where_lower_is_better() -> None:
    _, *body = Page(page(FOUR)).table("ranking")
    bold = {
        (line[1].text.split()[0], n) for line in body for n in (2, 3) if "best" in line[n].classes
    }
    assert bold == {("gradients", 2), ("loudness", 3)}


def test_what_is_not_told_apart_from_the_best_is_marked_in_words() -> None:
    # p: gradients and loudness exactly 0.05 by fidelity, loudness and saliency 0.6 by removal.
    shown = Page(page(FOUR))
    _, *body = shown.table("ranking")
    near = {
        (line[1].text.split()[0], n) for line in body for n in (2, 3) if "near" in line[n].classes
    }
    assert near == {("loudness", 2), ("saliency", 3)}
    assert body[1][2].text.startswith("≈ not told apart from the best: 0.850")
    assert "≈: not told apart from the best" in shown.text


def test_without_a_p_nothing_is_told_apart() -> None:
    unsure = replace(FOUR, comparisons=tuple(replace(c, p=None) for c in FOUR.comparisons))
    _, *body = Page(page(unsure)).table("ranking")
    marks = [line[n].classes & {"best", "near"} for line in body for n in (2, 3)]
    assert all(len(m) == 1 for m in marks)


def test_nothing_is_best_where_all_have_the_same_value() -> None:
    rows = [row("a", "round-trip", 1.0, 1.0, 1.0), row("b", "round-trip", 1.0, 1.0, 1.0)]
    shown = page(results(rows, [against("round-trip", "a", "b", 0.0, 1.0)]))
    assert all(
        not cell.classes & {"best", "near"}
        for line in Page(shown).table("ranking")
        for cell in line
    )


def test_controls_stand_apart_and_the_page_says_what_they_are() -> None:
    shown = Page(page(FOUR))
    _, *body = shown.table("ranking")
    apart = [line[1].text for classes, line in shown.rows if line in body and "control" in classes]
    assert apart == ["loudness control", "random control"]
    assert "by 2 methods and 2 controls" in shown.text
    assert "Random is noise" in shown.text and "Loudness is how far" in shown.text
    assert set(benchmark.CONTROLS) == {control.label for control in CONTROLS}


def test_methods_that_do_not_beat_a_control_are_named() -> None:
    # Saliency is worse than loudness, and gradients are not told apart from it; both beat chance.
    text = Page(page(FOUR)).text
    assert "By fidelity, not shown to be better than loudness: gradients, saliency." in text
    assert "better than random" not in text


def test_of_many_methods_that_do_not_beat_a_control_the_first_are_named() -> None:
    rows = [row(name, "fidelity", 0.5) for name in (*"abcdefgh", "random")]
    text = Page(page(results(rows))).text
    assert "better than random: a, b, c, d, e, f and 2 more." in text


def test_it_says_what_was_measured() -> None:
    text = Page(page(FOUR)).text
    assert "10 clips of “fsdd”, each explained for the model “zoo:digits”" in text
    assert "Bootstraps and permutation tests use 500 draws, random seed 3." in text
    heard = replace(FOUR, **_moved(FOUR, ("m", "d", "stft")))
    assert "in the representation “stft”" in Page(page(heard)).text


def test_of_one_clip_there_is_no_interval() -> None:
    rows = [row(name, "fidelity", 1.0 - n, clips=1) for n, name in enumerate(("a", "b"))]
    shown = Page(page(results(rows, [against("fidelity", "a", "b", 1.0, None, 1)])))
    _, *body = shown.table("ranking")
    assert [line[2].values for line in body] == [(1.0,), (0.0,)]
    assert all(line[2].text.endswith("one clip: no interval") for line in body)
    assert "1 clip of" in shown.text and "resamples of the clips" not in shown.text


def test_a_mean_of_fewer_clips_says_of_how_many() -> None:
    fewer = row("a", "fidelity", 0.5, 0.25, 0.75, clips=7, undefined=2, failed=1)
    shown = Page(page(results([fewer, row("b", "fidelity", None, clips=0, undefined=9, failed=1)])))
    _, *body = shown.table("ranking")
    assert body[0][2].text.endswith("0.250 to 0.750 7 of 10 clips")
    assert body[1][2].text == "no value 0 of 10 clips"


def test_curves_have_a_picture_with_words_for_it_and_the_same_numbers() -> None:
    values = {0.0: 0.125, 0.01: 0.25, 0.5: 0.625, 1.0: 1.0}
    made = results([*curve("a", values), *curve("b", {r: None for r in values})])
    shown = Page(page(made))
    (picture,) = [a for a in shown.all("img") if a.get("class") != "key"]
    assert "fidelity" in str(picture["alt"]) and "4 shares" in str(picture["alt"])
    assert _image(picture).width >= 800
    head, first, second = shown.table("shares")
    assert [c.text for c in head[1:]] == ["0 %", "1 %", "50 %", "100 %"]
    assert [c.values for c in first[1:]] == [(v, v - 0.1, v + 0.1) for v in values.values()]
    assert [c.text for c in second[1:]] == ["no value"] * 4


def test_every_method_has_its_own_stroke() -> None:
    names = [f"method-{n}" for n in range(40)] + ["random", "loudness"]
    shown = Page(page(results([r for n in names for r in curve(n, {0.1: 0.5, 0.5: 0.75})])))
    keys = [a["src"] for a in shown.all("img") if a.get("class") == "key"]
    assert len(keys) == len(set(keys)) == 42
    for source in keys[-2:]:
        red, green, blue = _image({"src": source}).convert("RGB").split()
        assert red.tobytes() == green.tobytes() == blue.tobytes()


def test_at_one_ratio_there_are_numbers_and_no_picture() -> None:
    shown = Page(page(results([*curve("a", {0.1: 0.5}), *curve("b", {0.1: 0.25})])))
    assert not [a for a in shown.all("img") if a.get("class") != "key"]
    assert "Measured at one share, 10 %." in shown.text
    assert [line[1].values[0] for line in shown.table("shares")[1:]] == [0.5, 0.25]


def test_a_single_method_without_ratios_is_a_page() -> None:
    shown = Page(page(results([row("a", "sparseness", 0.5, 0.25, 0.75)])))
    assert shown.cell("ranking", "a", "sparseness").values == (0.5, 0.25, 0.75)
    assert "shares" not in shown.tables and "differences" not in shown.tables
    assert "not told apart from the best:" not in shown.text


def test_only_differences_that_are_more_than_chance_are_listed() -> None:
    shown = Page(page(FOUR))
    _, *body = shown.table("differences")
    listed = [(*(c.text for c in line[:3]), *line[3].values, *line[4].values) for line in body]
    assert listed == [
        (c.metric, c.one, c.other, c.difference.mean, c.difference.low, c.difference.high, c.p)
        for c in FOUR.comparisons
        if c.p in (0.01, 0.02)
    ]
    assert "10 of 12 comparisons" in shown.text
    assert body[-1][3].text == "0.625 0.575 to 0.675"
    assert "−0.150" in shown.text


@pytest.mark.parametrize(("draws", "enough"), [(120, True), (119, False)])
def test_it_warns_of_too_few_resamples_to_tell_any_pair_apart(draws: int, enough: bool) -> None:
    # The least p is 2 / (n + 1), times three pairs 6 / 121 < 0.05 and 6 / 120 = 0.05.
    names = ["a", "b", "c"]
    rows = [row(name, "fidelity", 0.5, 0.4, 0.6) for name in names]
    asked = [against("fidelity", *two, 0.0, 1.0) for two in (("a", "b"), ("a", "c"), ("b", "c"))]
    text = Page(page(results(rows, asked, provenance={"seed": 0, "draws": draws}))).text
    assert ("set draws to 120 or more" in text) is not enough


def test_verdicts_are_shares_of_what_was_checked() -> None:
    counted = {(GROUP, "gradients"): {"faithful": 6, "partly": 2}, (GROUP, "random"): {}}
    shown = Page(page(replace(FOUR, verdicts=counted)))
    assert shown.cell("verdicts", "gradients", "faithful").text == "75 % 6 of 8 [41, 93]"
    assert shown.cell("verdicts", "gradients", "partly").text == "25 % 2 of 8 [7, 59]"
    assert shown.cell("verdicts", "gradients", "unfaithful").text == "0 % 0 of 8 [0, 32]"
    assert shown.cell("verdicts", "random", "faithful").text == "no clip"
    assert "verdicts" not in Page(page(FOUR)).tables


def test_findings_say_what_passed_what_failed_and_what_does_not_apply() -> None:
    found = [
        {**_place(GROUP), "explainer": "saliency", **said}
        for said in (
            {"check": "one", "passed": True, "figures": (0.1,), "message": "fell apart"},
            {"check": "two", "passed": False, "figures": (), "message": "stayed <b>"},
            {"check": "three", "passed": None, "figures": (), "message": "cannot be run"},
        )
    ]
    found.append({**found[0], "explainer": "random"})
    elsewhere = {**found[0], "data": "other", "message": "of another group"}
    shown = Page(page(replace(FOUR, findings=[*found, elsewhere])))
    said = [shown.cell("sanity", "saliency", c).text for c in ("one", "two", "three")]
    assert said == ["✓ passed", "✗ failed", "does not apply"]
    assert shown.cell("sanity", "random", "two").text == "not run"
    assert [line[3].text for line in shown.table("findings")[1:]] == [
        *("fell apart", "stayed <b>", "cannot be run", "fell apart")
    ]
    assert "of another group" not in shown.text


def test_failures_and_undefined_values_are_named_with_their_reason() -> None:
    failures = tuple((GROUP, name, "a.wav", "no audio") for name in ("saliency", "random"))
    reasons = {"the attribution is zero everywhere": 4}
    shown = Page(page(replace(FOUR, failures=failures, reasons=reasons)))
    assert [c.text for c in shown.table("failures")[1]] == ["a.wav", "no audio", "saliency, random"]
    assert [c.text for c in shown.table("reasons")[1]] == [*reasons, "4"]
    assert "1 clip was not explained by every method" in shown.text


def test_warnings_are_listed_once_for_each_clip() -> None:
    warned = ((GROUP, "saliency", "a.wav", "silence"), (GROUP, "random", "a.wav", "silence"))
    shown = Page(page(replace(FOUR, warnings=(*warned, (("m", "d", ""), "x", "y", "z")))))
    assert [[c.text for c in line] for line in shown.table("warnings")[1:]] == [
        ["a.wav", "silence", "saliency, random"]
    ]


def test_where_it_comes_from_is_on_the_page() -> None:
    origin = {"seed": 3, "draws": 500, "plugins": {"xplain-captum": "0.1.0"}, "models": {"m": "ab"}}
    text = Page(page(replace(FOUR, provenance=origin))).text
    assert "plugins.xplain-captum 0.1.0" in text and "models.m ab" in text


def test_a_registered_metric_is_explained_also_with_parameters() -> None:
    rows = [row("a", "faithfulness(space=logit)", 0.5), row("a", "my-own", 1.0)]
    text = Page(page(results(rows))).text
    assert "How far the label's probability falls" in text
    assert "my-own Higher is better." in text


def test_each_group_has_its_own_table_and_is_linked_to() -> None:
    other = ("m", "d", "stft")
    moved = _moved(FOUR, other)
    both = replace(
        FOUR,
        rows=FOUR.rows + tuple(replace(r, mean=0.0) for r in moved["rows"]),
        comparisons=FOUR.comparisons + moved["comparisons"],
        order={**FOUR.order, **moved["order"]},
    )
    shown = Page(page(both))
    links = [a["href"] for a in shown.all("a")]
    ids = [a["id"] for a in shown.all("section") if a.get("class") == "part" and "id" in a]
    assert links == [f"#{i}" for i in ids] and len(ids) == 2
    first, second = shown.tables["ranking"]
    assert first[1][2].values[0] == 0.9125 and second[1][2].values[0] == 0.0


def test_whatever_is_written_stays_text() -> None:
    group = (NASTY, f"data {NASTY}", f"synthesizer {NASTY}")
    ratios = [
        replace(r, group=group, explainer=NASTY, metric=NASTY)
        for r in curve("a", {0.1: 0.5, 1.0: 1.0})
    ]
    ratios += [replace(r, group=group, metric=NASTY) for r in curve("_b", {0.1: None, 1.0: 1.0})]
    told = replace(against(NASTY, NASTY, "_b", 0.5, 0.01), group=group)
    finding = {"check": NASTY, "passed": False, "figures": (), "message": NASTY}
    made = results(
        ratios,
        [told],
        order={group: (NASTY, "_b")},
        reasons={NASTY: 1},
        failures=((group, NASTY, NASTY, NASTY),),
        warnings=((group, NASTY, NASTY, NASTY),),
        verdicts={(group, NASTY): {NASTY: 1}},
        findings=[{**_place(group), "explainer": NASTY, **finding}],
        provenance={NASTY: NASTY, "draws": 500, "seed": 0},
    )
    shown = Page(page(made))
    assert "script" not in {tag for tag, _ in shown.tags}
    assert shown.text.count(NASTY) >= 12
    assert shown.cell("ranking", "_b", NASTY.split(" ")[0]).values == (1.0, 0.0, 1.0)
    assert not shown.open


def test_a_page_needs_nothing_but_itself_and_can_be_read_by_everyone() -> None:
    values = {0.1: 0.5, 0.5: 0.75}
    shown = Page(page(results([*curve("a", values), *curve("random", values)])))
    for _, attributes in shown.tags:
        for name in ("src", "href"):
            assert str(attributes.get(name, "#")).startswith(("data:image/png;base64,", "#"))
    assert "url(" not in shown.source and "@import" not in shown.source
    assert {"script", "link", "iframe", "object"}.isdisjoint(tag for tag, _ in shown.tags)
    assert shown.all("html") == [{"lang": "en"}]
    assert all("alt" in attributes for attributes in shown.all("img"))
    assert all(attributes["scope"] in ("col", "row") for attributes in shown.all("th"))
    levels = [int(tag[1]) for tag, _ in shown.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(b <= a + 1 for a, b in itertools.pairwise(levels))
    ids = [a["id"] for _, a in shown.tags if "id" in a]
    assert len(ids) == len(set(ids))


def test_the_same_results_make_the_same_page() -> None:
    made = results([*curve("a", {0.1: 0.5, 0.5: 0.75}), *curve("b", {0.1: 0.25, 0.5: None})])
    assert page(made) == page(made)


@pytest.mark.parametrize(
    "first", ["xplain_evaluation.benchmark.page", "xplain_evaluation.benchmark"]
)
def test_page_and_benchmark_can_be_imported_in_any_order(first: str) -> None:
    code = f"import {first}, xplain_evaluation.benchmark.page, xplain_evaluation.benchmark"
    subprocess.run([sys.executable, "-c", code], check=True)


def _place(group: tuple[str, str, str]) -> dict[str, str]:
    return dict(zip(("model", "data", "synthesizer"), group, strict=True))


def _moved(made: Results, group: tuple[str, str, str]) -> dict[str, Any]:
    return {
        "rows": tuple(replace(r, group=group) for r in made.rows),
        "comparisons": tuple(replace(c, group=group) for c in made.comparisons),
        "order": {group: made.order[GROUP]},
    }


def _image(attributes: Mapping[str, str | None]) -> Image.Image:
    data = str(attributes["src"]).removeprefix("data:image/png;base64,")
    return Image.open(io.BytesIO(base64.b64decode(data, validate=True)))


def test_a_notebook_shows_the_page_the_picture_and_the_table() -> None:
    shown = FOUR._repr_html_()
    assert shown.startswith("<iframe srcdoc=") and "gradients" in shown and "<table" not in shown
    (pane,) = FOUR.plot().axes
    assert [label.get_text() for label in pane.get_yticklabels()] == list(FOUR.order[GROUP])
    table = FOUR.to_dataframe()
    assert len(table) == len(FOUR.rows)
    assert table.set_index(["explainer", "metric"]).loc[("saliency", "removal"), "mean"] == 0.15


def test_methods_stand_beside_the_hardest_of_their_controls() -> None:
    def control(name: str, mean: float, hardest: bool = False, p: float = 0.01) -> Against:
        apart = Difference(0.9125 - mean, 0.8 - mean, 1.0 - mean, p, 10)
        figures = (mean, mean - 0.1, mean + 0.1)
        return Against(GROUP, "fidelity", "gradients", name, *figures, hardest, apart, p)

    some = (
        control("random", 0.3),
        control("rolled", 0.4),
        control("gain", 0.6, hardest=True),
        control("loudness", 0.5),
    )
    found = Page(page(replace(FOUR, against=some)))
    (line,) = found.table("beyond")[1:]
    assert [cell.values[0] for cell in line[1:]] == pytest.approx([0.9125, 0.3, 0.6, 0.5, 0.3125])
    assert "gain" in line[3].text and "gain" in line[5].text and "passed" in line[5].classes
    # Where loudness does better, that is the hardest, and nothing is beyond it.
    better = Page(page(replace(FOUR, against=(*some[:3], control("loudness", 0.95)))))
    (line,) = better.table("beyond")[1:]
    assert line[5].values[0] == pytest.approx(-0.0375) and "passed" not in line[5].classes
    assert "beyond" not in Page(page(FOUR)).tables
