"""Which kind of file a card comes in, told by its first bytes, never by its name."""

from collections.abc import Mapping
from typing import Final

from chatbot.adapters.characters.charx import end_of, read_charx
from chatbot.adapters.characters.json_text import parse_card
from chatbot.adapters.characters.png import SIGNATURE, picture, read_png
from chatbot.domain.characters import CardFile
from chatbot.domain.errors import MalformedBody

_JPEG: Final = b"\xff\xd8\xff"
_BOM: Final = b"\xef\xbb\xbf"


class BoundedCardFiles:
    """See `CardFiles`."""

    def read(self, content: bytes) -> CardFile:
        """See `CardFiles`."""
        notes: list[tuple[str, str]] = []
        dropped: list[tuple[str, str]] = []
        if content.startswith(SIGNATURE):
            container, text = read_png(content, notes, dropped)
        elif content[:64].removeprefix(_BOM).lstrip().startswith(b"{"):
            container, text = "json", content
        elif end_of(content) >= 0:
            text = read_charx(content, dropped)
            container = "charx-jpeg" if content.startswith(_JPEG) else "charx"
        else:
            raise MalformedBody("no_card")
        return CardFile(container, parse_card(text), tuple(notes), tuple(dropped))

    def picture(self, chunks: Mapping[str, bytes]) -> bytes:
        """See `CardFiles`."""
        return picture(chunks)
