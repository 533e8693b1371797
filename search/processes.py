"""What worker processes of ours have in common."""

import ctypes
import gc
import os
import sys
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import active_children
from multiprocessing import parent_process
from multiprocessing.process import BaseProcess


def end_with_parent() -> None:
    """Wait for the parent process to end, and end this one at once: leave no worker behind when it is killed."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def end_at_once(pool: ProcessPoolExecutor, others: Iterable[BaseProcess]) -> None:
    """End a pool's processes without waiting for what they are at.

    Args:
        pool: The pool.
        others: Children that this process had before it.
    """
    pool.shutdown(wait=False, cancel_futures=True)
    for child in set(active_children()) - set(others):
        child.terminate()


def give_memory_back() -> None:
    """Return freed memory to the system.

    The C library of Linux keeps what it may need again: a process that carries out one search after the other grew by
    some 200 MB a search on CIFAR-10, of which all but 5 MB were free.
    """
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # not every C library has it
        if trim is not None:
            trim(0)
