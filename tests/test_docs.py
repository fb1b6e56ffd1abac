"""README and docs are true: their code runs, their files are the examples', the site builds.

Sybil finds the code blocks and the marks of those to be skipped: unlike pytest-markdown-docs it
leaves to us what a block of each language does, so that shell commands run too. One page is one
test: its blocks share a folder and, as for a reader, the names that were given before.
"""

from __future__ import annotations

import glob
import importlib.util
import json
import re
import shlex
import shutil
import subprocess
import sys
import unittest
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from distributions import clean_environment
from sybil import Document, Example, Region, Sybil
from sybil.parsers.markdown import SkipParser
from sybil.parsers.markdown.lexers import RawFencedCodeBlockLexer

from xplain.cli.main import main

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    p.relative_to(ROOT).as_posix() for p in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]
)
INFO = re.compile(r"(?P<language>\w*)(?: title=\"(?P<title>[^\"]+)\")?$\n", re.MULTILINE)


def blocks(document: Document) -> Iterator[Region]:
    """Every fenced block of a page."""
    for region in RawFencedCodeBlockLexer(re.compile(r"(?P<info>[^\n]*\n)"))(document):
        region.parsed, region.evaluator = region.lexemes, evaluate
        yield region


def evaluate(example: Example) -> None:
    """Do what a reader does with a block: save it under its title, or run it."""
    info = INFO.fullmatch(example.parsed["info"])
    assert info is not None, f"not LANGUAGE or LANGUAGE title=FILE: {example.parsed['info']!r}"
    text = str(example.parsed["source"])
    if title := info["title"]:
        if title.startswith("examples/"):
            assert text == (ROOT / title).read_text("utf-8"), f"not as in {title}"
        else:
            Path(title).write_text(text, "utf-8")
    elif info["language"] == "python":
        code = compile("\n" * example.line + text, example.path, "exec")
        exec(code, example.namespace)
    elif info["language"] == "bash":
        for line in text.replace("\\\n", " ").splitlines():
            run(shlex.split(line, comments=True))
    elif info["language"] == "toml":
        tomllib.loads(text)
    elif info["language"] == "json":
        json.loads(text)
    else:
        assert info["language"] == "text", "a block is python, bash, toml, json or text"


def run(words: list[str]) -> None:
    """Run the command xplain of one line of a shell; what else there is has to be skipped."""
    if not words:
        return
    assert words[0] == "xplain", f"{words[0]} is not run here: mark the block as skipped"
    sys.argv = [w for word in words for w in (sorted(glob.glob(word)) or [word])]
    with warnings.catch_warnings():
        try:
            main()
        except SystemExit as done:
            assert not done.code, f"{shlex.join(words)} ended with status {done.code}"


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that the pages speak of: half a word, tones, and a few seconds of radio."""
    folder = tmp_path_factory.mktemp("recordings")
    spec = importlib.util.find_spec("xplain_zoo")
    assert spec is not None and spec.submodule_search_locations is not None
    clips = Path(spec.submodule_search_locations[0]) / "clips"
    word, rate = soundfile.read(clips / "seven.wav", start=3000, frames=6400)
    for name in ("a.wav", "b.flac", "clip.wav"):
        soundfile.write(folder / name, word, rate)
    (radio,) = clips.glob("radio.*")
    sound, rate = soundfile.read(radio, frames=6 * soundfile.info(radio).samplerate)
    soundfile.write(folder / "radio.wav", sound, rate)
    (folder / "tones").mkdir()
    for label, hertz in (("low", 300), ("high", 2000)):
        for n in range(1, 5):
            tone = 0.1 * np.sin(2 * np.pi * (hertz + 20 * n) * np.arange(4000) / 8000)
            soundfile.write(folder / "tones" / f"{label}-{n}.wav", tone, 8000)
    return folder


@pytest.mark.parametrize("page", PAGES)
def test_every_code_block_of_a_page_does_what_it_says(
    page: str, recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(recordings, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["xplain"])
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    document = Sybil([blocks, SkipParser()]).parse(ROOT / page)
    for example in document.examples():
        try:
            example.evaluate()
        except unittest.SkipTest as skipped:
            assert str(skipped)  # a reason, which stands in the page
        except Exception as error:
            pytest.fail(f"{page}:{example.line}: {type(error).__name__}: {error}")


def test_a_block_that_is_skipped_says_why() -> None:
    for page in PAGES:
        for mark in re.findall(r"<!-+\s*skip:[^>]*>", (ROOT / page).read_text("utf-8")):
            assert re.fullmatch(r'<!-- skip: next "[^"]{10,}" -->', mark), f"{page}: {mark}"


def test_the_readme_is_short_and_its_links_lead_somewhere() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    assert len(text.splitlines()) <= 150
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        assert link.startswith("https://") or (ROOT / link).exists(), link


def test_the_reference_has_every_public_name() -> None:
    stub = (ROOT / "xplain" / "__init__.pyi").read_text("utf-8")
    names = re.findall(r"^from \S+ import \w+ as (\w+)$", stub, re.MULTILINE)
    assert "explain" in names
    pages = "".join(p.read_text("utf-8") for p in (ROOT / "docs" / "api").glob("*.md"))
    shown = re.findall(r"^::: xplain\.(\w+)$", pages, re.MULTILINE)
    assert set(names) <= set(shown), set(names) - set(shown)


def test_the_site_builds_without_warnings_and_asks_no_other_server(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    environment = {**clean_environment(), "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "api" / "xplain.html").is_file()
    loads = (
        r"<(?:script|img|iframe)[^>]+src=\"?(?:https?:)?//|<link[^>]+href=\"?https?://(?!localhost)"
    )
    for page in tmp_path.rglob("*.html"):
        assert not re.search(loads, page.read_text("utf-8")), page
