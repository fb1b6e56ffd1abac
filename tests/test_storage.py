"""Files and folders appear whole, and what is not ours stays."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from xplain import audio
from xplain.errors import ArtifactError
from xplain.storage import only_writer, whole_folder, write_bytes, write_text

OURS = {"ours": r"record\.json|data\.bin", "record": "record.json"}

HANGS = """
import sys, time
from xplain.storage import only_writer, whole_folder, write_text
if sys.argv[2] == "file":
    class Slow(bytes): pass
    import pathlib
    write = pathlib.Path.write_bytes
    def slow(self, data):
        write(self, data); print("there", flush=True); time.sleep(60)
    pathlib.Path.write_bytes = slow
    write_text(sys.argv[1], "new")
elif sys.argv[2] == "lock":
    with only_writer(sys.argv[1]):
        print("there", flush=True); time.sleep(60)
elif sys.argv[2] == "swap":
    import pathlib
    rename = pathlib.Path.rename
    def slow(self, target):
        if self.name == "new":
            print("there", flush=True); time.sleep(60)
        return rename(self, target)
    pathlib.Path.rename = slow
    with whole_folder(sys.argv[1], ours=r"record\\.json", record="record.json") as draft:
        (draft / "record.json").write_text("new")
else:
    with whole_folder(sys.argv[1], ours=r"record\\.json", record="record.json") as draft:
        (draft / "record.json").write_text("new"); print("there", flush=True); time.sleep(60)
"""


def start(path, what):
    """A process that stops in the middle of its writing."""
    command = [sys.executable, "-c", HANGS, str(path), what]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "there\n"
    return process


def write(folder, text="{}"):
    with whole_folder(folder, **OURS) as draft:
        (draft / "record.json").write_text(text)


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


@pytest.fixture
def umask():
    before = os.umask(0o027)
    yield
    os.umask(before)


def test_modes_follow_the_umask(tmp_path, umask):
    write_text(tmp_path / "a.txt", "a")
    with whole_folder(tmp_path / "folder", **OURS) as draft:
        (draft / "record.json").write_text("{}")
        (draft / "data.bin").touch(mode=0o600)  # as safetensors writes its files
    modes = [
        oct((tmp_path / name).stat().st_mode & 0o777)
        for name in ("a.txt", "folder", "folder/record.json", "folder/data.bin")
    ]
    assert modes == ["0o640", "0o750", "0o640", "0o640"]


@pytest.mark.parametrize("foreign", ["notes.txt", ".hidden", "folder"])
def test_a_folder_that_holds_anything_else_is_refused_and_stays(tmp_path, foreign):
    place = tmp_path / "place"
    write(place, "old")
    (place / foreign).mkdir() if foreign == "folder" else (place / foreign).write_text("mine")
    with pytest.raises(ArtifactError, match=f"exists and holds {foreign}"):
        write(place, "new")
    assert names(place) == sorted([foreign, "record.json"])
    assert (place / "record.json").read_text() == "old"
    assert names(tmp_path) == ["place"]


def test_a_folder_without_its_record_is_not_ours(tmp_path):
    (tmp_path / "place").mkdir()
    (tmp_path / "place" / "data.bin").write_text("of another program")
    with pytest.raises(ArtifactError, match=r"has no record\.json"):
        write(tmp_path / "place")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ArtifactError, match=r"cannot be written: .*Not a directory"):
        write(tmp_path / "file")


def test_what_systems_leave_in_folders_is_kept_and_no_hindrance(tmp_path):
    write(tmp_path / "place", "old")
    droppings = [".DS_Store", "._record.json", "Thumbs.db", "desktop.ini"]
    for name in droppings:
        (tmp_path / "place" / name).write_text(name)
    write(tmp_path / "place", "new")
    assert names(tmp_path / "place") == sorted([*droppings, "record.json"])
    assert (tmp_path / "place" / "Thumbs.db").read_text() == "Thumbs.db"
    assert (tmp_path / "place" / "record.json").read_text() == "new"


def test_an_existing_folder_is_refused_where_it_is_not_to_be_replaced(tmp_path):
    write(tmp_path / "place", "old")
    with (
        pytest.raises(ArtifactError, match="exists; choose another"),
        whole_folder(tmp_path / "place", **OURS, overwrite=False),
    ):
        raise AssertionError
    (tmp_path / "empty").mkdir()
    with whole_folder(tmp_path / "empty", **OURS, overwrite=False) as draft:
        (draft / "record.json").write_text("new")
    assert names(tmp_path / "empty") == ["record.json"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, OSError, ValueError])
def test_a_failure_leaves_the_old_folder_and_nothing_else(tmp_path, error):
    write(tmp_path / "place", "old")
    expected = ArtifactError if error in (OSError, ValueError) else error
    for place in (tmp_path / "place", tmp_path / "new" / "below" / "place"):
        with pytest.raises(expected), whole_folder(place, **OURS) as draft:
            (draft / "record.json").write_text("half")
            raise error("in the middle")
    assert names(tmp_path) == ["place"]
    assert (tmp_path / "place" / "record.json").read_text() == "old"


def test_a_folder_behind_a_link_is_replaced_where_it_is(tmp_path):
    write(tmp_path / "real" / "place", "old")
    (tmp_path / "link").symlink_to(tmp_path / "real" / "place")
    write(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "place" / "record.json").read_text() == "new"


def test_a_pipe_is_written_to_and_not_replaced(tmp_path):
    reader, writer = os.pipe()
    write_bytes(f"/dev/fd/{writer}", b"through")
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        assert file.read() == b"through"


def test_names_of_any_length_that_a_file_system_takes(tmp_path):
    write_text(tmp_path / ("a" * 255), "long")
    write(tmp_path / ("b" * 255))
    with pytest.raises(ArtifactError, match="choose a shorter name"):
        write_text(tmp_path / ("a" * 256), "longer")


def test_the_advice_fits_the_cause(tmp_path, monkeypatch):
    (tmp_path / "closed").mkdir(mode=0o500)
    if os.access(tmp_path / "closed", os.W_OK):  # root may write anywhere
        pytest.skip("this user may write anywhere")
    with pytest.raises(ArtifactError, match="choose a place that you may write to"):
        write_text(tmp_path / "closed" / "a", "a")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no full device here")
def test_a_full_disk_is_said_to_be_full():
    with pytest.raises(ArtifactError, match="free some space"):
        write_text("/dev/full", "a" * 10**6)
    with pytest.raises(OSError) as told:
        audio.write(Path("/dev/full"), torch.zeros(10**5), 8000)
    assert told.value.errno == errno.ENOSPC


@pytest.mark.parametrize("what", ["file", "folder"])
def test_the_draft_of_a_killed_process_goes_when_the_next_one_writes(tmp_path, what):
    place = tmp_path / "place"
    process = start(place, what)
    assert len(names(tmp_path)) == 1 and not place.exists()
    # While it lives, its draft stays.
    subprocess.run(
        [sys.executable, "-c", f"from xplain.storage import *; write_text({str(place)!r}, 'a')"],
        check=True,
    )
    assert len(names(tmp_path)) == 2
    process.send_signal(signal.SIGKILL)
    process.wait()
    place.unlink()
    write(place)
    assert names(tmp_path) == ["place"]


def test_a_folder_in_which_another_process_writes_a_file_is_said_to_be_written(tmp_path):
    write(tmp_path / "place")
    process = start(tmp_path / "place" / "index.html", "file")
    with pytest.raises(ArtifactError, match="place is being written by another process; wait"):
        write(tmp_path / "place")
    process.send_signal(signal.SIGKILL)
    process.wait()
    (tmp_path / "place" / "index.html").unlink(missing_ok=True)
    write(tmp_path / "place", "new")  # what a killed one left is no hindrance
    assert names(tmp_path / "place") == ["record.json"]


def test_a_folder_moved_aside_by_a_killed_process_comes_back(tmp_path):
    write(tmp_path / "place", "old")
    process = start(tmp_path / "place", "swap")
    assert not (tmp_path / "place").exists()
    process.send_signal(signal.SIGKILL)
    process.wait()
    # In another process, since this one has looked already.
    code = f"from xplain.storage import *; write_text({str(tmp_path / 'other')!r}, 'a')"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert names(tmp_path) == ["other", "place"]
    assert (tmp_path / "place" / "record.json").read_text() == "old"


def test_only_one_process_writes_in_a_folder(tmp_path):
    process = start(tmp_path / "journal", "lock")
    with (
        pytest.raises(ArtifactError, match="is being written by another process"),
        only_writer(tmp_path / "journal"),
    ):
        raise AssertionError
    process.send_signal(signal.SIGKILL)
    process.wait()
    with only_writer(tmp_path / "journal"):
        pass
    assert names(tmp_path / "journal") == []


def test_many_who_write_the_same_folder_leave_one_that_is_whole(tmp_path):
    # Each looks for drafts left behind before each writing, as many processes that start would.
    code = (
        "import sys; from xplain.storage import _remove_stale, whole_folder\n"
        "for _ in range(300):\n"
        " _remove_stale.cache_clear()\n"
        " with whole_folder(sys.argv[1], ours=r'record\\.json|a|b', record='record.json') as d:\n"
        "  [(d / n).write_text(sys.argv[2]) for n in ('record.json', 'a', 'b')]"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "place")]
    processes = [subprocess.Popen([*command, str(n)]) for n in range(3)]
    seen = set()
    while any(p.poll() is None for p in processes):
        time.sleep(0.02)
        seen |= set(names(tmp_path))
    assert [p.returncode for p in processes] == [0, 0, 0]
    assert names(tmp_path) == ["place"]
    texts = {(tmp_path / "place" / name).read_text() for name in ("record.json", "a", "b")}
    assert len(texts) == 1
