"""What a layer of another model gives, as a proxy's features: as a rule a layer of the teacher.

The paper's proxy reads the encoder that its teacher reads. A teacher that is one network has
no encoder apart, but it has layers.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from xplain import Model, load_model
from xplain.audio import resample_tensor
from xplain.errors import ModelError, nearest
from xplain_nmf.frames import to_label_frames
from xplain_nmf.spectrum import FRAME_STEP, SAMPLE_RATE, frame_count


@dataclass(frozen=True)
class LayerFeatures:
    """One layer of a model that decides per frame of a waveform; the model is never changed."""

    model: Model
    layer: str

    @classmethod
    def load(cls, reference: str, layer: str, sha256: str | None = None) -> LayerFeatures:
        """Load the model; ModelError where it, or the layer, is not what the proxy was made on.

        The reference stands in the proxy's config.json, so that it may not run a file.
        """
        model = load_model(reference, trusted=False)
        if model.reads is not None or model.frame_step is None:
            raise ModelError(
                f"{reference} does not decide per frame of a waveform; a proxy cannot read it"
            )
        layers = [name for name, _ in model.module.named_modules() if name]
        if layer not in layers:
            raise ModelError(f"{reference} has no layer {layer!r}; {nearest(layer, layers)}")
        if sha256 not in (None, model.fingerprint()):
            raise ModelError(
                f"{reference} has other weights than the model whose layer {layer!r} the proxy was "
                "trained on; install those, or train the proxy again"
            )
        model.module.eval().requires_grad_(False)
        return cls(model, layer)

    @property
    def reach(self) -> int | None:
        """Frames to each side on which a frame depends; None where the model does not say."""
        segmenter = self.model.segmenter
        return (
            None
            if segmenter is None
            else -(-round(segmenter.context * 1e6) // round(FRAME_STEP * 1e6))
        )

    def __call__(self, waveform: Tensor) -> Tensor:
        """Waveforms (B, samples) at 16 kHz → (B, channels, T), each frame of variance 1."""
        module, found = self.model.module.to(waveform.device), list[Tensor]()
        handle = module.get_submodule(self.layer).register_forward_hook(
            lambda _module, _inputs, output: found.append(output)
        )
        try:
            logits = self.model(resample_tensor(waveform, SAMPLE_RATE, self.model.sample_rate))
        finally:
            handle.remove()
        frames = logits.shape[1]
        if len(found) != 1 or not isinstance(found[0], Tensor) or found[0].ndim != 3:
            raise ModelError(
                f"{self.model.name}: the layer {self.layer!r} gives no (batch, …, …) once"
            )
        hidden = found[0].float()
        if hidden.shape[1] != frames:
            hidden = hidden.transpose(1, 2)
        if hidden.shape[1] != frames:
            raise ModelError(
                f"{self.model.name}: the layer {self.layer!r} gives {tuple(found[0].shape)}, which "
                f"is not one vector for each of the {frames} frames"
            )
        step = (self.model.frame_step or 0) * SAMPLE_RATE
        at_frames = to_label_frames(hidden, step / 2, step, frame_count(waveform.shape[-1]))
        normalised = nn.functional.layer_norm(at_frames, at_frames.shape[-1:], eps=1e-3)
        return normalised.transpose(1, 2)
