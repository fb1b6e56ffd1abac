"""From waveforms to the logits of a transformers classifier."""

from __future__ import annotations

import warnings
from bisect import bisect_left
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import BatchFeature, PreTrainedConfig, PreTrainedModel, Wav2Vec2FeatureExtractor

EPSILON = 1e-7
"""Added to the variance, as Wav2Vec2FeatureExtractor does; keeps exact silence finite."""


class FeatureExtractor(Protocol):
    """What every audio feature extractor of transformers has, though its types do not say."""

    sampling_rate: int
    """Hz, of the waveforms that go in."""
    model_input_names: list[str]

    def __call__(
        self,
        raw_speech: list[npt.NDArray[np.floating[Any]]],
        *,
        sampling_rate: int,
        return_tensors: str,
    ) -> BatchFeature:
        """Turn clips, each (samples,), into what the model reads, as a batch."""


class RawWaveform(nn.Module):
    """A classifier that reads waveforms: wav2vec 2.0, HuBERT, WavLM, data2vec, SEW, …

    Does in torch what the feature extractor does in NumPy, so that gradients reach the
    samples. Clips come at equal lengths, so there is no attention mask.

    With ``do_normalize`` the loudness of a clip is divided out: apart from EPSILON the
    logits of a·x are those of x. (Without it nearly so, in encoders that normalise after
    a first convolution without bias, as wav2vec 2.0 base does.) On the path from silence
    to a clip that integrated gradients follow, the whole change of the score then happens
    below a level of about sqrt(EPSILON) = 0.0003, where few of the steps fall or none: the
    attribution does not add up, and the recorded completeness error, of 1 and more, says
    so. More steps hardly help; a baseline with the clip's own level does, such as each
    channel's mean over time.
    """

    def __init__(self, model: PreTrainedModel, extractor: Wav2Vec2FeatureExtractor) -> None:
        """Take over what the feature extractor would do to a waveform."""
        super().__init__()
        self.model = model
        self.sample_rate = int(extractor.sampling_rate)
        self.do_normalize = bool(extractor.do_normalize)
        self.padding_value = float(extractor.padding_value)
        self.minimum = minimum_samples(model.config)

    def forward(self, waveform: Tensor) -> Tensor:
        """Waveforms (batch, samples) → logits; too short ones are padded.

        (batch, labels), or (batch, frames, labels) of a model for frame classification, whose
        last frame ends up to one frame before the waveform does.
        """
        if self.do_normalize:
            waveform = normalise(waveform)
        missing = max(0, self.minimum - waveform.shape[-1])
        # After normalising, as the feature extractor pads: the statistics are the clip's own.
        waveform = F.pad(waveform, (0, missing), value=self.padding_value)
        logits: Tensor = self.model(waveform).logits
        return logits


class ExtractedFeatures(nn.Module):
    """A classifier whose features are made outside torch's graph: AST, Whisper, …

    No gradient reaches the waveform. Many of these feature extractors also cut: what
    lies beyond their window (Whisper 30 s, AST about 10 s) has no influence on the logits.
    """

    def __init__(self, model: PreTrainedModel, extractor: FeatureExtractor) -> None:
        """Join a classifier to the feature extractor that it was trained with."""
        super().__init__()
        self.model = model
        self.sample_rate = int(extractor.sampling_rate)
        self.extractor = extractor
        self.minimum = least_samples(extractor)

    def forward(self, waveform: Tensor) -> Tensor:
        """Waveforms (batch, samples) → logits; too short ones are padded with silence.

        (batch, labels), or (batch, frames, labels) of a model for frame classification.
        """
        waveform = F.pad(waveform, (0, max(0, self.minimum - waveform.shape[-1])))
        features = self.extractor(
            list(waveform.detach().cpu().numpy()),
            sampling_rate=self.extractor.sampling_rate,
            return_tensors="pt",
        )
        logits: Tensor = self.model(**features.to(waveform.device)).logits
        return logits


def least_samples(extractor: FeatureExtractor) -> int:
    """Find how many samples a feature extractor needs to give finite features: one second at most.

    Some fail below an analysis window, and some divide by the variance over frames, of which
    one alone has none.
    """
    noise = np.random.default_rng(0).standard_normal(extractor.sampling_rate).astype(np.float32)

    def enough(samples: int) -> bool:
        try:
            features = extractor(
                [noise[:samples]], sampling_rate=extractor.sampling_rate, return_tensors="pt"
            )
        except (ValueError, RuntimeError, IndexError):
            return False
        given = [f for f in features.values() if isinstance(f, Tensor)]
        return all(f.numel() and bool(torch.isfinite(f).all()) for f in given)

    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if enough(1):
            return 1
        return bisect_left(range(len(noise)), True, lo=1, key=enough)


def normalise(waveform: Tensor) -> Tensor:
    """Each clip of (batch, samples) with mean 0 and variance 1; silence stays silence."""
    variance, mean = torch.var_mean(waveform, dim=-1, correction=0, keepdim=True)
    return (waveform - mean) / torch.sqrt(variance + EPSILON)


def minimum_samples(config: PreTrainedConfig) -> int:
    """How many samples an encoder needs to give the frames that its transformer needs."""
    samples = int(getattr(config, "squeeze_factor", 1))  # SEW pools this many frames to one
    for kernel, stride in zip(
        reversed(config.conv_kernel), reversed(config.conv_stride), strict=True
    ):
        samples = (samples - 1) * int(stride) + int(kernel)
    return samples
