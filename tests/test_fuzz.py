"""Mutated files give a result or a one-line error; `make fuzz` tries many more of them."""

from __future__ import annotations

from pathlib import Path

import fuzz
import pytest

SHORT = {"audio": 260, "explanation": 60, "segments": 150, "benchmark": 60, "manifest": 60}
SHORT |= {"dictionary": 60, "prototypes": 30, "proxy": 25, "radio": 25, "digits": 25}
"""Cases of each target here; 12 of the others."""


RIGHT = [name for name in fuzz.TARGETS if not name.startswith("real")]
"""Targets whose files are right before they are changed; those of ../shared/cases need not be."""


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_mutated_is_right_before(name: str, tmp_path: Path) -> None:
    target = fuzz.TARGETS[name]
    folder, names = fuzz.seeds_of(target)
    for file in dict.fromkeys(names):
        target.read(folder, file)


@pytest.mark.parametrize("name", fuzz.TARGETS)
def test_a_mutated_file_is_read_or_refused_in_one_line(name: str) -> None:
    outcomes = [fuzz.attempt(fuzz.TARGETS[name], n) for n in range(SHORT.get(name, 12))]
    assert [(n, told) for n, (kind, told) in enumerate(outcomes) if kind == "failed"] == []
    assert any(kind == "refused" for kind, _ in outcomes)
