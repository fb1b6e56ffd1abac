"""The gallery: pure, of the same shape, reproducible, and counted as it was judged."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

import xplain
from xplain import audio
from xplain.interfaces import Clip, Grouping, Groups
from xplain.verdict import Verdict
from xplain_evaluation.cli.benchmark import benchmark
from xplain_evaluation.gallery import (
    BLOCKS,
    RIGHT,
    WAYS,
    Judgement,
    Materials,
    Way,
    confusion,
    judged,
)
from xplain_evaluation.planted.planted import planted_clips, planted_model

RATE = 8000


def materials(like: Tensor) -> Materials:
    others = {way.needs: torch.ones_like(like) for way in WAYS if way.needs}
    return Materials(like.abs() + 1, torch.Generator().manual_seed(1), others)


def test_there_are_enough_ways_and_each_has_a_name() -> None:
    assert len(WAYS) >= 25 and len({way.name for way in WAYS}) == len(WAYS)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_a_way_changes_a_copy(way: Way) -> None:
    own = torch.randn(24, 30, generator=torch.Generator().manual_seed(0))
    kept = own.clone()
    wrong = way.make(own, materials(own))
    assert wrong.shape == own.shape and torch.isfinite(wrong).all()
    assert torch.equal(own, kept) and not torch.equal(wrong, own)
    assert torch.equal(wrong, way.make(own, materials(own)))


def test_judgements_are_counted_by_way() -> None:
    said = [Verdict("faithful", (), {}, 80), Verdict("unfaithful", (), {}, 30)]
    found = [
        Judgement("clip", "shuffled", False, False, True, verdict, seconds, 2.0)
        for verdict, seconds in zip(said, (1.0, 0.5), strict=True)
    ]
    (line,) = confusion(found)
    assert (line.clips, line.counts["faithful"], line.evaluations) == (2, 1, 55)
    assert line.cost == 0.375  # the median of 1/2 and 1/4
    assert line.share("faithful").mean == 0.5 and line.share("partly").mean == 0.0


def test_the_command_writes_a_table_and_a_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (clip,) = planted_clips(1, 0, sample_rate=RATE)
    start = round(clip.start * RATE)
    audio.write(tmp_path / "cue.wav", clip.waveform[start : start + RATE // 4], RATE)
    (tmp_path / "gallery.toml").write_text(
        f'models = ["planted:{RATE}"]\nexplainers = ["integrated-gradients"]\n'
        '[[data]]\nname = "cues"\nfiles = ["cue.wav"]\n'
    )
    out = tmp_path / "out"
    benchmark(tmp_path / "gallery.toml", out, gallery=True, as_json=True)
    said = json.loads(capsys.readouterr().out)
    rows = list(csv.DictReader((out / "gallery.csv").open(newline="")))
    # It has no weights that could be random, and no label before this clip's.
    lacking = {"of a random model", "of another clip"}
    blocks = {f"{way.name} (blocks)" for way in WAYS if way.blocks}
    wrong = {way.name for way in WAYS} - lacking | blocks
    assert {row["way"] for row in rows} == wrong | set(RIGHT)
    assert {row["way"] for row in rows} == {row["way"] for row in said["gallery"]}
    right = next(row for row in said["together"] if row["way"] == "right")
    assert right["clips"] == len(RIGHT) and right["cost"] > 0
    # Occlusion spreads a cue of one channel over its window, and is struck for that here.
    faithful = {row["way"] for row in said["gallery"] if row["right"] and row["faithful"]}
    assert faithful == set(RIGHT) - {"occlusion"}
    page = (out / "gallery.html").read_text("utf-8")
    assert "Can the verdict be believed?" in page and "upside down" in page
    (out / "gallery.html").write_text("mine")
    with pytest.raises(xplain.ArtifactError, match="is none of these pages"):
        benchmark(tmp_path / "gallery.toml", out, gallery=True)


class Quarters(Grouping):
    """Four named parts of the clip, one after the other."""

    def groups(self, clip: Clip) -> Groups:
        frames = clip.shape[1]
        numbers = (4 * torch.arange(frames) // frames).expand(clip.shape)
        return Groups(numbers.contiguous(), ("first", "second", "third", "fourth"))


def test_what_speaks_of_named_groups_is_made_wrong_group_by_group() -> None:
    (clip,) = planted_clips(1, 0, sample_rate=RATE)
    start = round(clip.start * RATE)
    given = audio.Audio(clip.waveform[start : start + RATE // 4], RATE, "cue", {})
    names = {"one frame late", "four frames late", "upside down", "all signs wrong"}
    ways, right = [way for way in WAYS if way.name in names], {BLOCKS: RIGHT[BLOCKS]}
    model = planted_model(RATE)
    found = list(judged([given], model, ways=ways, right=right, grouping=Quarters()))
    assert all(isinstance(one, Judgement) for one in found)
    wrong = {one.way: one.verdict for one in found if isinstance(one, Judgement) and not one.right}
    assert all(verdict.figures["groups"] == 4 for verdict in wrong.values())
    # A frame late is as right as before, of a quarter; of one row, so is upside down.
    assert set(wrong) == {"one frame late (groups)", "all signs wrong (groups)"}
    assert wrong["all signs wrong (groups)"].kind == "unfaithful"
