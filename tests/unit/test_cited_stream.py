"""Marks of sources in an answer that comes in pieces: what leads nowhere is never seen, wherever a piece ends."""

import asyncio
import re

import pytest
from chatbot.core.retrieval.answer_text import AnswerText, Links
from chatbot.core.retrieval.citations import checked
from chatbot.core.retrieval.cited import CitedSource
from chatbot.domain.chat import Dialogue, Message
from chatbot.domain.generation import Finished, GenerationRequest, Sampling, TextPiece
from hypothesis import given
from hypothesis import strategies as st
from parts.fakes import ScriptedGenerator

REQUEST = GenerationRequest("r", Dialogue("", (), (), Message("user", "?")), Sampling(), 1e9)
TEXTS = st.text(alphabet="[]［］0123459 ,、\n\tab", max_size=40)


def told(pieces: list[str], sources: int = 3) -> str:
    marks = AnswerText(Links(), sources)
    return "".join([*map(marks.feed, pieces), marks.end()])


@pytest.mark.parametrize(
    ("said", "seen"),
    [
        ("연차는 15일 [1].", "연차는 15일 [1]."),
        ("15 [7].", "15."),
        ("a [1, 9] b", "a [1] b"),
        ("[[9]9]!", "!"),
        ("see [note] and [", "see [note] and ["),
        ("trailing [2]", "trailing [2]"),
        ("x [2", "x [2"),
        ("tail  ", "tail  "),
        ("全角［１］", "全角[1]"),
        ("over [9\n] lines", "over lines"),
        ("over [\n2, 9\n\n] lines", "over [2] lines"),
        ("xs = [\n1, a\n]", "xs = [\n1, a\n]"),
    ],
)
def test_marks_that_lead_nowhere_are_left_out(said: str, seen: str) -> None:
    assert told([said]) == told(list(said)) == seen


@given(TEXTS, st.lists(st.integers(0, 40), max_size=5))
def test_where_a_piece_ends_changes_nothing_and_no_mark_without_a_source_is_left(said: str, cuts: list[int]) -> None:
    places = sorted({0, len(said), *(min(cut, len(said)) for cut in cuts)})
    pieces = [said[a:b] for a, b in zip(places, places[1:], strict=False)]

    seen = told(pieces)

    assert seen == told([said])
    assert checked(seen, 3)[0] == seen
    assert re.sub(r"[^ab]", "", seen) == re.sub(r"[^ab]", "", said)


def test_text_without_brackets_is_handed_on_at_once() -> None:
    marks = AnswerText(Links(), 1)

    assert [marks.feed(piece) for piece in ("연차는", " 15일", " [", "1", "]입니다")] == [
        "연차는",
        " 15일",
        "",
        "",
        " [1]입니다",
    ]


async def test_every_token_of_a_piece_that_waited_is_counted() -> None:
    source = CitedSource(ScriptedGenerator(["15일 ", "[", "9", "]", " 입니다", " [1"]), 1)

    events = [event async for event in source.generate(REQUEST)]

    pieces = [event for event in events if isinstance(event, TextPiece)]
    assert "".join(piece.text for piece in pieces) == "15일 입니다 [1"
    assert sum(piece.tokens for piece in pieces) == 6
    assert isinstance(events[-1], Finished)


async def test_a_source_that_is_left_is_closed() -> None:
    model = ScriptedGenerator(["a", 5.0, "b"])
    events = CitedSource(model, 1).generate(REQUEST)

    assert isinstance(await anext(events), TextPiece)
    await events.aclose()
    await asyncio.sleep(0)

    assert (model.active, model.cancelled) == (0, 1)
