"""How many threads a call may use: the one place where that is checked."""

from __future__ import annotations

import os

from bbpe.errors import shown

__all__ = ["MAX_THREADS", "processors", "thread_count"]

MAX_THREADS = 1024
"""More are a mistake, and would take all memory before they were of use."""


def processors() -> int:
    """The processors that this process may use, which a container or ``taskset`` may have made fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def thread_count(threads: int | None, error: type[ValueError] = ValueError) -> int:
    """The threads to use; None: one for each processor.

    Raises:
        TypeError: It is no integer (True and False are none).
        ValueError: It is out of range; as the child of it that ``error`` names.

    >>> thread_count(3)
    3
    """
    if threads is None:
        return processors()
    if type(threads) is not int:
        raise TypeError(f"threads is an integer or None, not {shown(threads)}")
    if not 1 <= threads <= MAX_THREADS:
        raise error(f"threads is {shown(threads)}; it is an integer from 1 to {MAX_THREADS:,}, or None")
    return threads
