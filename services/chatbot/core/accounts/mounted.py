"""Keys from a mounted file, which works before any database does.

Lines `name:sha256-hex of the key[:expires]`, where the name is the tenant, or one JSON object for a key with an id and
rights of its own (`chatbot-keys create --line` writes one). `#` starts a comment; `expires` is an ISO 8601 date or time
(UTC where it names no zone). The file is read again when it changes, so a mounted Secret needs no restart.
"""

import hashlib
import hmac
import json
import logging
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from chatbot.core.accounts.key_text import KeyText, is_key_id
from chatbot.domain.access import KeyRecord, Rights

_LOG = logging.getLogger(__name__)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DIGEST = re.compile(r"[0-9a-fA-F]{64}")
_RIGHTS = ("scopes", "services", "backends", "networks", "user", "signer", "limits")
_FIELDS = frozenset({"id", "tenant", "sha256", "label", "not_before", "expires_at", *_RIGHTS})


class KeysFileError(ValueError):
    """The keys file cannot be read or has a line that is none. The message names the line, never its content."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"CHATBOT_AUTH_KEYS_FILE: {problem}")


@dataclass(frozen=True, slots=True)
class FileKeys:
    """What a file has: `short` lines, which are tried one by one, and keys that are found by their id."""

    short: Sequence[KeyRecord] = ()
    by_id: Mapping[str, KeyRecord] = field(default_factory=dict)


class MountedKeys:
    """The keys that the file has now."""

    def __init__(self, path: Path) -> None:
        """Read the file.

        Raises:
            KeysFileError: It cannot be read, or a line is wrong.
        """
        self._path = path
        self._version = _version(path)
        self._keys = parse_keys(_read(path))

    def find(self, presented: str, key: KeyText | None) -> KeyRecord | None:
        """The record of a key.

        Args:
            presented: What came.
            key: The same, where it has the form of a key of ours.
        """
        self._follow()
        digest = hashlib.sha256(presented.encode("utf-8", "surrogateescape")).digest()
        found: KeyRecord | None = None
        for candidate in self._keys.short:  # no early end: the time must not tell which line matched
            if hmac.compare_digest(candidate.digest, digest):
                found = candidate
        named = self._keys.by_id.get(key.id) if key else None
        return named if named is not None and hmac.compare_digest(named.digest, digest) else found

    def _follow(self) -> None:
        try:
            version = _version(self._path)
            if version != self._version:
                self._version = version
                self._keys = parse_keys(_read(self._path))
        except KeysFileError as exc:  # the old keys stay: a half-written Secret must lock nobody out
            _LOG.error("%s; the keys that were read before stay valid", exc)


def parse_keys(text: str) -> FileKeys:
    """The lines of a keys file.

    Raises:
        KeysFileError: A line is wrong.
    """
    short, by_id = [], {}
    for number, line in enumerate(map(str.strip, text.splitlines()), start=1):
        if line.startswith("{"):
            record = _parse_object(line, number)
            by_id[record.id] = record
        elif line and not line.startswith("#"):
            short.append(_parse_line(line, number))
    return FileKeys(tuple(short), by_id)


def line_of(record: KeyRecord, key: KeyText) -> str:
    """The line that opens for a key; it tells no more of the key than its SHA-256, which opens nothing."""
    line: dict[str, Any] = {
        "id": record.id,
        "tenant": record.tenant,
        "sha256": hashlib.sha256(key.text.encode()).hexdigest(),
        "label": record.label,
        **({"not_before": _iso(record.not_before)} if record.not_before else {}),
        "expires_at": None if record.expires_at is None else _iso(record.expires_at),
        **record.rights.fields(),
    }
    return json.dumps(line, ensure_ascii=False)


def _parse_line(line: str, number: int) -> KeyRecord:
    name, _, rest = line.partition(":")
    digest, _, expires = rest.partition(":")
    if not _NAME.fullmatch(name) or not _DIGEST.fullmatch(digest):
        raise KeysFileError(f"line {number} is not name:sha256-hex[:expires]")
    try:
        expires_at = _unix_seconds(expires) if expires else None
    except ValueError:
        raise KeysFileError(f"line {number}: expires is no ISO 8601 date or time") from None
    return KeyRecord(name, name, bytes.fromhex(digest), expires_at=expires_at)


def _parse_object(line: str, number: int) -> KeyRecord:
    try:
        given = json.loads(line)
        if not _FIELDS.issuperset(given) or not is_key_id(given["id"]) or not _NAME.fullmatch(given["tenant"]):
            raise ValueError
        expires = given.get("expires_at")
        return KeyRecord(
            id=given["id"],
            tenant=given["tenant"],
            digest=_digest(given["sha256"]),
            label=str(given.get("label", "")),
            rights=Rights.of(Rights().fields() | {name: given[name] for name in _RIGHTS if name in given}),
            not_before=_unix_seconds(given["not_before"]) if "not_before" in given else 0.0,
            expires_at=None if expires is None else _unix_seconds(expires),
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise KeysFileError(f"line {number} is no key as `chatbot-keys create --line` writes it") from None


def _digest(text: str) -> bytes:
    if not _DIGEST.fullmatch(text):
        raise ValueError
    return bytes.fromhex(text)


def _iso(unix_seconds: float) -> str:
    return datetime.fromtimestamp(unix_seconds, UTC).isoformat(timespec="seconds")


def _unix_seconds(moment: str) -> float:
    parsed = datetime.fromisoformat(moment)
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()


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
