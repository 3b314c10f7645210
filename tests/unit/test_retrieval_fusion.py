"""Two rankings into one: places decide, never scores, and both are told."""

from dataclasses import replace

from chatbot.core.retrieval.fusion import K, chosen, fused, ranked
from chatbot.core.retrieval.search import serving_space
from chatbot.domain.documents import Chunk, Coverage, Found, VectorSpace
from hypothesis import given
from hypothesis import strategies as st
from parts.embedding_models import HandmadeMeaning


def found(name: str, score: float = 1.0, number: int = 0) -> Found:
    return Found(name, name, {}, Chunk(number, "", name, None, 0, 1), score)


def names(passages: tuple[Found, ...]) -> list[str]:
    return [one.document_id for one in passages]


def test_passage_that_is_first_in_both_has_score_one() -> None:
    both = fused([found("a", 900.0), found("b", 1.0)], [found("a", 0.2), found("c", 0.1)])

    assert names(both) == ["a", "b", "c"]
    assert [(one.score, one.lexical_rank, one.dense_rank) for one in both] == [
        (1.0, 1, 1),
        (round((1 / (K + 2)) / (2 / (K + 1)), 4), 2, None),
        (round((1 / (K + 2)) / (2 / (K + 1)), 4), None, 2),
    ]


def test_second_in_both_wins_over_first_in_one() -> None:
    assert names(fused([found("a"), found("b")], [found("c"), found("b")]))[0] == "b"


def test_passages_of_one_document_are_different_ones() -> None:
    both = fused([found("a", number=1)], [found("a", number=2)])

    assert sorted(one.chunk.number for one in both) == [1, 2]


def test_words_alone_are_shares_of_the_best() -> None:
    assert [(one.score, one.lexical_rank) for one in ranked([found("a", 8.0), found("b", 2.0)])] == [
        (1.0, 1),
        (0.25, 2),
    ]
    assert [one.score for one in ranked([found("a", 0.0)])] == [1.0]


def test_one_document_gives_so_many() -> None:
    passages = [found("a", number=number) for number in range(5)] + [found("b")]

    assert names(chosen(passages, 4, 3)) == ["a", "a", "a", "b"]
    assert names(chosen(passages, 2, 3)) == ["a", "a"]


@given(st.permutations("abcdef"), st.permutations("abcdef"), st.integers(0, 6), st.integers(0, 6))
def test_scores_are_shares_and_fall(words: list[str], meaning: list[str], n_words: int, n_meaning: int) -> None:
    lexical, dense = words[:n_words], meaning[:n_meaning]

    both = fused([found(name) for name in lexical], [found(name) for name in dense])

    scores = [one.score for one in both]
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score <= 1 for score in scores)
    assert set(names(both)) == {*lexical, *dense}
    assert len(both) == len({*lexical, *dense})
    for one in both:
        place = one.document_id
        assert one.lexical_rank == (lexical.index(place) + 1 if place in lexical else None)
        assert one.dense_rank == (dense.index(place) + 1 if place in dense else None)


def test_question_is_asked_in_one_space_that_has_all_documents() -> None:
    source = HandmadeMeaning()
    old, older = replace(source.space, model="old"), VectorSpace("older", 3, 1)

    def space(passages: int, **by: int) -> VectorSpace | None:
        spaces = {"own": source.space, "old": old, "older": older}
        return serving_space(source, Coverage(passages, {spaces[name]: count for name, count in by.items()}))

    assert space(9, own=9, old=9) == source.space
    assert space(9, own=8, old=9) is None  # nobody can ask there any more
    source.old = {old, older}
    assert space(9, own=8, old=9, older=4) == old
    assert space(9, own=8) is None
    assert space(9, old=1) == old
