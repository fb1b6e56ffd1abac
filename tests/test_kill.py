"""Commands that are killed, or started twice; `make kill` tries every command at 20 moments."""

from __future__ import annotations

from pathlib import Path

import kill
import pytest

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
