"""The engine Ray, where it is installed: the same rows as by processes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from test_corpus import MODEL, QUICK, shards
from wicked import write_clips

pytest.importorskip("ray")
if not os.environ.get("XPLAIN_TEST_RAY"):
    pytest.skip(
        "starts a cluster, which takes long: set XPLAIN_TEST_RAY=1", allow_module_level=True
    )


def test_actors_write_the_same_bytes_as_processes(tmp_path: Path) -> None:
    from xplain_corpus import run

    write_clips(tmp_path / "clips", 4)
    run(tmp_path / "clips", MODEL, tmp_path / "local", **QUICK)
    run(tmp_path / "clips", MODEL, tmp_path / "ray", **QUICK, engine="ray")
    assert shards(tmp_path / "ray") == shards(tmp_path / "local")


def test_a_clip_that_ends_its_actor_is_a_row(tmp_path: Path) -> None:
    from xplain_corpus import run

    write_clips(tmp_path / "clips", 2, ("exits",))
    corpus = run(tmp_path / "clips", MODEL, tmp_path / "ray", **QUICK, engine="ray")
    assert list(corpus.failures) == ["wicked-exits.wav"]
    assert "3 times" in corpus.failures["wicked-exits.wav"] and corpus.status().clips == 3
