"""A model's file as the API process sees it: where it is, whether it changed, its sum. Never its tensors."""

import hashlib
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from chatbot.domain.model import ModelReason

GGUF_MAGIC = b"GGUF"
_CHUNK_BYTES = 1 << 20

Signature = tuple[int, int, int]
"""Device-independent identity of what lies at a path: inode, size, time of change in ns."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A file that should be served.

    Attributes:
        revision: First 16 hex of the content's sha256; "" while it is not known.
        sha256: 64 hex, "" while it is not known.
    """

    path: Path
    revision: str = ""
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a file is not served. `message` is one sentence with the remedy."""

    reason: ModelReason
    message: str


def signature_of(path: Path) -> Signature | None:
    """What lies at `path` now, or None where nothing can be read. Blocks on the disk."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def size_of(path: Path) -> int:
    """Size in bytes; 0 where there is no file."""
    signature = signature_of(path)
    return 0 if signature is None else signature[1]


def fault_at_a_glance(path: Path) -> Fault | None:
    """What can be told without loading: missing, unreadable, or no GGUF. Blocks on the disk."""
    try:
        with path.open("rb") as file:
            magic = file.read(len(GGUF_MAGIC))
    except FileNotFoundError:
        return Fault(ModelReason.MODEL_MISSING, f"There is no file {path}: put the model there or name another file.")
    except OSError as exc:
        return Fault(ModelReason.MODEL_MISSING, f"{path} cannot be read ({exc.strerror}): check the mount and rights.")
    if magic != GGUF_MAGIC:
        return Fault(ModelReason.MODEL_INVALID, f"{path} is not a GGUF file: download the model again.")
    return None


def sha256_of(
    path: Path, *, progress: Callable[[int, int], None] | None = None, stop: threading.Event | None = None
) -> str:
    """Sum of a file's content. Blocks on the disk.

    Args:
        path: The file.
        progress: Called with bytes read and bytes in all, after each MiB.
        stop: Ends the reading early.

    Returns:
        64 hex characters; "" where it was stopped or the file cannot be read.
    """
    total, done, digest = size_of(path), 0, hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                if stop is not None and stop.is_set():
                    return ""
                digest.update(chunk)
                done += len(chunk)
                if progress is not None:
                    progress(done, total)
    except OSError:
        return ""
    return digest.hexdigest()


def published_sha256(path: Path, revision: str) -> str:
    """The sum that `revision.json` beside the file tells, "" where it tells none that fits. Blocks on the disk."""
    try:
        told = json.loads((path.parent / "revision.json").read_text("utf-8"))
        sha256 = told["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return sha256 if isinstance(sha256, str) and len(sha256) == 64 and sha256.startswith(revision) else ""
