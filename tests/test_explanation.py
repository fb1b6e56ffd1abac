"""An explanation on disk is whole, or is not there; it needs nothing to be read."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import soundfile
import torch
from torch import Tensor
from toys import RATE, Noisy, tone

import xplain
from xplain import audio
from xplain.report.page import write_page


@pytest.fixture
def explanation(bands: xplain.Model) -> xplain.Explanation:
    return xplain.explain(tone(440) + 0.2 * tone(1200), bands, seed=4)


def test_what_is_saved_is_loaded(explanation: xplain.Explanation, tmp_path: Path) -> None:
    folder = explanation.save(tmp_path / "deep" / "clip", keep=[0.1, 0.5], remove=[0.05])
    loaded = xplain.Explanation.load(folder)
    for name in ("attribution", "latents", "baseline", "waveform"):
        assert torch.equal(getattr(loaded, name), getattr(explanation, name))
    assert loaded.target == explanation.target
    assert loaded.provenance == explanation.provenance
    assert loaded.scores([0.1, 0.5], [0.05]) == explanation.scores([0.1, 0.5], [0.05])
    assert loaded.to_dict([0.5], []) == explanation.to_dict([0.5], [])


def test_the_folder_holds_16_bit_audio_of_the_clips_length(
    explanation: xplain.Explanation, tmp_path: Path
) -> None:
    folder = explanation.save(tmp_path / "clip")
    names = sorted(p.name for p in folder.iterdir())
    assert names == [
        "explanation.json",
        "keep-0.1.wav",
        "original.wav",
        "remove-0.1.wav",
        "tensors.safetensors",
    ]
    for path in folder.glob("*.wav"):
        info = soundfile.info(path)
        assert (info.samplerate, info.frames, info.subtype) == (RATE, RATE // 2, "PCM_16")
    kept, _ = soundfile.read(folder / "keep-0.1.wav", dtype="int16")
    assert (kept == audio.to_pcm16(explanation.keep(0.1))[0]).all()


def test_the_json_is_strict_and_holds_what_the_design_asks(
    explanation: xplain.Explanation, tmp_path: Path
) -> None:
    folder = explanation.save(tmp_path / "clip")

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    data = json.loads((folder / "explanation.json").read_text(), parse_constant=refuse)
    assert data["schema"] == 1
    assert {"target", "results", "selection", "completeness_error", "converged"} <= set(data)
    assert {"model", "explainer", "synthesizer", "replacement", "baseline", "route", "seed"} <= set(
        data["provenance"]
    )
    assert data["results"][0].keys() >= {
        "kind",
        "ratio",
        "probability",
        "label",
        "agrees",
        "reencoded",
    }


def test_bands_come_back_and_what_was_saved_without_them_is_read(
    explanation: xplain.Explanation, tmp_path: Path
) -> None:
    folder = explanation.save(tmp_path / "e", keep=[], remove=[])
    assert explanation.bands and xplain.Explanation.load(folder).bands == explanation.bands
    path = folder / "explanation.json"
    data = json.loads(path.read_text("utf-8"))
    del data["bands"]
    path.write_text(json.dumps(data), "utf-8")
    assert xplain.Explanation.load(folder).bands is None


def test_other_ratios_of_a_loaded_one_are_an_error_that_says_what_is_there(
    explanation: xplain.Explanation, tmp_path: Path
) -> None:
    loaded = xplain.Explanation.load(explanation.save(tmp_path / "clip"))
    with pytest.raises(xplain.ArtifactError, match=r"keep 0\.3 was not saved \(saved: keep 0\.1"):
        loaded.keep(0.3)
    with pytest.raises(xplain.XplainError, match="between 0 and 1"):
        loaded.keep(30)


def test_a_loaded_one_can_be_saved_again(explanation: xplain.Explanation, tmp_path: Path) -> None:
    first = explanation.save(tmp_path / "first")
    second = xplain.Explanation.load(first).save(tmp_path / "second")
    for path in first.iterdir():
        assert path.read_bytes() == (second / path.name).read_bytes()


def test_an_older_explanation_is_replaced_whole(
    explanation: xplain.Explanation, tmp_path: Path
) -> None:
    explanation.save(tmp_path / "clip", keep=[0.1, 0.2, 0.3])
    explanation.save(tmp_path / "clip", keep=[0.5], remove=[])
    assert sorted(p.name for p in (tmp_path / "clip").glob("*.wav")) == [
        "keep-0.5.wav",
        "original.wav",
    ]
    assert [p.name for p in tmp_path.iterdir()] == ["clip"]


def test_what_is_not_an_explanation_is_never_overwritten(
    explanation: xplain.Explanation, tmp_path: Path
) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_text("cat")
    with pytest.raises(xplain.ArtifactError, match=r"exists and holds cat\.jpg"):
        explanation.save(tmp_path / "photos")
    with pytest.raises(xplain.ArtifactError, match="cannot be written"):
        explanation.save(tmp_path / "photos" / "cat.jpg" / "clip")
    assert [p.name for p in tmp_path.rglob("*")] == ["photos", "cat.jpg"]


def test_a_file_of_the_users_own_in_the_folder_is_never_lost(
    explanation: xplain.Explanation, tmp_path: Path
) -> None:
    folder = explanation.save(tmp_path / "clip")
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(xplain.ArtifactError, match=r"exists and holds notes\.txt"):
        explanation.save(folder)
    assert (folder / "notes.txt").read_text() == "mine"


def test_many_may_save_in_the_same_place_at_once(
    explanation: xplain.Explanation, tmp_path: Path
) -> None:
    explanation.scores()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: explanation.save(tmp_path / "clip"), range(40)))
    assert [p.name for p in tmp_path.iterdir()] == ["clip"]
    assert xplain.Explanation.load(tmp_path / "clip").saved


def test_ratios_that_are_close_have_files_of_their_own(
    explanation: xplain.Explanation, tmp_path: Path
) -> None:
    folder = explanation.save(tmp_path / "clip", keep=[0.1234561, 0.1234564], remove=[])
    assert len(list(folder.glob("keep-*.wav"))) == 2


def test_nothing_half_written_is_left_when_writing_fails(
    explanation: xplain.Explanation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> float:
        raise OSError("No space left on device")

    explanation.scores()
    monkeypatch.setattr(audio, "write", full)
    with pytest.raises(xplain.ArtifactError, match="No space left"):
        explanation.save(tmp_path / "clip")
    assert list(tmp_path.iterdir()) == []


def edit(folder: Path, key: str, value: object) -> None:
    path = folder / "explanation.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda f: shutil.rmtree(f), r"explanation\.json is missing"),
        (lambda f: (f / "explanation.json").write_text("{"), "cannot be read as JSON"),
        (lambda f: (f / "explanation.json").write_text("[]"), "expected `object`, got `array`"),
        (lambda f: (f / "explanation.json").write_text('{"schema": 99}'), "upgrade xplain"),
        (
            lambda f: (f / "explanation.json").write_text('{"schema": 1}'),
            "required field `name`",
        ),
        (lambda f: edit(f, "results", [{"kind": "keep"}]), "results.*missing required field"),
        (lambda f: edit(f, "results", 3), r"at \$\.results: expected `array`, got `int`"),
        (lambda f: edit(f, "target", "low"), r"at \$\.target: expected `object`"),
        (lambda f: edit(f, "probabilities", None), r"at \$\.probabilities"),
        (
            lambda f: (f / "tensors.safetensors").write_bytes(b"x" * 50),
            "tensors.* cannot be read",
        ),
        (lambda f: (f / "tensors.safetensors").unlink(), "tensors.safetensors is missing"),
        (lambda f: (f / "keep-0.1.wav").unlink(), r"keep-0\.1\.wav is missing"),
    ],
)
def test_damage_is_named(
    explanation: xplain.Explanation,
    tmp_path: Path,
    damage: object,
    reason: str,
) -> None:
    folder = explanation.save(tmp_path / "clip")
    damage(folder)  # type: ignore[operator]
    with pytest.raises(xplain.ArtifactError, match=reason) as caught:
        xplain.Explanation.load(folder)
    assert str(folder) in str(caught.value)


def test_loading_needs_no_plugin(explanation: xplain.Explanation, tmp_path: Path) -> None:
    folder = explanation.save(tmp_path / "clip")
    code = (
        "import sys, xplain\n"
        f"e = xplain.Explanation.load({str(folder)!r})\n"
        "assert len(e.keep(0.1)) == 4000 and e.scores()\n"
        "assert not [m for m in sys.modules if m.startswith(('xplain_', 'captum'))]\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"XPLAIN_PLUGINS": "", "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_loud_results_are_turned_down_and_it_is_said(bands: xplain.Model) -> None:
    e = xplain.explain(2.5 * tone(440, level=1.0), bands, synthesizer="waveform")
    outcome = e.scores(keep=[1.0], remove=[])[0]
    assert outcome.gain == pytest.approx(1 / 2.5, rel=1e-3)


class Remembering(xplain.Synthesizer):
    """Gives the same tensor for every clip of one length."""

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate, self.remembered = sample_rate, torch.zeros(1, 1, 4000)

    def encode(self, waveform: Tensor) -> xplain.Latents:
        return xplain.Latents(self.remembered, {})

    def decode(self, values: Tensor, context: xplain.Context) -> Tensor:
        return values[:, 0]


def test_tensors_that_share_their_memory_are_saved_each(
    bands: xplain.Model, tmp_path: Path
) -> None:
    synthesizer = Remembering(RATE)
    e = xplain.explain(tone(440), bands, synthesizer=synthesizer, explainer=Noisy())
    assert e.latents.data_ptr() == e.baseline.data_ptr()
    assert xplain.Explanation.load(e.save(tmp_path / "clip")).baseline.shape == (1, 4000)


def test_without_its_plugin_it_loads_plays_and_shows_and_names_what_is_missing(
    bands: xplain.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = xplain.explain(tone(440), bands).save(tmp_path / "e")
    monkeypatch.setenv("XPLAIN_PLUGINS", "xplain-codecs")  # as if xplain-captum were gone
    loaded = xplain.Explanation.load(folder)
    assert len(loaded.keep(0.1)) == len(loaded.waveform)
    assert write_page(loaded, tmp_path / "page.html").is_file()
    for again in (lambda: loaded.keep(0.3), loaded.check, loaded.curves):
        with pytest.raises(xplain.ArtifactError, match="install xplain-captum, which") as error:
            again()
        assert "xplain-captum/integrated-gradients came from" in str(error.value)
