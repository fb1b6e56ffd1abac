"""Pages in a real browser, for the tests of every kind of page."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
SAID = Path(__file__).with_name("said.js")
NASTY = '"></script><img src=x onerror=alert(1)>'
RATIOS = [0.05, 0.1, 0.2, 0.3, 0.5]

needs_browser = pytest.mark.skipif(
    BROWSER is None, reason="needs a browser; make browser installs it"
)


@dataclass
class Shown:
    """A page in the browser, and what it did that it should not."""

    tab: Any
    wrong: list[str] = field(default_factory=list)

    def __call__(self, script: str, *values: Any) -> Any:
        return self.tab.evaluate(script, *values)

    def settled(self, script: str) -> None:
        self.tab.wait_for_function(f"() => {script}", timeout=5000)


def accessible(shown: Shown) -> list[str]:
    """What axe finds wrong with a page as it is."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(shown.tab).response["violations"]
    return [f"{v['id']}: {v['nodes'][0]['html'][:120]}" for v in found]
