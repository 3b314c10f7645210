"""Progress for whoever looks: JSON lines for the operator, a bar for a person at a terminal."""

import json
import sys
import time
from typing import Protocol, TextIO

_EVERY_SECONDS = 2.0
_BAR_WIDTH = 30


class Progress(Protocol):
    """Told after every chunk; decides itself how often it speaks."""

    def update(self, done_bytes: int, total_bytes: int | None, attempt: int) -> None:
        """So many bytes are on the volume."""

    def interrupted(self, reason: str, message: str) -> None:
        """The source failed in a way that will be tried again."""

    def finish(self) -> None:
        """The last word."""


class _Rate:
    """Bytes per second since the first call, kept parts of earlier runs not counted."""

    def __init__(self) -> None:
        self._start: tuple[float, int] | None = None

    def update(self, done_bytes: int) -> float:
        now = time.monotonic()
        if self._start is None or done_bytes < self._start[1]:
            self._start = (now, done_bytes)
        elapsed = now - self._start[0]
        return (done_bytes - self._start[1]) / elapsed if elapsed > 0 else 0.0


class JsonLines:
    """One object per line, at most every two seconds: the fields of `status.download`."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._rate = _Rate()
        self._spoke = float("-inf")
        self._last: dict[str, object] = {}

    def update(self, done_bytes: int, total_bytes: int | None, attempt: int) -> None:
        """Remember, and write where two seconds have passed."""
        rate = self._rate.update(done_bytes)
        missing = (total_bytes or done_bytes) - done_bytes
        self._last = {
            "bytesDone": done_bytes,
            "bytesTotal": total_bytes,
            "bytesPerSecond": round(rate),
            "etaSeconds": round(missing / rate) if rate and total_bytes else None,
            "attempt": attempt,
        }
        if time.monotonic() - self._spoke >= _EVERY_SECONDS:
            self._write()

    def interrupted(self, reason: str, message: str) -> None:
        """Write it at once: many tries may follow, and somebody waits. The next progress takes its place."""
        self._last = {**self._last, "bytesPerSecond": 0, "etaSeconds": None, "reason": reason, "message": message}
        self._write()

    def finish(self) -> None:
        """Write the last state."""
        if self._last:
            self._write()

    def _write(self) -> None:
        self._spoke = time.monotonic()
        self._stream.write(json.dumps(self._last) + "\n")
        self._stream.flush()


class Bar:
    """A line that redraws itself."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._rate = _Rate()
        self._drawn = float("-inf")

    def update(self, done_bytes: int, total_bytes: int | None, attempt: int) -> None:
        """Redraw, at most ten times a second and always at the end."""
        rate = self._rate.update(done_bytes)
        if time.monotonic() - self._drawn < 0.1 and done_bytes != total_bytes:
            return
        self._drawn = time.monotonic()
        share = done_bytes / total_bytes if total_bytes else 0.0
        filled = "#" * int(share * _BAR_WIDTH)
        total = f"/{total_bytes / 2**30:.2f}" if total_bytes else ""
        self._stream.write(
            f"\r[{filled:<{_BAR_WIDTH}}] {share:6.1%} {done_bytes / 2**30:.2f}{total} GiB {rate / 2**20:6.1f} MiB/s"
        )
        self._stream.flush()

    def interrupted(self, reason: str, message: str) -> None:
        """Say it on a line of its own."""
        self._stream.write(f"\n{reason}: {message} It is tried again.\n")
        self._stream.flush()

    def finish(self) -> None:
        """End the line."""
        self._stream.write("\n")


def for_stream(stream: TextIO = sys.stdout) -> Progress:
    """A bar where a person looks, JSON lines where a program reads."""
    return Bar(stream) if stream.isatty() else JsonLines(stream)
