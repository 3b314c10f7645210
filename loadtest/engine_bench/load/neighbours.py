"""Others on the machine: processes that compute all the time, as pods of other teams on the same node may."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def neighbours(count: int) -> Iterator[None]:
    """So many, until the context ends; each ends by itself where this process dies."""
    began: list[subprocess.Popen[bytes]] = []
    try:
        for _ in range(count):
            began.append(subprocess.Popen((sys.executable, "-c", _BUSY), stdin=subprocess.PIPE))  # noqa: S603
        yield
    finally:
        for process in began:
            process.kill()
            process.wait()


_BUSY = """
import os, sys, threading
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
while True:
    pass
"""
