"""Mutated files give a result or a one-line error; `make fuzz` tries many more of them."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import fuzz
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xplain import XplainError

SHORT = {"audio": 260, "explanation": 60, "segments": 150, "benchmark": 60, "manifest": 60}
SHORT |= {"dictionary": 60, "prototypes": 30, "proxy": 25, "radio": 25, "digits": 25, "labels": 60}
"""Cases of each target here; 12 of the others."""


RIGHT = [name for name in fuzz.TARGETS if not name.startswith("real")]
"""Targets whose files are right before they are changed; those of ../shared/cases need not be."""


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_mutated_is_right_before(name: str, tmp_path: Path) -> None:
    target = fuzz.TARGETS[name]
    seeds, names = fuzz.seeds_of(target)
    folder = Path(shutil.copytree(seeds, tmp_path / "right"))
    # To go on with a training ends it, whichever of its files is named.
    for file in (
        {n.partition("/")[0]: n for n in names}.values() if name == "resumed" else set(names)
    ):
        target.read(folder, file)


@pytest.mark.parametrize("name", fuzz.TARGETS)
def test_a_mutated_file_is_read_or_refused_in_one_line(name: str) -> None:
    outcomes = [fuzz.attempt(fuzz.TARGETS[name], n) for n in range(SHORT.get(name, 12))]
    assert [(n, told) for n, (kind, told) in enumerate(outcomes) if kind == "failed"] == []
    assert any(kind == "refused" for kind, _ in outcomes)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9)
ANY = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=6,
)
"""What a JSON file may hold."""


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value."""
    keys = list(value) if isinstance(value, dict) else range(len(value))
    found = [(*path, key) for key in keys]
    for key in keys:
        if isinstance(value[key], dict | list):
            found += places(value[key], (*path, key))
    return found


@settings(max_examples=15, deadline=None, derandomize=True)
@given(data=st.data())
def test_any_value_anywhere_in_a_record_is_read_or_refused(data: st.DataObject) -> None:
    target = fuzz.TARGETS["explanation"]
    seeds, _ = fuzz.seeds_of(target)
    record = json.loads((seeds / "clip" / "explanation.json").read_text())
    *above, last = data.draw(st.sampled_from(places(record)))
    holder = record
    for key in above:
        holder = holder[key]
    holder[last] = data.draw(ANY)
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(seeds, folder, dirs_exist_ok=True)
        (Path(folder) / "clip" / "explanation.json").write_text(json.dumps(record))
        try:
            target.read(Path(folder), "clip/explanation.json")
        except XplainError as error:
            assert "\n" not in str(error)
