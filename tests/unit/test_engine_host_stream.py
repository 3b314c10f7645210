"""One running generation: order, bounds and its one end. And what a frame can carry of a dialogue."""

import json

import pytest
from chatbot.domain.chat import Dialogue, Message
from chatbot.domain.errors import EngineLost, PromptTooLong, TimedOut, Unavailable
from chatbot.domain.generation import GenerationRequest, Sampling
from chatbot.llm.dialogue_frames import generate_frame, measure_frame, surely_fits
from chatbot.llm.engine.frames import HEADER_BYTES, MAX_FRAME_BYTES
from chatbot.llm.supervision.stream import MAX_UNDELIVERED_BYTES, GenerationStream


def piece(text, **more):
    return {"id": "a", "text": text, "tokens": 1, **more}


async def test_hands_out_events_in_order():
    stream = GenerationStream()
    stream.put(piece("a"))
    stream.put(piece("b", finish="stop"))

    assert [(await stream.get())["text"] for _ in range(2)] == ["a", "b"]
    assert stream.finished


async def test_loss_drops_undelivered_text_so_that_a_retry_says_nothing_twice():
    stream = GenerationStream()
    stream.put(piece("never seen"))

    stream.lose()

    with pytest.raises(EngineLost):
        await stream.get()


async def test_loss_keeps_an_answer_that_is_whole():
    stream = GenerationStream()
    stream.put(piece("whole", finish="stop"))

    stream.lose()

    assert (await stream.get())["finish"] == "stop"


async def test_lapse_keeps_what_there_is():
    stream = GenerationStream()
    stream.put(piece("half"))

    stream.lapse()

    assert (await stream.get())["text"] == "half"
    with pytest.raises(TimedOut):
        await stream.get()


async def test_reader_that_stalls_is_given_up_at_the_bound():
    stream = GenerationStream()
    text = "x" * 1024

    taken = 0
    while stream.put(piece(text)):
        taken += 1

    assert taken == MAX_UNDELIVERED_BYTES // 1024
    with pytest.raises(Unavailable):
        await stream.get()


async def test_reader_that_keeps_up_has_no_bound():
    stream = GenerationStream()

    for _ in range(2 * MAX_UNDELIVERED_BYTES // 1024):
        assert stream.put(piece("x" * 1024))
        await stream.get()


def ask(question="q", history=(), system="", may_shorten=True, **sampling):
    dialogue = Dialogue(system, (), tuple(history), Message("user", question), may_shorten)
    return GenerationRequest("a", dialogue, Sampling(**sampling), deadline=0.0)


def pairs(n, size):
    for i in range(n):
        yield Message("user", f"{i:06}" + "q" * size)
        yield Message("assistant", f"{i:06}" + "a" * size)


def test_oldest_pairs_go_where_a_frame_cannot_carry_them():
    frame = generate_frame(ask(history=pairs(200, 8000), system="s" * 1000))

    sent = json.loads(frame[HEADER_BYTES:])["dialogue"]
    assert len(frame) <= MAX_FRAME_BYTES + HEADER_BYTES
    assert len(frame) > 0.95 * MAX_FRAME_BYTES
    assert sent["system"] == "s" * 1000
    assert sent["question"] == ["user", "q"]
    assert sent["history"][-1][1].startswith("000199")
    assert [role for role, _ in sent["history"]] == ["user", "assistant"] * (len(sent["history"]) // 2)


@pytest.mark.parametrize("character", ["\u0001", '"', "가", "😀"], ids=["escaped 6 to 1", "quote", "Hangul", "emoji"])
def test_bound_counts_bytes_of_the_wire(character):
    history = [Message(role, character * 8000) for role in ("user", "assistant") * 100]

    frame = measure_frame(ask(history=history), "m")

    assert len(frame) <= MAX_FRAME_BYTES + HEADER_BYTES


@pytest.mark.parametrize(
    "request_",
    [
        ask(question="q" * (MAX_FRAME_BYTES + 1)),
        ask(system="s" * (MAX_FRAME_BYTES + 1)),
        ask(history=pairs(200, 8000), may_shorten=False),
    ],
    ids=["question", "system", "history that must stay"],
)
def test_refuses_what_no_frame_can_carry(request_):
    with pytest.raises(PromptTooLong) as caught:
        generate_frame(request_)

    assert caught.value.field == "messages"
    assert "qqq" not in str(caught.value)


@pytest.mark.parametrize(
    ("request_", "fits"),
    [
        (ask("q" * 100), True),
        (ask("가" * 500), False),
        (ask("q" * 100, max_tokens=1800), True),
        (ask("q" * 100, max_tokens=2000), False),
        (ask(history=pairs(1, 4000)), True),
        (ask(history=pairs(1, 4000), may_shorten=False), False),
        (ask(system="s" * 1100), False),
    ],
    ids=["short", "bytes not characters", "asked tokens fit", "asked tokens do not", "droppable", "kept", "system"],
)
def test_counting_is_skipped_only_where_bytes_leave_no_doubt(request_, fits):
    assert surely_fits(request_, 2048) is fits
