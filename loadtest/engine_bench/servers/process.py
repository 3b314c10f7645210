"""One server process: started, ready, measured, ended. Its children count as it.

CPU time and memory come from /proc (proc(5)); a server is the process that was started and its descendants.
"""

import asyncio
import ctypes
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from engine_bench.load.client import Question, ask

READY_SECONDS: Final = 300.0
_PR_SET_PDEATHSIG: Final = 1
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAUSE_SECONDS: Final = 0.05
_LAST_BYTES: Final = 2000
_READY_SECONDS_ONE_TRY: Final = 30.0


class ServerFailed(Exception):
    """It ended, or was not ready in time; has the end of its log."""


@dataclass(frozen=True, slots=True)
class Command:
    """How to start it. `{port}`, `{other_port}` and `{folder}` are filled in, in words, environment and config.

    Attributes:
        config: Content of `{folder}/config.json`; "" for none.
        tells_counts: Whether its streams end with token counts, as was asked for.
    """

    words: tuple[str, ...]
    environment: Mapping[str, str]
    config: str = ""
    tells_counts: bool = True

    def filled(self, port: int, other_port: int, folder: Path) -> "Command":
        """With everything filled in."""

        def fill(text: str) -> str:
            for name, value in (("port", port), ("other_port", other_port), ("folder", folder)):
                text = text.replace(f'"{{{name}}}"', str(value) if name != "folder" else f'"{value}"')
                text = text.replace(f"{{{name}}}", str(value))
            return text

        environment = {name: fill(value) for name, value in self.environment.items()}
        words = tuple(fill(word) for word in self.words)
        return replace(self, words=words, environment=environment, config=fill(self.config))

    def __str__(self) -> str:
        """As one would type it."""
        shown = [
            f"{name}={value}" for name, value in self.environment.items() if name.startswith(("CHATBOT_", "GOMP_"))
        ]
        return " ".join([*shown, *self.words])


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds so far and the most memory that was resident, bytes (a shared page counts for each process)."""

    cpu_seconds: float
    peak_bytes: int


class Server:
    """A running server; `with` ends it."""

    def __init__(self, command: Command) -> None:
        """Start it on a free port of the loopback interface."""
        self._folder = tempfile.TemporaryDirectory(prefix="engine-bench-")
        folder = Path(self._folder.name)
        self.port, self.other_port = _free_ports(2)
        self.command = command.filled(self.port, self.other_port, folder)
        if self.command.config:
            (folder / "config.json").write_text(self.command.config)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("CHATBOT_")}
        self._log = folder / "log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - words of `contestants`
                self.command.words,
                env={**inherited, **self.command.environment},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for us; we end it
                preexec_fn=_die_with_parent,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    async def ready(self, seconds: float = READY_SECONDS) -> None:
        """Wait until it gives a real answer of one token.

        Raises:
            ServerFailed: It ended or gives none in time.
        """
        deadline = time.monotonic() + seconds
        question = Question("ready", "ready", "ready", ({"role": "user", "content": "000"},), 1)
        while True:
            exchange = await ask(self.port, question, _READY_SECONDS_ONE_TRY)
            if not self.command.tells_counts:
                exchange.believe()
            if exchange.fault() is None:
                return
            if self._process.poll() is not None:
                raise ServerFailed(f"ended with {self._process.returncode}: {self.last_words()}")
            if time.monotonic() > deadline:
                raise ServerFailed(f"not ready, {exchange.fault()}: {self.last_words()}")
            await asyncio.sleep(_PAUSE_SECONDS)

    def usage(self) -> Usage:
        """CPU and memory of the whole tree."""
        cpu, peak = 0.0, 0
        for folder in _tree(self._process.pid):
            try:
                times = (folder / "stat").read_text().rpartition(")")[2].split()
                status = (folder / "status").read_text().split()
            except OSError:
                continue  # it ended in this moment
            cpu += sum(int(ticks) for ticks in times[11:13]) / _TICKS
            peak += int(status[status.index("VmHWM:") + 1]) * 1024 if "VmHWM:" in status else 0
        return Usage(cpu, peak)

    def thread_seconds(self) -> dict[tuple[int, int], float]:
        """CPU seconds of each thread, by process and thread id."""
        found = {}
        for folder in _tree(self._process.pid):
            for task in (folder / "task").iterdir():
                times = (task / "stat").read_text().rpartition(")")[2].split()
                found[int(folder.name), int(task.name)] = sum(int(ticks) for ticks in times[11:13]) / _TICKS
        return found

    def last_words(self) -> str:
        """The end of its log."""
        return self._log.read_bytes()[-_LAST_BYTES:].decode("utf-8", "replace").strip()

    def end(self) -> None:
        """End all of it, at once: nothing of it is needed any more."""
        for pid in [int(folder.name) for folder in _tree(self._process.pid)]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self._process.wait()
        self._folder.cleanup()


def _die_with_parent() -> None:
    """Whatever kills the bench, also without a word, no server is left behind (prctl(2))."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _tree(root: int) -> list[Path]:
    """Folders in /proc of a process and its descendants."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue  # it ended in this moment
    found = [root]
    for pid in found:  # grows while it is walked
        found += [child for child, parent in parents.items() if parent == pid]
    return [Path("/proc") / str(pid) for pid in found]


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
