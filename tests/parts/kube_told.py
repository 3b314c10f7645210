"""What a Model's status said over time."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from parts.kube_client import Document, Kube, Refused


def line_of(model: Document) -> str:
    """A status in one line: phase, reason, progress, revision."""
    status = model.get("status", {})
    conditions = {entry["type"]: entry for entry in status.get("conditions", [])}
    ready = conditions.get("Ready", {})
    percent = status.get("download", {}).get("percent")
    parts = [status.get("phase", "-"), f"Ready={ready.get('status', '-')}/{ready.get('reason', '-')}"]
    if percent is not None:
        parts.append(f"{percent}%")
    parts.append(status.get("revision", "")[:8])
    return " ".join(part for part in parts if part)


@contextmanager
def told(kube: Kube, namespace: str, name: str) -> Iterator[list[str]]:
    """Lines `seconds: status`, one for each change, while the context lasts."""
    lines: list[str] = []
    over = threading.Event()
    began = time.monotonic()

    def look() -> None:
        last = ""
        while not over.wait(0.25):
            try:
                line = line_of(kube.get("Model", namespace, name))
            except Refused:
                continue
            if line != last:
                lines.append(f"{time.monotonic() - began:.1f}: {line}")
            last = line

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield lines
    finally:
        over.set()
        thread.join(timeout=35)
