"""Windows over recordings of any length, against the same at once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from xplain import PluginError
from xplain.segmentation.windows import Windows

RATE, STEP = 1000, 0.02
HOP = 20


def windows(window: float = 1.0, context: float = 0.2, fade: float = 0.1) -> Windows:
    return Windows.of(RATE, STEP, window=window, context=context, fade=fade)


def blocks(waveform: Tensor, size: int = 333) -> Iterator[Tensor]:
    return (waveform[i : i + size] for i in range(0, len(waveform), size))


def framed(waveform: Tensor) -> Tensor:
    return nn.functional.pad(waveform, (0, -len(waveform) % HOP)).reshape(-1, HOP)


def local(waveform: Tensor) -> Tensor:
    """A value that depends on 10 frames, 0.2 s, on each side: a moving sum, zeros beyond."""
    energy = framed(waveform).square().sum(dim=1)
    return nn.functional.conv1d(energy[None, None], torch.ones(1, 1, 21), padding=10)[0].T


def recurrent(waveform: Tensor) -> Tensor:
    """A leaky sum of all that was before: half of it is left after 7 frames."""
    values, state = [], torch.zeros(())
    for energy in framed(waveform).square().mean(dim=1):
        state = 0.9 * state + energy
        values.append(state)
    return torch.stack(values)[:, None]


def joined(w: Windows, waveform: Tensor, listen=local, size: int = 333) -> Tensor:
    return torch.cat(list(w.run(blocks(waveform, size), listen)))


@pytest.mark.parametrize("samples", [1, 19, 20, 21, 999, 1000, 1250, 1251, 1270, 2250, 2251, 7777])
@pytest.mark.parametrize("fade", [0.0, 0.02, 0.1, 1.0])
def test_with_enough_context_windows_change_nothing(samples: int, fade: float) -> None:
    waveform = torch.randn(samples, generator=torch.Generator().manual_seed(samples))
    found = joined(windows(fade=fade), waveform)
    expected = local(waveform)
    assert found.shape == expected.shape == (-(-samples // HOP), 1)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-4)


def test_with_too_little_context_they_would() -> None:
    waveform = torch.randn(5000, generator=torch.Generator().manual_seed(0))
    found = joined(windows(context=0.1), waveform)
    assert float((found - local(waveform)).abs().max()) > 1


def test_one_window_goes_over_into_the_next_linearly() -> None:
    numbers: list[int] = []

    def count(waveform: Tensor) -> Tensor:
        numbers.append(len(waveform))
        return torch.full((-(-len(waveform) // HOP), 1), float(len(numbers)))

    found = joined(windows(window=0.2, context=0.1, fade=0.08), torch.zeros(400), count)
    # Windows decide 10 frames each; around the border at 10, frames 8 to 11 go from 1 to 2.
    expected = [1.0] * 8 + [1.125, 1.375, 1.625, 1.875] + [2.0] * 8
    assert found[:, 0].tolist() == pytest.approx(expected)
    # The first hears 10 frames, half a fade and its context; the second from 5 before its
    # fade to the end.
    assert numbers == [(10 + 2 + 5) * HOP, 400 - (10 - 2 - 5) * HOP]


def test_a_memory_longer_than_the_context_leaves_a_seam_as_small_as_it_has_faded() -> None:
    waveform = torch.randn(6000, generator=torch.Generator().manual_seed(1))
    expected = recurrent(waveform)
    found = joined(windows(context=0.4), waveform, recurrent)
    # 20 frames of context leave 0.9^20 = 12 % of what was before at the border.
    off = float((found - expected).abs().max() / expected.mean())
    assert 0 < off < 0.2
    jump = float(found.diff(dim=0).abs().max() / expected.diff(dim=0).abs().max())
    assert jump < 1.1  # no step that the recording does not have itself


def test_a_norm_over_all_that_is_heard_leaves_no_step_at_the_border() -> None:
    def normed(waveform: Tensor) -> Tensor:
        energy = framed(waveform).square().mean(dim=1)
        return (energy / energy.mean())[:, None]

    # Twice as loud in the second half: each window is normed by another level.
    waveform = torch.ones(4000) + 0.5 * (torch.arange(4000) >= 2000)
    w = windows(window=1.0, context=0.2, fade=0.4)
    found = joined(w, waveform, normed)[:, 0]
    # The first window hears 1.4 s of level 1; the second, from 0.6 to 2.4 s, 70 frames of
    # power 1 and 20 of 2.25. The step between them is spread over the 20 frames of the fade.
    second = 1 / ((70 + 20 * 2.25) / 90)
    assert found[39].item() == pytest.approx(1.0)
    assert found[60].item() == pytest.approx(second)
    assert float(found[39:61].diff().abs().max()) == pytest.approx((1 - second) / 20, rel=1e-4)


def test_blocks_of_any_size_give_the_same() -> None:
    waveform = torch.randn(4321, generator=torch.Generator().manual_seed(2))
    one, other = (joined(windows(), waveform, size=size) for size in (17, 4321))
    assert torch.equal(one, other)


def test_no_window_is_longer_than_it_says_and_little_is_held() -> None:
    lengths: list[int] = []

    def listen(waveform: Tensor) -> Tensor:
        lengths.append(len(waveform))
        return local(waveform)

    total = joined(windows(), torch.zeros(60_000), listen)
    assert len(total) == 3000
    assert max(lengths) == 1000 + 100 + 2 * 200


@pytest.mark.parametrize("less", [1, 5])
def test_a_last_frame_or_two_may_be_missing(less: int) -> None:
    waveform = torch.randn(5000, generator=torch.Generator().manual_seed(3))
    found = joined(windows(), waveform, lambda w: local(w)[:-less])
    torch.testing.assert_close(found, local(waveform)[:-less], rtol=1e-5, atol=1e-4)


def test_a_frame_after_the_end_is_left_out() -> None:
    waveform = torch.randn(5000, generator=torch.Generator().manual_seed(3))
    found = joined(windows(), waveform, lambda w: nn.functional.pad(local(w), (0, 0, 0, 1)))
    torch.testing.assert_close(found, local(waveform), rtol=1e-5, atol=1e-4)


def test_frames_that_are_no_whole_number_of_samples_keep_in_step() -> None:
    """16.875 ms at 8 kHz are 135 samples; at 11025 Hz, 186.046875."""
    w = Windows.of(11025, 0.016875, window=20.0, context=1.0, fade=0.5)
    starts: list[float] = []
    ramp = torch.arange(11025 * 200, dtype=torch.float64)  # tells its time itself

    def listen(waveform: Tensor) -> Tensor:
        starts.append(float(waveform[0]))
        frames = w.frames(len(waveform))
        return (waveform[0] + torch.arange(frames) * w.hop)[:, None]

    found = torch.cat(list(w.run(blocks(ramp, 100_000), listen)))[:, 0]
    expected = torch.arange(len(found)) * w.hop
    assert len(found) == w.frames(len(ramp))
    assert float((found - expected).abs().max()) <= 1  # sample


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_another_number_of_frames_than_time_passed_is_an_error(factor: float) -> None:
    def listen(waveform: Tensor) -> Tensor:
        return torch.zeros(round(factor * len(waveform) / HOP), 1)

    with pytest.raises(PluginError, match="frames of 1260 samples"):
        joined(windows(), torch.zeros(5000), listen)


def test_too_little_context_for_the_missing_frames_is_an_error() -> None:
    with pytest.raises(PluginError, match="give more context"):
        joined(windows(context=0.0), torch.zeros(5000), lambda w: local(w)[:-3])


@pytest.mark.parametrize(
    "wrong", [{"window": 0.0}, {"context": -1.0}, {"fade": 2.0}, {"window": float("nan")}]
)
def test_windows_that_cannot_be_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(PluginError, match="window"):
        windows(**wrong)
