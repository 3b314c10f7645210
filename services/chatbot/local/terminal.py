"""What a person at a terminal sees: lines, and a bar for what takes longer than two seconds."""

import time
from collections.abc import Callable
from typing import TextIO

_QUIET_SECONDS = 2.0
_REDRAW_SECONDS = 0.1
_LINE_SECONDS = 5.0
_WIDTH = 32


class Terminal:
    """Writes to one stream; in a pipe or a file a bar becomes a line every few seconds."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._is_live = stream.isatty()

    def say(self, text: str = "") -> None:
        """One or more lines."""
        self._write(text + "\n")

    def bar(self, title: str) -> "Bar":
        """A bar that appears once it was worth it."""
        return Bar(self._write, title, is_live=self._is_live, clock=self._clock)

    def _write(self, text: str) -> None:
        encoding = self._stream.encoding or "utf-8"
        self._stream.write(text.encode(encoding, "replace").decode(encoding))
        self._stream.flush()


class Bar:
    """How far something is. Says nothing in the first two seconds."""

    def __init__(self, write: Callable[[str], None], title: str, *, is_live: bool, clock: Callable[[], float]) -> None:
        self._write = write
        self._title = title
        self._is_live = is_live
        self._clock = clock
        self._began = clock()
        self._drawn_at: float | None = None
        self._length = 0

    def show(self, fraction: float | None, detail: str = "") -> None:
        """Draw, if it is time to.

        Args:
            fraction: 0-1, None where nobody knows.
            detail: Beside the bar: bytes, speed.
        """
        now = self._clock()
        pause_seconds = _REDRAW_SECONDS if self._is_live else _LINE_SECONDS
        if now - self._began < _QUIET_SECONDS or (self._drawn_at is not None and now - self._drawn_at < pause_seconds):
            return
        self._drawn_at = now
        line = f"  {self._title}  {_drawn(fraction)}  {detail}".rstrip()
        if self._is_live:
            self._write("\r" + line.ljust(self._length))
            self._length = len(line)
        else:
            self._write(line + "\n")

    def end(self) -> None:
        """Take the bar away; what came of it is said by others."""
        if self._is_live and self._drawn_at is not None:
            self._write("\r" + " " * self._length + "\r")


def _drawn(fraction: float | None) -> str:
    if fraction is None:
        return "…"
    share = min(1.0, max(0.0, fraction))
    full = int(share * _WIDTH)
    return "█" * full + "░" * (_WIDTH - full) + f" {share:4.0%}"


def size(size_bytes: float) -> str:
    """Bytes for people: `4.7 MiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size_bytes < 1024 or unit == "GiB":
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1024
    raise AssertionError
