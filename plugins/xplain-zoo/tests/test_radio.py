"""The radio segmenter: frames, level, how far it hears, and what it is trained on."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
import torch
from safetensors.torch import save_file
from sklearn.metrics import f1_score

from training import measure_radio, train_radio
from training.radio_batches import Mixer, Ranges
from training.radio_codecs import coded
from training.radio_data import Meeting, Scene, read_meetings, read_scenes, turns_to_frames
from training.radio_masks import masked
from training.radio_scores import best_f1, choose_thresholds, decide, f1
from xplain_zoo.radio import LABELS, RadioConfig, RadioSegmenter, _average

SMALL = RadioConfig(
    bands=12, level_frames=5, patterns=(4, 6), channels=8, hidden=8, dilations=(1, 2), around=3
)


@pytest.fixture(scope="module")
def model() -> RadioSegmenter:
    """An untrained network whose every path is open."""
    torch.manual_seed(0)
    made = RadioSegmenter(SMALL)
    with torch.no_grad():
        made.train()(0.1 * torch.randn(8, 16000))  # some statistics for the norms
    return made.eval()


@pytest.mark.parametrize(
    ("samples", "frames"), [(1, 1), (319, 1), (320, 1), (321, 2), (16000, 50), (16001, 51)]
)
def test_there_is_a_frame_for_every_20_ms_begun(model, samples, frames):
    logits = model(torch.randn(2, samples))
    assert logits.shape == (2, frames, 4)
    assert logits.isfinite().all()


def test_a_frame_is_centred_on_its_own_20_ms(model):
    """A click in the middle of frame t gives bands that are symmetric around it."""
    waveform = torch.zeros(1, 320 * 9)
    waveform[0, 320 * 4 + 160] = 1.0
    power = model.bands.power(waveform)[0].sum(dim=0)
    assert power.argmax() == 4
    torch.testing.assert_close(power[:4], power[5:].flip(0), rtol=0.02, atol=1e-9)


def test_bands_share_out_the_power_of_noise(model):
    noise = 0.1 * torch.randn(1, 160000, generator=torch.Generator().manual_seed(0))
    inside = RadioConfig(low=0.0, high=8000.0)
    power = RadioSegmenter(inside).bands.power(noise)[0, :, 5:-5].sum(dim=0).mean()
    # The lower half of the first triangle and the upper half of the last are missing.
    assert 0.9 < float(power) / 0.01 < 1.0


@pytest.mark.parametrize("level", [-20, 20])
def test_the_level_does_not_matter(model, level):
    waveform = 0.03 * torch.randn(1, 16000, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        louder = model(waveform * 10 ** (level / 20))
        torch.testing.assert_close(louder, model(waveform), atol=0.01, rtol=0.01)


def test_silence_has_finite_logits_and_gradients(model):
    waveform = torch.zeros(1, 4000, requires_grad=True)
    model(waveform).sum().backward()
    assert waveform.grad.isfinite().all()


def test_a_frame_depends_on_its_context_and_on_nothing_beyond(model):
    """The farthest sample that has a gradient, by autograd, in float64."""
    precise = RadioSegmenter(SMALL).double().eval()
    precise.load_state_dict(model.state_dict())
    frame = 60
    waveform = torch.randn(1, 320 * 120, dtype=torch.float64, requires_grad=True)
    precise(waveform)[0, frame].abs().sum().backward()
    influence = waveform.grad[0].abs()
    touched = (influence > 1e-12 * influence.max()).nonzero()
    first, last = int(touched.min()), int(touched.max())
    context = round(SMALL.context * 16000)
    # The window of the spectrum begins and ends with almost nothing.
    assert 320 * frame - context <= first < 320 * frame - context + 32
    assert 320 * (frame + 1) + context - 32 < last + 1 <= 320 * (frame + 1) + context


def test_surroundings_are_the_mean_of_the_frames_there_are():
    values = torch.tensor([[[1.0, 2.0, 6.0, 3.0, 8.0]]])
    expected = [[[1.5, 3.0, 11 / 3, 17 / 3, 5.5]]]
    torch.testing.assert_close(_average(values, 1), torch.tensor(expected))
    torch.testing.assert_close(_average(values, 9), torch.full((1, 1, 5), 4.0))


def test_turns_become_frames_by_their_middles():
    turns = [("a", 0.0, 0.06), ("b", 0.03, 0.05), ("a", 0.05, 0.01)]
    # Middles: 10, 30, 50, 70, 90 ms. a speaks to 60 ms, b from 30 to 80 ms; a twice is one a.
    assert turns_to_frames(turns, 5).tolist() == [[1, 0], [1, 1], [1, 1], [1, 0], [0, 0]]


def test_meetings_are_read_with_their_rttm(tmp_path):
    soundfile.write(tmp_path / "m1.flac", np.full(16000, 0.25), 16000)
    line = "SPEAKER m1 1 {:.3f} {:.3f} <NA> <NA> {} <NA> <NA>\n"
    text = line.format(0.2, 0.4, "x") + line.format(0.5, 0.3, "y")
    (tmp_path / "all.rttm").write_text(text)
    (meeting,) = read_meetings(tmp_path / "all.rttm")
    assert meeting.labels.shape == (50, 2)
    assert meeting.labels[:, 0].nonzero().flatten().tolist() == list(range(10, 40))
    assert meeting.labels[:, 1].nonzero().flatten().tolist() == list(range(25, 30))
    (tmp_path / "m1.flac").unlink()
    with pytest.raises(SystemExit, match=r"neither m1.flac nor m1.wav"):
        read_meetings(tmp_path / "all.rttm")


def test_f1_is_scikit_learns():
    chance = np.random.default_rng(0)
    decided, labels = chance.random((2, 500, 4)) < 0.4
    ours = f1(torch.from_numpy(decided), torch.from_numpy(labels).to(torch.uint8))
    theirs = f1_score(labels, decided, average=None)
    np.testing.assert_allclose(ours, theirs)
    assert f1(torch.zeros(3, 1, dtype=torch.bool), torch.zeros(3, 1)).isnan().all()


def test_decisions_are_those_that_part_the_frames():
    """Two labels; of the second, blips of one frame and a gap of two are noise in the logits."""
    first = torch.tensor([0.1, 0.2, 0.33, 0.35, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9]).repeat(4)
    truth = torch.tensor([0, 0, 0, 1, 1, 1, 1, 1, 1, 1]).repeat(4)
    low, high = [0.105], [0.895]
    second = torch.tensor(low * 5 + high + low * 14 + high * 10 + low * 2 + high * 8)
    there = torch.tensor([0] * 20 + [1] * 20)
    logits = torch.logit(torch.stack([first, second], dim=1).double())
    labels = torch.stack([truth, there], dim=1)
    plain, smooth = (choose_thresholds([logits[:, i]], [labels[:, i]], 0.02) for i in (0, 1))
    assert plain.onset in (0.34, 0.35)
    assert smooth.min_on > 0.02
    assert smooth.min_off > 0.04
    decided = decide(logits, [plain, smooth], 0.02)
    assert decided.tolist() == (labels > 0).tolist()
    assert f1(decided, labels).tolist() == [1, 1]


def scene(speech: list[int], overlap: list[int], music: list[int], noise: list[int]) -> Scene:
    """A scene of ten frames whose parts are constants: 1000, 100 and 10 of full scale."""
    labels = torch.zeros(10, 4, dtype=torch.uint8)
    for column, frames in enumerate((speech, music, noise, overlap)):
        labels[frames, column] = 1
    parts = torch.zeros(3, 3200, dtype=torch.int16)
    for part, (amount, column) in enumerate(((1000, 0), (100, 1), (10, 2))):
        parts[part] = amount * labels[:, column].repeat_interleave(320)
    return Scene(parts.sum(dim=0).to(torch.int16), parts, labels)


PLAIN = {
    "as_they_are": 0.0,
    "meetings": 0.0,
    "more_speech": 0.0,
    "more_music": 0.0,
    "tempo": 0.0,
    "music_tempo": 0.0,
    "seconds": 0.2,
}


def test_a_mixture_has_the_labels_of_its_parts():
    scenes = [scene([0, 1, 2], [1], [], []), scene([], [], [5, 6], []), scene([], [], [], [8])]
    always = Ranges(**PLAIN, speech=1.0, music=1.0, noise=1.0)
    batch = Mixer(scenes, [], always, 0).batch(8)
    assert batch.waveform.shape == (8, 3200)
    # Three frames of speech, one of overlap, two of music, one of noise, wherever they went.
    assert batch.labels.sum(dim=1).tolist() == [[3, 2, 1, 1]] * 8
    assert batch.known.all()
    assert len({tuple(row[:, 0].tolist()) for row in batch.labels}) > 1


def test_labels_keep_to_a_part_that_is_played_faster_or_slower():
    """A frame has the label where the part fills more than half of it."""
    changed = Ranges(**{**PLAIN, "tempo": 0.3, "tilt": 0.0}, speech=1.0, music=0.0, noise=0.0)
    batch = Mixer([scene([2, 3, 4, 5], [], [], [])], [], changed, 0).batch(20)
    loud = batch.waveform.reshape(20, 10, 320).abs().mean(dim=2)
    loud = loud > 0.5 * loud.amax(dim=1, keepdim=True)
    assert ((batch.labels[..., 0] > 0) == loud).all()
    assert set(batch.labels[..., 0].sum(dim=1).tolist()) > {4}


def test_music_has_a_tempo_of_its_own_and_more_of_it_joins():
    only = {"speech": 0.0, "music": 1.0, "noise": 0.0}
    piece = [scene([], [], [2, 3, 4, 5], [])]
    faster = Mixer(piece, [], Ranges(**{**PLAIN, "music_tempo": 0.3}, **only), 0).batch(20).labels
    assert set(faster[..., 1].sum(dim=1).tolist()) > {4}
    as_it_is = Mixer(piece, [], Ranges(**{**PLAIN, "tempo": 0.3}, **only), 0).batch(20).labels
    assert set(as_it_is[..., 1].sum(dim=1).tolist()) == {4}
    more = Mixer(piece, [], Ranges(**{**PLAIN, "more_music": 1.0}, **only), 0).batch(20).labels
    assert set(more[..., 1].sum(dim=1).tolist()) > {4}
    assert not more[..., [0, 2, 3]].any()  # two pieces are no overlapped speech


def test_speech_that_joins_makes_overlap_where_both_speak():
    joined = Ranges(**{**PLAIN, "more_speech": 1.0}, speech=1.0, music=0.0, noise=0.0)
    batch = Mixer([scene(list(range(10)), [], [], [])], [], joined, 0).batch(2)
    assert batch.labels[..., 0].all()
    assert batch.labels[..., 3].all()
    alone = Mixer([scene([0, 1], [], [], [])], [], joined, 0).batch(40).labels
    both = alone[..., 3].sum(dim=1)
    either = alone[..., 0].sum(dim=1)
    assert (both + either == 4).all()  # 2 + 2 frames: what is counted twice is overlap
    assert 0 < both.mean() < 2


def test_a_meeting_teaches_speech_overlap_and_no_music_but_nothing_of_noise():
    labels = torch.zeros(10, 2, dtype=torch.uint8)
    labels[:6, 0] = 1
    labels[4:6, 1] = 1
    meeting = Meeting(0.1 * torch.ones(3200), labels)
    only = Ranges(**{**PLAIN, "meetings": 1.0}, speech=1.0, music=0.0, noise=0.0)
    everything = scene([0], [], [0], [0])
    batch = Mixer([everything], [meeting], only, 0).batch(4)
    assert batch.labels.sum(dim=1).tolist() == [[6, 0, 0, 2]] * 4
    assert batch.known[..., [0, 1, 3]].all()
    assert not batch.known[..., 2].any()


def test_behind_a_mask_nothing_is_heard_that_is_not_there():
    """Three tones: what a mask leaves keeps its label, what it takes out has none or is unsure."""
    time_ = torch.arange(32000) / 16000
    stems = torch.stack([torch.sin(6.283 * hz * time_) for hz in (300.0, 1500.0, 5000.0)])
    labels = torch.tensor([1, 1, 1, 0], dtype=torch.uint8).expand(100, 4)
    chance = torch.Generator().manual_seed(0)
    heard, left, sure = masked(stems.expand(24, 3, -1), labels.expand(24, -1, -1), chance)
    assert heard.shape == (24, 32000) and left.shape == sure.shape == (24, 100, 4)
    middle = slice(20, 80)
    spectrum = torch.fft.rfft(heard[:, 6400:25600]).abs()
    power = torch.stack(
        [
            spectrum[:, round(hz * 1.2) + torch.arange(-3, 4)].square().sum(1)
            for hz in (300, 1500, 5000)
        ],
        1,
    )
    share = power / (16000 * 0.6) ** 2
    for part in range(3):
        said = left[:, middle, part].float().mean(1)
        gone = share[:, part] < 1e-3
        assert gone.any() and (said[gone] == 0).all()
        assert (said[share[:, part] > 0.5] == 1).all()
        assert len({*said.tolist()}) > 1
    assert not left[..., 3].any() and sure[..., 3].all()  # who did not speak at once does not now


@pytest.mark.parametrize("seed", range(4))
def test_a_coded_scene_lies_where_it_lay(seed):
    draw = np.random.default_rng(seed)
    noise = soxr.resample(draw.standard_normal(16000), 3000, 16000)[:32000]
    pcm = torch.from_numpy((4000 * noise).astype(np.int16))
    before = Scene(pcm, torch.stack([pcm, 0 * pcm, 0 * pcm]), torch.ones(100, 4).to(torch.uint8))
    (after,) = coded([before], 1.0, seed)
    assert after.waveform.shape == pcm.shape and torch.equal(after.parts, before.parts)
    assert not torch.equal(after.waveform, pcm)
    pair = torch.stack([pcm, after.waveform]).double()[:, 1000:-2000]
    assert torch.corrcoef(pair)[0, 1] > 0.8
    assert coded([before], 0.0, seed)[0] is before


def test_what_no_scene_has_cannot_be_mixed_in():
    with pytest.raises(SystemExit, match="no scene has noise"):
        Mixer([scene([0], [], [1], [])], [], Ranges(), 0)


def test_batches_follow_from_the_seed():
    scenes = [scene([0, 1, 2], [1], [3], [4])]
    first, again, other = (Mixer(scenes, [], Ranges(seconds=0.2), s).batch(40) for s in (1, 1, 2))
    assert first.waveform.isfinite().all()  # one frame of noise is gone where it is played faster
    torch.testing.assert_close(first.waveform, again.waveform, rtol=0, atol=0)
    assert not torch.equal(first.waveform, other.waveform)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What xplain nmf scenes writes: two scenes of a tone that is 'speech', and of 'noise'."""
    chance = np.random.default_rng(0)
    rows = []
    for number in range(2):
        labels = torch.zeros(50, 4, dtype=torch.uint8)
        labels[10:30, 0] = 1
        labels[20:45, 2] = 1
        tone = 3000 * np.sin(np.arange(16000) * 0.2) * np.repeat(labels[:, 0].numpy(), 320)
        noise = 3000 * chance.standard_normal(16000) * np.repeat(labels[:, 2].numpy(), 320)
        parts = {"speech_1": tone.astype(np.int16), "noise": noise.astype(np.int16)}
        names = {name: f"{number}-{name}.flac" for name in parts}
        for name, samples in parts.items():
            soundfile.write(tmp_path / names[name], samples, 16000)
        soundfile.write(tmp_path / f"{number}.flac", sum(parts.values()), 16000)
        save_file({"labels": labels}, tmp_path / f"{number}.safetensors")
        paths = {"path": f"{number}.flac", "labels": f"{number}.safetensors"}
        rows.append({**paths, "speech_2": "", "music": "", **names})
    with (tmp_path / "manifest.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)
    making = {"split": "train", "seconds": 1.0, "seed": 0, "augment": False, "version": 1}
    (tmp_path / "scenes.json").write_text(json.dumps(making))
    return tmp_path


def test_scenes_are_read_with_their_parts(folder):
    first, second = read_scenes(folder)
    torch.testing.assert_close(first.parts.sum(dim=0).to(torch.int16), first.waveform)
    assert not first.parts[1].any()
    assert not torch.equal(first.parts[2], second.parts[2])
    assert first.labels.sum(dim=0).tolist() == [20, 0, 25, 0]


def test_the_best_f1_does_not_depend_on_a_bias():
    labels = torch.tensor([[1, 1], [1, 0], [0, 0], [0, 0]])
    logits = torch.tensor([[0.2, 3.0], [0.1, 2.5], [0.0, -1.0], [-0.1, 2.6]]) - 1
    # The first column parts at a probability of 0.28; of the second, F1 is 1 above 2.6 - 1.
    torch.testing.assert_close(best_f1(logits, labels), torch.ones(2, dtype=torch.float64))
    torch.testing.assert_close(
        best_f1(logits[:, [1, 1]], torch.tensor([[0, 0], [1, 0], [0, 0], [0, 0]])),
        torch.tensor([0.5, 0.0], dtype=torch.float64),
    )


@pytest.fixture
def told(folder):
    """The command line of a training that takes a second."""
    model = {"bands": 24, "channels": 16, "hidden": 16, "dilations": [1, 2], "level_frames": 25}
    model |= {"dropout": 0.0, "around": 5}
    ranges = {"seconds": 1.0, "hiss": [50, 70], "music": 0.0}
    recipe = {
        "batch": 4,
        "steps": 60,
        "average": 0.9,
        "learning_rate": 0.01,
        "model": model,
        "ranges": ranges,
    }
    (folder / "recipe.json").write_text(json.dumps(recipe))
    return [str(folder), "--dev", str(folder), "--recipe", str(folder / "recipe.json")]


def test_a_training_learns_writes_what_loads_and_is_repeated_by_its_seed(folder, told, capsys):
    outs = [folder / "one", folder / "two"]
    for out in outs:
        train_radio.main([*told, "--out", str(out)])
    assert (outs[0] / "model.safetensors").read_bytes() == (
        outs[1] / "model.safetensors"
    ).read_bytes()
    record = json.loads((outs[0] / "training.json").read_text())
    assert record["recipe"]["steps"] == 60
    assert record["scenes"][0]["count"] == 2
    loaded = RadioSegmenter.from_folder(outs[0])
    assert loaded.config == RadioConfig.read(outs[0] / "config.json") != RadioConfig()
    capsys.readouterr()
    measure_radio.main([str(folder), "--weights", str(outs[0])])
    report = json.loads(capsys.readouterr().out)
    assert report["scenes"]["+0 dB"] == record["dev_f1"]
    assert report["scenes"]["+0 dB"]["speech"] > 0.8  # all frames decided speech: 0.57
    assert list(report["scenes"]["-20 dB"]) == list(LABELS)


def test_a_training_goes_on_from_weights_and_keeps_the_better_ones(folder, told):
    train_radio.main([*told, "--out", str(folder / "one")])
    recipe = json.loads((folder / "recipe.json").read_text())
    (folder / "recipe.json").write_text(json.dumps({**recipe, "learning_rate": 1e-9}))
    begun = ["--from", str(folder / "one"), "--steps", "2", "--every", "0"]
    train_radio.main([*told, *begun, "--out", str(folder / "two")])
    one, two = (RadioSegmenter.from_folder(folder / name).state_dict() for name in ("one", "two"))
    learned = [name for name in one if "running" not in name and "tracked" not in name]
    torch.testing.assert_close(*({n: w[n] for n in learned} for w in (one, two)), atol=1e-6, rtol=0)
    record = json.loads((folder / "two" / "training.json").read_text())
    weights = (folder / "one" / "model.safetensors").read_bytes()
    assert record["from"] == hashlib.sha256(weights).hexdigest()
    # At this rate what was known is lost: the look at the start is the best one.
    (folder / "recipe.json").write_text(json.dumps({**recipe, "learning_rate": 50.0}))
    begun[3] = "20"
    train_radio.main([*told, *begun, "--out", str(folder / "three")])
    record = json.loads((folder / "three" / "training.json").read_text())
    assert record["dev_f1"]["speech"] > 0.8


def test_a_training_that_is_cut_short_has_weights(folder, told, monkeypatch):
    real, done = train_radio.loss_of, []

    def cut(*arguments):
        done.append(1)
        if len(done) == 40:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(train_radio, "loss_of", cut)
    with pytest.raises(KeyboardInterrupt):
        train_radio.main([*told, "--every", "0", "--out", str(folder / "out")])
    assert not (folder / "out" / "training.json").exists()
    # The best F1 over thresholds, by which weights are kept: none was chosen yet.
    kept = RadioSegmenter.from_folder(folder / "out")
    logits, labels = train_radio.judge(kept, read_scenes(folder))
    assert train_radio.best_f1(torch.cat(logits), torch.cat(labels))[0] > 0.8
