"""What waits to be sent: merged, bounded per generation, in frames that are never too long."""

import threading

import pytest
from chatbot.llm.engine.frames import HEADER_BYTES, MAX_FRAME_BYTES, decode
from chatbot.llm.engine.outbox import Outbox


def sent(outbox: Outbox, frames: list[bytes]) -> list[dict]:
    outbox.close()
    outbox.run()
    assert all(len(frame) <= MAX_FRAME_BYTES + HEADER_BYTES for frame in frames)
    return [decode(frame[HEADER_BYTES:]) for frame in frames]


@pytest.fixture
def frames() -> list[bytes]:
    return []


def test_text_of_one_generation_is_merged(frames: list[bytes]) -> None:
    outbox = Outbox(frames.append)
    outbox.text({"id": "a", "text": "one ", "tokens": 1})
    outbox.text({"id": "b", "text": "x", "tokens": 2})
    outbox.text({"id": "a", "text": "two", "tokens": 1, "finish": "stop", "prompt_tokens": 7})

    (frame,) = sent(outbox, frames)

    assert frame["events"] == [
        {"id": "a", "text": "one two", "tokens": 2, "finish": "stop", "prompt_tokens": 7},
        {"id": "b", "text": "x", "tokens": 2},
    ]


def test_a_full_buffer_is_said_and_the_others_go_on(frames: list[bytes]) -> None:
    outbox = Outbox(frames.append, buffer_bytes=100)

    assert outbox.text({"id": "a", "text": "가" * 33, "tokens": 1})
    assert not outbox.text({"id": "a", "text": "가", "tokens": 1})
    assert outbox.text({"id": "b", "text": "x", "tokens": 1})


def test_what_is_forgotten_is_not_sent(frames: list[bytes]) -> None:
    outbox = Outbox(frames.append)
    outbox.text({"id": "a", "text": "secret", "tokens": 1})
    outbox.text({"id": "b", "text": "x", "tokens": 1})

    outbox.forget("a")

    assert [event["id"] for event in sent(outbox, frames)[0]["events"]] == ["b"]


def test_only_the_newest_heartbeat_is_sent(frames: list[bytes]) -> None:
    outbox = Outbox(frames.append)
    for step in range(5):
        outbox.control({"type": "heartbeat", "step": step}, replaces=True)
    outbox.control({"type": "measured", "id": "m"})

    assert sent(outbox, frames) == [{"type": "heartbeat", "step": 4}, {"type": "measured", "id": "m"}]


@pytest.mark.parametrize("character", ["\u0001", "a", "가", "😀"])
def test_a_long_text_is_sliced_and_ends_once(frames: list[bytes], character: str) -> None:
    outbox = Outbox(frames.append, buffer_bytes=1 << 22)
    text = character * 300_000
    outbox.text({"id": "a", "text": text, "tokens": 3, "finish": "length"})

    events = [event for frame in sent(outbox, frames) for event in frame["events"]]

    assert "".join(event["text"] for event in events) == text
    assert [event.get("finish") for event in events].count("length") == 1
    assert events[-1]["finish"] == "length"
    assert sum(event["tokens"] for event in events) == 3


def test_text_is_taken_while_the_socket_blocks() -> None:
    blocked, entered = threading.Event(), threading.Event()

    def send(_frame: bytes) -> None:
        entered.set()
        blocked.wait(30)

    outbox = Outbox(send, buffer_bytes=10)
    outbox.text({"id": "a", "text": "first", "tokens": 1})
    sender = threading.Thread(target=outbox.run)
    sender.start()
    assert entered.wait(30)

    assert outbox.text({"id": "a", "text": "0123456789", "tokens": 1})
    assert not outbox.text({"id": "a", "text": "x", "tokens": 1})
    blocked.set()
    outbox.close()
    sender.join(30)
    assert not sender.is_alive()


def test_a_step_wakes_the_sender_once_however_many_answers_it_brought() -> None:
    frames: list[bytes] = []
    outbox = Outbox(frames.append)
    wakes, notify = [], outbox._changed.notify
    outbox._changed.notify = lambda n=1: (wakes.append(n), notify(n))[1]

    full = outbox.texts([{"id": f"r{number}", "text": "word ", "tokens": 1} for number in range(8)])

    assert full == []
    assert len(wakes) == 1
    (frame,) = sent(outbox, frames)
    assert [event["id"] for event in frame["events"]] == [f"r{number}" for number in range(8)]


def test_an_ended_answer_is_not_asked_to_end_again() -> None:
    outbox = Outbox(lambda _data: None, buffer_bytes=4)

    full = outbox.texts(
        [
            {"id": "ends", "text": "far too long", "tokens": 1, "finish": "stop"},
            {"id": "on", "text": "long", "tokens": 1},
        ]
    )

    assert full == []
    assert outbox.texts([{"id": "on", "text": "er", "tokens": 1}]) == ["on"]
