"""The terms of the loss, against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from xplain import Model, wrap
from xplain_nmf.spectrum import stft
from xplain_nmf.training import losses
from xplain_nmf.training.objectives import Objective, Weights, necessity
from xplain_nmf.training.presets import PRESETS
from xplain_nmf.training.teachers import load_teacher


def logit(p: float) -> float:
    return math.log(p / (1 - p))


def test_distillation_is_the_divergence_of_the_student_from_the_teacher():
    teacher, student = torch.tensor([[[0.9, 0.25]]]), torch.tensor([[[logit(0.6), logit(0.5)]]])
    by_hand = [
        0.9 * math.log(0.9 / 0.6) + 0.1 * math.log(0.1 / 0.4),
        0.25 * math.log(0.25 / 0.5) + 0.75 * math.log(0.75 / 0.5),
    ]
    assert losses.distillation(student, teacher).item() == pytest.approx(sum(by_hand) / 2, rel=1e-5)
    assert losses.distillation(torch.logit(teacher), teacher).item() == pytest.approx(0, abs=1e-6)
    # Not the student's divergence from the teacher: that is another number.
    swapped = 0.6 * math.log(0.6 / 0.9) + 0.4 * math.log(0.4 / 0.1)
    assert by_hand[0] != pytest.approx(swapped, rel=0.1)


def test_a_sure_teacher_costs_what_the_student_says():
    said = torch.tensor([[[1.0, 0.0]]])
    found = losses.distillation(torch.tensor([[[2.0, 2.0]]]), said).item()
    assert found == pytest.approx(
        (math.log1p(math.exp(-2)) + math.log1p(math.exp(2))) / 2, rel=1e-5
    )


def test_factorisation_and_sparsity_are_means():
    x, made = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]), torch.tensor([[[1.0, 0.0], [3.0, 1.0]]])
    assert losses.factorisation(x, made).item() == (4 + 9) / 4
    assert losses.sparsity(torch.tensor([[[1.0, 0.0, 3.0, 0.0]]])).item() == 1.0


def test_shares_of_groups_by_hand():
    w = torch.tensor([[1.0, 0.0, 2.0], [0.0, 1.0, 0.0]])
    h = torch.tensor([[[3.0], [5.0], [1.0]]])
    shares, whole = losses.group_shares(w, h, torch.tensor([0, 1, 1]))
    torch.testing.assert_close(whole, torch.tensor([[[5.0], [5.0]]]))
    expected = torch.tensor([[[[3 / 5], [0.0]], [[2 / 5], [1.0]]]])
    torch.testing.assert_close(shares, expected, atol=1e-3, rtol=0)
    silent, _ = losses.group_shares(w, torch.zeros(1, 3, 1), torch.tensor([0, 1, 1]))
    assert (silent == 0).all()


def test_ideal_shares_are_in_phase_and_in_range():
    mixture = torch.tensor([[[2.0 + 0j, 1.0 + 0j, 1j]]])
    stems = torch.tensor([[[[1.0 + 1j, -1.0 + 0j, 3j]]]])
    found = losses.ideal_shares(stems, mixture)
    torch.testing.assert_close(found, torch.tensor([[[[0.5, 0.0, 1.0]]]]))


def test_separation_counts_a_bin_by_its_spectrum():
    shares, ideal = torch.tensor([[[[0.5, 1.0]]]]), torch.tensor([[[[1.0, 0.0]]]])
    found = losses.separation(shares, ideal, torch.tensor([[[3.0, 1.0]]]))
    assert found.item() == pytest.approx((0.25 * 1.5 + 1.0 * 0.5) / 2)


def test_lost_and_kept_look_where_they_are_told():
    logits, where = torch.tensor([[1.0, -2.0, 50.0]]), torch.tensor([[1.0, 1.0, 0.0]])
    no = math.log1p(math.exp(1)) + math.log1p(math.exp(-2))
    yes = math.log1p(math.exp(-1)) + math.log1p(math.exp(2))
    assert losses.lost(logits, where).item() == pytest.approx(no / 3, rel=1e-5)
    assert losses.kept(logits, where).item() == pytest.approx(yes / 3, rel=1e-5)
    assert losses.lost(logits, torch.zeros(1, 3)).item() == 0


def batch(seconds: float = 0.5, clips: int = 2) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(0)
    stems = 0.1 * torch.randn(clips, 3, round(seconds * 16000), generator=draw)
    said = (torch.rand(clips, round(seconds * 50), 4, generator=draw) > 0.4).float()
    return {
        "waveform": stems.sum(1),
        "stems": stems,
        "separable": torch.ones(len(stems)),
        "teacher": said,
    }


@pytest.fixture
def classwise(make_proxy):
    labels = ("speech", "music", "noise", "overlap")
    proxy = make_proxy(
        labels,
        components=20,
        component_labels=["speech"] * 5 + ["music"] * 5 + ["noise"] * 5 + ["overlap"] * 5,
        refinements=1,
    )
    with torch.no_grad():
        proxy.psi.outputs[-1].bias.fill_(0.5)
    return proxy


def test_the_papers_preset_is_the_papers_loss(make_proxy):
    proxy, scenes = make_proxy(("speech", "music", "noise", "overlap")), batch()
    output = proxy(scenes["waveform"])
    logits, h, x = output.parts()
    terms = PRESETS["paper"].objective.terms(proxy, output, scenes, None, 0, 0.0)
    divergence = torch.distributions.kl_divergence(
        torch.distributions.Bernoulli(scenes["teacher"].clamp(1e-6, 1 - 1e-6)),
        torch.distributions.Bernoulli(logits=logits),
    ).mean()
    by_hand = (
        10 * divergence
        + 5 * (x - torch.einsum("fk,bkt->bft", proxy.dictionary, h)).square().mean()
        + 0.1 * h.mean()
    )
    torch.testing.assert_close(torch.stack(list(terms.values())).sum(), by_hand, rtol=1e-4, atol=0)


def test_necessity_takes_the_most_relevant_tenth_away(classwise):
    h = torch.rand(2, 20, 7, generator=torch.Generator().manual_seed(1))
    said = torch.zeros(2, 7, 4)
    said[:, :3, 1] = 1
    weight = torch.zeros(4, 20)
    weight[1, 6], weight[1, 9], weight[1, 2] = 3.0, 2.0, 0.1  # a tenth of 20 are two
    with torch.no_grad():
        classwise.theta.weight.copy_(weight)
    logits = classwise.head(h)
    without = logits[..., 1] - 3 * h[:, 6] - 2 * h[:, 9]
    by_hand = torch.nn.functional.softplus(without[:, :3]).sum() / (6 + 1) / 4
    torch.testing.assert_close(necessity(classwise, logits, h, said), by_hand)


def test_a_label_is_lost_where_it_falls_below_its_onset(classwise):
    h, said = torch.rand(1, 20, 5), torch.ones(1, 5, 4)
    before = necessity(classwise, classwise.head(h), h, said)
    classwise.config.thresholds = {label: {"onset": 0.2} for label in classwise.config.labels}
    shifted = classwise.head(h) + math.log(0.2 / 0.8)
    torch.testing.assert_close(necessity(classwise, shifted, h, said), before)


def test_separation_is_zero_for_ideal_masks_and_worse_for_swapped_ones(classwise):
    scenes = batch()
    low, high = torch.zeros(513, 1), torch.zeros(513, 1)
    low[:100], high[100:] = 1, 1
    spectra = torch.stack([stft(s) for s in scenes["stems"]])
    spectra[:, 0, 100:] = spectra[:, 1, :100] = spectra[:, 2] = 0
    mixture = spectra.sum(1)
    ideal = losses.ideal_shares(spectra, mixture)
    x = torch.ones(mixture.shape)
    w = torch.cat([low, high], dim=1)
    shares, _ = losses.group_shares(w, torch.ones(2, 2, x.shape[-1]), torch.tensor([0, 1]))
    assert losses.separation(shares, ideal[:, :2], x).item() < 1e-5
    assert losses.separation(shares.flip(1), ideal[:, :2], x).item() > 0.5


class Bands(nn.Module):
    """A teacher that hears energy, differentiably: the same logit for all labels."""

    def forward(self, waveform: Tensor) -> Tensor:
        power = waveform.unflatten(-1, (-1, 320)).square().mean(-1)
        return (power / 1e-3 + 1e-3).log()[..., None].expand(-1, -1, 4)


def hearing() -> Model:
    return wrap(
        Bands(), sample_rate=16000, labels=("speech", "music", "noise", "overlap"),
        multilabel=True, frame_step=0.02,
    )  # fmt: skip


def terms_of(proxy, weights, scenes, **changes):
    teacher = load_teacher(hearing())
    objective = Objective(weights, **changes)
    return objective.terms(proxy, proxy(scenes["waveform"]), scenes, teacher, 0, 0.5)


def test_every_term_of_ours_reaches_the_networks_weights(classwise):
    scenes = batch(seconds=1.0)
    weights = Weights(separation=1.0, necessity=1.0, removal=1.0, keeping=1.0)
    terms = terms_of(classwise, weights, scenes, thinning=3)
    assert set(terms) == {
        "distillation", "factorisation", "sparsity", "separation",
        "necessity", "removal", "keeping",
    }  # fmt: skip
    for name, term in terms.items():
        classwise.zero_grad()
        term.backward(retain_graph=True)
        gradient = classwise.psi.inputs[1].weight.grad
        assert gradient is not None and gradient.isfinite().all() and gradient.any(), name


def test_terms_drop_out_without_stems_before_their_start_and_between_their_steps(classwise):
    scenes = batch(seconds=1.0)
    weights = Weights(separation=1.0, necessity=1.0, removal=1.0, keeping=1.0)
    unlabelled = {k: v for k, v in scenes.items() if k != "stems"}
    assert "separation" not in terms_of(classwise, weights, unlabelled)
    assert not {"necessity", "removal"} & set(terms_of(classwise, weights, scenes, start=0.6))
    output = classwise(scenes["waveform"])
    objective, teacher = Objective(weights, every=2), load_teacher(hearing())
    assert "removal" not in objective.terms(classwise, output, scenes, teacher, 1, 0.5)
    assert "removal" not in objective.terms(classwise, output, scenes, None, 0, 0.5)


def test_removal_is_what_the_teacher_says_of_the_audio_without_the_explanation(classwise):
    scenes = batch(seconds=1.0, clips=1)
    scenes["teacher"] = torch.zeros(1, 50, 4)
    scenes["teacher"][..., 1] = 1  # only music can be drawn
    h = classwise.activations(scenes["waveform"])
    w = classwise.dictionary
    mask = (w[:, 5:10] @ h[:, 5:10]) / (w @ h + losses.FLOOR)
    from xplain_nmf.spectrum import istft

    without = istft((1 - mask) * stft(scenes["waveform"]), 16000)
    by_hand = torch.nn.functional.softplus(Bands()(without)[..., 1]).sum() / (50 + 1)
    found = terms_of(classwise, Weights(removal=1.0), scenes, every=1)["removal"]
    torch.testing.assert_close(found, by_hand, rtol=1e-4, atol=1e-5)


class Exclusive(Bands):
    """What hears noise in silence, since it has to hear something."""

    def forward(self, waveform: Tensor) -> Tensor:
        loud = waveform.square().mean(-1, keepdim=True)[..., None] + torch.zeros(4)
        return super().forward(waveform) * loud + torch.tensor([-1.0, -1.0, 1.0, -1.0])


def test_what_is_heard_in_silence_needs_not_be_silent_and_is_lost_beside_others_only(classwise):
    model = wrap(
        Exclusive(), sample_rate=16000, labels=classwise.config.labels, multilabel=True,
        frame_step=0.02,
    )  # fmt: skip
    teacher = load_teacher(model)
    assert teacher.in_silence == (False, False, True, False)
    scenes = batch(seconds=1.0, clips=1)
    scenes["teacher"] = torch.zeros(1, 50, 4)
    scenes["teacher"][..., 2] = 1  # only noise can be drawn
    weights = Weights(removal=1.0, silence=1.0)

    def terms() -> dict[str, Tensor]:
        output = classwise(scenes["waveform"])
        return Objective(weights, every=1).terms(classwise, output, scenes, teacher, 0, 0.5)

    alone = terms()
    assert alone["removal"] == 0 and "silence" not in alone
    scenes["teacher"][:, :20, 1] = 1  # too few frames of music for it to be drawn
    assert terms()["removal"] > 0


def test_a_wrong_mask_takes_as_much_energy_and_learns_nothing_where_there_is_no_label():
    draw = torch.Generator().manual_seed(3)
    mask = torch.rand(2, 5, 8, generator=draw, requires_grad=True)
    power = torch.rand(2, 5, 8, generator=draw)
    where = torch.tensor([[1.0] * 4 + [0.0] * 4, [0.0] * 8])  # the second has no label at all
    wrong = losses.equal_energy(mask, 0.3 * mask.roll(2, 1), power, where)
    seen = power * where[:, None]
    taken, wanted = ((m.square() * seen).sum((1, 2)) for m in (wrong, mask))
    torch.testing.assert_close(taken, wanted, rtol=0.05, atol=0)
    wrong.sum().backward()
    assert torch.isfinite(mask.grad).all()


def test_where_all_gates_are_closed_gradients_are_finite(make_proxy):
    kinds = ["heard"] * 3 + ["loud"] * 2 + ["rest"]
    proxy = make_proxy(component_labels=kinds, gates=True, refinements=4, gains=True)
    torch.nn.init.constant_(proxy.psi.outputs[-1].bias[-2:], -30.0)
    torch.nn.init.constant_(proxy.psi.outputs[-1].bias[:6], -30.0)
    waveform = torch.randn(1, 3200, generator=torch.Generator().manual_seed(0))
    h = proxy.activations(waveform)
    assert (h[:, :5] == 0).all() and (h[:, 5] > 0).all()
    h.sum().backward()
    grown = max(float(p.grad.abs().max()) for p in proxy.parameters() if p.grad is not None)
    assert grown < 1e4
    assert not proxy.activations(torch.zeros(1, 3200)).any()
