"""From waveforms to what a model of transformers reads, and to what it answers."""

from __future__ import annotations

import inspect
import warnings
from bisect import bisect_left
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import (
    ASTFeatureExtractor,
    BatchFeature,
    PreTrainedConfig,
    PreTrainedModel,
    Wav2Vec2FeatureExtractor,
    WhisperFeatureExtractor,
)
from transformers.audio_utils import mel_filter_bank

EPSILON = 1e-7
"""Added to the variance, as Wav2Vec2FeatureExtractor does; keeps exact silence finite."""
LOWEST = torch.finfo(torch.float32).eps
"""Least energy of a mel band of AST, as in Kaldi."""


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


class Front(nn.Module):
    """What a model reads, made of waveforms (batch, samples): its inputs by name."""

    differentiable: ClassVar[bool] = True
    """Whether gradients reach the samples."""

    def __init__(self, sample_rate: int, reads: str) -> None:
        """Make an input of the name ``reads`` at ``sample_rate`` Hz."""
        super().__init__()
        self.sample_rate, self.reads = int(sample_rate), reads

    def forward(self, waveform: Tensor) -> Mapping[str, Any]:
        """Waveforms (batch, samples) → the model's inputs; too short ones are padded."""
        return {self.reads: self.features(waveform)}

    def features(self, waveform: Tensor) -> Tensor:
        """What the input of that name holds."""
        raise NotImplementedError


class RawWaveform(Front):
    """The waveform itself: of wav2vec 2.0, HuBERT, WavLM, data2vec, SEW, …

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

    def __init__(
        self, config: PreTrainedConfig, extractor: Wav2Vec2FeatureExtractor, reads: str
    ) -> None:
        """Take over what the feature extractor would do to a waveform."""
        super().__init__(extractor.sampling_rate, reads)
        self.do_normalize = bool(extractor.do_normalize)
        self.padding_value = float(extractor.padding_value)
        self.minimum = minimum_samples(config)

    def features(self, waveform: Tensor) -> Tensor:
        """Waveforms (batch, samples), normalised and then padded where they are too short."""
        if self.do_normalize:
            waveform = normalise(waveform)
        missing = max(0, self.minimum - waveform.shape[-1])
        # After normalising, as the feature extractor pads: the statistics are the clip's own.
        return F.pad(waveform, (0, missing), value=self.padding_value)


class WhisperFeatures(Front):
    """The log-mel spectrogram of Whisper, of a clip that is padded or cut to its window."""

    filters: Tensor
    window: Tensor

    def __init__(self, extractor: WhisperFeatureExtractor, reads: str) -> None:
        """Take over an extractor's sizes and filters."""
        super().__init__(extractor.sampling_rate, reads)
        self.samples = int(extractor.n_samples)
        self.n_fft, self.hop = int(extractor.n_fft), int(extractor.hop_length)
        filters = torch.from_numpy(extractor.mel_filters).float()
        self.register_buffer("filters", filters, persistent=False)
        self.register_buffer("window", torch.hann_window(self.n_fft), persistent=False)

    def features(self, waveform: Tensor) -> Tensor:
        """Waveforms (batch, samples) → (batch, mel bands, frames)."""
        waveform = F.pad(waveform[:, : self.samples], (0, max(0, self.samples - waveform.shape[1])))
        spectra = torch.stft(
            waveform, self.n_fft, self.hop, window=self.window, return_complex=True
        )
        power = torch.view_as_real(spectra[..., :-1]).square().sum(-1)
        logs = (self.filters.T @ power).clamp_min(1e-10).log10()
        highest = logs.amax(dim=(1, 2), keepdim=True)
        return (torch.maximum(logs, highest - 8.0) + 4.0) / 4.0


class ASTFeatures(Front):
    """Kaldi's filter bank, as AST reads it, padded or cut to its window."""

    FRAME, HOP, FFT = 400, 160, 512
    filters: Tensor
    window: Tensor

    def __init__(self, extractor: ASTFeatureExtractor, reads: str) -> None:
        """Take over an extractor's sizes."""
        super().__init__(extractor.sampling_rate, reads)
        filters = mel_filter_bank(
            num_frequency_bins=self.FFT // 2 + 1,
            num_mel_filters=extractor.num_mel_bins,
            min_frequency=20,
            max_frequency=extractor.sampling_rate // 2,
            sampling_rate=extractor.sampling_rate,
            norm=None,
            mel_scale="kaldi",
            triangularize_in_mel_space=True,
        )
        self.register_buffer("filters", torch.from_numpy(filters).double(), persistent=False)
        window = torch.hann_window(self.FRAME, periodic=False, dtype=torch.float64)
        self.register_buffer("window", window, persistent=False)
        self.frames, self.do_normalize = int(extractor.max_length), bool(extractor.do_normalize)
        self.mean, self.std = float(extractor.mean), float(extractor.std)

    def features(self, waveform: Tensor) -> Tensor:
        """Waveforms (batch, samples) → (batch, frames, mel bands)."""
        waveform = F.pad(waveform, (0, max(0, self.FRAME - waveform.shape[1])))
        frames = waveform.double().unfold(1, self.FRAME, self.HOP)[:, : self.frames]
        frames = frames - frames.mean(dim=-1, keepdim=True)
        first = (1 - 0.97) * frames[..., :1]
        frames = torch.cat([first, frames[..., 1:] - 0.97 * frames[..., :-1]], dim=-1)
        spectra = torch.fft.rfft(frames * self.window, n=self.FFT)
        power = torch.view_as_real(spectra).square().sum(-1)
        logs = (power @ self.filters).clamp_min(LOWEST).log().to(waveform.dtype)
        logs = F.pad(logs, (0, 0, 0, self.frames - logs.shape[1]))
        return (logs - self.mean) / (2 * self.std) if self.do_normalize else logs


class ExtractedFeatures(Front):
    """Features of an extractor that is not torch's graph: no gradient reaches the waveform.

    Many of these also cut: what lies beyond their window has no influence on the answer.
    """

    differentiable = False

    def __init__(self, extractor: FeatureExtractor, reads: str) -> None:
        """Take the feature extractor that the model was trained with."""
        super().__init__(extractor.sampling_rate, reads)
        self.extractor = extractor
        self.minimum = least_samples(extractor)

    def forward(self, waveform: Tensor) -> Mapping[str, Any]:
        """All that the extractor makes, with its attention mask."""
        waveform = F.pad(waveform, (0, max(0, self.minimum - waveform.shape[-1])))
        features = self.extractor(
            list(waveform.detach().cpu().numpy()),
            sampling_rate=self.extractor.sampling_rate,
            return_tensors="pt",
        )
        return dict(features.to(waveform.device))


class Answers(nn.Module):
    """A model of transformers behind what it reads: waveforms → its logits or embeddings."""

    def __init__(self, model: PreTrainedModel, front: Front, answer: str = "logits") -> None:
        """Ask a model for one of its outputs."""
        super().__init__()
        self.model, self.front, self.answer = model, front, answer

    def forward(self, waveform: Tensor) -> Tensor:
        """Waveforms (batch, samples) → (batch, labels), (batch, frames, labels), or the like."""
        given: Tensor = getattr(self.model(**self.front(waveform)), self.answer)
        return given


class Writes(nn.Module):
    """A recogniser of sequence to sequence: waveforms and tokens → the tokens' logits."""

    def __init__(self, model: PreTrainedModel, front: Front) -> None:
        """Ask an encoder and a decoder."""
        super().__init__()
        self.model, self.front = model, front
        settings: Any = model.generation_config
        start = settings.decoder_start_token_id
        self.start = int(model.config.decoder_start_token_id if start is None else start)
        ends = (settings.eos_token_id, settings.pad_token_id)
        listed = (e if isinstance(e, list) else [e] for e in ends)
        self.ends = {token for each in listed for token in each if token is not None}

    def transcribe(self, waveform: Tensor) -> Tensor:
        """The tokens (T,) that it generates of one clip (1, samples), its own prompt among them."""
        model: Any = self.model
        more: dict[str, Any] = {"do_sample": False, "num_beams": 1}
        if "force_unique_generate_call" in inspect.signature(model.generate).parameters:
            more["force_unique_generate_call"] = True  # else Whisper leaves its prompt out
        tokens: list[int] = model.generate(**self.front(waveform), **more)[0].tolist()
        if tokens[:1] == [self.start]:
            tokens = tokens[1:]
        while tokens and tokens[-1] in self.ends:
            tokens = tokens[:-1]
        return torch.tensor(tokens, dtype=torch.int64)

    def forward(self, waveform: Tensor, tokens: Tensor) -> Tensor:
        """Waveforms (n, samples) and tokens (n, T) → logits (n, T, vocabulary)."""
        begun = torch.cat([torch.full_like(tokens[:, :1], self.start), tokens[:, :-1]], dim=1)
        given = self.model(**self.front(waveform), decoder_input_ids=begun, use_cache=False)
        logits: Tensor = given.logits
        return logits


class ZeroShot(nn.Module):
    """CLAP: how well sounds fit sentences, as logits (batch, sentences)."""

    texts: Tensor

    def __init__(self, model: PreTrainedModel, front: Front, texts: Tensor) -> None:
        """Compare with embedded sentences (sentences, E)."""
        super().__init__()
        self.model, self.front = model, front
        self.register_buffer("texts", F.normalize(texts, dim=-1), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Waveforms (batch, samples) → logits (batch, sentences)."""
        model: Any = self.model
        heard = embedding(model.get_audio_features(**self.front(waveform)))
        logits: Tensor = model.logit_scale_a.exp() * F.normalize(heard, dim=-1) @ self.texts.T
        return logits


def embedding(given: Any) -> Tensor:
    """The embedding in what CLAP gives: itself, or inside an output."""
    found: Tensor = given if isinstance(given, Tensor) else given.pooler_output
    return found


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
