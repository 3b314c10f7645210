"""The guard in front of the parser: whatever bytes come, a reason or one plain object."""

import json
import time
from collections.abc import Iterable

import pytest
from chatbot.api.errors import BodyTimeout
from chatbot.api.wire import guard
from chatbot.api.wire.departure import ClientGone
from chatbot.api.wire.guard import MAX_DEPTH, parse_object, read_object
from chatbot.domain.errors import BodyTooLarge, MalformedBody
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers
from starlette.types import Message, Receive

JSON = Headers({"content-type": "application/json"})


def body(*chunks: bytes, leaves: bool = False) -> Receive:
    messages: list[Message] = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    messages.append({"type": "http.disconnect"} if leaves else {"type": "http.request", "body": b""})
    waiting = iter(messages)

    async def receive() -> Message:
        return next(waiting)

    return receive


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (b"", "not_json"),
        (b"   ", "not_json"),
        (b"hello", "not_json"),
        (b"\xef\xbb\xbf{}", "not_json"),
        (b"{'a': 1}", "not_json"),
        (b'{"a": 1,}', "not_json"),
        (b'{"a": 01}', "not_json"),
        (b'{"a": "\x01"}', "not_json"),
        (b"{} {}", "not_json"),
        (b'{"a": "b', "not_json"),
        (b'{"a": [1,', "truncated"),
        (b'{"a"', "truncated"),
        (b'{"a": "\xff"}', "not_utf8"),
        (b'{"a": "\xed\xa0\xbd"}', "not_utf8"),
        (b'{"a": "\xc0\x80"}', "not_utf8"),
        ('{"a": 1}'.encode("utf-16"), "not_utf8"),
        (b"[]", "not_an_object"),
        (b'"text"', "not_an_object"),
        (b"null", "not_an_object"),
        (b"1", "not_an_object"),
        (b'{"a": NaN}', "nan"),
        (b'{"a": -Infinity}', "nan"),
        (b'{"a": 1e999}', "nan"),
        (b'{"a": -1e999}', "nan"),
        (b'{"a": ' + b"9" * 5000 + b"}", "nan"),
        (b'{"a": "\\ud83d"}', "surrogate"),
        (b'{"\\udc00": 1}', "surrogate"),
        (b'{"a": ["\\ud83d\\ud83d"]}', "surrogate"),
        (b'{"a": 1, "a": 2}', "duplicate_key"),
        (b'{"a": {"b": 1, "b": 1}}', "duplicate_key"),
        (b'{"a": 1, "\\u0061": 2}', "duplicate_key"),
        (b'{"a": ' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}", "too_deep"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "too_deep"),
        (b'{"a": ' + b"[" * 100_000, "too_deep"),
        (b'{"a": [' + b"{}," * 6_000 + b"{}]}", "too_complex"),
    ],
    ids=lambda value: value[:24].decode("latin-1") if isinstance(value, bytes) else value,
)
def test_refuses_what_is_no_plain_object(raw: bytes, problem: str) -> None:
    with pytest.raises(MalformedBody) as refused:
        parse_object(raw)

    assert refused.value.problem == problem


def test_takes_pairs_of_surrogates_and_deep_text() -> None:
    assert parse_object(b'{"a": "\\ud83d\\ude00"}') == {"a": "😀"}
    assert parse_object(json.dumps({"a": "[{" * 1000}).encode()) == {"a": "[{" * 1000}
    assert parse_object(b'{"a": ' + b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1) + b"}")


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"])),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
            max_leaves=8,
        ),
    )
)
def test_hands_on_every_valid_object_unchanged(value: dict[str, object]) -> None:
    assert parse_object(json.dumps(value).encode()) == value


@given(st.binary(max_size=200))
def test_never_fails_otherwise_for_any_bytes(raw: bytes) -> None:
    try:
        assert isinstance(parse_object(raw), dict)
    except MalformedBody as refused:
        assert len(refused.problem) < 20


async def test_reads_chunks_up_to_the_limit() -> None:
    assert await read_object(JSON, body(b'{"a"', b": ", b"1}"), limit_bytes=8) == {"a": 1}


@pytest.mark.parametrize(
    ("headers", "chunks"),
    [
        ({}, [b"x" * 60, b"x" * 60]),
        ({"content-length": "101"}, []),
        ({"content-length": "9" * 5000}, []),
        ({"content-length": "3"}, [b"x" * 101]),
    ],
    ids=["chunked", "announced", "absurd", "lying"],
)
async def test_refuses_a_body_above_the_limit(headers: dict[str, str], chunks: Iterable[bytes]) -> None:
    with pytest.raises(BodyTooLarge):
        await read_object(Headers({"content-type": "application/json", **headers}), body(*chunks), limit_bytes=100)


@pytest.mark.parametrize(
    ("headers", "problem"),
    [
        ({}, "content_type"),
        ({"content-type": "text/plain"}, "content_type"),
        ({"content-type": "application/x-www-form-urlencoded"}, "content_type"),
        ({"content-type": "application/json; charset=euc-kr"}, "not_utf8"),
        ({"content-type": "application/json", "content-encoding": "gzip"}, "content_encoding"),
    ],
)
async def test_refuses_another_kind_of_body(headers: dict[str, str], problem: str) -> None:
    with pytest.raises(MalformedBody) as refused:
        await read_object(Headers(headers), body(b"{}"), limit_bytes=100)

    assert refused.value.problem == problem


@pytest.mark.parametrize("media_type", ["application/json", "Application/JSON ; charset=UTF-8", "application/json;"])
async def test_takes_json_however_it_is_written(media_type: str) -> None:
    assert await read_object(Headers({"content-type": media_type}), body(b"{}"), limit_bytes=100) == {}


async def test_stops_when_the_client_leaves_in_the_middle() -> None:
    with pytest.raises(ClientGone):
        await read_object(JSON, body(b'{"a"', leaves=True), limit_bytes=100)


async def test_gives_up_on_a_body_that_trickles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "READ_TIMEOUT_SECONDS", 0.0)

    async def receive() -> Message:
        import asyncio

        await asyncio.Event().wait()
        raise AssertionError

    with pytest.raises(BodyTimeout):
        await read_object(JSON, receive, limit_bytes=100)


def test_parses_the_worst_body_of_the_largest_size_in_bounded_time() -> None:
    worst = [b'{"a": [' + b"1," * (2 * 2**20 - 10) + b"1]}", b'{"a": "' + b"\\u0041" * (4 * 2**20 // 6 - 10) + b'"}']

    started = time.process_time()
    for raw in worst:
        parse_object(raw)

    assert time.process_time() - started < 5.0
