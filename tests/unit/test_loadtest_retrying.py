"""Clients that obey `Retry-After`: how often they come back, and after which sleeps. Real HTTP code, no sockets."""

import json
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any

import pytest
import requests
from chatbot_loadtest.results.records import Outcome
from chatbot_loadtest.users.exchange import Reply, Stream, send
from chatbot_loadtest.users.retrying import MAX_RETRIES, to_its_end
from requests.adapters import BaseAdapter

ANSWER = (200, '"Hello"', {})


def busy(seconds: int) -> tuple[int, str, dict[str, str]]:
    body = json.dumps({"code": "queue_full", "retry_after": seconds, "queue_size": 3})
    return 429, body, {"Retry-After": str(seconds)}


class Scripted(BaseAdapter):
    """Says one thing after the other, as a service would."""

    def __init__(self, *script: tuple[int, str, Mapping[str, str]]) -> None:
        super().__init__()
        self.script = list(script)

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        status, body, headers = self.script.pop(0)
        response = requests.Response()
        response.status_code, response.raw, response.request = status, BytesIO(body.encode()), request
        response.headers.update(headers)
        return response

    def close(self) -> None: ...


def play(*script: tuple[int, str, Mapping[str, str]]) -> tuple[Outcome, list[float], list[tuple[Outcome, int]], int]:
    """The end, the sleeps, what was noted, and what was left unsaid."""
    adapter, session = Scripted(*script), requests.Session()
    session.mount("http://", adapter)
    sleeps: list[float] = []
    noted: list[tuple[Outcome, int]] = []

    def attempt() -> Reply:
        return send(session, "http://service.test/office/Llama", {"input_data": "hi"}, stream=False)

    end = to_its_end(attempt, lambda _, outcome, count: noted.append((outcome, count)), sleeps.append)
    return end, sleeps, noted, len(adapter.script)


def test_a_refused_client_sleeps_what_it_was_told_and_gets_in() -> None:
    end, sleeps, noted, _ = play(busy(7), busy(3), ANSWER)

    assert end is Outcome.SUCCESS
    assert sleeps == [7, 3]
    assert noted == [(Outcome.RETRY, 0), (Outcome.RETRY, 1), (Outcome.SUCCESS, 2)]


def test_who_is_answered_at_once_never_sleeps() -> None:
    assert play(ANSWER) == (Outcome.SUCCESS, [], [(Outcome.SUCCESS, 0)], 0)


def test_a_client_gives_up_after_so_many_returns() -> None:
    end, sleeps, noted, left = play(*[busy(2)] * 20)

    assert end is Outcome.FAILURE
    assert sleeps == [2] * MAX_RETRIES
    assert noted[-1] == (Outcome.FAILURE, MAX_RETRIES)
    assert left == 20 - MAX_RETRIES - 1


@pytest.mark.parametrize(
    ("refusal", "may_return"),
    [
        ((503, "{}", {"Retry-After": "1"}), True),
        ((503, "{}", {}), False),
        ((429, "{}", {}), False),
        ((429, "{}", {"Retry-After": "soon"}), False),
        ((429, "{}", {"Retry-After": "-1"}), False),
        ((504, "{}", {"Retry-After": "1"}), False),
        ((500, "{}", {}), False),
        ((200, "no json", {}), False),
    ],
)
def test_only_who_names_whole_seconds_is_asked_again(
    refusal: tuple[int, str, Mapping[str, str]], may_return: bool
) -> None:
    end, sleeps, _, left = play(refusal, ANSWER)

    assert end is (Outcome.SUCCESS if may_return else Outcome.FAILURE)
    assert (len(sleeps), left) == ((1, 0) if may_return else (0, 1))


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (requests.exceptions.SSLError, "tls_error"),
        (requests.exceptions.ConnectTimeout, "connect_timeout"),
        (requests.exceptions.ReadTimeout, "read_timeout"),
        (requests.exceptions.ConnectionError, "connection_error"),
        (requests.exceptions.InvalidHeader, "request_error"),
    ],
)
def test_a_fault_of_the_connection_is_a_kind_and_never_a_text(
    error: Callable[[str], Exception], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = requests.Session()

    def fail(*_: object, **__: object) -> requests.Response:
        raise error("secret text")

    monkeypatch.setattr(session, "post", fail)
    reply = send(session, "http://service.test", {}, stream=False)

    assert (reply.status, reply.reason, reply.error) == (0, kind, error.__name__)  # type: ignore[attr-defined]
    assert "secret" not in repr(reply)


def test_a_stream_that_starts_at_once_promised_no_wait() -> None:
    stream = Stream()
    stream.note("queue", {"position": 0, "eta_seconds": 0.0}, 0.01)
    assert stream.promised_seconds is None

    stream = Stream()
    stream.note("queue", {"position": 2, "eta_seconds": 4.0}, 0.5)
    stream.note("queue", {"position": 0, "eta_seconds": 0.0}, 4.6)
    assert stream.promised_seconds == 4.5
