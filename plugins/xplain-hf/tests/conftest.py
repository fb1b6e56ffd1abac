"""Folders of tiny classifiers, for every test of a checkpoint."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from small_classifiers import classifier, prepare


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folders of tiny classifiers, each written once; tests that change one copy it."""
    root = tmp_path_factory.mktemp("models")

    def save(family: str) -> Path:
        folder: Path = root / family
        if not folder.exists():
            classifier(family).save_pretrained(folder)
            prepare(family).save_pretrained(folder)
        return folder

    return save


@pytest.fixture
def folder(saved: Callable[[str], Path], tmp_path: Path) -> Path:
    """A folder of a wav2vec 2.0 classifier that may be spoilt."""
    return Path(shutil.copytree(saved("wav2vec2"), tmp_path / "model"))
