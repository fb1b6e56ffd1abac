"""What is made of a run: data sets of other tools, the page, prototypes; runs of segments."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
import soundfile
import torch
from forking import forked
from test_corpus import MODEL, QUICK, shards
from wicked import write_clips

import xplain
from xplain.cli.main import main
from xplain.segmentation.result import read_segments
from xplain.segmentation.segmenting import segment_by
from xplain_corpus import Corpus, drivers, run
from xplain_corpus.entries import Entry, entries, leases
from xplain_corpus.header import Header, Question
from xplain_corpus.place import Place
from xplain_corpus.prototypes import prototypes
from xplain_corpus.work import Setup, Task, Worker


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of four tones and a text, with its recordings beside it."""
    folder = tmp_path_factory.mktemp("corpus")
    write_clips(folder / "clips", 4)
    (folder / "clips" / "text.wav").write_text("no recording")
    assert forked(lambda: run(folder / "clips", MODEL, folder / "run", **QUICK)) == 0
    return folder / "run"


def xplain_corpus(*arguments: object) -> int:
    before, sys.argv = sys.argv, ["xplain", "corpus", *map(str, arguments)]
    try:
        with pytest.raises(SystemExit) as ended:
            main()
    finally:
        sys.argv = before
    return int(ended.value.code or 0)


def test_hugging_face_reads_a_data_set(made: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    out = tmp_path / "set"
    assert xplain_corpus("export", made, "--format", "datasets", "--out", out) == 0
    read = datasets.load_dataset(str(out), split="train", cache_dir=str(tmp_path / "cache"))
    assert isinstance(read.features["audio"], datasets.Audio)
    read = read.cast_column("audio", datasets.Audio(decode=False))
    corpus = Corpus(made)
    assert sorted(read["id"]) == corpus.chosen()
    for row in read:
        attribution = torch.tensor(row["attribution"])
        assert torch.equal(attribution, corpus.attribution(row["id"]))
        original, rate = soundfile.read(corpus.row(row["id"])["path"])
        heard, same = soundfile.read(io.BytesIO(row["audio"]["bytes"]))
        assert rate == same and np.abs(heard - original).max() < 1e-4
        assert json.loads(row["probabilities"]).keys() == {"low", "high"}
        assert [result["kind"] for result in row["results"]] == ["keep", "remove"]


def test_webdataset_reads_tar_files(made: Path, tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    out = tmp_path / "tars"
    assert xplain_corpus("export", made, "--format", "webdataset", "--out", out) == 0
    (tar,) = out.glob("*.tar")
    read = list(webdataset.WebDataset(str(tar), shardshuffle=False).decode())
    corpus = Corpus(made)
    assert [sample["json"]["id"] for sample in read] == corpus.chosen()
    for sample in read:
        expected = corpus.attribution(sample["json"]["id"]).numpy()
        assert np.array_equal(sample["npy"], expected)
        assert soundfile.info(io.BytesIO(sample["flac"])).frames > 1000
    before = tar.read_bytes()
    assert xplain_corpus("export", made, "--format", "webdataset", "--out", out) == 0
    assert tar.read_bytes() == before


def test_a_recording_that_changed_is_named_and_the_others_are_written(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = made.parent / "clips" / "clip-00002.wav"
    kept = changed.read_bytes()
    soundfile.write(changed, np.zeros(1000), 4000)
    try:
        call = ("export", made, "--format", "webdataset", "--out", tmp_path / "tars")
        assert xplain_corpus(*call) == 1
    finally:
        changed.write_bytes(kept)
    told = capsys.readouterr().err
    assert "clip-00002.wav is not the recording that was explained any more" in told
    assert "1 of 4 clips failed: clip-00002.wav" in told
    assert len(list((tmp_path / "tars").glob("*.tar"))) == 1


def test_the_page_of_a_run_has_its_clips_its_failures_and_some_to_listen_to(
    made: Path, tmp_path: Path
) -> None:
    out = tmp_path / "report"
    assert xplain_corpus("report", made, "--model", MODEL, "--pages", 2, "--out", out) == 0
    html = (out / "index.html").read_text("utf-8")
    data = json.loads(re.search(r'id="data"[^>]*>(.*?)</script>', html, re.DOTALL)[1])
    rows = {row["name"]: row for row in data["rows"]}
    assert set(rows) == {*(f"clip-{n:05}.wav" for n in range(4)), "text.wav"}
    assert "not a recording" in rows["text.wav"]["error"]
    linked = {name: row["link"] for name, row in rows.items() if "link" in row}
    assert {rows[name]["label"] for name in linked} == {"low", "high"}  # one of each
    assert all((out / link).is_file() for link in linked.values())
    for name in Corpus(made).chosen():
        row = Corpus(made).row(name)
        assert rows[name]["probability"] == row["probability"]
        assert rows[name]["prediction"] == row["decision"]


def test_prototypes_are_the_means_of_shares(made: Path, tmp_path: Path) -> None:
    corpus = Corpus(made)
    found = {each.label: each for each in prototypes(corpus)}
    assert set(found) == {"low", "high"}
    own = [n for n in corpus.chosen() if corpus.row(n)["target"] == "low"]
    positive = [corpus.attribution(name).clamp(min=0) for name in own]
    expected = torch.stack([p.sum(1) / p.sum() for p in positive]).mean(0)
    assert found["low"].channels == pytest.approx(expected.tolist(), abs=1e-5)
    assert sum(found["low"].times or ()) == pytest.approx(1)
    hertz = np.array(found["low"].frequencies)
    # What decides between the two is what is below 500 Hz and what is above.
    for label, below in (("low", True), ("high", False)):
        shares = np.array(found[label].channels)
        assert shares[(hertz < 500) == below].sum() > 0.9
    assert set(found["low"].typical) <= set(own)
    assert xplain_corpus("prototypes", made, "--out", tmp_path) == 0
    held = json.loads((tmp_path / "prototypes.json").read_text())
    assert [each["label"] for each in held["prototypes"]] == ["high", "low"]
    assert held["prototypes"][1]["channels"] == list(found["low"].channels)


def test_a_run_of_segments_is_asked_and_exported(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clips, out = tmp_path / "clips", tmp_path / "run"
    clips.mkdir()
    radio = Path(__file__).parents[2] / "xplain-zoo/src/xplain_zoo/clips/radio.flac"
    sound, rate = soundfile.read(radio)
    soundfile.write(clips / "part.wav", sound[4 * rate : 7 * rate], rate)
    (clips / "text.wav").write_text("no recording")
    question = Question(model="zoo:radio", segments=True, settings={"explain": True})
    job = question.prepare()
    header, place = Header.of(question, job), Place.of(out)
    header.write(place)
    setup = Setup(place, question, header.origin, header.key, 60.0, 1, None, (), ())
    Worker(setup).do(Task(tuple(entries(clips))))
    corpus = Corpus(out)
    (alone,) = segment_by([str(clips / "part.wav")], job)
    assert corpus.segments("part.wav") == alone.segments
    _, rows = corpus.query(
        'SELECT label, count(*), sum("end" - start) FROM segments GROUP BY 1 ORDER BY 1'
    )
    assert dict((label, count) for label, count, _ in rows) == {
        label: sum(s.label == label for s in alone.segments) for label, _, _ in rows
    }
    assert list(corpus.failures) == ["text.wav"]
    assert xplain_corpus("export", out, "--format", "rttm", "--out", tmp_path / "rttm") == 0
    read = read_segments(tmp_path / "rttm" / "part.rttm")
    assert [(s.label, s.start) for s in read] == [(s.label, s.start) for s in alone.segments]
    found = prototypes(corpus)
    assert {each.label for each in found} == {s.label for s in alone.segments if s.parts}
    assert all(sum(each.channels) == pytest.approx(1) for each in found)
    for call in (("open", out, "part.wav"), ("report", out), ("audit", out)):
        assert xplain_corpus(*call) in (1, 2)
    assert "holds segments, and this needs explanations" in capsys.readouterr().err


@pytest.fixture
def memory() -> Iterator[Place]:
    import fsspec

    yield Place.of("memory://corpora/run")
    fsspec.filesystem("memory").rm("/corpora", recursive=True)


def test_a_run_may_lie_at_a_url(made: Path, memory: Place) -> None:
    """By a worker of this process, since memory is its own; the bytes are those of the folder."""
    header = Corpus(made).header
    header.write(memory)
    setup = Setup(memory, header.question, header.origin, header.key, 60.0, 1, None, (), ())
    worker = Worker(setup)
    listed = entries(made.parent / "clips")
    for lease in leases(listed, (), QUICK["lease"]):
        worker.do(Task(lease))
    for name, data in shards(made).items():
        assert memory.read(name) == data
    with drivers.only(memory, drivers.Part.of(made.parent / "clips", listed, 3, 1, 1)):
        corpus = Corpus(str(memory))
    assert corpus.status().clips == 5 and corpus.status().missing == 0
    assert list(corpus.failures) == ["text.wav"]
    assert corpus.query("SELECT count(*) FROM clips WHERE error IS NULL")[1] == [(4,)]
    assert corpus.open("clip-00001.wav", model=MODEL).target.label == "high"
    with pytest.raises(xplain.XplainError, match="no place that can be opened"):
        Corpus("nowhere://run")


def test_a_second_driver_is_refused_where_there_are_no_locks(
    memory: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = drivers.Part.of("clips", [Entry("a", "/a", {})], 1, 1, 1)
    with drivers.only(memory, part):
        assert [driven for _, driven in drivers.parts(memory)] == [True]
        with pytest.raises(xplain.ArtifactError, match="another process"):
            drivers.only(memory, part).__enter__()
    with drivers.only(memory, part):  # it has said that it ended
        pass
    memory.write("drivers/1-of-1/beat.json", msgspec.json.encode(["gone", 0.0]))
    with drivers.only(memory, part):  # it was killed long ago
        pass
