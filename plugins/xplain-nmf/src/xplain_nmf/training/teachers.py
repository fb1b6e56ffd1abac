"""The black box that a proxy learns from: any segmenter, asked for probabilities alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from xplain import Model
from xplain.audio import resample_tensor
from xplain.errors import ModelError, TargetError, nearest
from xplain.interfaces import Segmenter
from xplain.segmentation.adapters import resolve
from xplain_nmf.frames import to_label_frames
from xplain_nmf.spectrum import SAMPLE_RATE, frame_count


class Teacher(nn.Module):
    """A segmenter's answers at the proxy's rate, frames and labels; it is never trained.

    labels: in the order that is asked for, which may leave some of the segmenter's out.
    record: what the segmenter is, with its fingerprint.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        labels: Sequence[str] | None = None,
        record: Mapping[str, Any] | None = None,
    ) -> None:
        """Take the labels asked for, or all; TargetError for one that the teacher lacks."""
        super().__init__()
        self.labels = tuple(labels or segmenter.labels)
        lacking = [label for label in self.labels if label not in segmenter.labels]
        if lacking:
            raise TargetError(
                f"the teacher does not know the label {lacking[0]!r}; "
                f"{nearest(lacking[0], segmenter.labels)}"
            )
        self.segmenter, self.record = segmenter, dict(record or {})
        self._columns = [segmenter.labels.index(label) for label in self.labels]
        self.eval().requires_grad_(False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Waveforms (B, samples) at 16 kHz → logits (B, T, L), T = ceil(samples / 320).

        Gradients reach the waveform where the segmenter lets them.
        """
        rate = self.segmenter.sample_rate
        logits = self.segmenter.logits(resample_tensor(waveform, SAMPLE_RATE, rate))
        # A frame stands for the time from its start to the next one's: its centre is between.
        step = self.segmenter.frame_step * SAMPLE_RATE
        frames = frame_count(waveform.shape[-1])
        return to_label_frames(logits[..., self._columns], step / 2, step, frames)

    def passes_gradients(self) -> bool:
        """Whether gradients reach the waveform; through a black box they do not."""
        with torch.enable_grad():
            probe = torch.zeros(1, SAMPLE_RATE, requires_grad=True)
            return bool(self(probe).requires_grad)

    def train(self, mode: bool = True) -> Teacher:
        """It stays in evaluation mode."""
        return super().train(False)


def load_teacher(asked: str | Segmenter | Model, labels: Sequence[str] | None = None) -> Teacher:
    """A teacher by a registered segmenter's name, a model reference, or itself.

    asked: "my-segmenter", "zoo:radio-teacher", "hf:FOLDER", "file.py:factory", …. Raises
    PluginError or ModelError for what is not there or decides once per clip, TargetError for
    labels that it lacks.
    """
    segmenter, record = resolve(asked, {})
    return Teacher(segmenter, labels, record)


def teachers_encoder(teacher: Teacher) -> tuple[PreTrainedModel, bool]:
    """The transformers encoder inside a teacher, and whether it wants waveforms of variance 1.

    What the paper's proxy reads. ModelError for a black box, and for models without one.
    """
    known = (m for m in teacher.modules() if isinstance(m, PreTrainedModel))
    whole: Any = next(known, None)
    if whole is None or not hasattr(whole.config, "conv_kernel"):
        raise ModelError(
            "the teacher has no features that can be read: it is no transformers model of "
            "waveforms; let the proxy read the spectrum, or give an encoder by repository or folder"
        )
    around = [m for m in teacher.modules() if whole in m.children()]
    return whole.base_model, any(bool(getattr(m, "do_normalize", False)) for m in around)
