"""What of a sentence a voice can say: no actions, no markup, no code, no pictures; a link is called so."""

import re
from collections.abc import Mapping
from typing import Final

from chatbot.core.language import language_of
from chatbot.core.style.graphemes import graphemes, is_emoji
from chatbot.domain.visible_text import visible

_LINKS: Final[Mapping[str, str]] = {"ko": "링크", "en": "link", "ja": "リンク"}
_FENCE: Final = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_TITLED: Final = re.compile(r"!?\[([^\[\]\n]{0,500})\]\(\s*<?[^()<>\s]{0,2000}>?(?:\s+\"[^\"\n]{0,200}\")?\s*\)")
_LINK: Final = re.compile(
    r"(?:https?://|ftp://|www\.)[^\s<>()\[\]{}「」『』（）]*[^\s<>()\[\]{}「」『』（）.,!?:;'\"…。！？、]", re.I
)
_TAG: Final = re.compile(r"</?[A-Za-z!?][^<>\n]{0,200}>|<\|[^|<>\n]{1,40}\|>")
_STRONG: Final = re.compile(r"\*\*\*?|___?|~~")
_ACTION: Final = re.compile(r"(?<![\w*])\*(?!\s)[^*\n]+\*")
_LINE_MARK: Final = re.compile(r"^(\s*)(?:#{1,6}\s+|>\s?|[-*+•]\s+|[-*_]{3,}\s*$|\|)", re.MULTILINE)
_LEFT_OVER: Final = re.compile(r"(?<!\d)\*|\*(?!\d)|[`|\\]|(?<!\w)_|_(?!\w)")
_LONELY_MARK: Final = re.compile(r"\s+(?=[.,!?。！？…、，](?:\s|$))")
_SPACE: Final = re.compile(r"\s+")


def sayable(text: str, language: str = "en") -> str:
    """The text as it is said, in one line; "" where nothing of it is.

    Args:
        text: A sentence, or several.
        language: Of the word for a link where the sentence itself does not tell.
    """
    text = _FENCE.sub(" ", visible(text))
    word = _LINKS.get(language_of(text, language), _LINKS["en"])
    text = _TITLED.sub(r"\1", text)
    text = _LINK.sub(word, text)
    text = _TAG.sub("", text)
    text = _LINE_MARK.sub(r"\1", text)
    text = _ACTION.sub(" ", _STRONG.sub("", text))
    text = _LEFT_OVER.sub("", text)
    if not text.isascii():
        text = "".join(one for one in graphemes(text) if not is_emoji(one))
    text = _LONELY_MARK.sub("", _SPACE.sub(" ", text).strip())
    return text if any(map(str.isalnum, text)) else ""
