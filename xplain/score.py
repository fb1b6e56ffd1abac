"""From variants of one clip's latents to logits: the route, and the score on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from xplain.audio import resample_tensor
from xplain.errors import ModelError
from xplain.interfaces import Context, Explainer, Score, Synthesizer
from xplain.models import Model
from xplain.registry import registry
from xplain.targets import ResolvedTarget

BATCH_SAMPLES = 2**22
"""Samples that all variants of one batch hold together, where no budget is given."""


class Route(nn.Module):
    """How a model is asked about latents: (n, D, N) of one clip → logits.

    - the model reads these latents: head(z)
    - it reads a waveform: model(decode(z))
    - it reads another synthesizer's latents: head(encode(decode(z)))
    """

    def __init__(self, model: Model, synthesizer: Synthesizer) -> None:
        """Join a model to the representation it is explained in."""
        super().__init__()
        self.model = model
        self.module = model.module  # registered, so that methods find the layers to hook
        self.synthesizer = synthesizer
        self.reads = model.reads
        self.direct = model.reads is not None and same_synthesizer(model.reads, synthesizer)
        if self.direct:
            self.description, self.broken_at = "head(z)", []
        elif model.reads is None:
            self.description = "model(decode(z))"
            self.broken_at = [] if synthesizer.decode_differentiable else ["decode"]
        else:
            self.description = "head(encode(decode(z)))"
            self.broken_at = [] if synthesizer.decode_differentiable else ["decode"]
            self.broken_at += [] if model.reads.encode_differentiable else ["encode"]
        if not model.differentiable:
            self.broken_at.append("model")

    def forward(self, variants: Tensor, context: Context) -> Tensor:
        """Logits (n, L) or (n, frames, L) of variants (n, D, N)."""
        if self.direct:
            return self.model(variants)
        return self.hear(self.synthesizer.decode(variants, context), self.synthesizer.sample_rate)

    def hear(self, waveform: Tensor, rate: int) -> Tensor:
        """Logits of waveforms (n, samples): the model asked about audio, as it was made to be."""
        waveform = resample_tensor(waveform, rate, self.model.sample_rate)
        return self.model(waveform if self.reads is None else self.reads.encode(waveform).values)

    def check(self, explainer: Explainer, name: str) -> None:
        """Refuse a method that needs gradients where none can pass."""
        if explainer.uses_gradients and self.broken_at:
            parts = {
                "model": f"the model {self.model.name!r}",
                "decode": "the synthesizer's decode",
                "encode": "the encode of the synthesizer that the model reads",
            }
            raise ModelError(
                f"{name} needs gradients, and {' and '.join(parts[p] for p in self.broken_at)} "
                f"cannot be differentiated on the route {self.description}; choose a method "
                "without gradients (occlusion, perturbation) or another synthesizer"
            )


class ClipScore(Score):
    """The target's logit for variants of one clip, all else closed over."""

    def __init__(
        self, route: Route, context: Context, target: ResolvedTarget, max_batch: int
    ) -> None:
        """Ask a route about one clip."""
        super().__init__()
        self.route = route
        self.context = context
        self.target = target
        self.max_batch = max_batch

    def forward(self, variants: Tensor) -> Tensor:
        """Score variants (n, D, N): (n,)."""
        return self.target.score(self.route(variants, self.context))


def default_max_batch(samples: int) -> int:
    """As many variants as hold about four million samples together, 64 at most."""
    return max(1, min(64, BATCH_SAMPLES // max(1, samples)))


def in_batches(ask: Callable[[Tensor], Tensor], variants: Tensor, max_batch: int) -> Tensor:
    """Ask about variants within the budget, without gradients."""
    with torch.no_grad():
        return torch.cat([ask(part) for part in torch.split(variants, max_batch)])


def same_synthesizer(one: Synthesizer, other: Synthesizer) -> bool:
    """Whether two synthesizers make the same latents: the same name and parameters."""
    describe = registry().describe
    return one is other or describe("synthesizer", one) == describe("synthesizer", other)


@contextmanager
def borrowed(module: nn.Module, device: torch.device) -> Iterator[None]:
    """Have a module in evaluation mode on a device; leave it as it was.

    Restored: the training mode of each part, which parameters want gradients, the
    device, and the hooks. cuDNN's recurrent layers have no backward pass in evaluation
    mode, so they run without cuDNN meanwhile.
    """
    wants = [p for p in module.parameters() if p.requires_grad]
    home = next((t.device for t in (*module.parameters(), *module.buffers())), device)
    recurrent = any(isinstance(m, nn.RNNBase) for m in module.modules())
    with ExitStack() as stack:
        if recurrent and device.type == "cuda":
            stack.enter_context(torch.backends.cudnn.flags(enabled=False))
        stack.enter_context(modes_and_hooks_restored(module))
        try:
            module.eval()
            for parameter in wants:
                parameter.requires_grad_(False)
            if home != device:
                module.to(device)
            yield
        finally:
            if home != device:
                module.to(home)
            for parameter in wants:
                parameter.requires_grad_(True)


@contextmanager
def modes_and_hooks_restored(module: nn.Module) -> Iterator[None]:
    """Put back the training mode and the hooks of each part, whatever is done meanwhile."""
    modules = list(module.modules())
    training = [m.training for m in modules]
    hooks = [(table, dict(table)) for m in modules for table in _hook_tables(m)]
    try:
        yield
    finally:
        for part, was in zip(modules, training, strict=True):
            part.training = was
        for table, before in hooks:
            if table.keys() != before.keys():
                table.clear()
                table.update(before)


def _hook_tables(module: nn.Module) -> list[dict[int, object]]:
    # torch has no public way to list hooks.
    names = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return [getattr(module, name) for name in names]
