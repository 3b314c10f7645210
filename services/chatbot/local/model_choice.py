"""Which model file one machine serves: a path, a URL that is brought here first, or the demo model."""

import os
import re
import time
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import chatbot
from chatbot.adapters.model_download import DownloadFailed, Phase, Progress, download, sha256_of
from chatbot.llm.supervision.model_file import fault_at_a_glance
from chatbot.local.terminal import Terminal, size

DEMO_FILE = "chatbot-demo.gguf"
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


class NoModel(Exception):
    """There is no file to serve. The message is for a person and names the remedy."""


def choose(given: str, sha256: str, terminal: Terminal) -> Path:
    """The file to serve; a URL is downloaded first, a sum that was given is checked. Blocks.

    Args:
        given: A path, an http(s) URL, or "" for the demo model.
        sha256: Expected sum, "" for none.
        terminal: Shows progress.

    Raises:
        NoModel: It is not there, not readable, no GGUF, or has another sum.
    """
    if sha256 and not _SHA256.fullmatch(sha256):
        raise NoModel("--sha256 must be 64 hex characters")
    if re.match(r"https?://", given, re.IGNORECASE):
        return _downloaded(given, sha256, terminal)
    path = Path(given).expanduser() if given else demo_model()
    fault = fault_at_a_glance(path)
    if fault is not None:
        raise NoModel(fault.message)
    if sha256 and (actual := _sum(path, terminal)) != sha256.lower():
        raise NoModel(f"{path} has the sha256 {actual}, not the one that was given: download it again")
    return path


def demo_model() -> Path:
    """The model that ships with the project: in a checkout beside the package, in a wheel inside it.

    Raises:
        NoModel: This installation has none.
    """
    shipped = Path(str(resources.files(chatbot))) / "demo" / DEMO_FILE
    beside = Path(str(resources.files(chatbot))).parent / "demo-model" / DEMO_FILE
    for path in (beside, shipped):
        if path.is_file():
            return path
    raise NoModel("this installation has no demo model: give one with --model PATH or --model URL")


def cache_folder() -> Path:
    """Where downloads are kept (XDG base directories)."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "chatbot" / "models"


def _downloaded(url: str, sha256: str, terminal: Terminal) -> Path:
    bars = _Bars(terminal)
    try:
        return download(url, cache_folder(), sha256=sha256, on_progress=bars.show)
    except DownloadFailed as exc:
        raise NoModel(f"the model could not be downloaded: {exc}") from exc
    finally:
        bars.end()


def _sum(path: Path, terminal: Terminal) -> str:
    bars = _Bars(terminal)
    try:
        return sha256_of(path, bars.show)
    except OSError as exc:
        raise NoModel(f"{path} cannot be read ({exc.strerror})") from exc
    finally:
        bars.end()


class _Bars:
    """A bar for each phase, with speed and time left."""

    def __init__(self, terminal: Terminal, clock: Callable[[], float] = time.monotonic) -> None:
        self._bars = {
            Phase.DOWNLOAD: terminal.bar("Downloading the model"),
            Phase.VERIFY: terminal.bar("Checking its sha256"),
        }
        self._clock = clock
        self._begun: dict[Phase, tuple[float, int]] = {}

    def show(self, progress: Progress) -> None:
        began, from_bytes = self._begun.setdefault(progress.phase, (self._clock(), progress.done_bytes))
        speed = (progress.done_bytes - from_bytes) / max(0.001, self._clock() - began)
        total = progress.total_bytes
        detail = f"{size(progress.done_bytes)}{f' of {size(total)}' if total else ''}, {size(speed)}/s"
        if total and speed > 0:
            detail += f", {(total - progress.done_bytes) / speed:.0f} s left"
        self._bars[progress.phase].show(progress.done_bytes / total if total else None, progress.trouble or detail)

    def end(self) -> None:
        for bar in self._bars.values():
            bar.end()
