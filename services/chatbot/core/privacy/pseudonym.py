"""Pseudonyms of users: HMAC-SHA-256 under a secret, so that who has the rows alone can name nobody.

The same user of the same tenant always has the same one, whoever is asked, until the secret changes; users of two
tenants never share one. A pseudonym is still personal data (recital 26 of the GDPR): it is erased with its user.
"""

import base64
import hashlib
import hmac
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import Final, Self

_LEAST_CHARACTERS: Final = 32
_MOST: Final = 4
_CHARACTERS: Final = 26  # of base32: 130 bits
_SETTING: Final = "CHATBOT_PRIVACY_SECRET_FILE"


class Pseudonyms:
    """Makes them.

    Args:
        secrets: Of this installation alone; whoever has one can tell whether a pseudonym is that of a name. The first
            makes new ones; rows may still lie under the others.
    """

    def __init__(self, secrets: Sequence[bytes]) -> None:
        self._secrets = tuple(dict.fromkeys(secrets))

    @classmethod
    def load(cls, path: Path, before: Sequence[bytes] = ()) -> Self:
        """Under the secrets of a file: its first line, and those before it below.

        Args:
            path: The file.
            before: Secrets from before the file.

        Raises:
            ValueError: It cannot be read, or a line is too short; the message never repeats a part of it.
        """
        try:
            lines = path.read_text("utf-8").split()
        except OSError as exc:
            raise ValueError(f"{_SETTING}: cannot be read: {exc.strerror}") from None
        except UnicodeDecodeError:
            raise ValueError(f"{_SETTING}: it is not UTF-8") from None
        if not 1 <= len(lines) <= _MOST or min(map(len, lines)) < _LEAST_CHARACTERS:
            raise ValueError(
                f"{_SETTING}: write a line of 32 or more random characters (openssl rand -hex 32), and at most "
                f"{_MOST - 1} that were there before below it"
            )
        return cls([*(line.encode() for line in lines), *before])

    @classmethod
    def kept_in(cls, path: Path) -> Self:
        """Under the secret of a file that is made, for its owner alone, where it is not there.

        Several processes may begin at once: the first one's secret is everybody's.

        Raises:
            ValueError: As `load`, or it cannot be made.
        """
        if not path.exists():
            try:
                _make(path)
            except OSError as exc:
                raise ValueError(f"{_SETTING}: none can be made beside the SQLite file: {exc.strerror}") from None
        return cls.load(path)

    def keys(self, purpose: str) -> tuple[bytes, ...]:
        """Secrets for something else, made of ours: who learns one learns no pseudonym."""
        return tuple(hmac.digest(secret, f"{purpose}\0".encode(), hashlib.sha256) for secret in self._secrets)

    def of(self, tenant: str, user: str) -> str:
        """`u_` and 26 characters of a-z and 2-7."""
        return _pseudonym(self._secrets[0], tenant, user)

    def every(self, tenant: str, user: str) -> tuple[str, ...]:
        """All that may stand for the user in rows, the one of now first."""
        return tuple(_pseudonym(secret, tenant, user) for secret in self._secrets)


def _pseudonym(secret: bytes, tenant: str, user: str) -> str:
    of_tenant = hmac.digest(secret, b"pseudonym\0" + tenant.encode(), hashlib.sha256)
    digest = hmac.digest(of_tenant, user.encode(), hashlib.sha256)
    return "u_" + base64.b32encode(digest).decode().lower()[:_CHARACTERS]


def _make(path: Path) -> None:
    """Written whole beside its place and linked there, so that nobody ever reads half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written = path.with_name(f".{path.name}.{token_hex(8)}")
    descriptor = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(token_hex(32) + "\n")
        with suppress(FileExistsError):
            os.link(written, path)
    finally:
        written.unlink()
