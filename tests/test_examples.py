"""What stands in examples/ works as it stands."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from distributions import install, run_python

import xplain

EXAMPLES = Path(__file__).parent.parent / "examples"

SAID = {
    "explain_file.py": "heard 'seven'",
    "explain_module.py": "'high': most comes from 3000 Hz at 1.",
}
"""What an example has to find out, where the answer is known."""


@pytest.mark.parametrize("script", sorted(EXAMPLES.glob("*.py")), ids=lambda s: s.name)
def test_an_example_runs_as_it_stands_and_saves_an_explanation(
    script: Path, tmp_path: Path
) -> None:
    assert len(script.read_text("utf-8").splitlines()) <= 40
    done = run_python(str(script), str(tmp_path / "out"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert SAID.get(script.name, "") in done.stdout
    saved = list((tmp_path / "out").rglob("explanation.json"))
    assert saved
    for found in saved:
        assert xplain.Explanation.load(found.parent).saved


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
    audio, model, synthesizer="waveform", explainer="leave-one-out", params={"frames": 10}
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
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the example plugin, so that building it leaves nothing in the original."""
    copy = tmp_path_factory.mktemp("plugin") / "leave-one-out-plugin"
    ignored = shutil.ignore_patterns("build", "*.egg-info", "__pycache__")
    return shutil.copytree(EXAMPLES / copy.name, copy, ignore=ignored)


@pytest.fixture(scope="module")
def site(project: Path) -> Path:
    install([project], project.parent / "site")
    return project.parent / "site"


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
    }
    assert said["listed"] == [["xplain-leave-one-out", "1.0.0", "ok"]]


def test_the_example_plugin_passes_its_own_tests(project: Path, site: Path) -> None:
    arguments = ["-m", "pytest", "-p", "no:cacheprovider", "tests"]
    done = run_python(*arguments, site=site, cwd=project)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_example_plugin_is_at_most_forty_lines(project: Path) -> None:
    sources = (project / "src").rglob("*.py")
    assert sum(len(s.read_text("utf-8").splitlines()) for s in sources) <= 40
