"""Files and folders that appear whole: written under another name, and renamed."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from pathlib import Path

from xplain.errors import ArtifactError

SWAPS = 20
"""How often a folder makes way for others who write in the same place."""


def write_text(path: Path, text: str) -> None:
    """Write a file in UTF-8; ArtifactError where that is not possible."""
    draft = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        draft = Path(name)
        with os.fdopen(handle, "wb") as file:
            # A name may hold bytes that are no text; they are shown, not refused.
            file.write(text.encode("utf-8", errors="backslashreplace"))
        draft.chmod(0o644)
        draft.replace(path)
    except OSError as error:
        if draft is not None:
            draft.unlink(missing_ok=True)
        raise ArtifactError(f"{path} cannot be written: {error}") from error


def swap(draft: Path, folder: Path) -> None:
    """Put a finished folder in place of an older one, which is only then removed."""
    old = Path(tempfile.mkdtemp(prefix=f".{folder.name}-old-", dir=folder.parent))
    try:
        for _ in range(SWAPS):
            with contextlib.suppress(FileNotFoundError):
                folder.rename(old / "replaced")
            try:
                draft.rename(folder)
                return
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    if (old / "replaced").exists():
                        (old / "replaced").rename(folder)
                    raise
                # Someone else was faster: theirs is the older one now.
                shutil.rmtree(old / "replaced", ignore_errors=True)
        raise OSError("others keep writing there")
    finally:
        shutil.rmtree(old, ignore_errors=True)
