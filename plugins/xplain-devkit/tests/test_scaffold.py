"""From nothing to a plugin that passes in three commands, for every kind."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
import soundfile
from distributions import built
from environments import Environment

from xplain import ArtifactError, Explanation, PluginError
from xplain_devkit.scaffold import KINDS, LICENCES, LONGEST, write_package
from xplain_devkit.toys.models import tone

RATE = 16000
ROOT = Path(__file__).parents[3]
MYPYPATH = ":".join(map(str, (ROOT, *ROOT.glob("plugins/xplain-*/src"), "src")))


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return Environment.make(tmp_path_factory.mktemp("environment"))


@pytest.fixture(scope="module")
def made(environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a package of each kind, all of them installed."""
    folder = tmp_path_factory.mktemp("made")
    for kind in KINDS:
        done = environment.xplain("plugins", "new", kind, f"made-{kind}", cwd=folder)
        assert done.returncode == 0, done.stderr
    wheels = built(sorted(folder.iterdir()), tmp_path_factory.mktemp("wheels"))
    done = environment.pip_install(*map(str, wheels), cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_three_commands_lead_from_nothing_to_a_plugin_that_passes(tmp_path: Path) -> None:
    fresh = Environment.make(tmp_path / "environment")
    written = fresh.xplain("plugins", "new", "explainer", "my-method", cwd=tmp_path)
    assert written.returncode == 0, written.stderr
    assert written.stdout.strip() == "xplain-my-method"
    installed = fresh.pip_install("./xplain-my-method", cwd=tmp_path)
    assert installed.returncode == 0, installed.stderr
    checked = fresh.xplain("plugins", "check", "my-method", cwd=tmp_path)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    last = checked.stdout.splitlines()[-1]
    assert re.fullmatch(
        r"explainer xplain-my-method/my-method: passed in \d+\.\d s "
        r"\(\d+ rules, 0 broken, \d+ not applicable\)",
        last,
    )


def test_what_was_written_is_listed(environment: Environment, made: Path) -> None:
    listed = json.loads(environment.xplain("plugins", "--json", cwd=made).stdout)
    for kind in KINDS:
        (found,) = (p for p in listed if p["name"] == f"made-{kind}")
        assert (found["kind"], found["state"], found["version"]) == (kind, "ok", "0.1.0")
        assert found["distribution"] == f"xplain-made-{kind}" and found["summary"]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "model"])
def test_what_was_written_passes_its_contract(
    kind: str, environment: Environment, made: Path
) -> None:
    done = environment.xplain("plugins", "check", f"made-{kind}", "--json", cwd=made)
    assert done.returncode == 0, done.stdout
    assert json.loads(done.stdout)["verdict"] == "passed"


def test_the_model_that_was_written_explains_faithfully(
    environment: Environment, made: Path
) -> None:
    clip = 0.3 * tone(400, RATE, RATE, 0, 0.5) + 0.1 * tone(3000, RATE, RATE, 0.4, 1)
    soundfile.write(made / "clip.wav", clip.numpy(), RATE)
    command = ("explain", "clip.wav", "--model", "made-model:1000", "--out", "out")
    done = environment.xplain(*command, cwd=made)
    assert done.returncode == 0, done.stderr
    (folder,) = {path.parent for path in (made / "out").rglob("explanation.json")}
    explanation = Explanation.load(folder)
    assert explanation.provenance["model"]["name"] == "made-model:1000"
    assert explanation.converged is True
    check = """
import xplain
e = xplain.explain("clip.wav", "made-model:1000")
print(e.check().kind)
"""
    done = environment.run("-c", check, cwd=made)
    assert done.stdout.strip() == "faithful", done.stdout + done.stderr


def test_what_was_written_passes_its_own_tests(environment: Environment, made: Path) -> None:
    arguments = ("-m", "pytest", "-p", "no:cacheprovider", "-q", "--import-mode=importlib")
    projects = [f"xplain-made-{kind}" for kind in KINDS]
    done = environment.run(*arguments, *projects, cwd=made)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["a", "z" * LONGEST])
def test_what_was_written_is_tidy_and_typed(
    kind: str, name: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    here = Environment(Path(sys.prefix))
    cache = tmp_path_factory.getbasetemp() / "mypy"
    project = write_package(kind, name, parent=tmp_path)
    for command in (("check",), ("format", "--check")):
        done = here.run("-m", "ruff", *command, "--no-cache", ".", cwd=project)
        assert done.returncode == 0, done.stdout
    done = here.run(
        *("-m", "mypy", "--follow-imports=silent", "src", "tests"),
        cwd=project,
        # An editable xplain is found by no type checker, and the package by none before pip.
        environment={"MYPYPATH": MYPYPATH, "MYPY_CACHE_DIR": str(cache)},
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("licence", LICENCES)
def test_the_licence_is_stated(licence: str, tmp_path: Path) -> None:
    project = write_package("metric", "licensed", parent=tmp_path, licence=licence)
    assert f'license = "{licence}"' in (project / "pyproject.toml").read_text("utf-8")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"kind": "explaner"}, "no kind 'explaner' of plugin; did you mean 'explainer'"),
        ({"name": "My Method"}, "'My Method' is not kebab-case"),
        ({"name": "../up"}, "is not kebab-case"),
        ({"name": "1st"}, "is not kebab-case"),
        ({"name": "z" * (LONGEST + 1)}, f"of at most {LONGEST} characters"),
        ({"name": "captum"}, "a distribution xplain-captum is installed"),
        ({"name": "saliency"}, "the explainer name 'saliency' is registered by xplain-captum"),
        ({"name": "score"}, "would be called 'Score' in its package"),
        ({"name": "sum"}, "would be called 'Sum'"),  # which the tests define
        ({"name": "true"}, "would be called 'True'"),
        ({"kind": "metric", "name": "lambda"}, "would be called 'lambda'"),
        ({"kind": "metric", "name": "torch"}, "would be called 'torch'"),
        ({"kind": "metric", "name": "pytest"}, "would be called 'pytest'"),
        ({"kind": "metric", "name": "float"}, "would be called 'float'"),
        ({"kind": "metric", "name": "share"}, "would be called 'share'"),
        ({"kind": "synthesizer", "name": "latents"}, "would be called 'Latents'"),
        ({"kind": "replacement", "name": "clip"}, "would be called 'Clip'"),
        ({"licence": "MTI"}, "no licence 'MTI'; did you mean 'MIT'"),
    ],
)
def test_what_cannot_be_written_is_refused_and_nothing_is_left(
    arguments: dict[str, str], said: str, tmp_path: Path
) -> None:
    with pytest.raises(PluginError, match=re.escape(said)):
        write_package(**{"kind": "explainer", "name": "mine", "parent": tmp_path, **arguments})  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_exists_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "xplain-mine").mkdir()
    with pytest.raises(PluginError, match="xplain-mine exists; choose another name"):
        write_package("explainer", "mine", parent=tmp_path)
    assert list((tmp_path / "xplain-mine").iterdir()) == []


def test_where_writing_fails_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, written = Path.write_text, []

    def full(path: Path, *text: str) -> int:
        written.append(path)
        if len(written) == 3:
            raise OSError("no space left on device")
        return write(path, *text)

    monkeypatch.setattr(Path, "write_text", full)
    for parent in (tmp_path, tmp_path / "not" / "there"):
        written.clear()
        with pytest.raises(ArtifactError, match="cannot be written: no space left"):
            write_package("explainer", "mine", parent=parent)
        assert len(written) == 3
        assert list(tmp_path.iterdir()) == []


def test_a_wrong_call_has_the_status_two(tmp_path: Path) -> None:
    here = Environment(Path(sys.prefix))
    for wrong in (("new", "explaner", "mine"), ("new", "explainer", "Mine"), ("new", "explainer")):
        assert here.xplain("plugins", *wrong, cwd=tmp_path).returncode == 2
    assert list(tmp_path.iterdir()) == []
