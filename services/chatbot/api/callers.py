"""Who calls: API keys from a mounted file, and the tenant that a key stands for.

The file has lines `name:sha256-hex of the key[:expires]`; `#` starts a comment; `expires` is an ISO 8601 date or time
(UTC where it names no zone). It is read again when it changes, so a mounted Secret needs no restart.
"""

import hashlib
import hmac
import logging
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

from chatbot.domain.errors import Unauthorized

_LOG = logging.getLogger(__name__)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DIGEST = re.compile(r"[0-9a-fA-F]{64}")


class KeysFileError(Exception):
    """The keys file cannot be read or has a line that is none. The message names the line, never its content."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"CHATBOT_AUTH_KEYS_FILE: {problem}")


@dataclass(frozen=True, slots=True)
class Key:
    """One line. `expires_at` is Unix seconds, or None."""

    name: str
    digest: bytes
    expires_at: float | None


class KeyRing:
    """The keys that are valid now; without a file everybody is the one tenant ""."""

    def __init__(self, path: Path | None, *, now: Callable[[], float] = time.time) -> None:
        """Read the file.

        Raises:
            KeysFileError: It cannot be read, or a line is wrong.
        """
        self._path = path
        self._now = now
        self._keys: tuple[Key, ...] = ()
        self._version: tuple[int, int, int] | None = None
        if path is not None:
            self._version = _version(path)
            self._keys = parse_keys(_read(path))

    @property
    def is_open(self) -> bool:
        """Whether no keys are configured."""
        return self._path is None

    def tenant(self, authorization: str | None) -> str:
        """The tenant of an `Authorization` header.

        Raises:
            Unauthorized: The key is missing, unknown or expired.
        """
        if self._path is None:
            return ""
        self._follow(self._path)
        scheme, _, key = (authorization or "").partition(" ")
        digest = hashlib.sha256(key.strip().encode("utf-8", "surrogateescape")).digest()
        found: Key | None = None
        for candidate in self._keys:  # no early end: the time must not tell which line matched
            if hmac.compare_digest(candidate.digest, digest):
                found = candidate
        if found is None or scheme.lower() != "bearer":
            raise Unauthorized
        if found.expires_at is not None and self._now() >= found.expires_at:
            raise Unauthorized
        return found.name

    def _follow(self, path: Path) -> None:
        try:
            version = _version(path)
            if version == self._version:
                return
            self._version = version
            self._keys = parse_keys(_read(path))
        except KeysFileError as exc:  # the old keys stay: a half-written Secret must lock nobody out
            _LOG.error("%s; the keys that were read before stay valid", exc)


def parse_keys(text: str) -> tuple[Key, ...]:
    """The lines of a keys file.

    Raises:
        KeysFileError: A line is wrong.
    """
    keys = []
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.strip()
        if line and not line.startswith("#"):
            keys.append(_parse_line(line, number))
    return tuple(keys)


def is_loopback(address: str) -> bool:
    """Whether an address is this machine's own."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed).is_loopback


def _parse_line(line: str, number: int) -> Key:
    name, _, rest = line.partition(":")
    digest, _, expires = rest.partition(":")
    if not _NAME.fullmatch(name) or not _DIGEST.fullmatch(digest):
        raise KeysFileError(f"line {number} is not name:sha256-hex[:expires]")
    try:
        expires_at = _unix_seconds(expires) if expires else None
    except ValueError:
        raise KeysFileError(f"line {number}: expires is no ISO 8601 date or time") from None
    return Key(name, bytes.fromhex(digest), expires_at)


def _unix_seconds(expires: str) -> float:
    moment = datetime.fromisoformat(expires)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _version(path: Path) -> tuple[int, int, int]:
    try:
        found = os.stat(path)
    except OSError as exc:
        raise KeysFileError(f"cannot be read: {exc.strerror}") from None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as exc:
        raise KeysFileError(f"cannot be read: {exc.strerror}") from None
    except UnicodeDecodeError:
        raise KeysFileError("it is not UTF-8") from None
