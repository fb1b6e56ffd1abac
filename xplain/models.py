"""Models to explain: references, wrap(), and what a model reads."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from xplain.borrowing import making, own_hooks
from xplain.errors import AudioError, ModelError, PluginError, XplainError, nearest, one_line
from xplain.fingerprint import of_module
from xplain.interfaces import Segmenter, Synthesizer
from xplain.labels import checked_task, named_answers
from xplain.logits import OUTPUTS, Output, from_output, logits_of
from xplain.registry import registry
from xplain.samples import hertz
from xplain.targets import Task

MAX_REFERENCES = 8
"""How many references may lead to one another before it is called a circle."""

AXES = (
    "; waveforms arrive as (batch, samples): put torch.nn.Unflatten(1, (1, -1)) in front of a "
    "module that takes (batch, 1, samples), or what computes its features"
)


@dataclass(frozen=True)
class Model:
    """What is explained, and what has to be known of it.

    module: (batch, samples) → logits (batch, labels), or (batch, frames, labels) for one
    that decides per frame; for what other tasks give, see xplain.tasks. A module for seq2seq
    takes tokens (batch, T) beside waveforms, and its ``transcribe(waveform)`` gives those, (T,),
    of one clip (1, samples). reads: the synthesizer whose latents it takes instead of
    waveforms; None for waveforms. sample_rate: Hz of the waveforms it, or that
    synthesizer, takes. labels: of the logits, the names of a regression's values, or the text of
    each token, of which "" is the blank of a CTC. unit, tolerance: of a regression, whose
    decision has changed where the value moved by more than the tolerance. frame_step: seconds
    per frame of one that decides per frame.
    differentiable: whether gradients pass from the logits to the input. segmenter: what
    segments recordings in its place, where it has more to say than the module's logits.
    output: what the module gives in place of logits; None where nobody has said. identity: what
    tells it from other models, where its weights cannot be hashed.
    """

    module: nn.Module
    sample_rate: int
    labels: tuple[str, ...]
    task: Task = "classification"
    unit: str | None = None
    tolerance: float | None = None
    reads: Synthesizer | None = None
    frame_step: float | None = None
    differentiable: bool = True
    name: str = "model"
    version: str | None = None
    segmenter: Segmenter | None = None
    output: Output | None = None
    identity: str | None = None

    @property
    def multilabel(self) -> bool:
        """Whether labels are independent (sigmoid) instead of excluding each other (softmax)."""
        return self.task == "multilabel"

    @property
    def classifies(self) -> bool:
        """Whether it gives logits of labels."""
        return self.task in ("classification", "multilabel")

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return logits for what the model reads, float32; ModelError for another shape."""
        try:
            with own_hooks():
                answer = self.module(inputs.clone())  # since a model may write into its input
        except Exception as error:
            several = "; give max_batch=1 if it takes one clip at a time" * (len(inputs) > 1)
            raise ModelError(
                f"{self.name}: the model failed on an input of shape {tuple(inputs.shape)}: "
                f"{one_line(error)}{self._precision()}{self._shape_advice(error) or several}"
            ) from error
        dims = 2 if self.frame_step is None and self.task != "seq2seq" else 3
        shape = "(batch, labels)" if dims == 2 else "(batch, frames, labels)"
        try:
            logits = logits_of(answer, shape)
            if logits.ndim == dims and self.classifies:
                logits = from_output(logits, self.output, self.multilabel)
        except ModelError as error:
            raise ModelError(f"{self.name}: {error}") from error
        if logits.ndim != dims or len(logits) != len(inputs):
            advice = AXES if self.reads is None else ""
            if logits.ndim != dims:
                advice = "; give frame_step= for one that decides per frame" if dims == 2 else ""
            raise ModelError(
                f"{self.name}: logits are {shape}, this model gave {tuple(logits.shape)} for a "
                f"batch of {len(inputs)}{advice}"
            )
        if logits.shape[-1] != len(self.labels) and self.task != "embedding":
            raise ModelError(
                f"{self.name}: the model gives {logits.shape[-1]} logits for "
                f"{len(self.labels)} labels ({', '.join(self.labels[:4])}"
                f"{', …' if len(self.labels) > 4 else ''}); give a list that names every label, "
                "in the order of the logits"
            )
        return logits

    def fingerprint(self) -> str | None:
        """Hash the names, shapes and values of all parameters and buffers (SHA-256).

        Its identity, if it was given one. Raises ModelError where some have no values yet.
        """
        try:
            return self.identity or of_module(self.module)
        except ModelError as error:
            raise ModelError(f"{self.name}: {error}") from error

    def _shape_advice(self, error: Exception) -> str:
        """What to do where a module asks for something else than waveforms of two axes."""
        if "numpy() on Tensor that requires grad" in str(error):
            return (
                "; NumPy cuts the gradients: wrap it with differentiable=False and choose a method "
                "without gradients, such as occlusion"
            )
        wrong_axes = re.search(r"channel|[1-5]D\b|dimension|shapes", str(error))
        return AXES if self.reads is None and wrong_axes else ""

    def _precision(self) -> str:
        """Advice where the weights have another precision than the input; else nothing."""
        kinds = {p.dtype for p in self.module.parameters() if p.is_floating_point()}
        if not kinds or torch.float32 in kinds:
            return ""
        (kind, *_) = (str(kind).removeprefix("torch.") for kind in kinds)
        return (
            f"; its weights are {kind} and its input is float32: wrap module.float(), or cast "
            "the input in its forward"
        )


def wrap(
    module: nn.Module,
    *,
    sample_rate: int,
    labels: Iterable[str] | Mapping[int, str] | Mapping[str, str] | Mapping[str, int] = (),
    task: Task = "classification",
    multilabel: bool = False,
    unit: str | None = None,
    tolerance: float | None = None,
    reads: str | Synthesizer = "waveform",
    frame_step: float | None = None,
    differentiable: bool = True,
    name: str | None = None,
    version: str | None = None,
    segmenter: Segmenter | None = None,
    output: Output | None = None,
    fingerprint: str | None = None,
) -> Model:
    """Say of your own torch module what xplain has to know; see Model for the arguments.

    labels: one name per logit, in their order; or a mapping as id2label or label2id of
    transformers; none for an embedding, and for a regression of one value its unit if none are
    given. multilabel: the same as task="multilabel". tolerance: not given, half the way from the
    clip's value to the baseline's. reads: "waveform", a synthesizer, or its registered name.
    output: "logits", "probabilities" (of a model that ends in softmax or sigmoid) or
    "log-probabilities"; not given, logits are expected, and others are warned of. fingerprint: in
    place of the hash of the weights, for a module that holds none itself, such as a service or an
    engine: its version, or a hash of its file. Raises ModelError for what cannot be a model.
    """
    name = name or type(module).__name__
    if not isinstance(module, nn.Module):
        raise ModelError(
            f"{name}: a model is a torch.nn.Module, not {type(module).__name__}; "
            "call your function from the forward of one"
        )
    if type(module).__hash__ is None:
        raise ModelError(f"{name}: its class has no hash, which torch needs; @dataclass(eq=False)?")
    try:
        sample_rate = hertz(sample_rate, name)
    except AudioError as error:
        raise ModelError(str(error)) from error
    task = checked_task(task, multilabel, name)
    labels = named_answers(labels, task, unit, name)
    if tolerance is not None and (task != "regression" or not tolerance >= 0):
        raise ModelError(f"{name}: a tolerance is how far a regression's value may move, from 0")
    if task == "ctc" and frame_step is None:
        raise ModelError(f"{name}: a CTC decides per frame; give frame_step=, in seconds")
    if task == "seq2seq" and not callable(getattr(module, "transcribe", None)):
        raise ModelError(
            f"{name}: a module for seq2seq has a method transcribe(waveform) that gives the "
            "tokens (T,) of one clip (1, samples); add it"
        )
    if output is not None and output not in OUTPUTS:
        raise ModelError(f"{name}: there is no output {output!r}; {nearest(output, OUTPUTS)}")
    if len(labels) == 1 and task == "classification":
        raise ModelError(
            f"{name}: a single label that excludes all others always has probability 1; "
            "give task='multilabel' for a yes-or-no model, 'regression' for one that gives a value"
        )
    synthesizer = None if isinstance(reads, str) else reads
    if isinstance(reads, str) and reads != "waveform":
        synthesizer = make_synthesizer(reads, sample_rate)
    if synthesizer is not None and synthesizer.sample_rate != sample_rate:
        raise ModelError(
            f"{name}: the synthesizer it reads works at {synthesizer.sample_rate} Hz, not at "
            f"{sample_rate} Hz; give the same rate to both"
        )
    if segmenter is not None and segmenter.labels != labels:
        raise ModelError(
            f"{name}: its segmenter decides {', '.join(segmenter.labels)}, the model "
            f"{', '.join(labels)}; give the same labels, in the same order, to both"
        )
    return Model(
        module=module,
        sample_rate=sample_rate,
        labels=labels,
        task=task,
        unit=unit,
        tolerance=tolerance,
        reads=synthesizer,
        frame_step=frame_step,
        differentiable=differentiable,
        name=name,
        version=version,
        segmenter=segmenter,
        output=output,
        identity=fingerprint,
    )


def make_synthesizer(
    name: str, sample_rate: int, params: Mapping[str, object] | None = None
) -> Synthesizer:
    """A registered synthesizer; one that works at any rate is given ``sample_rate``.

    params: of it, by name.
    """
    plugins = registry()
    accepted = plugins.parameters("synthesizer", name)
    given = {"sample_rate": sample_rate} if "sample_rate" in accepted else {}
    synthesizer: Synthesizer = plugins.create("synthesizer", name, {**given, **(params or {})})
    return synthesizer


_loading: ContextVar[bool] = ContextVar("xplain_loading", default=False)
"""Whether a plugin's loader is at work: what it refers to was not typed by a person."""


def load_model(reference: str, *, trusted: bool = True) -> Model:
    """Load a model by reference: ``scheme:rest`` of a plugin, or ``file.py:factory``.

    ``file.py:factory`` runs that file and calls the factory in it, which returns an
    xplain.Model (see wrap). One to which no name was given is named by the reference.

    trusted: whether a person gave the reference. Give False for one that was read from a file:
    then no ``file.py:factory`` is run, so that a model folder of strangers is data. The same
    holds, whatever is given, for all that the loader of a scheme loads or returns.

    Raises ModelError for what cannot be found or loaded, or would run a file.
    """
    found = follow(reference, trusted=trusted)
    if not isinstance(found, Model):
        raise ModelError(
            f"{reference!r} gave {type(found).__name__}, not a model; "
            "its factory has to return xplain.wrap(module, sample_rate=…, labels=…)"
        )
    return found


def runs_file(reference: str) -> bool:
    """Whether a reference is ``file.py:factory``, so that following it runs that file."""
    return reference.rpartition(":")[0].endswith(".py")


@making()
def follow(reference: str, *, trusted: bool = True) -> object:
    """What a reference leads to: a model, or what else somebody's own factory returns."""
    seen: list[str] = []
    current: object = reference
    trusted = trusted and not _loading.get()
    while isinstance(current, str):
        if len(seen) == MAX_REFERENCES:
            raise ModelError(f"the reference {reference!r} goes in a circle: {' → '.join(seen)}")
        seen.append(current)
        if not runs_file(current):
            trusted = False  # what a plugin leads to may have come from a file
            current = _by_scheme(current)
        elif trusted:
            current = _from_file(current)
        else:
            raise ModelError(
                f"the reference {current!r} would run a file, and it comes from a file or a "
                "plugin; only a person may name a Python file: register its model in a plugin, "
                "and refer to it as SCHEME:NAME"
            )
    if isinstance(current, Model) and (
        len(seen) > 1 or current.name == type(current.module).__name__
    ):
        # What was asked for, not where it led; and a class is the same for other weights.
        return replace(current, name=reference)
    return current


def _by_scheme(reference: str) -> object:
    scheme, colon, rest = reference.partition(":")
    if not colon:
        schemes = sorted(p.name for p in registry().plugins if p.kind == "model")
        raise ModelError(
            f"{reference!r} is not a model reference; give SCHEME:NAME or FILE.py:FACTORY "
            f"(schemes: {', '.join(schemes) or 'none installed'})"
        )
    try:
        load: Callable[[str], Any] = registry().factory(registry().find("model", scheme))
    except PluginError as error:
        file = f"; for the file here, {scheme}.py:{rest}" if Path(f"{scheme}.py").is_file() else ""
        raise ModelError(f"{reference}: {error}{file}") from error
    outer = _loading.set(True)
    try:
        return load(rest)
    except XplainError:
        raise
    except Exception as error:
        raise ModelError(
            f"{reference} cannot be loaded: {one_line(error)}; "
            "reinstall the plugin, or report it to its authors"
        ) from error
    finally:
        _loading.reset(outer)


def _from_file(reference: str) -> object:
    name, _, factory = reference.rpartition(":")
    path = Path(name)
    if not path.is_file():
        raise ModelError(f"{path}: no such file; give the path of the file with {factory}()")
    spec = importlib.util.spec_from_file_location(f"xplain_model_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ModelError(f"{path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    # As a script has it: its own folder to import from, and a name that dataclasses look up.
    sys.modules[spec.name] = module
    sys.path.insert(0, str(path.resolve().parent))
    try:
        spec.loader.exec_module(module)
        make = getattr(module, factory, None)
        if make is None:
            names = [n for n in vars(module) if not n.startswith("_")]
            raise ModelError(f"{path} defines no {factory!r}; {nearest(factory, names)}")
        return make()
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(f"{path}:{factory} failed: {one_line(error)}") from error
    finally:
        sys.path.remove(str(path.resolve().parent))
