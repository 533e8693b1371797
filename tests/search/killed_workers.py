"""Worker processes that are killed without warning while the main process, the test's own, goes on."""

import os
import signal
import threading
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import active_children


@contextmanager
def one_worker_killed(when: Callable[[], object]) -> Iterator[None]:
    """Kill one of this process's children as soon as ``when`` returns something; fail if it never does in the block."""
    over, killed = threading.Event(), list[int]()

    def kill() -> None:
        while not over.wait(0.02):
            children = active_children() if when() else []
            if children:
                killed.append(int(children[0].pid or 0))
                os.kill(killed[0], signal.SIGKILL)
                return

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        yield
    finally:
        over.set()
        killer.join()
    assert killed, "no worker was there to be killed"
