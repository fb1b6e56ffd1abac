"""What a command does with memory that it is done with."""

from __future__ import annotations

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Of mallopt(3)."""
LARGEST = 1 << 30
"""Bytes of a block that is used again; much larger than any of a window of some minutes."""


def keep_freed_memory() -> None:
    """Have glibc use large freed blocks again; nothing where that is not the C library.

    By default it gives every block of over 32 MB back to the system, and a network that goes
    over long windows asks for the same ones again and again: each time the system has to fill
    them with zeros, page by page, which took a quarter of the time of a pass. Old versions
    refuse to change that.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(M_MMAP_THRESHOLD, LARGEST)
    mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)
