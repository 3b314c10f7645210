"""How a key looks: `cbk_` + 12 characters of id + `_` + 32 of secret + 6 of CRC-32, all base62: 55 characters.

The id is public. The sum lets a typo die without a look-up, and scanners of leaked secrets tell a key from noise.
"""

import re
import secrets
import string
import zlib
from dataclasses import dataclass, field
from typing import Final

PREFIX: Final = "cbk_"
ID_PATTERN: Final = "[0-9A-Za-z]{12}"
MAX_CHARACTERS: Final = 1024
"""Of anything that is presented as a key, older forms included."""

_SECRET_CHARACTERS: Final = 32  # 190 bits
_SUM_CHARACTERS: Final = 6
_ALPHABET: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_FORM: Final = re.compile(rf"{PREFIX}({ID_PATTERN})_[0-9A-Za-z]{{{_SECRET_CHARACTERS + _SUM_CHARACTERS}}}")
_ID: Final = re.compile(ID_PATTERN)


@dataclass(frozen=True, slots=True)
class KeyText:
    """A key as its owner has it. `text` never leaves this process but to him."""

    id: str
    text: str = field(repr=False)


def mint() -> KeyText:
    """A new key."""
    key_id, secret = _random(12), _random(_SECRET_CHARACTERS)
    body = f"{PREFIX}{key_id}_{secret}"
    return KeyText(key_id, body + _sum(body))


def parse(text: str) -> KeyText | None:
    """A key of ours, None where it has another form or a wrong sum."""
    if not text.startswith(PREFIX):
        return None
    found = _FORM.fullmatch(text)
    if found is None or _sum(text[:-_SUM_CHARACTERS]) != text[-_SUM_CHARACTERS:]:
        return None
    return KeyText(found[1], text)


def is_key_id(text: str) -> bool:
    """Whether a text is the id of a key."""
    return _ID.fullmatch(text) is not None


def _random(characters: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(characters))


def _sum(body: str) -> str:
    number, digits = zlib.crc32(body.encode()), ""
    for _ in range(_SUM_CHARACTERS):
        number, digit = divmod(number, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits
