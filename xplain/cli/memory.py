"""What a command's own process does with memory that it is done with."""

from __future__ import annotations

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Of mallopt(3)."""


def keep_freed_memory() -> None:
    """Have glibc use freed blocks of any size again; nothing where that is not the C library.

    By default it gives every block of over 32 MB back to the system, and a network that goes
    over long windows asks for the same ones again and again: each time the system has to fill
    them with zeros, page by page, which took a quarter of the time of a pass.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(M_MMAP_THRESHOLD, 1 << 30)
    mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)
