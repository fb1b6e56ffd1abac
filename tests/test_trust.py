"""A folder of strangers is data: whatever it names, nothing in it runs."""

import functools
import json
import os
import pickle
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import xplain
from xplain.errors import XplainError

zoo = pytest.importorskip("xplain_zoo.digits")
nmf_model = pytest.importorskip("xplain_nmf.model")
nmf_config = pytest.importorskip("xplain_nmf.config")
nmf_folder = pytest.importorskip("xplain_nmf.proxy_folder")

EVIL = """
import pathlib
pathlib.Path({marker!r}).write_text("was here")
def make():
    raise SystemExit("ran")
"""


class Pickled:
    """What unpickling turns into a marker file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return (os.system, (f"touch {self.marker}",))


@pytest.fixture
def marker(tmp_path):
    file = tmp_path / "marker"
    (tmp_path / "evil.py").write_text(EVIL.format(marker=str(file)))
    return file


@functools.cache
def teacher_weights() -> str | None:
    return xplain.load_model("zoo:radio-teacher").fingerprint()


def proxy(folder: Path, model: str, **changes) -> Path:
    """A proxy that reads a layer of ``model``, as its config.json says."""
    config = nmf_config.NmfProxyConfig(
        components=4,
        hidden=8,
        bottleneck=8,
        repeats=1,
        blocks=1,
        features="model",
        model="zoo:radio-teacher",
        layer="blocks",
        layer_channels=96,
        model_sha256=teacher_weights(),
    )
    nmf_folder.save_proxy(nmf_model.NmfProxy(config), folder)
    written = json.loads((folder / "config.json").read_text())
    written.update(model=model, **changes)
    (folder / "config.json").write_text(json.dumps(written))
    return folder


def listen(reference: str, **settings) -> None:
    """Load a model and ask it, as far as that goes."""
    model = xplain.load_model(reference)
    noise = 0.1 * torch.randn(1, 16000)
    xplain.explain(noise[0], model, sample_rate=16000, **settings)


def test_the_evil_file_runs_where_a_person_names_it(tmp_path, marker):
    with pytest.raises((XplainError, SystemExit)):
        xplain.load_model(f"{tmp_path}/evil.py:make")
    assert marker.exists()  # so the other tests can fail


@pytest.mark.parametrize("name", ["{home}/evil.py:make", "evil.py:make", "../evil.py:make"])
def test_a_proxy_that_names_a_python_file_does_not_run_it(tmp_path, marker, monkeypatch, name):
    folder = proxy(tmp_path / "proxy", name.format(home=tmp_path))
    (folder / "evil.py").write_text((tmp_path / "evil.py").read_text())
    for home in (tmp_path, folder):
        monkeypatch.chdir(home)
        with pytest.raises(XplainError, match="only a person may name a Python file"):
            listen(f"nmf:{folder}")
        with pytest.raises(XplainError, match="only a person may name a Python file"):
            xplain.segment(xplain.audio.from_tensor(0.1 * torch.randn(16000), 16000, "noise"),
                           "nmf", params={"folder": str(folder)})  # fmt: skip
    assert not marker.exists()


def test_nor_does_one_that_names_another_that_does(tmp_path, marker):
    inner = proxy(tmp_path / "inner", f"{tmp_path}/evil.py:make")
    outer = proxy(tmp_path / "outer", f"nmf:{inner}")
    with pytest.raises(XplainError):
        listen(f"nmf:{outer}")
    assert not marker.exists()


def test_nor_a_classifier_whose_codec_is_such_a_proxy(tmp_path, marker):
    inner = proxy(tmp_path / "inner", f"{tmp_path}/evil.py:make")
    source = Path(zoo.WEIGHTS).parent / "digits-latent"
    folder = tmp_path / "head"
    folder.mkdir()
    for name in ("model.safetensors", "report.json"):
        (folder / name).write_bytes((source / name).read_bytes())
    config = json.loads((source / "config.json").read_text())
    config["synthesizer"].update(name="xplain-nmf/nmf", parameters={"folder": str(inner)})
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(XplainError, match="only a person may name a Python file"):
        listen(f"latent:{folder}")
    assert not marker.exists()


PLUGIN = """
import xplain
XPLAIN_API = 1
def load(rest):
    if rest == "returns":
        return {evil!r}
    return xplain.load_model({evil!r})
@xplain.hookimpl
def register_models(register):
    register("naive", "naive:load")
"""


@pytest.mark.parametrize("rest", ["returns", "loads"])
def test_a_plugin_that_hands_a_reference_on_cannot_get_it_wrong(tmp_path, marker, rest):
    info = tmp_path / "site" / "naive-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: naive\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[xplain]\nnaive = naive\n")
    source = PLUGIN.format(evil=f"{tmp_path}/evil.py:make")
    (tmp_path / "site" / "naive.py").write_text(source)
    code = f"import xplain; xplain.load_model('naive:{rest}')"
    path = {"PYTHONPATH": str(tmp_path / "site")}
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **path}, capture_output=True, text=True
    )
    assert "only a person may name a Python file" in done.stderr and not marker.exists()


def test_a_benchmark_of_strangers_runs_no_file(tmp_path, marker):
    pytest.importorskip("xplain_evaluation")
    from xplain_evaluation.benchmark import Config

    (tmp_path / "bench.toml").write_text(
        f'models = ["{tmp_path}/evil.py:make"]\nexplainers = ["saliency"]\n'
        '[[data]]\nname = "a"\nplanted = 1\n'
    )
    with pytest.raises(XplainError, match="give --allow-code where you trust it"):
        Config.load(tmp_path / "bench.toml")
    assert not marker.exists()


def test_pickles_beside_or_instead_of_weights_are_not_read(tmp_path, marker):
    folder = proxy(tmp_path / "proxy", "zoo:radio-teacher")
    evil = pickle.dumps(Pickled(marker))
    for name in ("pytorch_model.bin", "adapter_model.bin", "training_args.bin"):
        (folder / name).write_bytes(evil)
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA"}))
    listen(f"nmf:{folder}")
    (folder / "model.safetensors").unlink()
    changed = json.loads((folder / "config.json").read_text())
    changed["transformers_weights"] = "pytorch_model.bin"
    (folder / "config.json").write_text(json.dumps(changed))
    with pytest.raises(XplainError, match=r"model\.safetensors cannot be read"):
        listen(f"nmf:{folder}")
    (folder / "model.safetensors").write_bytes(evil)
    with pytest.raises(XplainError, match=r"model\.safetensors cannot be read"):
        listen(f"nmf:{folder}")
    assert not marker.exists()


NAMING_CODE = (
    {"auto_map": {"AutoConfig": "evil.Config", "AutoModel": "evil.Model"}},
    {"auto_map": {"AutoConfig": "evil--evil.Config"}, "model_type": "evil"},
    {"attn_implementation": "evil/kernel"},
)

LISTENING = """
import sys, torch, xplain
scheme, *folders = sys.argv[1:]
noise = 0.1 * torch.randn(16000)
for folder in folders:
    try:
        if scheme == "encodec":
            xplain.explain(noise, "zoo:digits", synthesizer="encodec", sample_rate=16000,
                           synthesizer_params={"checkpoint": folder})
        else:
            xplain.explain(noise, f"{scheme}:{folder}", sample_rate=16000)
    except xplain.XplainError as error:
        print("refused", error)
    else:
        print("explained")
"""


@pytest.mark.parametrize("scheme", ["nmf", "hf", "encodec"])
def test_code_that_a_configuration_names_is_not_run(tmp_path, marker, scheme):
    folders = []
    for number, changes in enumerate(NAMING_CODE):
        folders.append(proxy(tmp_path / f"proxy-{number}", "zoo:radio-teacher", **changes))
        (folders[-1] / "evil.py").write_text((tmp_path / "evil.py").read_text())
    done = subprocess.run(
        [sys.executable, "-c", LISTENING, scheme, *map(str, folders)],
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    lines = done.stdout.splitlines()
    assert len(lines) == len(folders), done.stderr
    assert all(line.startswith(("refused", "explained")) for line in lines)
    assert not marker.exists()


@pytest.mark.parametrize("weights", [None, "", "0" * 64])
def test_a_layer_is_read_only_of_the_model_whose_weights_the_folder_states(tmp_path, weights):
    folder = proxy(tmp_path / "proxy", "zoo:radio-teacher", model_sha256=weights)
    with pytest.raises(XplainError, match=r"no model_sha256|has other weights"):
        listen(f"nmf:{folder}")


def test_an_encoder_of_another_kind_fetches_nothing(tmp_path, monkeypatch):
    def refuse(*address: object) -> None:
        raise AssertionError(f"the network was asked for {address}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    other = {"model_type": "detr", "backbone": "evil/evil", "use_pretrained_backbone": True}
    encoder = {**other, "backbone_config": None, "conv_kernel": [1], "conv_stride": [1]}
    changes = {"features": "encoder", "layer": None, "encoder_config": encoder}
    folder = proxy(tmp_path / "proxy", None, **changes)
    with pytest.raises(XplainError, match="'detr' model has no convolutions over samples"):
        xplain.load_model(f"nmf:{folder}")


ENDLESS = {
    "nmf": {"repeats": 10**9},
    "nmf, encoder": {
        "features": "encoder",
        "model": None,
        "layer": None,
        "encoder_config": {"model_type": "wav2vec2", "hidden_size": 16, "num_hidden_layers": 10**9,
                           "num_attention_heads": 1, "intermediate_size": 2},
    },
    "nmf, updates": {"refinements": 10**12},
    "latent": {"head": {"kind": "conv", "width": 8, "kernel": 5, "layers": 10**9, "dropout": 0.1}},
}  # fmt: skip


@pytest.mark.parametrize("kind", ENDLESS)
def test_a_few_bytes_that_ask_for_endless_work_are_refused(tmp_path, kind):
    folder = tmp_path / "model"
    if kind == "latent":
        shutil.copytree(Path(zoo.WEIGHTS).parent / "digits-latent", folder)
    else:
        proxy(folder, "zoo:radio-teacher")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **ENDLESS[kind]}))
    limits = "more than 30,000 layers|refinements is 0 to|layers is at most"
    with pytest.raises(XplainError, match=limits):
        listen(f"{kind.partition(',')[0]}:{folder}")


@pytest.mark.parametrize("special", ["pipe", "device"])
@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
@pytest.mark.parametrize("scheme", ["nmf", "latent", "hf"])
def test_files_that_never_end_are_not_read(tmp_path, scheme, name, special):
    folder = tmp_path / "model"
    if scheme == "latent":
        shutil.copytree(Path(zoo.WEIGHTS).parent / "digits-latent", folder)
    else:
        proxy(folder, "zoo:radio-teacher")
    (folder / name).unlink()
    if special == "pipe":
        os.mkfifo(folder / name)
    else:
        (folder / name).symlink_to("/dev/zero")
    with pytest.raises(XplainError, match="no regular file"):
        xplain.load_model(f"{scheme}:{folder}")


@pytest.mark.parametrize(
    "piece", ["weights.bin", "../other.safetensors", "weights.safetensors.bin"]
)
def test_an_index_of_weights_names_safetensors_beside_it_alone(tmp_path, marker, piece):
    transformers = pytest.importorskip("transformers")
    folder = tmp_path / "classifier"
    config = transformers.Wav2Vec2Config(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=2,
    )  # fmt: skip
    config.architectures = ["Wav2Vec2ForSequenceClassification"]
    config.save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(folder)
    (folder / piece).write_bytes(pickle.dumps(Pickled(marker)))
    index = {"metadata": {}, "weight_map": {"classifier.bias": piece}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(XplainError, match="weights are read from safetensors beside it alone"):
        xplain.load_model(f"hf:{folder}")
    assert not marker.exists()
