"""The OpenAI backend against a server that answers well or misbehaves, over real sockets."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
from chatbot.domain.errors import BackendUnavailable, ChatError, InvalidInput, PromptTooLong, TimedOut
from chatbot.domain.generation import AnswerFormat, Finished, FinishReason, TextPiece, Usage
from chatbot.domain.outside.breaker import BreakerPolicy, CircuitBreaker
from chatbot.llm.openai import OpenAIGenerator, OpenAIOptions
from parts import openai_stub as stub_server
from parts.openai_dialogue import CANARY, KEY, answer, request
from parts.openai_stub import OpenAIStub, openai_stub


@pytest.fixture
async def stub() -> AsyncIterator[OpenAIStub]:
    async with openai_stub() as running:
        yield running


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text(KEY + "\n")
    return path


@pytest.fixture
async def generator(stub: OpenAIStub, key_file: Path) -> AsyncIterator[OpenAIGenerator]:
    made = OpenAIGenerator(OpenAIOptions(stub.base_url, "stub", key_file, timeout_seconds=5))
    yield made
    await made.close()


async def test_streams_text_and_usage(stub: OpenAIStub, generator: OpenAIGenerator) -> None:
    pieces = [event async for event in generator.generate(request(pairs=1, seed=7, stop=("x",), repeat_penalty=1.3))]

    assert [p.text for p in pieces if isinstance(p, TextPiece)] == list(stub_server.WORDS)
    last = pieces[-1]
    assert isinstance(last, Finished)
    assert (last.reason, last.usage) == (FinishReason.STOP, Usage(11, 5, 3))
    asked = stub.calls[0]
    assert asked.path == "/v1/chat/completions"
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert [m["role"] for m in asked.body["messages"]] == ["system", "assistant", "user", "assistant", "user"]
    assert asked.body["max_tokens"] == 1024
    assert set(asked.body) == {
        *("model", "messages", "stream", "stream_options", "temperature", "top_p", "max_tokens", "seed", "stop"),
    }


@pytest.mark.parametrize(
    ("wanted", "sent"),
    [
        (AnswerFormat(), {"type": "json_object"}),
        (
            AnswerFormat('{"type":"object","pattern":"x"}', "trip", "d", False),
            {
                "type": "json_schema",
                "json_schema": {
                    "name": "trip",
                    "description": "d",
                    "strict": False,
                    "schema": {"type": "object", "pattern": "x"},
                },
            },
        ),
        (AnswerFormat("{}", "n"), {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}}),
    ],
)
async def test_a_format_is_sent_as_it_came(
    stub: OpenAIStub, generator: OpenAIGenerator, wanted: AnswerFormat, sent: object
) -> None:
    asked = request(format=wanted)
    await generator.check(asked)
    _ = [event async for event in generator.generate(asked)]

    assert stub.calls[0].body["response_format"] == sent


async def test_a_format_that_the_server_does_not_take_is_told_to_the_caller(
    stub: OpenAIStub, generator: OpenAIGenerator
) -> None:
    stub.then(stub_server.knows_no("response_format"))

    with pytest.raises(InvalidInput) as refused:
        _ = [event async for event in generator.generate(request(format=AnswerFormat()))]

    assert (refused.value.field, refused.value.problem) == ("response_format", "not_supported_remotely")


async def test_no_key_is_sent_when_none_is_configured(stub: OpenAIStub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody-else")
    generator = OpenAIGenerator(OpenAIOptions(stub.base_url, "stub"))

    text, _ = await answer(generator)

    assert text == stub_server.TEXT
    assert "authorization" not in stub.calls[0].headers
    await generator.close()


FAULTS = {
    "401": (stub_server.status(401), BackendUnavailable, 1),
    "403": (stub_server.status(403), BackendUnavailable, 1),
    "404": (stub_server.status(404), BackendUnavailable, 1),
    "400": (stub_server.status(400), BackendUnavailable, 2),
    "429": (stub_server.status(429), BackendUnavailable, 1),
    "429 with a pause": (stub_server.status(429, "Retry-After: 7"), BackendUnavailable, 1),
    "500": (stub_server.status(500), BackendUnavailable, 2),
    "503": (stub_server.status(503), BackendUnavailable, 2),
    "redirect": (stub_server.status(302, "Location: http://127.0.0.1:1/"), BackendUnavailable, 1),
    "hang": (stub_server.hang, TimedOut, 1),  # these two never end by themselves: that it ends is the deadline
    "drip": (stub_server.drip, TimedOut, 1),
    "reset": (stub_server.reset, BackendUnavailable, 2),
    "cut json": (stub_server.cut_json, BackendUnavailable, 3),
    "bad utf-8": (stub_server.bad_utf8, BackendUnavailable, 3),
    "html": (stub_server.html, BackendUnavailable, 3),
    "wrong types": (stub_server.wrong_types, BackendUnavailable, 3),
    "deep json": (stub_server.deep_json, BackendUnavailable, 3),
    "cut before text": (stub_server.cut_before_text, BackendUnavailable, 3),
    "error event": (stub_server.error_event, BackendUnavailable, 3),
    "endless line": (stub_server.endless, BackendUnavailable, 1),
}


@pytest.mark.parametrize(("fault", "expected", "most_calls"), FAULTS.values(), ids=FAULTS.keys())
async def test_fault_ends_in_a_clean_error_in_time(
    stub: OpenAIStub, key_file: Path, caplog: pytest.LogCaptureFixture, fault: stub_server.Behaviour,
    expected: type[ChatError], most_calls: int,
) -> None:  # fmt: skip
    stub.then(fault)
    # Only who waits for the deadline has a short one: 8 MiB of an endless line take a busy machine some time.
    options = OpenAIOptions(stub.base_url, "stub", key_file, timeout_seconds=2 if expected is TimedOut else 120)
    generator = OpenAIGenerator(options)
    caplog.set_level(logging.DEBUG)

    with pytest.raises(expected) as raised:
        await answer(generator)

    assert len(stub.calls) <= most_calls
    said = caplog.text + str(raised.value)
    assert KEY not in said
    assert CANARY not in said
    await generator.close()


async def test_unreachable_address_is_a_clean_error(key_file: Path) -> None:
    server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    for base_url in (f"http://127.0.0.1:{port}/v1", "http://no-such-host.invalid/v1"):
        generator = OpenAIGenerator(OpenAIOptions(base_url, "stub", key_file, timeout_seconds=20))
        with pytest.raises((BackendUnavailable, TimedOut)):
            await answer(generator)
        await generator.close()


async def test_backend_is_off_without_a_model(key_file: Path) -> None:
    generator = OpenAIGenerator(OpenAIOptions("http://127.0.0.1:1/v1", "", key_file))

    assert generator.model() is None
    with pytest.raises(BackendUnavailable, match="CHATBOT_OPENAI_MODEL"):
        await generator.check(request())


async def test_retries_once_when_the_first_call_fails(stub: OpenAIStub, generator: OpenAIGenerator) -> None:
    stub.then(stub_server.status(503), stub_server.well)

    text, _ = await answer(generator)

    assert text == stub_server.TEXT
    assert len(stub.calls) == 2


@pytest.mark.parametrize(
    "fault",
    [stub_server.cut_before_text, stub_server.cut_json, stub_server.html, stub_server.error_event],
    ids=lambda fault: fault.__name__,
)
async def test_answers_without_streaming_when_streams_break(
    stub: OpenAIStub, generator: OpenAIGenerator, fault: stub_server.Behaviour
) -> None:
    stub.then(stub_server.unless_streaming(fault))

    texts = [(await answer(generator))[0] for _ in range(3)]

    assert texts == [stub_server.TEXT] * 3
    assert len(stub.calls) == 4  # the broken stream is not tried again at once


@pytest.mark.parametrize("fault", [stub_server.cut_after_text, stub_server.end_without_finish])
async def test_never_begins_again_after_text_left(
    stub: OpenAIStub, generator: OpenAIGenerator, fault: stub_server.Behaviour
) -> None:
    stub.then(fault)
    pieces: list[object] = []

    with pytest.raises(BackendUnavailable):
        async for event in generator.generate(request()):
            pieces.append(event)

    assert pieces == [TextPiece(stub_server.WORDS[0])]
    assert len(stub.calls) == 1


async def test_deadline_ends_an_answer_with_what_there_is(stub: OpenAIStub, generator: OpenAIGenerator) -> None:
    stub.then(stub_server.drip_after_a_word)

    text, finished = await answer(generator, request(seconds=0.5))

    assert (text, finished.reason) == (stub_server.WORDS[0], FinishReason.LENGTH)


async def test_hangs_up_when_the_client_leaves(stub: OpenAIStub, generator: OpenAIGenerator) -> None:
    stub.then(stub_server.drip_after_a_word)

    async with aclosing(generator.generate(request())) as events:
        assert await anext(events) == TextPiece(stub_server.WORDS[0])

    await asyncio.wait_for(stub.left.wait(), 10)


async def test_refused_key_is_used_once_and_a_new_one_at_once(
    stub: OpenAIStub, generator: OpenAIGenerator, key_file: Path
) -> None:
    stub.then(stub_server.status(401))
    for _ in range(5):
        with pytest.raises(BackendUnavailable):
            await answer(generator)
    assert len(stub.calls) == 1

    stub.then(stub_server.well)
    key_file.write_text("sk-new\n")  # noqa: ASYNC240

    assert (await answer(generator))[0] == stub_server.TEXT
    assert stub.calls[-1].headers["authorization"] == "Bearer sk-new"


async def test_unreadable_key_is_named_and_never_sent(
    stub: OpenAIStub, generator: OpenAIGenerator, key_file: Path
) -> None:
    for content in (b"", b"two lines\nof text", b"\xff\xfe", b"a\x00b"):
        key_file.write_bytes(content)  # noqa: ASYNC240
        with pytest.raises(BackendUnavailable, match="CHATBOT_OPENAI_API_KEY_FILE"):
            await answer(generator)
    assert not stub.calls


async def test_pause_that_the_server_asks_for_is_kept_and_told(stub: OpenAIStub, generator: OpenAIGenerator) -> None:
    stub.then(stub_server.status(429, "Retry-After: 30"))
    with pytest.raises(BackendUnavailable) as first:
        await answer(generator)
    assert first.value.retry_after_seconds == 30

    with pytest.raises(BackendUnavailable) as second:
        await generator.check(request())

    assert 25 <= (second.value.retry_after_seconds or 0) <= 30
    assert len(stub.calls) == 1


async def test_outage_is_not_multiplied_and_recovery_is_quick(stub: OpenAIStub, key_file: Path) -> None:
    now = time.monotonic()
    breaker = CircuitBreaker(BreakerPolicy(failures=5, open_seconds=10), clock=lambda: now)
    generator = OpenAIGenerator(OpenAIOptions(stub.base_url, "stub", key_file, timeout_seconds=5), breaker=breaker)
    stub.then(stub_server.status(500))
    for _ in range(50):
        with pytest.raises(BackendUnavailable):
            await answer(generator)
    assert len(stub.calls) <= 6

    now += 10
    with pytest.raises(BackendUnavailable):
        await answer(generator)
    assert len(stub.calls) <= 8
    stub.then(stub_server.well)
    now += 10

    assert (await answer(generator))[0] == stub_server.TEXT
    await generator.close()


@pytest.mark.parametrize("names_it", [True, False])
async def test_learns_that_a_server_has_no_stream_options(
    stub: OpenAIStub, generator: OpenAIGenerator, names_it: bool
) -> None:
    stub.then(stub_server.knows_no("stream_options", names_it=names_it))

    texts = [(await answer(generator))[0] for _ in range(2)]

    assert texts == [stub_server.TEXT] * 2
    assert len(stub.calls) == 3


async def test_learns_the_newer_name_of_the_token_limit(stub: OpenAIStub, generator: OpenAIGenerator) -> None:
    stub.then(stub_server.knows_no("max_tokens"))

    await answer(generator, request(max_tokens=9))

    assert stub.calls[-1].body["max_completion_tokens"] == 9


async def test_drops_the_oldest_turns_when_the_remote_context_is_smaller(
    stub: OpenAIStub, generator: OpenAIGenerator
) -> None:
    stub.then(stub_server.needs_less(8))

    text, _ = await answer(generator, request(pairs=10))

    assert text == stub_server.TEXT
    sent = [m["content"] for m in stub.calls[-1].body["messages"]]
    assert sent[0] == "Be kind."
    assert sent[-3:] == ["q9", "a9", CANARY]


async def test_prompt_that_never_fits_is_the_callers_fault(stub: OpenAIStub, generator: OpenAIGenerator) -> None:
    stub.then(stub_server.needs_less(1))

    with pytest.raises(PromptTooLong):
        await answer(generator, request(pairs=10))
    with pytest.raises(PromptTooLong):
        await answer(generator, request(pairs=1, may_shorten=False))


async def test_halves_of_characters_are_joined(stub: OpenAIStub, generator: OpenAIGenerator) -> None:
    stub.then(stub_server.halves)

    text, _ = await answer(generator)

    assert text == "a\U0001f600b\ufffd"
    json.dumps(text).encode()


async def test_fifty_at_once_all_end(stub: OpenAIStub, generator: OpenAIGenerator) -> None:
    answers = await asyncio.gather(*(answer(generator) for _ in range(50)))

    assert {text for text, _ in answers} == {stub_server.TEXT}
