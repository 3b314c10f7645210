"""What a text is found by: overlapping pairs of characters where words have no spaces, words elsewhere.

Korean, Japanese and Chinese words are cut into pairs (회의실 -> 회의, 의실), so that particles and endings do not
hide a word and no dictionary is needed. Everything is NFKC and case-folded first. Codes stay whole and are also split
(ERR-4012 -> err-4012, err, 4012). Terms are the index's language: a store only compares them (ADR 0014).
"""

import re
import unicodedata
from collections.abc import Iterator

from chatbot.domain.documents import Chunk

MAX_TERM_CHARACTERS = 64
QUERY_TERMS = 128

_HANGUL = "\uac00-\ud7a3\u1100-\u11ff\u3130-\u318f\ua960-\ua97f\ud7b0-\ud7ff"
_KANA = "\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff"
_HAN = "\u2e80-\u2fdf\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
_PAIRED = f"{_HANGUL}{_KANA}{_HAN}"
_LETTER = rf"[^\W_{_PAIRED}]"
_RUN = re.compile(rf"[{_PAIRED}]+|{_LETTER}+(?:[-_.+#/]{_LETTER}+)*[+#]*")
_SPACELESS = re.compile(f"[{_PAIRED}]")
_SPACELESS_RUN = re.compile(f"[{_PAIRED}]+")
_PART = re.compile(r"[^\W\d_]+|\d+")
_LATIN_ACCENTED = re.compile("[\u00c0-\u024f\u1e00-\u1eff]")


def terms(text: str) -> tuple[str, ...]:
    """The terms of a text, in order, with repetitions."""
    return tuple(term for run in _runs(text) for term in _terms_of(run))


def passage_terms(chunk: Chunk) -> tuple[str, ...]:
    """What a passage is found by: its text, and the headings above it."""
    return terms(f"{chunk.heading}\n{chunk.text}")


def query_terms(question: str) -> tuple[str, ...]:
    """The terms that a question is looked up by: each once, at most 128.

    There is no list of words to leave out: what every passage has weighs next to nothing, and measured with one, the
    right passage came first less often (`make eval`).
    """
    return tuple(dict.fromkeys(terms(question)))[:QUERY_TERMS]


def spaceless_characters(text: str) -> int:
    """How many characters are of scripts that are cut into pairs."""
    return sum(map(len, _SPACELESS_RUN.findall(text)))


def normal(text: str) -> str:
    """NFKC and case-folded; a second NFKC, because folding may undo the first (ſ, ΐ)."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def _runs(text: str) -> Iterator[str]:
    for match in _RUN.finditer(normal(text)):
        yield match[0]


def _terms_of(run: str) -> Iterator[str]:
    if _SPACELESS.match(run):
        if len(run) == 1:
            yield run
        for place in range(len(run) - 1):
            yield run[place : place + 2]
        return
    whole = _plain(run)[:MAX_TERM_CHARACTERS]
    parts = _PART.findall(whole)
    yield _singular(whole) if parts == [whole] else whole
    if len(parts) > 1:
        yield from (_singular(part) for part in parts if len(part) > 1)


def _plain(word: str) -> str:
    """Without the accents of Latin letters: café is looked for as cafe."""
    if not _LATIN_ACCENTED.search(word):
        return word
    parts = unicodedata.normalize("NFD", word)
    return "".join(part for part in parts if not unicodedata.combining(part))


def _singular(word: str) -> str:
    """English plurals: days -> day, policies -> policy. The S-stemmer of Harman 1991, "How effective is suffixing?"."""
    if len(word) < 4 or not word.isascii() or not word.endswith("s") or word.endswith(("us", "ss")):
        return word
    if word.endswith("ies"):
        return word if word.endswith(("eies", "aies")) else f"{word[:-3]}y"
    if word.endswith("es"):
        return word[:-1] if not word.endswith(("aes", "ees", "oes")) else word
    return word[:-1]
