"""Runs: every clip exactly once, whatever happens; what is stored; what is refused."""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import captum.attr  # noqa: F401, workers that are forked from here need not import it
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import typer
from forking import forked, start_forked
from wicked import KINDS, write_clips

import xplain
from xplain.cli.main import main
from xplain.progress import visible
from xplain_corpus import Corpus, Progress, drivers, run
from xplain_corpus.corpus import PartStatus
from xplain_corpus.entries import entries, leases
from xplain_corpus.place import Place
from xplain_corpus.rows import restored, stored

MODEL = f"{Path(__file__).with_name('wicked.py')}:make"
LIMIT = 3
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
    """A run by workers of an interpreter of their own, since there is another thread here."""
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    ended = threading.Event()
    thread = threading.Thread(target=ended.wait)
    thread.start()
    try:
        run(clips, MODEL, out, **QUICK)
    finally:
        ended.set()
        thread.join()
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
    driver = start_forked(lambda: run(clips, MODEL, out, **QUICK))
    while not list(out.glob("clips/*.parquet")):
        assert os.waitpid(driver, os.WNOHANG) == (0, 0)
        time.sleep(0.005)
    os.kill(driver, signal.SIGSTOP)  # or it may be through before the other one asks
    with pytest.raises(xplain.XplainError, match="another process"):
        run(clips, MODEL, out, **QUICK)
    os.kill(driver, signal.SIGKILL)
    os.waitpid(driver, 0)

    told: list[Progress] = []
    killed = tmp_path / "killed"

    def kill_a_worker(progress: Progress) -> None:
        told.append(progress)
        if len(told) == 2:
            (nursery,) = children(os.getpid())
            for worker in children(nursery):
                os.kill(worker, signal.SIGKILL)
                killed.touch()

    write_clips(clips, 0, KINDS)
    (clips / "wicked-text.wav").write_text("no recording")
    asked = {**QUICK, "workers": 2, "limit": LIMIT, "memory": 1.0, "progress": kill_a_worker}
    assert forked(lambda: run(clips, MODEL, out, **asked)) == 0
    assert killed.exists()
    failures = Corpus(out).failures
    wrong = {name.removesuffix(".wav").removeprefix("wicked-"): e for name, e in failures.items()}
    assert set(wrong) == {*KINDS, "text"}
    assert "this clip is refused" in wrong["raises"]
    assert "3 times (it ended with status 3)" in wrong["exits"]
    assert "SystemExit: 4" in wrong["leaves"]
    assert f"once more (it took longer than the limit of {LIMIT} s)" in wrong["hangs"]
    assert "NaN" in wrong["nan"]
    assert "memory ran out" in wrong["exhausts"]
    assert all("wicked-" in error for error in failures.values())
    read = pd.read_parquet(out / "clips")
    assert len(read) == read["id"].nunique() == 6 + len(KINDS) + 1
    assert sorted(pd.read_parquet(out / "tensors")["id"]) == [f"clip-{n:05}.wav" for n in range(6)]
    held = shards(out)
    assert shards(undisturbed).items() <= held.items()
    assert not list(out.rglob(".*draft"))

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


def test_parts_are_disjoint_and_do_the_leases_that_one_job_does(clips: Path) -> None:
    found = entries(clips)
    whole = leases(found, set(), 2)
    assert [len(lease) for lease in whole] == [2, 2, 2]
    parts = [leases(found, set(), 2, number, 2) for number in (1, 2)]
    assert parts == [[whole[0], whole[2]], [whole[1]]]
    done = {whole[0][0].id, whole[1][0].id, whole[1][1].id}
    assert leases(found, done, 2) == [(whole[0][1],), whole[2]]


def test_parts_that_are_cut_otherwise_exclude_each_other(clips: Path, tmp_path: Path) -> None:
    place, listed = Place.of(tmp_path), entries(clips)

    def part(number: int, count: int, lease: int = 2, clips: int = 6) -> drivers.Part:
        return drivers.Part.of(clips_folder, listed[:clips], lease, number, count)

    clips_folder = clips
    with drivers.only(place, part(1, 2)):
        with drivers.only(place, part(2, 2)):
            assert [(p.number, driven) for p, driven in drivers.parts(place)] == [
                (1, True),
                (2, True),
            ]
        for other, problem in (
            (part(1, 1), "another process"),
            (part(1, 2), "another process"),
            (part(3, 3), "another process"),
            (part(2, 2, lease=3), "in leases of 2, and this one 6 in leases of 3"),
            (part(2, 2, clips=5), "lists 6 clips .* and this one 5"),
        ):
            with pytest.raises(xplain.ArtifactError, match=problem), drivers.only(place, other):
                pass
    assert [driven for _, driven in drivers.parts(place)] == [False, False]


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
        "missing": 0,
        "parts": [{"number": 1, "count": 1, "clips": 6, "left": 0, "running": False}],
        "failures": {},
    }
    assert "--shard is I/N" in told.err


def test_n_jobs_that_share_the_folder_alone_write_what_one_does(
    clips: Path, undisturbed: Path, tmp_path: Path
) -> None:
    """The command of an array of jobs, in n processes at once; status tells what is missing."""
    out = tmp_path / "run"

    def job(number: int) -> None:
        call = ["xplain", "corpus", "run", str(clips), "--model", MODEL, "--out", str(out)]
        call += ["--explainer", "input-x-gradient", "--no-check", "--workers", "1"]
        sys.argv = [*call, "--lease", "3", "--shard", f"{number}/2"]
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code

    assert forked(lambda: job(2)) == 0
    status = Corpus(out).status()
    assert (status.clips, status.missing) == (3, 3)
    assert status.parts == (PartStatus(number=2, count=2, clips=3, left=0, running=False),)
    jobs = [start_forked(partial(job, number)) for number in (1, 2)]
    assert [os.waitpid(pid, 0)[1] for pid in jobs] == [0, 0]
    assert shards(out) == shards(undisturbed)
    assert Corpus(out).status().missing == 0
    (clips / "more.wav").write_bytes((clips / "clip-00000.wav").read_bytes())
    try:
        assert Corpus(out).status().missing == 1
    finally:
        (clips / "more.wav").unlink()


HOSTILE = (
    "SELECT * FROM read_csv('{secret}')",
    "SELECT * FROM read_text('{secret}')",
    "SELECT * FROM '{secret}'",
    "SELECT * FROM glob('{secret}*')",
    "SELECT * FROM read_parquet('{run}/clips/*.parquet')",
    "COPY clips TO '{made}'",
    "COPY (SELECT 1) TO '{made}' (FORMAT parquet)",
    "EXPORT DATABASE '{made}'",
    "ATTACH '{made}'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET enable_external_access = true",
    "SET GLOBAL lock_configuration = false",
    "RESET enable_external_access",
    "PRAGMA temp_directory = '{made}'",
    "SELECT 1; COPY clips TO '{made}'",
    "SELECT * FROM secrets",
    "CREATE PERSISTENT SECRET (TYPE s3, KEY_ID 'a', SECRET 'b')",
    "SELECT getenv('HOME')",
    "CALL load_aws_credentials()",
)


@pytest.mark.parametrize("sql", HOSTILE)
def test_a_query_reads_the_tables_of_the_run_and_nothing_else(
    undisturbed: Path, tmp_path: Path, sql: str
) -> None:
    secret, made = tmp_path / "secret.csv", tmp_path / "made"
    secret.write_text("word\nxyzzy\n")
    secrets = pd.DataFrame({"word": ["xyzzy"]})  # no table of a query's, though it is in scope
    before = shards(undisturbed)
    with pytest.raises(xplain.XplainError, match="query failed") as refused:
        Corpus(undisturbed).query(sql.format(secret=secret, made=made, run=undisturbed))
    assert "xyzzy" not in str(refused.value) and len(secrets) == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["secret.csv"]
    assert shards(undisturbed) == before


def rewritten(run_folder: Path, out: Path, table: str, column: str, value: object) -> Path:
    """A copy of a run in which a stranger has set one column of one table."""
    shutil.copytree(run_folder, out)
    for path in (out / table).iterdir():
        read = pq.read_table(path)
        place, kind = read.column_names.index(column), read.schema.field(column).type
        column_now = pa.array([value] * len(read), kind)
        pq.write_table(read.set_column(place, column, column_now), path)
    return out


@pytest.mark.parametrize(
    ("table", "column", "value", "problem"),
    [
        ("clips", "path", "/dev/zero", "."),
        ("clips", "path", "/etc/passwd", "."),
        ("clips", "path", "no\x1b[31m\nsuch", "."),
        ("clips", "record", '{"verdict": {"kind": "faithful"}}', "."),
        ("clips", "record", "[" * 100_000, "."),
        ("tensors", "shape", [-1, 7], "damaged"),
        ("tensors", "shape", [2**31 - 1, 2**31 - 1], "damaged"),
        ("tensors", "dtype", "O", "damaged"),
        ("tensors", "attribution", b"", "damaged"),
    ],
)
def test_the_rows_of_a_stranger_are_data(
    undisturbed: Path, tmp_path: Path, table: str, column: str, value: object, problem: str
) -> None:
    corpus = Corpus(rewritten(undisturbed, tmp_path / "run", table, column, value))
    with pytest.raises(xplain.XplainError, match=problem) as refused:
        corpus.open("clip-00003.wav", model=MODEL)
    assert "\x1b" not in visible(str(refused.value)) and "\n" not in visible(str(refused.value))


def test_an_id_is_no_path_and_a_run_names_no_code(undisturbed: Path, tmp_path: Path) -> None:
    strange = rewritten(undisturbed, tmp_path / "run", "clips", "id", "../../gone")
    corpus = Corpus(rewritten(strange, tmp_path / "run-2", "tensors", "id", "../../gone"))
    opened = corpus.open("../../gone", model=MODEL)
    assert re.fullmatch(r"clip-0000\d", opened.name)
    marker = tmp_path / "marker"
    evil = tmp_path / "evil.py"
    evil.write_text(f"open({str(marker)!r}, 'w')\ndef make(): ...\n")
    held = json.loads((strange / "run.json").read_text())
    for model, settings in (
        (f"{evil}:make", {}),
        ("zoo:digits", {"explainer": f"{evil}:make"}),
        ("zoo:digits", {"synthesizer": f"{evil}:make"}),
        ("zoo:digits", {"grouping": f"{evil}:make"}),
        ("zoo:digits", {"target": {"__reduce__": "os.system"}}),
    ):
        held["question"] |= {"model": model, "settings": settings}
        (strange / "run.json").write_text(json.dumps(held))
        with pytest.raises(xplain.XplainError):
            Corpus(strange).open("../../gone")
        assert not marker.exists()


def options_of(command: str) -> set[str]:
    module, _, name = command.partition(":")
    app = importlib.import_module(module).app
    found = typer.main.get_command(app)
    found = found.commands[name] if name else found
    return {option for each in found.params for option in each.opts if option.startswith("--")}


def test_what_explain_can_be_set_to_a_corpus_can_be_set_to(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One list of options: those of explain that a corpus lacks are not settings."""
    ours, theirs = options_of("xplain_corpus.cli.main:run"), options_of("xplain.cli.explain:")
    assert theirs - ours == {"--overwrite", "--json", "--quiet"}
    assert {"--grouping-param", "--similar-to", "--max-batch"} <= ours
    out = tmp_path / "run"

    def call() -> None:
        given = ["--param", "steps=4", "--param", "tolerance=0.5", "--grouping", "block:16x4"]
        given += ["--seed", "0", "--no-check", "--workers", "1", "--keep", "0.2"]
        sys.argv = ["xplain", "corpus", "run", str(clips), "--model", MODEL, "--out", str(out)]
        sys.argv += given
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code

    assert forked(call) == 0
    corpus = Corpus(out)
    assert corpus.header.question.settings == {
        "params": {"steps": "4", "tolerance": "0.5"},
        "grouping": "block:16x4",
    }
    assert corpus.header.origin["explainer"]["parameters"]["steps"] == 4
    opened = corpus.open("clip-00001.wav", model=MODEL)
    assert opened.provenance["explainer"]["parameters"]["steps"] == 4
