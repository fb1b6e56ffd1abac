"""Every file of ../shared/cases, which failed once: each has its right answer here.

The models are read without what their files do with them: their classes, and no calls.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from distributions import run_python
from torch import Tensor, nn

import xplain
from xplain import XplainError, audio
from xplain.errors import ArtifactError
from xplain.segmentation.result import read_segments
from xplain.segmentation.segment import Segment

RATE = 8000
LABELS = ["a", "b", "c"]

SECONDS = {
    "chained.ogg": 16.0,
    "flacpipe.flac": 8.0,
    "h_data_short_by_half.wav": 8.0,
    "h_gst_0.wav": 8.0,
    "h_sox_7ffff000.wav": 8.0,
    "vbr_noxing.mp3": 8.067,
    "antiphase_stereo.wav": 0.5,
}
WARNED = {
    "h_data_short_by_half.wav": "the header states 4",
    "antiphase_stereo.wav": "the channels cancel",
}
SEGMENTS: dict[str, tuple[Segment, ...] | str] = {
    "comment.TextGrid": (Segment("\u014ba", 0.0, 1.2),),
    "u16le.TextGrid": (Segment("\u014ba", 0.0, 1.2),),
    "neg.rttm": r"neg\.rttm.*line 1\b",
    "space.rttm": r"space\.rttm.*line 1\b",
}
SITES = {
    "malformed_entry_points": "other-1.0.dist-info/entry_points.txt cannot be read",
    "latin1_metadata": "METADATA is not UTF-8",
}
MODELS = {
    "mods.py",
    "state.py",
    "model_with_state_order_of_clips.py",
    "model_ends_in_softmax.py",
    "hf_weighted_layer_sum_broken_by_explain.py",
    "layers_called_but_not_registered_or_clamp_as_relu.py",
}


@pytest.fixture(scope="module")
def cases(shared: Path) -> Path:
    if not (shared / "cases").is_dir():
        pytest.skip("needs ../shared/cases, which is absent")
    return shared / "cases"


@pytest.fixture
def said() -> Iterator[list[warnings.WarningMessage]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield caught


def test_every_case_has_an_answer(cases: Path) -> None:
    known = {f"audio/{name}" for name in SECONDS} | {f"segments/{name}" for name in SEGMENTS}
    known |= {f"models/{name}" for name in MODELS} | {f"site/{name}" for name in SITES}
    there = {str(path.relative_to(cases)) for path in cases.glob("*/*") if path.name[0] not in "._"}
    assert there == known


@pytest.mark.parametrize("name", SECONDS)
def test_audio(name: str, cases: Path, said: list[warnings.WarningMessage]) -> None:
    path = cases / "audio" / name
    clip = audio.read(path)
    seconds = len(clip.waveform) / clip.sample_rate
    assert seconds == pytest.approx(SECONDS[name], abs=1e-3)
    texts = [str(w.message) for w in said]
    assert len(texts) == (name in WARNED) and all(WARNED[name] in text for text in texts)
    streamed = torch.cat(list(audio.stream(path, clip.sample_rate).blocks))
    assert torch.equal(streamed, clip.waveform)


@pytest.mark.parametrize("name", SEGMENTS)
def test_segments(name: str, cases: Path) -> None:
    answer = SEGMENTS[name]
    if isinstance(answer, str):
        with pytest.raises(ArtifactError, match=answer):
            read_segments(cases / "segments" / name)
    else:
        assert read_segments(cases / "segments" / name) == answer


@pytest.mark.parametrize("name", SITES)
def test_site(name: str, cases: Path) -> None:
    code = "from xplain.cli.main import main; main()"
    done = run_python("-c", code, "plugins", "--json", site=cases / "site" / name)
    assert done.returncode in (0, 1) and "Traceback" not in done.stderr
    assert SITES[name] in done.stdout and '"integrated-gradients"' in done.stdout


def definitions(path: Path, kept: dict[str, Any] | None = None) -> dict[str, Any]:
    """Classes, imports and constants of a file, and of the files beside it that it imports."""
    found: dict[str, Any] = kept if kept is not None else {"__name__": path.stem}
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.ImportFrom) and (path.parent / f"{node.module}.py").is_file():
            definitions(path.parent / f"{node.module}.py", found)
            continue
        constant = isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        if constant or isinstance(node, ast.ClassDef | ast.Import | ast.ImportFrom):
            module = ast.Module([node], type_ignores=[])
            exec(compile(module, str(path), "exec"), found)
    return found


def clip(samples: int = 4000) -> Tensor:
    return 0.3 * torch.randn(4000, generator=torch.Generator().manual_seed(3))[:samples]


def explained(module: nn.Module, method: str, **settings: Any) -> Any:
    output = settings.pop("output", None)
    model = xplain.wrap(module, sample_rate=RATE, labels=LABELS, output=output)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return xplain.explain(clip(SHORT), model, explainer=method, target="a", **settings)


SHORT = 1500
GRADIENT, COARSE = "input-x-gradient", {"window": "33x32", "stride": "33x32"}

MODS: dict[str, tuple[str, str]] = {
    "Net": ("", ""),
    "InplaceIn": ("modified by an inplace operation", ""),
    "InplaceData": ("", ""),
    "Stateful": ("", ""),
    "Strict": ("Expected hidden size", "Expected hidden size"),
    "BatchDep": ("warned: when a clip is alone", "warned: when a clip is alone"),
    "BNTrain": ("", ""),
    "FuncDropout": ("warned: draws random numbers", "warned: draws random numbers"),
    "Half": ("", ""),
    "HalfStrict": ("wrap module.float()", "wrap module.float()"),
    "Double": ("wrap module.float()", "wrap module.float()"),
    "Complex": ("wrap a module that returns their real part",) * 2,
    "IntOut": ("no gradient passes through the model", ""),
    "TupleOut": ("such as output[0]",) * 2,
    "ChanIn": ("logits are (batch, labels)",) * 2,
    "Squeezed": ("logits are (batch, labels)",) * 2,
    "Probs": ("warned: output='probabilities'",) * 2,
    "LogProbs": ("warned: output='log-probabilities'",) * 2,
}
"""Of each model: by gradients and by occlusion, right, or refused or warned of in these words."""


def test_models_of_every_kind(cases: Path) -> None:
    found = definitions(cases / "models" / "mods.py")
    makes = {n: c for n, c in found.items() if isinstance(c, type) and issubclass(c, nn.Module)}
    assert makes.keys() == MODS.keys()
    for name, make in makes.items():
        for method, words in zip((GRADIENT, "occlusion"), MODS[name], strict=True):
            module = make().train(name == "BNTrain")
            before = {key: tensor.clone() for key, tensor in module.state_dict().items()}
            params = {"params": COARSE} if method == "occlusion" else {}
            warned = words.removeprefix("warned: ")
            if words == warned and words:
                with pytest.raises(XplainError) as refused:
                    explained(module, method, **params)
                assert words in str(refused.value), name
            else:
                e = explained(module, method, **params)
                assert sum(warned in text for text in e.warnings) == bool(words), (name, e.warnings)
                if name not in ("FuncDropout", "Probs"):
                    with torch.no_grad():
                        by_hand = make().eval()(clip(SHORT)[None]).float().softmax(-1)[0, 0].item()
                    near = 5e-3 if name == "Half" else 1e-4
                    assert e.target.probability == pytest.approx(by_hand, abs=near), name
            assert module.training == (name == "BNTrain")
            assert all(torch.equal(before[k], t) for k, t in module.state_dict().items()), name
    probs = explained(makes["Probs"]().eval(), GRADIENT, output="probabilities")
    net = explained(makes["Net"]().eval(), GRADIENT)
    assert probs.target.probability == pytest.approx(net.target.probability, abs=1e-5)
    assert probs.warnings == ()


@pytest.mark.parametrize("buffer", [False, True])
def test_a_state_neither_passes_to_the_next_clip_nor_stays(cases: Path, buffer: bool) -> None:
    found = definitions(cases / "models" / "model_with_state_order_of_clips.py")
    clips = [clip(), 0.8 * torch.sin(0.2 * torch.arange(4000))]

    def both(order: list[Tensor]) -> tuple[list[Any], float]:
        module = found["Running"](buffer).eval()
        model = xplain.wrap(module, sample_rate=RATE, labels=LABELS)
        return xplain.explain(order, model, explainer=GRADIENT, target="a"), float(module.level)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (one, other), level = both(clips)
        (again, first), _ = both(clips[::-1])
    assert level == pytest.approx(0.3)
    for here, there in ((one, first), (other, again)):
        assert torch.equal(here.attribution, there.attribution)
        assert any("keeps a state from call to call" in text for text in here.warnings)


def test_a_model_that_ends_in_softmax(cases: Path) -> None:
    module = definitions(cases / "models" / "model_ends_in_softmax.py")["Net"]().eval()
    with torch.no_grad():
        by_hand = module(clip(SHORT)[None])[0, 0].item()
    (warning,) = explained(module, GRADIENT).warnings
    assert "output='probabilities'" in warning
    e = explained(module, GRADIENT, output="probabilities")
    assert e.target.probability == pytest.approx(by_hand, abs=1e-4) and e.warnings == ()


RULES = ("guided-backprop", "deconvolution", "lrp", "deep-lift")


def test_methods_by_rules_refuse_what_they_do_not_hook(cases: Path) -> None:
    name = "layers_called_but_not_registered_or_clamp_as_relu.py"
    found = definitions(cases / "models" / name)

    def attribution(make: str, method: str) -> Tensor:
        torch.manual_seed(0)
        module = found[make](nn.ReLU).eval()
        model = xplain.wrap(module, sample_rate=RATE, labels=["a", "b"])
        e = xplain.explain(clip(2000), model, explainer=method, synthesizer="waveform")
        return e.attribution  # type: ignore[no-any-return]

    for make in ("AdHoc", "InList", "Clamp", "OneClamp"):
        what = "the function clamp" if "Clamp" in make else "a ReLU that is called but not"
        for method in RULES:
            assert attribution("Registered", method).abs().max() > 0
            with pytest.raises(XplainError, match=rf"no rule for {what}.*{make}"):
                attribution(make, method)
        assert torch.equal(attribution(make, "saliency"), attribution("Registered", "saliency"))


def test_a_weighted_sum_of_layers_works_during_and_after(cases: Path, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("xplain_hf")
    source = (cases / "models" / "hf_weighted_layer_sum_broken_by_explain.py").read_text("utf-8")
    (made,) = (
        node.value
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "cfg"
    )
    config = eval(
        compile(ast.Expression(made), "config", "eval"),
        {"Wav2Vec2Config": transformers.Wav2Vec2Config},
    )
    assert config.use_weighted_layer_sum
    transformers.Wav2Vec2ForSequenceClassification(config).save_pretrained(tmp_path)
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(tmp_path)
    x = 0.2 * torch.randn(4000, generator=torch.Generator().manual_seed(0))
    model, other = (xplain.load_model(f"hf:{tmp_path}") for _ in range(2))
    with torch.no_grad():
        before = model(x[None])
        e = xplain.explain(x, other, sample_rate=16000, explainer="occlusion", params=COARSE)
        assert torch.equal(other(x[None]), before)
    assert e.score == pytest.approx(float(before.max()), abs=1e-4)
