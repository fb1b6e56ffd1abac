"""What stands in examples/ works as it stands."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import pytest
from distributions import install, run_python

import xplain

EXAMPLES = Path(__file__).parent.parent / "examples"

SAID = {
    "explain_file.py": "predicted 'seven'",
    "explain_module.py": "'high': most comes from 3000 Hz at 1.",
    "why_this_word.py": "heard 'seven'; the evidence lies around 0.",
    "counterfactual.py": "pitch: still 'seven'",
    "trained_explainer.py": "the rest: -",
    "heard_features.py": "plays it, at a level of 0.",
    "black_box_speech.py": "100% of the positive evidence lies in the word; most at 1.",
}
"""What an example has to find out, where the answer is known."""

LINES = {
    "black_box_speech.py": 80,
    "heard_features.py": 50,
    "trained_explainer.py": 70,
    "why_this_word.py": 70,
}
"""How long an example may be; the others 40 lines."""

PLUGINS = sorted(folder.name for folder in EXAMPLES.glob("*-plugin"))


@pytest.mark.parametrize("script", sorted(EXAMPLES.glob("*.py")), ids=lambda s: s.name)
def test_an_example_runs_as_it_stands_and_saves_an_explanation(
    script: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    assert len(script.read_text("utf-8").splitlines()) <= LINES.get(script.name, 40)
    arguments = [str(script), str(tmp_path / "out")]
    if script.name == "black_box_speech.py":
        model = request.getfixturevalue("shared") / "models" / "silero" / "silero_vad_16k.onnx"
        if importlib.util.find_spec("onnxruntime") is None or not model.is_file():
            pytest.skip("needs onnxruntime and ../shared/models/silero, of which one is absent")
        arguments.append(str(model))
    if script.name == "why_this_word.py":
        pytest.importorskip("pocketsphinx")
        words = request.getfixturevalue("shared") / "data/keywords/speech_commands_sc09/seven"
        arguments.append(str(min(words.glob("*.flac"))))
    done = run_python(*arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert SAID.get(script.name, "") in done.stdout
    saved = list((tmp_path / "out").rglob("explanation.json"))
    assert saved
    for found in saved:
        assert xplain.Explanation.load(found.parent).saved


def test_the_notebook_runs_and_shows_pages_figures_and_tables() -> None:
    nbclient = pytest.importorskip("nbclient")
    import nbformat

    notebook = nbformat.read(EXAMPLES / "notebook.ipynb", as_version=4)
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    shown = [
        output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", ())
    ]
    pages = [data["text/html"] for data in shown if "<iframe" in data.get("text/html", "")]
    assert len(pages) == 2
    for page in pages:
        assert 'sandbox="allow-scripts allow-downloads"' in page and "<script" not in page
    assert any("image/png" in data for data in shown)
    assert sum("<table" in data.get("text/html", "") for data in shown) == 2


# A stranger's plugin

EXPLAIN = """
import json, torch, xplain

class Counting(torch.nn.Module):
    def forward(self, waveform):  # through NumPy, so that no gradient can pass
        loud = torch.from_numpy((waveform.numpy() ** 2).sum(axis=1))
        return torch.stack([loud, torch.zeros_like(loud)], dim=1)

model = xplain.wrap(Counting(), sample_rate=1000, labels=["loud", "quiet"], differentiable=False)
audio = torch.zeros(1000)
audio[500:510] = 0.5
e = xplain.explain(
    audio,
    model,
    synthesizer="waveform",
    explainer="xplain-leave-one-out/leave-one-out",  # xplain-interpreters has one of that name
    params={"frames": 10},
)
print(json.dumps({
    "drop": float(e.attribution.sum()),
    "in_click": float(e.attribution[0, 500:510].sum()),
    "explainer": e.provenance["explainer"],
    "listed": [
        (p.distribution, p.version, p.state) for p in xplain.list_plugins()
        if p.full_name == "xplain-leave-one-out/leave-one-out"
    ],
}))
"""


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copies of the example plugins, so that building them leaves nothing in the originals."""
    copies = tmp_path_factory.mktemp("plugins")
    ignored = shutil.ignore_patterns("build", "*.egg-info", "__pycache__")
    for name in PLUGINS:
        shutil.copytree(EXAMPLES / name, copies / name, ignore=ignored)
    return copies


@pytest.fixture(scope="module")
def site(projects: Path) -> Path:
    """A folder into which all of them are installed."""
    install([projects / name for name in PLUGINS], projects / "site")
    return projects / "site"


def test_the_example_plugin_explains_a_model_without_gradients(site: Path) -> None:
    done = run_python("-c", EXPLAIN, site=site)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    energy = 10 * 0.5**2  # what silencing ten samples of 0.5 takes away
    assert said["drop"] == pytest.approx(energy)
    assert said["in_click"] == pytest.approx(energy)
    assert said["explainer"] == {
        "name": "xplain-leave-one-out/leave-one-out",
        "version": "1.0.0",
        "parameters": {"frames": 10},
        "sha256": None,  # it has no weights
    }
    assert said["listed"] == [["xplain-leave-one-out", "1.0.0", "ok"]]


def test_example_plugins_pass_their_own_tests_and_the_contracts_in_them(
    projects: Path, site: Path
) -> None:
    for name in PLUGINS:
        (tests,) = (projects / name / "tests").glob("test_*.py")
        assert "Contract):" in tests.read_text("utf-8"), name
    arguments = ["-m", "pytest", "-p", "no:cacheprovider", "--import-mode=importlib", *PLUGINS]
    done = run_python(*arguments, site=site, cwd=projects)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", PLUGINS)
def test_an_example_plugin_is_short(name: str, projects: Path) -> None:
    sources = (projects / name / "src").rglob("*.py")
    most = 40 if name == "leave-one-out-plugin" else 79
    assert sum(len(s.read_text("utf-8").splitlines()) for s in sources) <= most
