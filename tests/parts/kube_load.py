"""Clients of a Service in a cluster: a new connection for each question, and no second try.

What a gateway or an SDK would hide by trying again is a failure here.
"""

import contextlib
import http.client
import itertools
import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from parts.kube_client import wait_for

_MODEL = "small"
"""Name of the model that is asked, as charts/chatbot/ci/cpu-trial.yaml calls it."""
_MOST_TOLD = 12
_PERSONA = {"character_name": "Tester", "greeting": "Hello!", "context": "A patient tester."}
"""What the character service wants; the office service takes no notice of it."""


@dataclass(frozen=True)
class Asked:
    """One question and what became of it.

    Attributes:
        at: Seconds since the clients began.
        outcome: `ok`, `refused` (429, which promises a return), or what went wrong.
        way: Where it was asked.
    """

    at: float
    seconds: float
    is_stream: bool
    outcome: str
    way: str


@dataclass
class Load:
    """What was asked so far."""

    began_at: float = field(default_factory=time.monotonic)
    asked: list[Asked] = field(default_factory=list)
    is_over: threading.Event = field(default_factory=threading.Event)

    @property
    def failed(self) -> list[Asked]:
        """What was neither answered nor refused with a promise."""
        return [one for one in self.asked if one.outcome not in ("ok", "refused")]

    @property
    def answered(self) -> int:
        return sum(one.outcome == "ok" for one in self.asked)

    def summary(self) -> dict[str, object]:
        """For `figures`; the waits are those of whole answers."""
        waits = sorted(one.seconds for one in self.asked if not one.is_stream) or [0.0]
        streams = sorted(one.seconds for one in self.asked if one.is_stream) or [0.0]
        return {
            "requests": len(self.asked),
            "streams": sum(one.is_stream for one in self.asked),
            "outcomes": dict(Counter(one.outcome for one in self.asked)),
            "p50_s": round(waits[len(waits) // 2], 2),
            "longest_s": round(waits[-1], 2),
            "stream_p10_s": round(streams[len(streams) // 10], 1),
            "stream_p50_s": round(streams[len(streams) // 2], 1),
            "failed": [f"{one.outcome} at {one.at:.0f} s by {one.way}" for one in self.failed[:_MOST_TOLD]],
            "load_average": round(os.getloadavg()[0], 1),
        }


@contextmanager
def asking(
    *urls: str,
    clients: int = 4,
    streams: int = 1,
    answer_tokens: int = 0,
    stream_tokens: int = 200,
    pause_seconds: float = 0.3,
) -> Iterator[Load]:
    """Clients that ask while the context lasts, some of them by long streams; all are waited for at the end.

    They begin where each way answers: a gateway's routes follow a pod's readiness a little later.

    Args:
        urls: `http://host:port` of a service, or with a path before its own; the clients share them.
        clients: How many ask for whole answers.
        streams: How many ask for streams.
        answer_tokens: Most tokens of a whole answer; 0: what the service allows.
        stream_tokens: Most tokens of a stream.
        pause_seconds: Between two questions of one client.
    """
    for url in dict.fromkeys(urls):
        wait_for(partial(_answers, url), 120)
    load = Load()
    kinds = [False] * clients + [True] * streams
    threads = []
    for (number, is_stream), url in zip(enumerate(kinds), itertools.cycle(urls), strict=False):
        if is_stream:
            once = partial(stream, url, stream_tokens)
        else:
            once = partial(whole, url, answer_tokens) if answer_tokens else partial(ask, url, f"load-{number}")
        threads.append(threading.Thread(target=_client, args=(load, url, once, is_stream, pause_seconds), daemon=True))
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        load.is_over.set()
        for thread in threads:
            thread.join(timeout=300)


def _client(load: Load, way: str, once: Callable[[], str], is_stream: bool, pause_seconds: float) -> None:
    while not load.is_over.is_set():
        started = time.monotonic()
        try:
            outcome = once()
        except (OSError, http.client.HTTPException, ValueError) as failure:
            outcome = type(failure).__name__
        ended = time.monotonic()
        load.asked.append(Asked(started - load.began_at, ended - started, is_stream, outcome, way))
        load.is_over.wait(pause_seconds)


def _answers(url: str) -> bool:
    with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
        return whole(url, 1) == "ok"
    return False


def ask(url: str, user: str, timeout_seconds: float = 240, **fields: str) -> str:
    """One whole answer; `ok`, `refused`, or the status and the error's code."""
    question = {"input_data": "Hello!", "user_id": user, **_PERSONA, **fields}
    status, body = _post(url, "/Llama", question, timeout_seconds)
    if status == 200:
        return "ok" if isinstance(json.loads(body), str) else "no text"
    return _refusal(status, body)


def whole(url: str, tokens: int, timeout_seconds: float = 240) -> str:
    """One whole answer of at most so many tokens; `ok`, `refused`, or the status and the error's code."""
    status, body = _post(url, "/v1/chat/completions", completion(tokens), timeout_seconds)
    if status == 200:
        return "ok" if json.loads(body)["choices"] else "no choice"
    return _refusal(status, body)


def stream(url: str, tokens: int, timeout_seconds: float = 240) -> str:
    """One stream of at most so many tokens; `ok` if it ended as the protocol says."""
    status, body = _post(url, "/v1/chat/completions", completion(tokens, is_stream=True), timeout_seconds)
    if status != 200:
        return _refusal(status, body)
    if b'"error"' in body:
        return "error in stream"
    return "ok" if body.rstrip().endswith(b"data: [DONE]") else "cut"


def _refusal(status: int, body: bytes) -> str:
    """`refused`, or the status and the code of the service's own error; a gateway's has none."""
    if status == 429:
        return "refused"
    with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
        told = json.loads(body)
        return f"{status} {told.get('error', told)['code']}"
    return str(status)


def completion(tokens: int, *, is_stream: bool = False) -> dict[str, Any]:
    """Body of a request to `/v1/chat/completions`."""
    messages = [{"role": "user", "content": "Hello!"}]
    return {"model": _MODEL, "messages": messages, "max_tokens": tokens, "stream": is_stream}


def page(url: str, path: str, timeout_seconds: float = 10) -> dict[str, Any]:
    """A page of JSON."""
    with contextlib.closing(_connection(url, timeout_seconds)) as connection:
        connection.request("GET", urlsplit(url).path + path)
        return dict(json.loads(connection.getresponse().read()))


def _post(url: str, path: str, body: object, timeout_seconds: float) -> tuple[int, bytes]:
    with contextlib.closing(_connection(url, timeout_seconds)) as connection:
        connection.request("POST", urlsplit(url).path + path, json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read()


def _connection(url: str, timeout_seconds: float) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout_seconds)
