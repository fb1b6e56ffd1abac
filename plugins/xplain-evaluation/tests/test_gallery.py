"""The gallery: pure, of the same shape, reproducible, and counted as it was judged."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from xplain.verdict import Verdict
from xplain_evaluation.gallery import WAYS, Judgement, Materials, Way, confusion


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
    found = [Judgement("clip", "shuffled", False, False, True, verdict) for verdict in said]
    (line,) = confusion(found)
    assert (line.clips, line.counts["faithful"], line.evaluations) == (2, 1, 80)
    assert line.share("faithful").mean == 0.5 and line.share("partly").mean == 0.0
