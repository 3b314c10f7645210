"""Fields of cards as strangers write them: read leniently, bounded strictly, everything odd noted."""

import math
import unicodedata
from collections.abc import Mapping
from typing import Any

from chatbot.core.characters.cards.report import Report
from chatbot.domain.characters import MAX_TEXT_BYTES
from chatbot.domain.errors import InvalidInput
from chatbot.domain.visible_text import visible

Json = Mapping[str, Any]


class Fields:
    """The fields of one object of a card.

    Args:
        said: The object.
        path: Its own, with a dot behind it; "" for the card itself.
        report: Where what is odd is noted.
    """

    def __init__(self, said: Json, path: str, report: Report) -> None:
        self.said = said
        self.path = path
        self.report = report

    def text(self, name: str) -> str:
        """A text, NFC, without characters that nobody sees; "" where there is none.

        Raises:
            InvalidInput: It is too long.
        """
        value = self.said.get(name)
        if value is None:
            return ""
        if not isinstance(value, str):
            self.report.warn("wrong_type", self.path + name)
            return ""
        return self._clean(value, name)

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts; empty ones are left out.

        Raises:
            InvalidInput: One is too long.
        """
        value = self.said.get(name)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            self.report.warn("wrong_type", self.path + name)
            value = [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
        return tuple(filter(None, (self._clean(one, name) for one in value)))

    def flag(self, name: str, otherwise: bool = False) -> bool:
        """A boolean."""
        value = self.said.get(name)
        if value is None:
            return otherwise
        if not isinstance(value, bool):
            self.report.warn("wrong_type", self.path + name)
            return otherwise
        return value

    def number(self, name: str, otherwise: float) -> float:
        """A finite number."""
        value = self.said.get(name)
        if value is None:
            return otherwise
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.report.warn("wrong_type", self.path + name)
            return otherwise
        number = max(-1e9, min(1e9, value))
        return float(number) if math.isfinite(number) else otherwise

    def count(self, name: str, otherwise: int, most: int) -> int:
        """A whole number from 0 to `most`."""
        number = int(self.number(name, otherwise))
        return min(most, number) if number >= 0 else otherwise

    def objects(self, name: str) -> list[Json]:
        """A list of objects."""
        value = self.said.get(name)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            self.report.warn("wrong_type", self.path + name)
        return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []

    def child(self, name: str) -> "Fields":
        """An object inside of it; empty where there is none."""
        value = self.said.get(name)
        if value is not None and not isinstance(value, dict):
            self.report.warn("wrong_type", self.path + name)
        return Fields(value if isinstance(value, dict) else {}, f"{self.path}{name}.", self.report)

    def _clean(self, value: str, name: str) -> str:
        if len(value) > MAX_TEXT_BYTES or len(value.encode()) > MAX_TEXT_BYTES:
            raise InvalidInput(self.path + name, "too_many_bytes", maximum=MAX_TEXT_BYTES)
        if value.isascii() and value.isprintable():  # most of the thousands of keys that a book may have
            return value.strip()
        return visible(unicodedata.normalize("NFC", value.replace("\r\n", "\n").replace("\r", "\n"))).strip()
