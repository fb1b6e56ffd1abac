"""``nmf:FOLDER``: a proxy by the folder that save_pretrained wrote."""

from __future__ import annotations

from pathlib import Path

import xplain
from xplain.errors import ModelError


def load(rest: str) -> xplain.Model:
    """Load the proxy in the folder that ``nmf:`` is followed by; ModelError where none is."""
    folder = Path(rest).expanduser()
    raise ModelError(f"nmf:{rest}: {folder} holds no proxy; give a folder xplain nmf train wrote")
