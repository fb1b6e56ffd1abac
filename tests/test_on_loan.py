"""Models of many makes work as they did by hand, and are left as they were."""

from __future__ import annotations

import copy
import gc
import json
import multiprocessing
import os
import random
import subprocess
import sys
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from toys import RATE, Convolutions, Noisy

import xplain

METHODS = ("integrated-gradients", "occlusion")


class Net(nn.Module):
    """Convolutions with a head, in evaluation mode from the start."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.head = nn.Conv1d(1, 8, 16, stride=4), nn.Linear(8, 3)
        self.eval()

    def features(self, waveform: Tensor) -> Tensor:
        return self.conv(waveform[:, None]).relu()  # type: ignore[no-any-return]

    def forward(self, waveform: Tensor) -> Tensor:
        return self.head(self.features(waveform).mean(-1) * 10)  # type: ignore[no-any-return]


class Hooked(Net):
    """Installs hooks in its first call and remembers that, as transformers' models do."""

    def __init__(self) -> None:
        super().__init__()
        self.installed = False
        self.captured: list[Tensor] = []

    def forward(self, waveform: Tensor) -> Tensor:
        if not self.installed:
            self.conv.register_forward_hook(lambda _m, _i, out: self.captured.append(out))
            self.installed = True
        self.captured.clear()
        self.conv(waveform[:, None])
        return self.head(self.captured[-1].relu().mean(-1) * 10)  # type: ignore[no-any-return]


class MakesBuffer(Net):
    """Makes a buffer in its first call and remembers that it did."""

    made = False

    def forward(self, waveform: Tensor) -> Tensor:
        if not self.made:
            self.register_buffer("window", torch.hann_window(waveform.shape[-1]))
            self.made = True
        return super().forward(waveform * self.window)


class MakesAttribute(Net):
    window: Tensor | None = None

    def forward(self, waveform: Tensor) -> Tensor:
        if self.window is None:
            self.window = torch.hann_window(waveform.shape[-1])
        return super().forward(waveform * self.window)


class Counted(Net):
    """Holds a memory and a counter that belong together."""

    def __init__(self) -> None:
        super().__init__()
        self.calls, self.last = 0, None

    def forward(self, waveform: Tensor) -> Tensor:
        last = self.last[:1] if self.calls else torch.zeros(1, 3)
        self.calls += 1
        logits = super().forward(waveform)
        self.last = logits.detach()
        return logits + 0.0 * last


def spectral() -> nn.Module:
    net = Net()
    nn.utils.parametrizations.spectral_norm(net.head)
    return net


def old_spectral() -> nn.Module:
    net = Net()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nn.utils.spectral_norm(net.head)
    return net


def old_weight_norm() -> nn.Module:
    net = Net()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nn.utils.weight_norm(net.conv)
    return net


def weight_norm() -> nn.Module:
    net = Net()
    nn.utils.parametrizations.weight_norm(net.conv)
    return net


def quantised() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.ao.quantization.quantize_dynamic(Net(), {nn.Linear})  # type: ignore[no-any-return]


def compiled() -> nn.Module:
    return torch.compile(Net(), backend="eager")  # type: ignore[return-value]


def scripted() -> nn.Module:
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.script(Convolutions().eval())  # type: ignore[no-any-return]


def traced() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.trace(Net(), torch.zeros(1, 2400))  # type: ignore[no-any-return]


def graph() -> nn.Module:
    return torch.fx.symbolic_trace(Net())


def exported() -> nn.Module:
    clips = (noise().expand(2, -1),)
    batch = torch.export.Dim("batch", max=64)
    return torch.export.export(Net().eval(), clips, dynamic_shapes=({0: batch},)).module()


WORKING = [
    Net,
    Hooked,
    MakesBuffer,
    MakesAttribute,
    Counted,
    spectral,
    old_spectral,
    old_weight_norm,
    weight_norm,
    quantised,
    compiled,
    scripted,
    traced,
    graph,
    exported,
]


def noise(seed: int = 0, seconds: float = 0.3) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 0.3 * torch.randn(round(seconds * RATE), generator=generator)


def state(module: nn.Module) -> dict[str, object]:
    """What an owner can see of a module."""
    return {
        "values": {k: copy.deepcopy(v) for k, v in module.state_dict().items()},
        "training": [m.training for m in module.modules()],
        "wants": [p.requires_grad for p in module.parameters()],
        "gradients": [p.grad is None for p in module.parameters()],
        "parameters": [id(p) for p in module.parameters()],
        "buffers": [id(b) for b in module.buffers()],
        "hooks": [
            {k: list(v) for k, v in vars(m).items() if "hooks" in k and isinstance(v, dict)}
            for m in module.modules()
        ],
    }


def same(one: object, other: object) -> bool:
    if isinstance(one, Tensor):
        return isinstance(other, Tensor) and torch.equal(one, other)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(v, other[k]) for k, v in one.items())
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and (one == other or not isinstance(one, str | int | float))


@pytest.mark.parametrize("called", [False, True], ids=["fresh", "called before"])
@pytest.mark.parametrize("make", WORKING)
def test_models_of_every_make_work_and_are_left_as_they_were(
    make: Callable[[], nn.Module], called: bool
) -> None:
    module, clip = make(), noise()
    expected = make()(clip[None].clone())
    if called:
        module(clip[None].clone())
    before = state(module)
    model = xplain.wrap(
        module, sample_rate=RATE, labels=[*"abc"], differentiable=make is not quantised
    )
    for method in METHODS[1:] if make is quantised else METHODS:
        for _ in range(2):
            e = xplain.explain(clip, model, explainer=method, target="a")
            e.scores(keep=[0.1])
            said = torch.tensor(list(e.probabilities.values()))
            assert torch.allclose(
                said, expected.softmax(-1)[0], atol=1e-2 if make is quantised else 1e-5
            )
    after = state(module)
    if make in (Hooked, MakesBuffer) and not called:  # what the model installed itself stays
        for kept in ("hooks", "values", "buffers"):
            del before[kept], after[kept]
    assert same(before, after)
    assert torch.allclose(module(clip[None].clone()), expected, atol=1e-5)


class Late(Net):
    """Makes a layer in its first call, in one of several places."""

    def __init__(self, place: str) -> None:
        super().__init__()
        self.place, self.late = place, None
        self.layers: list[nn.Module] = []

    def forward(self, waveform: Tensor) -> Tensor:
        features = self.features(waveform).mean(-1)
        if self.place == "list":
            if not self.layers:
                self.layers.append(nn.Linear(8, 3))
            return self.layers[0](features)  # type: ignore[no-any-return]
        if self.late is None:
            made = nn.Linear(8, 3)
            self.late = made if self.place == "module" else nn.Parameter(made.weight)
        layer = self.late
        return layer(features) if self.place == "module" else features @ layer.T


@pytest.mark.parametrize("place", ["module", "list", "parameter"])
def test_layers_made_in_the_first_call_are_refused_until_they_are_there(place: str) -> None:
    module = Late(place).train()
    before = state(module)
    model = xplain.wrap(module, sample_rate=RATE, labels=[*"abc"])
    with pytest.raises(xplain.ModelError, match=r"makes layers with weights.*call it once"):
        xplain.explain(noise(), model)
    assert same(before, state(module)) and not module.layers and module.late is None
    module(noise()[None])
    assert xplain.explain(noise(), model).attribution.any()


def test_lazy_layers_are_refused_by_name_until_they_have_weights() -> None:
    module = nn.Sequential(nn.LazyLinear(8), nn.ReLU(), nn.LazyLinear(3))
    model = xplain.wrap(module, sample_rate=RATE, labels=[*"abc"])
    with pytest.raises(xplain.ModelError, match=r"'0\.bias' have no values yet; call the module"):
        xplain.explain(noise(), model)
    module(noise()[None])
    assert xplain.explain(noise(), model, synthesizer="waveform").attribution.any()


def test_weights_on_the_meta_device_are_refused_by_name() -> None:
    with torch.device("meta"):
        module = nn.Linear(2400, 3)
    model = xplain.wrap(module, sample_rate=RATE, labels=[*"abc"])
    with pytest.raises(xplain.ModelError, match="'bias' have no values yet; load them first"):
        xplain.explain(noise(), model)


class Level(Net):
    """Divides by a level that it keeps from call to call."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        level = torch.tensor(0.1)
        if kind == "attribute":
            self.level = level
        else:
            self.register_buffer("level", level)

    def forward(self, waveform: Tensor) -> Tensor:
        new = 0.8 * self.level + 0.2 * waveform.detach().std()
        if self.kind == "in place":
            self.level.copy_(new)
        else:
            self.level = new
        return super().forward(waveform / self.level * 0.1)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["attribute", "buffer", "in place"])
def test_a_state_is_the_same_before_each_clip_and_left_as_it_was(kind: str, method: str) -> None:
    def explained(clips: list[Tensor]) -> list[xplain.Explanation]:
        module = Level(kind)
        own = module.level
        model = xplain.wrap(module, sample_rate=RATE, labels=[*"abc"])
        done = xplain.explain(clips, model, explainer=method, target="a")
        assert module.level is own and float(own) == pytest.approx(0.1)
        return done

    one, two = noise(1), noise(2) * 2
    for first, second in zip(explained([one, two]), reversed(explained([two, one])), strict=True):
        assert torch.equal(first.attribution, second.attribution)


def weights_of_two(folder: Path) -> Path:
    (folder / "model.py").write_text(
        "import random, numpy, torch, xplain\n"
        "def make():\n"
        "    random.random(); numpy.random.rand()\n"
        "    return xplain.wrap(torch.nn.Linear(2400, 2), sample_rate=8000, labels=[*'ab'])\n"
        "def seeded():\n"
        "    torch.manual_seed(0); random.seed(0); numpy.random.seed(0)\n"
        "    return make()\n"
    )
    return folder / "model.py"


@pytest.mark.parametrize("factory", ["make", "seeded"])
def test_loading_a_model_leaves_the_generators(factory: str, tmp_path: Path) -> None:
    file = weights_of_two(tmp_path)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    xplain.load_model(f"{file}:{factory}")
    after = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    assert torch.equal(before[0], after[0]) and before[1:] == after[1:]


def convolutions_of(seed: int) -> xplain.Model:
    torch.manual_seed(seed)
    return xplain.wrap(Convolutions(), sample_rate=RATE, labels=[*"abc"])


def attributions(seed: int, model: xplain.Model) -> bytes:
    """Bytes of a clip's attributions by a method that draws numbers, and by one with gradients."""
    drawn = xplain.explain(noise(seed), model, explainer=Noisy())
    gradients = xplain.explain(noise(seed), model, params={"steps": 8})
    return bytes(drawn.attribution.numpy().data) + bytes(gradients.attribution.numpy().data)


def explained(seed: int) -> bytes:
    """The same, by a process of its own."""
    return attributions(seed, convolutions_of(seed))


def test_threads_forks_and_spawned_processes_give_the_same_bytes() -> None:
    # Made before the threads start, since they would draw each other's weights.
    models, filters = [convolutions_of(seed) for seed in range(4)], list(warnings.filters)
    serial = [attributions(seed, model) for seed, model in enumerate(models)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(attributions, range(4), models)) == serial
    assert list(warnings.filters) == filters
    for method in ("fork", "spawn"):
        context = multiprocessing.get_context(method)
        with ProcessPoolExecutor(2, mp_context=context) as processes:
            assert list(processes.map(explained, range(4), timeout=120)) == serial


def test_threads_share_a_model_and_warning_filters(
    convolutions: xplain.Model,
) -> None:
    clips, module = [noise(seed) for seed in range(4)], convolutions.module
    serial = [xplain.explain(clip, convolutions, explainer="occlusion") for clip in clips]
    before, filters = state(module), list(warnings.filters)

    def silent(clip: Tensor) -> xplain.Explanation:
        xplain.explain(0 * clip, convolutions, explainer="occlusion")  # is warned of
        return xplain.explain(clip, convolutions, explainer="occlusion")

    with ThreadPoolExecutor(4) as pool, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        inside = list(warnings.filters)
        for e, expected in zip(pool.map(silent, clips), serial, strict=True):
            assert torch.equal(e.attribution, expected.attribution)
            assert e.warnings == expected.warnings
        assert list(warnings.filters) == inside
    assert same(before, state(module)) and list(warnings.filters) == filters


def memory() -> float:
    """Megabytes that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="reads Linux's /proc")
def test_a_hundred_explanations_hold_no_memory_and_no_files() -> None:
    model = xplain.wrap(Convolutions(), sample_rate=RATE, labels=[*"abc"])

    def run(count: int) -> None:
        for number in range(count):
            xplain.explain(noise(number), model, params={"steps": 4}).scores(keep=[0.1])

    run(20)
    gc.collect()
    before, files = memory(), len(os.listdir("/proc/self/fd"))
    run(100)
    gc.collect()
    assert memory() - before < 20
    assert len(os.listdir("/proc/self/fd")) == files


GLOBALS = """
import json, logging, os, random, sys, warnings
import numpy as np
import torch
import xplain
from xplain.explaining import explain_each

def known():
    return {
        "filters": [str(f) for f in warnings.filters],
        "levels": {n: l.level for n, l in logging.root.manager.loggerDict.items()
                   if isinstance(l, logging.Logger) and n in names} | {"": logging.root.level},
        "environment": dict(os.environ),
        "dtype": str(torch.get_default_dtype()),
        "threads": [torch.get_num_threads(), torch.get_num_interop_threads()],
        "cudnn": [torch.backends.cudnn.enabled, torch.backends.cudnn.benchmark,
                  torch.backends.cudnn.deterministic, torch.backends.cudnn.allow_tf32],
        "deterministic": [torch.are_deterministic_algorithms_enabled()],
        "precision": torch.get_float32_matmul_precision(),
        "grad": torch.is_grad_enabled(),
        "numpy": np.geterr() | {"print": str(np.get_printoptions())},
        "random": [torch.get_rng_state().tolist()[:64], np.random.get_state()[1].tolist()[:64],
                   list(random.getstate()[1][:64])],
        "recursion": sys.getrecursionlimit(),
    }

names = set(logging.root.manager.loggerDict)
before = known()
model = xplain.load_model("zoo:digits")
clip = torch.randn(8000, generator=torch.Generator().manual_seed(0)) * 0.1
e = xplain.explain(clip, model, params={"steps": 4})
e.scores(keep=[0.1]); e.check(); e.save(sys.argv[1])
s = xplain.segment(clip, "zoo:radio", sample_rate=16000)
after = known()
print(json.dumps({k: [before[k], after[k]] for k in before if before[k] != after[k]}))
"""


def test_nothing_global_changes(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", GLOBALS, str(tmp_path / "e")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout.splitlines()[-1]) == {}
