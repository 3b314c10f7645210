"""The text of an answer that was made from outside text: no picture, no foreign link, no number without a source.

A link is a way out: whoever writes a page or a document may try to make the model put what it knows into an address
that the reader's program opens. So an answer links to pages of the hosts that its web sources have, without a long
query, or to what stands letter by letter in the user's own words or documents: that was there before the model spoke.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from chatbot.core.retrieval.citations import checked

MAX_QUERY_CHARACTERS: Final = 64
MAX_HELD_CHARACTERS: Final = 4_000
_MAX_BRACKET_CHARACTERS: Final = 400
_SCHEMES: Final = r"[A-Za-z][A-Za-z0-9+.-]{0,20}:(?=/|[\w%+.-]+@)|(?:javascript|data|vbscript|file|tel|sms|blob):"
# Every repetition has a bound or cannot be tried twice: texts of users come through here whole.
_LABELS: Final = r"(?:[^\W_][\w-]{0,62}+\.){1,10}"
_ENDINGS: Final = (
    "com|net|org|info|biz|io|dev|app|xyz|co|kr|jp|cn|ru|uk|eu|de|me|site|online|top|shop|club|link|ly|gg|ai|to"
)
_REST: Final = r"[^\s<>\"'`)\]」』）］。、，]*"
_PICTURE: Final = re.compile(
    r"!\[[^\]\n]{0,1000}+\](?:\([^)\n]*\)?|\[[^\]\n]{0,1000}+\])?|</?[A-Za-z][^>\n]*>?|<!--|<[A-Za-z]+:[^>\n]*>?"
)
_MARKDOWN: Final = re.compile(
    r"\[([^\[\]\n]{0,1000}+)\](?:\(([^)\n]{0,2000}+)\)|\[[^\]\n]{0,1000}+\]:?|:[ \t]{0,9}+(?=\S))"
)
_LINK: Final = re.compile(
    rf"(?:{_SCHEMES}){_REST}|//(?=[\w\[%]){_REST}|www\.{_REST}"
    rf"|{_LABELS}(?:[a-z]{{2,24}}(?=[/?#:@])|(?:{_ENDINGS})(?![a-z0-9-])){_REST}|[\w.+-]{{1,64}}@[\w-]{{1,63}}\.[\w.-]+",
    re.IGNORECASE,
)
_HOST: Final = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?/*(?:www\.)?([^/?#\s]*)", re.IGNORECASE)
_MARKUP: Final = re.compile(r"[\[\]()<>!`*_|#\\]")
_NUMBERS: Final = re.compile(r"\d+(?:\s*[,、，]\s*\d+)*")
# What may belong to a mark or a link that is not whole yet: ASCII without spaces, and full-width forms of it.
_TAIL: Final = re.compile(r"(?:\]:)?[ \t]*[!-~！-～、]*\Z")
_LINK_BEGINS: Final = re.compile(r"://|//|www\.|[A-Za-z0-9]\.[A-Za-z]|@", re.IGNORECASE)
_MAY_BE_MARKS: Final = re.compile(r"[\s\d,、，\[\]［］]*+")
_WORDS_CLOSE: Final = re.compile(r"(?:[\[［][\s\d,、，]*+[\]］]|[^\]\n])*+[\]\n]")  # a mark in them may be left out
_WORD: Final = re.compile(r"\S*\Z")
_PARTICLE: Final = re.compile(  # Korean and Japanese hang theirs on a link
    r"(?<=[!-~])(?:입니다|이에요|예요|에서는|에서|에게|으로|부터|까지|에|로|을|를|이|가|은|는|와|과|도|의"
    r"|です|から|まで|を|に|で|は|が|と|の|へ|も)\Z"
)
_SCHEME: Final = re.compile(r"(?:https?:)?//|mailto:", re.IGNORECASE)
_SENTENCE_MARKS: Final = ".,;:!?。、"


@dataclass(frozen=True, slots=True)
class Links:
    """Where links of an answer may lead.

    Attributes:
        hosts: Of the web's sources, lower case: any of their pages, without a long query.
        literal: Links and mail addresses that may be said as they are, as `_literal` writes them.
    """

    hosts: frozenset[str] = frozenset()
    literal: frozenset[str] = frozenset()

    @classmethod
    def of(cls, own: Iterable[str], pages: Iterable[str] = ()) -> "Links":
        """What the user's own texts and the addresses of web pages open.

        Args:
            own: Texts that the user wrote or uploaded: links and mail addresses in them may be said as they stand.
            pages: Addresses of the sources.
        """
        pages = [*pages]
        links = {match[0] for text in own for match in _LINK.finditer(text)} | {*pages}
        return cls(frozenset(filter(None, map(_host, pages))), frozenset(map(_literal, links)) - {""})

    def allows(self, link: str) -> bool:
        """Whether a link may be said."""
        if _literal(link) in self.literal:
            return True
        query = max(len(link.partition("?")[2]), len(link.partition("#")[2]))
        is_web = re.match(r"(?:https?:)?//|www\.|[\w-]+\.", link, re.IGNORECASE) is not None
        return is_web and query <= MAX_QUERY_CHARACTERS and _host(link) in self.hosts


def plain_title(title: str) -> str:
    """A title of somebody else's page, fit to stand in a list of ours: no link, no mark, no brackets of Markdown."""
    return " ".join(_MARKUP.sub(" ", cleaned(title, Links(), 0)[0]).split())


def cleaned(answer: str, links: Links, sources: int) -> tuple[str, frozenset[int]]:
    """A whole answer as `AnswerText` leaves it, and the numbers of the sources that it names."""
    cleaner = AnswerText(links, sources)
    return cleaner.feed(answer) + cleaner.end(), cleaner.cited


class AnswerText:
    """Cleans an answer as it comes. What might become a mark or a link is held back until it is one or is none.

    Args:
        links: Where they may lead.
        sources: How many sources there are; None where numbers in brackets name none.

    Attributes:
        cited: Numbers of the sources that were named so far.
    """

    def __init__(self, links: Links, sources: int | None) -> None:
        self._links = links
        self._sources = sources
        self._held = ""
        self.cited: frozenset[int] = frozenset()

    def feed(self, piece: str) -> str:
        """Add a piece; what can be said now."""
        self._held += piece
        cut = _safe_end(self._held)
        ready, self._held = self._held[:cut], self._held[cut:]
        return self._cleaned(ready)

    def end(self) -> str:
        """The rest."""
        ready, self._held = self._held, ""
        return self._cleaned(ready)

    def _cleaned(self, text: str) -> str:
        while True:
            cleaned = _MARKDOWN.sub(self._target, _PICTURE.sub("", text))
            cleaned = _LINK.sub(self._link, cleaned)
            if self._sources is not None:
                cleaned, cited = checked(cleaned, self._sources)
                self.cited |= cited
            if cleaned == text:
                return text
            text = cleaned  # what was removed may have stood between the halves of something

    def _target(self, match: re.Match[str]) -> str:
        """A link of Markdown: its words alone where it may not lead there."""
        words, target = match[1], match[2]
        if target is None:
            return match[0] if _NUMBERS.fullmatch(words.strip()) else words
        if self._links.allows(target.strip().partition(" ")[0]):
            return match[0]
        return f"[{words}]" if _NUMBERS.fullmatch(words.strip()) else words

    def _link(self, match: re.Match[str]) -> str:
        return match[0] if self._links.allows(match[0]) else ""


def _literal(link: str) -> str:
    """A link as it is compared: without scheme of the web, `mailto:`, and what only ends a sentence."""
    bare = _PARTICLE.sub("", link.rstrip(_SENTENCE_MARKS)).rstrip(_SENTENCE_MARKS)
    scheme = _SCHEME.match(bare)
    return bare[scheme.end() if scheme else 0 :].rstrip("/")


def _host(link: str) -> str:
    """The host of a link, "" where it is hidden behind credentials, a port or odd characters."""
    match = _HOST.match(link)
    host = match[1].lower().rstrip(".,;:!") if match else ""
    return host if re.fullmatch(r"[\w-]+(\.[\w-]+)*", host) else ""


def _safe_end(text: str) -> int:
    """Up to where nothing that follows can change what it means."""
    if len(text) > MAX_HELD_CHARACTERS:
        return len(text)
    cut = _before_tail(text, len(text))
    word = _found(_WORD, text)
    if begin := _LINK_BEGINS.search(word):
        cut = min(cut, _before_tail(text, len(text) - len(word) + begin.start()))
    while (opened := _opened(text, cut)) is not None:
        cut = _before_tail(text, opened)
    return cut


def _before_tail(text: str, end: int) -> int:
    return end - len(_found(_TAIL, text[:end]))


def _opened(text: str, cut: int) -> int | None:
    """A bracket before the cut that is not closed before it; None where there is none, or it is too far back."""
    for opening, closes in _BRACKETS:
        for match in re.finditer(opening, text[max(0, len(text) - _MAX_BRACKET_CHARACTERS) : cut]):
            at = match.start() + max(0, len(text) - _MAX_BRACKET_CHARACTERS)
            if not closes(text[at + 1 : cut]):
                return at
    return None


def _square_closes(text: str) -> bool:
    """Whether what follows `[` closes it: of numbers as many as were opened, of words the first or a new line."""
    marks = _found(_MAY_BE_MARKS, text)
    depth = 1
    for character in marks:
        depth += (character in "[［") - (character in "]］")
        if depth == 0:
            return True
    return len(marks) < len(text) and _WORDS_CLOSE.match(text) is not None


_BRACKETS: Final[Sequence[tuple[str, Callable[[str], object]]]] = (
    (r"[\[［]", _square_closes),
    (r"\(", re.compile(r"[^)\n]*+[)\n]").match),
    ("<", re.compile(r"[^>\n]*+[>\n]").match),
)


def _found(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    return match[0] if match else ""
