"""What a proxy is: its labels, its spectrum, its features, its network and its dictionary."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_type_hints

import msgspec

from xplain.interfaces import Thresholds
from xplain_nmf.spectrum import Spectrum

LABELS = ("speech", "music", "noise", "overlap")
"""Mariotte et al.'s: speech activity, music, noise, overlapped speech."""

KIND_OF = {"overlap": "speech"}
"""Components of the first are of the second too: overlapped speech is speech."""

REST = "rest"
"""The kind of components that are of no label: what is left of the spectrum is theirs."""

MOST_REFINEMENTS = 10_000
"""Multiplicative updates, each of which takes about as long as the network."""

MOST_SPREAD = 500
"""Frames to each side over which an activation counts."""


@dataclass(kw_only=True)
class NmfProxyConfig:
    """Everything a proxy needs beside its weights; the defaults are the paper's.

    id2label: the labels by index. components: K. component_labels: whose components they are,
    one label each, where the dictionary is class-wise; None where it is not.

    features: what Ψ reads: "spectrum", X itself; "mel", log(1 + scale · mel energies);
    "encoder", the last hidden states of a frozen transformers encoder of waveforms, whose
    configuration is encoder_config and whose weights are part of the proxy; or "model", X
    beside what a layer of another model gives, usually of the teacher, which is named by
    reference and not part of the proxy. encoder_normalises: whether the encoder wants
    waveforms of mean 0 and variance 1. model, layer, model_sha256: reference, name of the
    layer in it, and fingerprint; layer_channels: what the layer gives for a frame;
    model_reach: frames to each side of a frame on which it depends, None where unknown.

    bottleneck, hidden, repeats, blocks: sizes of the network. norm: "global" layer norm, or
    "frame", whose reach is finite. activation: "relu", or "softplus", which is never 0.
    refinements: multiplicative updates by which Ψ's H is brought nearer to X ≈ W H;
    what is 0 stays 0. gains: whether Ψ also gives each activation a factor of 0 to 2 that comes
    after them, by which it decides; updates alone leave it no say in how much there is.
    gates: whether Ψ also opens and closes the components of each label, frame by frame, before the
    updates; what is closed is exactly 0, so that a label's explanation is silent where it is not.

    spread: frames to each side over which an activation counts for decisions, with learned weights
    that add up to 1 of each component: a teacher that looks at a while hears a label before it
    sounds and after, in frames in which nothing is active.

    loudness: whether Ψ also reads how loud the audio around each frame is, which a levelled
    spectrum does not say: of teachers that hear less in what is faint.

    thresholds: how each label is decided, the fields of xplain's Thresholds by label; the
    teacher's, as the proxy's logits stand for the teacher's.

    dictionary_trained: whether W is learned with the rest. scale, level_seconds, level_floor:
    of the spectrum, see Spectrum; Spectrum.paper() are the defaults.
    """

    components: int = 256
    component_labels: list[str] | None = None
    features: Literal["spectrum", "mel", "encoder", "model"] = "spectrum"
    mels: int = 80
    encoder_config: dict[str, Any] | None = None
    encoder_normalises: bool = False
    model: str | None = None
    layer: str | None = None
    layer_channels: int = 0
    model_sha256: str | None = None
    model_reach: int | None = None
    bottleneck: int = 64
    hidden: int = 128
    repeats: int = 3
    blocks: int = 5
    norm: Literal["global", "frame"] = "global"
    activation: Literal["relu", "softplus"] = "relu"
    refinements: int = 0
    gains: bool = False
    gates: bool = False
    spread: int = 0
    thresholds: dict[str, Any] | None = None
    dictionary_trained: bool = False
    loudness: bool = False
    scale: float = 1.0
    level_seconds: float | None = None
    level_floor: float = -80.0
    id2label: dict[int, str] = field(default_factory=lambda: dict(enumerate(LABELS)))

    def __post_init__(self) -> None:
        """Refuse what cannot be a proxy: ValueError."""
        kinds = get_type_hints(type(self))
        for name in (each.name for each in fields(self)):
            try:
                value = msgspec.convert(getattr(self, name), kinds[name], str_keys=True)
            except msgspec.ValidationError as error:
                raise ValueError(f"{name}: {error}") from error
            setattr(self, name, value)
        named = self.component_labels
        if named is not None and len(named) != self.components:
            raise ValueError(f"component_labels names {len(named)} of {self.components} components")
        if (self.features == "encoder") != (self.encoder_config is not None):
            raise ValueError("encoder_config goes with features='encoder', and only with that")
        if (self.features == "model") != (self.model is not None and self.layer is not None):
            raise ValueError("model and layer go with features='model', and only with that")
        if not 0 <= self.refinements <= MOST_REFINEMENTS:
            raise ValueError(f"refinements is 0 to {MOST_REFINEMENTS}, not {self.refinements}")
        if self.gates and named is None:
            raise ValueError("gates are of the labels' components, so component_labels names them")
        if not 0 <= self.spread <= MOST_SPREAD:
            raise ValueError(f"spread is 0 to {MOST_SPREAD} frames, not {self.spread}")
        if self.loudness and (self.level_seconds is None or self.features == "encoder"):
            raise ValueError("loudness goes with a levelled spectrum that is read")
        self.make_spectrum()
        self.make_thresholds()

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, in the order of the logits."""
        return tuple(self.id2label[index] for index in sorted(self.id2label))

    @property
    def kinds(self) -> tuple[str, ...]:
        """The different labels of components, in their order; none without component_labels."""
        return tuple(dict.fromkeys(self.component_labels or ()))

    @property
    def gated(self) -> tuple[str, ...]:
        """The labels whose components are opened and closed, in their order."""
        return tuple(kind for kind in self.kinds if kind in self.labels) if self.gates else ()

    def kinds_of(self, label: str) -> tuple[str, ...]:
        """Whose components are a label's own: its own and, of speech, those of overlap."""
        return tuple(kind for kind in self.kinds if label in (kind, KIND_OF.get(kind)))

    def own_components(self, label: str) -> list[int]:
        """The components of a class-wise dictionary that are a label's own; none without one."""
        kinds = self.kinds_of(label)
        return [k for k, kind in enumerate(self.component_labels or ()) if kind in kinds]

    def make_thresholds(self) -> dict[str, Thresholds]:
        """How each label is decided."""
        known = self.thresholds or {}
        return {label: Thresholds(**known.get(label, {})) for label in self.labels}

    def make_spectrum(self) -> Spectrum:
        """The spectrum that is factorised."""
        return Spectrum(self.scale, self.level_seconds, self.level_floor)
