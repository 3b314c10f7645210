"""Characters as one service has them."""

from dataclasses import dataclass

from chatbot.core.characters.book import CharacterBook
from chatbot.core.characters.preview import Previewer


@dataclass(frozen=True, slots=True)
class CharacterDesk:
    """What endpoints use: the characters of all tenants, and how this service plays them."""

    book: CharacterBook
    previewer: Previewer
