"""The benchmark: the same numbers as by hand, nothing lost, nothing averaged in that is none."""

from __future__ import annotations

import csv
import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import xplain
from xplain import audio
from xplain.cli.main import main
from xplain_evaluation import sanity
from xplain_evaluation.benchmark import Config, Method, Results, run
from xplain_evaluation.benchmark.journal import Journal
from xplain_evaluation.planted.planted import planted_clips

RATE = 8000
MODEL = """
from xplain_evaluation.planted.planted import planted_model
def make():
    return planted_model(8000)
"""
METRICS = ["fidelity", "removal", "sparseness", "insertion-auc", "time-localisation-auc"]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six planted clips with a manifest, a model in a file, and a benchmark of them."""
    folder = tmp_path_factory.mktemp("desk")
    (folder / "model.py").write_text(MODEL)
    with (folder / "clips.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "start", "end", "low", "high", "background"])
        for number, clip in enumerate(planted_clips(6, 0, sample_rate=RATE)):
            audio.write(folder / f"{number}.wav", clip.waveform, RATE)
            place = [clip.start, clip.end, clip.low, clip.high]
            writer.writerow([f"{number}.wav", clip.label, *place, clip.background])
    (folder / "bench.toml").write_text(
        f"""
        models = ["{folder}/model.py:make"]
        explainers = [
            {{name = "integrated-gradients", steps = 5}}, {{name = "saliency", label = "slope"}}
        ]
        metrics = {json.dumps(METRICS)}
        ratios = [0, 0.01, 0.1, 1]
        draws = 200
        [[data]]
        name = "planted"
        manifest = "clips.csv"
        """
    )
    return folder


@pytest.fixture(scope="module")
def measured(desk: Path) -> tuple[Results, Path]:
    return run(Config.load(desk / "bench.toml", allow_code=True), desk / "out"), desk / "out"


def config(desk: Path, **change: Any) -> Config:
    table = {
        "models": [f"{desk}/model.py:make"],
        "explainers": ["saliency"],
        "metrics": ["fidelity"],
        "ratios": [0.1],
        "draws": 50,
        "data": [{"name": "planted", "manifest": "clips.csv"}],
    }
    return Config.read({**table, **change}, desk)


def rows(folder: Path, name: str = "results.csv") -> list[dict[str, str]]:
    with (folder / name).open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_mean_is_over_clips_explained_by_hand(measured: tuple[Results, Path], desk: Path) -> None:
    results, _ = measured
    model = xplain.load_model(f"{desk}/model.py:make")
    said = []
    for number in range(6):
        e = xplain.explain(desk / f"{number}.wav", model, params={"steps": 5})
        curves = e.curves((0.01,))
        said.append(int(curves.kept[0].argmax()) == int(curves.answers.argmax()))
    (group,) = results.order
    row = results.row(group, "integrated-gradients", "fidelity", 0.01)
    assert row.mean == pytest.approx(np.mean(said))
    assert (row.clips, row.undefined, row.failed) == (6, 0, 0)


def test_representations_and_replacements_with_parameters_are_those_that_are_measured(
    desk: Path, tmp_path: Path
) -> None:
    short, hum = {"name": "stft", "window": 0.016}, {"name": "recording", "file": f"{desk}/5.wav"}
    made = config(
        desk,
        synthesizers=["stft", {**short, "label": "short windows"}],
        replacement=hum,
        metrics=["sparseness"],
    )
    results = run(made, tmp_path)
    model = xplain.load_model(f"{desk}/model.py:make")
    for label, params in (("stft", {}), ("short windows", {"window": 0.016})):
        by_hand = [
            xplain.explain(
                desk / f"{number}.wav", model, explainer="saliency", synthesizer="stft",
                synthesizer_params=params, replacement="recording",
                replacement_params={"file": hum["file"]},
            )
            for number in range(6)
        ]  # fmt: skip
        expected = np.mean([float(gini(e.attribution)) for e in by_hand])
        (group,) = (g for g in results.order if g[2] == label)
        assert results.row(group, "saliency", "sparseness").mean == pytest.approx(expected)
    with pytest.raises(xplain.ArtifactError, match="holds another benchmark: synthesizers differ"):
        run(config(desk, synthesizers=["stft", {**short, "label": "short windows", "power": 1}],
                   replacement=hum, metrics=["sparseness"]), tmp_path)  # fmt: skip


def gini(attribution: Tensor) -> Tensor:
    """By its definition, over all pairs of elements, here of sorted sizes."""
    sizes = attribution.abs().double().flatten().sort().values
    ranks = torch.arange(1, len(sizes) + 1)
    return ((2 * ranks - len(sizes) - 1) * sizes).sum() / (len(sizes) * sizes.sum())


def test_a_summary_is_over_the_ratios_at_which_something_is_chosen(
    measured: tuple[Results, Path],
) -> None:
    results, _ = measured
    (group,) = results.order
    at = [results.row(group, "slope", "removal", ratio).mean for ratio in (0.01, 0.1)]
    assert results.row(group, "slope", "removal").mean == pytest.approx(np.mean(at))


def test_controls_and_the_round_trip_are_always_in_the_table(
    measured: tuple[Results, Path],
) -> None:
    results, _ = measured
    (group,) = results.order
    assert set(results.order[group]) == {"integrated-gradients", "slope", "random", "loudness"}
    assert results.row(group, "slope", "round-trip").mean == 1
    assert results.rank_by == "fidelity"


def test_who_points_at_the_cue_is_ranked_before_who_does_not(desk: Path) -> None:
    results = run(
        config(
            desk,
            explainers=["integrated-gradients"],
            metrics=["time-localisation-auc", "relevance-mass"],
            draws=500,
        ),
        desk / "localised",
    )
    (group,) = results.order
    assert results.order[group][0] == "integrated-gradients"
    assert results.row(group, "integrated-gradients", "relevance-mass").mean == pytest.approx(
        1, abs=1e-3
    )
    assert results.row(group, "random", "time-localisation-auc").mean == pytest.approx(0.5, abs=0.1)
    found = next(
        c
        for c in results.comparisons
        if (c.metric, c.one, c.other) == ("relevance-mass", "integrated-gradients", "random")
    )
    assert found.difference.mean == pytest.approx(1, abs=0.05)
    assert found.difference.p is not None and found.difference.p < 0.05


def test_the_files_hold_what_the_results_hold(measured: tuple[Results, Path]) -> None:
    results, out = measured
    table = rows(out)
    assert len(table) == len(results.rows)
    for row, written in zip(results.rows, table, strict=True):
        assert (written["explainer"], written["metric"]) == (row.explainer, row.metric)
        assert float(written["mean"]) == row.mean
    data = json.loads((out / "results.json").read_text())
    assert [r["mean"] for r in data["rows"]] == [r.mean for r in results.rows]
    assert data["provenance"]["models"] and data["provenance"]["seed"] == 0
    values = [r for r in rows(out, "clips.csv") if r["metric"] == "sparseness"]
    assert len(values) == 6 * 4
    assert "<html" in (out / "index.html").read_text()


class TestResuming:
    def test_nothing_is_done_twice(self, measured: tuple[Results, Path], desk: Path) -> None:
        _, out = measured
        timings, table = (out / "timings.csv").read_bytes(), (out / "results.csv").read_bytes()
        run(Config.load(desk / "bench.toml", allow_code=True), out)
        assert (out / "timings.csv").read_bytes() == timings
        assert (out / "results.csv").read_bytes() == table

    def test_cut_off_anywhere_the_table_is_the_same_to_the_byte(
        self, measured: tuple[Results, Path], desk: Path, tmp_path: Path
    ) -> None:
        _, out = measured
        whole = (out / "results.csv").read_bytes()
        journal = (out / "journal.jsonl").read_bytes()
        draw, sixth = random.Random(0), len(journal) // 6
        for cut in (draw.randrange(part * sixth, (part + 1) * sixth) for part in range(6)):
            (tmp_path / "journal.jsonl").write_bytes(journal[:cut])
            run(Config.load(desk / "bench.toml", allow_code=True), tmp_path)
            assert (tmp_path / "results.csv").read_bytes() == whole

    def test_killed_and_started_again_it_goes_on(
        self, measured: tuple[Results, Path], desk: Path, tmp_path: Path
    ) -> None:
        whole = (measured[1] / "results.csv").read_bytes()
        code = "from xplain.cli.main import main; main()"
        command = [
            sys.executable,
            "-c",
            code,
            "benchmark",
            "--allow-code",
            str(desk / "bench.toml"),
        ]
        journal = tmp_path / "journal.jsonl"
        for lines in (1, 3, 5):
            process = subprocess.Popen([*command, "--out", str(tmp_path)], stderr=subprocess.PIPE)
            while not journal.exists() or journal.read_bytes().count(b"\n") < lines:
                assert process.poll() is None
                time.sleep(0.002)
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
            assert not (tmp_path / "results.csv").exists()
        subprocess.run([*command, "--out", str(tmp_path)], check=True, capture_output=True)
        assert (tmp_path / "results.csv").read_bytes() == whole

    def test_a_recording_that_was_changed_is_measured_again(
        self, desk: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "a.wav").write_bytes((desk / "0.wav").read_bytes())
        table: dict[str, Any] = {"data": [{"name": "d", "files": [str(tmp_path / "a.wav")]}]}
        table["metrics"] = ["sparseness"]
        before = run(config(desk, **table), tmp_path / "out")
        (tmp_path / "a.wav").write_bytes((desk / "1.wav").read_bytes())
        after = run(config(desk, **table), tmp_path / "out")
        fresh = run(config(desk, **table), tmp_path / "fresh")
        assert after.rows == fresh.rows != before.rows

    def test_a_damaged_journal_is_named(
        self, measured: tuple[Results, Path], desk: Path, tmp_path: Path
    ) -> None:
        journal = (measured[1] / "journal.jsonl").read_bytes()
        first = journal[: journal.index(b"\n") + 1]
        for damage in (b"nonsense\n", b"\xff\n", b"[{}]\n", b"3\n"):
            (tmp_path / "journal.jsonl").write_bytes(first + damage)
            with pytest.raises(xplain.ArtifactError, match="is damaged"):
                run(Config.load(desk / "bench.toml", allow_code=True), tmp_path)

    def test_a_folder_that_cannot_be_written_is_named(self, desk: Path) -> None:
        with pytest.raises(xplain.ArtifactError, match="cannot be written"):
            run(config(desk), desk / "0.wav" / "out")

    def test_two_runs_do_not_write_into_one_folder(self, desk: Path, tmp_path: Path) -> None:
        made = with_methods(config(desk), Method("busy", Busy(config(desk), tmp_path)))
        assert all("another run" in reason for *_, reason in run(made, tmp_path).failures)

    def test_another_benchmark_is_not_mixed_in(
        self, measured: tuple[Results, Path], desk: Path
    ) -> None:
        _, out = measured
        with pytest.raises(xplain.ArtifactError, match="metrics, ratios differ"):
            run(config(desk, explainers=["integrated-gradients"]), out)


class Busy(xplain.Explainer):
    """Starts a run in the folder of the run it is part of."""

    def __init__(self, config: Config, out: Path) -> None:
        self.config, self.out = config, out

    def attribute(self, score: xplain.Score, latents: Tensor, baseline: Tensor) -> Tensor:
        run(self.config, self.out)
        return latents


class Moody(xplain.Explainer):
    """Gives NaN for every second clip."""

    calls = 0

    def attribute(self, score: xplain.Score, latents: Tensor, baseline: Tensor) -> Tensor:
        self.calls += 1
        return torch.full_like(latents, math.nan) if self.calls % 2 else latents


class Nothing(xplain.Explainer):
    """Says that nothing counts."""

    def attribute(self, score: xplain.Score, latents: Tensor, baseline: Tensor) -> Tensor:
        return torch.zeros_like(latents)


def with_methods(made: Config, *methods: Method) -> Config:
    return Config(
        models=made.models, data=made.data, explainers=methods, metrics=made.metrics,
        ratios=made.ratios, draws=made.draws,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["index.html", "results.csv"])
def test_files_of_others_are_not_overwritten(desk: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(xplain.ArtifactError, match=f"{name} exists"):
        run(config(desk), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"


def test_nan_is_named_and_counted_and_never_averaged_in(desk: Path, tmp_path: Path) -> None:
    made = with_methods(config(desk, metrics=["sparseness"]), Method("moody", Moody()))
    results = run(made, tmp_path)
    (group,) = results.order
    row = results.row(group, "moody", "sparseness")
    assert (row.clips, row.failed, row.undefined) == (3, 3, 0)
    assert row.mean is not None and 0 < row.mean < 1
    assert [clip for _, _, clip, _ in results.failures] == ["0.wav", "2.wav", "4.wav"]
    assert all("NaN" in reason for *_, reason in results.failures)


def test_what_is_undefined_is_counted_with_its_reason(desk: Path, tmp_path: Path) -> None:
    made = with_methods(config(desk, metrics=["sparseness"]), Method("nothing", Nothing()))
    results = run(made, tmp_path)
    (group,) = results.order
    row = results.row(group, "nothing", "sparseness")
    assert (row.clips, row.failed, row.undefined, row.mean) == (0, 0, 6, None)
    assert results.order[group][-1] == "nothing"
    assert any("zero" in reason and count == 6 for reason, count in results.reasons.items())


def test_a_clip_that_cannot_be_read_is_named_and_tried_again(desk: Path, tmp_path: Path) -> None:
    late = tmp_path / "late.wav"
    table = config(desk, data=[{"name": "few", "files": ["0.wav", "1.wav"]}])
    item = type(table.data[0].items[0])(late)
    data = type(table.data[0])("few", (*table.data[0].items, item))
    made = Config(
        models=table.models, data=(data,), explainers=table.explainers[:1], metrics=table.metrics,
        ratios=table.ratios, draws=table.draws,
    )  # fmt: skip
    results = run(made, tmp_path / "out")
    assert {clip for _, _, clip, _ in results.failures} == {"late.wav"}
    late.write_bytes((desk / "2.wav").read_bytes())
    assert run(made, tmp_path / "out").failures == ()


def test_one_clip_has_no_interval(desk: Path, tmp_path: Path) -> None:
    results = run(config(desk, data=[{"name": "one", "files": ["0.wav"]}]), tmp_path)
    (group,) = results.order
    row = results.row(group, "saliency", "fidelity")
    assert row.mean is not None and row.low is None
    assert all(c.p is None for c in results.comparisons)


def test_given_labels_in_place_of_the_models_decision(desk: Path, tmp_path: Path) -> None:
    made = config(desk, target="label", metrics=["input-fidelity"], ratios=[1.0])
    results = run(made, tmp_path)
    (group,) = results.order
    # With everything kept, the model decides for the annotated cue.
    assert results.row(group, "saliency", "input-fidelity", 1.0).mean == 1
    with pytest.raises(xplain.XplainError, match=r"0.wav has no label"):
        run(config(desk, target="label", data=[{"name": "d", "files": ["0.wav"]}]), tmp_path / "b")


def test_verdicts_and_sanity_are_in_the_results(desk: Path, tmp_path: Path) -> None:
    few = [{"name": "few", "manifest": "clips.csv", "every": 3}]
    results = run(config(desk, data=few, check=True, sanity=True), tmp_path)
    (group,) = results.order
    assert results.verdicts[group, "random"] == {"unfaithful": 2}
    assert results.verdicts[group, "saliency"].get("unfaithful", 0) == 0
    found = {f["check"]: f["passed"] for f in results.findings if f["explainer"] == "saliency"}
    assert found["planted-cue"] and found["round-trip"] and found["random-control"]
    # The planted model has no weights to randomise, which is said.
    assert found["parameter-randomisation"] is None


def test_sanity_checks_are_not_run_again_but_for_a_recording_that_was_changed(
    desk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sounds = [shutil.copy(desk / f"{number}.wav", tmp_path) for number in range(3)]
    made = config(desk, data=[{"name": "few", "files": sounds}], sanity=True)
    first = run(made, tmp_path / "out")
    assert first.findings
    files = ("results.csv", "results.json", "index.html")
    before = [(tmp_path / "out" / name).read_bytes() for name in files]
    examined = []
    examine = sanity.examine

    def counted(*given: Any, **settings: Any) -> Any:
        examined.append(settings["explainer"])
        return examine(*given, **settings)

    monkeypatch.setattr(sanity, "examine", counted)
    again = run(made, tmp_path / "out")
    assert not examined and list(again.findings) == list(first.findings)
    assert [(tmp_path / "out" / name).read_bytes() for name in files] == before
    shutil.copy(desk / "4.wav", tmp_path / "1.wav")
    run(made, tmp_path / "out")
    assert len(examined) == 3  # saliency and both controls


def test_randomised_copies_are_explained_where_a_metric_needs_them(tmp_path: Path) -> None:
    for number in range(2):
        sound = 0.1 * torch.randn(4000, generator=torch.Generator().manual_seed(number))
        audio.write(tmp_path / f"{number}.wav", sound, RATE)
    (tmp_path / "model.py").write_text(
        "import torch, xplain\n"
        "def make():\n"
        "    torch.manual_seed(0)\n"
        "    layers = [torch.nn.Conv1d(1, 8, 16, stride=4), torch.nn.Softplus(),\n"
        "              torch.nn.AdaptiveAvgPool1d(1), torch.nn.Flatten(), torch.nn.Linear(8, 3)]\n"
        "    return xplain.wrap(torch.nn.Sequential(torch.nn.Unflatten(1, (1, -1)), *layers),\n"
        "                       sample_rate=8000, labels=[*'abc'])\n"
    )
    table = {
        "models": [f"{tmp_path}/model.py:make"],
        "explainers": ["integrated-gradients"],
        "metrics": ["randomisation"],
        "ratios": [0.1],
        "data": [{"name": "noise", "files": ["*.wav"]}],
    }
    results = run(Config.read(table, tmp_path), tmp_path / "out")
    (group,) = results.order
    assert results.row(group, "integrated-gradients", "randomisation").clips == 2
    # Loudness knows nothing of the model, so that it stays what it is.
    assert results.row(group, "loudness", "randomisation").mean == pytest.approx(1)


def test_planted_clips_need_no_files(tmp_path: Path) -> None:
    table = {
        "models": ["planted:"],
        "explainers": ["input-x-gradient"],
        "metrics": ["pointing-game"],
        "data": [{"name": "cues", "planted": 3}],
    }
    results = run(Config.read(table, tmp_path), tmp_path / "out")
    assert results.row(("planted:", "cues", ""), "input-x-gradient", "pointing-game").mean == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metrics": ["fidelty"]}, "no metric 'fidelty'; did you mean 'fidelity'"),
        ({"metrics": ["f1-gap"]}, "'f1-gap' does not apply: it needs proxy, teacher, truth"),
        ({"metrics": [{"name": "sparseness", "x": 1}]}, "has no parameter 'x'"),
        ({"explainers": ["salience"]}, "no explainer 'salience'; did you mean 'saliency'"),
        ({"explainers": ["saliency", "saliency"]}, "same name"),
        ({"explainers": [1]}, r"explainers\[0\]: expected `str \| object`, got `int`"),
        ({"data": []}, "needs data"),
        ({"data": [{"name": "d", "files": ["no.wav"]}]}, "no file 'no.wav'"),
        (
            {"data": [{"name": "d", "manifest": "clips.csv", "where": {"label": "x"}}]},
            "no label 'x'",
        ),
        ({"data": [{"name": "d", "manifest": "clips.csv", "where": {"lable": 1}}]}, "'label'"),
        ({"data": [{"name": "d", "manifest": "none.csv"}]}, "none.csv cannot be read"),
        ({"data": [{"name": "d"}]}, "one of files, manifest, planted"),
        ({"models": "m"}, "models: expected `array`, got `str`"),
        ({"ratios": [0.1, 2]}, r"ratios\[1\]: expected `float` <= 1.0"),
        ({"ratios": [0.5, 0.1]}, "ascend"),
        ({"ratio": [0.1]}, "no setting 'ratio'; did you mean 'ratios'"),
        ({"rank_by": "removal"}, "cannot rank by 'removal'"),
        ({"target": "truth"}, "target: Invalid enum value 'truth'"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_measured(
    desk: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(xplain.XplainError, match=message):
        config(desk, **change)


@pytest.fixture
def arguments(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    given = ["xplain", "benchmark"]
    monkeypatch.setattr(sys, "argv", given)
    yield given


def test_the_command_prints_the_order_and_json(
    desk: Path, tmp_path: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments += [str(desk / "bench.toml"), "--out", str(tmp_path), "--json"]
    with pytest.raises(SystemExit) as done:
        main()
    assert done.value.code == 2 or done.value.code == 1
    assert "would run that file; give --allow-code where you trust" in capsys.readouterr().err
    arguments.append("--allow-code")
    with pytest.raises(SystemExit) as done:
        main()
    assert done.value.code in (0, None)
    said = capsys.readouterr()
    assert json.loads(said.out)["rank_by"] == "fidelity"
    assert "by fidelity" in said.err and "integrated-gradients: " in said.err


def test_a_file_that_is_no_toml_is_named(
    tmp_path: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.toml").write_text("models = [")
    arguments += [str(tmp_path / "bad.toml")]
    with pytest.raises(SystemExit) as done:
        main()
    assert done.value.code == 2
    assert "bad.toml cannot be read as TOML" in capsys.readouterr().err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_said_of_the_journal(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl", {})
    journal._file = open("/dev/full", "r+b")  # noqa: SIM115
    with pytest.raises(
        xplain.ArtifactError, match=r"journal\.jsonl cannot be written: .*again to go on"
    ):
        journal.add([])
    journal.close()
