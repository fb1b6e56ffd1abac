"""The black box that a proxy learns from: any segmenter, asked for probabilities alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from xplain import Model
from xplain.adapters import resolve
from xplain.audio import resample_tensor
from xplain.errors import ModelError, PluginError, TargetError, nearest
from xplain.interfaces import Segmenter
from xplain_nmf.frames import to_label_frames
from xplain_nmf.spectrum import SAMPLE_RATE, frame_count


class Teacher(nn.Module):
    """What one or several segmenters answer, at the proxy's rate, frames and labels; never trained.

    labels: in the order that is asked for, which may leave some of the segmenters' out; each is
    answered by the first segmenter that has it. record: what the segmenters are, with their
    fingerprints.
    """

    def __init__(
        self,
        segmenters: Segmenter | Sequence[Segmenter],
        labels: Sequence[str] | None = None,
        record: Mapping[str, Any] | None = None,
    ) -> None:
        """Take the labels asked for, or all; TargetError for one that no segmenter has."""
        super().__init__()
        several = [segmenters] if isinstance(segmenters, Segmenter) else list(segmenters)
        known = tuple(dict.fromkeys(label for one in several for label in one.labels))
        self.labels = tuple(labels or known)
        lacking = [label for label in self.labels if label not in known]
        if lacking:
            raise TargetError(
                f"the teacher does not know the label {lacking[0]!r}; {nearest(lacking[0], known)}"
            )
        answers = [next(s for s in several if label in s.labels) for label in self.labels]
        self.segmenters = [one for one in several if one in answers]
        # Those that are modules are moved and frozen with this one.
        self.modules_of = nn.ModuleList(s for s in self.segmenters if isinstance(s, nn.Module))
        self._places = [
            [n for n, one in enumerate(answers) if one is segmenter]
            for segmenter in self.segmenters
        ]
        self.thresholds = {
            label: one.thresholds[label]
            for label, one in zip(self.labels, answers, strict=True)
            if label in one.thresholds
        }
        self.record = dict(record or {})
        self._recurrent = any(isinstance(module, nn.RNNBase) for module in self.modules())
        self.eval().requires_grad_(False)

    def forward(self, waveform: Tensor, only: int | None = None) -> Tensor:
        """Waveforms (B, samples) at 16 kHz → logits (B, T, L), T = ceil(samples / 320).

        only: number of the label that is asked for; the columns of those that other segmenters
        answer are zeros. Gradients reach the waveform where the segmenters let them.
        """
        frames = frame_count(waveform.shape[-1])
        columns = [waveform.new_zeros(len(waveform), frames)] * len(self.labels)
        # cuDNN gives no gradients through a recurrent layer that is not in training.
        plain = self._recurrent and torch.is_grad_enabled()
        for segmenter, places in zip(self.segmenters, self._places, strict=True):
            if only not in (None, *places):
                continue
            at_rate = resample_tensor(waveform, SAMPLE_RATE, segmenter.sample_rate)
            with torch.backends.cudnn.flags(enabled=torch.backends.cudnn.enabled and not plain):
                logits = segmenter.logits(at_rate)
            # A frame stands for the time from its start to the next one's: its centre is between.
            step = segmenter.frame_step * SAMPLE_RATE
            at_frames = to_label_frames(logits, step / 2, step, frames)
            for place in places:
                columns[place] = at_frames[..., segmenter.labels.index(self.labels[place])]
        return torch.stack(columns, dim=-1)

    def passes_gradients(self) -> bool:
        """Whether gradients reach the waveform; through a black box they do not."""
        with torch.enable_grad():
            probe = torch.zeros(1, SAMPLE_RATE, requires_grad=True)
            return bool(self(probe).requires_grad)

    @cached_property
    def in_silence(self) -> tuple[bool, ...]:
        """Of each label, whether it is heard where nothing sounds, as by a teacher whose labels
        exclude each other one is."""
        place = next(self.parameters(), torch.zeros(0)).device
        with torch.no_grad():
            said = self(torch.zeros(1, SAMPLE_RATE, device=place))[0].mean(0)
        return tuple((said > 0).tolist())

    def train(self, mode: bool = True) -> Teacher:
        """It stays in evaluation mode."""
        return super().train(False)


def load_teacher(
    asked: str | Segmenter | Model | Sequence[str],
    labels: Sequence[str] | None = None,
    params: Mapping[str, object] | None = None,
) -> Teacher:
    """A teacher by a registered segmenter's name, a model reference, or itself; or by several.

    asked: "my-segmenter", "zoo:radio-teacher", "hf:FOLDER", "file.py:factory", …. params: of the
    one that is a registered segmenter's name. PluginError or ModelError for what is not there
    or decides once per clip, TargetError for labels that none has.
    """
    if isinstance(asked, str | Segmenter | Model):
        segmenter, record = resolve(asked, params or {})
        return Teacher(segmenter, labels, record)
    if len(asked) == 1:
        return load_teacher(asked[0], labels, params)
    named = [name for name in asked if ":" not in name]
    if params and len(named) != 1:
        raise PluginError("parameters of a teacher go with one registered segmenter's name")
    found = [resolve(name, (params or {}) if name in named else {}) for name in asked]
    records = [record for _, record in found]
    whole = {"name": " + ".join(str(record["name"]) for record in records), "teachers": records}
    return Teacher([segmenter for segmenter, _ in found], labels, whole)


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
