"""Files and folders that appear whole: written in a draft beside their place, and renamed.

A draft is a hidden folder that the process that writes in it keeps locked. One that nobody locks
was left by a process that was killed; the next process that writes beside it removes it.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from xplain.errors import ArtifactError

try:
    import fcntl
except ImportError:  # Windows has none; nothing is locked there, and no draft of others removed
    fcntl = None  # type: ignore[assignment]

DRAFT = re.compile(r"\.xplain-[0-9a-f]{16}\.draft")
WRITTEN = "is being written by another process; wait for it, or choose another place"
DROPPINGS = re.compile(r"\.DS_Store|Thumbs\.db|desktop\.ini|\._.+", re.IGNORECASE)
"""What operating systems leave in any folder; it is kept, and never stands in the way."""
SWAPS = 20
"""How often a folder makes way for others who write in the same place."""
ADVICE = {
    errno.ENOSPC: "free some space on the disk",
    errno.EDQUOT: "free some space, the quota is used up",
    errno.EFBIG: "the file system takes no files that large; choose another",
    errno.EROFS: "choose a place that can be written",
    errno.EACCES: "choose a place that you may write to",
    errno.EPERM: "choose a place that you may write to",
    errno.ENAMETOOLONG: "choose a shorter name",
}

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def write_text(path: str | Path, text: str) -> None:
    """Write a file in UTF-8; ArtifactError where that is not possible."""
    # A name may hold bytes that are no text; they are shown, not refused.
    write_bytes(path, text.encode("utf-8", errors="backslashreplace"))


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write a file; ArtifactError where that is not possible."""
    with _reported(Path(path)):
        if os.path.exists(path) and not os.path.isfile(path):
            with open(path, "wb") as file:  # a pipe or a device; a folder cannot be opened
                file.write(data)
            return
        place = Path(os.path.realpath(path))
        with _draft(place.parent) as draft:
            (draft / "new").write_bytes(data)
            (draft / "new").replace(place)


@contextlib.contextmanager
def whole_folder(
    path: str | Path, *, ours: str, record: str, overwrite: bool = True
) -> Iterator[Path]:
    """Give a draft to write in, which becomes the folder ``path`` when the block ends.

    ours, record, overwrite: see check_replaceable. Where the block raises, nothing is left and
    an older folder stays. OSError, ValueError and TypeError (what JSON cannot hold) become
    ArtifactError.
    """
    check_replaceable(path, ours=ours, record=record, overwrite=overwrite)
    place = Path(os.path.realpath(path))
    with _reported(Path(path)), _draft(place.parent) as draft:
        new = draft / "new"
        new.mkdir()
        yield new
        # Some libraries write files that nobody else can read.
        mode = new.stat().st_mode & 0o666
        for file in new.rglob("*"):
            if file.is_file():
                file.chmod(mode)
        check_replaceable(path, ours=ours, record=record, overwrite=overwrite)
        _swap(new, place, draft / "old")


def check_replaceable(path: str | Path, *, ours: str, record: str, overwrite: bool = True) -> None:
    """Refuse a place that holds anything but a folder as we write it; ArtifactError.

    ours: a pattern of the names that such a folder holds. record: the name of the one without
    which it is somebody else's. overwrite: whether such a folder may be replaced at all.
    """
    place = Path(path)
    try:
        if any(map(DRAFT.fullmatch, _listed(place))):
            _remove_stale.__wrapped__(place)  # once more: they may be dead by now
        names = [name for name in _listed(place) if not DROPPINGS.fullmatch(name)]
    except FileNotFoundError:
        return
    except OSError as error:
        raise ArtifactError(f"{place} cannot be written: {error}; choose another place") from error
    if any(map(DRAFT.fullmatch, names)):
        raise ArtifactError(f"{place} {WRITTEN}")
    others = sorted(name for name in names if not re.fullmatch(ours, name))
    if others or (names and record not in names):
        held = f"holds {others[0]}" if others else f"has no {record}"
        raise ArtifactError(
            f"{place} exists and {held}, so it would not be replaced; choose another folder"
        )
    if names and not overwrite:
        raise ArtifactError(f"{place} exists; choose another folder")


def _listed(folder: Path) -> list[str]:
    """Names in a folder; once more where another took its place while it was being removed."""
    while True:
        before, names = folder.stat(), os.listdir(folder)
        if os.path.samestat(before, folder.stat()):
            return names


@contextlib.contextmanager
def only_writer(path: str | Path) -> Iterator[None]:
    """Make a folder if need be and keep other processes from writing in it.

    Raises ArtifactError where another process is writing in it.
    """
    folder = Path(path)
    handle = None
    with _reported(folder):
        try:
            handle = _hold(folder, wait=False)
        except BlockingIOError as error:
            raise ArtifactError(f"{folder} {WRITTEN}") from error
    try:
        yield
    finally:
        if handle is not None:
            os.close(handle)


@contextlib.contextmanager
def _reported(path: Path) -> Iterator[None]:
    """Turn what prevents writing into ArtifactError, with advice that fits the cause."""
    try:
        yield
    except (OSError, ValueError, TypeError) as error:
        number = error.errno if isinstance(error, OSError) else None
        advice = ADVICE.get(number or 0, "")
        raise ArtifactError(
            f"{path} cannot be written: {error}{advice and f'; {advice}'}"
        ) from error


@contextlib.contextmanager
def _draft(parent: Path) -> Iterator[Path]:
    """Make a folder for what is not whole yet; it is removed, and new parents after a failure."""
    absent = [folder for folder in (parent, *parent.parents) if not folder.exists()]
    handle = draft = None
    try:
        parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(parent)
        draft = parent / f".xplain-{secrets.token_hex(8)}.draft"
        handle = _hold(draft, wait=True)
        yield draft
    except BaseException:
        if draft is not None:
            shutil.rmtree(draft, ignore_errors=True)
        for folder in absent:
            with contextlib.suppress(OSError):
                folder.rmdir()  # others may have put something there
        raise
    finally:
        if draft is not None:
            shutil.rmtree(draft, ignore_errors=True)
        if handle is not None:
            os.close(handle)


def _swap(new: Path, place: Path, aside: Path) -> None:
    """Put a finished folder in place of an older one, which keeps only what systems left in it."""
    aside.mkdir()
    old = aside / place.name
    try:
        for _ in range(SWAPS):
            with contextlib.suppress(FileNotFoundError):
                place.rename(old)
                for name in filter(DROPPINGS.fullmatch, os.listdir(old)):
                    (old / name).replace(new / name)
            try:
                new.rename(place)
                return
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                # Someone else was faster: theirs is the older one now.
                shutil.rmtree(old, ignore_errors=True)
        raise OSError("others keep writing there")
    except BaseException:
        if old.exists() and not place.exists():
            old.rename(place)
        raise


@functools.lru_cache(maxsize=64)
def _remove_stale(parent: Path) -> None:
    """Remove the drafts of killed processes; looked for once by a process."""
    for draft in [entry for entry in parent.iterdir() if DRAFT.fullmatch(entry.name)]:
        with contextlib.suppress(OSError):  # held by a process that lives, or not ours to remove
            handle = _hold(draft, wait=False)
            if handle is None:
                continue
            for old in (draft / "old").glob("*"):
                if not (parent / old.name).exists():  # killed between the two renamings
                    old.rename(parent / old.name)
            shutil.rmtree(draft)
            os.close(handle)


def _hold(folder: Path, *, wait: bool) -> int | None:
    """Make a folder and lock it while the handle is open; None where there are no locks.

    Raises BlockingIOError where another process has it and ``wait`` is not set.
    """
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        if fcntl is None:
            return None
        try:
            handle = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:  # a new one that nobody locks yet looks like one left behind
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            os.close(handle)
            raise
        except OSError:  # a file system without locks
            os.close(handle)
            return None
        # Whoever had it may have removed it meanwhile.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), folder.stat()):
                return handle
        os.close(handle)
