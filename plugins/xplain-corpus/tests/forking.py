"""Work in processes that are forked from the tests', and so have imported everything."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable


def forked(work: Callable[[], object]) -> int:
    """Do work in a process forked from this one, which has imported everything; its status."""
    pid = start_forked(work)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def start_forked(work: Callable[[], object]) -> int:
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        work()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)
