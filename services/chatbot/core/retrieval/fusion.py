"""Two rankings into one, by places alone: their scores cannot be compared.

Reciprocal rank fusion, Cormack, Clarke and Büttcher 2009 (https://doi.org/10.1145/1571941.1572114), with their k = 60.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from chatbot.domain.documents import Found

K = 60
"""How little the first places count more than the next ones."""

_Key = tuple[str, int]


def fused(lexical: Sequence[Found], dense: Sequence[Found]) -> tuple[Found, ...]:
    """Passages of either ranking, best first; `score` is 1 for one that is first in both, both ranks are told.

    Equals stay in the order of the words: those come first where the rankings agree on nothing.
    """
    by_words, by_meaning = _places(lexical), _places(dense)
    passages = {_key(one): one for one in (*dense, *lexical)}
    most = 2 / (K + 1)
    scored = [
        replace(
            one,
            score=round((_share(by_words.get(key)) + _share(by_meaning.get(key))) / most, 4),
            lexical_rank=by_words.get(key),
            dense_rank=by_meaning.get(key),
        )
        for key, one in passages.items()
    ]
    return tuple(sorted(scored, key=lambda one: (-one.score, one.lexical_rank or len(passages) + 1)))


def ranked(lexical: Sequence[Found]) -> tuple[Found, ...]:
    """One ranking alone: scores as shares of the best."""
    best = lexical[0].score if lexical else 0.0
    return tuple(
        replace(one, score=round(one.score / best, 4) if best > 0 else 1.0, lexical_rank=place)
        for place, one in enumerate(lexical, start=1)
    )


def chosen(found: Sequence[Found], passages: int, per_document: int) -> tuple[Found, ...]:
    """The first passages, at most so many of one document."""
    taken: Counter[str] = Counter()
    kept: list[Found] = []
    for one in found:
        if len(kept) == passages:
            break
        if taken[one.document_id] < per_document:
            taken[one.document_id] += 1
            kept.append(one)
    return tuple(kept)


def _places(found: Sequence[Found]) -> Mapping[_Key, int]:
    return {_key(one): place for place, one in enumerate(found, start=1)}


def _key(one: Found) -> _Key:
    return one.document_id, one.chunk.number


def _share(place: int | None) -> float:
    return 0.0 if place is None else 1 / (K + place)
