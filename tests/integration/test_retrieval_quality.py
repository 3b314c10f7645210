"""Questions find their passages; `make eval` prints the same figures."""

from collections.abc import Callable
from pathlib import Path

import pytest
from parts.retrieval_evaluation import GOAL_MRR, GOAL_RECALL_AT_5, NOISE, evaluate, passages, questions


def test_corpus_is_what_it_says() -> None:
    known = {one.name for one in passages()}
    asked = questions()

    assert (len(known), len(asked)) == (60, 120)
    assert sum(not question.answer for question in asked) == 20
    assert {question.answer for question in asked} - {""} == known
    assert len({question.text for question in asked}) == 120
    assert {question.language for question in asked} == {"ko", "ja", "en", "mixed"}


@pytest.mark.scale
async def test_questions_find_their_passages(
    tmp_path: Path, scale: Callable[[int, int], int], figures: Callable[..., None]
) -> None:
    found = await evaluate(tmp_path, scale(400, NOISE))

    total, other_words = found["lexical"]["all"], found["hybrid"]["paraphrase"]
    assert total.recall_at_5 >= GOAL_RECALL_AT_5
    assert total.mrr >= GOAL_MRR
    assert other_words.recall_at_5 > found["lexical"]["paraphrase"].recall_at_5  # what vectors are for
    for way, groups in found.items():
        figures(**{f"{way} {name}": f"r@5 {one.recall_at_5:.2f} mrr {one.mrr:.2f}" for name, one in groups.items()})
