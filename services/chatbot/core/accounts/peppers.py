"""Digests of keys under a secret of the server's own, so that the store's rows alone open nothing.

A key has 190 bits of chance, so a fast HMAC is enough: a password hash would cost 45 ms of CPU a request and add
nothing (https://pages.nist.gov/800-63-3/sp800-63b.html, 5.1.2.2: secrets of 112 bits and more need no slow hash).
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from chatbot.core.privacy.pseudonym import Pseudonyms
from chatbot.domain.access import KeyRecord

_LEAST_CHARACTERS = 32
_MOST = 2


class PepperError(ValueError):
    """The pepper file cannot be used. The message never repeats a part of it."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"CHATBOT_AUTH_PEPPER_FILE: {problem}")


@dataclass(frozen=True, slots=True)
class Peppers:
    """One or two secrets by id, the current one first; the second is on its way out."""

    by_id: Mapping[str, bytes] = field(repr=False)

    @classmethod
    def load(cls, path: Path) -> Self:
        """The lines of a file.

        Raises:
            PepperError: It cannot be read, or has no line that is long enough, or too many.
        """
        try:
            text = path.read_text("utf-8")
        except OSError as exc:
            raise PepperError(f"cannot be read: {exc.strerror}") from None
        except UnicodeDecodeError:
            raise PepperError("it is not UTF-8") from None
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        if not 1 <= len(lines) <= _MOST or any(len(line) < _LEAST_CHARACTERS for line in lines):
            raise PepperError(
                "write one line of 32 or more random characters (openssl rand -hex 32); while you change over, the one "
                "before below it"
            )
        return cls({_id_of(line.encode()): line.encode() for line in lines})

    @property
    def current(self) -> str:
        """Id of the pepper that new digests are made with."""
        return next(iter(self.by_id))

    def digest(self, text: str, pepper: str = "") -> tuple[str, bytes]:
        """The pepper's id, the current one's by default, and the digest of a key under it.

        Raises:
            KeyError: There is no such pepper.
        """
        pepper = pepper or self.current
        return pepper, hmac.digest(self.by_id[pepper], text.encode(), hashlib.sha256)

    def matches(self, record: KeyRecord, text: str) -> bool:
        """Whether a text is the record's key; takes as long where it is not. A pepper that is gone fits nothing."""
        known = record.pepper in self.by_id
        _, digest = self.digest(text, record.pepper if known else "")
        return hmac.compare_digest(record.digest, digest) and known

    @property
    def pseudonyms(self) -> Pseudonyms:
        """What stands for users where no other secret is named for that."""
        return Pseudonyms(tuple(self.by_id.values()))


def _id_of(pepper: bytes) -> str:
    return hmac.digest(pepper, b"pepper id", hashlib.sha256).hex()[:8]
