"""The public keys that an issuer signs with (JWKS, RFC 7517), from a file that is followed or from one address.

What comes is bounded and judged before it replaces what was there; a set that cannot be read changes nothing.
"""

import asyncio
import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Protocol

import httpx2
import jwt

from chatbot.domain.errors import KeysUnavailable

_LOG = logging.getLogger(__name__)
MAX_BYTES: Final = 256 * 1024
MAX_KEYS: Final = 100
FETCH_SECONDS: Final = 5.0
FRESH_SECONDS: Final = 600.0
"""A set is fetched again when it is older."""

FETCH_EVERY_SECONDS: Final = 60.0
"""And not more often, whatever ids of keys callers name."""

TRUST_SECONDS: Final = 3600.0
"""How long a set stays valid where the issuer does not answer."""

_KINDS: Final = ("RSA", "EC", "OKP")  # never "oct": a secret that signs is no public key
KeySet = Mapping[str, jwt.PyJWK]


class WrongKeySet(ValueError):
    """What is there is no set of public keys."""


class IssuerKeys(Protocol):
    """Where the public keys are."""

    async def find(self, key_id: str) -> jwt.PyJWK | None:
        """The key of an id, None where there is none; "" finds the only one.

        Raises:
            KeysUnavailable: No set could be had yet, or for too long.
        """


def parse_key_set(text: str) -> KeySet:
    """The signing keys of a set, by id.

    Raises:
        WrongKeySet: It is none, or has none, or more than `MAX_KEYS`.
    """
    try:
        listed = json.loads(text)["keys"]
        if len(listed) > MAX_KEYS:
            raise WrongKeySet("too many keys")
        usable = [one for one in listed if one.get("kty") in _KINDS and one.get("use", "sig") == "sig"]
        found = {str(one.get("kid", "")): jwt.PyJWK(one) for one in usable}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, jwt.PyJWTError) as exc:
        raise WrongKeySet(f"no JSON Web Key Set ({type(exc).__name__})") from None
    if not found:
        raise WrongKeySet("no public key for signatures in it")
    return found


def _of(keys: KeySet, key_id: str) -> jwt.PyJWK | None:
    if not key_id and len(keys) == 1:
        return next(iter(keys.values()))
    return keys.get(key_id)


class FileIssuerKeys:
    """Keys of a mounted file; read again when it changes."""

    def __init__(self, path: Path) -> None:
        """Read the file.

        Raises:
            WrongKeySet, OSError: It cannot be used.
        """
        self._path = path
        self._version = self._stat()
        self._keys = parse_key_set(path.read_text("utf-8"))

    async def find(self, key_id: str) -> jwt.PyJWK | None:
        """See `IssuerKeys`."""
        try:
            version = self._stat()
            if version != self._version:
                self._version = version
                self._keys = parse_key_set(self._path.read_text("utf-8"))
        except (WrongKeySet, OSError, UnicodeDecodeError) as exc:
            reason = exc if isinstance(exc, WrongKeySet) else type(exc).__name__
            _LOG.error("CHATBOT_AUTH_JWT_JWKS_FILE: %s; the keys that were read before stay valid", reason)
        return _of(self._keys, key_id)

    def _stat(self) -> tuple[int, int, int]:
        found = os.stat(self._path)
        return found.st_mtime_ns, found.st_size, found.st_ino


class FetchedIssuerKeys:
    """Keys of one address: fetched when they are old or an id is unknown, at most once a minute."""

    def __init__(self, url: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._url = url
        self._clock = clock
        self._keys: KeySet = {}
        self._fetched_at: float | None = None
        self._tried_at: float | None = None
        self._fetching = asyncio.Lock()

    async def find(self, key_id: str) -> jwt.PyJWK | None:
        """See `IssuerKeys`."""
        if _of(self._keys, key_id) is None or self._age() > FRESH_SECONDS:
            async with self._fetching:  # who waited finds what the first one fetched
                if (_of(self._keys, key_id) is None or self._age() > FRESH_SECONDS) and self._may_try():
                    await self._fetch()
        if self._age() > TRUST_SECONDS:
            raise KeysUnavailable("the issuer's keys cannot be had")
        return _of(self._keys, key_id)

    def _age(self) -> float:
        return float("inf") if self._fetched_at is None else self._clock() - self._fetched_at

    def _may_try(self) -> bool:
        return self._tried_at is None or self._clock() - self._tried_at >= FETCH_EVERY_SECONDS

    async def _fetch(self) -> None:
        self._tried_at = self._clock()
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                self._keys = parse_key_set(await self._read())
            self._fetched_at = self._clock()
        except (httpx2.HTTPError, WrongKeySet, TimeoutError, UnicodeDecodeError) as exc:
            reason = str(exc) if isinstance(exc, WrongKeySet) else type(exc).__name__
            _LOG.error("CHATBOT_AUTH_JWT_JWKS_URL: %s; the next try is in %d s", reason, FETCH_EVERY_SECONDS)

    async def _read(self) -> str:
        body = bytearray()
        async with (
            httpx2.AsyncClient(timeout=FETCH_SECONDS, follow_redirects=False) as client,
            client.stream("GET", self._url) as answer,
        ):
            if answer.status_code != 200:
                raise WrongKeySet(f"the issuer answered with status {answer.status_code}")
            async for piece in answer.aiter_bytes():
                body += piece
                if len(body) > MAX_BYTES:
                    raise WrongKeySet(f"more than {MAX_BYTES} bytes")
        return body.decode("utf-8")
