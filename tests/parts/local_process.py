"""`chatbot-local` as a process of its own, the way a user starts it."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

START_SECONDS = 120.0  # a busy machine; alone it takes three
_READY = re.compile(r"^Ready: (http://\S+)$", re.MULTILINE)
_INTERNAL = re.compile(r"^\s+model state\s+(http://\S+)/model$", re.MULTILINE)


def environment(folder: Path, **variables: str) -> dict[str, str]:
    """No setting of whoever runs the tests; caches in `folder`."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("CHATBOT_", "XDG_"))}
    return {**inherited, "XDG_CACHE_HOME": str(folder / "cache"), "PYTHONWARNINGS": "error", **variables}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "from chatbot.local import main; main()", *arguments]


def run_to_the_end(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run it where it ends by itself; free ports unless the arguments name some."""
    given = arguments if "--port" in arguments else ("--port", "0", *arguments)
    return subprocess.run(
        command("--metrics-port", "0", *given),
        cwd=folder,
        env=environment(folder, **variables),
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )


@dataclass
class LocalProcess:
    """A running one.

    Attributes:
        gateway: `http://host:port`.
        internal: Of metrics and model state.
    """

    process: subprocess.Popen[bytes]
    output: Path
    gateway: str
    internal: str

    def said(self) -> str:
        return self.output.read_text()

    def interrupt(self) -> int:
        """Ctrl-C; its exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(START_SECONDS)


@contextmanager
def local_process(folder: Path, *arguments: str, **variables: str) -> Iterator[LocalProcess]:
    """Start it and wait until it says that it is ready; it is gone afterwards."""
    output = folder / "output.txt"
    with output.open("wb") as stream:
        process = subprocess.Popen(
            command("--port", "0", "--metrics-port", "0", *arguments),
            cwd=folder,
            env=environment(folder, **variables),
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    try:
        gateway = _wait_for(process, output, _READY)
        yield LocalProcess(process, output, gateway, _wait_for(process, output, _INTERNAL))
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(START_SECONDS)


def _wait_for(process: subprocess.Popen[bytes], output: Path, pattern: re.Pattern[str]) -> str:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if found := pattern.search(output.read_text()):
            return found[1]
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise AssertionError(f"chatbot-local did not start:\n{output.read_text()}")
