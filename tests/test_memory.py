"""A command's process uses the memory it is done with again."""

from __future__ import annotations

import ctypes
import platform
import subprocess
import sys

import pytest

from xplain.cli.segment import LARGEST, M_MMAP_THRESHOLD

FAULTS = """
import resource
import numpy as np
from xplain.cli.segment import keep_freed_memory
if {kept}:
    keep_freed_memory()
def filled():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(16_000_000)  # 128 MB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
filled()
print(filled())
"""


def refused() -> bool:
    """Whether it is another C library, or a glibc that keeps to its 32 MB."""
    if platform.libc_ver()[0] != "glibc":
        return True
    return not ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGEST)


@pytest.mark.skipif(refused(), reason="this C library has its own ways")
def test_a_large_block_is_filled_with_pages_once() -> None:
    def second(kept: bool) -> int:
        script = FAULTS.format(kept=kept)
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
        return int(done.stdout)

    assert second(kept=False) > 10 * (second(kept=True) + 1)
