"""Runs: every clip exactly once, whatever happens; what is stored; what is refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from wicked import KINDS, write_clips

import xplain
from xplain.cli.main import main
from xplain_corpus import Corpus, Progress, run
from xplain_corpus.entries import entries, leases, part
from xplain_corpus.rows import restored, stored

MODEL = f"{Path(__file__).with_name('wicked.py')}:make"
QUICK: dict[str, Any] = {
    "settings": {"explainer": "input-x-gradient"},
    "check": False,
    "workers": 1,
    "lease": 3,
}


def shards(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.parquet")
    }


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    write_clips(folder, 6)
    return folder


@pytest.fixture(scope="module")
def undisturbed(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    run(clips, MODEL, out, **QUICK)
    return out


def test_a_run_holds_each_clip_as_explain_gives_it(clips: Path, undisturbed: Path) -> None:
    corpus = Corpus(undisturbed)
    status = corpus.status()
    assert (status.clips, status.failed, status.shards) == (6, 0, 2)
    model = xplain.load_model(MODEL)
    for path in sorted(clips.iterdir())[:2]:
        alone = xplain.explain(str(path), model, explainer="input-x-gradient")
        row = corpus.row(path.name)
        assert row["target"] == alone.target.label
        assert row["score"] == pytest.approx(alone.score, rel=1e-5)
        assert row["sha256"] == alone.provenance["audio"]["sha256"]
        assert [r["kind"] for r in row["results"]] == ["keep", "remove"]
        assert row["results"][0]["probability"] == pytest.approx(
            alone.scores([0.1], [])[0].probability, abs=1e-5
        )
        attribution = corpus.attribution(path.name)
        largest = float(alone.attribution.abs().max())
        assert torch.allclose(attribution, alone.attribution, atol=largest / 1024)


def test_pandas_and_duckdb_read_it_without_us(undisturbed: Path) -> None:
    read = pd.read_parquet(undisturbed / "clips")
    assert sorted(read["id"]) == [f"clip-{n:05}.wav" for n in range(6)]
    assert set(read["target"]) == {"low", "high"}
    names, rows = Corpus(undisturbed).query(
        "SELECT target, count(*) AS n, min(probabilities['low']) FROM clips GROUP BY 1 ORDER BY 1"
    )
    assert names[:2] == ["target", "n"] and sum(row[1] for row in rows) == 6
    with pytest.raises(xplain.XplainError, match="query failed"):
        Corpus(undisturbed).query("SELECT nothing FROM nowhere")


def test_a_clip_is_opened_as_a_live_explanation(clips: Path, undisturbed: Path) -> None:
    corpus = Corpus(undisturbed)
    with pytest.raises(xplain.XplainError, match="run a file"):
        corpus.open("clip-00003.wav")  # what names a Python file there is a file
    opened = corpus.open("clip-00003.wav", model=MODEL)
    assert torch.equal(opened.attribution, corpus.attribution("clip-00003.wav"))
    assert opened.keep(0.1).shape == opened.waveform.shape
    assert opened.provenance["explainer"]["name"] == "xplain-captum/input-x-gradient"
    with pytest.raises(xplain.XplainError, match=r"did you mean 'clip-00003\.wav'"):
        corpus.open("clip-0003.wav", model=MODEL)


@pytest.fixture
def wicked(clips: Path) -> Iterator[list[str]]:
    """Clips that are written into the folder by the test, and removed after it."""
    names = [f"wicked-{kind}.wav" for kind in (*KINDS, "text")]
    yield names
    for name in names:
        (clips / name).unlink(missing_ok=True)


def children(pid: int) -> list[int]:
    return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_every_clip_is_done_once_whatever_dies(
    clips: Path, undisturbed: Path, tmp_path: Path, wicked: list[str]
) -> None:
    """The driver is killed, then a worker is, then wicked clips come."""
    out = tmp_path / "run"
    call = [sys.executable, "-c", "from xplain.cli.main import main; main()"]
    call += ["corpus", "run", str(clips), "--model", MODEL, "--out", str(out), "--lease", "3"]
    call += ["--explainer", "input-x-gradient", "--no-check", "--workers", "1"]
    driver = subprocess.Popen(call, stderr=subprocess.PIPE, text=True)
    while not list(out.glob("clips/*.parquet")):
        assert driver.poll() is None
        time.sleep(0.005)
    with pytest.raises(xplain.XplainError, match="another process"):
        run(clips, MODEL, out, **QUICK)
    driver.send_signal(signal.SIGKILL)
    driver.wait()

    told: list[Progress] = []

    def kill_a_worker(progress: Progress) -> None:
        told.append(progress)
        if len(told) == 2 and sys.platform == "linux":
            (nursery,) = children(os.getpid())
            for worker in children(nursery):
                os.kill(worker, signal.SIGKILL)

    write_clips(clips, 0, KINDS)
    (clips / "wicked-text.wav").write_text("no recording")
    run(clips, MODEL, out, **QUICK, limit=4, memory=1.0, progress=kill_a_worker)
    failures = Corpus(out).failures
    wrong = {name.removesuffix(".wav").removeprefix("wicked-"): e for name, e in failures.items()}
    assert set(wrong) == {*KINDS, "text"}
    assert "this clip is refused" in wrong["raises"]
    assert "3 times (it ended with status 3)" in wrong["exits"]
    assert "SystemExit: 4" in wrong["leaves"]
    assert "3 times (it took longer than the limit of 4 s)" in wrong["hangs"]
    assert "NaN" in wrong["nan"]
    assert "memory ran out" in wrong["exhausts"]
    assert all("wicked-" in error for error in failures.values())
    read = pd.read_parquet(out / "clips")
    assert len(read) == read["id"].nunique() == 6 + len(KINDS) + 1
    assert sorted(pd.read_parquet(out / "tensors")["id"]) == [f"clip-{n:05}.wav" for n in range(6)]
    held = shards(out)
    assert shards(undisturbed).items() <= held.items()
    assert not list(out.rglob(".*draft"))

    told.clear()
    run(clips, MODEL, out, **QUICK, progress=told.append)
    assert shards(out) == held and [p.done for p in told] == [len(read)]


def test_another_question_is_refused_with_the_difference(
    clips: Path, undisturbed: Path, tmp_path: Path
) -> None:
    for other, difference in (
        ({"settings": {"explainer": "saliency"}}, "explainer.*input-x-gradient.*saliency"),
        ({"check": True}, "check is False there and True here"),
        ({"attribution": "int8"}, "attribution is 'float16' there and 'int8' here"),
    ):
        with pytest.raises(xplain.ArtifactError, match=difference):
            run(clips, MODEL, undisturbed, **QUICK | other)
    (tmp_path / "mine").write_text("a text")
    with pytest.raises(xplain.ArtifactError, match="holds mine, but no run"):
        run(clips, MODEL, tmp_path, **QUICK)


def test_parts_are_disjoint_and_whole_and_cut_in_the_same_way(clips: Path) -> None:
    found = entries(clips)
    parts = [part(found, number, 3) for number in (1, 2, 3)]
    assert sorted(e.id for p in parts for e in p) == [e.id for e in found]
    whole = leases(found, set(), 3)
    assert [len(lease) for lease in whole] == [3, 3]
    assert leases(found, {e.id for e in whole[1]}, 3) == [whole[0]]


def test_two_ways_of_cutting_into_parts_exclude_each_other(
    clips: Path, undisturbed: Path, tmp_path: Path
) -> None:
    from xplain_corpus.running import _only_driver

    with _only_driver(tmp_path, 1, 2):
        with _only_driver(tmp_path, 2, 2):
            pass
        for number, count in ((1, 1), (1, 2), (3, 3)):
            with (
                pytest.raises(xplain.ArtifactError, match="another process"),
                _only_driver(tmp_path, number, count),
            ):
                pass


def test_a_manifest_says_ids_and_more(clips: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "clips.csv"
    lines = ["id,path,speaker", f"one,{clips / 'clip-00000.wav'},anna"]
    manifest.write_text("\n".join([*lines, f",{clips / 'clip-00001.wav'},ben"]))
    first, second = sorted(entries(manifest), key=lambda entry: entry.meta["speaker"])
    assert first.id == "one" and first.meta == {"speaker": "anna"}
    assert second.id == second.path == str(clips / "clip-00001.wav")
    manifest.write_text("\n".join([*lines, f"one,{clips / 'clip-00001.wav'},ben"]))
    with pytest.raises(xplain.XplainError, match="'one' stands for two recordings"):
        entries(manifest)


def test_numbers_are_stored_as_precisely_as_is_said() -> None:
    values = torch.randn(9, 33, generator=torch.Generator().manual_seed(0)) * 1e-7
    for precision, steps in (("int8", 2 * 127), ("float16", 2048)):
        row = {"shape": [9, 33], **stored(values.numpy(), precision)}
        assert (restored(row) - values).abs().max() <= values.abs().max() / steps * 1.001
    silent = {"shape": [2, 2], **stored(torch.zeros(2, 2).numpy(), "int8")}
    assert torch.equal(restored(silent), torch.zeros(2, 2))


def test_the_command_answers_on_standard_output_and_tells_failures(
    undisturbed: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for call, status in (
        (["query", str(undisturbed), "SELECT id FROM clips ORDER BY id LIMIT 2"], 0),
        (["status", str(undisturbed), "--json"], 0),
        (["query", str(undisturbed), "SELECT"], 2),
        (["run", ".", "--model", MODEL, "--out", "x", "--shard", "3-4"], 2),
    ):
        monkeypatch.setattr(sys, "argv", ["xplain", "corpus", *call])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == status
    told = capsys.readouterr()
    first, second, third, status_line = told.out.split("\n")[:4]
    assert [first.strip(), second.strip(), third.strip()] == [
        "id",
        "clip-00000.wav",
        "clip-00001.wav",
    ]
    assert json.loads(status_line) == {
        "clips": 6,
        "failed": 0,
        "shards": 2,
        "bytes": Corpus(undisturbed).status().bytes,
        "failures": {},
    }
    assert "--shard is I/N" in told.err
