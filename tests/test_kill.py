"""Commands that are killed, started twice or cannot write; `make kill` tries them at 20 moments."""

from __future__ import annotations

import contextlib
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import kill
import pytest

from xplain.cli.main import main

pytest.importorskip("xplain_zoo")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    kill.write_clips(folder)
    return folder


def test_a_killed_command_starts_again_to_the_same_files(clips: Path, tmp_path: Path) -> None:
    pytest.importorskip("xplain_nmf")
    call = kill.calls(clips)["nmf scenes"]
    undisturbed = tmp_path / "undisturbed" / "out"
    undisturbed.parent.mkdir()
    seconds = kill.finish(call, undisturbed)
    for share in (0.6, 0.9):
        out = tmp_path / f"{share}" / "out"
        kill.kill("nmf scenes", call, out, share * seconds, undisturbed)


def test_two_processes_on_one_folder_never_mix(clips: Path, tmp_path: Path) -> None:
    call = ["explain", str(clips / "speech0.wav"), "--model", "zoo:digits"]
    undisturbed = tmp_path / "undisturbed" / "out"
    undisturbed.parent.mkdir()
    kill.finish(call, undisturbed)
    kill.two_at_once(call, tmp_path / "two" / "out", undisturbed)


@contextlib.contextmanager
def no_file_over(size: int) -> Iterator[None]:
    """Have the system take no file of more bytes in this process, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("name", ["fit", "nmf scenes", "benchmark"])
def test_a_disk_that_takes_no_more_is_said_in_one_line_with_status_1(
    name: str,
    clips: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "place" / "out"
    monkeypatch.setattr(sys, "argv", ["xplain", *kill.calls(clips)[name], "--out", str(out)])
    monkeypatch.chdir(tmp_path)
    with no_file_over(256), pytest.raises(SystemExit) as ended:
        main()
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert ended.value.code == 1 and "cannot be written: [Errno 27]" in line
    assert not kill.hidden(tmp_path)
    # A journal is read as far as it is whole.
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} <= {"journal.jsonl"}
