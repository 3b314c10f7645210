"""Other people's titles, texts and addresses, fit to be shown to people."""

import html
import re
from typing import Final

MAX_URL_CHARACTERS: Final = 1_000
_TAG: Final = re.compile(r"</?[a-zA-Z][^<>]{0,200}>")
_ENCODED: Final = {ord(character): f"%{ord(character):02X}" for character in "[]()<>\"'`{}|\\^*"}
"""An address is shown to people, in programs that read Markdown or HTML."""


def plain_text(text: object, limit: int) -> str:
    """Text of one line without markup, at most `limit` characters; "" where it is none."""
    if not isinstance(text, str):
        return ""
    return " ".join(html.unescape(_TAG.sub("", text[: 2 * limit])).split())[:limit]


def shown_url(url: object) -> str | None:
    """An address of the web, None where it is none that people should see."""
    if not isinstance(url, str) or len(url) > MAX_URL_CHARACTERS or not url.isprintable() or " " in url:
        return None
    return url.translate(_ENCODED) if url.startswith(("http://", "https://")) else None
