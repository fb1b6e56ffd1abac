"""Groups from a grouping to the method, the ranking, the folder and the page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from toys import RATE, tone

import xplain
from xplain import ArtifactError, Attribution, Audio, Groups, PluginError, XplainError
from xplain.interfaces import Score
from xplain.live import LiveClip

CLIP = torch.cat([tone(300, 0.25), tone(1300, 0.25), tone(2800, 0.25), 0 * tone(0, 0.25)])


class Quarters(xplain.Grouping):
    """The four quarters of a clip."""

    def __init__(self, names: tuple[str, ...] | None = ("low", "mid", "high", "rest")) -> None:
        self.names = names

    def groups(self, clip: xplain.Clip) -> Groups:
        assert clip.waveform.shape == (clip.samples,) and clip.duration == pytest.approx(1)
        channels, frames = clip.shape
        assert len(clip.frame_times) == frames and len(clip.frequencies or ()) == channels
        numbers = (4 * clip.frame_times / clip.duration).long()
        return Groups(numbers.expand(channels, frames).contiguous(), self.names)


class Given(xplain.Grouping):
    def __init__(self, groups: object) -> None:
        self.given = groups

    def groups(self, clip: xplain.Clip) -> Groups:
        return self.given  # type: ignore[return-value]


class Asking(xplain.Explainer):
    """Leaves each group of the score out, by masks; tells how it was asked."""

    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Attribution:
        assert score.groups is not None and score.frame_times is not None
        numbers = score.groups.numbers
        count = int(numbers.max()) + 1
        keep = torch.stack([numbers != group for group in range(count)])
        lost = score(latents[None]) - score.masked(keep)
        sizes = numbers.flatten().bincount()
        return Attribution(
            (lost / sizes)[numbers],
            extras={
                "asked": f"{score.target} in {score.duration:g} s",
                "losses": [{"group": n, "lost": float(v)} for n, v in enumerate(lost)],
                "sound": Audio(0.5 * tone(500, 0.1), RATE, "sound"),
            },
        )


class Two(xplain.Replacement):
    """Two draws: silence, and half of what was there."""

    depends_on_keep = True

    def fill(self, latents: Tensor, keep: Tensor, clip: xplain.Clip) -> Tensor:
        return torch.stack([0 * latents, 0.5 * latents])


def explained(bands: xplain.Model, **settings: object) -> xplain.Explanation:
    chosen = {"grouping": Quarters(), "target": "mid", "explainer": Asking(), **settings}
    return xplain.explain(CLIP, bands, **chosen)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "explainer",
    [Asking(), "feature-ablation", "occlusion", "shapley-sampling", "kernel-shap", "lime",
     "integrated-gradients"],
)  # fmt: skip
def test_every_method_names_the_quarter_that_decides(
    bands: xplain.Model, explainer: str | xplain.Explainer
) -> None:
    e = explained(bands, explainer=explainer)
    assert e.groups is not None
    assert [g.name for g in e.groups] == ["low", "mid", "high", "rest"]
    assert [g.start for g in e.groups] == pytest.approx([0, 0.25, 0.5, 0.75], abs=0.02)
    assert [g.end for g in e.groups] == pytest.approx([0.25, 0.5, 0.75, 1], abs=0.02)
    best = max(e.groups, key=lambda group: group.evidence)
    assert best.name == "mid"
    positive = sum(max(0, group.evidence) for group in e.groups)
    assert best.evidence > 0.9 * positive
    kept = e.keep(0.1)  # one of four
    assert kept[: RATE // 5].abs().max() < 0.05 < kept[RATE * 3 // 10 : RATE * 4 // 10].abs().max()


def test_groups_and_extras_come_back_from_the_folder(bands: xplain.Model, tmp_path: Path) -> None:
    e = explained(bands)
    e.check()
    again = xplain.Explanation.load(e.save(tmp_path / "e"))
    assert again.groups == e.groups and again.numbers is not None
    assert torch.equal(again.numbers, e.numbers)  # type: ignore[arg-type]
    assert again.extras.keys() == e.extras.keys()
    assert again.extras["asked"] == "mid in 1 s"
    sound = again.extras["sound"]
    assert isinstance(sound, Audio) and sound.sample_rate == RATE
    torch.testing.assert_close(sound.waveform, 0.5 * tone(500, 0.1), atol=1e-4, rtol=0)
    record = json.loads((tmp_path / "e" / "explanation.json").read_text())
    assert [group["name"] for group in record["groups"]] == ["low", "mid", "high", "rest"]
    assert again.identity == e.identity != explained(bands, grouping="frame").identity


def _no_numbers(folder: Path, record: dict) -> None:  # type: ignore[type-arg]
    tensors = load_file(folder / "tensors.safetensors")
    del tensors["numbers"]
    save_file(tensors, folder / "tensors.safetensors")


@pytest.mark.parametrize(
    ("damage", "wrong"),
    [
        (_no_numbers, "no numbers"),
        (lambda f, r: r["groups"].pop(), "4 groups"),
        (lambda f, r: r["groups"][0].update(name="mid"), "the same name"),
        (lambda f, r: r["groups"][0].update(end=-1.0), "lasts no time"),
        (lambda f, r: r["extras"]["sound"].update(samples=7), "no 16-bit WAV of 7"),
        (lambda f, r: r["extras"].update({"../x": {"sample_rate": 8000, "samples": 1}}), "extras"),
    ],
)
def test_damaged_groups_and_extras_are_refused(
    bands: xplain.Model, tmp_path: Path, damage: object, wrong: str
) -> None:
    folder = explained(bands).save(tmp_path / "e")
    record = json.loads((folder / "explanation.json").read_text())
    damage(folder, record)  # type: ignore[operator]
    (folder / "explanation.json").write_text(json.dumps(record))
    with pytest.raises(ArtifactError, match=wrong):
        xplain.Explanation.load(folder)


def test_scores_are_means_over_draws_of_the_replacement(bands: xplain.Model) -> None:
    e = explained(bands, replacement=Two(), baseline="zero")
    live: LiveClip = e.live
    keep = live.groups().numbers[None] != 1
    halved = torch.where(keep, 1.0, 0.5) * e.latents
    silent = keep * e.latents
    with live.asking() as (score, _), torch.no_grad():
        asked = [float(score(variant)) for variant in (silent, halved)]
    assert asked[0] < asked[1] - 0.1
    assert float(live.scores(keep)) == pytest.approx(sum(asked) / 2, rel=1e-4)


class Own(xplain.Explainer):
    """Speaks of quarters without being asked to."""

    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Attribution:
        numbers = (4 * torch.arange(latents.shape[1]) // latents.shape[1]).expand(latents.shape)
        return Attribution(latents - baseline, Groups(numbers.contiguous(), ("a", "b", "c", "d")))


def test_a_methods_own_groups_are_ranked_unless_others_are_asked(bands: xplain.Model) -> None:
    assert [g.name for g in explained(bands, explainer=Own(), grouping="element").groups or ()] == [
        *"abcd"
    ]
    asked = explained(bands, explainer=Own())
    assert [g.name for g in asked.groups or ()] == ["low", "mid", "high", "rest"]


@pytest.mark.parametrize(
    ("grouping", "error", "wrong"),
    [
        ("frames", XplainError, "did you mean 'frame'"),
        (7, PluginError, "instance of xplain.Grouping"),
        (Given(None), PluginError, "has to give xplain.Groups"),
        (Given(Groups(torch.zeros(2, 3, dtype=torch.int64))), PluginError, "channels and frames"),
    ],
)
def test_what_is_no_grouping_is_refused(
    bands: xplain.Model, grouping: object, error: type[Exception], wrong: str
) -> None:
    with pytest.raises(error, match=wrong):
        explained(bands, grouping=grouping)
    with pytest.raises(PluginError, match="no parameters"):
        explained(bands, grouping="frame", grouping_params={"x": 1})


def test_groups_without_names_are_ranked_and_saved(bands: xplain.Model, tmp_path: Path) -> None:
    e = explained(bands, grouping=Quarters(None))
    assert e.groups is None and e.numbers is not None
    again = xplain.Explanation.load(e.save(tmp_path / "e"))
    assert torch.equal(again.numbers, e.numbers)  # type: ignore[arg-type]


def test_a_score_of_ones_own_says_that_it_has_no_replacement() -> None:
    class Sums(Score):
        def forward(self, variants: Tensor) -> Tensor:
            return variants.sum((1, 2))

    with pytest.raises(NotImplementedError, match="replacement"):
        Sums().masked(torch.ones(1, 1, 1, dtype=torch.bool))
    assert isinstance(Sums(), nn.Module) and Sums().groups is None
