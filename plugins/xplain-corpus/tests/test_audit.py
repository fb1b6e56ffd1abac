"""What an audit finds: cues by hand, networks with a shortcut and without, the report."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import shortcuts

import xplain
from xplain.intervals import Interval
from xplain_corpus.audit import report
from xplain_corpus.audit.audit import Finding, audit
from xplain_corpus.audit.cues import BandLimit, Click, Cue, Hum, Level, Silence
from xplain_corpus.audit.regions import shares
from xplain_corpus.audit.sound import ends
from xplain_corpus.averages import mean

RATE = shortcuts.RATE
CUES = {
    "hum": lambda: Hum(50),
    "silence": lambda: Silence(leading=True),
    "band limit": BandLimit,
    "click": Click,
    "level": Level,
}


@pytest.mark.parametrize("name", CUES)
def test_a_cue_is_measured_planted_and_removed(name: str) -> None:
    cue: Cue = CUES[name]()
    rng = np.random.default_rng(0)
    lacking = [shortcuts.word(n % 3, rng) for n in range(9)]
    having = [shortcuts.with_cue(shortcuts.word(n % 3, rng), name, rng) for n in range(9)]
    has, lacks = (np.array([cue.amount(x, RATE) for x in group]) for group in (having, lacking))
    sign = -1 if name == "level" else 1
    assert np.mean(sign * has[:, None] > sign * lacks[None]) > 0.95
    cue.fit(having, lacking, RATE)
    middle = (np.median(has) + np.median(lacks)) / 2
    for group, change, more in ((lacking, cue.planted, True), (having, cue.removed, False)):
        changed = [change(x, RATE) for x in group]
        assert all(len(new) == len(old) for new, old in zip(changed, group, strict=True))
        amounts = np.array([cue.amount(x, RATE) for x in changed])
        assert np.mean((sign * amounts > sign * middle) == more) >= 8 / 9


def test_silence_and_hum_are_what_they_are_made_of() -> None:
    at = np.arange(RATE) / RATE
    clip = np.where((at > 0.25) & (at < 0.6), np.sin(2 * np.pi * 500 * at), 0.0)
    found = ends(clip, RATE)
    assert found.leading == pytest.approx(0.25, abs=0.011)
    assert found.trailing == pytest.approx(0.4, abs=0.011)
    hum = Hum(50)
    hum.fit([clip + 0.02 * np.sin(2 * np.pi * 50 * at)], [clip], RATE)
    assert hum.amount(hum.planted(clip, RATE), RATE) > hum.amount(clip, RATE) + 15
    added = hum.planted(clip, RATE) - clip
    assert np.abs(added).max() == pytest.approx(0.02, rel=0.05)


def test_evidence_lies_in_the_region_in_which_it_was_put() -> None:
    at = np.arange(RATE) / RATE
    clip = np.where(at > 0.5, np.sin(2 * np.pi * 500 * at), 0.0)
    attribution = np.zeros((129, 100))
    attribution[:, 10] = 1.0  # at a tenth of the second, in silence
    found = {s.region: s for s in shares(attribution, np.linspace(0, 4000, 129), clip, RATE)}
    assert found["leading silence"].evidence == pytest.approx(1)
    assert found["leading silence"].energy < 0.02
    assert found["leading silence"].area == pytest.approx(0.5, abs=0.02)
    assert found["sound"].evidence == pytest.approx(0)
    bands = [s for name, s in found.items() if name.endswith(" Hz")]
    assert sum(s.evidence for s in bands) == pytest.approx(1)
    assert sum(s.energy for s in bands) == pytest.approx(1)
    coarse = shares(attribution[:4], None, clip, RATE)
    assert {s.region for s in coarse} < found.keys() and len(coarse) >= 5


def test_one_change_alone_is_no_proof() -> None:
    def finding(planted: Interval, removed: Interval) -> Finding:
        nothing = Interval(None, None, None)
        return Finding("click", "a", True, 0.9, 0.0, 1.0, 0.0, "dB", planted, removed, nothing, ())

    rises, falls, still = (
        Interval(0.3, 0.2, 0.4),
        Interval(-0.3, -0.4, -0.2),
        Interval(0, -0.1, 0.1),
    )
    strong = Interval(0.9, 0.8, 1.0)
    assert finding(strong, falls).proved
    assert not finding(strong, still).proved
    assert not finding(rises, falls).proved  # both, and both weak
    assert not finding(rises, still).proved
    assert not finding(still, falls).proved
    assert not finding(falls, rises).proved
    assert not finding(Interval(None, None, None), falls).proved
    assert mean([0.0, 1.0]).high == pytest.approx(0.5 + 12.706 * 0.5, rel=1e-3)  # Student, 1 degree


def test_a_shortcut_is_named_first_and_proved_and_a_clean_network_has_none(tmp_path: Path) -> None:
    clean = shortcuts.found_by(None, "hum", 0, clips=60, steps=80)
    assert [f.cue for f in clean if f.proved] == []
    found = shortcuts.audited(tmp_path, "hum", 0, "hum", steps=80)
    first = found.findings[0]
    assert first.cue == "mains hum at 50 Hz" and first.label == "ah" and first.proved
    assert first.association > 0.9 and (first.planted.mean or 0) > 0.5
    assert [f.cue for f in found.shortcuts] == [first.cue]
    page = report.write(found, tmp_path / "report")
    text = (tmp_path / "report" / "audit.md").read_text("utf-8")
    assert "1. mains hum at 50 Hz → ah: planted" in text
    for link in re.findall(r"\]\(([^)]+)\)", text):
        assert (tmp_path / "report" / link).is_file()
    for said in ("Sample: 45 of 45 clips", "Cues looked for: mains hum at 50 Hz", "(Bonferroni)"):
        assert said in text and said in page.read_text("utf-8")
    assert f"audit {found.corpus.place} --clips 45 --seed 0" in text
    html = page.read_text("utf-8")
    assert html.count("<audio") == 2 * sum(len(f.examples) for f in found.findings)
    with pytest.raises(xplain.XplainError, match="no clip has anything in the column"):
        audit(found.corpus, by=["speaker"], model=found.corpus.header.question.model, clips=20)
