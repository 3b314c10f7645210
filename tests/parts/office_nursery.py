"""Imports the office service once and forks it on demand: the same `main()`, without seconds of imports per start.

Reads one JSON object (environment, log file) per line, answers with the pid of a new process; at the end of its input
it kills what is left and ends.
"""

import json
import os
import signal
import sys

from chatbot import office


def run(wanted: dict[str, str], log: str) -> None:
    """In the child: be `chatbot-office` with this environment."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(output, stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.update(wanted)
    sys.argv = ["chatbot-office"]
    try:
        office.main()
    finally:
        sys.stdout.flush()
        os._exit(1)


def main() -> None:
    """Fork until the input ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries the children
    children = []
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            run(order["environment"], order["log"])
        children.append(pid)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()
    for pid in children:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


if __name__ == "__main__":
    main()
